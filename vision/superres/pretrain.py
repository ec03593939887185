"""Trains the nets whose weights ship: `python -m vision.superres.pretrain FOLDER`, about 12 minutes on one core.

FOLDER holds T91, BSD200 and Set5. The net for x4 begins with the layers of that for x2.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.lab import one_thread, write_atomic
from shared.training.loop import seeded
from vision.superres.nets import PlainNet
from vision.superres.patches import pair
from vision.superres.pretrained import SCALES
from vision.superres.sources import set5, training_pictures
from vision.superres.training import epoch_of, quality, trainer
from vision.superres.upscaler import to_bytes
from vision.training.stages import whole_epochs

WIDTH, DEPTH = 24, 5
STEPS = {2: 9000, 4: 3000}
RATES = {2: 2e-3, 4: 1.5e-3}
SIZES = {2: 32, 4: 24}
"""Pixels of a patch's side, before it is enlarged."""
ABOUT = "T91 and BSD200 without 302003"


def main(folder: Path) -> None:
    """Writes `pretrained/x2.safetensors` and `x4.safetensors` beside this module."""
    one_thread()
    before: Mapping[str, Tensor] = {}
    for scale in SCALES:
        net = seeded(partial(PlainNet, scale, WIDTH, DEPTH), torch.Generator().manual_seed(0))
        net.load_state_dict({name: value for name, value in before.items() if ".tail." not in name}, strict=False)
        train(net, folder)
        before = net.state_dict()
        path = Path(__file__).with_name("pretrained") / f"x{scale}.safetensors"
        write_atomic(path, packed(net, folder))


def train(net: PlainNet, folder: Path) -> None:
    """With the steps, the rate and the patches of its scale."""
    scale = net.scale
    pairs = [pair(name, pixels, scale) for name, pixels in training_pictures(folder).items()]
    count, each = whole_epochs(STEPS[scale])
    training, generator = trainer(net, count, RATES[scale]), torch.Generator().manual_seed(0)
    for epoch in range(count):
        loss = training.run_epoch(epoch_of(pairs, scale, SIZES[scale], each, generator))
        print(f"x{scale}: epoch {epoch + 1} of {count}, loss {loss:.5f}", file=sys.stderr)
    net.cpu().eval()


def packed(net: PlainNet, folder: Path) -> bytes:
    """The file that ships, with what it reached on Set5."""
    tested = [pair(name, pixels, net.scale) for name, pixels in set5(folder).items()]
    reached = float(np.mean(quality(net, tested, net.scale)["psnr"]))
    print(f"x{net.scale}: {reached:.2f} dB on Set5", file=sys.stderr)
    return to_bytes(net, {"trained on": ABOUT, "steps": STEPS[net.scale], "Set5 dB": round(reached, 3)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
