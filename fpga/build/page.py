"""The page of a synthesised net: its resources, its speed, and the checks of every step."""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.lab import COLORS, Block, Download, KeyFigures, Number, Page, Row, Table, Text, cite, plot

KINDS = {"lut": "logic cells", "ff": "flip-flops", "dsp": "multipliers", "bram": "block RAMs"}

FILES = {
    "top.bit": "bitstream",
    "top.bin": "bitstream",
    "top.v": "Verilog",
    "program.json": "integer program",
    "net.h": "the same net in C",
    "project.tar.gz": "project of hls4ml",
}


def page(rows: Sequence[Row]) -> Page:
    """One section for each net and device, in the order of the rows."""
    blocks: list[Block] = []
    for row in rows:
        if "built" in row.result:
            blocks += [
                _key(row),
                *_answers(row),
                _resources(row),
                _layers(row),
                _checks(row),
                _timing(row),
                _cycles(row),
                _stages(row),
            ]
        else:
            blocks += [*_answers(row), _precisions(row), _checks(row), *_vendor(row)]
        blocks += [Download(name, row, note) for name, note in FILES.items() if name in row.artefacts]
    nets = ", ".join(dict.fromkeys(f"{row.result['net']} on {_target(row)}" for row in rows))
    summary = "From an integer program to hardware, every step compared bit for bit."
    return Page(f"FPGA: {nets}", summary, blocks, Text(*(part for group in _groups(rows) for part in _verdict(group))))


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each net on each device."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.result["net"], _target(row)), []).append(row)
    return list(groups.values())


def _verdict(rows: Sequence[Row]) -> Iterator[str | Number]:
    """Whether a net fits and is fast enough, in the worst of its rows, and whether every step agrees."""
    worst = f" (the worst of {len(rows)})" if len(rows) > 1 else ""
    if all("built" in row.result for row in rows):
        row, kind, share = max((it for row in rows for it in _shares(row)), key=lambda it: it[2])
        yield f"{row.result['net']} takes "
        yield cite(share, row, form=".1%")
        yield f" of the {KINDS[kind]} of {_target(row)}, its fullest resource{worst}. "
        slowest = min(rows, key=lambda row: fmax(row) / row.result["built"]["frequency_mhz"])
        required = slowest.result["built"]["frequency_mhz"]
        yield "It reaches " if fmax(slowest) >= required else "It misses its clock: "
        yield cite(fmax(slowest), slowest, form=".1f", unit="MHz")
        yield f" of {required:g} MHz required{worst}. "
    else:
        yield f"{rows[0].result['net']} is a project for {_target(rows[0])}. "
    for row in rows:
        if (agreement := row.result.get("agreement")) and agreement["warning"]:
            yield f"{agreement['warning']} "
    checks = [(row, check) for row in rows for check in row.result["ladder"]]
    open_ = [f"{check['name']} ({check['outcome']})" for _, check in checks if check["outcome"] != "passed"]
    samples = cite(sum(check["samples"] for _, check in checks), *rows)
    if open_:
        yield f"{len(checks) - len(open_)} of {len(checks)} checks passed; {', '.join(dict.fromkeys(open_))} did not. "
    else:
        yield from (f"All {len(checks)} checks agree with the integer program, on ", samples, " samples. ")


def _shares(row: Row) -> list[tuple[Row, str, float]]:
    """The share of each resource of the device that is used."""
    used, have = row.result["built"]["used"], row.result["built"]["available"]
    return [(row, kind, used[kind] / have[kind]) for kind in KINDS if have[kind]]


def _target(row: Row) -> str:
    return str(row.result["built"]["device"] if "built" in row.result else row.result["backend"])


def microseconds(row: Row) -> float:
    """Latency at the clock that was reached, from the first byte in to the last byte out."""
    return float(row.result["design"]["latency"] / fmax(row))


def per_second(row: Row) -> float:
    """Samples per second at the clock that was reached."""
    return float(1e6 * fmax(row) / row.result["design"]["interval"])


def fmax(row: Row) -> float:
    """Clock in MHz that place and route reached with the seed of the bitstream."""
    built = row.result["built"]
    return float(built["fmax_mhz"][str(built["seed"])])


def _key(row: Row) -> KeyFigures:
    compared = sum(check["samples"] for check in row.result["ladder"])
    wrong = sum(check["mismatches"] for check in row.result["ladder"])
    return KeyFigures(
        (
            (
                f"clock, of {row.result['built']['frequency_mhz']:g} MHz required",
                cite(fmax(row), row, form=".1f", unit="MHz"),
            ),
            ("latency, first byte in to last byte out", cite(microseconds(row), row, form=".3g", unit="us")),
            ("samples per second", cite(per_second(row), row, form=",.0f")),
            ("mismatches with the integer program", cite(f"{wrong} of {compared:,} samples", row)),
        )
    )


