"""The traced graph names every operation of a net, with the shapes and counts that torch itself has."""

import copy
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from shared.importers.graph import TracedGraph
from shared.importers.kinds import function_kind, layer_kind


class Inception(nn.Module):
    """Branches of groups, stride and dilation, joined by concatenation and a sum, with functional layers between."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.wide = nn.Conv2d(8, 4, 3, padding=2, dilation=2)
        self.grouped = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=4)
        self.mix = nn.Conv2d(12, 8, 1)
        self.down = nn.Conv2d(8, 6, 3, stride=2)
        self.drop, self.end = nn.Dropout(0.5), nn.Linear(6, 5)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        x = self.stem(x)
        y = torch.cat([functional.relu(self.wide(x)), self.grouped(x)], dim=1)
        y = self.down(self.mix(y) + x)
        y = functional.adaptive_avg_pool2d(y, 1)
        return self.end(self.drop(y.view(y.size(0), -1))) * self.scale


def inception():
    torch.manual_seed(0)
    return Inception()


def test_every_operation_has_its_kind_in_order():
    graph = TracedGraph.of(inception(), (3, 12, 10))
    kinds = [node.kind for node in graph]
    assert kinds == [
        *("input", "convolution", "norm", "activation", "convolution", "activation", "convolution", "concatenate"),
        *("convolution", "add", "convolution", "pool", "flatten", "dropout", "linear", "parameter", "other"),
    ]
    assert [node.path for node in graph if node.layer is not None] == [
        *("stem.0", "stem.1", "stem.2", "wide", "grouped", "mix", "down", "drop", "end")
    ]
    assert (graph["cat"].title, graph["down"].title) == ("cat 'cat'", "Conv2d 'down'")


def test_shapes_are_those_of_the_forward_pass():
    net, x = inception().eval(), torch.randn(4, 3, 12, 10)
    shapes = {}
    for path, layer in net.named_modules():
        layer.register_forward_hook(lambda _, __, y, path=path: shapes.update({path: tuple(y.shape[1:])}))
    net(x)
    net = inception()
    graph = TracedGraph.of(net, x)
    assert {node.path: node.shape for node in graph if node.path} == {
        path: shapes[path] for path in shapes.keys() - {"", "stem"}
    }


def multiplications(layer, shape):
    """The products that an output element sums, counted as taps of a net of ones on an input without padding."""
    ones = copy.deepcopy(layer).double()
    for parameter in ones.parameters():
        parameter.data.fill_(1)
    if ones.bias is not None:
        ones.bias.data.fill_(0)
    return int(ones(torch.ones(1, *shape, dtype=torch.float64)).sum())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (5,)),
        (nn.Linear(5, 3), (7, 5)),
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), (4, 11)),
        (nn.Conv2d(4, 8, (3, 2), dilation=2, groups=4), (4, 9, 8)),
    ],
)
def test_macs_are_the_products_that_a_net_of_ones_adds_up(layer, shape):
    graph = TracedGraph.of(nn.Sequential(layer), shape)
    assert graph.macs == multiplications(layer, shape)
    (node,) = [node for node in graph if node.kind != "input"]
    assert node.macs == node.positions * layer.weight.numel()


def test_readers_are_all_that_read_a_value_and_the_caller_counts_too():
    graph = TracedGraph.of(inception(), (3, 12, 10))
    assert [node.name for node in graph.readers("stem_2")] == ["wide", "grouped", "add"]
    assert graph.sole_reader("stem_0") is graph["stem_1"]
    assert graph.sole_reader("stem_2") is None
    assert graph.outputs == ("mul",)

    class Both(nn.Module):
        def forward(self, x):
            y = x.relu()
            return y, y.sigmoid()

    both = TracedGraph.of(Both(), (3,))
    assert (both.outputs, both.sole_reader("relu")) == (("relu", "sigmoid"), None)


def test_tracing_leaves_numbers_and_modes_as_they_were():
    net = inception()
    net.stem[1].eval()  # a frozen norm
    state, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    TracedGraph.of(net, (3, 12, 10))
    assert [module.training for module in net.modules()] == modes
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)


class Odd(nn.Module):
    def forward(self, x, y):
        a, b = torch.chunk(x, 2, dim=1)
        return torch.cat([a, b], dim=2) + y + 1


def test_what_has_no_kind_stays_in_the_graph():
    graph = TracedGraph.of(Odd(), (4, 3), torch.zeros(2, 2, 6))
    assert [(node.operation, node.kind, node.shape) for node in graph] == [
        ("x", "input", (4, 3)),
        ("y", "input", (2, 6)),
        ("chunk", "other", ()),
        ("getitem", "other", (2, 3)),
        ("getitem", "other", (2, 3)),
        ("cat", "other", (2, 6)),
        ("add", "add", (2, 6)),
        ("add", "other", (2, 6)),
    ]
    assert [node.name for node in graph.inputs] == ["x", "y"]
    assert graph["cat"].inputs == ("getitem", "getitem_1")


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_flatten_leaves_one_axis_and_reshape_any_other(shape):
    class Shaped(nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0], *shape)

    graph = TracedGraph.of(Shaped(), (math.prod(shape), 1))
    assert graph["reshape"].kind == ("flatten" if len(shape) == 1 else "reshape")


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("net", "examples", "message"),
    [
        (Branches(), [(3,)], "tracing needs a net whose forward does not depend on its data: "),
        (nn.Linear(4, 2), [(5,)], "the net does not take an input of shape (5,): "),
        (Odd(), [(4, 3), (5,)], "the net does not take an input of shape (4, 3) and (5,): "),
    ],
)
def test_a_net_that_cannot_be_traced_is_refused_in_one_line(net, examples, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        TracedGraph.of(net, *examples)
    assert "\n" not in str(caught.value)


def test_subclasses_have_the_kind_of_their_class_and_strangers_none():
    class Sparse(nn.Conv1d):
        pass

    assert layer_kind(Sparse(1, 1, 1)) == "convolution"
    assert layer_kind(nn.LSTM(2, 2)) == "other"
    assert function_kind(torch.matmul) == function_kind("softmax") == "other"
