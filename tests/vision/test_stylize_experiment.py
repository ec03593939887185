"""The search for a style: every net in its budget, a killed cell goes on, files are the net."""

import numpy as np
import pytest
import torch
from PIL import Image

from shared.lab import Row, Store, run
from shared.training.epochs import Trainer
from vision.pruning_search.searched import budget_share, mean_ssim, relative_ms, seconds_ratio
from vision.stylize.experiment import Stylize, StylizeSettings, per_pixel
from vision.stylize.figures import flicker, ssim_above, times_less
from vision.stylize.nets import Generator, Shape
from vision.stylize.page import _verdict, page
from vision.stylize.stylizer import from_bytes

TINY = {
    "channels": 4,
    "blocks": 2,
    "teaching": 3,
    "search": 3,
    "steps": 2,
    "size": 16,
    "height": 12,
    "width": 16,
    "macs": 0.3,
}


@pytest.fixture(autouse=True, scope="module")
def few_pictures():
    """Generated pictures take longer than all nets here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QWEDGE_DATA", raising=False)
        for module in ("experiment", "sources"):
            patch.setattr(f"vision.stylize.{module}.generated", _generated)
        yield


def _generated(seed=0, count=3, side=24):
    from vision.stylize.sources import _bytes, _in_order, _styled_pair

    rng = np.random.default_rng(seed)
    pairs = [_styled_pair(f"generated {number}", _bytes(rng.random((24, 24, 3), np.float32))) for number in range(3)]
    return _in_order("generated pictures", pairs)


def settings(**others):
    return StylizeSettings(**TINY | {"data": "$QWEDGE_DATA/nowhere"} | others)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    [row] = run(Stylize(), [settings()], store)
    return row, store


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key not in ("cpu_s", "ms")}
    return result


def test_every_net_is_within_the_budget_and_controls_stand_beside(whole):
    row, _ = whole
    nets = row.result["nets"]
    assert set(nets) == {"teacher", "search", "uniform", "random", "identity", "classical", "shipped"}
    assert nets["teacher"]["macs"] == 192 * per_pixel(Generator(Shape.of(4, 2))) == row.result["price"]["full"]
    for name in ("search", "uniform", "random"):
        assert budget_share(row, name) <= 1
        assert nets[name]["priced"] == nets[name]["macs"]
        assert nets[name]["macs"] == 192 * per_pixel(Generator(Shape(*nets[name]["shape"])))
    assert nets["uniform"]["shape"][-1] == 2
    assert times_less([row], "macs")[0] >= 1 / 0.3
    assert mean_ssim(row, "classical") == pytest.approx(1)  # the pairs are its own
    assert nets["classical"]["ms"] > 0
    assert relative_ms([row], "uniform", "compiled_ms") == []
    assert seconds_ratio([row], "uniform")[0] > 0
    assert flicker([row]) == [0]


def test_rivals_have_the_steps_of_the_search_too(whole):
    nets = whole[0].result["nets"]
    assert nets["search"]["steps"] == 2
    for name in ("uniform", "random"):
        assert 2 + 3 <= nets[name]["steps"] <= 2 + 3 * 2


def test_the_file_is_the_searched_net(whole):
    row, store = whole
    style = from_bytes(store.get(row.artefacts["net.safetensors"]))
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(store.get(row.artefacts["net.onnx"]))
    for size in ((8, 16), (12, 4)):  # of any size
        x = torch.rand(1, 3, *size)
        [styled] = session.run(None, {"image": x.numpy()})
        assert styled.shape == (1, 3, *size)
        assert np.abs(styled - style.net(x).detach().numpy()).max() < 5e-3


def test_a_cell_that_was_stopped_goes_on(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    calls, run_epoch = [], Trainer.run_epoch

    def counted(*arguments):
        calls.append(1)
        if len(calls) > 3:  # of a rival, after the teacher, the search and the chosen net
            raise Killed
        return run_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(Stylize(), [settings()], Store(tmp_path))
    [row] = run(Stylize(), [settings()], Store(tmp_path))
    assert without_times(row.result) == without_times(whole[0].result)
    assert row.artefacts == whole[0].artefacts


def test_the_page_shows_every_net_and_a_generated_picture(whole):
    shown = page([whole[0]])
    assert [getattr(block, "title", "") for block in shown.blocks][1:5] == [
        "Trained for as many seconds",
        "What they cost",
        "Likeness against cost",
        "Side by side",
    ]
    assert [line[0] for line in shown.blocks[1].lines][:2] == ["the teacher", "searched widths and depth"]
    assert len(shown.blocks[4].panels) == 4
    assert "generated pictures" in shown.summary


def counted(seed, **ssim):
    nets = {
        name: {"ssim": [value - 0.1, value + 0.1], "compiled_ms": 2.0 if name == "search" else 4.0}
        for name, value in ssim.items()
    }
    return Row(f"id{seed}", "stylize", 1, {"seed": seed}, seed, {"nets": nets}, {}, {})


def test_the_verdict_says_where_the_search_is_behind():
    rows = [counted(0, search=0.7, teacher=0.72, uniform=0.65), counted(1, search=0.71, teacher=0.731, uniform=0.661)]
    assert ssim_above(rows, "uniform") == pytest.approx([0.05, 0.049])
    assert relative_ms(rows, "uniform", "compiled_ms") == [0.5, 0.5]
    assert times_less(rows, "compiled_ms") == [2, 2]
    text = "".join(map(str, _verdict(rows).parts))
    assert "has a higher SSIM than narrowed, all blocks (+0.0495)" in text
    assert "has a lower SSIM than the teacher (-0.0205)" in text


def test_bad_settings_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="budget_ms needs a latency: take `qwedge run stylize`, or macs"):
        run(Stylize(), [settings(budget_ms=1.0)], Store(tmp_path))
    with pytest.raises(ValueError, match="the narrowest net, minimum=1 and multiple=1, costs"):
        run(Stylize(), [settings(macs=0.001)], Store(tmp_path))
    with pytest.raises(ValueError, match="is no folder; name one that holds pictures, or folders A and B of pairs"):
        Stylize().data(settings(data=str(tmp_path / "none")))


def test_pairs_of_ones_own_are_hashed_and_used_and_small_ones_refused_before_training(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in "AB":
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    mine = settings(data=str(tmp_path), rivals=(), teaching=1, search=1, steps=1)
    before = Stylize().data(mine)
    [row] = run(Stylize(), [mine], Store(tmp_path / "rows"))
    assert row.result["data"] == "4 pairs of A and B, parted by a hash of their names, 1 for tests"
    assert len(row.result["pictures"]) == 1
    Image.fromarray(pixels[::-1]).save(tmp_path / "B" / "0.png")
    assert Stylize().data(mine) != before
    for name in "AB":
        for number in range(4):
            Image.fromarray(pixels[:10]).save(tmp_path / name / f"{number}.png")
    monkeypatch.setattr(Trainer, "run_epoch", lambda *arguments: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match="SSIM needs 11x11 pixels inside the border, got 24x10"):
        run(Stylize(), [mine], Store(tmp_path / "rows"))
