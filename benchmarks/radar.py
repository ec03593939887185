"""Radar waveforms told apart by small nets: accuracies on pulses that nothing was trained on, beside the Bayes bound.

`python -m benchmarks.radar [--quick] [--seed N] [--json FILE]`
"""

from collections.abc import Mapping, Sequence

from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from wireless.radar.experiment import figures as of
from wireless.radar.experiment.pretrain import TRAINED
from wireless.radar.experiment.run import Radar, RadarSettings

HELD_OUT = 100
"""Seeds below this one are for development."""

QUICK = RadarSettings(nets=("iq-10k",), epochs=2, examples=4_000, tested=10)


def cells(quick: bool, seed: int) -> Sequence[RadarSettings]:
    chosen = QUICK if quick else TRAINED
    return Radar().cells(chosen.model_copy(update={"seed": HELD_OUT + seed}))


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    nets = of.of_net(rows, "iq")
    return {
        "mean_accuracy": over_seeds([of.mean_accuracy(row) for row in nets], goal=">= 0.88"),
        "accuracy_minus6db": over_seeds([of.accuracy_at(row, -6.0) for row in nets], goal=">= 0.94"),
    }


if __name__ == "__main__":
    main(Radar(), cells, figures)
