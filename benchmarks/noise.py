"""Noise reports: the exact engine against Aer, compressed circuits against dense ones and ZNE, and energies.

`python -m benchmarks.noise [--quick] [--seed N] [--json FILE]`

One cell is one part: the engine's speed and agreement, one seed of digits 0-3, one energy, or one width. Circuits are
chosen on validation data alone; the test part of each split is read once. The ZNE figures need mitiq.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from pydantic import Field
from qiskit_aer import AerSimulator

from quantum.ansatz import ansatz
from quantum.baselines import random_starts
from quantum.budget import parse
from quantum.circuit import Circuit, Gate
from quantum.compvqc import CompVQC
from quantum.data import load
from quantum.encode import angle
from quantum.energy import Energy, energy_task, hamiltonian
from quantum.energy import subject as energy_subject
from quantum.noise import trajectories
from quantum.noise.channels import Noise
from quantum.noise.robustness import REPEATS, SCALES, SHOTS, counts, curve, robustness
from quantum.noise.schedule import padded
from quantum.noise.subject import Subject, classifier, measure
from quantum.noise.zne import ZNE
from quantum.target import device
from quantum.tasks import classification
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Table, cite, mean, plain
from shared.lab.benchmark import Measure, main

PROBLEMS = ("tfim4", "h2")
WIDTHS = (4, 6, 8, 10)
SEEDS = 5
HELD_OUT = 100
"""Seeds below this one are for development."""

TWOQ_CUT = 0.4
"""Energies are compressed to at most this share less of the reference's two-qubit gates."""


class Part(Settings):
    """One measurement."""

    part: str = Field(default="speed", description="speed, digits, energy or width")
    problem: str = Field(default="digits4", description="a data set or a Hamiltonian")
    inputs: int = Field(default=1000, description="inputs of the speed part")
    wires: int = Field(default=4, description="of the width part")
    starts: int = Field(default=6, description="trained starts")
    zne: bool = Field(default=False, description="whether mitiq was there")


class NoiseBenchmark(Experiment[Part]):
    name = "noise-benchmark"
    version = 1
    summary = "The exact engine against Aer; compressed circuits against dense ones and ZNE under noise; energies."
    settings = Part

    def run(self, cell: Part, context: Context) -> Mapping[str, JSON]:
        torch.set_num_threads(1)
        parts: dict[str, Callable[[Part, Context], dict[str, JSON]]] = {
            "speed": speed,
            "digits": digits,
            "energy": energy,
            "width": width,
        }
        return parts[cell.part](cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (row.settings["part"], row.settings["problem"], cite(row.seed, row), key, cite(value, row, form=".4g"))
            for row in rows
            for key, value in row.result.items()
            if isinstance(value, int | float)
        ]
        return Page(
            "Noise benchmark", self.summary, (Table("Numbers", ("part", "problem", "seed", "name", "value"), lines),)
        )


def cells(quick: bool, seed: int) -> Sequence[Part]:
    zne = find_spec("mitiq") is not None
    if quick:
        return [
            Part(inputs=50, seed=seed),
            Part(part="digits", problem="iris", starts=1, seed=HELD_OUT + seed, zne=zne),
            Part(part="width", wires=4, seed=seed),
        ]
    return [
        Part(seed=seed),
        *(Part(part="digits", seed=HELD_OUT + seed + k, zne=zne) for k in range(SEEDS)),
        *(Part(part="energy", problem=name, seed=HELD_OUT + seed + k) for name in PROBLEMS for k in range(SEEDS)),
        *(Part(part="width", wires=wires, seed=seed) for wires in WIDTHS),
    ]


# The parts --------------------------------------------------------------------------------------------------------


