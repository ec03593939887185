"""Trains the net that ships: `python -m wireless.radar.experiment.pretrain --out FOLDER`; goes on where it was stopped.

The same settings give the same weights on the same machine. The rows of the run are in FOLDER too.
"""

import argparse
from pathlib import Path

from shared.lab import Store, run, write_atomic
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.pretrained import NAME

TRAINED = RadarSettings(nets=(NAME,), epochs=25, examples=40_000, rate=4e-3, tested=200, seed=100)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the radar net that ships.")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows and weights")
    folder = parser.parse_args().out
    store = Store(folder)
    [row] = run(Radar(), Radar().cells(TRAINED), store, quiet=False)
    write_atomic(folder / f"{NAME}.safetensors", store.get(row.artefacts[f"{NAME}.safetensors"]))


if __name__ == "__main__":
    main()
