"""The search of width and depth: gates equal the smaller net, the price has both slopes, a killed cell goes on."""

import numpy as np
import pytest
import torch
from PIL import Image

from shared.lab import Row, Store, run
from shared.training.epochs import Trainer
from shared.weights.prices import MACs
from vision.pruning_search.schedule import GateSchedule
from vision.pruning_search.searched import budget_share, regret, relative_ms, seconds_ratio
from vision.superres.experiment import SuperRes, SuperResSettings, per_pixel, step_ms
from vision.superres.figures import gains, latency_error, of_kind, rank_correlation
from vision.superres.nets import ABPN, ESPCN, FSRCNN, PlainNet, WideNet
from vision.superres.page import _verdict, page
from vision.superres.race import raced
from vision.superres.search import channels_price, chosen, gated_net, part_of, shape_price, space_of
from vision.superres.upscaler import from_bytes

TINY = {
    "channels": 6,
    "blocks": 3,
    "pretrain": 8,
    "search": 8,
    "race": 2,
    "steps": 12,
    "size": 8,
    "height": 12,
    "width": 10,
}


@pytest.fixture
def net():
    net = PlainNet(2, 6, 4)
    torch.nn.init.normal_(net.body.tail.weight, std=0.1)
    return net


@pytest.mark.parametrize("closed", [(), (1, 5), (6, 8), (0, 2, 7, 9)])
def test_closed_gates_equal_the_net_without_channels_and_blocks(net, closed):
    gates = torch.ones(10)
    gates[list(closed)] = 0
    x = torch.rand(2, 1, 9, 7)
    small = part_of(net, [gates[:6].nonzero().flatten(), gates[6:].nonzero().flatten()])
    assert small.sizes == [int(gates[:6].sum()), int(gates[6:].sum())]
    assert float((space_of(net).forward(net, gates, x) - small(x)).detach().abs().max()) <= 1e-5


@pytest.fixture
def wide():
    net = WideNet(2, 4, 7, 3, 3)
    torch.nn.init.normal_(net.body.tail.weight, std=0.1)
    return net


@pytest.mark.parametrize("closed", [(), (1, 5), (0, 3, 4, 10, 12), (11, 13, 14, 16)])
def test_closed_gates_equal_the_smaller_net_of_wide_blocks(wide, closed):
    gates = torch.ones(17)
    gates[list(closed)] = 0
    x = torch.rand(2, 1, 9, 7)
    small = part_of(wide, [part.nonzero().flatten() for part in gates.split([4, 7, 3, 3])])
    assert small.sizes == [int(part.sum()) for part in gates.split([4, 7, 3, 3])]
    assert float((space_of(wide).forward(wide, gates, x) - small(x)).detach().abs().max()) <= 1e-5


@pytest.mark.parametrize("sizes", [(4, 7, 3, 3), (2, 5, 1, 2), (1, 1, 1, 1)])
def test_the_price_of_wide_blocks_has_four_slopes(wide, sizes):
    price = shape_price(wide, lambda net: channels_price(net, MACs((1, 5, 4))))
    at = torch.tensor(sizes, dtype=torch.float64, requires_grad=True)
    n, middle, low, blocks = sizes
    assert price.expected(at).item() == 20 * (45 * n + blocks * (n * middle + middle * low + 9 * low * n))
    assert price.expected(at).item() == 20 * per_pixel(WideNet(2, *sizes))
    assert (torch.autograd.grad(price.expected(at), at)[0] > 0).all()


def test_every_gate_has_a_gradient_open_or_closed(net):
    gates = torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 0, 1, 1], requires_grad=True)
    space_of(net).forward(net, gates, torch.rand(1, 1, 9, 7)).square().sum().backward()
    assert (gates.grad != 0).all()


