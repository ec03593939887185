"""Noise reports: curves that agree with the engine, and an attribution that equals switching noise off."""

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit_aer import AerSimulator

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.readout import Readout, per_class
from quantum.compilation.compile import compile_circuit
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit
from quantum.noise.attribution import KINDS, attribution
from quantum.noise.engine import trajectories
from quantum.noise.engine.heisenberg import contraction_plan, expectations
from quantum.noise.engine.schedule import padded
from quantum.noise.robustness import SCALES, curve, robustness
from quantum.noise.workload import Accuracy, MeasurementSetting, Workload, classifier, measure, state_workload
from quantum.tasks.data import Part


def samples(count: int = 6, columns: int = 8, seed: int = 0) -> Part:
    rng = np.random.default_rng(seed)
    return Part(torch.tensor(rng.uniform(0, math.pi, (count, columns))), torch.tensor(rng.integers(0, 4, count)))


@cache
def workload(name: str = "line", target: str = "nairobi", layers: int = 2, seed: int = 0) -> Workload:
    circuit = ansatz(name, layers=layers)
    weights = np.random.default_rng(seed).uniform(-3, 3, circuit.weights)
    return classifier(name, circuit.bind(weights), samples(seed=seed), 4, device(target), seeds=(0,))


def switched_off(case: Workload, quiet) -> torch.Tensor:
    """The parities with the noise of some parts off, straight from the channels."""
    (circuit,), (setting,) = case.noisy(), case.settings
    steps = [(part._replace(error=None) if quiet(k, part) else part).step() for k, part in enumerate(circuit.parts)]
    strings = [tuple(circuit.wires[wire] for wire in string) for string in setting.readout.strings]
    return expectations(contraction_plan(steps, {q for string in strings for q in string}), strings, case.x.double())


@pytest.mark.parametrize(
    ("name", "target"), [("line", "nairobi"), ("seismic", "torino"), ("real_amplitudes", "manila")]
)
def test_every_gate_equals_switching_it_off(name, target):
    case = workload(name, target, layers=1)
    report, ideal, noisy = attribution(case), case.expectations(0.0), case.expectations()
    assert report["shift"] == pytest.approx(float((noisy - ideal).abs().mean()))
    towards = torch.sign(ideal - noisy)
    for gate in report["gates"]:
        without = switched_off(case, lambda k, part, gate=gate: k == gate["index"])
        assert gate["gain"] == pytest.approx(float((towards * (without - noisy)).mean()), abs=1e-12)
    noise = [part for part in case.noisy()[0].parts if part.error is not None]
    assert [gate["name"] for gate in report["gates"]] == [part.name for part in noise]


def test_qubits_and_kinds_equal_switching_them_off():
    case = workload()
    report, ideal = attribution(case), case.expectations(0.0)

    def left(quiet) -> float:
        return float((switched_off(case, quiet) - ideal).abs().mean())

    for qubit, gain in report["qubits"].items():
        assert gain == pytest.approx(report["shift"] - left(lambda k, part, q=int(qubit): q in part.qubits), abs=1e-12)
    for kind, gain in report["kinds"].items():
        assert gain == pytest.approx(report["shift"] - left(lambda k, part, kind=kind: KINDS[kind](part)), abs=1e-12)
    assert left(lambda k, part: True) == pytest.approx(0.0, abs=1e-12)
    assert set(map(int, report["qubits"])) >= set(case.noisy()[0].wires)


def test_attribution_in_turns(monkeypatch):
    whole = attribution(workload())
    monkeypatch.setattr("quantum.noise.attribution.MEMORY", 1)
    for ours, theirs in zip(attribution(workload())["gates"], whole["gates"], strict=True):
        assert ours["gain"] == pytest.approx(theirs["gain"], abs=1e-14)


def test_a_circuit_too_wide_has_no_attribution(monkeypatch):
    monkeypatch.setattr("quantum.noise.attribution.EXACT_NUMBERS", 16)
    assert attribution(workload()) is None


def test_the_curve_is_the_engine_at_each_scale():
    case = workload()
    ideal = case.expectations(0.0)
    for point in curve(case, SCALES):
        values = case.expectations(point["scale"])
        assert point["shift"] == pytest.approx(float((values - ideal).abs().mean()))
        assert point["score"] == int((values.argmax(-1) == case.score.labels).sum())
    shifts = [point["shift"] for point in curve(case, SCALES)]
    assert shifts[0] == 0.0
    assert shifts == sorted(shifts)


def test_the_noisy_score_is_aers():
    """The whole way, from data to the number of samples right, with Aer's shots instead of our engine."""
    case = workload()
    (noisy,) = case.noisy()
    qubits = trajectories.used(noisy.circuit, noisy.wires)
    small = trajectories.relaxed(
        trajectories.compact(padded(noisy.circuit, noisy.device), qubits), noisy.device, qubits
    )
    small.save_probabilities([qubits.index(q) for q in noisy.wires])
    simulator = AerSimulator(method="density_matrix", noise_model=trajectories.noise_model(noisy.device, qubits))
    binds = [{p: case.x[:, p.index].tolist() for p in small.parameters}]
    result = simulator.run([small], parameter_binds=binds).result()
    raw = torch.tensor(np.stack([result.data(k)["probabilities"] for k in range(len(case.x))]))
    flips = [trajectories.Noise(noisy.device).readout(q) for q in noisy.wires]
    z = raw @ per_class(4, 4).parities(4).T
    z = torch.stack([flip[3, 0] + flip[3, 3] * z[:, k] for k, flip in enumerate(flips)], dim=1)
    torch.testing.assert_close(case.expectations(), z, rtol=0, atol=1e-6)
    assert case.score.value(z) == curve(case, [1.0])[0]["score"]


