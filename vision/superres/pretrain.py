"""Trains a net whose weights ship: `python -m vision.superres.pretrain FOLDER SCALE [further]`, some six minutes.

FOLDER holds T91, BSD200 and Set5. The net for x4 begins with the layers of that for x2; with `further`, a net begins
with the weights that ship. One of ten pictures is held back, to judge by whether new weights are better.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from shared.lab import JSON, one_thread, write_atomic
from shared.training.loop import seeded
from vision.superres.nets import CollapsedNet, PlainNet
from vision.superres.patches import Pair, pair
from vision.superres.pretrained import SCALES, pretrained
from vision.superres.sources import Pixels, published
from vision.superres.training import epoch_of, quality, trainer
from vision.superres.upscaler import to_bytes
from vision.training.stages import whole_epochs

WIDTH, DEPTH = 24, 5
STEPS = {2: 9000, 4: 8000}
RATES = {2: 2e-3, 4: 1.5e-3}
FURTHER_STEPS, FURTHER_RATE = 3000, 1e-3
SIZES = {2: 32, 4: 24}
"""Pixels of a patch's side, before it is enlarged."""
ABOUT = "nine of ten pictures of T91 and BSD200 without 302003"


def main(folder: Path, scale: int, further: bool = False) -> None:
    """Writes the weights beside this module if they are better than those that are there, by pictures held back."""
    one_thread()
    pictures = published(folder)
    net = first(scale, further)
    steps, rate = (FURTHER_STEPS, FURTHER_RATE) if further else (STEPS[scale], RATES[scale])
    train(net, pairs(pictures.train, scale), steps, rate)
    held_back = pairs(pictures.validation, scale)
    ours, before = (float(np.mean(quality(it, held_back, scale)["psnr"])) for it in (net, pretrained(scale).net))
    reached = float(np.mean(quality(net, pairs(pictures.test, scale), scale)["psnr"]))
    print(f"x{scale}: {ours:.3f} dB held back, {before:.3f} before; {reached:.3f} on Set5", file=sys.stderr)
    if ours > before:
        about: dict[str, JSON] = {"trained on": ABOUT, "steps": steps, "Set5 dB": round(reached, 3)}
        write_atomic(Path(__file__).with_name("pretrained") / f"x{scale}.safetensors", to_bytes(net, about))


def first(scale: int, further: bool = False) -> PlainNet:
    """The net before training."""
    net = seeded(partial(CollapsedNet, scale, WIDTH, DEPTH), torch.Generator().manual_seed(0))
    if further:
        return net.split(pretrained(scale).net)
    return net.split(pretrained(min(SCALES)).net) if scale > min(SCALES) else net


def train(net: PlainNet, pairs: Sequence[Pair], steps: int, rate: float) -> None:
    """With the patches of its scale."""
    scale = net.scale
    count, each = whole_epochs(steps)
    training, generator = trainer(net, count, rate), torch.Generator().manual_seed(0)
    for epoch in range(count):
        loss = training.run_epoch(epoch_of(pairs, scale, SIZES[scale], each, generator))
        print(f"x{scale}: epoch {epoch + 1} of {count}, loss {loss:.5f}", file=sys.stderr)
    net.cpu().eval()


def pairs(pictures: Mapping[str, Pixels], scale: int) -> list[Pair]:
    return [pair(name, pixels, scale) for name, pixels in pictures.items()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["further"])
