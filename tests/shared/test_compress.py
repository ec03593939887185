"""compress: within its budget as counted anew, the same function in smaller matrices, and files that come back."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared import (
    ADMM,
    BlockSparsity,
    Bytes,
    ChannelSparsity,
    Compressed,
    FixedPointWeights,
    Grouping,
    MACs,
    NonzeroPrice,
    Relaxation,
    Sparsity,
    compress,
)
from shared.training.data import Pairs
from shared.training.loop import Schedule, descend
from shared.weights.channels import channel_groups, sides_of, taken
from shared.weights.permutation import kept_norm, permuted
from shared.weights.prices import ChannelsPrice, positions

SHORT = {"schedule": Schedule(steps=5, batch=32), "tuning": Schedule(steps=30, batch=32)}
FAST = ADMM(rho=1e-2, growth=1.3, steps=6, fine_tune=0)


class Branches(nn.Module):
    """Everything that couples channels: a residual sum, a depthwise convolution, a concatenation, a flattened map."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.one = nn.Conv2d(6, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.side = nn.Conv2d(6, 5, 1)
        self.inner = nn.Linear(11 * 16, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        y = torch.relu(x + self.one(x))
        z = torch.cat((self.depthwise(y), torch.relu(self.side(y))), 1)
        z = nn.functional.avg_pool2d(z, 2).flatten(1)
        return self.head(torch.relu(self.inner(z)))


def plain():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 10, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(160, 3),
    )


