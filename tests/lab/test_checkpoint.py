"""Law of checkpoints: whatever was finished before a stop, the rest comes out as if there had been none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.lab import Context, Store


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
