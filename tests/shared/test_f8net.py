"""F8Net: what is trained is what the integers compute, bit for bit, and eight bits are enough for small nets."""

import copy
import doctest
import importlib
import math
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from shared.f8net import F8Net, fix_quant, keep_zeros
from shared.f8net.scales import REAL, Ties
from shared.f8net.spreads import spread
from shared.f8net.steps import _Statistics
from shared.integer import AbstractWeighted, Linear, MaxPool, Requantise, audit, outputs, run
from shared.integer.format import Format, fraction_for

S8, U8 = Format(8, 6), Format(8, 8, signed=False)


@pytest.mark.parametrize("module", ["masks", "net", "scales", "spreads", "steps", "graph"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"shared.f8net.{module}")).failed == 0


def test_the_example_in_the_docs_runs(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "fixed_point.md"
    code = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    environment = {**os.environ, "PYTHONPATH": str(page.parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert {file.name for file in tmp_path.iterdir()} == {"net.json", "net.h"}


class Mlp(nn.Sequential):
    """No batch norm; a signed activation between the last two layers."""

    shape, format = (6,), S8

    def __init__(self):
        hidden = nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 9, bias=False)
        super().__init__(*hidden, nn.Identity(), nn.Linear(9, 3))


class Residual(nn.Module):
    """One-dimensional: batch norms, a depthwise layer, two residual additions, of which one is projected."""

    shape, format = (2, 13), S8

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(2, 6, 3, padding=1, bias=False), nn.BatchNorm1d(6), nn.ReLU())
        self.body = nn.Sequential(nn.Conv1d(6, 6, 3, padding=1, groups=6), nn.BatchNorm1d(6), nn.ReLU())
        self.more = nn.Sequential(nn.Conv1d(6, 6, 1), nn.BatchNorm1d(6, affine=False))
        self.down, self.side = nn.Conv1d(6, 8, 3, stride=2, padding=1), nn.Conv1d(6, 8, 1, stride=2)
        self.pool, self.last = nn.AdaptiveAvgPool1d(1), nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(self.more(self.body(x)) + x)
        x = (self.down(x) + self.side(x)).relu()
        return self.last(torch.flatten(self.pool(x), 1))


class Image(nn.Module):
    """Two-dimensional: groups, both pools on both sides of a ReLU, an average over nine as the end."""

    shape, format = (1, 12, 10), U8

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 8, (3, 2), padding=(1, 0), groups=2), nn.ReLU(), nn.AvgPool2d((2, 1), 1))
        self.last = nn.Sequential(nn.Conv2d(8, 5, 1), nn.AvgPool2d((4, 3)))

    def forward(self, x):
        x = self.last(self.two(self.one(x)))
        return x.view(x.size(0), -1)


class Raw(nn.Module):
    """Sums that meet the input and the output: numbers there are real, so no scale is free."""

    shape, format = (3, 6), S8

    def __init__(self):
        super().__init__()
        self.one, self.two, self.end = nn.Conv1d(3, 3, 3, padding=1), nn.Conv1d(3, 3, 1), nn.Conv1d(3, 3, 1)

    def forward(self, x):
        y = x + self.one(x)
        z = y + self.two(y.relu())
        return self.end(z) + z


NETS = {"raw": Raw, "mlp": Mlp, "residual": Residual, "image": Image}


@pytest.fixture(params=NETS)
def kind(request):
    return NETS[request.param]


def batch(kind, count, seed=0, dtype=torch.float32):
    x = torch.randn(count, *kind.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.abs() * 0.4 if kind.format is U8 else x * 0.7).to(dtype)


def fixed_net(kind, *, word=8, steps=0, dtype=torch.float32, fit="spread"):
    """A fixed-point net, calibrated, and trained for some steps towards nothing in particular."""
    torch.manual_seed(1)
    net = F8Net(kind().to(dtype), shape=kind.shape, input=kind.format, word=word, fit=fit).to(dtype)
    net.calibrate(batch(kind, 64, dtype=dtype))
    optimiser = torch.optim.SGD(net.parameters(), 0.03)
    for step in range(steps):
        optimiser.zero_grad()
        (net(batch(kind, 32, step, dtype)) - 1).square().mean().backward()
        optimiser.step()
    return net


