"""Operations of torch that only move numbers, by name; torch says what they move where."""

from typing import Final

MOVES: Final = frozenset(
    {
        "transpose",
        "permute",
        "movedim",
        "moveaxis",
        "swapaxes",
        "swapdims",
        "getattr",
        "getitem",
        "select",
        "narrow",
        "split",
        "chunk",
        "unbind",
        "squeeze",
        "unsqueeze",
        "unflatten",
        "flatten",
        "view",
        "reshape",
        "expand",
        "repeat",
        "tile",
        "contiguous",
        "clone",
        "detach",
        "float",
        "long",
        "roll",
        "flip",
        "pixelshuffle",
        "pixelunshuffle",
        "channelshuffle",
        "reflectionpad1d",
        "reflectionpad2d",
        "replicationpad1d",
        "replicationpad2d",
    }
)
"""Without underscores and in small letters, so that layers, functions and methods are called alike."""
