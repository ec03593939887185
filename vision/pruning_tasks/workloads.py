"""The workload of a task, and what its data are identified by."""

import os
from collections.abc import Mapping
from pathlib import Path

from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.workload import Workload, classification
from vision.pruning_tasks.segmentation import Segmentation
from vision.pruning_tasks.translation import Translation
from vision.stylize.sources import generated, hashes, load


def workload(settings: PruningSearchSettings) -> Workload:
    """Of `settings.task`. Raises `ValueError` where its data are missing."""
    if settings.task == "segmentation":
        return Segmentation(settings)
    if settings.task == "translation":
        folder = _folder(settings)
        return Translation(settings, generated() if folder is None else load(folder))
    return classification(settings)


def data_of(settings: PruningSearchSettings) -> Mapping[str, str]:
    """Hashes of the files that the task is read from."""
    if settings.task == "segmentation":
        return {}
    if settings.task == "translation":
        folder = _folder(settings)
        return {} if folder is None else hashes(folder)
    return settings.hashes()


def _folder(settings: PruningSearchSettings) -> Path | None:
    """Of pairs; none where they are generated for want of a folder."""
    if settings.pairs.startswith("$QWEDGE_DATA") and not os.environ.get("QWEDGE_DATA"):
        return None
    return Path(os.path.expandvars(settings.pairs)).expanduser()
