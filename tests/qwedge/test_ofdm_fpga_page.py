"""The page of the estimator on an FPGA names the designs that are smaller than the pruned one, as the rows have it."""

import pytest

pytest.importorskip("amaranth", reason="pip install -e '.[fpga]'")

from qwedge.experiments.ofdm_fpga import NAMES, SIZES, _sizes, _verdict
from shared.lab import Row


def row(cells: dict[str, int], **bit_errors: int) -> Row:
    used = {f"{name}, {style}": cells.get(f"{name}, {style}", 1000) for name, style in SIZES}
    sizes = {
        design: {"used": {"lut": count, "ff": 10, "dsp": 2, "bram": 1}, "estimate": {"lut": count + 5}, "weights": 70}
        for design, count in used.items()
    }
    errors = {name: [bit_errors.get(name, 100)] * 2 for name in NAMES}
    point = {"packets": 40, "bits": 10_000, "bit_errors": errors, "packet_errors": dict.fromkeys(NAMES, 1)}
    return Row("id", "ofdm_fpga", 3, {}, 0, {"sizes": sizes, "errors": [point]}, {}, {})


@pytest.mark.parametrize(("cells", "says"), [(500, "needs fewer"), (1000, "needs as many"), (2000, "needs more")])
def test_the_verdict_compares_logic_cells(cells, says):
    text = "".join(map(str, _verdict([row({"small, unrolled": cells})])))
    first = text.split(". ")[0]
    assert f"The estimator ({NAMES['small']}, unrolled) {says}" in first
    for name, style in SIZES:
        assert f"{NAMES[name]}, {style}" in first


@pytest.mark.parametrize(
    ("errors", "says"),
    [(80, "has fewer bit errors than"), (101, "is level with"), (120, "has more bit errors than")],
)
def test_the_verdict_compares_bit_errors_with_the_float_network(errors, says):
    text = "".join(map(str, _verdict([row({}, small=errors)])))
    assert f"The estimator ({NAMES['small']}) {says} {NAMES['float']}" in text
    assert f"The estimator ({NAMES['fixed']}) is level with {NAMES['float']}" in text


def test_a_design_has_one_line_of_means_over_seeds():
    table = _sizes([row({"small, unrolled": 500}), row({"small, unrolled": 700})])
    assert len(table.lines) == len(SIZES)
    [line] = [line for line in table.lines if line[0] == f"{NAMES['small']}, unrolled"]
    assert [str(entry) for entry in line[1:]] == ["70", "600", "10", "2", "1", "605"]
    assert table.note.startswith("Means over 2 seeds. ")