def same(net, kind, count=2000):
    """Every value of the net, in float64, equals the integers'."""
    net, x = copy.deepcopy(net).double().eval(), batch(kind, count, 5, torch.float64)
    program = net.program()
    with torch.no_grad():
        values = net.values(x)
    integers = run(program, kind.format.to_integers(x.numpy()))
    for name, array in integers.items():
        np.testing.assert_array_equal(program.values[name].format.from_integers(array), values[name].numpy(), name)
    assert len(integers) > 4
    audit(program).require(8)
    return program


@pytest.mark.parametrize(("steps", "fit"), [(0, "spread"), (12, "spread"), (12, "error")])
def test_the_net_is_its_integer_program_bit_for_bit(kind, steps, fit):
    same(fixed_net(kind, steps=steps, fit=fit), kind)


@pytest.mark.parametrize("word", [4, 6])
def test_other_words_are_bit_for_bit_too(kind, word):
    program = same(fixed_net(kind, word=word, steps=3), kind, 300)
    widths = set(audit(program).multipliers)
    assert widths - {(8, word)} == {(word, word)}  # the input has eight bits


def test_weights_of_single_layers_have_fewer_bits(kind):
    torch.manual_seed(0)
    float_net = kind()
    layers = [name for name, layer in float_net.named_modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)]
    net = F8Net(float_net, shape=kind.shape, input=kind.format, weight_words={layers[1]: 4})
    program = same(net.calibrate(batch(kind, 64)), kind, 300)
    words = [
        operation.weight.format.word for operation in program.operations if isinstance(operation, AbstractWeighted)
    ]
    assert sorted(words) == [4] + [8] * (len(layers) - 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"0": 9}, r"^weight_words gives '0' 9 bits: they must be 2 to 8, the word of the net$"),
        ({"0": 1}, r"^weight_words gives '0' 1 bits: "),
        ({"1": 4}, r"^weight_words names '1': it must be a layer with weights, 0, 2$"),
    ],
)
def test_weight_words_that_no_layer_can_have_are_refused(words, message):
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(ValueError, match=message):
        F8Net(net, shape=(2,), input=S8, weight_words=words)


def test_the_program_is_the_same_from_float32_and_from_a_saved_state(kind):
    net = fixed_net(kind, steps=3).eval()
    assert net.program() == copy.deepcopy(net).double().program()
    other = F8Net(kind(), shape=kind.shape, input=kind.format)
    other.load_state_dict(net.state_dict())
    assert other.program() == net.program()


def test_effective_weights_are_rounded_from_float64():
    """180,000 weights, so that some lie where float32 would round the other way."""
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(300, 300), nn.BatchNorm1d(300), nn.ReLU(), nn.Linear(300, 300))
    net = F8Net(wide, shape=(300,), input=S8).calibrate(torch.randn(50, 300)).eval()
    with torch.no_grad():
        wide_norm = net.steps[0].norm
        wide_norm.weight.uniform_(0.5, 2)
        wide_norm.running_var.uniform_(0.5, 2)
    assert net.program() == copy.deepcopy(net).double().program()


@given(st.data())
def test_ties_find_every_ratio_and_every_contradiction(data):
    """Scales are drawn first; ties that tell the truth must reproduce them, and one that lies must be refused."""
    ratios = st.fractions(Fraction(1, 9), 9, max_denominator=9)
    etas = {REAL: Fraction(1), **{name: data.draw(ratios) for name in "abcdef"}}
    ties, groups = Ties(), {name: {name} for name in etas}
    for name, other in data.draw(st.lists(st.tuples(st.sampled_from([*etas]), st.sampled_from([*etas])), max_size=9)):
        if other in groups[name]:
            assert not ties.tie(name, other, 2 * etas[name] / etas[other])
        assert ties.tie(name, other, etas[name] / etas[other])
        merged = groups[name] | groups[other]
        groups.update(dict.fromkeys(merged, merged))
    for name, eta in etas.items():
        root, ratio = ties.root(name)
        assert (root in groups[name], ratio * etas[root]) == (True, eta)
        assert (root == REAL) == (REAL in groups[name])


def test_without_rounding_it_is_the_float_net(kind):
    """Batch norms by batch, scales and average pools folded away: torch's own modules are the oracle."""
    torch.manual_seed(1)
    float_net = kind().double()
    net = F8Net(float_net, shape=kind.shape, input=kind.format).double()
    x = batch(kind, 40, dtype=torch.float64)
    net.calibrate(x)
    for scale in net.scales:  # any scale must do
        if scale.alpha is not None:
            scale.alpha.data *= 1.7
    for layer in float_net.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.train()
    with net._exactly():
        torch.testing.assert_close(net._walk(x)[net.output], float_net(x), rtol=1e-10, atol=1e-10)


