"""The command `qwedge noise`: a noise robustness report of circuits, without settings files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwedge.commands.execution import as_json_option, assignment, execute, quiet_option, workers_option

if TYPE_CHECKING:
    from shared.lab import Row, Store


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...")
@click.option(
    "--target", default="nairobi", show_default=True, help="A fake backend, a .json snapshot or a folder of snapshots."
)
@click.option(
    "--data",
    default="none",
    show_default=True,
    help="A data set (digits4, iris ...), a .npz or .csv file, or an energy (tfim4, h2, maxcut6 ...).",
)
@click.option("--encoding", default="auto", show_default=True, help="Encoding of the data: angle, amplitude or own.")
@click.option(
    "--columns",
    default="auto",
    show_default=True,
    help="Columns of the data: as-is, range (scaled to [0, pi]); auto: as-is for a file and a circuit that reads it.",
)
@click.option(
    "--readout",
    default="auto",
    show_default=True,
    help="Score of each class: Z0 (its sign), parity, Z0,Z1,Z2, or bit strings 00+11,01+10; auto: the wires in turn.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the data split and of the shots.")
@click.option(
    "--zne/--no-zne", default=False, show_default=True, help="Zero-noise extrapolation too, at equal total shots."
)
@click.option("--as-given", is_flag=True, help="Keep every gate, barrier and delay, such as the folds of a mitigation.")
@click.option("--days", type=int, default=0, show_default=True, help="Days of synthetic drift.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of `qwedge list noise`.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of rows, page and plots.  [default: runs/noise]")
@workers_option
@quiet_option
@as_json_option
def noise(
    circuits: Sequence[str],
    target: str,
    data: str,
    encoding: str,
    columns: str,
    readout: str,
    seed: int,
    zne: bool,
    as_given: bool,
    days: int,
    assignments: Sequence[str],
    out: Path | None,
    workers: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Report how robust circuits are against noise and finite shots.

    Each CIRCUIT is an OpenQASM 2 or 3 file, a QPY file, or FOLDER/ID of a stored row of compvqc. The command prints the
    score, the change of <Z> and the margin against noise, the scores against shots, and where the error comes from.
    It writes rows.jsonl, index.html and the plots (SVG and PNG) to OUT. Several circuits are compared on one page.

    \b
    Example: qwedge noise circuit.qasm --target nairobi --data digits4 --out report
             qwedge noise dense.qasm compressed.qasm --target torino --data digits4
             qwedge noise mine.qasm --data mine.csv --readout parity
             qwedge noise runs/compvqc/3fa9
    """
    chosen = {"circuits": list(circuits), "target": target, "data": data, "encoding": encoding, "days": days}
    chosen |= {"columns": columns, "readout": readout, "zne": zne}
    if as_given:
        chosen["compilers"] = ["as_given"]
    words = [*(assignment(key, value) for key, value in chosen.items()), *assignments]
    execute("noise", words, seed=seed, out=out, workers=workers, files=_figures, quiet=quiet, as_json=as_json)


def _figures(rows: "Sequence[Row]", store: "Store") -> Mapping[str, Sequence[Path]]:
    from quantum.noise.page import save_figures

    return {"figures": save_figures(rows, store.folder)}
