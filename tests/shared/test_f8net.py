"""F8Net: what is trained is what the integers compute, bit for bit, and eight bits are enough for small nets."""

import copy
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from fixed_nets import NETS, S8, Mlp, Raw, Residual, batch, fixed_net, same
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shared.f8net import F8Net, fix_quant
from shared.f8net.scales import REAL, Ties
from shared.f8net.steps import _Statistics
from shared.integer import AbstractWeighted, Linear, MaxPool, Requantise, audit, outputs, run
from shared.integer.format import Format


def test_the_example_in_the_docs_runs(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "fixed_point.md"
    code = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    environment = {**os.environ, "PYTHONPATH": str(page.parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert {file.name for file in tmp_path.iterdir()} == {"net.json", "net.h"}


@pytest.fixture(params=NETS)
def kind(request):
    return NETS[request.param]


@pytest.mark.parametrize(("steps", "fit"), [(0, "spread"), (12, "spread"), (12, "error")])
def test_the_net_is_its_integer_program_bit_for_bit(kind, steps, fit):
    same(fixed_net(kind, steps=steps, fit=fit), kind)


@pytest.mark.parametrize("word", [4, 6])
def test_other_words_are_bit_for_bit_too(kind, word):
    program = same(fixed_net(kind, word=word, steps=3), kind, 300)
    widths = set(audit(program).multipliers)
    assert widths == {(8, word), (word, word)}  # the input has eight bits


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