def _answers(row: Row) -> list[Block]:
    """What was left out of the net, and how the integer net answers beside the float net, on the samples."""
    compared, accuracy = row.result.get("agreement"), row.result.get("accuracy")
    blocks: list[Block] = [Text(f"{note}.", title="Left out") for note in row.result.get("notes", ())]
    if compared and compared["warning"]:
        blocks.append(Text(compared["warning"], title="Warning: poor agreement with the float net"))
    lines = []
    if compared:
        lines += [
            ("samples", cite(compared["samples"], row)),
            ("correlation", cite(compared["correlation"], row, form=".4f")),
        ]
        if compared["same_decision"] is not None:
            share = compared["same_decision"] / compared["samples"]
            lines.append(("same largest output", cite(share, row, form=".1%")))
        lines.append(("inputs beyond the input's format", cite(compared["saturated"], row, form=".2%")))
    if accuracy:
        for name, net in (("float", "float net"), ("integer", "integer net")):
            if accuracy[name] is not None:
                lines.append((f"accuracy of the {net}", cite(accuracy[name] / accuracy["samples"], row, form=".2%")))
    note = "Outputs for the samples: of the float net, and of the integer net that every check below is compared with."
    return [*blocks, Table("Integer net beside float net", ("quantity", "value"), lines, note)] if lines else blocks


def _resources(row: Row) -> Table:
    used, have, estimate = row.result["built"]["used"], row.result["built"]["available"], row.result["estimate"]
    lines = [
        (
            name,
            cite(used[kind], row),
            cite(have[kind] - used[kind], row),
            cite(used[kind] / have[kind] if have[kind] else None, row, form=".1%"),
            cite(estimate[kind], row, form=",.0f"),
            cite((estimate[kind] - used[kind]) / used[kind] if used[kind] else None, row, form="+.1%"),
        )
        for kind, name in KINDS.items()
    ]
    columns = ("resource", "used", "free", "share", "estimated", "estimate off by")
    note = "Used: after place and route, with the byte streams. Estimated: fpga.pricing.estimate, before any tool ran."
    return Table(f"Resources on {row.result['built']['device']}", columns, lines, note)


def _layers(row: Row) -> Table:
    counts = {count["name"]: count for count in row.result["program"]}
    lines = [
        (
            part["name"],
            part["kind"],
            part["format"],
            cite(" x ".join(map(str, counts[part["name"]]["multiplier"])) if part["macs"] else None, row),
            cite(part["macs"], row),
            cite(part["lanes"] or None, row),
            cite(part["macs"] / part["lanes"] if part["lanes"] else None, row, form=",.0f"),
            cite(part["cycles"], row),
            cite(part["lut"], row, form=",.0f"),
        )
        for part in row.result["design"]["parts"]
    ]
    columns = ("layer", "kind", "format", "bits", "MACs", "multipliers", "reuse factor", "clocks", "estimated cells")
    design = row.result["design"]
    note = (
        f"{design['kind']}: {design['latency']} clocks from the first byte in to the last byte out, a sample every "
        f"{design['interval']} (initiation interval). Format u8.5: unsigned, 8 bits, 5 of them behind the point."
    )
    return Table("Layers", columns, lines, note)


def _checks(row: Row) -> Table:
    lines = [
        (
            check["name"],
            check["outcome"],
            cite(check["samples"], row),
            cite(check["mismatches"], row),
            cite(check["seconds"], row, form=".1f", unit="s"),
            check["note"],
        )
        for check in row.result["ladder"]
    ]
    note = (
        "Each check compares an implementation with the integer program, bit for bit; the reader is what the file was "
        "read as, beside the file's own runtime. A check without samples fails."
    )
    return Table("Verification", ("check", "outcome", "samples", "mismatches", "time", "note"), lines, note)


def _timing(row: Row) -> Table:
    built = row.result["built"]
    lines = [
        (seed, cite(mhz, row, form=".1f", unit="MHz"), "packed" if seed == str(built["seed"]) else "")
        for seed, mhz in built["fmax_mhz"].items()
    ]
    return Table(f"Clock, of {built['frequency_mhz']:g} MHz required", ("placement seed", "reached", ""), lines)


def _cycles(row: Row) -> Block:
    parts = [part for part in row.result["design"]["parts"] if part["cycles"]]

    def paint(axes: Any) -> None:
        names = [part["name"] for part in parts]
        axes.barh(names, [part["cycles"] for part in parts], color=COLORS["blue"])
        axes.axvline(row.result["design"]["interval"], color=COLORS["orange"])
        axes.invert_yaxis()
        axes.set(xlabel="clocks per sample")

    caption = "The line is the initiation interval: a layer whose bar reaches it limits the rate."
    return plot(paint, row, title="Where the clocks go", caption=caption, size=(6, 1.2 + 0.3 * len(parts)))


def _stages(row: Row) -> Text:
    built = row.result["built"]
    seconds = ", ".join(f"{stage} {spent:.0f} s" for stage, spent in built["seconds"].items())
    versions = ", ".join(f"{tool} {version}" for tool, version in built["versions"].items())
    return Text(f"Stages: {seconds}. Tools: {versions}.", title="Stages and tools")


def _precisions(row: Row) -> Table:
    kinds = ("weight", "bias", "accum", "result")
    lines = [(layer["value"], *(str(layer.get(kind, "-")) for kind in kinds)) for layer in row.result["layers"]]
    return Table(f"Precisions for {row.result['backend']}", ("value", *kinds), lines)


def _vendor(row: Row) -> list[Block]:
    """The vendor's reports, section by section."""
    vendor = row.result["vendor"]
    if "missing" in vendor:
        return [Text(vendor["missing"], title="Synthesis")]
    return [
        Table(section, ("quantity", "reported"), [(name, cite(value, row)) for name, value in numbers.items()])
        for section, numbers in vendor["reports"].items()
        if isinstance(numbers, dict)
    ]