def images(count=200, seed=1):
    """Stripes across, stripes down, or neither, in noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (count,), generator=generator)
    x = 0.6 * torch.randn(count, 1, 8, 8, generator=generator)
    stripes = (-1.0) ** torch.arange(8)
    x[y == 0] += stripes
    x[y == 1] += stripes[:, None]
    return x, y


def trained(build):
    torch.manual_seed(0)
    net, (x, y) = build(), images()
    descend(list(net.parameters()), lambda: nn.functional.cross_entropy(net(x), y), Schedule(60, rate=1e-2))
    for module in net.modules():  # statistics of unlike channels, so that a lost one is noticed
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features) * 0.1)
    return net.eval()


@pytest.fixture(scope="module", params=[plain, Branches])
def net(request):
    return trained(request.param)


@pytest.fixture(scope="module")
def sequence():
    return trained(plain)


def macs(net):
    return sum(
        times * int((net.get_submodule(path).weight != 0).sum()) for path, times in positions(net, (1, 8, 8)).items()
    )


@pytest.mark.parametrize("budget", [0.5, 0.2])
def test_blocks_meet_their_budget_and_are_whole(net, budget):
    found = compress(net, images(), on=BlockSparsity(2, permute=False), price=MACs((1, 8, 8)), budget=budget, **SHORT)
    report = found.report
    assert report.dense == macs(net)
    assert macs(found.module) == report.measured <= budget * report.dense
    assert sum(layer.macs_after for layer in report.layers) == report.measured
    pairs = found.module.get_parameter("4.weight" if hasattr(net, "4") else "one.weight").detach().unflatten(0, (-1, 2))
    assert torch.equal((pairs != 0).all(1), (pairs != 0).any(1))
    assert "blocks" in str(report)
    assert f"{report.measured:,.6g} of" in str(report)


@pytest.mark.parametrize("budget", [0.6, 0.3])
def test_channels_are_really_removed(net, budget):
    found = compress(net, images(), on=ChannelSparsity(), price=MACs((1, 8, 8)), budget=budget, solver=FAST, **SHORT)
    dense = sum(times * net.get_submodule(path).weight.numel() for path, times in positions(net, (1, 8, 8)).items())
    left = sum(
        times * found.module.get_submodule(path).weight.numel()
        for path, times in positions(found.module, (1, 8, 8)).items()
    )
    assert left == found.report.measured <= budget * dense
    assert sum(p.numel() for p in found.module.parameters()) < sum(p.numel() for p in net.parameters())
    assert found.module(images()[0]).shape == (200, 3)


def test_the_smaller_net_is_a_classifier_still(sequence):
    """Against a net of noise: what is kept has been trained."""
    validation = images(300, seed=2)
    found = compress(sequence, images(), on=ChannelSparsity(), price=MACs((1, 8, 8)), budget=0.4, validation=validation)
    assert found.report.accuracy_before > 0.9
    assert found.report.accuracy_after > found.report.accuracy_before - 0.05
    assert found.report.measured_on == "300 examples of validation"


@pytest.mark.parametrize("on", [FixedPointWeights(4), (BlockSparsity(2), FixedPointWeights(4))])
def test_weights_lie_on_their_grid(sequence, on):
    found = compress(sequence, images(), on=on, price=Bytes(), budget=0.1, solver=FAST, **SHORT)
    for path in ("0", "4", "7"):
        weight = found.module.get_submodule(path).weight
        assert len(weight.unique()) <= 16
        step = weight[weight != 0].abs().min() if (weight != 0).any() else torch.ones(())
        exponent = math.log2(float(step.detach()))
        assert torch.equal(weight / 2.0 ** math.floor(exponent - 3), (weight / 2.0 ** math.floor(exponent - 3)).round())
    assert found.report.measured <= 0.1 * found.report.dense


def test_channels_in_few_bits(sequence):
    on = (ChannelSparsity(), FixedPointWeights(6))
    found = compress(sequence, images(), on=on, price=Bytes(), budget=0.12, solver=FAST, **SHORT)
    assert len(found.module[0].weight) < 8 or len(found.module[4].weight) < 10
    assert len(found.module[4].weight.unique()) <= 64
    bits = sum(6 * found.module[k].weight.numel() for k in (0, 4, 7))
    weights = {"0.weight", "4.weight", "7.weight"}
    others = sum(32 * p.numel() for name, p in found.module.named_parameters() if name not in weights)
    assert found.report.measured == (bits + others) / 8


@pytest.mark.parametrize("solver", [FAST, Relaxation(steps=40)])
def test_both_solvers(sequence, solver):
    found = compress(sequence, images(), on=BlockSparsity(4), price=MACs((1, 8, 8)), budget=0.3, solver=solver, **SHORT)
    assert found.report.measured <= 0.3 * found.report.dense


def test_norms_have_the_statistics_of_what_is_kept(sequence):
    """And the dense net keeps its own."""
    dense = sequence[1].running_mean.clone()
    options = {"on": BlockSparsity(2), "price": MACs((1, 8, 8)), "budget": 0.3, "solver": FAST}
    tuning = Schedule(steps=100, batch=32)
    smaller = compress(sequence, images(), **options, schedule=SHORT["schedule"], tuning=tuning).module
    means = smaller[0](images()[0]).mean((0, 2, 3))
    torch.testing.assert_close(smaller[1].running_mean, means, atol=0.01, rtol=0)
    assert torch.equal(sequence[1].running_mean, dense)


def test_one_example_has_no_statistics_and_norms_keep_theirs(sequence):
    one, on = tuple(part[:1] for part in images()), BlockSparsity(2, permute=False)
    smaller = compress(sequence, one, on=on, price=MACs((1, 8, 8)), budget=0.5, solver=FAST, **SHORT)
    assert torch.equal(smaller.module[1].running_mean, sequence[1].running_mean)


def test_norms_folded_are_the_same_function(sequence):
    options = {"on": BlockSparsity(2), "price": MACs((1, 8, 8)), "budget": 0.5, "solver": FAST, **SHORT}
    kept, folded = (compress(sequence, images(), fold_norms=fold, **options).module for fold in (False, True))
    torch.testing.assert_close(folded(images()[0]), kept(images()[0]), rtol=1e-4, atol=1e-5)
    assert isinstance(folded[1], nn.Identity)


@pytest.mark.parametrize("on", [ChannelSparsity(), BlockSparsity(2)])
def test_saved_is_loaded(net, on, tmp_path):
    found = compress(net, images(), on=on, price=MACs((1, 8, 8)), budget=0.5, solver=FAST, **SHORT)
    found.save(tmp_path / "net.safetensors")
    x = images()[0]
    assert torch.equal(Compressed.load(tmp_path / "net.safetensors", net)(x), found.module(x))
    if isinstance(net, nn.Sequential):
        assert torch.equal(Compressed.load(tmp_path / "net.safetensors")(x), found.module(x))
    else:
        with pytest.raises(ValueError, match="has no list of layers beside it: give load an instance"):
            Compressed.load(tmp_path / "net.safetensors")
    (tmp_path / "net.safetensors").write_bytes((tmp_path / "net.safetensors").read_bytes()[:-3])
    with pytest.raises(ValueError, match="incomplete or corrupt safetensors file"):
        Compressed.load(tmp_path / "net.safetensors", net)


def test_a_menu_and_a_price_of_ones_own(sequence):
    found = compress(
        sequence, images(), on=Sparsity(), price=NonzeroPrice(1.0, "rows"), budget=12, grouping=Grouping.channel,
        solver=ADMM(rho=1e-2, steps=4), skip=("7",), **SHORT,
    )  # fmt: skip
    kept = sum(int((found.module[k].weight != 0).flatten(1).any(1).sum()) for k in (0, 4))
    assert kept == found.report.measured <= 12
    assert found.report.dense == 18
    assert "Linear '7' is left dense, as asked" in found.report.notes


def test_a_grouping_of_ones_own_cuts_weights_alone(sequence):
    shapes = []

    def outputs(shape):
        shapes.append(shape)
        return Grouping(shape, (1, *shape[1:]))

    asked = {"on": Sparsity(), "price": NonzeroPrice(), "grouping": outputs, "solver": FAST, **SHORT}
    compressed = compress(sequence, images(), budget=0.5, **asked)
    assert sorted(set(shapes)) == [(3, 160), (8, 1, 3, 3), (10, 8, 3, 3)]
    assert compressed.report.measured <= compressed.report.budget


def test_channels_in_another_order_are_the_same_function(net):
    x = images()[0][:50]
    groups = channel_groups(net, x)
    assert len(groups) == (2 if isinstance(net, nn.Sequential) else 3)
    for group in groups:
        order = torch.randperm(group.size, generator=torch.Generator().manual_seed(3))
        other = taken(net, [(group, order)])
        torch.testing.assert_close(other(x), net(x), rtol=1e-5, atol=1e-5)
        assert not torch.equal(next(iter(other.parameters())), next(iter(net.parameters()))) or group is not groups[0]


@pytest.mark.parametrize("tiles", [BlockSparsity(4), BlockSparsity(2, 2), BlockSparsity(1, 4), BlockSparsity(3, 2, 9)])
def test_a_better_order_keeps_more_norm_and_the_function(net, tiles):
    x = images()[0][:50]
    layers = list(positions(net, x))
    uses = positions(net, x)
    other, factor = permuted(net, channel_groups(net, x), layers, tiles, uses, 0.3)
    assert factor >= 1
    before, after = (kept_norm(it, layers, tiles, uses, 0.3) for it in (net, other))
    assert after == pytest.approx(before * factor)
    torch.testing.assert_close(other(x), net(x), rtol=1e-5, atol=1e-5)


def test_an_order_that_was_shuffled_is_found_again():
    """Rows in fours that are large in the same places, shuffled: the search brings them together again."""
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        rows = torch.eye(4).repeat_interleave(4, 0).repeat(1, 2)
        net[0].weight.copy_((rows + 0.01)[torch.randperm(16, generator=torch.Generator().manual_seed(0))])
    x, tiles = torch.randn(5, 8), BlockSparsity(4)
    found, factor = permuted(net, channel_groups(net, x), ["0"], tiles, {"0": 1}, 0.25)
    assert factor > 1.9
    assert kept_norm(found, ["0"], tiles, {"0": 1}, 0.25) > 0.99 * float(found[0].weight.detach().square().sum())


@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3), st.tuples(*[st.integers(1, 4)] * 3))
@settings(max_examples=60, deadline=None)
def test_tiles_hold_every_number_once(out, inputs, kernel, groups, sizes):
    places = torch.arange(groups * out * inputs * kernel).reshape(groups * out, inputs, kernel)
    tiles = BlockSparsity(*sizes).tiles(places, groups)
    inside = tiles[tiles >= 0]
    assert sorted(inside.tolist()) == list(range(places.numel()))
    assert tiles.shape[1] == math.prod(sizes)
    for tile in tiles[:20]:
        numbers = tile[tile >= 0]
        rows = numbers // (inputs * kernel)
        assert len(set((rows // out).tolist())) == 1
        assert int(rows.max() - rows.min()) < sizes[0]


def test_channels_within_their_estimate_are_nearly_within_the_budget(net):
    x = images()[0]
    groups = [group for group in channel_groups(net, x) if group.is_removable]
    costs = MACs((1, 8, 8)).number_costs(net, (), None)
    price = ChannelsPrice(costs, *sides_of(net, groups), "MAC", 0.4 * float(costs.sum()))
    generator, count = torch.Generator().manual_seed(0), sum(group.size for group in groups)
    for around in (None, torch.rand(count, generator=generator) < 0.7):
        price = price if around is None else price.reprice(around[:, None].float())
        for share in torch.rand(300, generator=generator):
            z = (torch.rand(count, 1, generator=generator) < share).float()
            if float(price.price(z[:, None]).sum()) <= price.budget:
                assert price.measure(z) <= price.budget * 1.1
    assert price.measure(torch.ones(count, 1)) == float(costs.sum())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"net": nn.ReLU()}, "^ReLU has no parameters"),
        ({"net": 3}, "^compress needs a torch module, got int"),
        ({"data": (images()[0][:, 0, 0], images()[1])}, "^the net does not take an input of shape"),
        ({"data": (images()[0][:5], images()[1])}, "as many targets as inputs"),
        ({"data": 7}, "^data must be two tensors"),
        ({"budget": 0}, "^budget=0: must be positive"),
        ({"on": (BlockSparsity(), ChannelSparsity())}, "must be a Menu, BlockSparsity"),
        (
            {"on": ChannelSparsity(), "budget": 2.0},
            r"^budget=2 MAC: the cheapest point of ChannelSparsity\(\) co",
        ),
        ({"skip": ("nine",)}, "^skip='nine' is no layer of the net: it has 0, 1"),
        ({"on": FixedPointWeights(4), "fold_norms": True, "budget": 1.0}, "^fold_norms moves weights off the grid"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_trained(sequence, wrong, message):
    def progress(done, total, note):
        pytest.fail("training began")

    asked = {"net": sequence, "data": images(), "on": BlockSparsity(), "price": MACs((1, 8, 8)), "budget": 0.5} | wrong
    with pytest.raises(ValueError, match=message):
        compress(asked.pop("net"), asked.pop("data"), solver=FAST, progress=progress, **asked, **SHORT)


def test_descriptions_check_their_sizes():
    with pytest.raises(ValueError, match="Arg `outputs` must be at least 1 but was 0"):
        BlockSparsity(0)
    with pytest.raises(ValueError, match="Arg `word` must be 2 to 16 bits but was 1"):
        FixedPointWeights(1)
    net, data = nn.Sequential(nn.Linear(64, 3)), (images()[0].flatten(1), images()[1])
    with pytest.raises(ValueError, match="finds no channels that can be removed"):
        compress(net, data, on=ChannelSparsity(), price=MACs((64,)), budget=0.5)


def test_layers_that_stay_dense_are_named():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 3, 3), nn.Flatten(), nn.Linear(192, 3))
    found = compress(net, images(20), on=BlockSparsity(), price=MACs((1, 8, 8)), budget=0.9, solver=FAST, **SHORT)
    assert "ConvTranspose2d '2' is left dense" in found.report.notes


def test_regression_and_examples_of_ones_own():
    class Waves:
        def __len__(self):
            return 64

        def batch(self, picked, generator):
            x = torch.linspace(-1, 1, 64)[picked][:, None]
            return x, torch.sin(3 * x)

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    found = compress(net, Waves(), on=BlockSparsity(1), price=MACs((1,)), budget=0.5, solver=FAST, **SHORT)
    assert found.report.loss_name == "mean square"
    assert found.report.accuracy_after is None
    assert isinstance(Pairs(torch.zeros(1), torch.zeros(1)), Pairs)
