"""Sets of others: the layouts of public HDF5 files, and what `export` writes."""

import ast
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.lab import hash_file
from shared.lab.records.arrays import MOST_BYTES, read_npz
from wireless.radar.datasets.labelled import LabelledSet, by_name
from wireless.recordings.samples import complex_samples, stored

RADCHAR: Final = ("coherent_pulse_train", "barker_code", "polyphase_barker_code", "frank_code", "linear_fm")
"""Classes of RadChar by their number (Huang et al. 2023, github.com/abcxyzi/RadChar)."""

_FAULTS = (OSError, KeyError, ValueError, TypeError, RuntimeError, SyntaxError)


def read_set(path: Path) -> LabelledSet:
    """The labelled set in a file, or in a folder of SigMF recordings.

    - `.h5`, `.hdf5`, `.mat` (7.3): the layouts of RadChar (`iq`, `labels` with `signal_type`), RadioML 2018 (`X`, `Y`
      one-hot, `Z`), DeepRadar2022 (`X_*`, with `Y_*` or `lbl_*` in it or in a file of that name beside it), RadarComm
      (a vector of I and Q for each `(modulation, signal, SNR, sample)`), and of `export`.
    - `.npz`: arrays `iq` `(N, samples)`, `labels` `(N,)` as numbers or words, perhaps `snr_db` and `classes`.
    - `.sigmf-meta`, or a folder of them: every annotation with a `core:label` is a window; all are as long.

    Nothing is unpickled. Raises `ValueError`, in one line that names the file, for missing keys, for lengths that
    differ, for samples that are not finite and for files that are named but not there.
    """
    if path.is_dir() or path.suffix == ".sigmf-meta":
        return _sigmf(path)
    if not path.is_file():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if path.suffix == ".npz":
        return _npz(path)
    if path.suffix not in (".h5", ".hdf5", ".mat"):
        raise ValueError(f"{path}: a set is .h5, .hdf5, .mat, .npz, .sigmf-meta or a folder of these last")
    return _hdf5(path)


def hashes(path: Path) -> dict[str, str]:
    """Name and SHA-256 of each file that `read_set` reads."""
    if path.is_dir() or path.suffix == ".sigmf-meta":
        stems = path.glob("*.sigmf-meta") if path.is_dir() else [path]
        return {file.name: hash_file(file) for stem in stems for file in (stem, stem.with_suffix(".sigmf-data"))}
    return {file.name: hash_file(file) for file in (path, *_beside(path)) if file.is_file()}


def _hdf5(path: Path) -> LabelledSet:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for needs, layout in _LAYOUTS:
                if needs([*file, *(beside.stem for beside in _beside(path) if beside.is_file())]):
                    return layout(path, file)
            keys = ", ".join(list(file)[:6]) or "nothing"
    except _FAULTS as error:
        text = str(error).partition("\n")[0]
        raise ValueError(text if text.startswith(str(path)) else f"{path} is not a set in HDF5: {text}") from None
    raise ValueError(
        f"{path} holds {keys}; needs iq and labels (RadChar, ours), X, Y and Z (RadioML), X_* and Y_* or lbl_* "
        f"(DeepRadar{_without_labels(path)}), or a vector for each (modulation, signal, SNR, sample) (RadarComm)"
    )


def _array(path: Path, file: Any, key: str) -> NDArray[Any]:
    """A whole dataset of plain numbers, within the limit of what is read."""
    dataset = file[key]
    if not hasattr(dataset, "shape"):
        raise ValueError(f"{path}: {key} is a group; needs a dataset")
    if dataset.dtype.hasobject:
        raise ValueError(f"{path}: {key} holds objects; needs numbers")
    if dataset.size * dataset.dtype.itemsize > 64 * MOST_BYTES:
        raise ValueError(
            f"{path}: {key} of {dataset.shape} exceeds {64 * MOST_BYTES >> 30} GiB; give a part of the set"
        )
    array: NDArray[Any] = dataset[...]
    return array


def _ours_or_radchar(path: Path, file: Any) -> LabelledSet:
    iq, labels = _complex(path, _array(path, file, "iq")), _array(path, file, "labels")
    if labels.dtype.names is None:
        numbers, classes = _classes(path, labels, file.attrs.get("classes"))
        snr_db = _array(path, file, "snr_db") if "snr_db" in file else np.full(len(labels), np.nan)
        return LabelledSet(iq, numbers, classes, snr_db.astype(float), str(path))
    missing = {"signal_type", "signal_to_noise_ratio"} - set(labels.dtype.names)
    if missing:
        raise ValueError(f"{path}: labels have no field {min(missing)}, only {', '.join(labels.dtype.names)}")
    snr_db = labels["signal_to_noise_ratio"].astype(float)
    return LabelledSet(iq, labels["signal_type"].astype(np.int64), RADCHAR, snr_db, str(path))


