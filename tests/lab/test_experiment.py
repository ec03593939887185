"""Laws of an experiment: it computes and shows, its seeds are cells of their own, its draws are the context's."""

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Context, Experiment, Seeded, Settings, Store, load_experiment


@pytest.mark.parametrize("missing", ["run", "page"])
def test_an_experiment_without_run_or_page_cannot_be_instantiated(missing):
    methods = {"run": Coin.run, "page": Coin.page}
    del methods[missing]
    kind = type("Half", (Experiment,), {**methods, "name": "half", "settings": Settings})
    with pytest.raises(TypeError, match=f"abstract.*{missing}"):
        kind()


def test_each_seed_is_a_cell_that_asks_for_itself_alone():
    coin, settings = Coin(), CoinSettings(seed=7, seeds=3, throws=5)
    cells = coin.cells(settings)
    assert [(cell.seed, cell.seeds, cell.throws) for cell in cells] == [(7, 1, 5), (8, 1, 5), (9, 1, 5)]
    assert [list(coin.cells(cell)) for cell in cells] == [[cell] for cell in cells]


def test_other_settings_are_one_cell():
    class Once(Coin, Experiment[Settings]):
        pass

    assert list(Once().cells(Settings(seed=4))) == [Settings(seed=4)]


def test_a_declaration_is_its_docstring_and_its_settings():
    assert (Coin.summary, Coin.settings) == ("Throws a coin and counts heads.", CoinSettings)

    class Weighted(Coin):
        """Throws a coin
        twice.

        Not for readers of pages.
        """

    assert (Weighted.summary, Weighted.settings) == ("Throws a coin twice.", CoinSettings)


def test_no_seed_is_no_request():
    with pytest.raises(ValueError, match="greater than 0"):
        Seeded(seeds=0)


@pytest.fixture
def shown():
    return []


@pytest.fixture
def context(tmp_path, shown):
    return Context(Store(tmp_path), "cell", 5, lambda *line: shown.append(line))


def test_the_torch_generator_follows_the_cells_randomness(context, tmp_path):
    import numpy as np
    import torch

    seed = int(np.random.default_rng(5).integers(2**63))
    assert torch.equal(
        torch.rand(3, generator=context.generator()), torch.rand(3, generator=torch.Generator().manual_seed(seed))
    )
    assert context.generator().initial_seed() != seed


def test_a_stage_is_announced_counted_and_kept(context, shown, tmp_path):
    context.plan(2)
    assert context.stage("first", lambda: context.progress(3, 10, "training") or 1) == 1
    assert context.stage("second", lambda: 2) == 2
    assert shown == [(0, 2, "first"), (0, 2, "training 3/10"), (1, 2, "second")]
    again = Context(Store(tmp_path), "cell", 5, lambda *line: None)
    assert [again.stage(name, pytest.fail) for name in ("first", "second")] == [1, 2]
    assert again.resumed == 2


def test_stages_that_nobody_planned_are_counted_too(context, shown):
    context.stage("first", lambda: 1)
    context.stage("second", lambda: 2)
    assert shown == [(0, 1, "first"), (1, 2, "second")]


def test_what_is_not_an_experiment_is_named(tmp_path, monkeypatch):
    half = "from shared.lab import Experiment, Settings\n\nclass Half(Experiment[Settings]):\n    name = 'half'\n"
    (tmp_path / "half_done.py").write_text(half)
    monkeypatch.syspath_prepend(tmp_path)
    needs = r"^half_done:Half does not define version and page and run, which every experiment needs$"
    with pytest.raises(ValueError, match=needs):
        load_experiment("half_done:Half")
    with pytest.raises(ValueError, match=r"^lab_toys:CoinSettings is not a subclass of shared\.lab\.Experiment$"):
        load_experiment("lab_toys:CoinSettings")
