"""The page of a compiled net: the check, and for each layer its format, work and time, and why."""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.lab import Block, Download, KeyFigures, Number, Page, Row, Table, Text, cite

FILES = {
    "net.h": "how the net is called",
    "net.c": "weights and kernel calls",
    "kernels.c": "the kernels, with kernels.h and the headers of every instruction set",
    "bench.c": "a program that times every call",
    "pipe.c": "a program that computes what it reads",
    "CMakeLists.txt": "builds the library and both programs",
    "net.so": "the library for Python on this machine",
    "net.onnx": "the net for other runtimes",
    "net.tflite": "the net for LiteRT, in floating point",
    "libnet-arm64.a": "the library for 64-bit Arm",
    "pipe-arm64": "`pipe` for Linux on 64-bit Arm",
    "bench-arm64": "`bench` for Linux on 64-bit Arm",
    "program.json": "the integer program",
}


def page(rows: Sequence[Row]) -> Page:
    """One section for each net, in the order of the rows."""
    blocks: list[Block] = []
    for row in rows:
        blocks += [_key(row), *_answers(row), _layers(row), _choices(row), _calls(row), _checks(row), *_cross(row)]
        blocks += [Download(name, row, note) for name, note in FILES.items() if name in row.artefacts]
    nets = ", ".join(dict.fromkeys(str(row.result["net"]) for row in rows))
    summary = "A net as a C library, compared with the net: integers bit for bit, floats to 1e-5 of the largest output."
    return Page(f"Compiled: {nets}", summary, blocks, Text(*(part for row in rows for part in _verdict(row))))


def _verdict(row: Row) -> Iterator[str | Number]:
    """Whether the library computes the program, and how much less than dense it executes."""
    checks = row.result["checks"]
    wrong = sum(check["mismatches"] for check in checks)
    names = ", ".join(dict.fromkeys(check["instructions"] for check in checks))
    if "max_rel_error" in checks[0]:
        yield f"{row.result['net']}: the library is within "
        yield cite(max(check["max_rel_error"] for check in checks), row, form=".1e")
        yield " of the largest output of the float net on "
    else:
        yield f"{row.result['net']}: the library {'equals' if wrong == 0 else 'differs from'} the integer program on "
    yield cite(sum(check["samples"] for check in checks), row)
    yield f" samples, with the instructions {names}. It executes "
    yield cite(_executed(row) / max(_dense(row), 1), row, form=".2f", unit="x")
    yield " the dense multiply-accumulates and takes "
    yield cite(row.result["net_ms"], row, form=".3g", unit="ms")
    yield f" of {_clock(row)} with {row.result['instructions']}. "
    if zero := [layer["name"] for layer in row.result["layers"] if layer["all_zero"]]:
        yield f"All weights of {', '.join(zero)} are zero: untrained layers would explain that as well as pruning. "
    if row.result["not_run"]:
        yield f"Kernels for {', '.join(row.result['not_run'])} were compiled but cannot be run on this machine. "
    if export := row.result.get("export"):
        yield f"As {'LiteRT' if 'net.tflite' in row.artefacts else 'ONNX'}: {export}. "
    if cross := row.result.get("cross"):
        names = ", ".join(check["instructions"] for check in cross["checks"])
        note = cross["note"]
        yield note[:1].upper() + note[1:] or f"The program for {cross['target']}, emulated, does too with {names}"
        yield "; times are those of this machine. "


def _clock(row: Row) -> str:
    threads = row.result.get("threads", 1)
    return "one core" if threads == 1 else f"a clock on the wall, {threads} threads together,"


def _executed(row: Row) -> int:
    return sum(layer["executed_macs"] for layer in row.result["layers"])


def _dense(row: Row) -> int:
    return sum(layer["dense_macs"] for layer in row.result["layers"])


