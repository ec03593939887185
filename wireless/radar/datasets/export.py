"""Sets as files: HDF5, SigMF, NumPy and raw 16-bit integers, block after block; a recipe stands beside the samples."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from shared.core.task import Progress
from shared.lab import JSON, write_atomic
from wireless.radar.datasets.generate import blocks
from wireless.radar.datasets.recipe import Recipe

FULL_SCALE = 32_000
"""Integers of the largest I or Q of a set in `cs16`."""


def export(recipe: Recipe, path: Path, progress: Progress | None = None) -> None:
    """Writes the set of a recipe to `path`; the ending says how.

    - `.h5`: datasets `iq` complex64 `(N, samples)`, `labels` int64 and `snr_db`, attributes `classes` and `recipe`.
    - `.npz`: arrays `iq`, `labels`, `snr_db`, `classes` and `recipe`.
    - `.sigmf-meta`: all windows one after the other as `cf32_le` beside it, an annotation for each.
    - `.cs16`: all windows one after the other as 16-bit integers of one scale, labels in `NAME.json`.

    Files are written aside and renamed, data before metadata. Raises `ValueError` for another ending.
    """
    if path.suffix not in _WRITERS:
        raise ValueError(f"{path}: a set is written as {', '.join(_WRITERS)}")
    _WRITERS[path.suffix](recipe, path, progress)


def _hdf5(recipe: Recipe, path: Path, progress: Progress | None) -> None:
    import h5py

    aside = _aside(path)
    with h5py.File(aside, "w") as file:
        iq = file.create_dataset("iq", (recipe.count, recipe.samples), "<c8")
        labels, snr_db = (
            file.create_dataset("labels", recipe.count, "<i8"),
            file.create_dataset("snr_db", recipe.count, "<f8"),
        )
        done = 0
        for block in blocks(recipe):
            chosen = slice(done, done + len(block.labels))
            iq[chosen], labels[chosen], snr_db[chosen] = block
            done = chosen.stop
            _show(progress, done, recipe)
        file.attrs["classes"], file.attrs["recipe"] = list(recipe.classes), json.dumps(recipe.to_json_data())
    os.replace(aside, path)


def _npz(recipe: Recipe, path: Path, progress: Progress | None) -> None:
    parts = list(blocks(recipe))
    aside = _aside(path)
    with aside.open("wb") as file:
        np.savez(
            file,
            iq=np.concatenate([part.samples for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            snr_db=np.concatenate([part.snr_db for part in parts]),
            classes=np.array(recipe.classes),
            recipe=np.array(json.dumps(recipe.to_json_data())),
        )
    os.replace(aside, path)
    _show(progress, recipe.count, recipe)


def _sigmf(recipe: Recipe, path: Path, progress: Progress | None) -> None:
    data, annotations = path.with_suffix(".sigmf-data"), list[dict[str, JSON]]()
    aside = _aside(data)
    with aside.open("wb") as file:
        for block in blocks(recipe):
            file.write(block.samples.astype("<c8").tobytes())
            annotations += [
                {
                    "core:sample_start": (len(annotations) + k) * recipe.samples,
                    "core:sample_count": recipe.samples,
                    "core:label": recipe.classes[label],
                    "qwedge:snr_db": float(db),
                }
                for k, (label, db) in enumerate(zip(block.labels, block.snr_db, strict=True))
            ]
            _show(progress, len(annotations), recipe)
    os.replace(aside, data)
    head = {"core:datatype": "cf32_le", "core:version": "1.2.0", "qwedge:recipe": recipe.to_json_data()}
    meta = {"global": head, "captures": [{"core:sample_start": 0}], "annotations": annotations}
    write_atomic(path, json.dumps(meta).encode())


def _cs16(recipe: Recipe, path: Path, progress: Progress | None) -> None:
    largest = max(float(np.abs(block.samples.view(np.float32)).max()) for block in blocks(recipe))
    aside, labels, done = _aside(path), list[str](), 0
    with aside.open("wb") as file:
        for block in blocks(recipe):
            file.write((block.samples.view(np.float32) * (FULL_SCALE / largest)).round().astype("<i2").tobytes())
            labels += [recipe.classes[label] for label in block.labels]
            done += len(block.labels)
            _show(progress, done, recipe)
    os.replace(aside, path)
    head = {"samples": recipe.samples, "labels": labels, "step": largest / FULL_SCALE, "recipe": recipe.to_json_data()}
    write_atomic(path.with_suffix(".json"), json.dumps(head).encode())


_WRITERS: Mapping[str, Callable[[Recipe, Path, Progress | None], None]] = {
    ".h5": _hdf5,
    ".npz": _npz,
    ".sigmf-meta": _sigmf,
    ".cs16": _cs16,
}


def _aside(path: Path) -> Path:
    """Where a file is written before it is renamed, so that no reader meets half of it."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _show(progress: Progress | None, done: int, recipe: Recipe) -> None:
    if progress is not None:
        progress(done, recipe.count, "writing pulses")