def test_a_search_begins_with_all_of_the_net_and_closes_what_weighs_least_first(net):
    with torch.no_grad():
        net.body.block2.main.weight.mul_(0.1)
        net.body.block2.side.weight.mul_(0.1)
    gated = gated_net(net, shape_price(net, lambda net: channels_price(net, MACs((1, 5, 4)))), 0.5, 10)
    assert gated.gates().tolist() == [1.0] * 10
    assert float(gated.relative_price()) == 1
    assert len(gated.scores.unique()) > 6
    assert int(gated.scores[6:].argmin()) == 2
    small = chosen(gated)
    assert small.width < 6
    assert float(gated.price.expected(torch.tensor([small.width, small.depth]))) <= 0.5 * gated.full


def test_scores_move_by_their_gradient_and_weights_by_steps_of_equal_size():
    scores, weight = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    schedule = GateSchedule(1, rate=0.1, gate_rate=0.01, scores=scores)
    optimiser = schedule.optimiser([scores, weight])
    for step in range(4):
        schedule.set_rate(optimiser, 0, step, 4)
        scores.grad, weight.grad = torch.tensor([0.1, 0.01]), torch.tensor([0.1, 0.01])
        optimiser.step()
    assert float(weight[0] / weight[1]) == pytest.approx(1, rel=1e-3)
    assert 8 < float(scores[0] / scores[1]) < 10


@pytest.mark.parametrize("shape", [(6, 4), (3, 2), (1, 1)])
def test_the_price_is_that_of_the_net_of_this_shape_and_has_its_slopes(net, shape):
    price = shape_price(net, lambda net: channels_price(net, MACs((1, 5, 4))))
    at = torch.tensor(shape, dtype=torch.float64, requires_grad=True)
    channels, blocks = shape
    assert float(price.expected(at)) == 20 * (9 * channels + 9 * blocks * channels**2 + 36 * channels)
    assert float(price.expected(at)) == 20 * per_pixel(PlainNet(2, *shape))
    slopes = torch.autograd.grad(price.expected(at), at)[0].tolist()
    assert slopes == pytest.approx([20 * (9 + 18 * blocks * channels + 36), 20 * 9 * channels**2])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("whole"))
    [row] = run(SuperRes(), [settings()], store)
    return row, store


def settings(**others):
    return SuperResSettings(**TINY | {"data": "$QWEDGE_DATA/nowhere"} | others)


@pytest.fixture(autouse=True, scope="module")
def no_folder():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QWEDGE_DATA", raising=False)
        yield


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key != "cpu_s"}
    return result


def test_every_shape_is_within_the_budget(whole):
    row, _ = whole
    nets = row.result["nets"]
    assert set(nets) == {"search", "uniform", "random", "ecbsr", "abpn", "fsrcnn", "espcn", "bicubic", "shipped"}
    for name in ("search", "uniform", "random", "ecbsr"):
        assert budget_share(row, name) <= 1
        assert nets[name]["priced"] == 120 * nets[name]["macs"]
    assert nets["uniform"]["blocks"] == 3
    wide = PlainNet(2, nets["uniform"]["channels"] + 1, 3)
    assert 120 * per_pixel(wide) > row.result["price"]["budget"]
    assert nets["fsrcnn"]["macs"] == per_pixel(FSRCNN(2)) == 12464
    assert nets["espcn"]["macs"] == per_pixel(ESPCN(2)) == 21184
    assert nets["abpn"]["macs"] == per_pixel(ABPN(2)) == 9 * (28 + 4 * 28**2 + 28 * 4 + 4 * 4)
    assert row.result["nets"]["search"]["ms"] is None
    assert relative_ms([row], "fsrcnn", "ms") == []


