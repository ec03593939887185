"""Pruning-as-Search: gates are the narrow net, prices reach both neighbours, and the budget is met exactly."""

import copy
import functools
import itertools
import sys

import pytest
import torch
from torch import nn

from shared import Bytes, KernelTable, MACs, TablePrice
from shared.training.data import Pairs, Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.loop import Schedule, descend
from shared.weights.prices import positions
from vision.nets.efficientformer import Attention
from vision.nets.mask_net import MaskNet
from vision.nets.repvgg import RepVGG
from vision.nets.resnet import ResNet8
from vision.pruning_search.gates import GatedNet, GateSettings
from vision.pruning_search.price import PairedPrice
from vision.pruning_search.rebuild import narrowed, plain
from vision.pruning_search.rivals import dependency_norms, group_norms
from vision.pruning_search.search import gated_net, search, settled
from vision.pruning_search.space import ChannelSpace
from vision.pruning_search.widths import widths_within
from vision.stylize.nets import Generator, Shape

SHORT = NesterovCosine(epochs=3, rate=0.05, warm=0.0, batch=32)
IMAGE = (3, 8, 8)
X = torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(1))


class Depthwise(nn.Module):
    """An inverted bottleneck beside its input, then a joined map."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.wide = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.GELU())
        self.depthwise = nn.Sequential(nn.Conv2d(24, 24, 3, 1, 1, groups=24), nn.BatchNorm2d(24), nn.ReLU())
        self.narrow = nn.Sequential(nn.Conv2d(24, 8, 1), nn.BatchNorm2d(8))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        y = x + self.narrow(self.depthwise(self.wide(x)))
        return self.head(torch.cat((x, y), 1).mean((2, 3)))


def randomised(net):
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.3)
    return net.eval()


@pytest.fixture(params=[lambda: ResNet8(4), lambda: RepVGG((6, 4), (2, 1)), Depthwise], ids=["resnet", "repvgg", "dw"])
def net(request):
    torch.manual_seed(0)
    return randomised(request.param())


def some(space, seed=0, share=0.6):
    """Channels of each group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.rand(size, generator=generator) for size in space.sizes]
    return [((part < share) | (part == part.min())).nonzero()[:, 0] for part in scores]


def as_gates(space, kept):
    return torch.cat([torch.isin(torch.arange(n), part) for n, part in zip(space.sizes, kept, strict=True)]).float()


def macs(net):
    return sum(uses * net.get_submodule(path).weight.numel() for path, uses in positions(net, IMAGE).items())


def test_the_plain_net_is_the_net_with_closed_gates(net):
    space = ChannelSpace.of(net, X)
    for seed in range(3):
        kept = some(space, seed)
        gated = space.forward(net, as_gates(space, kept), X)
        narrow = narrowed(net, space, kept, X)
        used = plain(narrow, X)
        for other in (narrow, used):
            assert (other(X) - gated).abs().max() <= 1e-4 * (1 + gated.abs().max())
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in used.modules())
        widths = torch.tensor([len(part) for part in kept])
        price = PairedPrice.of(net, space.groups, MACs(IMAGE))
        assert float(price.expected(widths)) == pytest.approx(macs(used), rel=1e-9)


class SharedActivation(nn.Module):
    """A bottleneck that uses its one ReLU three times, as those of torchvision do."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 6, 3, 1, 1)
        self.third, self.head = nn.Conv2d(6, 8, 1), nn.Linear(8, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = self.relu(self.third(self.relu(self.second(x))) + x)
        return self.head(x.mean((2, 3)))


class SqueezeAndExcite(nn.Module):
    """Channels times numbers between 0 and 1 that are computed from their means."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 4, 1)
        self.excite = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Sigmoid()
        )

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(x * self.excite(x))


class Heads(nn.Module):
    """Attention between two layers that write and read its tokens."""

    def __init__(self):
        super().__init__()
        self.before, self.attention, self.after = nn.Linear(3, 8), Attention(8, (8, 8)), nn.Linear(8, 4)

    def forward(self, x):
        tokens = self.before(x.flatten(2).transpose(1, 2))
        return self.after(tokens + self.attention(tokens))