def test_more_bits_come_closer_to_the_float_net(kind):
    torch.manual_seed(1)
    float_net = kind().eval()
    x = kind.format.quantise(batch(kind, 200).numpy())
    expected = float_net.double()(torch.from_numpy(x)).detach()
    errors = []
    for word in (4, 8, 12):
        net = F8Net(float_net, shape=kind.shape, input=kind.format, word=word).double()
        with torch.no_grad():
            for step in net.steps:  # calibrated as it is used: with running statistics
                step.eval()
            net.calibrate(torch.from_numpy(x))
            errors.append(float((net.eval()(torch.from_numpy(x)) - expected).std() / expected.std()))
    assert errors[0] > 4 * errors[1] > 16 * errors[2]
    assert errors[2] < 0.01


def test_running_statistics_are_torch_s():
    """On inputs of the input's grid, the first batch norm sees what a float net's does."""
    torch.manual_seed(0)
    float_net = Residual()
    net = F8Net(float_net, shape=Residual.shape, input=S8)
    for seed in range(3):
        x = torch.from_numpy(S8.quantise(batch(Residual, 30, seed).numpy())).float()
        net(x)
        float_net(x)
    ours = next(module for module in net.modules() if isinstance(module, nn.BatchNorm1d))
    torch.testing.assert_close(ours.running_mean, float_net.stem[1].running_mean)
    torch.testing.assert_close(ours.running_var, float_net.stem[1].running_var)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_batch_statistics_and_their_gradients_are_var_mean_s(shape):
    y = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
    actual, wanted = [], []
    for results, statistics in (
        (actual, _Statistics.apply),
        (wanted, lambda y: torch.var_mean(y, [0, *range(2, y.ndim)], correction=0)),
    ):
        leaf = y.clone().requires_grad_()
        variance, mean = statistics(leaf)
        (variance.square().sum() + (mean * torch.arange(3)).sum()).backward()
        results += [variance.detach(), mean.detach(), leaf.grad]
    for ours, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_everything_trains(kind):
    net = fixed_net(kind)
    net(batch(kind, 50)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    # A bias before a batch norm has no effect, as in torch.
    moved = [name for name, parameter in net.named_parameters() if parameter.grad.abs().max() > 0]
    assert any("alpha" in name for name in moved) or kind is Raw
    assert any("weight" in name for name in moved)


def test_the_gradient_passes_strictly_inside_the_range():
    x = torch.tensor([-9.0, -8.0, -7.9, 0.3, 7.4, 7.5, 9.0], requires_grad=True)
    fix_quant(x, Format(5, 1)).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]
    y = torch.tensor([-0.1, 0.0, 0.1], requires_grad=True)
    fix_quant(y, Format(8, 4, signed=False)).sum().backward()
    assert y.grad.tolist() == [0, 0, 1]


def test_fix_quant_is_the_format_s(kind):
    x = torch.linspace(-3, 3, 1001, dtype=torch.float64)
    np.testing.assert_array_equal(fix_quant(x, kind.format).numpy(), kind.format.quantise(x.numpy()))


@pytest.mark.parametrize("fraction", [2, 5, 8])
@pytest.mark.parametrize("alpha", [0.7, 3.0])
def test_pact_is_fixed_point_at_a_scale(alpha, fraction):
    """`PACT(x; alpha) = eta fix_quant(x / eta; FL)` whatever FL: F8Net's unification."""
    x = batch(Mlp, 400, dtype=torch.float64) * 2  # no ties
    format = Format(8, fraction, signed=False)
    eta = 2**fraction * alpha / 255
    pact = alpha / 255 * torch.round(255 / alpha * x.clamp(0, alpha))
    torch.testing.assert_close(eta * fix_quant(x / eta, format), pact)


