"""Trains a net that ships: `python -m wireless.radar.experiment.pretrain --net iq --out FOLDER`; goes on after a stop.

The same settings give the same weights on the same machine. The rows of the run are in FOLDER too.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from shared.lab import Store, run, write_atomic
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.classifier import Classifier

HARD_DB = -16.0, 0.0
"""Ratios at which answers are wrong: clearer pulses are left out of the last training."""
TRAINED: Mapping[str, Sequence[RadarSettings]] = {
    "iq": (
        RadarSettings(nets=("iq",), epochs=25, examples=40_000, rate=4e-3, tested=200, seed=100),
        RadarSettings(nets=("iq",), further=30, examples=40_000, rate=4e-3, tested=200, seed=101, snr_db=HARD_DB),
        RadarSettings(nets=("iq",), further=30, examples=40_000, rate=3e-3, tested=200, seed=102, snr_db=HARD_DB),
        RadarSettings(nets=("iq",), further=24, examples=40_000, rate=2e-3, tested=200, seed=103, snr_db=HARD_DB),
    ),
    "iq-10k": (
        RadarSettings(nets=("iq-10k",), epochs=40, examples=40_000, rate=1e-2, tested=200, seed=100),
        RadarSettings(nets=("iq-10k",), further=24, examples=40_000, rate=8e-3, tested=200, seed=101),
        RadarSettings(
            nets=("iq-10k",), further=12, examples=40_000, rate=6e-3, tested=200, seed=102, snr_db=(-16.0, 4.0)
        ),
        RadarSettings(nets=("iq-10k",), further=40, examples=40_000, rate=6e-3, tested=200, seed=103, snr_db=HARD_DB),
    ),
    "bank": (
        RadarSettings(nets=("bank",), epochs=20, examples=40_000, rate=1e-2, tested=40, seed=200, snr_db=(-16.0, 4.0)),
    ),
}
"""By name; each stage goes on with the weights of the one before."""
AVERAGED: Mapping[str, int] = {"iq": 2}
"""Of so many last stages the weights that ship are the mean (Izmailov et al., arXiv:1803.05407)."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a radar net that ships.")
    parser.add_argument("--net", choices=TRAINED, default="iq", help="which one (default: iq)")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows and weights")
    options = parser.parse_args()
    store, weights = Store(options.out), ""
    stages: list[bytes] = []
    for settings in TRAINED[options.net]:
        [row] = run(Radar(), [settings.model_copy(update={"weights": weights, "techniques": ()})], store, quiet=False)
        stages.append(store.get(row.artefacts[f"{options.net}.safetensors"]))
        weights = str(options.out / f"{options.net}.safetensors")
        write_atomic(Path(weights), stages[-1])
    write_atomic(Path(weights), mean(stages[-AVERAGED.get(options.net, 1) :]))


def mean(stages: Sequence[bytes]) -> bytes:
    """The file of a net whose numbers are the means of those of `stages`, which are of one net."""
    *_, last = nets = [Classifier.from_bytes(stage) for stage in stages]
    states = [each.net.state_dict() for each in nets]
    averaged = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in last.net.state_dict().items()
        if value.is_floating_point()
    }
    last.net.load_state_dict(averaged, strict=False)
    return last.to_bytes()


if __name__ == "__main__":
    main()
