"""`qwedge noise`: from circuit files to a page; whatever is wrong with them is one line."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from quantum import notes_kept
from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.encode import angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import per_class
from quantum.devices.target import device, to_json
from quantum.interop import openqasm, qpy
from quantum.noise.drift import Drift
from quantum.noise.engine.channels import Noise
from quantum.noise.repository import Repository
from quantum.tasks.energy import energy_task, hamiltonian
from qwedge.cli import main
from shared.lab import Row, Store

QUICK = ("--no-zne", "--set", "transpiler_seeds=1", "--set", "repeats=2", "--quiet")

ORIGIN = {"command": "", "started": "", "cpu": "", "commit": None, "wall_s": 0.0}


@pytest.fixture
def noise(call, monkeypatch, tmp_path):
    """Runs `qwedge noise` here, in a folder with some circuits: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    for name, layers, version in (("dense", 2, 3), ("small", 1, 2)):
        circuit = ansatz("line", layers=layers)
        weights = np.random.default_rng(0).uniform(-3, 3, circuit.weights)
        (tmp_path / f"{name}.qasm").write_text(openqasm.dumps(circuit, list(weights), version))
    whole = angle(4, 16) + ansatz("line", layers=1)
    (tmp_path / "own.qpy").write_bytes(qpy.dumps(whole, [0.3] * whole.weights))
    (tmp_path / "own.qasm").write_text(openqasm.dumps(whole, [0.3] * whole.weights))
    return lambda *words: call("noise", *words)


def test_one_circuit_gives_tables_page_rows_and_plots(noise, tmp_path):
    code, out, err = noise("dense.qasm", "--data", "digits4", "--out", "report", *QUICK)
    plots = ", ".join(f"report/{name}.{kind}" for name in ("noise", "sources") for kind in ("svg", "png"))
    assert (code, err) == (0, f"page: report/index.html\nfigures: {plots}\n")
    for title in (
        "Against noise: accuracy",
        "Against shots: accuracy",
        "As compiled",
        "Where the error comes from, by kind",
    ):
        assert title in out
    assert {path.name for path in (tmp_path / "report").iterdir()} == (
        {"rows.jsonl", "index.html", "noise.svg", "noise.png", "sources.svg", "sources.png"}
    )
    [row] = Store("report").rows()
    assert [point["scale"] for point in row.result["report"]["scales"]] == [0, 0.5, 1, 2, 4]
    assert row.result["report"]["total"] == 180
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<h1>Noise robustness</h1>" in page
    assert page.count("<figure>") == 2
    assert not re.search(r'(src|href)="https?:', page)


def test_several_circuits_of_several_kinds_are_compared(noise):
    words = ("dense.qasm", "small.qasm", "own.qpy", "own.qasm")
    code, out, _ = noise(*words, "--data", "digits4", "--json", *QUICK)
    assert code == 0
    printed = json.loads(out)
    assert [row["result"]["name"] for row in printed["rows"]] == ["dense", "small", "own", "own"]
    assert "side by side" in Path(printed["page"]).read_text()
    qasm, binary = printed["rows"][3]["result"]["report"], printed["rows"][2]["result"]["report"]
    assert [p["score"] for p in qasm["scales"]] == [p["score"] for p in binary["scales"]]
    assert [Row(**row) for row in printed["rows"]] == Store("runs/noise").rows()


def test_days_of_drift_and_a_folder_of_snapshots(noise, tmp_path):
    words = ("small.qasm", "--data", "digits4", "--json", *QUICK)
    row = json.loads(noise(*words, "--days", "3")[1])["rows"][0]
    assert [day["name"][-6:] for day in row["result"]["drift"]] == ["airobi", "day001", "day002", "day003"]
    folder = tmp_path / "days"
    folder.mkdir()
    for k, day in enumerate(Drift().days(device("nairobi"), 2, np.random.default_rng(0))):
        (folder / f"2026-01-0{k + 1}.json").write_text(to_json(day))
    code, out, _ = noise("small.qasm", "--target", "days", "--data", "digits4", "--out", "r", *QUICK)
    assert code == 0
    assert "Day by day" in out
    assert len(Store("r").rows()[0].result["drift"]) == 2
    (folder / "2026-01-03.json").write_text(to_json(device("nairobi")))
    noise("small.qasm", "--target", "days", "--data", "digits4", "--out", "r", *QUICK)
    assert len(Store("r").rows()) == 2
    code, _, err = noise("small.qasm", "--target", "days", "--days", "2")
    assert (code, err) == (2, "qwedge: days=2: days is a folder of days: set days=0, or name one device as target\n")


