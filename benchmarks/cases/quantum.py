"""Cases of the folder `quantum`, and those files of circuits, devices and data that the folder `reliability` has."""

import json
import runpy
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.cases.case import Case, Wrong, expect, qwedge, refused

QUICK = ("--set", "transpiler_seeds=1", "--set", "scales=[0]", "--set", "shots=[]", "--quiet", "--json")


def _noise(folder: Path, *words: str | Path) -> dict:
    """The result of the one row of `qwedge noise`, on files named by their place in `folder`."""
    with tempfile.TemporaryDirectory() as place:
        ended = qwedge("noise", *words, *QUICK, "--out", Path(place) / "out", folder=folder)
    if ended.code:
        raise Wrong(ended.err.strip().splitlines()[-1])
    return json.loads(ended.out)["rows"][0]["result"]


def _noise_refused(file: str, words: Sequence[str | Path], said: Sequence[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        refused(qwedge("noise", *words, "--out", Path(place) / "out", folder=folder, cpu_s=60), file, *said)
        if any(Path(place).iterdir()):
            raise Wrong("something was written")


def _own_columns(folder: Path) -> None:
    result = _noise(folder, "case01.qasm", "--target", "nairobi", "--data", "case01.csv")
    share = result["report"]["scales"][0]["score"] / result["report"]["total"]
    if share < 0.9 or not any("as they are" in note for note in result["notes"]):
        raise Wrong(f"{share:.1%}, notes {result['notes']}")


def _script(file: str, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(folder / file))


def _labels(folder: Path) -> None:
    from quantum.tasks.data import load

    classes = {load(str(folder / f"case04.{kind}"), 0).classes for kind in ("csv", "npz")}
    if classes != {("8", "9", "10")}:
        raise Wrong(str(classes))


def _compiled(kind: str, folder: Path) -> None:
    from quantum.interop import read

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wires = read(folder / f"case06.{kind}").circuit.wires
    if wires != 4:
        raise Wrong(f"{wires} wires")


def _folds(folder: Path) -> None:
    result = _noise(folder, "case07.qasm", "--target", "nairobi", "--set", "simplify=false")
    if (twoq := result["report"]["counts"]["twoq"]) != 18:
        raise Wrong(f"{twoq} two-qubit gates")


def _trained(folder: Path) -> None:
    from quantum.compvqc.experiment import CompVQC, CompVQCSettings

    CompVQC().cells(CompVQCSettings(circuit=str(folder / "case08.qasm"), task="iris"))


def _long_t2(folder: Path) -> None:
    result = _noise(folder, folder / "case12.qasm", "--target", "case11.json")
    if not any("T2 is above 2 T1" in note for note in result["notes"]):
        raise Wrong(f"read without a note: {result['notes']}")


def _reset(folder: Path) -> None:
    _noise(folder, "case12.qasm", "--target", "nairobi")


def _semicolons(folder: Path) -> None:
    from quantum.tasks.data import load

    if (classes := load(str(folder / "case15.csv"), 0).classes) != ("a", "b"):
        raise Wrong(str(classes))


def _empty_cell(folder: Path) -> None:
    circuit = folder / "case12.qasm"
    _noise_refused("case16.csv", (circuit, "--data", "case16.csv"), ("is empty", "write a number there"), folder)


def _circuit_refused(file: str, said: Sequence[str], folder: Path) -> None:
    _noise_refused(file, (folder.parent / "reliability" / file,), said, folder)


def _data_refused(file: str, said: Sequence[str], folder: Path) -> None:
    data = folder.parent / "reliability" / file
    _noise_refused(file, (folder / "case12.qasm", "--data", data), said, folder)


def _device_refused(file: str, said: Sequence[str], folder: Path) -> None:
    target = folder.parent / "reliability" / file
    _noise_refused(file, (folder / "case12.qasm", "--target", target), said, folder)


def _feature_map(folder: Path) -> None:
    """Products of features are read, and computed as Qiskit computes them."""
    import numpy as np
    import torch
    from qiskit.circuit.library import zz_feature_map
    from qiskit.quantum_info import Statevector

    from quantum.interop.qiskit import from_qiskit
    from quantum.simulation.simulate import evolve, zero_state

    with expect("read"):
        theirs, row = zz_feature_map(4, reps=1), [0.3, -1.2, 2.0, 0.7]
        circuit, weights = from_qiskit(theirs)
        data = torch.tensor([row], dtype=torch.float64)
        ours = evolve(circuit, torch.tensor(weights), data, zero_state(1, 4))[0].numpy()
        overlap = abs(np.vdot(Statevector(theirs.assign_parameters(row)).data, ours)) ** 2
    if abs(overlap - 1) > 1e-9:
        raise Wrong(f"fidelity {overlap}")
    _script("case10.py", folder)


GATES, LINE = ("more than 20000 gates",), "one line, exit code 2, at once"
CASES: list[Case] = [
    Case("01 own columns", "94 % on the columns as they are", _own_columns),
    Case("02 weights in a sequence", "fidelity 1", partial(_script, "case02.py")),
    Case("04 labels that are numbers", "8, 9, 10 from CSV and NPZ", _labels),
    Case("06 compiled circuit, QPY", "4 wires", partial(_compiled, "qpy")),
    Case("06 compiled circuit, OpenQASM 3", "4 wires", partial(_compiled, "qasm")),
    Case("07 folds", "18 two-qubit gates", _folds),
    Case("08 parameters without a value", "trained", _trained),
    Case("10 products of features", "fidelity 1", _feature_map),
    Case("11 T2 above 2 T1", "cut with a note", _long_t2),
    Case("12 reset at the start", "read", _reset),
    Case("15 semicolons", "read", _semicolons),
    Case("16 an empty cell", "a line that says how", _empty_cell),
    Case("reliability 01 blank lines", LINE, partial(_circuit_refused, "case01_blank_lines.qasm", ())),
    Case("reliability 02 broadcasts, 2", LINE, partial(_circuit_refused, "case02_broadcast2.qasm", GATES)),
    Case("reliability 02 broadcasts, 3", LINE, partial(_circuit_refused, "case02_broadcast3.qasm", GATES)),
    Case("reliability 03 controls", LINE, partial(_circuit_refused, "case03_ctrl_chain.qasm", ("at most 4 controls",))),
    Case("reliability 11 encrypted", LINE, partial(_data_refused, "case11_encrypted.npz", ("encrypted",))),
    Case("reliability 13 complex", LINE, partial(_data_refused, "case13_complex.npz", ("complex",))),
    Case("reliability 14 a lie", LINE, partial(_data_refused, "case14_lie.npz", ("it claims the shape",))),
    Case("reliability 16 QPY", LINE, partial(_circuit_refused, "case16_qpy01.qpy", ("cannot be read",))),
    Case("reliability 19 device 1", LINE, partial(_device_refused, "case19_device01.json", ("is missing",))),
    Case("reliability 19 device 2", LINE, partial(_device_refused, "case19_device02.json", ("basis[0]",))),
    Case("reliability 19 device", LINE, partial(_device_refused, "case19_device_min.json", ("basis[4]=5",))),
]