def speed(cell: Part, context: Context) -> dict[str, JSON]:
    """The same exact probabilities by the engine and by Aer's density matrices with bound parameters."""
    body = ansatz("seismic")
    weights = context.rng.uniform(-np.pi, np.pi, body.weights)
    data = load(cell.problem, cell.seed)
    part = data.train
    x = part.x[torch.arange(cell.inputs) % len(part.x)] + torch.tensor(context.rng.normal(0, 0.1, (cell.inputs, 16)))
    case = classifier("dense", body.bind(weights.tolist()), data.test, 4, device("nairobi"), simplify=False)
    [noisy] = case.noisy()
    _ = noisy.probabilities(x[:2])  # what is computed once for a circuit, and the caches of both, are not timed
    ours, seconds = _best_of(3, lambda: noisy.probabilities(x).numpy())
    context.progress(1, 2, "Aer")
    theirs, aer_seconds = _best_of(3, _aer(noisy, x))
    return {
        "engine_s": seconds,
        "aer_s": aer_seconds,
        "max_abs_error": float(np.abs(ours - theirs).max()),
        "twoq": case.settings[0].compiled.twoq,
    }


def _best_of(times: int, compute: Callable[[], Any]) -> tuple[Any, float]:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        found = compute()
        spent.append(time.perf_counter() - began)
    return found, min(spent)


def _aer(noisy: Any, x: torch.Tensor) -> Callable[[], np.ndarray]:
    """A run of Aer's fastest way, ready to be timed: one circuit, `parameter_binds`, `density_matrix`."""
    qubits = trajectories.used(noisy.circuit, noisy.wires)
    circuit = padded(noisy.circuit, noisy.device, noisy.sources)
    small = trajectories.relaxed(trajectories.compact(circuit, qubits), noisy.device, qubits)
    small.save_probabilities([qubits.index(qubit) for qubit in noisy.wires])
    model = trajectories.noise_model(noisy.device, qubits)
    simulator = AerSimulator(method="density_matrix", noise_model=model)
    binds = [{p: x[:, p.index].tolist() for p in small.parameters}]
    flips = [Noise(noisy.device).flips(qubit) for qubit in noisy.wires]

    def run() -> np.ndarray:
        result = simulator.run([small], parameter_binds=binds).result()
        out = np.stack([result.data(k)["probabilities"] for k in range(len(x))])
        for wire, (up, down) in enumerate(flips):
            out = out.reshape(len(x), -1, 2, 2**wire)
            zero, one = out[:, :, 0], out[:, :, 1]
            out = np.stack([(1 - up) * zero + down * one, up * zero + (1 - down) * one], axis=2)
        return out.reshape(len(x), -1)

    return run


def digits(cell: Part, context: Context) -> dict[str, JSON]:
    """Dense, dense after lossless rewriting, compressed, and ZNE of the dense circuit, on one split."""
    data, target = load(cell.problem, cell.seed), device("nairobi")
    generator = torch.Generator().manual_seed(int(context.rng.integers(2**63)))
    task = classification(ansatz("seismic"), data)
    context.progress(0, 3, "training")
    starts = task.train(random_starts(task, cell.starts, generator))
    context.progress(1, 3, "compressing")
    found = CompVQC().compress(task, target, parse("drop<=0.01"), starts, generator)
    context.progress(2, 3, "under noise")
    dense = task.circuit.bind(found.dense.weights[: task.circuit.weights].tolist())
    small = found.task.circuit.bind(found.best.weights.tolist())
    classes = len(data.classes)
    cases = {
        "dense": classifier("dense", dense, data.test, classes, target, seeds=range(20), simplify=False),
        "lossless": classifier("lossless", dense, data.test, classes, target, seeds=range(20)),
        "compressed": classifier("compressed", small, data.test, classes, target, seeds=range(20)),
    }
    out: dict[str, JSON] = {"samples": len(data.test.y)}
    for name, case in cases.items():
        out[name] = _under_noise(case, context.rng)
    if cell.zne:
        out["zne"] = _extrapolated(cases["dense"], context.rng)
    return out


def _under_noise(case: Subject, rng: np.random.Generator) -> dict[str, JSON]:
    outcomes = {scale: case.outcomes(scale) for scale in (1.0, 2.0)}
    return {
        "scales": plain(curve(case, SCALES)),
        "shots": {
            f"{scale:g}": {str(n): [case.score.value(measure(found, n, rng)) for _ in range(REPEATS)] for n in SHOTS}
            for scale, found in outcomes.items()
        },
        "twoq": counts(case)["twoq"],
        "esp": counts(case)["esp"],
    }