def test_extrapolation_shows_its_scores(noise):
    code, out, _ = noise("small.qasm", "--data", "iris", *QUICK, "--zne")
    assert code == 0
    assert "small, extrapolated" in out
    assert [p["shots"] for p in Store("runs/noise").rows()[0].result["zne"]["shots"]] == [100, 1000, 4000]


FOLDED = (
    """OPENQASM 3.0;
include "stdgates.inc";
qubit[3] q;
gate u3q a, b, c { h a; cx a, b; cx b, c; rz(0.3) c; ry(0.4) a; }
u3q q[0], q[1], q[2];
"""
    + "BARRIER inv @ u3q q[0], q[1], q[2]; BARRIER u3q q[0], q[1], q[2];\n" * 4
)
"""Folded to nine times its length, with or without barriers between."""


def twoq_and_notes(circuit: str, *words: str) -> tuple[int, list[str]]:
    from quantum.noise.experiment import Noise, NoiseSettings, workload
    from shared.lab import read_settings

    [cell] = Noise().cells(read_settings(NoiseSettings, None, [f'circuits=["{circuit}"]', *words]))
    with notes_kept() as notes:
        case = workload(cell, device(cell.target), seeds=(0,))
    return case.settings[0].compiled.twoq, notes


def test_a_folded_circuit_keeps_its_folds_as_given(noise):
    for name, barrier in (("barriers", "barrier q;"), ("plain", "")):
        Path(f"{name}.qasm").write_text(FOLDED.replace("BARRIER", barrier))
        assert twoq_and_notes(f"{name}.qasm", 'compilers=["as_given"]') == (18, [])
    assert twoq_and_notes("barriers.qasm", "simplify=false") == (18, [])
    twoq, [note] = twoq_and_notes("plain.qasm", "simplify=false")
    assert twoq < 18
    assert note == f"the transpiler made {twoq} two-qubit gates of the 18 of plain: --as-given keeps every gate"
    _, [note] = twoq_and_notes("barriers.qasm")
    assert note.startswith("barriers has 8 barriers, which the exact rewriting does not keep: --as-given keeps them")
    words = ("--as-given", "--set", "scales=[1]", "--set", "shots=[]", "--json", "--out", "r")
    [row] = json.loads(noise("barriers.qasm", *words, *QUICK)[1])["rows"]
    assert row["result"]["report"]["counts"]["twoq"] == 18


def test_a_delay_of_the_circuits_own_is_waited_for_as_given(noise):
    """T1 from a file: X, a delay, and <Z> in closed form."""
    t1 = device("nairobi").target.qubit_properties[0].t1
    wait = f"delay[{t1 * 1e6:.6f}us] q;"
    Path("wait.qasm").write_text(f'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit q;\nx q;\n{wait}\nid q;\n')
    from quantum.noise.experiment import NoiseSettings, workload

    cell = NoiseSettings(circuits=("wait.qasm",), compilers=("as_given",))
    [value] = workload(cell, device("nairobi"), seeds=(0,)).expectations()[0].tolist()
    up, down = Noise(device("nairobi")).flips(0)
    expected = (1 - up - down) * (1 - 2 * np.exp(-1)) + down - up
    assert value == pytest.approx(expected, abs=0.005)  # less the errors of two gates


def test_again_adds_nothing_and_the_command_of_a_row_makes_it(noise, capsys):
    import shlex

    noise("small.qasm", "--data", "digits4", "--seed", "3", "--out", "a", *QUICK)
    before = Path("a/rows.jsonl").read_bytes()
    noise("small.qasm", "--data", "digits4", "--seed", "3", "--out", "a", *QUICK)
    assert Path("a/rows.jsonl").read_bytes() == before
    [row] = Store("a").rows()
    main([*shlex.split(row.command)[1:], "--out", "b", "--quiet"])
    [again] = Store("b").rows()
    assert (again.id, again.result) == (row.id, row.result)


def test_without_data_it_reads_z(noise):
    code, out, _ = noise("small.qasm", "--json", *QUICK)
    assert code == 0
    report = json.loads(out)["rows"][0]["result"]["report"]
    assert (report["unit"], report["total"]) == ("mean <Z>", None)
    assert report["scales"][0]["margin"] is None