def _key(row: Row) -> KeyFigures:
    return KeyFigures(
        (
            ("time of a sample", cite(row.result["net_ms"], row, form=".3g", unit="ms")),
            ("executed multiply-accumulates", cite(_executed(row), row)),
            ("weights and lists", cite(row.result["weight_bytes"], row, unit="bytes")),
            ("arena", cite(row.result["arena_bytes"], row, unit="bytes")),
        )
    )


def _answers(row: Row) -> list[Block]:
    blocks: list[Block] = [Text(f"{note}.", title="Left out") for note in row.result["notes"]]
    if (compared := row.result["agreement"]) is None:
        return blocks
    if compared["warning"]:
        blocks.append(Text(compared["warning"], title="Warning: poor agreement with the float net"))
    lines = [
        ("samples", cite(compared["samples"], row)),
        ("correlation", cite(compared["correlation"], row, form=".4f")),
    ]
    note = "Outputs for the samples: of the float net, and of the integer net that the library computes."
    return [*blocks, Table("Integer net beside float net", ("quantity", "value"), lines, note)]


def _layers(row: Row) -> Table:
    lines = [
        (
            layer["name"],
            layer["kind"],
            layer["format"],
            cite(layer["executed_macs"], row),
            cite(layer["executed_macs"] / max(layer["dense_macs"], 1), row, form=".2f"),
            cite(layer["bytes"], row),
            "-" if layer["predicted_ms"] is None else cite(layer["predicted_ms"], row, form=".3g"),
            cite(layer["measured_ms"], row, form=".3g"),
        )
        for layer in row.result["layers"]
    ]
    columns = ("layer", "kind", "format", "executed MACs", "of dense", "bytes", "predicted ms", "measured ms")
    note = (
        "Executed: zeros inside kept blocks, channels filled up to four and pixels at the ends of padded rows count, "
        "so small dense layers are above 1. Predicted: by the kernel's law as fitted on this machine, without its "
        "spread, for one thread. Measured: time of "
        f"{_clock(row)} the least median of five runs, with its spread; instructions: {row.result['instructions']}."
    )
    return Table(f"Layers of {row.result['net']}", columns, lines, note)


def _choices(row: Row) -> Table:
    lines = [(layer["name"], layer["format"], layer["reason"]) for layer in row.result["layers"]]
    return Table("Why sparse or dense", ("layer", "format", "reason"), lines)


def _calls(row: Row) -> Table:
    lines = [(name, cite(ms, row, form=".3g")) for name, ms in row.result["calls_ms"].items()]
    note = "`spread` pads, and takes the pixels of each stride apart; `add` with one value rounds it."
    return Table("Kernel calls in turn", ("call", "measured ms"), lines, note)


def _checks(row: Row) -> Table:
    lines = _compared(row, row.result["checks"])
    lines += [(name, "not run: this machine has no such instructions", "-") for name in row.result["not_run"]]
    return _comparison(row, "Library", lines, row.result["compiler"])


def _cross(row: Row) -> Iterator[Table]:
    """The other architecture, if there is one and it was run."""
    cross = row.result.get("cross")
    if cross and cross["checks"]:
        yield _comparison(row, f"Program for {cross['target']}", _compared(row, cross["checks"]), cross["compiler"])


def _compared(row: Row, checks: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    key, form = ("max_rel_error", ".1e") if "max_rel_error" in checks[0] else ("mismatches", "d")
    return [(check["instructions"], cite(check["samples"], row), cite(check[key], row, form=form)) for check in checks]


def _comparison(row: Row, what: str, lines: list[tuple[Any, ...]], compiler: str) -> Table:
    by = f"Compiled by {compiler}."
    if "max_rel_error" not in row.result["checks"][0]:
        note = f"Mismatches: samples of which an output differs from the integer program's. {by}"
        return Table(f"{what} beside integer program", ("instructions", "samples", "mismatches"), lines, note)
    note = f"Error: the largest difference from the float net, over its largest output. {by}"
    return Table(f"{what} beside float net", ("instructions", "samples", "error"), lines, note)