def test_the_unit_of_a_leading_activation_is_a_matter_of_taste():
    """One more fraction bit there is one less in the weights before and one more behind: the integers stay."""
    net = fixed_net(Mlp).eval()
    other = copy.deepcopy(net)
    first = next(step for step in other.steps if hasattr(step, "leads"))
    first.fraction += 1
    first.scale[0].unit *= 2
    a, b = net.program(), other.program()
    assert a != b
    x = Mlp.format.to_integers(batch(Mlp, 500).numpy())
    for one, two in zip(run(a, x).values(), run(b, x).values(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_residual_group_shares_one_scale():
    net = fixed_net(Residual)
    quantisers = {name: step for (name, _), step in zip(net.wiring, net.steps, strict=True) if hasattr(step, "leads")}
    assert quantisers["stem_2"].scale[0] is quantisers["relu"].scale[0]
    assert (quantisers["stem_2"].leads, quantisers["relu"].leads) == (False, True)
    assert quantisers["stem_2"].scale[0] is not quantisers["body_2"].scale[0]


def test_formats_follow_the_activations():
    """A follower's fraction bits move, slowly, when what it sees grows fourfold."""
    net = fixed_net(Residual)
    follower = next(step for step in net.steps if hasattr(step, "leads") and not step.leads)
    before, x = follower.format.fraction, batch(Residual, 32)
    with torch.no_grad():
        net.steps[0].norm.weight *= 4
        net.steps[0].norm.bias *= 4
    net(x)
    assert follower.format.fraction == before
    for _ in range(40):
        net(x)
    assert follower.format.fraction == before - 2


def test_the_program_is_lean():
    """Values already narrow are not quantised again, dropout leaves no trace, a pool behind a ReLU works on bytes."""
    net = nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 2))
    program = F8Net(net, shape=(1, 5), input=S8).calibrate(torch.randn(20, 1, 5)).program()
    assert [type(step).__name__ for step in program.operations] == [
        "Conv1d",
        "Requantise",
        "MaxPool",
        "Flatten",
        "Linear",
    ]
    dense = fixed_net(Mlp).program()
    assert [type(step) for step in dense.operations] == [Linear, Requantise, Linear, Requantise, Linear]
    assert program.values[next(s.output for s in program.operations if isinstance(s, MaxPool))].format.word == 8


def test_pruned_weights_stay_zero_integers_while_the_others_train():
    net = Residual()
    mask = torch.rand(net.down.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    keep_zeros(net.down, mask)
    net = F8Net(net, shape=Residual.shape, input=S8)
    for seed in range(5):
        net(batch(Residual, 20, seed)).square().sum().backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 1e-4 * parameter.grad
                parameter.grad = None
    down = next(step for step in same(net, Residual, 200).operations if step.output == "down")
    assert not down.weight.integers[mask.numpy() == 0].any()
    assert 0 < np.count_nonzero(down.weight.integers) <= mask.sum()


@pytest.mark.parametrize("kind", [Mlp, Residual, Image])
def test_every_layer_may_be_masked(kind):
    torch.manual_seed(0)
    net = kind()
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            keep_zeros(layer, torch.rand_like(layer.weight) < 0.7)
    fixed = F8Net(net, shape=kind.shape, input=kind.format).calibrate(batch(kind, 64))
    program = same(fixed, kind, 50)
    weights = [each.weight.integers for each in program.operations if isinstance(each, AbstractWeighted)]
    assert all((weight == 0).any() for weight in weights)


def test_zeros_of_a_sparse_net_leave_the_binary_points_of_its_weights_alone():
    torch.manual_seed(0)
    dense = nn.Linear(8, 16, bias=False)
    sparse = nn.Linear(128, 16, bias=False)
    with torch.no_grad():
        sparse.weight.zero_()[:, ::16] = dense.weight
    fractions = [
        F8Net(nn.Sequential(layer), shape=(layer.in_features,), input=Format(8, 7), sparse=is_sparse)
        .calibrate(torch.rand(4, layer.in_features))
        .program()
        .operations[0]
        .weight.format.fraction
        for layer, is_sparse in ((dense, False), (sparse, True), (sparse, False))
    ]
    assert fractions[0] == fractions[1] == fractions[2] - 2  # a spread of a quarter


@pytest.mark.parametrize("word", [4, 8])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("power", [0.5, 1, 3])  # of a Gaussian: short tails, its own, long ones
def test_fraction_bits_of_the_least_error_are_those_of_all(power, signed, word):
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    x = x.sign() * x.abs() ** power / 10
    wanted = x if signed else x.relu()
    errors = {n: float((fix_quant(x, Format(word, n, signed)) - wanted).square().sum()) for n in range(-4, 16)}
    assert fraction_for(spread(x, word, signed=signed, fit="error"), word, signed=signed) == min(errors, key=errors.get)


def test_one_large_weight_among_small_ones_saturates_unless_errors_count():
    """The identity of a residual block, merged into its convolution."""
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Conv1d(24, 24, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in net[::2]:
            nn.init.normal_(layer.weight, std=0.03)
            layer.weight[:, :, 1] += torch.eye(24)
    x = torch.randn(50, 24, 20).abs() / 4
    lost = {}
    for fit in ("spread", "error"):
        fixed = F8Net(net, shape=(24, 20), input=U8, fit=fit).calibrate(x).eval()
        lost[fit] = float((fixed(x) - net(x)).detach().square().mean().sqrt() / net(x).detach().std())
    assert 4 * lost["error"] < lost["spread"], lost


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask of shape \(2,\).* weight of shape \(3, 2\)"):
        keep_zeros(nn.Linear(2, 3), torch.ones(2, dtype=torch.bool))


def test_hooks_that_would_be_skipped_are_refused():
    net = nn.Sequential(nn.Linear(4, 4))
    prune.random_unstructured(net[0], "weight", amount=2)
    with pytest.raises(ValueError, match=re.escape("F8Net would skip the hooks of Linear '0': use torch")):
        F8Net(net, shape=(4,), input=S8)
    prune.remove(net[0], "weight")
    F8Net(net, shape=(4,), input=S8)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x).relu())


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.last = nn.AvgPool1d(3, 1), nn.Conv1d(1, 1, 1)

    def forward(self, x):
        return self.last(self.pool(x) + nn.functional.relu(x[..., 1:-1]))