def _radioml(path: Path, file: Any) -> LabelledSet:
    iq, labels, snr_db = (_array(path, file, key) for key in ("X", "Y", "Z"))
    return LabelledSet(
        _complex(path, iq),
        _from_one_hot(labels),
        _numbered(labels.shape[1]),
        snr_db.ravel().astype(float),
        str(path),
    )


def _deepradar(path: Path, file: Any) -> LabelledSet:
    """MATLAB's axes come in reverse: `(2, 1024, N)` and `(columns, N)`. Labels count from 1 there.

    A line of lbl begins with the class and the ratio in dB, as the set's readers have it; Y says the class alone.
    """
    keys = {key.partition("_")[0].lower(): key for key in file if "_" in key}
    iq = _array(path, file, keys.get("xr") or keys["x"])
    iq = iq.transpose(2, 1, 0) if iq.ndim == 3 and iq.shape[0] == 2 else iq
    tables = {kind: _array(path, file, keys[kind]) for kind in ("lbl", "y") if kind in keys} or _tables_beside(path)
    kind, table = next(iter(tables.items()))
    table = table.T if table.ndim == 2 and table.shape[0] != len(iq) else table
    if kind == "y":
        labels, classes, snr_db = _from_one_hot(table), _numbered(table.shape[1], first=1), np.full(len(iq), np.nan)
        return LabelledSet(_complex(path, iq), labels, classes, snr_db, str(path))
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"{path}: lbl is {table.dtype} {table.shape}; needs a line (class, ratio) for each window")
    labels = table[:, 0].astype(np.int64) - 1
    notes = ("the second column of lbl is taken for the ratio in dB",)
    classes = _numbered(_largest(labels) + 1, first=1)
    return LabelledSet(_complex(path, iq), labels, classes, table[:, 1].astype(float), str(path), notes)


def _beside(path: Path) -> Sequence[Path]:
    """The files in which the labels of DeepRadar2022's `X_*.mat` are published: the first that is there is read."""
    return [path.with_name(kind + path.name[1:]) for kind in ("lbl", "Y")] if path.match("X_*.mat") else []


def _without_labels(path: Path) -> str:
    return "".join(f", with {' or '.join(file.name for file in files)} beside it" for files in [_beside(path)] if files)


def _tables_beside(path: Path) -> dict[str, NDArray[Any]]:
    """What the first of the files `_beside` holds, in the format that MATLAB had before HDF5."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    file = next(file for file in _beside(path) if file.is_file())
    try:
        return {file.stem.partition("_")[0].lower(): loadmat(file, variable_names=[file.stem])[file.stem]}
    except (*_FAULTS, MatReadError, zlib.error, struct.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is not a file of MATLAB with {file.stem}: {reason}") from None


def _radarcomm(path: Path, file: Any) -> LabelledSet:
    """A key such as `('pulsed', 'Airborne-detection', -20, 0)` for a vector of all I, then all Q."""
    names, ratios, windows = [], [], list[NDArray[np.complex64]]()
    for key in file:
        fields = _fields(key)
        if len(fields) != 4:
            raise ValueError(f"{path}: key {key!r} has {len(fields)} fields; needs (modulation, signal, SNR, sample)")
        parts = _array(path, file, key).ravel()
        if len(parts) % 2 or (windows and len(parts) != 2 * len(windows[0])):
            raise ValueError(
                f"{path}: {key!r} has {len(parts)} values, others {2 * len(windows[0]) if windows else 'even'}"
            )
        names.append(f"{fields[0]}, {fields[1]}")
        ratios.append(float(fields[2]))
        windows.append((parts[: len(parts) // 2] + 1j * parts[len(parts) // 2 :]).astype(np.complex64))
    labels, classes = by_name(names)
    return LabelledSet(np.stack(windows), labels, classes, np.array(ratios), str(path))


def _fields(key: str) -> Sequence[Any]:
    try:
        value = ast.literal_eval(key)
    except (ValueError, SyntaxError):
        return [part.strip(" '\"(){}") for part in key.split(",")]
    return value if isinstance(value, tuple) else (value,)


_LAYOUTS: Final[Sequence[tuple[Callable[[list[str]], bool], Callable[[Path, Any], LabelledSet]]]] = (
    (lambda keys: {"iq", "labels"} <= set(keys), _ours_or_radchar),
    (lambda keys: {"X", "Y", "Z"} <= set(keys), _radioml),
    (
        lambda keys: (
            any(key.startswith(("X_", "Xr_")) for key in keys)
            and any(key[:2] == "Y_" or key[:4] == "lbl_" for key in keys)
        ),
        _deepradar,
    ),
    (lambda keys: bool(keys) and all(key.count(",") == 3 for key in keys), _radarcomm),
)


def _complex(path: Path, array: NDArray[Any]) -> NDArray[np.complex64]:
    """`(N, samples)` from complex numbers, or from I and Q on the last or the middle axis."""
    if array.dtype.kind == "c" and array.ndim == 2:
        return array.astype(np.complex64)
    if array.dtype.kind in "iuf" and array.ndim == 3 and 2 in array.shape[1:]:
        parts = array if array.shape[2] == 2 else array.transpose(0, 2, 1)
        return (parts[..., 0] + 1j * parts[..., 1]).astype(np.complex64)
    raise ValueError(
        f"{path}: windows are {array.dtype} {array.shape}; needs complex (N, samples) or I and Q (N, samples, 2)"
    )


def _from_one_hot(one_hot: NDArray[Any]) -> NDArray[np.int64]:
    if one_hot.ndim != 2 or not (np.count_nonzero(one_hot, axis=1) == 1).all():
        raise ValueError(f"labels of shape {one_hot.shape} are not one-hot: every line needs one number that is not 0")
    labels: NDArray[np.int64] = one_hot.argmax(1)
    return labels


def _classes(path: Path, labels: NDArray[Any], names: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers, and the classes that they count: `names` where a file has them. Words are their own names."""
    if labels.dtype.kind in "US":
        return by_name([str(word) for word in labels.astype(str)])
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels are {labels.dtype}; needs whole numbers or words")
    names = _numbered(_largest(labels) + 1) if names is None else names
    return labels.astype(np.int64), tuple(str(name) for name in names)


