"""Readouts in words: every score is what the words say, computed from the probabilities of the basis states."""

import numpy as np
import pytest
import torch

from quantum.circuits.readout import Readout, per_class
from quantum.circuits.readout_text import in_words, parse_readout

WIRES = 3


def probabilities(seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(2**WIRES), size=5))


def scores(readout: Readout) -> np.ndarray:
    return readout.logits(probabilities() @ readout.parities(WIRES).T).numpy()


def mean(of) -> np.ndarray:
    """The mean of `of(bits)` over the measured bits, bit 0 of a state first."""
    values = [of([state >> wire & 1 for wire in range(WIRES)]) for state in range(2**WIRES)]
    return (probabilities() @ torch.tensor(values, dtype=torch.float64)).numpy()


def z(*wires: int):
    return lambda bits: (-1) ** sum(bits[wire] for wire in wires)


READOUTS = {
    "Z0, Z1, Z2": [z(0), z(1), z(2)],
    "Z0Z2, z1, parity": [z(0, 2), z(1), z(0, 1, 2)],
    "Z0+Z1, 0.5*Z2 - 0.25, Z1*Z1": [
        lambda b: z(0)(b) + z(1)(b),
        lambda b: 0.5 * z(2)(b) - 0.25,
        lambda b: 1.0,
    ],
    "001, 110, x0x": [
        lambda b: float(b == [1, 0, 0]),
        lambda b: float(b == [0, 1, 1]),
        lambda b: float(b[1] == 0),
    ],
    "000+111, 001+010+100, 011+101+110": [
        lambda b: float(sum(b) in (0, 3)),
        lambda b: float(sum(b) == 1),
        lambda b: float(sum(b) == 2),
    ],
}


@pytest.mark.parametrize("text", READOUTS)
def test_a_score_is_what_its_words_say(text):
    expected = np.stack([mean(of) for of in READOUTS[text]], axis=1)
    np.testing.assert_allclose(scores(parse_readout(text, WIRES, ("a", "b", "c"))), expected, atol=1e-12)


@pytest.mark.parametrize("text", ["Z0", "parity", "-Z1", "Z0*Z1 + 0.1"])
def test_one_score_of_two_classes_decides_by_its_sign(text):
    first, second = scores(parse_readout(text, WIRES, ("a", "b"))).T
    np.testing.assert_allclose(first, -second)
    np.testing.assert_allclose(scores(parse_readout(text, WIRES, ("-1", "1"))).T, [second, first])
    assert (first > second).tolist() == (scores(parse_readout(f"{text}, 0.0*Z0", WIRES, ("a", "b")))[:, 0] > 0).tolist()


def test_default_readouts_in_words():
    assert in_words(per_class(4, 2), ("no", "yes")) == "no: <Z0> + <Z1>; yes: <Z2> + <Z3>"
    assert in_words(parse_readout("-0.5*Z0Z1+0.1, Z0", 2, ("a", "b")), ("a", "b")) == "a: 0.1 - 0.5 <Z0Z1>; b: <Z0>"
    bits = parse_readout("0000,1111", 4, ("a", "b"))
    assert in_words(bits, ("a", "b")) == "a: a sum of 16 parities; b: a sum of 16 parities"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "readout '': 'an empty score' is not a term: write Z0"),
        ("Z0,", "'an empty score' is not a term"),
        ("X0", "readout 'X0': '0' is not a term|must have 3 bits"),
        ("Z0 Z1 foo", "readout 'Z0 Z1 foo': 'foo' is not a term: write Z0, Z0\\*Z1, parity, a bit string such as 000"),
        ("Z3", "readout 'Z3': Z3 on a circuit of 3 wires: use Z0 to Z2"),
        ("Z0,Z1,Z2", "has 3 scores for 2 classes \\(a, b\\): give one for each, separated by commas"),
        ("00,11", "'00' must have 3 bits, one for each wire"),
        ("111", "has 1 score for 2 classes"),
        ("xxx,111", "'xxx' must have 3 bits"),
        ("0.5,0.1", "reads no wire: name one, such as Z0"),
        ("Z0-", "'-' is not a term"),
        ("2Z0", "is not a term"),
    ],
)
def test_text_that_is_no_readout_says_why(text, message):
    with pytest.raises(ValueError, match=message):
        parse_readout(text, WIRES, ("a", "b"))
