"""The settings of an experiment for `qwedge list NAME`, kept so that looking them up loads no framework."""

import json
from contextlib import suppress
from typing import Any

from qwedge.catalogue import EXPERIMENTS, load
from qwedge.commands.code_state import code_state


def described(name: str) -> dict[str, Any]:
    """`title` and JSON `schema` of the settings of experiment `name`.

    An experiment of the catalogue is imported once for each state of the code; then both stand in the cache.
    """
    if name not in EXPERIMENTS:
        return _described(name)
    from shared.lab.records.cache import cache_folder
    from shared.lab.records.json_log import write_atomic

    path = cache_folder() / "settings" / f"{name}-{code_state()}.json"
    with suppress(OSError, ValueError):
        kept: dict[str, Any] = json.loads(path.read_bytes())
        return kept
    data = _described(name)
    with suppress(OSError):  # without a cache it only takes longer
        write_atomic(path, json.dumps(data).encode())
    return data


def _described(name: str) -> dict[str, Any]:
    experiment = load(name)
    return {
        "title": f"{experiment.name}: {experiment.summary}",
        "schema": experiment.settings.model_json_schema(),
    }
