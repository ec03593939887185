"""The page of an OFDM run: every block swapped, every baseline beside it, losing rows included."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shared.lab import COLORS, Block, Download, KeyFigures, Number, Page, Row, Table, Text, cite, plot, wilson
from wireless.ofdm.complexity import table
from wireless.ofdm.figures import (
    Figure,
    Points,
    ber,
    cut,
    decoded_points,
    main_points,
    over_packets,
    over_seeds,
    pooled,
    rate_of,
    ratio,
)

NAMES = {
    "hard": "LS, hard decisions, Viterbi",
    "ls/max-log/soft-viterbi": "LS, max-log, soft Viterbi",
    "dft": "DFT truncation",
    "robust": "robust LMMSE",
    "robust, hard feedback": "robust LMMSE, 2 passes of hard feedback",
    "robust, soft feedback": "robust delays, soft feedback (control)",
    "genie": "LMMSE, known covariance",
    "perfect": "perfect channel knowledge, one pass",
    "neural/max-log/soft-viterbi": "neural estimator",
    "packed": "neural estimator, pruned and quantized",
    "ours": "neural estimator, soft feedback (ours)",
    "ours, packed": "the same, pruned and quantized",
}
"""Receivers of the main table, in its order; max-log and soft Viterbi where nothing else is said."""

DRAWN = {
    "hard": "grey",
    "ls/max-log/soft-viterbi": "orange",
    "robust": "green",
    "perfect": "purple",
    "neural/max-log/soft-viterbi": "sky",
    "ours": "blue",
}

PUBLISHED = (
    "Published, not measured here: BER lower by 61 % on average on simulated and by 10 % on over-the-air data (arXiv "
    "2205.06159, abstract). Not the same measurement: its legacy chain, channels and SNRs are not stated there, and "
    "replacing hard by soft decisions alone already gives "
)

FILES = {
    "estimator.safetensors": "delay gate",
    "estimator.packed": "delay gate, pruned and quantized",
    "demapper.safetensors": "context demapper",
    "decoder.safetensors": "syndrome decoder",
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    same = [row for row in rows if _comparable(row, rows[0])]
    blocks: list[Block] = [_key(same), _curves(same), _main(same), *_matrix(same), _outside(same), _radios(same)]
    blocks += [*_recordings(same), _complexity(same), _paper(same)]
    blocks += [
        Download(name, row, f"{note}, seed {row.seed}")
        for row in rows
        for name, note in FILES.items()
        if name in row.artefacts
    ]
    return Page(
        "OFDM receiver: legacy and neural blocks swapped",
        "802.11a at 24 Mb/s (16-QAM, rate 1/2), 10 symbols a packet. All receivers of a table decode the same packets; "
        "intervals are 95 %, over packets for one seed and over seeds for several.",
        [block for block in blocks if not isinstance(block, Table) or block.lines],
    )


def _comparable(row: Row, other: Row) -> bool:
    drop = ("seed", "seeds")
    return {k: v for k, v in row.settings.items() if k not in drop} == {
        k: v for k, v in other.settings.items() if k not in drop
    }


def _key(rows: Sequence[Row]) -> KeyFigures:
    packed = max(row.result["networks"]["packed"]["bytes"] for row in rows)
    return KeyFigures(
        (
            ("BER below LS + hard decisions", _share(rows, cut("ours", "hard"))),
            ("BER below LS + soft decisions", _share(rows, cut("ours", "ls/max-log/soft-viterbi"))),
            ("BER against known-covariance LMMSE", _number(rows, ratio("ours", "genie"), ".3f", "x")),
            ("estimator, all included", cite(packed, *rows, unit="bytes")),
        )
    )


def _share(rows: Sequence[Row], figure: Any, points: Callable[[Row], Points] = main_points) -> Number:
    return _number(rows, figure, ".1%", "", points)


def _number(
    rows: Sequence[Row], figure: Any, form: str, unit: str, points: Callable[[Row], Points] = main_points
) -> Number:
    it = over_seeds(figure, rows, points)
    if math.isnan(it.value):
        return cite("no errors", *rows)
    return cite(it.value, *rows, form=form, unit=unit, low=it.low, high=it.high)


def _decibels(rows: Sequence[Row]) -> list[float]:
    return [point["ebn0_db"] for point in rows[0].result["main"]]


def _curves(rows: Sequence[Row]) -> Block:
    points, decibels = pooled(rows, main_points), _decibels(rows)

    def draw(bits: Any, packets: Any) -> None:
        for name, color in DRAWN.items():
            rates = [over_packets(rate_of(name), [point]) for point in points]
            middle = [it.value for it in rates]
            error = [[it.value - it.low for it in rates], [it.high - it.value for it in rates]]
            bits.errorbar(decibels, middle, error, color=COLORS[color], label=NAMES[name], capsize=2)
            lost = [wilson(point["packet_errors"][name], point["packets"]) for point in points]
            error = [[it.value - it.low for it in lost], [it.high - it.value for it in lost]]
            packets.errorbar(decibels, [it.value for it in lost], error, color=COLORS[color], capsize=2)
        for axes, label in ((bits, "bit error rate"), (packets, "packet error rate")):
            axes.set(yscale="log", xlabel="Eb/N0 in dB", ylabel=label)
        bits.legend(fontsize=6)

    caption = (
        "Exponential fading, rms delay 10 to 150 ns, as in training. Bars: bootstrap over groups of 20 packets, Wilson."
    )
    return plot(draw, *rows, title="Error rates", caption=caption, panels=2)


def _main(rows: Sequence[Row]) -> Table:
    points, decibels = pooled(rows, main_points), _decibels(rows)
    columns = (
        "receiver",
        *(f"BER at {db:g} dB" for db in decibels),
        "NMSE, dB",
        "below LS + hard",
        "below LS + soft",
        "below robust LMMSE",
        "x genie LMMSE",
    )
    lines: list[Sequence[str | Number]] = [
        (
            label,
            *(cite(ber(point, name), *rows, form=".2e") for point in points),
            cite(_nmse(rows, name), *rows, form=".1f"),
            _share(rows, cut(name, "hard")),
            _share(rows, cut(name, "ls/max-log/soft-viterbi")),
            _share(rows, cut(name, "robust")),
            _number(rows, ratio(name, "genie"), ".3f", ""),
        )
        for name, label in NAMES.items()
    ]
    note = (
        "Mean over Eb/N0 of 1 - BER / BER(reference). NMSE: of the last pass, mean over all Eb/N0, linear. Feedback "
        "may pass perfect channel knowledge, which decodes once. The control says how much of ours is feedback."
    )
    return Table("In distribution", columns, lines, note=note, strong=[list(NAMES).index("ours")])


def _section(section: str, name: str, row: Row) -> Points:
    points: Points = row.result[section][name]
    return points


def _nmse(rows: Sequence[Row], name: str) -> float | None:
    values = [point["nmse"][name] for row in rows for point in main_points(row)]
    middle = sum(values) / len(values)
    return 10 * math.log10(middle) if middle > 0 else None


def _matrix(rows: Sequence[Row]) -> list[Block]:
    if not all(decoded_points(row) for row in rows):
        return []
    points, decibels = pooled(rows, decoded_points), _decibels(rows)
    reference = "ls/max-log/soft-viterbi"
    lines = [
        (
            *name.split("/"),
            *(cite(ber(point, name), *rows, form=".2e") for point in points),
            _share(rows, cut(name, reference), decoded_points),
        )
        for name in points[0]["bit_errors"]
    ]
    columns = ("estimator", "demapper", "decoder", *(f"BER at {db:g} dB" for db in decibels), "below all legacy")
    note = (
        "One pass each. Viterbi finds the most likely sequence where LLRs are right: a network can win only where they "
        "are wrong. As many packets for every cell of the matrix."
    )
    return [Table("Every block legacy or neural", columns, lines, note=note)]


def _outside(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for name in rows[0].result["outside"]:
        if not rows[0].result["outside"][name]:
            continue
        points = pooled(rows, partial(_section, "outside", name))
        ratios = [_ratio_of(rows, points, receiver) for receiver in ("neural", "ours", "robust")]
        lines.append((name, cite(points[0]["packets"] * len(points), *rows), *ratios))
    columns = ("channel", "packets", "neural / LS", "ours / LS", "robust LMMSE / LS")
    note = "BER against LS + soft Viterbi on channels that nothing was trained on; errors of all Eb/N0 added up."
    return Table("Out of distribution", columns, lines, note=note)


def added(name: str) -> Figure:
    """Errors of a receiver at all points over those of LS: weighs each point by its errors."""
    return lambda rate, points: _quotient(
        sum(rate(point, name) * point["bits"] for point in points),
        sum(rate(point, "ls") * point["bits"] for point in points),
    )


def _quotient(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else math.nan


def _ratio_of(rows: Sequence[Row], points: Points, name: str) -> Number:
    it = over_packets(added(name), points)
    if math.isnan(it.value):
        return cite("no errors", *rows)
    return cite(it.value, *rows, form=".3f", low=it.low, high=it.high)


def _radios(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for mbps in rows[0].result["radios"]:
        if not rows[0].result["radios"][mbps]:
            continue
        decibels = [point["ebn0_db"] for point in rows[0].result["radios"][mbps]]
        points = pooled(rows, partial(_section, "radios", mbps))
        for db, point in zip(decibels, points, strict=True):
            rates = [cite(ber(point, name), *rows, form=".2e") for name in ("ls", "max-log", "exact", "neural")]
            gain = over_packets(cut("neural", "max-log"), [point])
            lines.append(
                (f"{mbps} Mb/s", f"{db:g}", *rates, cite(gain.value, *rows, form=".1%", low=gain.low, high=gain.high))
            )
    columns = ("rate", "Eb/N0, dB", "LS, max-log", "max-log", "exact", "neural", "neural below max-log")
    note = (
        "Impairment set, radios drawn anew: amplifier, phase noise, carrier offset, IQ imbalance, converter. The "
        "neural estimator before all but the first column, soft Viterbi after."
    )
    return Table("Demappers on impaired radios", columns, lines, note=note)


def _recordings(rows: Sequence[Row]) -> list[Block]:
    if not all(row.result["recordings"] for row in rows):
        return [Text("Recordings: not run, no folder of recordings was named (`--set recordings=DIR`).")]
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
    note = "Frames of a real access point, with noise added. A frame that is not found is lost to all alike."
    return [Table("Packet errors on recordings", ("SNR, dB", "frames", *names), lines, note=note)]


def _complexity(rows: Sequence[Row]) -> Table:
    packed = rows[0].result["networks"]["packed"]
    lines: list[Sequence[str | Number]] = [
        (it.block, it.per, *(cite(n, *rows[:1]) for n in (it.macs, it.parameters, it.bytes)))
        for it in table(packed["bytes"], packed["sparsity"])
    ]
    note = (
        f"Counted on paper, except the packed bytes, which are the length of the file. In it: a bitmap of the weights "
        f"that are there, 4 bits for each of them and for each bias, and a binary point per tensor; "
        f"{packed['sparsity']:.1%} of the weights are zero. The delay gate comes on top of the Wiener solve."
    )
    return Table("What the blocks cost", ("block", "per", "MACs", "parameters", "bytes"), lines, note=note)


def _paper(rows: Sequence[Row]) -> Text:
    soft = _share(rows, cut("ls/max-log/soft-viterbi", "hard"))
    return Text(PUBLISHED, soft, " here.", title="Beside the paper")
