"""A benchmark's file holds its rows, its figures and where they came from, and the same figures are printed."""

import json

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab.running.benchmark import Metric, main


def cells(quick, seed):
    return Coin().cells(CoinSettings(seed=seed, seeds=2 if quick else 3))


def figures(rows):
    heads = sum(sum(row.result["heads"]) for row in rows) / len(rows)
    return {"heads": Metric(heads, 150.0, 250.0, "heads", ">= 100"), "edge": Metric(None, goal="<= 2")}


def test_json_and_table_agree(tmp_path, capsys):
    path = tmp_path / "deep" / "coin.json"
    main(Coin(), cells, figures, ["--quick", "--seed", "4", "--json", str(path), "--out", str(tmp_path / "rows")])
    report = json.loads(path.read_text())
    assert report.keys() == {"rows", "figures", "provenance"}
    assert [row["seed"] for row in report["rows"]] == [4, 5]
    heads = report["figures"]["heads"]
    assert heads.keys() == {"value", "low", "high", "unit", "goal"}
    assert report["figures"]["edge"]["value"] is None
    assert report["provenance"]["versions"]["numpy"]
    line = next(line for line in capsys.readouterr().out.splitlines() if ">= 100" in line)
    assert f"{heads['value']:.4g} heads" in line
    assert line.split()[-1] == "yes"


def test_without_rows_there_are_figures_and_no_page(tmp_path, capsys):
    skipped = {"heads": Metric(None, unit="skipped: no data", goal=">= 100")}
    main(Coin(), lambda quick, seed: [], lambda rows: skipped, ["--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "skipped: no data" in shown
    assert Coin().page([]).title not in shown


def test_a_second_run_adds_no_row(tmp_path, capsys):
    words = ["--out", str(tmp_path)]
    main(Coin(), cells, figures, words)
    before = (tmp_path / "rows.jsonl").read_bytes()
    main(Coin(), cells, figures, words)
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert "3 of the rows are already in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("measure", "met"),
    [
        (Metric(4, goal=">= 4"), True),
        (Metric(3.9, goal=">= 4"), False),
        (Metric(60, goal="<= 60"), True),
        (Metric(0, goal="> 0"), False),
        (Metric(-1e-9, goal="< 0"), True),
        (Metric(None, goal="<= 60"), None),
        (Metric(3), None),
    ],
)
def test_goals(measure, met):
    assert measure.met is met


def test_an_odd_goal_is_refused():
    with pytest.raises(ValueError, match="goal 'about 3': needs `>=`, `<=`, `>` or `<` and a number"):
        Metric(3, goal="about 3").met  # noqa: B018
