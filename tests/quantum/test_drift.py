"""Calibrations that drift: valid every day, seeded, and a repository that finds the right circuit for each."""

import json
import time
from functools import cache

import numpy as np
import pytest
import torch

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.devices.target import device, to_json
from quantum.noise.drift import Drift, drift, history, summary
from quantum.noise.energy import energy_workload
from quantum.noise.engine.channels import Noise
from quantum.noise.engine.pauli import choi
from quantum.noise.repository import Repository, calibration, kept_days, repository
from quantum.noise.workload import Workload, classifier
from quantum.tasks.data import Part
from quantum.tasks.energy import tfim

DAYS = 30


@cache
def synthetic(seed: int = 0, count: int = DAYS, **how: float):
    return Drift(**how).days(device("nairobi"), count, np.random.default_rng(seed))


@cache
def workload(layers: int = 1, seed: int = 0) -> Workload:
    rng = np.random.default_rng(seed)
    circuit = ansatz("line", layers=layers)
    part = Part(torch.tensor(rng.uniform(0, np.pi, (8, 4))), torch.tensor(rng.integers(0, 4, 8)))
    body = circuit.bind(rng.uniform(-3, 3, circuit.weights))
    return classifier(f"{layers} layers", body, part, 4, device("nairobi"), seeds=(0,))


def test_the_same_seed_gives_the_same_history():
    again = Drift().days(device("nairobi"), DAYS, np.random.default_rng(0))
    assert [day.sha256 for day in synthetic()] == [day.sha256 for day in again]
    assert len({day.sha256 for day in [*synthetic(0), *synthetic(1)]}) == 2 * DAYS


def test_every_day_is_a_device_with_the_same_gates():
    start = device("nairobi")
    for day in synthetic():
        assert set(day.target.operation_names) == set(start.target.operation_names)
        assert day.target.build_coupling_map() == start.target.build_coupling_map()
        for channel in (Noise(day).gate("cx", (0, 1)), Noise(day, 4.0).gate("cx", (1, 3))):
            assert torch.linalg.eigvalsh(choi(channel)).min() > -1e-10
        assert day.target["cx"][(0, 1)].error / start.target["cx"][(0, 1)].error == pytest.approx(
            day.target["cx"][(1, 0)].error / start.target["cx"][(1, 0)].error
        )


def test_the_walk_has_its_spread_and_its_memory():
    how = {"spread": 0.3, "memory": 0.8, "jump": 0.0}
    days = synthetic(3, 200, **how)
    start = calibration(device("nairobi"))
    names = [name for name in start if name.startswith("T1")]
    walk = np.array([[calibration(day)[name] - start[name] for name in names] for day in days])
    assert walk.std() == pytest.approx(0.3, rel=0.15)
    assert np.corrcoef(walk[:-1].ravel(), walk[1:].ravel())[0, 1] == pytest.approx(0.8, abs=0.08)


def test_jumps_raise_errors_by_their_factor():
    still = {"spread": 0.0, "memory": 0.0, "jump": 0.1, "factor": 5.0}
    start = device("nairobi").target["cx"][(0, 1)].error
    ratios = {round(day.target["cx"][(0, 1)].error / start, 6) for day in synthetic(0, 60, **still)}
    assert ratios == {1.0, 5.0}


def test_what_failed_is_repaired_in_two_days_on_average():
    """Each failure lasts one day, two with probability 1/2, and so on; unrepaired, every gate would fail in the end."""
    still = {"spread": 0.0, "memory": 0.0, "jump": 0.05, "factor": 5.0}
    start = device("nairobi").target
    days = synthetic(1, 120, **still)
    edges = [(0, 1), (1, 2), (1, 3), (3, 5), (4, 5), (5, 6)]
    failed = np.array([[day.target["cx"][e].error / start["cx"][e].error > 2 for e in edges] for day in days])
    lasts = [len(run) for edge in failed.T for run in "".join("01"[int(f)] for f in edge).split("0") if run]
    assert np.mean(lasts) == pytest.approx(2, abs=0.5)
    assert failed.mean() == pytest.approx(0.05 / (0.05 + 0.5 * 0.95), abs=0.04)


def test_no_drift_is_the_calibration_itself():
    [day] = synthetic(0, 1, spread=0.0, jump=0.0)
    assert calibration(day) == pytest.approx(calibration(device("nairobi")))
    with pytest.raises(ValueError, match="days=0: a history has at least 1 day"):
        Drift().days(device("nairobi"), 0, np.random.default_rng(0))


def test_a_folder_of_snapshots_is_a_history(tmp_path):
    with pytest.raises(ValueError, match="has no snapshots: add the calibration of each day"):
        history(tmp_path)
    for day in reversed(synthetic(0, 3)):
        (tmp_path / f"{day.name}.json").write_text(to_json(day))
    assert [day.sha256 for day in history(tmp_path)] == [day.sha256 for day in synthetic(0, 3)]
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not JSON"):
        history(tmp_path)


