"""The page of a run shows the counts of its rows, and nothing that is not in them."""

import re
from math import sqrt

import pytest

from quantum.compvqc.page import FILES, METHODS, OTHERS, exact_ratio, grouped, page
from shared.lab import Download, Figure, KeyFigures, Page, Row, Store, Table, Text, render

TEST = 50
SETTINGS = {
    "task": "digits4",
    "target": "nairobi",
    "circuit": "seismic",
    "budget": "drop<=0.01",
    "wires": 4,
    "layers": None,
    "encoding": "angle",
    "starts": 4,
}


def scores(twoq: int, depth: int, right: int) -> dict:
    return {
        "scores": {
            "twoq": twoq,
            "depth": depth,
            "esp": 0.9,
            "shift": 0.125,
            "correct": {"train": 90, "val": 40, "test": right},
            "noisy_correct": right - 3,
        }
    }


def row(seed: int = 0, missing: tuple[str, ...] = (), ours: tuple[int, int, int] = (10, 40, 42), **settings) -> Row:
    """Every method, the k-th with 20 + k entanglers; ours with the given counts."""
    result = {name: scores(20 + k, 100 + k, 44) for k, name in enumerate(METHODS)}
    result["compvqc"] = scores(*ours)
    for name in missing:
        result[name] = {"missing": "no circuit met the budget"}
    front = [{"twoq": k, "depth": 4 * k, "val": 30 + k, "test": 35 + k} for k in (2, 5, 9)]
    result["compvqc"]["front"], result["small"]["front"] = front, front
    result |= {"exact": [60, 200], "samples": {"train": 100, "val": 45, "test": TEST}}
    return Row(f"id{seed}", "compvqc", 2, {**SETTINGS, **settings}, seed, result, {}, PROVENANCE)


PROVENANCE = {"command": "qwedge run compvqc", "started": "2026-01-01", "commit": None, "cpu": "a processor"}


def tables(page_: Page) -> list[Table]:
    return [block for block in page_.blocks if isinstance(block, Table)]


def line(table: Table, label: str) -> list[str]:
    (matching,) = [cells for cells in table.lines if str(cells[0]).startswith(label)]
    return [str(cell) for cell in matching]


def test_every_method_has_its_line_with_its_own_counts():
    (table,) = tables(page([row()]))
    assert len(table.lines) == len(METHODS)
    for k, (name, label) in enumerate(METHODS.items()):
        expected = (
            ["84.0%", "78.0%", "40.0", "10.0"]
            if name == "compvqc"
            else ["88.0%", "82.0%", f"{100 + k}.0", f"{20 + k}.0"]
        )
        assert line(table, label) == [label, *expected, "0.900", "0.125"]
    (strong,) = table.strong
    assert table.lines[strong][0] == METHODS["compvqc"]


def test_seeds_are_averaged_with_an_interval_over_them():
    (table,) = tables(page([row(0, ours=(10, 40, 42)), row(1, ours=(14, 60, 46))]))
    assert line(table, METHODS["compvqc"])[1:5] == ["88.0%", "82.0%", "50.0", "12.0"]
    accuracy = next(cells for cells in table.lines if cells[0] == METHODS["compvqc"])[1]
    half = 12.706 * 0.04  # t at 97.5 % with one degree of freedom, and the standard error of 0.84 and 0.92
    assert (accuracy.low, accuracy.high) == pytest.approx((0.88 - half, 1.0), abs=1e-3)
    assert accuracy.rows == ("id0", "id1")


def test_a_single_seed_has_wilson_s_interval_over_samples():
    (table,) = tables(page([row()]))
    accuracy = next(cells for cells in table.lines if cells[0] == METHODS["compvqc"])[1]
    p, z = 42 / TEST, 1.959964
    centre, spread = p + z**2 / (2 * TEST), z * sqrt(p * (1 - p) / TEST + z**2 / (4 * TEST**2))
    expected = [(centre + sign * spread) / (1 + z**2 / TEST) for sign in (-1, 1)]
    assert [accuracy.low, accuracy.high] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["snap", "small", "magnitude"])
def test_what_is_missing_stays_in_the_table(name):
    (table,) = tables(page([row(0, missing=(name,)), row(1, missing=(name,))]))
    assert line(table, METHODS[name])[1:] == ["none in budget"] * 6
    (table,) = tables(page([row(0, missing=(name,)), row(1)]))
    assert line(table, METHODS[name])[0] == f"{METHODS[name]} (1 of 2 seeds)"


def key_figures(page_: Page) -> dict[str, str]:
    (figures,) = [block for block in page_.blocks if isinstance(block, KeyFigures)]
    return {label: str(number) for label, number in figures.figures}


def test_key_figures_name_what_they_are_against_and_follow_from_the_table():
    rows = [row(0, ours=(10, 40, 42)), row(1, ours=(0, 0, 46))]
    assert key_figures(page(rows)) == {
        "two-qubit gates of Qiskit O3, best of 20 seeds, over those of CompVQC": "4.0 x",  # 20 / 5
        "two-qubit gates of train-small, over those of CompVQC": "5.8 x",
        "depth of Qiskit O3, best of 20 seeds, over those of CompVQC": "5.0 x",
        "depth of train-small, over those of CompVQC": "5.5 x",
        "test accuracy of CompVQC minus that of Qiskit O3, best of 20 seeds": "+0.0 points",
    }
    assert exact_ratio(rows[0], 0, "twoq") == 6
    assert exact_ratio(rows[1], 1, "depth") == 200  # a circuit of no gates counts as one


