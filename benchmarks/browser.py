"""What headless Chromium measures of pages: whether anything runs out of its place or overlaps."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path

SCRIPT = Path(__file__).parent / "layout.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
MISSING = "needs Chromium to measure pages: apt-get install chromium, or tox -e pages"


def chromium() -> str | None:
    """The path of a Chromium, if this machine has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def layout_faults(pages: Mapping[str, str], widths: Sequence[int]) -> dict[tuple[str, int], list[str]]:
    """The faults of each page, HTML text by name, in a window of each width in CSS pixels.

    A fault is text that overlaps other text, leaves its drawing or the window, or needs scrolling from side to side.
    Raises RuntimeError without Chromium, or if it does not answer.
    """
    path = chromium()
    if path is None:
        raise RuntimeError(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        views = [(name, width) for name in pages for width in widths]
        for index, name in enumerate(pages):
            Path(folder, f"{index}.html").write_text(pages[name], encoding="utf-8")
        # A frame has the width it is set to, where a window of Chromium cannot be narrower than 500 px.
        frames = [
            f'<iframe src="{list(pages).index(name)}.html" style="width:{width}px;height:900px;border:0"></iframe>'
            for name, width in views
        ]
        frame = Path(folder, "frames.html")
        frame.write_text(_HOST.format(script=SCRIPT.read_text(), frames="".join(frames)), encoding="utf-8")
        command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        command += [f"--user-data-dir={folder}/profile", "--virtual-time-budget=60000", "--dump-dom", frame.as_uri()]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', ended.stdout, re.DOTALL)
    if answer is None:
        raise RuntimeError(f"{path} did not measure the pages: {ended.stderr.strip()[-300:] or 'no answer'}")
    return dict(zip(views, json.loads(unescape(answer[1])), strict=True))


_HOST = """<!doctype html><meta charset="utf-8"><script>{script}
addEventListener("load", () => {{
  const answer = document.createElement("pre");
  answer.id = "answer";
  answer.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(it => faults(it.contentWindow)));
  document.body.append(answer);
}});</script><body>{frames}"""