class Averages(nn.Module):
    def __init__(self):
        super().__init__()
        self.three, self.two, self.last = nn.AvgPool1d(3), nn.AvgPool1d(2, 3), nn.Conv1d(1, 1, 1)

    def forward(self, x):
        return self.last(self.three(x) + self.two(x))


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.GLU()), (4,), "F8Net cannot convert GLU '1': use Linear, Conv1d"),
        (nn.Sequential(nn.ConvTranspose1d(1, 1, 1)), (1, 4), "cannot convert ConvTranspose1d '0'"),
        (
            nn.Sequential(nn.BatchNorm1d(4)),
            (4,),
            "BatchNorm1d '0' with no Linear or Conv of its own before it: move it",
        ),
        (nn.Sequential(nn.Conv1d(1, 1, 3, dilation=2)), (1, 9), "Conv1d '0' with dilation (2,): use stride"),
        (nn.Sequential(nn.Conv1d(1, 1, 3, padding="same")), (1, 9), "with padding='same': give it in numbers"),
        (nn.Sequential(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")), (1, 9), "circular padding: use zeros"),
        (nn.Sequential(nn.MaxPool1d(3, padding=1), nn.Conv1d(1, 1, 1)), (1, 9), "MaxPool1d '0' with padding"),
        (nn.Sequential(nn.AvgPool1d(3, ceil_mode=True)), (1, 8), "AvgPool1d '0' with ceil_mode"),
        (nn.Sequential(nn.AdaptiveAvgPool1d(2)), (1, 8), "AdaptiveAvgPool1d '0' with several outputs: use AvgPool"),
        (nn.Sequential(nn.AvgPool1d(3)), (1, 9), "is an average of the input: end with a Linear or Conv"),
        (
            nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2, track_running_stats=False)),
            (1, 4),
            "no running statistics",
        ),
        (Twice(), (4,), "Linear 'layer' twice: its uses need weights of their own"),
        (Branches(), (4,), "whose forward does not depend on its data"),
        (nn.Sequential(nn.Linear(4, 4)), (5,), "the net does not take an input of shape (5,)"),
    ],
)
def test_what_cannot_be_converted_is_named(net, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        F8Net(net, shape=shape, input=S8)


def test_weights_that_are_not_finite_are_named():
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].weight.data[0, 1] = math.nan
    with pytest.raises(ValueError, match=re.escape("finite weights, '0.weight' has NaN")):
        F8Net(net, shape=(2,), input=S8)


def test_a_batch_norm_needs_a_batch():
    net = F8Net(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), shape=(2,), input=S8)
    with pytest.raises(ValueError, match="more than one value per channel: use a larger batch"):
        net.calibrate(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="`sigma` must be a finite number"):
        F8Net(Mlp(), shape=Mlp.shape, input=S8).calibrate(torch.full((3, 6), math.nan))


def test_formats_come_before_use():
    net = F8Net(Mlp(), shape=Mlp.shape, input=S8)
    for use in (net.program, lambda: net.eval()(batch(Mlp, 2))):
        with pytest.raises(ValueError, match=re.escape("no formats yet: call calibrate(batch), or train on a batch")):
            use()
    net.train()(batch(Mlp, 20))
    assert net.program().outputs


