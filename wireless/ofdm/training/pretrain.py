"""Trains the neural blocks that have names: `python -m wireless.ofdm.training.pretrain --seed 0 --out FOLDER`.

The same seed gives the same weights on the same machine; each file says from which seed and commit it comes.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from shared.core.task import Progress
from shared.lab import one_thread
from shared.lab.records.json_log import write_atomic
from shared.lab.records.provenance import provenance
from shared.training.loop import Schedule
from shared.weights.files import to_bytes
from wireless.ofdm.neural import NeuralEstimator
from wireless.ofdm.neural.estimator import WIDE
from wireless.ofdm.training.blocks import DECODER, DEMAPPER, train_decoder, train_demapper, train_dense, train_estimator


def networks(
    seed: int,
    estimator: Schedule | None = None,
    demapper: Schedule = DEMAPPER,
    decoder: Schedule = DECODER,
    progress: Progress | None = None,
) -> Iterator[tuple[str, nn.Module]]:
    """Every network with the name of its file, each with its own generator; the demapper is trained with the first."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    gate = train_estimator(generator(), estimator, progress=progress)
    yield "neural", gate
    yield "neural-5k", train_estimator(generator(), estimator, WIDE, progress)
    yield "dense", train_dense(generator(), estimator, progress)
    yield "demapper", train_demapper(NeuralEstimator.of(gate), generator(), demapper, progress)
    yield "decoder", train_decoder(generator(), decoder, progress)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the neural blocks that have names.")
    parser.add_argument("--seed", type=int, default=0, help="seed of all weights and training data (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the safetensors files")
    arguments = parser.parse_args()
    one_thread()
    arguments.out.mkdir(parents=True, exist_ok=True)
    code = provenance("")
    commit = f"{code['commit']}, changed" if code["dirty"] else str(code["commit"])
    about = {"seed": str(arguments.seed), "commit": commit, "torch": torch.__version__}
    for name, net in networks(arguments.seed, progress=_print_progress):
        write_atomic(arguments.out / f"{name}.safetensors", to_bytes(net, about))


def _print_progress(done: int, total: int, note: str) -> None:
    print(f"\r{note} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
