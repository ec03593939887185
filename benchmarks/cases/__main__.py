"""Every case with what came out of it: `python -m benchmarks.cases --cases DIR [--part DOMAIN] [--json FILE]`.

Ends with exit code 1 where an answer is wrong.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from benchmarks.cases import fpga, quantum, reliability, wireless
from benchmarks.cases.case import answers
from shared.lab import Table
from shared.lab.pages.terminal import print_table
from shared.lab.records.json_log import write_atomic
from shared.lab.records.provenance import provenance
from shared.lab.running.benchmark import Metric, figures_table

PARTS = {"quantum": quantum.CASES, "fpga": fpga.CASES, "wireless": wireless.CASES, "reliability": reliability.CASES}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cases", description="Inputs from the field.")
    parser.add_argument("--cases", type=Path, required=True, metavar="DIR", help="a folder with one folder per domain")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this domain; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the answers and figures to FILE")
    options = parser.parse_args()
    # A shell has Ctrl-C ignored in what it starts in the background, and commands that are stopped would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows, figures = [], {}
    for part in options.part or PARTS:
        right = 0
        for case, wrong in answers(PARTS[part], options.cases.resolve() / part):
            rows.append((part, case.name, case.right, wrong or "right"))
            print(f"{part} {case.name}: {wrong or 'right'}", file=sys.stderr, flush=True)
            right += not wrong
        figures[f"{part}_cases_right"] = Metric(right, unit="cases", goal=f">= {len(PARTS[part])}")
    if options.json is not None:
        contents = {
            "rows": [dict(zip(("part", "case", "right", "answer"), row, strict=True)) for row in rows],
            "figures": {name: measure._asdict() for name, measure in figures.items()},
            "provenance": provenance("python -m benchmarks.cases --cases DIR"),
        }
        write_atomic(options.json, json.dumps(contents, indent=1, ensure_ascii=False).encode())
    print_table(Table("Cases", ("part", "case", "right answer", "what came out"), rows))
    print_table(figures_table(figures))
    return int(any(row[-1] != "right" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
