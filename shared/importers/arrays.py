"""Samples and labels in files of NumPy: read whole, or refused in one line."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def load_array(path: str | Path) -> NDArray[Any]:
    """The array of numbers in a file `.npy`.

    The file is mapped first: one that claims more than it holds costs no memory. Raises `OSError` if it cannot be
    opened and `ValueError`, one line that names it, if it holds no array of numbers.
    """
    with open(path, "rb"):  # a missing file is an OSError of its own
        pass
    way_out = "write one array of numbers by numpy.save"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, MemoryError, RecursionError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(f"{path} is not a complete .npy file ({reason}): {way_out}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{path} is an archive of arrays: {way_out}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {array.dtype}, not real numbers: {way_out}")
    return np.array(array, order="C")
