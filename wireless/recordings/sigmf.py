"""Recordings in the Signal Metadata Format, SigMF 1.2: samples beside their metadata, or an archive of both."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from wireless.recordings.containers import Stored

# core:datatype without its leading c (complex): NumPy's type, and the value that represents zero.
_TYPES = {
    "i8": ("i1", 0), "u8": ("u1", 128), "i16_le": ("<i2", 0), "i16_be": (">i2", 0), "u16_le": ("<u2", 1 << 15),
    "u16_be": (">u2", 1 << 15), "i32_le": ("<i4", 0), "i32_be": (">i4", 0), "f32_le": ("<f4", 0),
    "f32_be": (">f4", 0), "f64_le": ("<f8", 0), "f64_be": (">f8", 0),
}  # fmt: skip
_META, _DATA, _ARCHIVE = ".sigmf-meta", ".sigmf-data", ".sigmf"
_LONGEST_META = 1 << 26
_BYTES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "f32": 4, "f64": 8}


def sigmf(path: Path) -> Stored:
    """The samples of a recording, named by either of its files, by both without a suffix, or by its archive."""
    if path.suffix == _ARCHIVE and path.is_file():
        return _archive(path)
    stem = path.with_suffix("") if path.suffix in (_META, _DATA, _ARCHIVE) else path
    meta, data = (stem.with_name(stem.name + suffix) for suffix in (_META, _DATA))
    if path.suffix == _DATA and not path.is_file():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if not meta.is_file() and data.is_file():
        raise ValueError(f"{data} has no metadata: {meta} must lie beside it; as a raw file it needs --format")
    with meta.open("rb") as file:
        text = file.read(_LONGEST_META + 1)
    fields, captures = _metadata(meta, text)
    dataset = fields.get("core:dataset")
    if dataset is not None:
        if not isinstance(dataset, str) or dataset in ("", ".", "..") or set(dataset) & {"/", "\\", "\0"}:
            raise ValueError(f"{meta}: core:dataset {dataset!r} must be the name of a file in the same folder")
        data = meta.with_name(dataset)
    elif fields.get("core:metadata_only") is True:
        raise ValueError(f"{meta} is metadata only: it describes samples that it does not name")
    return _samples(meta, data, data.read_bytes(), fields, captures)


def _archive(path: Path) -> Stored:
    """The one recording in an uncompressed tar archive, read without unpacking: nothing is written anywhere."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = [member for member in archive if member.isreg() and not member.issparse()]
            metas = [member for member in members if member.name.endswith(_META)]
            if len(metas) != 1:
                names = ", ".join(PurePosixPath(member.name).name for member in metas[:5]) or "none"
                raise ValueError(
                    f"{path} must hold one recording, but has {len(metas)} ({names}): unpack it and name one"
                )
            [meta] = metas
            text = _content(archive, meta, _LONGEST_META + 1)
            fields, captures = _metadata(path, text)
            default = PurePosixPath(meta.name).name.removesuffix(_META) + _DATA
            wanted = str(PurePosixPath(meta.name).with_name(str(fields.get("core:dataset") or default)))
            data = next((member for member in members if member.name == wanted), None)
            if data is None:
                raise ValueError(f"{path} has no file {wanted!r}, in which its metadata expect the samples")
            return _samples(path, path, _content(archive, data, data.size), fields, captures)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path} is not a SigMF archive (uncompressed tar): {error}") from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # a regular file
    with file:
        return file.read(most)


def _metadata(path: Path, text: bytes) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """The global object and the capture segments."""
    try:
        if len(text) > _LONGEST_META:
            raise ValueError(f"more than {_LONGEST_META} bytes")
        contents = json.loads(text)
        fields, captures = contents["global"], contents.get("captures", [])
        fields["core:datatype"]
        if not all(isinstance(capture, dict) for capture in captures):
            raise TypeError("captures are not objects")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid SigMF metadata: {type(error).__name__} {error}") from None
    return fields, captures


def _samples(
    meta: Path, data: Path, content: bytes, fields: Mapping[str, Any], captures: Sequence[Mapping[str, Any]]
) -> Stored:
    name, rate = fields["core:datatype"], fields.get("core:sample_rate")
    if not isinstance(name, str) or name[:1] != "c" or name[1:] not in _TYPES:
        types = ", ".join(f"c{suffix}" for suffix in _TYPES)
        raise ValueError(f"{meta}: core:datatype {name!r} is not supported; it must be one of {types}")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
        raise ValueError(f"{meta}: core:sample_rate {rate!r} must be a number of samples per second")
    channels = _number(meta, fields, "core:num_channels", 1)
    if channels == 0:
        raise ValueError(f"{meta}: core:num_channels is 0; it must be 1 or more")
    size = 2 * channels * _BYTES[name[1:].partition("_")[0]]
    trailing = _number(meta, fields, "core:trailing_bytes", 0)
    if trailing > len(content):
        raise ValueError(f"{meta}: core:trailing_bytes is {trailing}, but {data} has {len(content)} bytes")
    content = content[: len(content) - trailing]
    return Stored(
        data,
        _without_headers(meta, data, content, size, fields, captures),
        *_TYPES[name[1:]],
        rate,
        channels,
        _said(meta, captures),
    )


def _without_headers(
    meta: Path,
    data: Path,
    content: bytes,
    size: int,
    fields: Mapping[str, Any],
    captures: Sequence[Mapping[str, Any]],
) -> bytes:
    """The samples of all captures, one after another: each may begin with a header of its own."""
    first, pieces, at, sample = _number(meta, fields, "core:offset", 0), [], 0, 0
    for capture in captures:
        start = _number(meta, capture, "core:sample_start", 0) - first
        header = _number(meta, capture, "core:header_bytes", 0)
        if start < sample:
            raise ValueError(f"{meta}: captures must be in order of core:sample_start, from core:offset on")
        end = at + (start - sample) * size
        if end + header > len(content):
            raise ValueError(f"{meta}: a capture begins at sample {start + first}, beyond the end of {data}")
        pieces.append(content[at:end])
        at, sample = end + header, start
    return b"".join([*pieces, content[at:]]) if at else content


def _said(meta: Path, captures: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A warning where captures are joined that the receiver recorded at different times or frequencies."""
    if len(captures) < 2:
        return ()
    frequencies = {capture.get("core:frequency") for capture in captures if capture.get("core:frequency") is not None}
    at = f" at {len(frequencies)} centre frequencies" if len(frequencies) > 1 else ""
    return (f"{meta} has {len(captures)} captures{at}: they are joined, without the time between them",)


def _number(meta: Path, fields: Mapping[str, Any], key: str, default: int) -> int:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{meta}: {key} {value!r} must be a whole number, 0 or more")
    return value