def test_wide_blocks_are_searched_beside_their_rivals_and_kept(tmp_path):
    mine = settings(
        supernet="wdsr", channels=4, rivals=("uniform", "random", "ecbsr"), randoms=2, pretrain=2, search=4, steps=4
    )
    store = Store(tmp_path)
    [row] = run(SuperRes(), [mine], store)
    nets = row.result["nets"]
    assert of_kind(row, "random") == ["random", "random2"]
    assert {nets[name]["blocks"] for name in of_kind(row, "random")} == {2, 3}
    for name in ("search", "uniform", "random", "random2", "ecbsr"):
        assert budget_share(row, name) <= 1
        assert nets[name]["priced"] == 120 * nets[name]["macs"]
    assert [len(nets[name]["sizes"]) for name in ("search", "uniform", "ecbsr")] == [4, 4, 2]
    assert nets["uniform"]["blocks"] == 3
    upscaler = from_bytes(store.get(row.artefacts["net.safetensors"]))
    assert per_pixel(upscaler.net) == nets["search"]["macs"]


def test_depths_race_for_as_long_and_the_half_of_larger_errors_drops_out(whole):
    row, _ = whole
    shapes, ours = row.result["race"], row.result["nets"]["search"]
    assert {each["sizes"][1] for each in shapes} == {2, 3}
    (first, other), unit = shapes, 2 * step_ms(PlainNet(2, *shapes[0]["sizes"]))
    for each in shapes:
        assert each["steps"] * step_ms(PlainNet(2, *each["sizes"])) == pytest.approx(unit, rel=0.3)
    winner = min(first, other, key=lambda each: each["error"])
    assert ours["sizes"] == winner["sizes"]
    assert ours["steps"] == 6 * winner["steps"]  # it went on where the race had left it


def test_the_halves_of_a_race_are_trained_twice_as_long_each():
    errors, epochs = {"a": [3, 2, 1], "b": [9], "c": [5, 4], "d": [8], "e": [4, 3, 2]}, []

    def error(name, epoch):
        epochs.append((name, epoch))
        return errors[name].pop(0)

    assert raced("abcde", error) == "a"
    assert epochs == [(name, 1) for name in "abcde"] + [(name, 2) for name in "aec"] + [(name, 4) for name in "ae"]


def test_without_a_race_the_gates_choose(tmp_path):
    [row] = run(SuperRes(), [settings(race=0, rivals=())], Store(tmp_path))
    assert row.result["race"] == []
    assert budget_share(row) <= 1


def test_rivals_are_trained_for_as_long(whole):
    """By the time that a step takes: 16 steps of the supernet, the chosen net's, and those of what dropped out."""
    shapes, nets = whole[0].result["race"], whole[0].result["nets"]
    steps = {tuple(each["sizes"]): each["steps"] for each in (*shapes, nets["search"])}
    allowance = 16 * step_ms(PlainNet(2, 6, 3))
    allowance += sum(count * step_ms(PlainNet(2, *sizes)) for sizes, count in steps.items())
    for name, net in (("fsrcnn", FSRCNN(2)), ("espcn", ESPCN(2)), ("abpn", ABPN(2))):
        assert nets[name]["steps"] == round(allowance / step_ms(net))
    assert seconds_ratio([whole[0]], "uniform")[0] > 0


def test_the_file_is_the_searched_net(whole):
    row, store = whole
    upscaler = from_bytes(store.get(row.artefacts["net.safetensors"]))
    assert upscaler.scale == 2
    assert per_pixel(upscaler.net) == row.result["nets"]["search"]["macs"]
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(store.get(row.artefacts["net.onnx"]))
    for size in ((5, 9), (12, 3)):  # of any size
        x = torch.rand(1, 1, *size)
        [enlarged] = session.run(None, {"image": x.numpy()})
        assert np.abs(enlarged - upscaler.net(x).detach().numpy()).max() < 1e-5


