"""Nets of attention, tables and moves in fixed point: equal to their programs, near to their floats, trainable."""

import numpy as np
import pytest
import torch
from token_nets import IMAGE, NETS, images
from torch import nn
from torch.nn import functional

from shared.f8net import F8Net
from shared.f8net.convert import read
from shared.integer import Add, outputs
from shared.training.loop import Schedule, descend


def fixed(name):
    torch.manual_seed(0)
    make, x, format = NETS[name]
    net = make().eval()
    return net, x, F8Net(net, shape=x.shape[1:], input=format).calibrate(x)


@pytest.mark.parametrize("name", NETS)
def test_a_net_equals_its_program_bit_for_bit_and_is_near_to_its_floats(name):
    net, x, converted = fixed(name)
    converted = converted.double().eval()
    program = converted.program()
    with torch.no_grad():
        ours, floats = converted(x.double()).numpy(), net(x).numpy()
    integers = program.inputs[0].format.to_integers(x.double().numpy())
    exact = program.values[program.outputs[0]].format.from_integers(outputs(program, integers)[0])
    np.testing.assert_array_equal(ours, exact)
    assert np.corrcoef(ours.ravel(), floats.ravel())[0, 1] > 0.99
    assert all(value.format.word <= 32 for value in program.values.values())


@pytest.mark.parametrize("name", NETS)
def test_training_in_fixed_point_lowers_the_loss(name):
    _, x, converted = fixed(name)
    with torch.no_grad():
        target = torch.randn_like(converted.eval()(x.float())) / 4
    losses = []

    def loss():
        losses.append(functional.mse_loss(converted(x.float()), target))
        return losses[-1]

    descend(list(converted.train().parameters()), loss, Schedule(12, rate=3e-3))
    assert min(losses[6:]) < 0.95 * losses[0]


class Deep(nn.Module):
    """Many branches on one trunk."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(20))
        self.factors = nn.ParameterList(nn.Parameter(torch.full((3, 1, 1), 1e-5)) for _ in range(20))

    def forward(self, x):
        for layer, factor in zip(self.layers, self.factors, strict=True):
            x = x + layer(x) * factor
        return x


def test_twenty_branches_of_tiny_factors_stay_within_32_bits():
    program = F8Net(Deep(), shape=(3, 4, 4), input=IMAGE).calibrate(images(4, 4)).program()
    assert sum(isinstance(step, Add) for step in program.operations) == 20
    assert all(value.format.word <= 32 for value in program.values.values())
    assert len(program.operations) < 20 * 6  # the factors are part of the layers before them


@pytest.mark.parametrize(
    "function",
    [
        nn.ELU(alpha=0.25),
        nn.Softplus(beta=4.0),
        nn.Softplus(threshold=0.5),
        nn.GELU(approximate="tanh"),
        nn.LeakyReLU(0.5),
        lambda x: functional.elu(x, 0.25),
        lambda x: functional.leaky_relu(x, negative_slope=0.5),
        lambda x: functional.softplus(x, 4.0),
    ],
)
def test_a_function_has_the_arguments_of_its_layer(function):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    x = torch.linspace(-3, 3, 97)[:, None]
    x = torch.from_numpy(IMAGE.from_integers(IMAGE.to_integers(x.double().numpy())))
    with torch.no_grad():
        fixed = F8Net(Net(), shape=(1,), input=IMAGE).calibrate(x.float()).double().eval()
        np.testing.assert_allclose(fixed(x), function(x), atol=0.04)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 2, 3), nn.LayerNorm(4), nn.AvgPool2d(3, 1, 1)])
def test_a_net_may_be_one_layer(layer):
    x = images(4, 4).clamp(-2, 2)
    with torch.no_grad():
        ours = F8Net(layer, shape=(3, 4, 4), input=IMAGE).calibrate(x).double().eval()(x.double())
        assert np.corrcoef(ours.numpy().ravel(), layer(x).numpy().ravel())[0, 1] > 0.99


class Block(nn.Module):
    """A branch of tokens with dropout, a ReLU, and a factor for each channel."""

    def __init__(self):
        super().__init__()
        self.inner, self.relu, self.outer = nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 3)
        self.dropout, self.norm = nn.Dropout(0.1), nn.LayerNorm(3)
        self.factor = nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        x = x + self.dropout(self.outer(self.relu(self.inner(self.norm(x))))) * self.factor
        return x[:, 0]


def test_dropout_and_relu_take_tokens_as_they_lie():
    x = images(4, 4)
    net = Block().eval()
    fixed = F8Net(net, shape=(3, 4, 4), input=IMAGE).calibrate(x).double().eval()
    with torch.no_grad():
        assert np.corrcoef(fixed(x.double()).numpy().ravel(), net(x).numpy().ravel())[0, 1] > 0.99
    program = fixed.program()
    read = {name for step in program.operations for name in step.inputs} | {*program.outputs}
    assert read == {*program.values}, "a value is computed that nothing reads"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: functional.linear(x, torch.ones(2, 4)), "linear 'linear' with a function: use the layer nn.Linear"),
        (lambda x: torch.div(x, 2.0, rounding_mode="floor"), "div 'div' with rounding_mode: leave it out"),
        (lambda x: x.long().float() + x, "long 'long' with numbers that are not whole: leave the rounding to the host"),
        (lambda x: x / x.mean((1, 2, 3), keepdim=True), "a divisor that depends on the input: leave it to the host"),
        (lambda x: 1 - x, "a constant less a tensor: negate the layer"),
        (lambda x: torch.cumsum(x, 1), "F8Net cannot convert cumsum 'cumsum': use Linear"),
        (lambda x: torch.cat([x, x]), "cat 'cat' with the batch as its axis: join another axis"),
        (lambda x: x.mean(), "with the mean over samples: name the other axes"),
    ],
)
def test_what_cannot_be_converted_is_named_with_the_way_out(function, message):
    class Net(nn.Module):
        def forward(self, x):
            return function(x)

    with pytest.raises(ValueError, match=message):
        F8Net(Net(), shape=(3, 4, 4), input=IMAGE)


@pytest.mark.parametrize("name", ["images", "sentences"])
def test_the_onnx_of_a_transformer_becomes_integers(name, tmp_path):
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    make, x, _ = NETS[name]
    net, path = make().eval(), tmp_path / "net.onnx"
    torch.onnx.export(net, (x[:1],), path, dynamo=False, opset_version=17)
    program = read(path, samples=x.float().numpy())
    integers = program.inputs[0].format.to_integers(x.double().numpy())
    ours = program.values[program.outputs[0]].format.from_integers(outputs(program, integers)[0])
    assert np.corrcoef(ours.ravel(), net(x).detach().numpy().ravel())[0, 1] > 0.99
