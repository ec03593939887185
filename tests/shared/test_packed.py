"""A packed program has the numbers of the program, in about as many bytes as their entropy."""

import numpy as np
import pytest
from integer_programs import PROGRAMS, S8

from shared.integer import Constant, Input, Linear, Program, Requantise
from shared.integer.format import Format
from shared.integer.packed import pack, unpack


def linear(integers, format=S8):
    """One layer of these weights."""
    weight = Constant(np.asarray(integers), format)
    return Program((Input("x", weight.integers.shape[1:], S8),), (Linear(("x",), "y", weight),), ("y",))


@pytest.mark.parametrize("construct", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_is_read_back_into_another_one_of_the_same_layers(construct):
    program, other = construct(0), construct(1)
    assert unpack(pack(program), other) == program != other


@pytest.mark.parametrize(("word", "least", "most"), [(2, 0.25, 0.31), (4, 0.5, 0.53), (8, 1.0, 1.03)])
def test_random_weights_take_their_bits_and_hardly_more(word, least, most):
    rng = np.random.default_rng(0)
    program = linear(rng.integers(-(2 ** (word - 1)), 2 ** (word - 1), (64, 128)), Format(word, 2))
    assert least <= len(pack(program)) / 8192 <= most


def test_zeros_cost_next_to_nothing():
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 8, (64, 128)) * (rng.random((64, 128)) < 0.05)
    # Their entropy is 0.48 bits: 0.29 say whether a weight is there, and 0.05 times 4 which it is.
    assert len(pack(linear(weights, Format(4, 2)))) < 1.5 * 8192 * 0.48 / 8


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"\xff" * 40])
def test_bytes_that_are_no_packed_program_are_refused(damage):
    program = linear(np.arange(64).reshape(8, 8))
    with pytest.raises(ValueError, match=r"^\d+ bytes are no packed program: "):
        unpack(damage(pack(program)), program)


def test_a_program_of_other_layers_is_refused():
    small, large = linear(np.ones((2, 3), int)), linear(np.ones((3, 3), int))
    with pytest.raises(
        ValueError, match=r"^the packed program has 8 bytes of numbers, which those layers do not have$"
    ):
        unpack(pack(small), large)


def test_constants_of_few_bits_are_coded_together():
    """A stream that changes between them would cost each its model."""
    rng = np.random.default_rng(0)
    layers, last = [], "x"
    for index in range(8):
        word = 8 if index % 2 else 4
        weight = Constant(rng.integers(-(2 ** (word - 1)), 2 ** (word - 1), (32, 32)), Format(word, 2))
        layers += [Linear((last,), f"s{index}", weight), Requantise((f"s{index}",), f"y{index}", S8)]
        last = f"y{index}"
    program = Program((Input("x", (32,), S8),), tuple(layers), (last,))
    assert unpack(pack(program), program) == program
    assert len(pack(program)) < 1.04 * 4 * 32 * 32 * (1 + 0.5)