def _extrapolated(case: Subject, rng: np.random.Generator) -> dict[str, JSON]:
    """For each way of extrapolating, scores at scales 1 and 2 and N shots in all."""
    return {
        method: {
            f"{scale:g}": {str(n): ZNE(inference=method).scores(case, n, REPEATS, rng, scale) for n in SHOTS}
            for scale in (1.0, 2.0)
        }
        for method in ("richardson", "linear")
    }


def energy(cell: Part, context: Context) -> dict[str, JSON]:
    """EfficientSU2 with full entanglement against a compressed line, both trained, and their energies under noise."""
    problem, target = hamiltonian(cell.problem), device("nairobi")
    generator = torch.Generator().manual_seed(int(context.rng.integers(2**63)))
    context.progress(0, 2, "training the reference")
    reference = energy_task(efficient_su2_full(problem.wires), problem)
    weights = _best(reference, reference.train(random_starts(reference, cell.starts, generator)))
    dense = energy_subject("EfficientSU2", reference.state(weights), problem, target, seeds=range(20))
    context.progress(1, 2, "compressing a line")
    task = energy_task(ansatz("line", problem.wires, 2), problem)
    starts = task.train(random_starts(task, cell.starts, generator))
    whole = sum(gate.arity == 2 for gate in reference.circuit.gates)
    budget = parse(f"twoq<={int(whole * (1 - TWOQ_CUT))}")
    found = CompVQC().compress(task, target, budget, starts, generator)
    grown = found.task
    assert isinstance(grown, Energy)
    ours = energy_subject("compressed", grown.state(found.best.weights), problem, target, seeds=range(20))
    low = problem.range[0]

    def error(case: Subject, scale: float) -> float:
        return case.score.value(case.expectations(scale)) - low

    return {
        "reference_twoq": counts(dense)["twoq"] // len(dense.settings),
        "twoq": max(setting.compiled.twoq for setting in ours.settings),
        "reference_error": error(dense, 0.0),
        "error": error(ours, 0.0),
        "reference_noisy_error": error(dense, 1.0),
        "noisy_error": error(ours, 1.0),
    }


def efficient_su2_full(wires: int, layers: int = 3) -> Circuit:
    """Qiskit's `efficient_su2(wires, entanglement="full", reps=layers)`."""
    weight = iter(range(10**6))
    gates: list[Gate] = []
    for layer in range(layers + 1):
        gates += [Gate(name, (wire,), weight=next(weight)) for name in ("ry", "rz") for wire in range(wires)]
        if layer < layers:
            gates += [Gate("cx", (a, b)) for a in range(wires) for b in range(a + 1, wires)]
    return Circuit(wires, tuple(gates))


@torch.no_grad()
def _best(task: Energy, trained: torch.Tensor) -> torch.Tensor:
    return min(trained, key=lambda weights: float(task.energy(weights)))


def width(cell: Part, context: Context) -> dict[str, JSON]:
    """The time of one whole report, 200 inputs, four measured wires, on Torino."""
    body = ansatz("line", cell.wires, 2)
    weights = context.rng.uniform(-np.pi, np.pi, body.weights)
    data = load("digits4", cell.seed)
    part = type(data.train)(data.train.x[:200], data.train.y[:200])
    whole = angle(cell.wires, data.features) + body.bind(weights.tolist())
    case = classifier("line", whole, part, 4, device("torino"), seeds=(0,))
    began = time.perf_counter()
    found = robustness(case, context.rng)
    return {
        "wires": cell.wires,
        "report_s": time.perf_counter() - began,
        "twoq": found["counts"]["twoq"],
        "attributed": found["attribution"] is not None,
    }


# The figures ------------------------------------------------------------------------------------------------------


