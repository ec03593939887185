"""What blocks of one's own return, checked where it enters the receiver: a kernel would read beyond a wrong shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.receiver.estimators import ChannelEstimate


def checked_channel(block: Any, channel: Any, batch: int, symbols: int, used: int) -> ChannelEstimate:
    """The channel estimate in the types that kernels are compiled for; ValueError that names the block otherwise."""
    who = f"estimator {name_of(block)!r}"
    if not isinstance(channel, ChannelEstimate):
        raise ValueError(f"{who} returned {_described(channel)}; it must return a ChannelEstimate(h_hat, err_var)")
    h_hat = _checked(f"{who}: h_hat", channel.h_hat, "c", [(batch, used), (batch, symbols, used)])
    err_var = _checked(f"{who}: err_var", channel.err_var, "f", [(batch, used)])
    if err_var.size and err_var.min() < 0:
        raise ValueError(f"{who}: err_var has {err_var.min():g}; a variance must not be negative")
    return ChannelEstimate(h_hat, err_var)


def checked_llr(block: Any, llr: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The LLRs of a demapper."""
    return _checked(f"demapper {name_of(block)!r}: LLRs", llr, "f", [shape])


def checked_bits(block: Any, bits: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The bits of a decoder."""
    checked = _checked(f"decoder {name_of(block)!r}: bits", bits, "bui", [shape])
    if checked.size and checked.max() > 1:
        raise ValueError(f"decoder {name_of(block)!r}: bits have {checked.max()}; they must be 0 or 1")
    return checked


def name_of(block: Any) -> str:
    return str(getattr(block, "name", type(block).__name__))


def _checked(what: str, array: Any, kinds: str, shapes: Sequence[tuple[int, ...]]) -> NDArray[Any]:
    """The array with the type of its kind; the first of `kinds` names what is needed."""
    needed, name = {"c": (np.complex64, "complex64"), "f": (np.float32, "float32"), "b": (np.uint8, "uint8")}[kinds[0]]
    shape = " or ".join(str(it) for it in dict.fromkeys(shapes))
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.shape not in shapes:
        raise ValueError(f"{what} are {_described(array)}; needed is {name} of shape {shape}")
    if not np.isfinite(array).all():
        at = tuple(int(it) for it in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{what} are {array[at]} at {at}; all must be finite")
    return array.astype(needed, copy=False)


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