def test_a_cell_that_was_stopped_goes_on(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    calls, run_epoch = [], Trainer.run_epoch

    def counted(*arguments):
        calls.append(1)
        if len(calls) > 4:  # in the race, or of the chosen net
            raise Killed
        return run_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(SuperRes(), [settings()], Store(tmp_path))
    [row] = run(SuperRes(), [settings()], Store(tmp_path))
    assert without_times(row.result) == without_times(whole[0].result)
    assert row.artefacts == whole[0].artefacts


def test_the_page_shows_every_net_and_crops_of_a_generated_picture(whole):
    shown = page([whole[0]])
    assert [getattr(block, "title", "") for block in shown.blocks][1:5] == [
        "Trained for as many seconds",
        "The race of depths",
        "Quality against cost",
        "Side by side",
    ]
    assert [line[0] for line in shown.blocks[1].lines][:2] == ["searched width and depth", "narrowed, all blocks"]
    assert len(shown.blocks[4].panels) == 4
    assert "the net that ships" in shown.blocks[3].panels[0]  # the last of more nets than colours
    assert len(shown.blocks[2].lines) == len(whole[0].result["race"])
    assert "generated pictures" in shown.summary


def counted(seed, **psnr):
    nets = {
        name: {"psnr": [value - 1, value + 1], "ms": 2.0 if name == "search" else 4.0} for name, value in psnr.items()
    }
    return Row(f"id{seed}", "superres", 1, {"seed": seed}, seed, {"nets": nets}, {}, {})


def test_the_verdict_says_where_the_search_is_behind():
    rows = [counted(0, search=37.0, fsrcnn=36.5, uniform=37.2), counted(1, search=37.1, fsrcnn=36.61, uniform=37.31)]
    assert gains(rows, "fsrcnn") == pytest.approx([0.5, 0.49])
    assert relative_ms(rows, "fsrcnn", "ms") == [0.5, 0.5]
    rows[0].result["nets"]["search"] |= {"compiled_ms": 4.4, "priced": 4.0}
    pairs = (4.4, 4.0), (3.8, 4.0), (9.0, 9.0)
    rows[0].result["times"] = [{"compiled_ms": measured, "priced": predicted} for measured, predicted in pairs]
    assert latency_error(rows[0]) == pytest.approx(5)
    assert rank_correlation(rows[0]) == pytest.approx(0.866, abs=1e-3)  # two of the three are predicted to be equal
    assert regret(rows[0]) == pytest.approx(10)
    text = "".join(map(str, _verdict(rows).parts))
    assert "has a higher PSNR than FSRCNN (+0.50 dB)" in text
    assert "has a lower PSNR than narrowed, all blocks (-0.21 dB)" in text


def test_bad_settings_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="budget_ms needs a latency: take `qwedge run superres`, or macs"):
        run(SuperRes(), [settings(budget_ms=1.0)], Store(tmp_path))
    with pytest.raises(ValueError, match="the narrowest net, minimum=2 and multiple=1, costs"):
        run(SuperRes(), [settings(macs=0.01)], Store(tmp_path))
    with pytest.raises(ValueError, match="is no folder; name one that holds pictures"):
        SuperRes().data(settings(data=str(tmp_path / "none")))


def test_pictures_too_small_to_compare_are_refused_before_training(tmp_path, monkeypatch):
    for number in range(3):
        Image.fromarray(np.zeros((14, 12), np.uint8)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(Trainer, "run_epoch", lambda *arguments: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match="SSIM needs 11x11 pixels inside the border, got 8x10"):
        run(SuperRes(), [settings(data=str(tmp_path))], Store(tmp_path / "rows"))


def test_pictures_of_ones_own_are_hashed_and_used(tmp_path):
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (28, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    mine = settings(data=str(tmp_path), rivals=(), pretrain=2, search=2, steps=2)
    before = SuperRes().data(mine)
    [row] = run(SuperRes(), [mine], Store(tmp_path / "rows"))
    assert row.result["data"] == "4 pictures of your own, of which 1 are for tests"
    assert row.result["pictures"] == ["3.png"]
    Image.fromarray(pixels[::-1]).save(tmp_path / "0.png")
    assert SuperRes().data(mine) != before