def test_drift_is_the_circuit_on_each_day():
    days = drift(workload(), synthetic())
    assert len({day["shift"] for day in days}) == DAYS
    for point, day in zip(days[:3], synthetic(), strict=False):
        case = workload().on(day)
        assert point["shift"] == pytest.approx(float((case.expectations() - case.expectations(0.0)).abs().mean()))
        assert point["score"] == case.score.value(case.expectations())


def test_a_summary_of_days():
    days = [
        {"name": str(k), "sha256": "", "score": score, "shift": 0.1} for k, score in enumerate((9.0, 8.0, 5.0, 6.0))
    ]
    point = summary(days, 10)
    assert (point["days"], point["mean"], point["worst"]) == (4, 7.0, 5.0)
    assert point["above"] == {"0.8": 1, "0.7": 2, "0.5": 3}
    assert summary(days, None, least_is_best=True)["worst"] == 9.0
    assert summary(days, None)["above"] is None


def one_wire(wire: int) -> Workload:
    """A model whose answer depends on one qubit alone: right as long as that one keeps its excitation."""
    circuit = Circuit(7, (Gate("x", (wire,)),))
    part = Part(torch.zeros(4, 1).double(), torch.zeros(4, dtype=torch.int64))
    readout = per_wire(wire)
    return classifier(f"on {wire}", circuit, part, 2, device("nairobi"), encoding="own", readout=readout, seeds=(0,))


def per_wire(wire: int):
    from quantum.circuits.readout import Readout

    return Readout(((wire,), ()), ((-1.0, 0.0), (0.0, 0.8)))  # class 0 while <Z> < -0.8


def test_the_repository_picks_the_model_whose_qubit_is_good_today():
    """Two models on two qubits; on each day one of the two qubits reads badly."""
    models = {"a": one_wire(0), "b": one_wire(1)}
    wires = {name: model.noisy()[0].wires[k] for k, (name, model) in enumerate(models.items())}
    assert wires["a"] != wires["b"]
    days, good = [], []
    for k, base in enumerate(synthetic(0, 20, spread=0.05, jump=0.0)):
        worse = "a" if k % 2 else "b"
        plain = json.loads(to_json(base))
        for name, qubit in wires.items():
            plain["qubits"][qubit]["readout_error"] = 0.3 if name == worse else 0.01
        days.append(_from_plain(plain))
        good.append("b" if worse == "a" else "a")
    built = repository(models, days[:16], 2, np.random.default_rng(0))
    assert [built.pick(day)["model"] for day in days] == good
    assert set(built.models) == {"a", "b"}
    for day in days[:16]:
        choice = built.pick(day)
        assert choice["distance"] <= choice["radius"] + 1e-12
        assert choice["score"] == 4.0


def _from_plain(plain):
    from quantum.devices.qiskit_target import to_target
    from quantum.devices.snapshot import from_plain

    return device(to_target(from_plain(plain, "day")))


def test_of_energies_the_lower_one_is_picked():
    problem = tfim(2)
    bodies = {"up": Circuit(2, (Gate("x", (0,)),)), "down": Circuit(2, ())}  # <ZZ> = -1 and +1, of a coupling of -1
    models = {
        name: energy_workload(name, body, problem, device("nairobi"), seeds=(0,)) for name, body in bodies.items()
    }
    built = repository(models, synthetic(0, 4), 2, np.random.default_rng(0))
    assert set(built.models) == {"down"}
    assert max(built.scores) < 0


def test_a_history_is_known_first_and_new_later():
    past, later = kept_days(synthetic(0, 10))
    assert [day.name for day in (*past, *later)] == [day.name for day in synthetic(0, 10)]
    assert (len(past), len(later)) == (6, 4)
    with pytest.raises(ValueError, match="2 days: a choice between circuits needs at least 3, of which 2"):
        kept_days(synthetic(0, 2))


def test_a_look_up_takes_less_than_a_second():
    built = repository({"1": workload(1), "2": workload(2, 1)}, synthetic(), 5, np.random.default_rng(0))
    today = synthetic(1)[0]
    began = time.perf_counter()
    choice = Repository.from_json(built.to_json()).pick(today)
    assert time.perf_counter() - began < 1
    assert choice["model"] in ("1", "2")


def test_a_repository_reads_back():
    built = repository({"1": workload(1)}, synthetic(), 3, np.random.default_rng(0))
    again = Repository.from_json(built.to_json())
    assert all(again.pick(day) == built.pick(day) for day in synthetic(1))
    assert again.to_json() == built.to_json()
    with pytest.raises(ValueError, match="the text is not a repository: 'format' is missing"):
        Repository.from_json("{}")
    with pytest.raises(ValueError, match="format='2' is unknown"):
        Repository.from_json('{"format": "2"}')


def test_a_repository_is_of_one_device():
    built = repository({"1": workload(1)}, synthetic(0, 3), 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"fake_manila has no .*: the repository was built for another device"):
        built.pick(device("manila"))
    with pytest.raises(ValueError, match="0 models, 1 days and 0 clusters: at least 1, 2 and 1 are needed"):
        repository({}, synthetic(0, 1), 0, np.random.default_rng(0))
