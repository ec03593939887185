"""Picture files as arrays and back: what a file may be, is checked here and nowhere else."""

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.lab import write_atomic
from vision.data.pillow import import_pillow

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Of files that are written, and looked for in folders."""
WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp")
WITH_16_BITS = (".png", ".tif", ".tiff")
LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""Pixels, of the formats that have a limit."""
_DESCRIPTIONS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
"""Tags of a TIFF that are of the picture and not of how its numbers lie in the file: what it shows, maker, model,
resolution, software, date, artist and copyright."""
_TABLES = (34665, 34853)
"""Those that hold tags themselves: of the camera and of the place."""
_COLOURS = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
}
"""What each of Pillow's modes is read as, where the file names no transparent colour."""
_DEEP = ("I;16", "I;16L", "I;16B")


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels `(H, W, 1)` or `(H, W, 3)` and transparency `(H, W)`, of 8 or 16 bits, upright."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    exif: bytes = b""
    """As in the file, without an orientation."""
    profile: bytes = b""
    """The ICC profile of the colours."""
    notes: tuple[str, ...] = ()
    """What reading had to change."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def peak(self) -> int:
        """The largest value of a pixel."""
        return int(np.iinfo(self.pixels.dtype).max)

    def unit(self) -> NDArray[np.float32]:
        """The pixels in [0, 1]."""
        return self.pixels.astype(np.float32) / np.float32(self.peak)


def read(source: Path | bytes, name: str = "") -> Picture:
    """The picture in a file, or in bytes called `name`, turned as its EXIF orientation says.

    Black and white and grey, colour, palettes, transparency in each of them; 8 bits, and 16 bits of grey. Raises
    `ValueError` in one line for what is no picture, is cut short, moves, or has colours of another kind (CMYK).
    """
    image = import_pillow()
    from PIL import ImageOps, UnidentifiedImageError

    name = name or str(source)
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image.DecompressionBombWarning)  # large pictures are welcome
            opened = image.open(io.BytesIO(data))
            # A telephone's MPO holds views of one scene behind its picture; others show one after the other.
            if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":
                raise ValueError(f"{name}: {opened.n_frames} pictures in one file; needs one, so take it apart first")
            is_deep = _bits(opened) == 16
            tags = _descriptions(opened) if opened.format == "TIFF" else None
            opened.load()
            opened = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise ValueError(f"{name}: not a picture in a format that Pillow reads, such as PNG, JPEG or WebP") from None
    except image.DecompressionBombError as error:
        raise ValueError(f"{name}: {error}; cut it into parts") from None
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{name}: incomplete or corrupt picture: {error}") from None
    exif = opened.getexif() if tags is None else tags
    kept = Picture(np.zeros((1, 1, 1), np.uint8), exif=exif.tobytes() if len(exif) else b"", profile=_profile(opened))
    if opened.mode in _DEEP:
        return replace(kept, pixels=np.asarray(opened).astype(np.uint16)[..., None])
    return replace(kept, **_channels(opened, name), notes=_NARROWED if is_deep else ())


_NARROWED = ("16 bits of colour are read as 8: Pillow reads 16 bits of grey only",)


def _descriptions(opened: Any) -> Any:
    """EXIF of a TIFF, whose tags Pillow leaves behind with the file when it turns a picture."""
    tags, exif = opened.getexif(), import_pillow().Exif()
    for tag in tags:
        if tag in _TABLES:
            exif[tag] = tags.get_ifd(tag)
        elif tag in _DESCRIPTIONS:
            exif[tag] = tags[tag]
    return exif


def _profile(opened: Any) -> bytes:
    return opened.info.get("icc_profile") or b""


def _bits(opened: Any) -> int:
    """Bits of a channel in the file: Pillow narrows 16 bits of colour without a word, and then only a PNG's tile says
    what they were.
    """
    return 16 if any(";16" in str(part) for tile in opened.tile for part in tile) else 8


def _channels(opened: Any, name: str) -> dict[str, Any]:
    mode = _COLOURS.get(opened.mode)
    if mode is None:
        raise ValueError(f"{name}: colours of the kind {opened.mode}; convert it to RGB or grey first")
    if "transparency" in opened.info and mode in ("L", "RGB"):
        # Pillow takes one colour of a grey or RGB picture as transparent only where the result is RGBA.
        pixels = np.asarray(opened.convert("RGBA"))
        return {"pixels": pixels[..., : 1 if mode == "L" else 3].copy(), "alpha": pixels[..., 3].copy()}
    pixels = np.asarray(opened.convert(mode))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if mode in ("LA", "RGBA"):
        return {"pixels": pixels[..., :-1].copy(), "alpha": pixels[..., -1].copy()}
    return {"pixels": pixels}


def check_output(path: Path, overwrite: bool) -> None:
    """Raises `ValueError` where a picture must not or cannot be written to `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: pictures are written as {', '.join(SUFFIXES)}; name one of these")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; name another file, or add --overwrite")


def check_format(picture: Picture, path: Path, scale: int = 1) -> None:
    """Raises `ValueError` where the format of `path` would lose part of a picture that is enlarged `scale` times."""
    suffix, side = path.suffix.lower(), scale * max(picture.size)
    if side > (limit := LONGEST_SIDE.get(suffix, side)):
        raise ValueError(f"{path}: {suffix} holds sides of {limit} pixels at most, and {side} are needed; write a .png")
    if picture.alpha is not None and suffix in WITHOUT_ALPHA:
        raise ValueError(f"{path}: {suffix} holds no transparency, and the picture has some; write a .png")
    if picture.peak > 255 and suffix not in WITH_16_BITS:
        raise ValueError(f"{path}: {suffix} holds 8 bits, and the picture has 16; write a .png")


def write(picture: Picture, path: Path) -> None:
    """Writes a picture whole or not at all. Raises `ValueError` where the format would lose part of it."""
    check_format(picture, path)
    write_atomic(path, encoded(picture, path.suffix.lower()))


def encoded(picture: Picture, suffix: str = ".png") -> bytes:
    """The bytes of a file."""
    image = import_pillow()
    pixels = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    opened = image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    extras = {"exif": picture.exif, "icc_profile": picture.profile}
    quality = {"quality": 95} if suffix in (".jpg", ".jpeg", ".webp") else {}
    buffer = io.BytesIO()
    form = image.registered_extensions()[suffix]
    opened.save(buffer, form, **quality, **{key: value for key, value in extras.items() if value})
    return buffer.getvalue()
