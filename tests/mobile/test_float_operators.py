"""Every operator of floats equals torch's, alone and in random chains; transformers equal ONNX Runtime's too."""

import numpy as np
import pytest
import torch
from float_nets import NETS, DecoderStep, Function, Language
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mobile.build.compile_floats import compile_floats
from mobile.lowering.floats import ArrangeFloats
from mobile.lowering.lower_floats import lower_floats
from shared.importers.graph import TracedGraph


def net(name):
    torch.manual_seed(0)
    make, shape = NETS[name]
    tokens = name in ("encoder", "decoder")
    return make().eval(), torch.arange(50)[None, :12] if tokens else shape


@pytest.mark.parametrize("name", NETS)
def test_a_net_of_every_operator_equals_torch(name):
    module, example = net(name)
    compiled = compile_floats(module, [example], np.random.default_rng(0), count=3)
    assert max(compiled.errors.values()) <= 1e-5


# What may follow each other in a chain of images (C, H, W), whatever their size.
STEPS = {
    "shuffle": lambda x: functional.pixel_shuffle(torch.cat([x, x * 2, x - 1, -x], 1), 2),
    "unshuffle": lambda x: functional.pixel_unshuffle(functional.interpolate(x, size=(4, 6)), 2),
    "larger": lambda x: functional.interpolate(x, size=(5, 7), mode="bilinear"),
    "turned": lambda x: x.transpose(2, 3),
    "turned over": lambda x: x.permute(0, 3, 1, 2)[:, :6],
    "rolled": lambda x: x.roll(1, 3) + x,
    "halves": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "some": lambda x: x[:, -3:, 1:, ::2],
    "gate": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "mean": lambda x: x - x.mean(1, keepdim=True),
    "attention": lambda x: ((x @ x.transpose(-2, -1)) * 0.3).softmax(-1) @ x,
    "norm": lambda x: functional.layer_norm(x, x.shape[-1:]),
    "gelu": functional.gelu,
    "clamped": lambda x: (x * 0.7).clamp(-1, 1),
    "leaky": lambda x: functional.leaky_relu(x, 0.1) / 2,
}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=5), min_size=4, max_size=4))
def test_chains_of_any_operators_equal_torch(chains):
    def every(_, x):
        ends = []
        for chain in chains:
            y = x
            for step in chain:
                y = STEPS[step](y)
            ends.append(y)
        return tuple(ends)

    compiled = compile_floats(Function(every), [(4, 5, 6)], np.random.default_rng(0), count=2)
    assert max(compiled.errors.values()) <= 1e-5


def test_a_sum_lies_as_images_do_and_its_terms_are_arranged_once():
    """A pixel shuffle added to an interpolation is moved to the pixels of the other term, not both to the shuffle."""
    make, shape = NETS["bicubic anchor"]
    lowered = lower_floats(TracedGraph.of(make().eval(), shape))
    assert sum(isinstance(call, ArrangeFloats) for call in lowered.calls) == 1


def test_a_row_of_a_table_is_that_of_the_nearest_number_that_it_has():
    table = nn.Embedding(7, 20)
    compiled = compile_floats(table, [torch.arange(7)[None]], np.random.default_rng(0), count=1)
    [rows] = compiled.net(np.array([[-5, 0, 6, 7, np.inf, -np.inf, np.nan]]))
    assert (rows[0] == table.weight.detach().numpy()[[0, 0, 6, 6, 6, 0, 0]]).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _, x: torch.cumsum(x, 1), "cumsum 'cumsum' has no kernel of floats: leave it to the host"),
        (lambda _, x: x / x, "truediv 'truediv' has no kernel of floats: give it one number"),
        (lambda _, x: torch.add(x, x, alpha=2), "add 'add' has no kernel of floats: leave out alpha"),
        (lambda _, x: x.mean(0), "mean 'mean' has no kernel of floats: it takes the mean over samples"),
        (lambda _, x: x.masked_fill(x > 0, 0.0), "masked_fill 'masked_fill' has no kernel|gt 'gt' has no kernel"),
        (lambda _, x: functional.avg_pool2d(x, 2), "avg_pool2d 'avg_pool2d' has no kernel of floats: use a pool that"),
    ],
)
def test_what_has_no_kernel_is_named_with_the_way_out(function, message):
    with pytest.raises(ValueError, match=message):
        compile_floats(Function(function), [(3, 4, 4)], np.random.default_rng(0))


def test_a_decoder_with_a_cache_of_keys_and_values_equals_the_whole_decoder():
    torch.manual_seed(0)
    whole = Language(True).eval()
    words = torch.randint(50, (1, 12))
    word, window = words[:, :1], (12,)
    kept = (2, 12, 32)
    examples = [word, torch.arange(12)[None, :1], window, kept, kept]
    step = compile_floats(DecoderStep(whole), examples, np.random.default_rng(0), count=2)
    expected = whole(words).detach().numpy()
    keys, values = np.zeros((1, *kept)), np.zeros((1, *kept))
    for place in range(12):
        mask = np.where(np.arange(12) < 11 - place, -np.inf, 0.0)[None]
        logits, keys, values = step.net(words[:, place, None].numpy(), np.array([[place]]), mask, keys, values)
        assert np.abs(logits[0, 0] - expected[0, place]).max() <= 1e-5 * np.abs(expected).max()
