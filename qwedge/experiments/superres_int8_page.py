"""The page of a net for super-resolution in 8-bit integers: qualities of the libraries, and times side by side."""

from collections.abc import Sequence

import numpy as np

from shared.lab import (
    Block,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite_mean,
    compared,
    downloads,
    equal_settings,
    verdict,
)

NETS = {
    "float": "in floating point",
    "calibrated": "in integers, calibrated only",
    "int8": "in integers, trained",
    "sparse": "in integers, trained with blocks dropped",
}
FILES = {
    "int8.json": "the integer program, for `qwedge compile` and `qwedge synth`",
    "sparse.json": "the same with blocks dropped",
}


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows: seeds are pooled, their files stay apart."""
    title = "Super-resolution in 8-bit integers"
    same = equal_settings(rows)
    about = same[0].result
    height, width = about["plane"]
    summary = (
        f"{about['net']}, pictures enlarged {about['scale']} times. {about['data']}; {len(about['pictures'])} pictures "
        f"of test. Times are of {width}x{height} pixels on one thread. Intervals are 95 %, over seeds."
    )
    blocks: list[Block] = [_key(same), _qualities(same), _times(same), *downloads(rows, FILES)]
    return Page(title, summary, blocks, _verdict(same))


def mean_psnr(row: Row, net: str) -> float:
    """In dB, the mean over pictures."""
    return float(np.mean(row.result["psnr"][net]))


def drops(rows: Sequence[Row], net: str) -> list[float]:
    """Decibels below the net in floating point, by seed."""
    return [mean_psnr(row, "float") - mean_psnr(row, net) for row in rows]


def fps(row: Row, runtime: str) -> float:
    """Pictures a second of CPU time."""
    return 1000 / float(row.result["median_ms"][runtime])


def best_peer(row: Row, numbers: str) -> str | None:
    """The fastest runtime that is not ours."""
    peers = {name: ms for name, ms in row.result["median_ms"].items() if name.endswith(numbers) and "ours" not in name}
    return min(peers, key=peers.__getitem__, default=None)


def speedups(rows: Sequence[Row], ours: str, numbers: str = "int8") -> list[float]:
    """Times as many pictures a second as the best peer in these numbers, by seed; empty without a peer."""
    pairs = [(row, best_peer(row, numbers)) for row in rows]
    return [fps(row, f"ours {ours}") / fps(row, peer) for row, peer in pairs if peer is not None]


def _key(rows: Sequence[Row]) -> KeyFigures:
    return KeyFigures(
        (
            ("lost in integers", cite_mean(drops(rows, "int8"), *rows, form=".3f", unit="dB")),
            ("with blocks dropped", cite_mean(drops(rows, "sparse"), *rows, form=".3f", unit="dB")),
            ("pictures a second", cite_mean([fps(row, "ours sparse") for row in rows], *rows, form=".1f")),
        )
    )


def _verdict(rows: Sequence[Row]) -> Text:
    gains = {
        f"the best int8 runtime, with {'blocks dropped' if ours == 'sparse' else 'all weights'}": speedups(rows, ours)
        for ours in ("int8", "sparse")
    }
    comparisons = [
        compared(name, cite_mean([ratio - 1 for ratio in ratios], *rows, form="+.2f", unit="of its speed"))
        for name, ratios in gains.items()
        if ratios
    ]
    if not comparisons:
        return Text(*(f"No other runtime is installed: {', '.join(rows[0].result['missing'])}.",))
    return verdict("The compiled library", comparisons, "is faster than", behind="is slower than")


def _qualities(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            name,
            cite_mean([mean_psnr(row, net) for row in rows], *rows, form=".2f", unit="dB"),
            "" if net == "float" else cite_mean(drops(rows, net), *rows, form=".3f", unit="dB"),
        )
        for net, name in NETS.items()
    ]
    peer = [float(np.mean(row.result["peer_psnr"])) for row in rows]
    lost = [mean_psnr(row, "float") - value for row, value in zip(rows, peer, strict=True)]
    lines.append(
        (
            "quantised by ONNX Runtime's tool",
            cite_mean(peer, *rows, form=".2f", unit="dB"),
            cite_mean(lost, *rows, form=".3f", unit="dB"),
        )
    )
    note = (
        "PSNR of luma, without a border of as many pixels as the scale, of what the compiled library returns. "
        "Integers read the small picture rounded to levels and return levels. Of the trunk's blocks of 2x4 weights "
        f"{100 * rows[0].settings['kept']:g} % are kept where blocks are dropped."
    )
    return Table("Quality", ("net", "PSNR", "below floating point"), lines, note=note)


def _times(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = [
        (
            runtime,
            cite_mean([row.result["median_ms"][runtime] for row in rows], *rows, form=".1f", unit="ms"),
            cite_mean([fps(row, runtime) for row in rows], *rows, form=".1f"),
        )
        for runtime in rows[0].result["median_ms"]
    ]
    note = (
        "Medians of CPU time, all runtimes in turn. Ours read and return bytes, the others numbers in floating point. "
        f"Instructions of ours: {rows[0].result['instructions']}."
    )
    missing = rows[0].result["missing"]
    return Table(
        "Times",
        ("runtime", "a picture", "pictures a second"),
        lines,
        note=" ".join((note, *(f"{it}." for it in missing))),
    )