def test_an_untrained_ansatz_by_its_name(noise):
    words = ("--json", "--set", "scales=[1]", "--set", "shots=[]", *QUICK)
    first, again, other = (
        json.loads(noise("line", "--seed", seed, "--out", out, *words)[1])["rows"][0]["result"]["report"]
        for seed, out in (("1", "a"), ("1", "b"), ("2", "c"))
    )
    assert first == again != other


def test_a_stored_row_brings_its_circuits_its_data_and_its_seed(noise):
    store = Store("runs/compvqc")
    artefacts = {
        "dense.qasm": store.put(Path("own.qasm").read_bytes()),
        "compressed.qasm": store.put(Path("own.qasm").read_bytes()),
        "compiled.qasm": store.put(b"on qubits of the device"),
    }
    settings = {"task": "digits4", "encoding": "angle"}
    store.append(Row("abc123", "compvqc", 1, settings, 5, {}, artefacts, ORIGIN))
    code, out, err = noise("runs/compvqc/abc", "--json", "--out", "r", *QUICK)
    assert (code, err) == (0, "")
    rows = json.loads(out)["rows"]
    controls = ["abc dense, o3_approximate", "abc dense, pytket_approximate"]
    assert [row["result"]["name"] for row in rows] == ["abc dense", *controls, "abc compressed"]
    assert {(row["settings"]["data"], row["seed"]) for row in rows} == {("digits4", 5)}
    assert noise("runs/compvqc/abc:compressed.qasm", "--data", "digits4", "--seed", "5", "--out", "r", *QUICK)[0] == 0
    assert len(Store("r").rows()) == 4
    code, _, err = noise("runs/compvqc/abc:nothing.qasm", "--out", "r2")
    assert (code, err.count("\n")) == (2, 1)
    assert "row abc123 has no artefact nothing.qasm; it has compiled.qasm, compressed.qasm, dense.qasm" in err


def test_the_compressed_circuit_of_a_row_is_read_as_the_row_says(noise):
    """A CX before the measurement became a parity; without its readout the circuit would classify other things."""
    body = ansatz("line", layers=1)
    bound = body.bind(np.random.default_rng(0).uniform(-3, 3, body.weights))
    bound = Circuit(4, (*bound.gates, Gate("cx", (0, 1)), Gate("x", (2,))))
    short, readout = lossless(bound, per_class(4, 4))
    assert readout != per_class(4, 4)
    known = {"parities": readout.strings, "weights": readout.weights, "scale": readout.scale}
    store = Store("runs/compvqc")
    artefacts = {
        "compressed.qasm": store.put(openqasm.dumps(angle(4, 16) + short).encode()),
        "dense.qasm": store.put(openqasm.dumps(angle(4, 16) + bound).encode()),
        "readout.json": store.put(json.dumps(known).encode()),
    }
    store.append(Row("abc123", "compvqc", 1, {"task": "digits4"}, 5, {}, artefacts, ORIGIN))
    words = ("--set", "scales=[0]", "--set", "shots=[]", "--json")
    rows = json.loads(noise("runs/compvqc/abc", *words, "--out", "r", *QUICK)[1])["rows"]
    dense, *_, compressed = (row["result"]["report"]["scales"][0] for row in rows)
    assert dense["margin"] == pytest.approx(compressed["margin"], abs=1e-9)
    assert dense["score"] == compressed["score"]


@pytest.mark.parametrize(("problem", "wires"), [("tfim4", 4), ("h2", 4), ("maxcut6", 6)])
def test_an_energy_instead_of_labels(noise, problem, wires):
    circuit = ansatz("line", wires, 1)
    weights = np.random.default_rng(0).uniform(-3, 3, circuit.weights)
    Path("state.qasm").write_text(openqasm.dumps(circuit, list(weights)))
    code, out, err = noise("state.qasm", "--data", problem, "--json", *QUICK)
    assert (code, err) == (0, "")
    [row] = json.loads(out)["rows"]
    expected = float(energy_task(circuit, hamiltonian(problem)).energy(torch.tensor(weights)))
    report = row["result"]["report"]
    assert (report["unit"], report["total"]) == ("energy", None)
    assert report["scales"][0]["score"] == pytest.approx(expected, abs=1e-9)
    assert row["result"]["energy"]["lowest"] == pytest.approx(hamiltonian(problem).range[0])
    page = Path("runs/noise/index.html").read_text()
    assert f"{problem}: lowest energy, {hamiltonian(problem).unit}" in page
    code, _, err = noise("own.qasm", "--data", problem, "--out", "r")
    assert (code, err.count("\n")) == (2, 1)
    assert f"{problem} needs a bound circuit on {wires} wires" in err