def spirals(count, generator):
    """Two arms; the coordinates lie in -1 to 1."""
    label = torch.randint(0, 2, (count,), generator=generator)
    turn = torch.rand(count, generator=generator)
    angle = 5 * turn + math.pi * label
    noise = 0.03 * torch.randn(count, 2, generator=generator)
    return (0.1 + 0.8 * turn)[:, None] * torch.stack([angle.cos(), angle.sin()], 1) + noise, label


def chirps(count, generator):
    """Tones, rising and falling chirps at a random phase, in noise, as I and Q."""
    label = torch.randint(0, 3, (count,), generator=generator)
    time = torch.linspace(0, 1, 32)
    slope = torch.tensor([0.0, 12.0, -12.0])[label][:, None]
    start = 2 * math.pi * torch.rand(count, 1, generator=generator)
    phase = start + 2 * math.pi * (4 * time + slope / 2 * time**2)
    x = torch.stack([phase.cos(), phase.sin()], 1) * 0.5
    return x + 0.5 * torch.randn(x.shape, generator=generator), label


def trained(net, draw, steps, rate):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x, label = draw(64, generator)
        optimiser.zero_grad()
        functional.cross_entropy(net(x), label).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def mlp_for_spirals():
    return nn.Sequential(
        nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
    )


def conv_for_chirps():
    first = nn.Conv1d(2, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)
    second = nn.Conv1d(8, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    return nn.Sequential(*first, *second, nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("make", "draw", "shape"), [(mlp_for_spirals, spirals, (2,)), (conv_for_chirps, chirps, (2, 32))]
)
def test_eight_bits_learn_as_well_as_float(make, draw, shape):
    """Same start, same batches, same recipe; the integers decide, on 2,000 new samples."""
    torch.manual_seed(3)
    start = make()
    x, label = draw(2000, torch.Generator().manual_seed(9))
    float_net = trained(copy.deepcopy(start), draw, 100, 0.02)
    right = float((float_net(x).argmax(1) == label).float().mean())
    net = trained(F8Net(start, shape=shape, input=S8), draw, 100, 0.02)
    program = net.program()
    logits = run(program, S8.to_integers(x.numpy()))[program.outputs[0]]
    fixed = float(np.mean(logits.argmax(1) == label.numpy()))
    assert right > 0.9
    assert fixed > right - 0.02
    audit(program).require(8)


class Enlarger(nn.Module):
    """The image repeated by an addition, or enlarged and added."""

    def __init__(self, early):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 9, 3, padding=1, bias=False), nn.Identity()
        )
        self.shuffle, self.early = nn.PixelShuffle(3), early

    def forward(self, x):
        if self.early:
            return nn.functional.pixel_shuffle(self.body(x) + x, 3)
        return self.shuffle(self.body(x)) + nn.functional.interpolate(x, scale_factor=3.0)


@pytest.mark.parametrize("early", [True, False])
def test_a_net_that_enlarges_is_its_program_bit_for_bit_and_the_image_itself_where_it_adds_nothing(early):
    torch.manual_seed(0)
    net, x = Enlarger(early), torch.rand(5, 1, 6, 7)
    fixed = F8Net(net, shape=(1, 6, 7), input=Format(8, 8, signed=False)).calibrate(x).eval().double()
    integers = Format(8, 8, signed=False).to_integers(x.numpy())
    program = fixed.program()
    [y] = outputs(program, integers)
    real = Format(8, 8, signed=False).from_integers(integers)
    assert (
        program.values[program.outputs[0]].format.from_integers(y) == fixed(torch.from_numpy(real)).detach().numpy()
    ).all()
    for layer in net.body:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    alone = F8Net(net, shape=(1, 6, 7), input=Format(8, 8, signed=False)).calibrate(x).eval().program()
    [y] = outputs(alone, integers)
    repeated = real.repeat(3, axis=2).repeat(3, axis=3)
    assert (alone.values[alone.outputs[0]].format.from_integers(y) == repeated).all()


@pytest.mark.parametrize("net", [Mixed(), Averages()])
def test_terms_whose_scales_differ_are_brought_to_one(net):
    x = torch.rand(20, 1, 9)
    fixed = F8Net(net, shape=(1, 9), input=Format(8, 8, signed=False)).calibrate(x).double().eval()
    assert torch.allclose(fixed(x.double()).float(), net(x), atol=0.06)