def figures(rows: Sequence[Row]) -> Mapping[str, Measure]:
    by = {part: [row.result for row in rows if row.settings["part"] == part] for part in ("speed", "digits", "width")}
    energies = [row.result for row in rows if row.settings["part"] == "energy"]
    wide = [result for result in by["width"] if result["wires"] == max(r["wires"] for r in by["width"])]
    speeds = by["speed"][0] if by["speed"] else None
    return {
        "speedup_vs_aer": Measure(speeds and speeds["aer_s"] / speeds["engine_s"], unit="x", goal=">= 100"),
        "max_abs_error_vs_aer": Measure(speeds and speeds["max_abs_error"], goal="<= 1e-6"),
        "acc_gain_scale2": _points(by["digits"], lambda r: _gain(r, 2.0), ">= 5"),
        "acc_gain_scale4": _points(by["digits"], lambda r: _gain(r, 4.0), ">= 20"),
        "acc_gain_100shots": _points(by["digits"], lambda r: _gain_at_shots(r, "100"), ">= 3"),
        "acc_gain_scale2_vs_lossless": _points(by["digits"], lambda r: _gain(r, 2.0, "lossless"), ""),
        "acc_gain_scale4_vs_lossless": _points(by["digits"], lambda r: _gain(r, 4.0, "lossless"), ""),
        "dz_ratio": _over(
            by["digits"], lambda r: _at(r["dense"], 1.0)["shift"] / _at(r["compressed"], 1.0)["shift"], ">= 2"
        ),
        **{
            f"vs_zne_{method}_scale{scale}_{shots}": _points(
                [r for r in by["digits"] if "zne" in r],
                lambda r, m=method, s=scale, n=shots: _against_zne(r, m, str(s), str(n)),
                ">= 0" if method == "richardson" else "",
            )
            for method in ("richardson", "linear")
            for scale in (1, 2)
            for shots in SHOTS
        },
        "vqe_twoq_cut": _over(energies, lambda r: 100 * (1 - r["twoq"] / r["reference_twoq"]), ">= 40", "%"),
        "vqe_noisy_error_ratio": _over(energies, lambda r: r["reference_noisy_error"] / r["noisy_error"], ">= 2"),
        "vqe_error_mean": _over(energies, lambda r: r["error"], ""),
        "vqe_reference_error_mean": _over(energies, lambda r: r["reference_error"], ""),
        "qubits_10_seconds": Measure(wide[0]["report_s"] if wide and wide[0]["wires"] == 10 else None, unit="s"),
    }


def _at(result: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    return next(point for point in result["scales"] if point["scale"] == scale)


def _gain(result: Mapping[str, Any], scale: float, other: str = "dense") -> float:
    """Points of test accuracy that the compressed circuit is ahead."""
    ahead = _at(result["compressed"], scale)["score"] - _at(result[other], scale)["score"]
    return 100 * float(ahead) / result["samples"]


def _gain_at_shots(result: Mapping[str, Any], shots: str) -> float:
    ours, theirs = (result[name]["shots"]["1"][shots] for name in ("compressed", "dense"))
    return 100 * (sum(ours) - sum(theirs)) / len(ours) / result["samples"]


def _against_zne(result: Mapping[str, Any], method: str, scale: str, shots: str) -> float:
    ours, theirs = result["compressed"]["shots"][scale][shots], result["zne"][method][scale][shots]
    return 100 * (sum(ours) - sum(theirs)) / len(ours) / result["samples"]


def _points(results: Sequence[Mapping[str, Any]], value: Callable[[Any], float], goal: str) -> Measure:
    return _over(results, value, goal, "points")


def _over(results: Sequence[Mapping[str, Any]], value: Callable[[Any], float], goal: str, unit: str = "") -> Measure:
    """The mean over seeds with its interval."""
    values = [value(result) for result in results]
    if len(values) < 2:
        return Measure(values[0] if values else None, unit=unit, goal=goal)
    return Measure(*mean(values), unit=unit, goal=goal)


if __name__ == "__main__":
    main(NoiseBenchmark(), cells, figures)