def test_margins_are_the_right_score_less_the_best_other():
    readout = Readout(((0,), (1,), (2,)), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), scale=4.0)
    score = Accuracy(readout, torch.tensor([0, 2]))
    values = torch.tensor([[0.5, 0.2, -0.1], [0.4, 0.0, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(score.margins(values), torch.tensor([0.3, -0.3], dtype=torch.float64))
    assert (score.value(values), score.total) == (1.0, 2)


@given(st.integers(0, 50), st.sampled_from([1, 7, 100]))
@settings(deadline=None, max_examples=10)
def test_shots_come_from_the_generator_alone(seed, shots):
    outcomes = workload().outcomes()
    first, again = (measure(outcomes, shots, np.random.default_rng(seed)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close((first * shots).round(), first * shots, rtol=0, atol=1e-9)


def test_many_shots_reach_the_exact_score():
    case = workload()
    values = measure(case.outcomes(), 10**7, np.random.default_rng(0))
    torch.testing.assert_close(values, case.expectations(), rtol=0, atol=2e-3)


def test_the_report_draws_its_shots_at_the_devices_own_noise():
    circuit = ansatz("line", layers=2)
    body = circuit.bind(np.random.default_rng(0).uniform(-3, 3, circuit.weights))
    report = robustness(
        state_workload("plain", body, device("nairobi"), seeds=(0,)),
        np.random.default_rng(0),
        shots=(10**7,),
        repeats=2,
    )
    score = {point["scale"]: point["score"] for point in report["scales"]}
    assert abs(score[1.0] - score[0.0]) > 0.01
    assert report["shots"][0]["scores"] == pytest.approx([score[1.0]] * 2, abs=1e-3)


def test_two_bases_share_the_shots():
    case = workload()
    twice = replace(case, settings=case.settings * 2)
    torch.testing.assert_close(twice.expectations(), torch.cat([case.expectations()] * 2, dim=1))
    assert measure(twice.outcomes(), 100, np.random.default_rng(0)).shape == (6, 8)
    assert {gate["setting"] for gate in attribution(twice)["gates"]} == {0, 1}
    assert attribution(twice)["shift"] == pytest.approx(attribution(case)["shift"])
    with pytest.raises(ValueError, match="shots=1: at least 2 are needed, one for each basis"):
        measure(twice.outcomes(), 1, np.random.default_rng(0))


def test_a_report_is_json_and_the_same_again():
    first, again = (robustness(workload(), np.random.default_rng(3), repeats=2) for _ in range(2))
    assert json.loads(json.dumps(first)) == first == again
    assert [len(point["scores"]) for point in first["shots"]] == [2, 2, 2]
    assert first["counts"]["twoq"] == workload().settings[0].compiled.twoq
    assert 0 < first["counts"]["esp"] < 1


def test_amplitude_encoding_starts_from_the_states():
    part = samples()
    part = Part(part.x, part.y % 3)
    case = classifier("a", ansatz("line", 3, 1).bind([0.3] * 20), part, 3, device("nairobi"), encoding="amplitude")
    assert case.states.shape == (6, 8)
    assert attribution(case)["shift"] == pytest.approx(curve(case, [1.0])[0]["shift"])


def test_own_features_are_found():
    own = Circuit(2, (Gate("ry", (0,), feature=1), Gate("cx", (0, 1))))
    part = samples()
    case = classifier("own", own, Part(part.x, part.y % 2), 2, device("nairobi"), simplify=False)
    compiled = compile_circuit(to_qiskit(own), device("nairobi"), range(8))
    torch.testing.assert_close(
        replace(case, settings=(MeasurementSetting(compiled, case.settings[0].readout),)).expectations(),
        case.expectations(),
    )


def test_simplifying_keeps_the_ideal_values_and_not_the_noise():
    weights = np.random.default_rng(1).uniform(-3, 3, 80)
    body, part, nairobi = ansatz("seismic").bind(weights), samples(), device("nairobi")
    short, plain = (classifier("c", body, part, 4, nairobi, seeds=(0,), simplify=choice) for choice in (True, False))
    logits = [case.score.readout.logits(case.expectations(0.0)) for case in (short, plain)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-9)
    assert short.settings[0].compiled.twoq < plain.settings[0].compiled.twoq


def test_another_calibration_of_the_same_circuit():
    case = workload(target="jakarta")
    other = case.on(device("nairobi"))
    assert other.settings is case.settings
    assert (case.expectations(0.0) - other.expectations(0.0)).abs().max() < 1e-12
    assert (case.expectations() - other.expectations()).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"has no 'cx' on qubits|is not a gate of"):
        case.on(device("torino")).expectations()


def test_bad_subjects():
    circuit, part, nairobi = ansatz("line", layers=1).bind([0.1] * 30), samples(), device("nairobi")
    with pytest.raises(ValueError, match="encoding 'basis' is unknown: use one of auto, angle, amplitude, own"):
        classifier("c", circuit, part, 4, nairobi, encoding="basis")
    own = Circuit(4, (Gate("ry", (0,), feature=9), *circuit.gates))
    with pytest.raises(ValueError, match="c reads feature 9, but the data has columns 0 to 7"):
        classifier("c", own, part, 4, nairobi)
    with pytest.raises(ValueError, match="c reads 10 features itself: use encoding own, not angle"):
        classifier("c", own, part, 4, nairobi, encoding="angle")
    with pytest.raises(ValueError, match="the readout of c has 2 classes, the data 4"):
        classifier("c", circuit, part, 4, nairobi, readout=per_class(4, 2))
    with pytest.raises(ValueError, match="a circuit of 8 qubits does not fit fake_nairobi, which has 7"):
        classifier("c", ansatz("line", 8, 1).bind([0.1] * 60), samples(columns=8), 4, nairobi)
