"""Law of checkpoints: whatever was finished before a stop, the rest comes out as if there had been none."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_toys import Coin, CoinSettings, Walk, WalkSettings

from shared.lab import Context, Row, Store, run


class Stopped(RuntimeError):
    pass


def cell(context: Context, stop_after: int) -> list:
    """Four steps that draw, spawn and keep artefacts; stops before step `stop_after`."""
    out = []
    for step in range(4):
        if step == stop_after:
            raise Stopped

        def compute(step=step):
            context.artefact(f"{step}.txt", str(context.rng.random()).encode())
            child = context.rng.spawn(step)[-1:] if step else []
            return [context.rng.normal(), *(each.random() for each in child)]

        out.append(context.checkpoint(f"step {step}", compute))
    return [*out, context.rng.random(), context.rng.spawn(1)[0].random(), context.artefacts]


def fresh(folder, seed=5) -> Context:
    return Context(Store(folder), "cell", seed, lambda done, total, note: None)


@settings(max_examples=25)
@given(stops=st.lists(st.integers(0, 3), max_size=4))
def test_resumed_equals_uninterrupted(tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("cell")
    for stop in stops:
        with pytest.raises(Stopped):
            cell(fresh(folder), stop)
    context = fresh(folder)
    assert cell(context, -1) == cell(fresh(tmp_path_factory.mktemp("other")), -1)
    assert context.resumed == max(stops, default=0)


def test_a_stored_step_is_not_computed_again(tmp_path):
    assert fresh(tmp_path).checkpoint("train", lambda: {"loss": (1, 2)}) == {"loss": [1, 2]}
    assert fresh(tmp_path).checkpoint("train", lambda: pytest.fail("computed twice")) == {"loss": [1, 2]}


def test_a_key_names_one_step(tmp_path):
    context = fresh(tmp_path)
    context.checkpoint("train", lambda: 1)
    with pytest.raises(
        ValueError, match=r"checkpoint\('train'\) was called twice in one cell: give each step its own key"
    ):
        context.checkpoint("train", lambda: 2)


def test_the_seed_decides_the_randomness(tmp_path):
    assert fresh(tmp_path, 1).rng.random() == fresh(tmp_path, 1).rng.random() != fresh(tmp_path, 2).rng.random()


def test_an_artefact_is_read_back_after_a_kill(tmp_path):
    context = fresh(tmp_path)
    context.checkpoint("step", lambda: context.artefact("net.txt", b"weights"))
    again = fresh(tmp_path)
    again.checkpoint("step", lambda: pytest.fail("computed twice"))
    assert again.read_artefact("net.txt") == b"weights"


def test_three_writers_of_one_cell_all_finish(tmp_path):
    """A slow one meets a file of steps that another began again, after the fastest had finished the cell."""
    slow, middle, fast = (Context(Store(tmp_path), "cell", 0, lambda *note: None) for _ in range(3))
    texts = ["y" * length for length in (10, 10, 10, 3000)]
    for context, steps in ((slow, [0]), (middle, range(3)), (fast, range(4))):
        for k in steps:
            context.checkpoint(f"step {k}", lambda k=k: texts[k])
    Store(tmp_path).append(Row("cell", "x", 1, {}, 0, {}))
    middle.checkpoint("step 3", lambda: texts[3])
    assert slow.checkpoint("step 1", lambda: texts[1]) == texts[1]


def test_a_cell_that_another_process_finished_takes_its_row(tmp_path):
    """The steps were dropped from under it: their tensors are gone, the row is there."""

    class Overtaken(Walk):
        def run(self, cell, context):
            context.tensors("start", lambda: self._start(context))
            run(Walk(), [cell], Store(tmp_path))
            assert context.load_tensors("start")
            return {"never": "here"}

    [row] = run(Overtaken(), [WalkSettings()], Store(tmp_path))
    assert row.result.keys() == {"lengths", "end", "count"}
    assert Store(tmp_path).rows() == [row]


def test_the_seconds_of_stopped_attempts_are_summed(tmp_path):
    class Unplugged(Coin):
        def _throw(self, cell, context):
            if len(throws) == 3:
                raise KeyboardInterrupt
            throws.append(cell.seed)
            return super()._throw(cell, context)

    throws: list[int] = []
    cells, store = [CoinSettings(pause_s=0.1)], Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(Unplugged(), cells, store)
    [row] = run(Coin(), cells, store)
    assert row.provenance["resumed_steps"] == 3
    assert row.provenance["wall_s"] >= 0.4
    assert row.provenance["cpu_s"] > 0


@pytest.mark.parametrize(
    "changes",
    [{"rng": {}}, {"rng": None}, {"spent": "x"}, {"spent": [None, 1]}, {"artefacts": 1}, {"artefacts": {"../x": "0"}}],
    ids=str,
)
def test_a_damaged_step_names_its_file(tmp_path, changes):
    first = Context(Store(tmp_path), "cell", 0, lambda *note: None)
    first.checkpoint("a", lambda: 1)
    path = tmp_path / "steps" / "cell.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}) + "\n")
    with pytest.raises(ValueError, match=r"cell\.jsonl is not a file of steps \(.*\); delete it, and the cell begins"):
        Context(Store(tmp_path), "cell", 0, lambda *note: None).checkpoint("a", lambda: 2)
