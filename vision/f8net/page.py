"""The page of an F8Net run: every seed's counts, how training went, what the integer program needs."""

from collections.abc import Sequence

from shared.lab import Block, Download, KeyFigures, Number, Page, Row, Table, Text, cite
from vision.f8net.figures import accuracy, gap, reference

NETS = {
    "float": "float",
    "control": "float, trained on (equal epochs)",
    "calibrated": "fixed point, calibrated only",
    "F8Net": "F8Net (integer program)",
}

PUBLISHED = (
    ("ResNet-18, ImageNet", "70.3", "71.0", "F8Net, arXiv 2202.05239"),
    ("MobileNetV1, ImageNet", "72.4", "72.8", "F8Net, arXiv 2202.05239"),
    ("MobileNetV2, ImageNet", "72.7", "72.6", "F8Net, arXiv 2202.05239"),
    ("ResNet-8, CIFAR-10", "85 (quality target)", "", "MLPerf Tiny"),
)
"""Net and data, top-1 in % of the float net and of the 8-bit one, source."""


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title, summary = "F8Net: 8-bit multiplications only", "ResNet-8 in fixed point beside its float net."
    if not rows:
        return Page(title, summary, (Text("Not run: no folder of images was named."),))
    same = [row for row in rows if _comparable(row, rows[0])]
    blocks: list[Block] = [_key(same), _counts(same), _training(same), _program(same), _published()]
    blocks += [Download(name, row, f"seed {row.seed}") for row in rows for name in row.artefacts]
    return Page(title, f"{summary} {rows[0].result['data']['name']}. Intervals are 95 %, over seeds.", blocks)


def _comparable(row: Row, other: Row) -> bool:
    drop = ("seed", "seeds")
    return {k: v for k, v in row.settings.items() if k not in drop} == {
        k: v for k, v in other.settings.items() if k not in drop
    }


def _key(rows: Sequence[Row]) -> KeyFigures:
    lost, ours, bits = gap(rows), accuracy(rows, "F8Net"), widest(rows)
    return KeyFigures(
        (
            (
                "below the better float net",
                cite(lost.value, *rows, form=".2f", unit="points", low=lost.low, high=lost.high),
            ),
            ("accuracy, integers only", cite(ours.value, *rows, form=".2f", unit="%", low=ours.low, high=ours.high)),
            ("widest multiplier", cite(bits, *rows, unit="bits")),
        )
    )


def widest(rows: Sequence[Row]) -> int:
    """Bits of the widest factor of any multiplication in the integer programs."""
    return max(max(int(a), int(b)) for row in rows for a, b, _ in row.result["multipliers"])


def _counts(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            cite(row.seed, row),
            *(cite(row.result["correct"][net], row) for net in NETS),
            cite(row.result["only"]["control"], row),
            cite(row.result["only"]["F8Net"], row),
            cite(row.result["equal_to_float32"], row),
            cite(row.result["scored"], row),
        )
        for row in rows
    ]
    pooled = [accuracy(rows, net) for net in NETS]
    means = [cite(it.value, *rows, form=".2f", unit="%", low=it.low, high=it.high) for it in pooled]
    columns = ("seed", *NETS.values(), "only float right", "only F8Net right", "logits equal float32's", "images")
    note = (
        f"Right answers. The gap is taken to '{NETS[reference(rows)]}'. F8Net's answers are those of the integer "
        "program in NumPy, compared with its float32 net logit by logit. 'Only': against the float net trained on."
    )
    return Table("Counts", columns, [*lines, ("mean", *means, "", "", "", "")], note=note)


def _training(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            cite(row.seed, row),
            name,
            cite(number, row),
            cite(about["loss"], row, form=".3f"),
            cite(about["validation_correct"], row),
            cite(about["validation_of"], row),
            cite(about["cpu_s"], row, form=".0f", unit="s"),
        )
        for row in rows
        for name, epochs in row.result["epochs"].items()
        for number, about in enumerate(epochs, start=1)
    ]
    columns = ("seed", "net", "epoch", "loss", "right in validation", "of", "CPU time")
    return Table("Training", columns, lines, note="The loss is the mean over the epoch, on varied images.")


def _program(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            cite(row.seed, row),
            ", ".join(f"{count:,} of {a}x{b}" for a, b, count in row.result["multipliers"]),
            cite(row.result["bytes"], row),
            cite(row.result["largest_sum"], row),
        )
        for row in rows
    ]
    note = (
        "Proven for every input. Below 2**24 = 16,777,216 every sum is exact in float32 too, so that the float32 net "
        "equals the program on any image."
    )
    return Table("Integer program", ("seed", "multiplications", "bytes", "largest sum"), lines, note=note)


def _published() -> Table:
    note = "Other data and longer training, so no comparison. Top-1 in %."
    return Table("Published, not measured here", ("net and data", "float", "8 bits", "source"), PUBLISHED, note=note)
