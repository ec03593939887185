"""The page of an OFDM run: every block exchanged, beside every baseline, including unfavourable results."""

from collections.abc import Sequence
from typing import Any

from shared.lab import COLORS, Block, KeyFigures, Page, Row, Table, Text, cite, downloads, equal_settings, plot, wilson
from wireless.ofdm.experiment.tables import (
    NAMES,
    baselines,
    complexity,
    in_distribution,
    main_db,
    matrix,
    number,
    outside,
    radios,
    recordings,
    share,
)
from wireless.ofdm.link.rates import main_points, mean_reduction, over_packets, pooled, rate_of, ratio

COLOURS = {
    "hard": "grey",
    "ls/max-log/soft-viterbi": "orange",
    "robust": "green",
    "perfect": "purple",
    "neural/max-log/soft-viterbi": "sky",
    "ours": "blue",
}

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
        "intervals are 95 %, over packets for one seed and over seeds for several.",
        [block for block in blocks if not isinstance(block, Table) or block.lines],
    )


def _key(rows: Sequence[Row]) -> KeyFigures:
    packed = max(row.result["networks"]["estimator, packed"]["bytes"] for row in rows)
    return KeyFigures(
        (
            ("BER below LS + hard decisions", share(rows, mean_reduction("ours", "hard"))),
            ("BER below LS + soft decisions", share(rows, mean_reduction("ours", "ls/max-log/soft-viterbi"))),
            ("BER against known-covariance LMMSE", number(rows, ratio("ours", "genie"), ".3f", "x")),
            ("estimator, complete file", cite(packed, *rows, unit="bytes")),
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
        "Exponential fading with an rms delay of 10 to 150 ns, as in training. Error bars: bootstrap over groups of 20 "
        "packets (bits), Wilson (packets)."
    )
    return plot(curves, *rows, title="Error rates", caption=caption, panels=2)


def _paper(rows: Sequence[Row]) -> Text:
    soft = share(rows, mean_reduction("ls/max-log/soft-viterbi", "hard"))
    return Text(PUBLISHED, soft, " here.", title="Beside the paper")
