"""Cases of the folder `reliability`: one line, exit code 2, nothing written, in ten seconds and two gigabytes."""

import contextlib
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.cases.case import Case, Outcome, Wrong, qwedge, refused

CPU_S = 20
"""Ten of a machine that does nothing else: cores share what they are made of."""

ROOT = Path(__file__).parents[2]
COIN = "lab_toys:Coin"


@contextmanager
def _place(*files: Path) -> Iterator[Path]:
    """An empty folder with copies of `files` and with the toy experiments of the tests."""
    with tempfile.TemporaryDirectory() as name:
        for path in (*files, ROOT / "tests" / "lab" / "lab_toys.py"):
            shutil.copy(path, name)
        yield Path(name)


def _command_refused(files: Sequence[str], words: Sequence[str], said: Sequence[str], cases: Path) -> None:
    with _place(*(cases / file for file in files)) as place:
        before = sorted(place.rglob("*"))
        refused(qwedge(*words, folder=place, cpu_s=CPU_S), *said)
        if written := set(place.rglob("*")) - set(before):
            raise Wrong(f"{min(written).name} was written")


def _circuit(file: str) -> Callable[[Path], None]:
    return partial(_command_refused, [file], ["noise", file, "--out", "out", "--quiet"], [file])


def _data(file: str) -> Callable[[Path], None]:
    words = ["run", "compvqc", "--set", f"task={file}", "--out", "out", "--quiet"]
    return partial(_command_refused, [file], words, [file])


def _device(file: str) -> Callable[[Path], None]:
    words = ["run", "compvqc", "--set", f"target={file}", "--out", "out", "--quiet"]
    return partial(_command_refused, [file], words, [file])


def _net(file: str) -> Callable[[Path], None]:
    return partial(_command_refused, [file], ["synth", file, "--out", "out", "--quiet"], [file])


def _samples(file: str, cases: Path) -> None:
    import numpy as np

    from fpga.build.example import example
    from shared.integer.files import save

    with _place(cases / file) as place:
        save(example(np.random.default_rng(0)), place / "p.json")
        refused(qwedge("synth", "p.json", "--samples", file, "--out", "out", folder=place, cpu_s=CPU_S), file)


def _rows(file: str, cases: Path) -> None:
    with _place(cases / file) as place:
        (place / file).rename(place / "rows.jsonl")
        for words in (["report", COIN, "--out", "."], ["show", "coin", "--out", "."], ["compare", ".", "."]):
            refused(qwedge(*words, folder=place, cpu_s=CPU_S), "is not a row")


def _deep_rows(cases: Path) -> None:
    with _place() as place:
        (place / "rows.jsonl").write_text('{"id":' + "[" * 100_000 + "\n")
        refused(qwedge("report", COIN, "--out", ".", folder=place, cpu_s=CPU_S), "is not a record")


def _escapes(cases: Path) -> None:
    with _place(cases / "case32_escape.rows.jsonl") as place:
        (place / "case32_escape.rows.jsonl").rename(place / "rows.jsonl")
        for words in ((), ("835a",), ("--json",)):
            shown = qwedge("show", "coin", "--out", ".", *words, folder=place, cpu_s=CPU_S)
            if shown.code or "\x1b" in shown.out + shown.err:
                raise Wrong(f"exit code {shown.code}, escape sequences as they stand" if not shown.code else shown.err)


def _three_writers(cases: Path) -> None:
    """The case as code of today, whose modules have moved since it was written."""
    text = (cases / "case05_three_writers.py").read_text().replace("shared.lab.context", "shared.lab.running.context")
    with _place() as place:
        (place / "case.py").write_text(text)
        runpy.run_path(str(place / "case.py"))


def _artefact_names(cases: Path) -> None:
    text = (cases / "case20_artefact_name.py").read_text().replace("qwedge.synth", "qwedge.commands.synth")
    with _place() as place, contextlib.redirect_stdout(io.StringIO()) as said:
        (place / "case.py").write_text(text)
        runpy.run_path(str(place / "case.py"))
    if "outside written: False False" not in said.getvalue() or "is not a row" not in said.getvalue():
        raise Wrong(said.getvalue())


