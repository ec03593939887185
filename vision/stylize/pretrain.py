"""Trains the net whose weights ship: `python -m vision.stylize.pretrain`, about three minutes on one core.

It learns what the classical stylizer makes of generated pictures: no photograph, and so no person, is in it.
"""

import sys
from pathlib import Path

import torch

from shared.lab import JSON, one_thread, write_atomic
from shared.training.loop import seeded
from vision.stylize.nets import Discriminator, Generator, Shape
from vision.stylize.pretrained import NAME
from vision.stylize.quality import quality
from vision.stylize.sources import generated
from vision.stylize.stylizer import stylizer, to_bytes
from vision.stylize.training import Taught, epoch_of, trainer
from vision.training.stages import whole_epochs

SHAPE = Shape(full=12, half=16, trunk=32, inner=32, blocks=2)
STEPS, RATE, SIZE = 1500, 4e-3, 64
PICTURES, SIDE = 300, 128


def main() -> None:
    """Writes `pretrained/classical.safetensors` beside this module."""
    one_thread()
    source = generated(seed=0, count=PICTURES, side=SIDE)
    weights = torch.Generator().manual_seed(0)
    net, judge = seeded(lambda: Generator(SHAPE), weights), seeded(Discriminator, weights)
    count, each = whole_epochs(STEPS)
    training, generator = trainer(Taught(net, judge), count, RATE), torch.Generator().manual_seed(0)
    for epoch in range(count):
        loss = training.run_epoch(epoch_of([*source.train, *source.validation], SIZE, each, generator))
        print(f"epoch {epoch + 1} of {count}, loss {loss:.4f}", file=sys.stderr)
    net.cpu().eval()
    reached = sum(quality(stylizer(net).styled, source.test)["ssim"]) / len(source.test)
    print(f"SSIM {reached:.4f} on {len(source.test)} generated pictures", file=sys.stderr)
    about: dict[str, JSON] = {
        "trained on": source.about,
        "steps": STEPS,
        "SSIM of generated pictures": round(reached, 4),
    }
    write_atomic(Path(__file__).with_name("pretrained") / NAME, to_bytes(net, about))


if __name__ == "__main__":
    main()