def test_the_best_exact_compilation_may_be_the_lossless_rewriting(undrawn):
    shorter = row()
    shorter.result["dense"] = scores(15, 300, 44)
    figures = key_figures(page([shorter]))
    assert figures["two-qubit gates of lossless rewriting, then O3, over those of CompVQC"] == "1.5 x"
    assert figures["depth of Qiskit O3, best of 20 seeds, over those of CompVQC"] == "2.5 x"
    assert "ahead of lossless rewriting, then O3 (-5.0 two-qubit gates, -4.0 points)" not in verdict(shorter)


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without their plots, which take most of the time."""
    monkeypatch.setattr("quantum.compvqc.page.plot", lambda *_, title, **__: Figure(title, ()))


def verdict(*rows: Row) -> str:
    return "".join(map(str, page(rows).verdict.parts))


@pytest.mark.parametrize(
    ("ours", "stands", "numbers"),
    [
        ((10, 40, 44), "is ahead of", "(-10.0 two-qubit gates, +0.0 points)"),
        ((18, 40, 44), "is level with", "(-2.0 two-qubit gates, +0.0 points)"),
        ((10, 40, 43), "is level with", "(-10.0 two-qubit gates, -2.0 points)"),
        ((20, 40, 45), "is ahead of", "(+0.0 two-qubit gates, +2.0 points)"),
        ((60, 40, 44), "is behind", "(+40.0 two-qubit gates, +0.0 points)"),
        ((40, 40, 40), "is behind", "(+20.0 two-qubit gates, -8.0 points)"),
    ],
)
def test_the_verdict_says_who_is_ahead_also_where_we_are_not(undrawn, ours, stands, numbers):
    text = verdict(row(ours=ours))
    assert f"{METHODS['o3']} {numbers}" in text
    before = text[: text.index(METHODS["o3"])]
    assert max(("is ahead of", "is level with", "is behind"), key=before.rfind) == stands
    for name in ("o3_approximate", "magnitude", "small", "prune", "snap"):
        assert text.count(f"{METHODS[name]} (") == 1


def test_a_control_that_is_better_is_named_so_beside_others_that_are_not(undrawn):
    lost = row(ours=(10, 40, 44))
    lost.result["small"] = {**scores(4, 30, 44), "front": []}
    assert verdict(lost).endswith(" It is behind train-small (+6.0 two-qubit gates, +0.0 points).")
    lost.result["small"] = {"missing": "no small circuit met the budget", "front": []}
    assert verdict(lost).endswith(". Within the budget there is no circuit of train-small.")


def test_over_several_combinations_the_verdict_counts(undrawn):
    won, lost = row(ours=(10, 40, 44)), row(task="iris", ours=(60, 40, 40))
    text = verdict(won, lost)
    assert text.startswith("On 2 combinations of task, device and circuit, CompVQC (ours) is ahead of the best exact ")
    assert (
        "the best exact compilation on 1, behind on 1; ahead of the best approximate compilation on 1, behind" in text
    )
    sections = [block for block in page([won, lost]).blocks if isinstance(block, Text)]
    assert [str(text.parts[0]) for text in sections[:2]] == [
        "CompVQC (ours) is ahead of ",
        "CompVQC (ours) is behind ",
    ]


def test_other_settings_are_never_averaged(undrawn):
    rows = [row(), row(1), row(task="iris"), row(target="torino"), row(budget="twoq<=3"), row(circuit="line")]
    rows += [row(wires=5), row(layers=1), row(encoding="amplitude"), row(starts=1)]
    matching = tables(page(rows))
    assert len(matching) == 9
    titles = [table.title for table in matching]
    assert len(set(titles)) == 9
    assert titles[0] == "digits4 on nairobi, seismic, drop<=0.01, wires 4, layers None, encoding angle, starts 4"
    assert tables(page(rows[:2]))[0].title == "digits4 on nairobi, seismic, drop<=0.01"
    assert set(OTHERS) | {"task", "target", "circuit", "budget"} == set(SETTINGS)


def test_groups_keep_the_order_of_their_rows():
    rows = [row(0), row(1, task="iris"), row(2), row(3, task="iris")]
    assert [[r.seed for r in group] for group in grouped(rows, "task")] == [[0, 2], [1, 3]]


def test_the_published_figure_is_named_as_not_ours(undrawn):
    texts = [block for block in page([row()]).blocks if isinstance(block, Text)]
    (published,) = [text.parts[1] for text in texts if "Published, not measured here" in str(text.parts[0])]
    assert 'the preprint (arXiv 2207.01578) prints a depth cut of "almost over 2.5 %", that of the ICCAD' in published


def test_files_are_offered_where_a_row_keeps_them(undrawn):
    kept = Row(**{**vars(row()), "artefacts": dict.fromkeys((*FILES, "other.txt"), "0" * 64)})
    offered = [block for block in page([kept, row(1)]).blocks if isinstance(block, Download)]
    assert [each.name for each in offered] == list(FILES)


def test_the_page_reads_without_a_network(tmp_path):
    rows = [row(0, missing=("small",)), row(1)]
    text = render(page(rows), rows, Store(tmp_path))
    assert text.count("<svg") >= 1
    assert not re.search(r"(src|href)=[\"']https?://", text)
    for label in METHODS.values():
        assert label.replace("+", "&#43;") in text or label in text
