"""The tables on the page of an OFDM run, including unfavourable results."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shared.lab import Block, Number, Row, Table, Text, cite, wilson
from wireless.ofdm.compression.complexity import table
from wireless.ofdm.link.rates import (
    Figure,
    Points,
    ber,
    decoded_points,
    main_points,
    mean_reduction,
    over_packets,
    over_seeds,
    pooled,
    radio_points,
    ratio,
)

CONTROL = "robust, soft feedback"
"""The receiver with our feedback and no network."""

NAMES = {
    "hard": "LS, hard decisions, Viterbi",
    "ls/max-log/soft-viterbi": "LS, max-log, soft Viterbi",
    "dft": "DFT truncation",
    "robust": "robust LMMSE",
    "robust, hard feedback": "robust LMMSE, 2 passes of hard feedback",
    CONTROL: "robust LMMSE, soft feedback, no network (control)",
    "genie": "LMMSE, known covariance",
    "perfect": "perfect channel knowledge, one pass",
    "neural/max-log/soft-viterbi": "neural estimator",
    "neural-5k": "neural estimator of 5.5k",
    "dense": "dense neural estimator",
    "estimator, packed": "neural estimator, pruned and quantized",
    "ours": "neural estimator, soft feedback (ours)",
    "ours, packed": "ours, pruned and quantized",
}
"""Receivers of the main table, in its order; with max-log and soft Viterbi unless the name says otherwise."""

OTHER_NAMES = {
    "ls": NAMES["ls/max-log/soft-viterbi"],
    "neural": NAMES["neural/max-log/soft-viterbi"],
    **NAMES,
}
"""The same receivers by their names outside the main curves."""


BLOCKS = {"ls": "LS", "soft-viterbi": "soft Viterbi"}
"""Names of blocks that differ from those in the rows."""


def share(rows: Sequence[Row], figure: Any, points: Callable[[Row], Points] = main_points) -> Number:
    return number(rows, figure, ".1%", "", points)


def change(rows: Sequence[Row], ours: str, reference: str, points: Callable[[Row], Points] = main_points) -> Number:
    """The mean over Eb/N0 of `BER(ours) / BER(reference) - 1`: negative where ours has fewer errors."""
    reduction = mean_reduction(ours, reference)
    return number(rows, lambda rate, points: -reduction(rate, points), "+.1%", "", points)


def number(
    rows: Sequence[Row], figure: Any, form: str, unit: str, points: Callable[[Row], Points] = main_points
) -> Number:
    it = over_seeds(figure, rows, points)
    if math.isnan(it.value):
        return cite("no errors", *rows)
    return cite(it.value, *rows, form=form, unit=unit, low=it.low, high=it.high)


def main_db(rows: Sequence[Row]) -> list[float]:
    return [point["ebn0_db"] for point in rows[0].result["main"]]


def in_distribution(rows: Sequence[Row]) -> Table:
    points, decibels = pooled(rows, main_points), main_db(rows)
    columns = (
        "receiver",
        *(f"BER at {db:g} dB" for db in decibels),
        "NMSE, dB",
        f"BER over that of {NAMES['genie']}",
    )
    lines: list[Sequence[str | Number]] = [
        (
            label,
            *(cite(ber(point, name), *rows, form=".2e") for point in points),
            cite(_nmse(rows, name), *rows, form=".1f"),
            number(rows, ratio(name, "genie"), ".3f", ""),
        )
        for name, label in NAMES.items()
    ]
    note = (
        "Lower is better in every column. NMSE is that of the last pass, averaged over Eb/N0 before the logarithm. "
        "Receivers with feedback can be better than perfect channel knowledge, which decodes once. The control shows "
        "how much of our gain comes from feedback alone."
    )
    return Table("In distribution", columns, lines, note=note, strong=[list(NAMES).index("ours")])


def baselines(rows: Sequence[Row]) -> Table:
    """The mean reduction of each of our receivers against each baseline."""
    ours = ("neural/max-log/soft-viterbi", "neural-5k", "dense", "ours", "ours, packed")
    baselines = (
        "hard",
        "ls/max-log/soft-viterbi",
        "dft",
        "robust",
        "robust, hard feedback",
        CONTROL,
        "genie",
        "perfect",
    )
    lines: list[Sequence[str | Number]] = [
        (NAMES[name], *(change(rows, one, name) for one in ours)) for name in baselines
    ]
    note = "Mean over Eb/N0 of BER / BER(baseline) - 1, on the same packets; positive where the baseline is better."
    columns = ("baseline", *(NAMES[it] for it in ours))
    return Table("Change of the bit error rate against each baseline", columns, lines, note=note)


def _section(section: str, name: str, row: Row) -> Points:
    points: Points = row.result[section][name]
    return points


def _nmse(rows: Sequence[Row], name: str) -> float | None:
    values = [point["nmse"][name] for row in rows for point in main_points(row)]
    middle = sum(values) / len(values)
    return 10 * math.log10(middle) if middle > 0 else None


def matrix(rows: Sequence[Row]) -> list[Block]:
    if not all(decoded_points(row) for row in rows):
        return []
    points, decibels = pooled(rows, decoded_points), main_db(rows)
    reference = "ls/max-log/soft-viterbi"
    lines = [
        (
            *(BLOCKS.get(block, block) for block in name.split("/")),
            *(cite(ber(point, name), *rows, form=".2e") for point in points),
            change(rows, name, reference, decoded_points),
        )
        for name in points[0]["bit_errors"]
        if name.count("/") == 2
    ]
    columns = ("estimator", "demapper", "decoder", *(f"BER at {db:g} dB" for db in decibels), "against all legacy")
    note = (
        "One pass each, and the same packets for all combinations. Viterbi finds the most likely sequence if the LLRs "
        "are correct: a neural decoder can have fewer errors only where they are not."
    )
    return [Table("Every block legacy or neural", columns, lines, note=note)]


def outside(rows: Sequence[Row]) -> Table:
    shown = ("neural", "neural-5k", "dense", "ours", "robust")
    lines: list[Sequence[str | Number]] = []
    for name in rows[0].result["outside"]:
        if not rows[0].result["outside"][name]:
            continue
        points = pooled(rows, partial(_section, "outside", name))
        ratios = [_over(rows, points, added(receiver)) for receiver in shown]
        lines.append((name, cite(sum(point["packets"] for point in points), *rows), *ratios))
    columns = ("channel", "packets", *(OTHER_NAMES[receiver] for receiver in shown))
    note = (
        f"BER over that of {OTHER_NAMES['ls']}: below 1 is better than it. The channels are outside the training; "
        "errors of all Eb/N0 are added up. Where the channel is longer than the taps of the delay gates, their "
        "estimates approach LS; the dense network has no such rule."
    )
    return Table("Out of distribution", columns, lines, note=note)


def added(name: str) -> Figure:
    """Errors of a receiver at all points over those of LS, so that points with more errors weigh more."""
    return lambda rate, points: _quotient(
        sum(rate(point, name) * point["bits"] for point in points),
        sum(rate(point, "ls") * point["bits"] for point in points),
    )


def _quotient(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else math.nan


def _over(rows: Sequence[Row], points: Points, ratio: Figure) -> Number:
    """A ratio of bit error rates over the packets of all seeds."""
    it = over_packets(ratio, points)
    if math.isnan(it.value):
        return cite("no errors", *rows)
    return cite(it.value, *rows, form=".3f", low=it.low, high=it.high)


def radios(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for mbps in rows[0].result["radios"]:
        if not rows[0].result["radios"][mbps]:
            continue
        decibels = [point["ebn0_db"] for point in rows[0].result["radios"][mbps]]
        points = pooled(rows, partial(_section, "radios", mbps))
        for db, point in zip(decibels, points, strict=True):
            rates = [cite(ber(point, name), *rows, form=".2e") for name in ("ls", "max-log", "exact", "neural")]
            lines.append((f"{mbps} Mb/s", f"{db:g}", *rates, _over(rows, [point], ratio("neural", "max-log"))))
    columns = ("rate", "Eb/N0, dB", "LS, max-log", "max-log", "exact", "neural demapper", "neural over max-log")
    note = (
        "Bit error rates; the last column is below 1 where the neural demapper is better. New front ends of the "
        "impairment set: amplifier, phase noise, carrier offset, IQ imbalance, converter. All columns but the first "
        "use the neural estimator; all use soft Viterbi."
    )
    return Table("Demappers on impaired radios", columns, lines, note=note)


def recordings(rows: Sequence[Row]) -> list[Block]:
    if not all(row.result["recordings"] for row in rows):
        return [Text("Recordings: not run, because no folder of recordings was set (`--set recordings=DIR`).")]
    names = list(rows[0].result["recordings"][0]["lost"])
    lines: list[Sequence[str | Number]] = []
    for k, point in enumerate(rows[0].result["recordings"]):
        lost = {name: [n for row in rows for n in row.result["recordings"][k]["lost"][name]] for name in names}
        rates = [wilson(sum(lost[name]), len(lost[name])) for name in names]
        lines.append(
            (
                f"{point['snr_db']:g}",
                cite(len(lost[names[0]]), *rows),
                *(cite(it.value, *rows, form=".1%", low=it.low, high=it.high) for it in rates),
            )
        )
    note = (
        "Frames of a real access point, with noise added. A frame that is not detected counts as lost for all "
        "receivers."
    )
    columns = ("SNR, dB", "frames", *(OTHER_NAMES[name] for name in names))
    return [Table("Packet errors on recordings", columns, lines, note=note)]


def complexity(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            it.block,
            it.per,
            *(cite(n, *rows[:1]) for n in (it.macs, it.parameters, it.bytes)),
            *_measured(rows, it.block.partition(":")[0], it.measured),
        )
        for it in table(rows[0].result["networks"])
    ]
    note = (
        "MACs and parameters follow from formulas; packed bytes are the length of the file: binary points, a bitmap of"
        " the nonzero weights, and a few bits for each of these and for the biases. Fewer units: structured pruning to"
        " half of the MACs of hidden units, with further training. 8 bits: rounded without further training. NMSE and "
        "BER are measured on the packets of the main curves; for demappers on the impairment set, for decoders on the "
        "packets that all of them decoded. The MACs of a delay gate add to those of the Wiener solve."
    )
    columns = ("block", "per", "MACs", "parameters", "bytes", "NMSE, dB", "BER / float32")
    return Table("What the blocks cost", columns, lines, note=note)


UNCOMPRESSED = {
    "estimator": ("neural/max-log/soft-viterbi", main_points),
    "demapper": ("neural", radio_points),
    "decoder": ("neural/max-log/neural", decoded_points),
}
"""The receiver with the uncompressed network of each block, and the points on which its variants are compared."""


def _measured(rows: Sequence[Row], block: str, name: str) -> tuple[str | Number, str | Number]:
    """NMSE of an estimator, and the bit error rate over that of the block's uncompressed network."""
    reference, points = UNCOMPRESSED[block]
    name = reference if name == f"{block}, float32" else name
    if not name or not all(points(row) and name in points(row)[0]["bit_errors"] for row in rows):
        return "", ""
    off = cite(_nmse(rows, name), *rows, form=".1f") if block == "estimator" else ""
    return off, number(rows, ratio(name, reference), ".3f", "", points)