KINDS = {
    "residual sum": (lambda: ResNet8(4), 6),
    "depthwise": (Depthwise, 2),
    "concatenation": (lambda: MaskNet(2, 4), 6),
    "resized and added": (lambda: Generator(Shape.of(4, 1)), 4),
    "one activation for all": (SharedActivation, 2),
    "squeeze and excite": (SqueezeAndExcite, 2),
    "attention heads": (Heads, 2),
    "branches": (lambda: RepVGG((6, 4), (2, 1)), 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_coupling_is_followed(kind):
    """The net without channels equals the net with their gates closed, and what is left over of a price as well."""
    build, groups = KINDS[kind]
    torch.manual_seed(0)
    net = randomised(build())
    if isinstance(net, Generator):  # which begins as the identity
        nn.init.normal_(net.last.weight)
    space = ChannelSpace.of(net, X)
    assert len(space.groups) == groups, space.names
    for seed in range(2):
        kept = some(space, seed)
        expected, actual = space.forward(net, as_gates(space, kept), X), narrowed(net, space, kept, X)(X)
        assert (actual - expected).abs().max() <= 1e-4 * (1 + expected.abs().max())
        assert not torch.equal(net(X), actual)


def test_a_gate_is_a_factor_of_the_channel(net):
    """The gradient by the gates is that of a smooth factor: against differences of the loss."""
    net, x = copy.deepcopy(net).double(), X.double()
    space = ChannelSpace.of(net, x)
    gates = torch.full((sum(space.sizes),), 0.8, dtype=torch.float64).requires_grad_()

    def loss(gates):
        return space.forward(net, gates, x).square().mean()

    (gradient,) = torch.autograd.grad(loss(gates), gates)
    for seed in range(3):
        step = 1e-5 * torch.randn(len(gates), generator=torch.Generator().manual_seed(seed)).double()
        change = loss(gates + step) - loss(gates - step)
        assert change.item() == pytest.approx(2 * float(gradient @ step), rel=1e-3)


def test_the_price_reaches_the_gates_on_both_sides_of_every_layer(net):
    space = ChannelSpace.of(net, X)
    price = PairedPrice.of(net, space.groups, MACs(IMAGE))
    gated = GatedNet(net, space, price, 0.5, 10)
    (gradient,) = torch.autograd.grad(gated.relative_price(), gated.scores)
    by_group = torch.stack([part.mean() for part in torch.split(gradient, space.sizes)])
    widths = torch.tensor(space.sizes, dtype=torch.float64)
    for group, size in enumerate(space.sizes):
        fewer = widths - torch.nn.functional.one_hot(torch.tensor(group), len(space.sizes)) * 1e-4
        slope = float(price.expected(widths) - price.expected(fewer)) / 1e-4 / gated.full
        assert float(by_group[group]) == pytest.approx(slope, rel=1e-3)
        assert slope > 0, f"{size} channels are free"
    pairs = price.cost[:-1, :-1] > 0
    assert (pairs.any(0) | pairs.any(1)).all(), "no group is between two others"


def test_the_price_alone_moves_balanced_scores_of_all_channels_alike(net):
    gated = gated_net(net, X, MACs(IMAGE), 0.5, 10)
    (gradient,) = torch.autograd.grad(gated.relative_price(), gated.scores)
    assert float(gradient.std()) <= 1e-5 * float(gradient.mean())
    for scores in torch.split(gated.scores.detach(), gated.space.sizes):
        assert torch.allclose(scores.sort().values, 0.5 + 0.5 * (torch.arange(len(scores)) + 0.5) / len(scores))
    paper = gated_net(net, X, MACs(IMAGE), 0.5, 10, GateSettings())
    (gradient,) = torch.autograd.grad(paper.relative_price(), paper.scores)
    assert float(gradient.max()) > 1.5 * float(gradient.min())


def test_torch_pruning_scores_the_channels_that_are_coupled_here(net):
    """Its default importance is the mean of squares over what a channel owns, over its mean in the group."""
    pytest.importorskip("torch_pruning", reason="pip install torch-pruning")
    space, generator = ChannelSpace.of(net, X), torch.Generator()
    before = copy.deepcopy(net.state_dict())
    theirs, ours = dependency_norms(net, space, generator), group_norms(net, space, generator)
    assert [len(part) for part in theirs] == space.sizes
    together = torch.stack([torch.cat(theirs), torch.cat(ours)])
    assert float(torch.corrcoef(together)[0, 1]) > 0.3
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_torch_pruning_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    net = ResNet8(4)
    with pytest.raises(ModuleNotFoundError, match=r"^not installed: pip install torch-pruning$"):
        dependency_norms(net, ChannelSpace.of(net, X), torch.Generator())


def test_a_closed_channel_still_learns_and_every_group_keeps_its_minimum(net):
    space = ChannelSpace.of(net, X)
    gated = GatedNet(net, space, PairedPrice.of(net, space.groups, MACs(IMAGE)), 0.5, 10, GateSettings(minimum=2))
    gated.scores.data.uniform_(0.3, 0.7, generator=torch.Generator().manual_seed(0))
    gates = gated.gates()
    (gradient,) = torch.autograd.grad(gated(X).square().mean(), gated.scores)
    assert (gradient[gates.detach() == 0] != 0).float().mean() > 0.25
    gated.scores.data.fill_(0.3)
    gates = gated.gates().detach()
    assert gates.unique().tolist() == [0, 1]
    assert all(part.sum() == 2 for part in torch.split(gates, space.sizes))


@pytest.mark.parametrize("multiple", [1, 4])
def test_widths_meet_the_budget(net, multiple):
    space = ChannelSpace.of(net, X)
    for asked, seed in itertools.product((MACs(IMAGE), Bytes()), range(3)):
        price = PairedPrice.of(net, space.groups, asked)
        full = float(price.expected(torch.tensor(space.sizes)))
        generator = torch.Generator().manual_seed(seed)
        scores = [torch.rand(size, generator=generator) for size in space.sizes]
        budget = 0.6 * full
        widths = widths_within(scores, price, budget, 1, multiple)
        assert all(n % multiple == 0 or n == size for n, size in zip(widths, space.sizes, strict=True))
        spent = float(price.expected(torch.tensor(widths)))
        assert spent <= budget
        for group, size in enumerate(space.sizes):  # nothing more fits
            wider = [*widths]
            wider[group] = min(n for n in (*range(multiple, size, multiple), size) if n > widths[group] or n == size)
            assert wider == widths or float(price.expected(torch.tensor(wider))) > budget


def test_a_net_of_many_channels_spends_its_budget():
    net = ResNet8(32)
    space = ChannelSpace.of(net, X)
    price = PairedPrice.of(net, space.groups, MACs(IMAGE))
    full = float(price.expected(torch.tensor(space.sizes)))
    for seed, share in itertools.product(range(3), (0.25, 0.5)):
        generator = torch.Generator().manual_seed(seed)
        scores = [torch.rand(size, generator=generator) for size in space.sizes]
        spent = float(price.expected(torch.tensor(widths_within(scores, price, share * full))))
        assert 0.995 * share * full <= spent <= share * full


@pytest.mark.parametrize("width", [10, 16])
def test_a_small_net_uses_its_budget_to_half_a_per_cent(width):
    """Of the layers of so small a net a single channel is several per cent, so widths are exchanged."""
    net = ResNet8(width)
    space = ChannelSpace.of(net, X)
    price = PairedPrice.of(net, space.groups, MACs(IMAGE))
    budget, plainly = 0.25 * float(price.expected(torch.tensor(space.sizes))), []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        scores = [torch.rand(size, generator=generator) for size in space.sizes]
        filled, exact = (widths_within(scores, price, budget, minimum=2, slack=slack) for slack in (1.0, 0.005))
        spent = [float(price.expected(torch.tensor(widths))) / budget for widths in (filled, exact)]
        assert 0.995 <= spent[1] <= 1
        assert exact == filled or spent[0] < 0.995
        assert sum(a != b for a, b in zip(filled, exact, strict=True)) <= 3
        assert all(abs(a - b) <= 1 for a, b in zip(filled, exact, strict=True))
        plainly.append(spent[0])
    assert min(plainly) < 0.995, "there was nothing to exchange"


def flat_data(count=256):
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(3))
    return x, (x[:, 0] + x[:, 1] > 0).long()


@functools.cache
def trained_narrow():
    torch.manual_seed(0)
    net, (x, y) = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)), flat_data()
    descend(list(net.parameters()), lambda: nn.functional.cross_entropy(net(x), y), Schedule(150, rate=1e-2))
    return net