def _tool_left(number: signal.Signals, cases: Path) -> None:
    import numpy as np

    from fpga.build.example import example
    from shared.integer.files import save

    with _place() as place:
        save(example(np.random.default_rng(0)), place / "p.json")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "QWEDGE_CACHE": str(place / "cache")}
        words = [sys.executable, "-m", "qwedge", "synth", "p.json", "--out", "out", "--quiet"]
        process = subprocess.Popen(words, cwd=place, env=environment, stderr=subprocess.DEVNULL)
        try:
            if not _until(lambda: bool(_tools(place)), 120):
                raise Wrong("no tool was started")
            process.send_signal(number)
            process.wait(60)
        finally:
            process.kill()
            process.wait()
        _until(lambda: not _tools(place), 10)
        if left := _tools(place):
            for tool in left:
                os.kill(tool, signal.SIGKILL)
            raise Wrong(f"{len(left)} tools run on")


def _tools(place: Path) -> list[int]:
    """Processes that work in a folder of `place`'s cache."""
    tools = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(folder / "cwd")).is_relative_to(place / "cache"):
                tools.append(int(folder.name))
    return tools


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def _signal_samples(cases: Path) -> None:
    with _place(*cases.glob("case17_big.sigmf-*")) as place:
        answer: Outcome = qwedge("decode", "case17_big.sigmf-meta", folder=place, cpu_s=CPU_S)
        if "Traceback" in answer.err or not any(word in answer.err for word in ("large", "1e+300", "sample")):
            raise Wrong(f"exit code {answer.code}, {answer.err.strip() or 'no word'}")


ONE_LINE = "one line, exit code 2"
CASES: list[Case] = [
    *(
        Case(file, ONE_LINE, _circuit(file))
        for file in (
            "case01_blank_lines.qasm",
            "case02_broadcast2.qasm",
            "case02_broadcast3.qasm",
            "case03_ctrl_chain.qasm",
            "case16_qpy01.qpy",
        )
    ),
    Case("case05_three_writers.py", "all three finish", _three_writers),
    Case(
        "case06_deep.toml",
        ONE_LINE,
        partial(_command_refused, ["case06_deep.toml"], ["run", COIN, "--config", "case06_deep.toml"], ["case06_deep"]),
    ),
    Case(
        "nested --set",
        ONE_LINE,
        partial(_command_refused, [], ["run", COIN, "--set", "name=" + "[" * 3000], ["nested too deeply"]),
    ),
    Case("nested rows.jsonl", ONE_LINE, _deep_rows),
    *(Case(file, ONE_LINE, _data(file)) for file in ("case11_encrypted.npz", "case13_complex.npz", "case14_lie.npz")),
    Case("case17_big.sigmf-data", "refused, or a warning that names the sample", _signal_samples),
    *(Case(file, ONE_LINE, partial(_samples, file)) for file in ("case18_eof.npz", "case18_empty.npy")),
    *(
        Case(file, ONE_LINE, _device(file))
        for file in ("case19_device01.json", "case19_device02.json", "case19_device_min.json")
    ),
    Case("case20_artefact_name.py", "nothing outside the store", _artefact_names),
    *(
        Case(file, ONE_LINE, _net(file))
        for file in ("case21_ext_initializer.onnx", "case23_huge_input.onnx", "case24_huge_dims.onnx")
    ),
    *(
        Case(file, "is not a row", partial(_rows, file))
        for file in (
            "case30_idint.rows.jsonl",
            "case30_noprov.rows.jsonl",
            "case30_provstr.rows.jsonl",
            "case30_resultstr.rows.jsonl",
            "case30_settingslist.rows.jsonl",
        )
    ),
    Case("case32_escape.rows.jsonl", "no control character on the terminal", _escapes),
    *(
        Case(f"list {name}", ONE_LINE, partial(_command_refused, [], ["list", name], [name]))
        for name in ("json:loads", "os:system", ".x:y", "pathlib:Path")
    ),
    *(
        Case(f"{number.name} during synth", "no tool runs on", partial(_tool_left, number))
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
    ),
]
