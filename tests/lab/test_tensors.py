"""Law of tensors between stages: computed once, read back exactly, gone when the row is finished."""

import json
import signal
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_toys import Walk, WalkSettings

from shared.lab import Context, Store, cell_id, run


class Stopped(RuntimeError):
    pass


def fresh(folder) -> Context:
    return Context(Store(folder), "cell", 5, lambda done, total, note: None)


def walk(context: Context, stop_after: int) -> list:
    """Four stages, each from the tensors of the one before; stops before stage `stop_after`."""
    at = context.tensors("start", lambda: {"x": torch.rand(2, 3, generator=context.generator()).T})
    lengths = []
    for step in range(4):
        if step == stop_after:
            raise Stopped

        def compute(step=step, at=at):
            move = torch.randn(3, 2, generator=context.generator())
            context.save_tensors(f"step {step}", {"x": at["x"] + move, "whole": torch.tensor(step), "same": at["x"]})
            return float(move.norm())

        lengths.append(context.stage(f"step {step}", compute))
        at = context.load_tensors(f"step {step}")
    return [lengths, at["x"].tolist(), int(at["whole"]), context.rng.random()]


@settings(max_examples=10)
@given(stops=st.lists(st.integers(0, 3), max_size=3))
def test_resumed_equals_uninterrupted_with_tensors(tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("cell")
    for stop in stops:
        with pytest.raises(Stopped):
            walk(fresh(folder), stop)
    assert walk(fresh(folder), -1) == walk(fresh(tmp_path_factory.mktemp("other")), -1)


def test_tensors_are_computed_once_and_come_back_exactly(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"a": shared, "b": shared[1], "c": shared.T, "n": torch.tensor(3)}
    for compute in (lambda: state, lambda: pytest.fail("computed twice")):
        back = fresh(tmp_path).tensors("net", compute)
        assert {name: (value.dtype, value.tolist()) for name, value in back.items()} == {
            name: (value.dtype, value.tolist()) for name, value in state.items()
        }


def test_killed_between_stages_tensors_are_read_back(start, python, tmp_path):
    words = ("run", "lab_toys:Walk", "--set", "pause_s=0.1", "--set", "steps=8", "--seed", "3", "--out", "out")
    process = start(*words)
    [cell] = Walk().cells(WalkSettings(pause_s=0.1, steps=8, seed=3))
    path = tmp_path / "out" / "steps" / f"{cell_id(Walk(), cell)}.jsonl"
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(path.with_suffix("").iterdir())

    done = python("-m", "qwedge", *words, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert row["provenance"]["resumed_steps"] >= 3
    [whole] = run(Walk(), [cell], Store(tmp_path / "whole"))
    assert (row["result"], row["artefacts"]) == (whole.result, {})
    assert list((tmp_path / "out" / "steps").iterdir()) == []