def test_compilers_beside_one_another_the_exact_ones_alike_without_noise(noise):
    words = ("--data", "digits4", "--set", 'compilers=["o3","pytket","pytket_approximate"]', "--set", "simplify=false")
    rows = json.loads(noise("dense.qasm", *words, "--set", "scales=[0]", "--set", "shots=[]", "--json", *QUICK)[1])
    margins = {row["result"]["name"]: row["result"]["report"]["scales"][0]["margin"] for row in rows["rows"]}
    assert margins["dense, pytket"] == pytest.approx(margins["dense"], abs=1e-9)
    assert margins["dense, pytket_approximate"] != pytest.approx(margins["dense"], abs=1e-9)


def test_a_tuned_circuit_beside_the_one_given(noise):
    words = ("--data", "digits4", "--set", "tune=[0,1]", "--set", "scales=[0,1]", "--set", "shots=[]", "--json", *QUICK)
    rows = json.loads(noise("small.qasm", *words)[1])["rows"]
    assert [row["result"]["name"] for row in rows] == ["small", "small, tuned at 1"]
    given, tuned = (row["result"]["report"] for row in rows)
    assert given["counts"] == tuned["counts"]
    assert tuned["scales"][1]["score"] > given["scales"][1]["score"]  # the weights of small.qasm were never trained
    for data, message in (("none", "small has no task to train"), ("tfim4", "small is measured in 2 bases")):
        code, _, err = noise("small.qasm", "--data", data, "--set", "tune=[1]", "--out", "r")
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_over_days_one_of_several_circuits_is_chosen(noise):
    words = ("small.qasm", "dense.qasm", "--data", "digits4", "--days", "8", "--set", "scales=[1]", "--set", "shots=[]")
    code, out, _ = noise(*words, *QUICK)
    assert code == 0
    assert "Calibration clusters" in out
    rows = Store("runs/noise").rows()
    [choice] = [row for row in rows if "kinds" in row.result]
    drifts = {row.result["name"]: row.result["drift"] for row in rows if "drift" in row.result}
    assert choice.result["known"] == 6
    assert [day["day"] for day in choice.result["later"]] == [day["name"] for day in drifts["small"][6:]]
    for name, scores in choice.result["scores"].items():
        assert scores == [day["score"] for day in drifts[name][6:]]
    kept = Repository.from_json(Store("runs/noise").get(choice.artefacts["repository.json"]).decode())
    assert kept.models == tuple(kind["model"] for kind in choice.result["kinds"])
    code, out, _ = noise(*words, "--set", "each=false", *QUICK)
    assert code == 0
    assert "Against noise" not in out
    assert Store("runs/noise").rows() == rows
    code, _, err = noise(*words[:1], *words[2:], "--set", "each=false", *QUICK)
    assert (code, err.count("\n")) == (2, 1)
    assert "each=false: a selection needs several circuits or tunings for one task, and 3 days or more" in err


def snapshot(**changes) -> str:
    data = json.loads(to_json(device("nairobi")))
    for place, value in changes.items():
        list_, index, field = place.split("__")
        if value is None:
            del data[list_][int(index)]
        else:
            data[list_][int(index)][field] = value
    return json.dumps(data)


