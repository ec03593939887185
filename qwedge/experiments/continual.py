"""Continual few-shot learning with the learner compiled for this machine beside its controls."""

from collections.abc import Mapping

from qwedge.experiments.compiled_learner import compiled
from vision.continual.device import IntegerEmbedding
from vision.continual.experiment import Continual
from vision.continual.scoring import Embed


class CompiledContinual(Continual):
    """Learn classes from a few pictures, task by task, without forgetting: CML beside its controls.

    One cell is one seed: the encoder, the outer loop, and every method on the same streams.
    """

    def compiled(self, integers: IntegerEmbedding) -> Mapping[str, Embed]:
        return {"compiled": compiled(integers)}
