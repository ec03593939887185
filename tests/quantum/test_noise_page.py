"""The page of noise reports says which circuit is better, as the counts of its rows have it."""

import pytest

from quantum.noise.page import page
from shared.lab import KeyFigures, Row, Table

PROVENANCE = {"command": "qwedge noise", "started": "2026-01-01", "commit": None, "cpu": "a processor"}


def row(name: str, scores: list[float], unit: str = "right", total: int | None = 1000, shift: float = 0.1) -> Row:
    """A circuit with these scores at noise scales 0, 1 and 4."""
    points = [
        {"scale": scale, "score": score, "shift": shift * scale, "margin": 0.5 if total else None}
        for scale, score in zip((0.0, 1.0, 4.0), scores, strict=True)
    ]
    gates = [{"name": "cx", "qubits": [0, 1], "index": k, "gain": 0.01 * k} for k in range(7)]
    kinds = {"readout": 0.05, "waiting": 0.01}
    report = {
        "unit": unit,
        "total": total,
        "scales": points,
        "shots": [{"shots": 100, "scores": [scores[1], scores[1]]}],
        "attribution": {"shift": shift, "kinds": kinds, "qubits": {"10": 0.02, "9": 0.03}, "gates": gates},
        "counts": {"twoq": 3, "depth": 9, "depth_no_rz": 5, "esp": 0.9, "duration_ns": 900.0},
    }
    energy = {"problem": "h2", "unit": "hartree", "lowest": -1.1, "highest": 1.0} if unit == "energy" else None
    result = {"name": name, "device": {"name": "nairobi"}, "report": report, "notes": [], "energy": energy}
    return Row(f"id {name}", "noise", 2, {}, 0, result, {}, PROVENANCE)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Pages without their plots, which take most of the time."""
    monkeypatch.setattr("quantum.noise.page.plot", lambda *_, **__: None)


def verdict(*rows: Row) -> str:
    return "".join(map(str, page(rows).verdict.parts)).strip()


def test_the_better_circuit_is_named_at_each_strength():
    text = verdict(row("ours", [950, 900, 500]), row("theirs", [950, 905, 800]), row("worst", [900, 600, 500]))
    device, strongest = text.split(" At 4 times the noise, ")
    assert device.startswith(
        "At the device's noise, theirs has a higher accuracy than worst (+30.5 points). It is level"
    )
    assert device.endswith("It is level with ours (+0.5 points).")
    assert strongest == "theirs has a higher accuracy than ours (+30.0 points) and worst (+30.0 points)."


@pytest.mark.parametrize(
    ("unit", "scores", "says"),
    [
        (
            "energy",
            ([-1.0, -0.9, 0.0], [-1.0, -0.8, 0.0]),
            "a has a lower energy than b (-0.1000).",
        ),
        (
            "energy",
            ([-1.0, -0.7, 0.0], [-1.0, -0.8, 0.0]),
            "b has a lower energy than a (-0.1000).",
        ),
        ("mean <Z>", ([0.1] * 3, [0.2] * 3), "a has a smaller change of <Z> than b (-0.1000)."),
    ],
)
def test_less_may_be_better(unit, scores, says):
    rows = [row(name, of, unit, None, 0.1 * (k + 1)) for k, (name, of) in enumerate(zip("ab", scores, strict=True))]
    assert verdict(*rows).startswith(f"At the device's noise, {says}")


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (
            [950, 950, 940],
            "95.0% at the device's noise, level with 95.0% without noise; 94.0% at 4 times",
        ),
        ([950, 700, 500], "70.0% at the device's noise, below 95.0% without noise; 50.0% at 4 times"),
        ([500, 700, 500], "70.0% at the device's noise, above 50.0% without noise; 50.0% at 4 times"),
    ],
)
def test_one_circuit_is_compared_with_itself_without_noise(scores, says):
    assert verdict(row("one", scores)).startswith(f"one has accuracy {says}")


def test_scores_of_different_kinds_are_not_compared():
    text = verdict(row("a", [950, 900, 500]), row("b", [-1.0, -0.9, 0.0], "energy", None))
    assert text.startswith("a has accuracy 90.0% at")
    assert "b has energy -0.9000 at" in text


def test_a_choice_by_calibration_is_compared_with_every_fixed_circuit():
    scores = {"a": [90, 80, 90, 85], "b": [70, 60, 70, 62]}
    later = [{"model": "b", "day": str(k), "distance": 1.0, "radius": 2.0} for k in range(4)]
    kinds = [{"model": "b", "score": 90, "radius": 1.0}]
    result = {"scores": scores, "later": later, "kinds": kinds, "known": 4, "unit": "right", "total": 100}
    choice = Row("id", "noise", 2, {}, 0, {**result, "less_is_better": False}, {}, PROVENANCE)
    start = "On later days, the circuit chosen by calibration is"
    assert verdict(choice) == f"{start} level with always b (+0.0%). It is behind always a (-20.8%)."
    choice.result["less_is_better"] = True
    assert verdict(choice).startswith(f"{start} ahead of always a")


def test_a_line_for_each_circuit_and_no_tile_for_each():
    rows = [row(f"circuit {k}", [950, 900 - k, 500]) for k in range(6)]
    blocks = page(rows).blocks
    tables = {table.title: table for table in blocks if isinstance(table, Table)}
    assert {title: len(table.lines) for title, table in tables.items()} == dict.fromkeys(tables, 6)
    noisy = tables["Against noise: accuracy"]
    assert noisy.columns == ("circuit", "no noise", "the device's noise", "4 x noise")
    assert [str(entry) for entry in noisy.lines[1]] == ["circuit 1", "95.0%", "89.9%", "50.0%"]
    assert tables["Where the error comes from, by qubit"].columns[2:] == ("qubit 9", "qubit 10")
    largest = tables["Gates, idle times and readouts with the largest error"].lines[0]
    assert [str(entry) for entry in largest[1:4]] == ["0.1000", "cx 0-1, 6: 60.0%", "cx 0-1, 5: 50.0%"]
    [figures] = [block for block in blocks if isinstance(block, KeyFigures)]
    assert len(figures.figures) == 3
    assert figures.figures[0][0] == "accuracy at the device's noise, best of 6: circuit 0"