BAD_CIRCUITS = {
    "not OpenQASM": ("hello world", r"the circuit bad\.qasm: OpenQASM line 1: "),
    "empty": ("", "the circuit bad.qasm: OpenQASM line 1: the text is empty"),
    "mid-circuit": (
        'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; measure q[0] -> c[0]; x q[0];',
        "qubit 0 is measured and then used by 'x': only measurements at the end are supported",
    ),
    "reset": ('OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; x q[0]; reset q[0];', "qubit 0 is reset"),
    "unknown gate": ('OPENQASM 2.0; include "qelib1.inc"; qreg q[1]; foo q[0];', "'foo' is not defined"),
    "too wide": (
        'OPENQASM 2.0; include "qelib1.inc"; qreg q[8]; h q;',
        "a circuit of 8 qubits does not fit fake_nairobi, which has 7",
    ),
    "a parameter without a value": (
        'OPENQASM 3.0; include "stdgates.inc"; input float theta; qubit[2] q; rx(theta) q[0];',
        "parameter 'theta' in 'rx' on [0] has no value",
    ),
    "features without data": (
        'OPENQASM 3.0; include "stdgates.inc"; input float x0; qubit[2] q; rx(x0) q[0];',
        "bad reads 1 features: name the data set they come from, such as digits4",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_CIRCUITS.values(), ids=BAD_CIRCUITS)
def test_a_bad_circuit_is_one_line_and_writes_nothing(noise, text, message):
    Path("bad.qasm").write_text(text)
    code, out, err = noise("bad.qasm", "--out", "report")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err or re.search(message, err)
    assert not Path("report").exists()


BAD_SNAPSHOTS = {
    "T2 above 2 T1": (snapshot(qubits__1__t2_us=1e6), "qubits[1].t2_us=1e+06 is above 2 T1"),
    "an error above 1": (snapshot(qubits__2__readout_error=1.5), "qubits[2].readout_error=1.5 must be between 0 and 1"),
    "a gate's error below 0": (snapshot(gates__0__error=-0.1), ".error=-0.1 must be between 0 and 1"),
    "a missing qubit": (snapshot(qubits__6__t1_us=None), "qubit 6 is missing, the device has 0 to 5"),
    "not JSON": ("{", "is not JSON"),
}


@pytest.mark.parametrize(("text", "message"), BAD_SNAPSHOTS.values(), ids=BAD_SNAPSHOTS)
def test_a_bad_snapshot_is_one_line_that_names_the_field(noise, text, message):
    Path("device.json").write_text(text)
    code, out, err = noise("small.qasm", "--target", "device.json", "--out", "report")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "device.json" in err
    assert message in err
    assert not Path("report").exists()


def test_other_bad_input(noise):
    for words, message in (
        (("none.qasm",), "the circuit none.qasm cannot be read: No such file or directory; name a .qasm or .qpy file"),
        (("small.qasm", "--target", "nairoby"), "target 'nairoby' is unknown: did you mean nairobi"),
        (("small.qasm", "--data", "digits5"), "data 'digits5' is neither a file nor one of digits36"),
        (("small.qasm", "--data", "digits4", "--encoding", "basis"), "encoding 'basis' is unknown"),
        (("small.qasm", "--encoding", "basis"), "encoding 'basis' is unknown"),
        (("small.qasm", "--columns", "raw"), "columns 'raw' is unknown"),
        (("small.qasm", "--set", "scales=[-1]"), "scale=-1.0: the noise scale is a number >= 0"),
        (("small.qasm", "--set", 'compilers=["llvm"]'), "compiler 'llvm' is unknown: use one of o3, o3_approximate"),
        (("small.qasm", "--set", "shots=[0]"), "shots=0: at least 1 are needed"),
        ((), "Missing argument 'CIRCUIT...'"),
    ):
        code, _, err = noise(*words, "--out", "report")
        assert (code, err.count("\n")) == (2, 1), err
        assert message in err
        assert not Path("report").exists()


def mutated(text: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, lost, doubled or moved, or a word replaced by another from the file."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at, count = rng.randrange(len(data)), rng.randint(1, 8)
        kind = rng.randrange(5)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + count]
        elif kind == 2:
            data[at:at] = data[at : at + count]
        elif kind == 3:
            data[at:at] = rng.choice(
                (b"[", b"]", b"(", b";", b"-", b"1e999", b"0/0", b"q[99999999999]", b"/*", b"\xff")
            )
        else:
            words = re.findall(rb"\w+", bytes(data)) or [b"q"]
            data[at:at] = rng.choice(words)
        if not data:
            data = bytearray(b";")
    return bytes(data)


SOURCES = (
    openqasm.dumps(ansatz("line", 3, 1), [0.1] * 20, version=2).encode(),
    openqasm.dumps(angle(2, 3) + Circuit(2, (Gate("cx", (0, 1)), Gate("crz", (0, 1), value=0.5)))).encode(),
    b'OPENQASM 2.0; include "qelib1.inc"; qreg q[3]; creg c[3]; gate g(t) a, b { cx a, b; rz(t/2) b; } '
    b"g(pi/3) q[0], q[1]; u3(0.1, 0.2, 0.3) q[2]; barrier q; measure q -> c;",
)


def survive(count: int, seed: int) -> int:
    """Reads `count` mutated files as the command line does; anything but a circuit or a ValueError is a traceback."""
    from quantum.noise.circuit_source import CircuitSource

    rng, path, refused = random.Random(seed), Path("mutant.qasm"), 0
    for _ in range(count):
        text = mutated(rng.choice(SOURCES), rng)
        path.write_bytes(text)
        try:
            assert CircuitSource(str(path), 0).circuit().features >= 0
        except ValueError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} on {text!r}") from error
    return refused


