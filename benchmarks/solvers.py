"""ADMM, the relaxation and projecting once on a problem of each domain, at equal prices and equal gradient steps.

`python -m benchmarks.solvers [--quick] [--seed N] [--json FILE]`

Settings were chosen on seeds below `HELD_OUT`; the losses are those of data that no solver evaluates.
"""

from collections.abc import Mapping, Sequence

from qwedge.experiments.solvers import METHODS, Domain, Solvers, SolversSettings, excess
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds

SEEDS = 5
HELD_OUT = 100
"""Seeds below this one are for development."""
UNITS: Mapping[Domain, str] = {"circuits": "nats", "receiver": "error variance / N0", "f8net": "nats", "fpga": "nats"}


def cells(quick: bool, seed: int) -> Sequence[SolversSettings]:
    if quick:
        return SolversSettings(domain="fpga", seed=HELD_OUT + seed, seeds=2).per_seed()
    seeds = range(HELD_OUT + seed, HELD_OUT + seed + SEEDS)
    return [SolversSettings(domain=domain, seed=each) for domain in UNITS for each in seeds]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """For each domain the held-out loss of the dense point, and by how much each method's is above it."""
    methods = [(row, row.result[name]["price"]) for row in rows for name in METHODS]
    over = sum(price > row.result["budget"] for row, price in methods)
    metrics = {"solvers_over_budget": Metric(over, unit=f"of {len(methods)} solutions", goal="<= 0")}
    for domain, unit in UNITS.items():
        dense = [row.result["dense"]["loss"] for row in rows if row.settings["domain"] == domain]
        if not dense:
            continue
        metrics[f"{domain}_dense_loss"] = over_seeds(dense, unit)
        for name in METHODS:
            metrics[f"{domain}_excess_{name}"] = over_seeds(excess(rows, domain, name), unit)
        for name in ("admm", "straight_through"):
            paired = zip(excess(rows, domain, "relaxation"), excess(rows, domain, name), strict=True)
            metrics[f"{domain}_relaxation_minus_{name}"] = over_seeds([ours - theirs for ours, theirs in paired], unit)
    return metrics


if __name__ == "__main__":
    main(Solvers(), cells, figures)
