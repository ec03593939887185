"""The page of an OFDM run: every block exchanged, beside every baseline, including unfavourable results."""

from collections.abc import Callable, Sequence
from typing import Any

from shared.lab import (
    COLORS,
    Block,
    Comparison,
    KeyFigures,
    Page,
    Row,
    Table,
    Text,
    cite,
    compared,
    downloads,
    equal_settings,
    plot,
    verdict,
    wilson,
)
from wireless.ofdm.experiment.tables import (
    CONTROL,
    NAMES,
    baselines,
    change,
    complexity,
    in_distribution,
    main_db,
    matrix,
    outside,
    radios,
    recordings,
    share,
)
from wireless.ofdm.link.rates import (
    Points,
    decoded_points,
    main_points,
    mean_reduction,
    over_packets,
    pooled,
    radio_points,
    rate_of,
)

COLOURS = {
    "hard": "grey",
    "ls/max-log/soft-viterbi": "orange",
    "robust": "green",
    CONTROL: "red",
    "perfect": "purple",
    "neural/max-log/soft-viterbi": "sky",
    "ours": "blue",
}

RIVALS = ("hard", "ls/max-log/soft-viterbi", "robust", "genie", "perfect", CONTROL)
"""The receivers that the verdict names."""

LEVEL = 0.05
"""Share of the bit errors up to which two receivers are level."""

PUBLISHED = (
    "Published, not measured here: BER lower by 61 % on average on simulated and by 10 % on over-the-air data (arXiv "
    "2205.06159, abstract). The measurements differ: the abstract does not state legacy chain, channels and SNRs, and "
    "replacing hard by soft decisions alone already reduces the bit error rate by "
)

NETWORKS = {"estimator": "delay gate", "demapper": "context demapper", "decoder": "syndrome decoder"}

FILES = {
    **{f"{name}.safetensors": what for name, what in NETWORKS.items()},
    "neural-5k.safetensors": "delay gate of 5.5k",
    "dense.safetensors": "dense estimator",
    **{f"{name}-units.safetensors": f"{what}, fewer units" for name, what in NETWORKS.items()},
    **{f"{name}.packed": f"{what}, pruned and quantized" for name, what in NETWORKS.items()},
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, but every seed has its own files."""
    same = equal_settings(rows)
    blocks: list[Block] = [
        _key(same),
        _curves(same),
        in_distribution(same),
        baselines(same),
        *matrix(same),
        outside(same),
    ]
    blocks += [radios(same), *recordings(same), complexity(same), _paper(same)]
    blocks += downloads(rows, FILES)
    return Page(
        "OFDM receiver: legacy and neural blocks exchanged",
        "802.11a at 24 Mb/s (16-QAM, rate 1/2), 10 symbols a packet. All receivers of a table decode the same packets; "
        "intervals are 95 %, over packets for one seed and over seeds for several. Level: bit error rates that differ "
        f"by less than {LEVEL:.0%}, or whose difference has an interval that holds 0.",
        [block for block in blocks if not isinstance(block, Table) or block.lines],
        _verdict(same),
    )


def _verdict(rows: Sequence[Row]) -> Text:
    """The whole receiver, then the two blocks that may as well stay legacy, each beside what it replaces."""
    neural = "neural/max-log/soft-viterbi"
    receiver = [_beside(rows, NAMES[name], "ours", name, main_points) for name in RIVALS]
    demapper = [
        _beside(rows, "max-log on impaired radios", "neural", "max-log", radio_points),
        _beside(rows, "max-log on perfect radios", "neural/neural/soft-viterbi", neural, main_points),
    ]
    decoder = _beside(rows, "soft Viterbi", "neural/max-log/neural", neural, decoded_points)
    return Text(
        *_sentence("The receiver with neural estimator and soft feedback", receiver),
        *_sentence(" The neural demapper", demapper),
        *_sentence(" The neural decoder", [decoder]),
    )


def _sentence(ours: str, comparisons: Sequence[Comparison | None]) -> Sequence[Any]:
    measured = [it for it in comparisons if it]
    words = ("has fewer bit errors than", "is level with", "has more bit errors than")
    return verdict(ours, measured, *words).parts if measured else ()


def _beside(
    rows: Sequence[Row], other: str, ours: str, name: str, points: Callable[[Row], Points]
) -> Comparison | None:
    """None where that was not run, or no receiver had an error."""
    if not all(points(row) for row in rows):
        return None
    difference = change(rows, ours, name, points)
    return None if isinstance(difference.value, str) else compared(other, difference, less_is_better=True, margin=LEVEL)


def _key(rows: Sequence[Row]) -> KeyFigures:
    packed = max(row.result["networks"]["estimator, packed"]["bytes"] for row in rows)
    against = ("ls/max-log/soft-viterbi", "genie", CONTROL)
    return KeyFigures(
        (
            *((f"bit errors against {NAMES[name]}", change(rows, "ours", name)) for name in against),
            ("complete file of the pruned and quantized estimator", cite(packed, *rows, unit="bytes")),
        )
    )


def _curves(rows: Sequence[Row]) -> Block:
    points, decibels = pooled(rows, main_points), main_db(rows)

    def curves(bits: Any, packets: Any) -> None:
        for name, color in COLOURS.items():
            rates = [over_packets(rate_of(name), [point]) for point in points]
            middle = [it.value for it in rates]
            error = [[it.value - it.low for it in rates], [it.high - it.value for it in rates]]
            bits.errorbar(decibels, middle, error, color=COLORS[color], label=NAMES[name], capsize=2)
            lost = [wilson(point["packet_errors"][name], point["packets"]) for point in points]
            error = [[it.value - it.low for it in lost], [it.high - it.value for it in lost]]
            packets.errorbar(
                decibels, [it.value for it in lost], error, color=COLORS[color], label=NAMES[name], capsize=2
            )
        for axes, label in ((bits, "bit error rate"), (packets, "packet error rate")):
            axes.set(yscale="log", xlabel="Eb/N0 in dB", ylabel=label)

    caption = (
        "Lower is better. Exponential fading with an rms delay of 10 to 150 ns, as in training. Error bars: bootstrap "
        "over groups of 20 packets (bits), Wilson (packets)."
    )
    return plot(curves, *rows, title="Error rates", caption=caption, panels=2)


def _paper(rows: Sequence[Row]) -> Text:
    soft = share(rows, mean_reduction("ls/max-log/soft-viterbi", "hard"))
    return Text(PUBLISHED, soft, " here.", title="Beside the paper")
