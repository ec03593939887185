"""Every receiver block by name, legacy and neural."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from wireless.ofdm.receiver import chain
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.receiver.decoders import Decoder
from wireless.ofdm.receiver.demappers import Demapper
from wireless.ofdm.receiver.estimators import Estimator


def _pretrained() -> ModuleType:
    """Imported on first use, so that a legacy receiver does not import torch."""
    from wireless.ofdm.neural import pretrained

    return pretrained


ESTIMATORS: Final[Mapping[str, Callable[[], Estimator]]] = {
    **chain.ESTIMATORS,
    "neural": lambda: _pretrained().neural_estimator(),
    "neural-5k": lambda: _pretrained().wide_estimator(),
    "dense": lambda: _pretrained().dense_estimator(),
}
DEMAPPERS: Final[Mapping[str, Callable[[], Demapper]]] = {
    **chain.DEMAPPERS,
    "neural": lambda: _pretrained().neural_demapper(),
}
DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = {
    **chain.DECODERS,
    "neural": lambda: _pretrained().neural_decoder(),
}


def receiver(
    estimator: str = "ls", demapper: str = "max-log", decoder: str = "soft-viterbi", passes: int = 0
) -> Receiver:
    """A receiver of blocks by name. Raises `ValueError`, with a list of the names, for an unknown one.

    >>> receiver("neural", passes=1).estimator.name
    'neural'
    """
    return Receiver(
        _block(ESTIMATORS, estimator, "estimator"),
        _block(DEMAPPERS, demapper, "demapper"),
        _block(DECODERS, decoder, "decoder"),
        passes,
    )


def _block(blocks: Mapping[str, Callable[[], Any]], name: str, kind: str) -> Any:
    if name not in blocks:
        raise ValueError(f"{kind} {name!r} is unknown: it must be one of {', '.join(blocks)}")
    return blocks[name]()
