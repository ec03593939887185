"""Pillow, where it is installed."""

from typing import Any


def import_pillow() -> Any:
    """`PIL.Image`; raises `ModuleNotFoundError` that says how to install it."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("`vision` needs pillow: pip install -e '.[vision]'", name=error.name) from None
    return Image
