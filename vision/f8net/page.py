"""The page of an F8Net run: counts of every seed, the course of training, and the integer program."""

from collections.abc import Sequence

from shared.lab import (
    Block,
    Download,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    equal_settings,
    verdict,
)
from vision.f8net.figures import accuracy, gap, reference

NETS = {
    "float": "float",
    "control": "float, trained further (equal epochs)",
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
    same = equal_settings(rows)
    blocks: list[Block] = [_key(same), _counts(same), _program(same), _training(same), _published()]
    blocks += [Download(name, row, f"seed {row.seed}") for row in rows for name in row.artefacts]
    data = rows[0].result["data"]["name"]
    summary = f"ResNet-8 in fixed point beside its float net. {data}. Intervals are 95 %, over seeds."
    return Page("F8Net: 8-bit multiplications only", summary, blocks, _verdict(same))


def _verdict(rows: Sequence[Row]) -> Text:
    """The integer program beside every other net, paired by seed."""
    comparisons = []
    for net, name in NETS.items():
        if net != "F8Net":
            points = [100 * (_correct(row, "F8Net") - _correct(row, net)) / row.result["scored"] for row in rows]
            comparisons.append(compared(name, cite_mean(points, *rows, form="+.2f", unit="points")))
    return verdict(NETS["F8Net"], comparisons, "has a higher accuracy than", behind="has a lower accuracy than")


def _correct(row: Row, net: str) -> int:
    return int(row.result["correct"][net])


def _key(rows: Sequence[Row]) -> KeyFigures:
    lost, ours, bits = gap(rows), accuracy(rows, "F8Net"), widest(rows)
    return KeyFigures(
        (
            (
                f"accuracy of {NETS['F8Net']} below that of: {NETS[reference(rows)]}",
                cite(lost.value, *rows, form=".2f", unit="points", low=lost.low, high=lost.high),
            ),
            (
                f"accuracy of {NETS['F8Net']}",
                cite(ours.value, *rows, form=".2f", unit="%", low=ours.low, high=ours.high),
            ),
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
    columns = ("seed", *NETS.values(), "only float correct", "only F8Net correct", "all logits equal float32", "images")
    note = (
        f"Correct answers. The gap is the difference to '{NETS[reference(rows)]}'. Answers of F8Net are those of its "
        "integer program in NumPy, whose logits are compared with those of its float32 net. 'Only' compares F8Net with "
        "the float net of equal epochs."
    )
    return Table("Counts", columns, [*lines, ("mean", *means, "", "", "", "")], note=note)


def _training(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for net, epochs in rows[0].result["epochs"].items():
        for number in range(len(epochs)):
            same = [row.result["epochs"][net][number] for row in rows]
            right = [100 * about["validation_correct"] / about["validation_of"] for about in same]
            lines.append(
                (
                    NETS[net],
                    cite(number + 1, *rows),
                    cite_mean([about["loss"] for about in same], *rows, form=".3f"),
                    cite_mean(right, *rows, form=".2f", unit="%"),
                    cite(sum(about["cpu_s"] for about in same) / len(same), *rows, form=".0f", unit="s"),
                )
            )
    columns = ("net", "epoch", "loss", "validation accuracy", "CPU time")
    note = "Means over seeds with 95 % intervals. The loss is the mean over the epoch, on augmented images."
    return Table("Training", columns, lines, note=note)


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
        "The largest sum is a proven bound for every input. Below 2**24 = 16,777,216 every sum is exact in float32 "
        "too, so the float32 net equals the program on any image."
    )
    return Table("Integer program", ("seed", "multiplications", "bytes", "largest sum"), lines, note=note)


def _published() -> Table:
    note = "Top-1 accuracy in %. Other data and longer training: not comparable with the figures above."
    return Table("Published, not measured here", ("net and data", "float", "8 bits", "source"), PUBLISHED, note=note)
