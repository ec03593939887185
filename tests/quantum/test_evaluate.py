"""Scores are of the compiled circuit itself: exact compilation changes none, noise and approximation show."""

import json
import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from circuit_cases import draw_weights

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import angle
from quantum.compilation.compile import deploy
from quantum.compilation.controls import CONTROLS
from quantum.compvqc.evaluate import Evaluation
from quantum.devices.target import device
from quantum.noise.engine.noisy import NoisyCircuit
from quantum.tasks.classification import Classification, classification
from quantum.tasks.data import PARTS, Data, Part

IDEAL = "cz,rz,sx,x@line:3"


def data(samples: int = 25) -> Data:
    generator = torch.Generator().manual_seed(0)
    parts = [
        Part(math.pi * torch.rand(samples, 4, generator=generator, dtype=torch.float64), torch.arange(samples) % 3)
        for _ in PARTS
    ]
    return Data("small", ("a", "b", "c"), *parts, "0" * 64)


@cache
def task(kind: str) -> Classification:
    block = ansatz("line", 3, 1)
    if kind != "reading":
        return classification(block, data(), encoding=kind)
    own = Circuit(3, tuple(replace(gate, weight=gate.weight + block.weights) for gate in block.gates))
    return classification(angle(3, 4) + block + angle(3, 4) + own, data(), encoding="own")


KINDS = ("angle", "amplitude", "reading")


def scored(kind: str, where: str, seed: int = 1) -> tuple[dict, torch.Tensor]:
    of, target = task(kind), device(where)
    weights = draw_weights(of.circuit, seed)
    return Evaluation(of, target).scores(*deploy(of.circuit.bind(weights.tolist()), of.readout, target)), weights


@pytest.mark.parametrize("kind", KINDS)
def test_an_exact_compilation_scores_as_its_weights_do(kind):
    scores, weights = scored(kind, "nairobi")
    assert scores["correct"] == {part: task(kind).correct(weights, part) for part in PARTS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_control_is_read_by_the_task_s_own_parities(kind):
    of = task(kind)
    weights = draw_weights(of.circuit, 2)
    compiled = CONTROLS["pytket"].compile(of.circuit.bind(weights.tolist()), device(IDEAL))
    scores = Evaluation(of, device(IDEAL)).scores(compiled, of.readout)
    assert scores["correct"] == {part: of.correct(weights, part) for part in PARTS}


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_nothing_shifts_and_with_it_something_does(kind):
    ideal, _ = scored(kind, IDEAL)
    assert ideal["shift"] < 1e-12
    assert ideal["noisy_correct"] == ideal["correct"]["test"]
    assert ideal["esp"] == 1
    noisy, _ = scored(kind, "nairobi")
    assert 0.01 < noisy["shift"] < 0.5
    assert noisy["esp"] < 1


def test_noise_is_the_device_s_own_on_the_test_part():
    of, target = task("angle"), device("nairobi")
    weights = draw_weights(of.circuit, 1)
    compiled, readout = deploy(of.circuit.bind(weights.tolist()), of.readout, target)
    values = [
        NoisyCircuit(compiled.circuit, target, compiled.measured, scale=scale).expectations(
            readout, None, of.states["test"]
        )
        for scale in (0.0, 1.0)
    ]
    scores = Evaluation(of, target).scores(compiled, readout)
    right = readout.logits(values[1]).argmax(-1) == of.labels["test"]
    assert scores["noisy_correct"] == int(right.sum())
    assert scores["shift"] == pytest.approx(float((values[1] - values[0]).abs().mean()), abs=1e-12)


def test_what_a_compiler_changed_shows():
    """The circuit of other weights scores as those, whatever the task was trained to."""
    of, target = task("angle"), device(IDEAL)
    for seed in range(3, 6):
        other = draw_weights(of.circuit, seed)
        compiled, readout = deploy(of.circuit.bind(other.tolist()), of.readout, target)
        scores = Evaluation(of, target).scores(compiled, readout)
        assert scores["correct"] == {part: of.correct(other, part) for part in PARTS}


def test_counts_are_the_compiled_circuit_s_and_all_of_it_is_json():
    of, target = task("angle"), device("nairobi")
    compiled, readout = deploy(of.circuit.bind(draw_weights(of.circuit, 1).tolist()), of.readout, target)
    scores = Evaluation(of, target).scores(compiled, readout)
    for count in ("twoq", "depth", "depth_no_rz", "twoq_depth", "esp", "duration_ns"):
        assert scores[count] == getattr(compiled, count)
    assert json.loads(json.dumps(scores)) == scores