def test_mutated_files_never_end_in_a_traceback(noise):
    refused = survive(100, seed=1)
    assert 30 < refused < 100


@pytest.mark.slow
def test_ten_thousand_mutated_files_never_end_in_a_traceback(noise):
    refused = survive(10_000, seed=2)
    assert 3_000 < refused < 10_000


def standardised(path: str, seed: int = 0) -> None:
    """Rows around 0 whose class is the sign of the second column: what a circuit trained outside was fed."""
    x = np.random.default_rng(seed).normal(size=(80, 2))
    lines = [f"{a},{b},{'up' if b > 0 else 'down'}" for a, b in x.tolist()]
    Path(path).write_text("\n".join(["a,b,kind", *lines]))


OWN = """OPENQASM 3.0;
include "stdgates.inc";
input float x0;
input float x1;
qubit[2] q;
rx(x0) q[0];
ry(x1 + pi/2) q[1];
"""


def exact_accuracy(circuit: str, **settings: str) -> float:
    """Without noise, of the cell that `qwedge noise` makes of these options."""
    from quantum.noise.experiment import Noise, NoiseSettings, workload

    [cell] = Noise().cells(NoiseSettings(circuits=(circuit,), data="mine.csv", **settings))
    with notes_kept():
        case = workload(cell, device(cell.target), seeds=(0,))
    return case.score.value(case.expectations(0.0)) / case.score.total


def test_a_circuit_of_the_users_own_is_judged_on_the_columns_it_was_trained_on(noise):
    """`<Z1>` is -sin(x1): its sign is the class. On columns scaled to [0, pi] it would be a constant."""
    Path("mine.qasm").write_text(OWN)
    standardised("mine.csv")
    words = ("--columns", "as-is", "--readout", "Z1", "--set", "scales=[0]", "--set", "shots=[]")
    code, out, _ = noise("mine.qasm", "--data", "mine.csv", *words, *QUICK)
    assert code == 0
    printed = " ".join(out.split())
    assert "columns of mine.csv are as they are in the file" in printed
    assert "lass scores are down: <Z1>; up: - <Z1>" in printed
    [row] = Store("runs/noise").rows()
    assert row.result["report"]["scales"][0]["score"] == row.result["report"]["total"]
    assert exact_accuracy("mine.qasm", readout="Z1") == 1.0  # the first class, down, where <Z1> is positive
    assert exact_accuracy("mine.qasm", readout="Z1", columns="range") < 0.7
    for readout, expected in (("-Z1", 0.0), ("0x,1x", 1.0), ("00+01,10+11", 1.0), ("Z1,-Z1", 1.0)):
        assert exact_accuracy("mine.qasm", readout=readout) == expected


def test_a_readout_needs_classes_and_a_score_for_each(noise):
    Path("mine.qasm").write_text(OWN)
    standardised("mine.csv")
    for words, message in (
        (("small.qasm", "--readout", "Z0"), "readout=Z0: a readout decides between classes: name data with labels"),
        (("small.qasm", "--data", "tfim4", "--readout", "Z0"), "readout=Z0: a readout decides between classes"),
        (("mine.qasm", "--data", "mine.csv", "--readout", "0x,1x,11"), "has 3 scores for 2 classes (down, up)"),
        (("mine.qasm", "--data", "mine.csv", "--columns", "raw"), "columns 'raw' is unknown: use one of auto, as-is"),
    ):
        code, _, err = noise(*words, "--out", "r")
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_a_stored_circuit_is_judged_on_the_columns_of_its_row(noise):
    """Rows of an encoder were trained on columns scaled to [0, pi]; the stored circuit reads its features itself."""
    standardised("mine.csv")
    store = Store("runs/compvqc")
    artefacts = {"dense.qasm": store.put(OWN.encode())}
    for id, settings in (
        ("abc", {"task": "mine.csv", "encoding": "angle", "columns": "auto", "readout": "Z1"}),
        ("def", {"task": "mine.csv", "encoding": "own", "columns": "auto", "readout": "Z1"}),
    ):
        store.append(Row(id, "compvqc", 3, settings, 0, {}, artefacts, ORIGIN))
    assert exact_accuracy("runs/compvqc/abc:dense.qasm", compilers=("o3",)) < 0.7
    assert exact_accuracy("runs/compvqc/def:dense.qasm", compilers=("o3",)) == 1.0