def half_empty():
    """A trained net between as many channels that nobody reads, which are as large as the others."""
    torch.manual_seed(1)
    net, trained = (
        nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2)),
        trained_narrow(),
    )
    with torch.no_grad():
        for wide, narrow in zip(net[::2], trained[::2], strict=True):
            rows = slice(1, None, 2) if len(wide.weight) > 2 else slice(None)
            if wide is not net[0]:
                wide.weight[:, ::2] = 0
                wide.weight[rows, 1::2] = narrow.weight
            else:
                wide.weight[rows] = narrow.weight
            wide.bias[rows] = narrow.bias
    return net


def test_channels_that_the_net_needs_score_higher():
    net, (x, y) = half_empty(), flat_data()
    schedule = NesterovCosine(epochs=6, rate=0.01, warm=0.0, batch=32)
    gated = gated_net(net, x[:4], MACs((8,)), 0.45, 6 * len(x) // 32, GateSettings(minimum=2))
    trainer = Trainer(gated, schedule, gated.penalised(nn.functional.cross_entropy))
    for _ in range(schedule.epochs):
        trainer.run_epoch(Shuffled(Pairs(x, y), schedule.batch, torch.Generator().manual_seed(0)))
    for scores in torch.split(gated.scores.detach(), gated.space.sizes):
        needed, empty = scores[1::2], scores[::2]
        assert (needed[:, None] > empty).float().mean() > 0.75
    chosen = settled(gated, x)
    assert chosen.measured == macs_of(chosen.module) <= 0.45 * chosen.full


def macs_of(net):
    return sum(layer.weight.numel() for layer in net.modules() if isinstance(layer, nn.Linear))


def test_a_seed_is_a_search():
    net, data = half_empty(), flat_data()
    before = copy.deepcopy(net.state_dict())
    one, same, other = (
        search(net, data, price=MACs((8,)), budget=0.5, schedule=SHORT, tuning=SHORT, seed=seed) for seed in (1, 1, 2)
    )
    assert one.to_json_data() == same.to_json_data()
    states = [it.module.state_dict() for it in (one, same, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(
        a.shape != b.shape or not torch.equal(a, b) for a, b in zip(states[0].values(), states[2].values(), strict=True)
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert "budget" in str(one)


def test_kernels_that_were_measured_are_a_price():
    kernel = KernelTable(groups=(0, 1), widths=((0, 8, 16), (0, 12)), costs=((0, 0), (0, 2.0), (0, 10.0)))
    price = TablePrice((kernel,), blocks=(16, 12), unit="ms")
    pruned = search(half_empty(), flat_data(), price=price, budget=3.0, schedule=SHORT, tuning=None)
    assert pruned.unit == "ms"
    assert 2.0 <= pruned.measured <= 3.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 0.0}, r"^budget=0\.0: must be positive"),
        ({"budget": 1e-4}, r"^budget=0\.0344 MAC: the narrowest net, minimum=1 and multiple=1, costs 11$"),
        ({"multiple": 0}, r"^multiple=0: widths are multiples of 1 or more$"),
        ({"data": (torch.full((8, 8), torch.nan), torch.zeros(8).long())}, r"^the net's outputs are not finite on the"),
        ({"skip": ("nine",)}, r"^skip='nine' is no layer of the net: it has 0, 1"),
        ({"skip": ("0", "2")}, r"^Sequential has no channels that can be removed"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_trained(wrong, message):
    def progress(done, total, note):
        pytest.fail("training began")

    asked = {"data": flat_data(), "price": MACs((8,)), "budget": 0.5} | wrong
    with pytest.raises(ValueError, match=message):
        search(half_empty(), schedule=SHORT, progress=progress, **asked)


def test_widths_of_eights():
    net = ResNet8(16)
    gated = gated_net(net, X, MACs(IMAGE), 0.5, 10)
    chosen = settled(gated, X, multiple=8)
    assert all(len(part) % 8 == 0 for part in chosen.kept)
    assert "widths are multiples of 8" in str(chosen)
