"""What is lost, doubled, torn or left running where commands are killed at random moments.

`python -m benchmarks.kills [--quick] [--seed N] [--json FILE]`

`qwedge run` of many small cells, by one to three processes on one store, and `qwedge synth` of a small net on a cold
cache are stopped by SIGKILL, SIGTERM or SIGINT and begun again, until the asked number of kills is reached; then the
command runs to its end. Its rows must be those of a run that was never stopped, and no tool of a killed command may
stay.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Store, Table, cite, run
from shared.lab.running import guard
from shared.lab.running.benchmark import Metric, main

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MARK = "QWEDGE_KILLS"
"""Processes of a killed command are recognised by this variable of their environment, whoever their parent is."""

SECONDS_TO_END = 20.0
CELLS = 12
"""Cells of a store: few enough to be finished now and then, so that a new store is begun."""


class SmallSettings(Seeded):
    """A cell of a few steps, one of them by a tool."""

    steps: int = Field(default=4, gt=0)
    pause_s: float = Field(default=0.03, ge=0)


class Small(Experiment[SmallSettings]):
    """A few random numbers, each a step of its own, with a file beside them and a tool that runs for a moment."""

    name = "small"
    version = 1

    def run(self, cell: SmallSettings, context: Context) -> Mapping[str, JSON]:
        numbers = [context.checkpoint(f"step {k}", lambda k=k: self._step(cell, context, k)) for k in range(cell.steps)]
        return {"numbers": numbers, "after": float(context.rng.random())}

    def _step(self, cell: SmallSettings, context: Context, step: int) -> JSON:
        if step == 1:
            with tempfile.TemporaryFile() as log, guard.start(["sleep", str(cell.pause_s)], Path.cwd(), log) as tool:
                tool.wait()
        time.sleep(cell.pause_s)
        number = float(context.rng.random())
        context.artefact(f"{step}.txt", str(number).encode())
        return number

    def page(self, rows: Sequence[Row]) -> Page:
        return Page("Small cells", self.summary, ())


class KillsSettings(Seeded):
    """Which command is killed, and how often."""

    command: Literal["run", "synth"] = "run"
    processes: int = Field(default=1, ge=1, le=3, description="commands at once on one store")
    kills: int = Field(default=20, gt=0)


class Kills(Experiment[KillsSettings]):
    """Commands killed at random moments, and what that cost.

    One cell is one command, killed again and again.
    """

    name = "kills"
    version = 1

    def run(self, cell: KillsSettings, context: Context) -> Mapping[str, JSON]:
        chance = random.Random(cell.seed)
        counts: Counter[str] = Counter(dict.fromkeys(("kills", "lost", "doubled", "torn", "tools_left", "finished"), 0))
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            command, expected = (_run_command if cell.command == "run" else _synth_command)(place)
            for store in itertools.count():
                out = place / f"store-{store}"
                words = [*command, "--out", str(out)]
                while not _finished(out, expected) and counts["kills"] < cell.kills:
                    before = _rows(out, counts)
                    counts.update(_killed(words, cell, chance, out))
                    counts["lost"] += len(before - _rows(out, counts))
                    context.progress(min(counts["kills"], cell.kills), cell.kills, cell.command)
                _to_the_end(words)
                counts["lost"] += len(expected - _rows(out, counts))
                counts["doubled"] += len(_rows(out, counts) - expected)
                counts["finished"] += 1
                if counts["kills"] >= cell.kills:
                    break
        return dict(counts)

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (row.settings["command"], *(cite(it, row) for it in (row.settings["processes"], *counted(row))))
            for row in rows
        ]
        columns = ("command", "processes", "kills", "rows lost", "doubled", "torn", "tools left running")
        return Page("Kills", self.summary, (Table("What was left behind", columns, lines),))


Expected = set[str]
"""What matters of each row, as text."""


def _run_command(place: Path) -> tuple[list[str], Expected]:
    small = Small()
    rows = run(small, small.cells(SmallSettings(seeds=CELLS)), Store(place / "reference"))
    return ["run", "benchmarks.kills:Small", "--set", f"seeds={CELLS}"], {_essence(row.to_json_data()) for row in rows}


def _synth_command(place: Path) -> tuple[list[str], Expected]:
    """A small net for the smallest device; the reference is built first, in a cache of its own."""
    import numpy as np

    from fpga.build.example import example
    from shared.integer.files import save

    save(example(np.random.default_rng(0)), place / "net.json")
    words = ["synth", str(place / "net.json"), "--device", "ice40-hx8k", "--clock", "40"]
    words += ["--set", "csim=false", "--set", "compared=20"]
    _to_the_end([*words, "--out", str(place / "reference")])
    return words, {_essence(row.to_json_data()) for row in Store(place / "reference").rows()}


def _essence(row: Mapping[str, Any]) -> str:
    """A row without its times and machine, and without the paths of its store."""
    kept = {name: row[name] for name in ("id", "settings", "seed", "artefacts")}
    numbers = row["result"] if row["experiment"] == "small" else row["result"].get("device")
    return json.dumps([kept, numbers], sort_keys=True)


def _rows(out: Path, counts: Counter[str]) -> Expected:
    """The rows of a store; lines that are none, beside a last one without its end, are counted as torn."""
    path = out / "rows.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    rows = []
    for line in lines:
        try:
            rows.append(_essence(Row.from_json_data(json.loads(line)).to_json_data()))
        except ValueError:
            counts["torn"] += 1
    counts["doubled"] += len(rows) - len(set(rows))
    return set(rows)


def _finished(out: Path, expected: Expected) -> bool:
    return _rows(out, Counter()) >= expected


def _killed(words: Sequence[str], cell: KillsSettings, chance: random.Random, out: Path) -> Counter[str]:
    """Start the commands, kill each at a moment of its own, and count what stays of them."""
    mark = f"{os.getpid()}-{chance.random()}"
    cache = str(out) + "-cache"
    started = [_started(words, mark, cache) for _ in range(cell.processes)]
    launched, counts = _changed(out), Counter[str]()
    # Most moments lie in the work itself, which begins with the store; some before, while modules are loaded.
    if chance.random() < 0.9:
        _wait(lambda: _changed(out) > launched or any(it.poll() is not None for it in started), 60)
        longest = 1.5 if cell.command == "run" else 20.0
    else:
        longest = 2.0
    moments = sorted((chance.uniform(0, longest), k) for k in range(len(started)))
    began = time.monotonic()
    for moment, k in moments:
        with suppress(subprocess.TimeoutExpired):
            started[k].wait(max(began + moment - time.monotonic(), 0))
        if started[k].poll() is None:
            started[k].send_signal(chance.choice(SIGNALS))
            counts["kills"] += 1
    for process in started:
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            counts["tools_left"] += 1
            process.kill()
            process.wait()
    _wait(lambda: not _alive(mark), SECONDS_TO_END)
    for left in _alive(mark):
        counts["tools_left"] += 1
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    return counts


def _changed(out: Path) -> float:
    """When something was last begun or kept in a store or its cache."""
    places = (out / "steps", Path(f"{out}-cache"), Path(f"{out}-cache") / "builds")
    return max((place.stat().st_mtime for place in places if place.exists()), default=0.0)


def _started(words: Sequence[str], mark: str = "", cache: str = "") -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), MARK: mark}
    if cache:
        environment["QWEDGE_CACHE"] = cache
    # A shell's background job ignores Ctrl-C and its children inherit that; a caught signal they get by default.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "qwedge", *words, "--quiet", "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def _to_the_end(words: Sequence[str]) -> None:
    """Run the command undisturbed; raises RuntimeError where it cannot go on from what was left."""
    if code := _started(words, cache=f"{words[-1]}-cache").wait():
        raise RuntimeError(f"qwedge {' '.join(words)} ended with exit code {code}")


def _wait(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.02)


def _alive(mark: str) -> list[int]:
    """The processes whose environment carries `mark`."""
    wanted = f"{MARK}={mark}".encode()
    alive = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                alive.append(int(folder.name))
    return alive


def counted(row: Row) -> list[int]:
    """Kills; rows lost, doubled and torn; tools left running."""
    return [row.result[name] for name in ("kills", "lost", "doubled", "torn", "tools_left")]


def cells(quick: bool, seed: int) -> list[KillsSettings]:
    if quick:
        return [KillsSettings(seed=seed, processes=2, kills=4)]
    runs = [KillsSettings(seed=seed, processes=count, kills=90) for count in (1, 2, 3)]
    more = KillsSettings(seed=seed + 1, processes=3, kills=30)
    return [*runs, more, KillsSettings(seed=seed, command="synth", kills=30)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    kills, *damaged, left = map(sum, zip(*map(counted, rows), strict=True))
    return {
        "kills": Metric(kills, unit="kills", goal=">= 300"),
        "kills_rows_damaged": Metric(sum(damaged), unit="rows", goal="<= 0"),
        "kills_tools_left": Metric(left, unit="processes", goal="<= 0"),
    }


if __name__ == "__main__":
    main(Kills(), cells, figures)