def _numbered(count: int, first: int = 0) -> tuple[str, ...]:
    """Names for classes that have none."""
    return tuple(str(first + k) for k in range(count))


def _largest(labels: NDArray[Any]) -> int:
    return int(labels.max()) if len(labels) else 0


def _npz(path: Path) -> LabelledSet:
    arrays: Mapping[str, NDArray[Any]] = read_npz(path, ("iq", "labels", "snr_db", "classes"))
    missing = {"iq", "labels"} - set(arrays)
    if missing:
        raise ValueError(f"{path} has no array {min(missing)}; needs iq (N, samples) and labels (N,)")
    numbers, classes = _classes(path, arrays["labels"], arrays.get("classes"))
    snr_db = arrays.get("snr_db", np.full(len(numbers), np.nan)).astype(float)
    return LabelledSet(_complex(path, arrays["iq"]), numbers, classes, snr_db, str(path))


def _sigmf(path: Path) -> LabelledSet:
    metas = sorted(path.glob("*.sigmf-meta")) if path.is_dir() else [path]
    if not metas:
        raise ValueError(f"{path} holds no .sigmf-meta file")
    alone = (
        sorted({data.stem for data in path.glob("*.sigmf-data")} - {meta.stem for meta in metas})
        if path.is_dir()
        else []
    )
    if alone:
        raise ValueError(f"{path}: {len(alone)} recordings have no metadata, the first is {alone[0]}.sigmf-data")
    windows, names, ratios, skipped = list[NDArray[np.complex64]](), [], [], 0
    for meta in metas:
        samples, _ = complex_samples(stored(meta, "sigmf"))
        for annotation in json.loads(meta.read_bytes()).get("annotations", []):
            start, count = annotation.get("core:sample_start", 0), annotation.get("core:sample_count")
            if "core:label" not in annotation or count is None:
                skipped += 1
                continue
            if not 0 <= start <= start + count <= len(samples):
                raise ValueError(
                    f"{meta}: an annotation ends at sample {start + count}, the recording at {len(samples)}"
                )
            if windows and count != len(windows[0]):
                raise ValueError(f"{meta}: an annotation of {count} samples, others have {len(windows[0])}")
            windows.append(samples[start : start + count])
            names.append(str(annotation["core:label"]))
            ratios.append(float(annotation.get("qwedge:snr_db", np.nan)))
    if not windows:
        raise ValueError(f"{path}: no annotation has a core:label and a core:sample_count, {skipped} have neither")
    labels, classes = by_name(names)
    notes = (f"{skipped} annotations without a label or a length were left out",) if skipped else ()
    return LabelledSet(np.stack(windows), labels, classes, np.array(ratios), str(path), notes)
