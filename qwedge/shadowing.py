"""Whether another package has taken the place of one of ours, whose names are as plain as `shared` and `vision`."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]


def refuse_shadows(roots: Sequence[str]) -> None:
    """Raise ValueError where Python would import another package for one of `roots`; nothing is imported."""
    for name in roots:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin).resolve()
        if origin.parent != _HERE / name:
            other = origin.parent if origin.stem == "__init__" else origin
            raise ValueError(
                f"another package `{name}` at {other} hides Qwedge's own at {_HERE / name}: "
                "run from another folder, take that one off PYTHONPATH, or uninstall it"
            )
