"""The networks of one run: trained, pruned, quantized, and read back from the files of each stage."""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from shared import ADMM
from shared.lab import JSON, Context
from shared.training.loop import Schedule
from shared.weights import packing
from shared.weights.files import from_bytes, from_tensors, to_bytes
from shared.weights.grid import weight_grid
from shared.weights.task import Loss, ParameterTask
from wireless.ofdm.compression import structured
from wireless.ofdm.compression.complexity import WORD
from wireless.ofdm.compression.structured import present, prune_units, unit_task, without_units
from wireless.ofdm.neural import (
    ContextNet,
    DelayGate,
    DenseEstimator,
    DenseNet,
    NeuralDecoder,
    NeuralDemapper,
    NeuralEstimator,
    SyndromeNet,
)
from wireless.ofdm.neural.decoder import features, targets
from wireless.ofdm.neural.estimator import WIDE
from wireless.ofdm.training.blocks import (
    DECODER,
    DEMAPPER,
    HARD,
    demapper_loss,
    estimator_loss,
    impaired,
    noisy_code,
    train_decoder,
    train_demapper,
    train_dense,
    train_estimator,
)

Steps = TypeVar("Steps", Schedule, ADMM)

UNITS = 0.5
"""Share of the multiply-accumulates of hidden units that structured pruning may keep."""

KINDS: Mapping[str, Callable[[], nn.Module]] = {
    "estimator": DelayGate,
    "neural-5k": partial(DelayGate, WIDE),
    "dense": DenseNet,
    "demapper": ContextNet,
    "decoder": SyndromeNet,
}


@dataclass(frozen=True)
class CompressionSettings:
    """Settings of the compression of one block: bits of a weight, bytes of the file, and the steps of each part."""

    word: int
    bytes: int
    solver: ADMM
    tuning: Schedule
    fit: Schedule


COMPRESSION: Mapping[str, CompressionSettings] = {
    "estimator": CompressionSettings(4, 200, packing.SOLVER, packing.TUNING, Schedule(60, rate=2e-3, floor=5e-4)),
    "demapper": CompressionSettings(
        4, 110, replace(packing.SOLVER, steps=12), replace(packing.TUNING, steps=200),
        Schedule(10, rate=2e-3, floor=5e-4),
    ),
    "decoder": CompressionSettings(
        4, 14_000, replace(packing.SOLVER, steps=12), replace(packing.TUNING, steps=150),
        Schedule(10, rate=2e-3, floor=5e-4),
    ),
}  # fmt: skip
"""The blocks that are compressed. The bytes of the estimator are a setting of the experiment."""


class Networks:
    """`stages` by name, in their order; each reads the networks of earlier ones from the context's files."""

    def __init__(self, context: Context, training: float, budget: int) -> None:
        self.context, self.training = context, training
        self.compression = dict(COMPRESSION) | {"estimator": replace(COMPRESSION["estimator"], bytes=budget)}

    @cached_property
    def stages(self) -> Mapping[str, Callable[[], JSON]]:
        def demapper(generator: torch.Generator, schedule: Schedule, progress: Any = None) -> nn.Module:
            return train_demapper(self.estimator, generator, schedule, progress)

        trained: dict[str, tuple[Callable[..., nn.Module], Schedule]] = {
            "estimator": (train_estimator, Schedule()),
            "neural-5k": (partial(train_estimator, hidden=WIDE), Schedule()),
            "dense": (train_dense, Schedule()),
            "demapper": (demapper, DEMAPPER),
            "decoder": (train_decoder, DECODER),
        }
        stages: dict[str, Callable[[], JSON]] = {name: partial(self.train, name, *how) for name, how in trained.items()}
        for name in self.compression:
            stages[f"{name}, packed"] = partial(self.pack, name)
            stages[f"{name}, fewer units"] = partial(self.prune, name)
        return stages

    def scaled(self, steps: Steps) -> Steps:
        return replace(steps, steps=max(round(steps.steps * self.training), 1))

    def train(self, name: str, trainer: Callable[..., nn.Module], schedule: Schedule) -> JSON:
        started = time.process_time()
        net = trainer(self.context.generator(), self.scaled(schedule), progress=self.context.progress)
        self.context.artefact(f"{name}.safetensors", to_bytes(net))
        parameters = sum(parameter.numel() for parameter in net.parameters())
        return {"parameters": parameters, "cpu_s": time.process_time() - started}

    def pack(self, name: str) -> JSON:
        started, settings, generator = time.process_time(), self.compression[name], self.context.generator()
        task = ParameterTask(self.net(name), self.task_loss(name, generator), generator, self.scaled(settings.fit))
        solver, tuning = self.scaled(settings.solver), self.scaled(settings.tuning)
        packed = packing.compress_to_bytes(
            task, settings.bytes, settings.word, solver, tuning, progress=self.context.progress
        )
        self.context.artefact(f"{name}.packed", packed.packed)
        return {
            "bytes": len(packed.packed),
            "word": settings.word,
            "sparsity": packed.sparsity,
            "loss": packed.loss,
            "dense_loss": packed.dense_loss,
            "status": packed.status,
            "cpu_s": time.process_time() - started,
        }

    def prune(self, name: str) -> JSON:
        started, generator = time.process_time(), self.context.generator()
        fit = self.scaled(self.compression[name].fit)
        task = unit_task(self.net(name), self.task_loss(name, generator), generator, fit)
        net, gone = prune_units(task, UNITS, self.scaled(structured.SOLVER), progress=self.context.progress)
        self.context.save_tensors(f"{name}, fewer units", dict(net.named_parameters()))
        small = without_units(net)
        self.context.artefact(f"{name}-units.safetensors", to_bytes(small))
        return {
            "macs_gone": gone,
            "parameters": present(small),
            "cpu_s": time.process_time() - started,
        }

    def task_loss(self, name: str, generator: torch.Generator) -> Loss:
        """The loss that compression minimises: that of the training; for the decoder, at the end of its curriculum."""
        if name == "estimator":
            return lambda net, g: estimator_loss(net, 512, g)
        if name == "demapper":
            pool = impaired(self.estimator, 32, generator, count=24)
            return lambda net, g: demapper_loss(net, pool[int(torch.randint(len(pool), (), generator=g))])

        def loss(net: Callable[..., Tensor], g: torch.Generator) -> Tensor:
            llr, wrong = noisy_code(DECODER.batch, HARD, g)
            return binary_cross_entropy_with_logits(net(features(llr)), targets(wrong))

        return loss

    def net(self, name: str) -> Any:
        return from_bytes(KINDS[name](), self.context.read_artefact(f"{name}.safetensors"))

    def compressed(self, name: str) -> Mapping[str, Any]:
        """The block of this name with units removed, rounded to eight bits, and pruned and quantized."""
        net, pruned = self.net(name), self.context.load_tensors(f"{name}, fewer units")
        flat = parameters_to_vector(net.parameters()).detach()[:, None]
        packed = self.context.read_artefact(f"{name}.packed")
        nets = {
            "fewer units": without_units(from_tensors(KINDS[name](), pruned)),
            f"{WORD} bits": _with(net, packing.rounded(flat, weight_grid(net, WORD))),
            "packed": _with(net, packing.unpack(packed, self.compression[name].word, net)),
        }
        return {f"{name}, {what}": block(name, it) for what, it in nets.items()}

    @cached_property
    def estimator(self) -> NeuralEstimator:
        return NeuralEstimator.of(self.net("estimator"))

    @cached_property
    def packed(self) -> NeuralEstimator:
        """The compressed estimator, read back from its bytes."""
        estimator: NeuralEstimator = self.compressed("estimator")["estimator, packed"]
        return estimator


def block(name: str, net: Any) -> Any:
    """A trained network as a block of the receiver."""
    kinds: Mapping[str, Callable[[Any], Any]] = {
        "dense": DenseEstimator,
        "demapper": NeuralDemapper,
        "decoder": NeuralDecoder,
    }
    return kinds[name](net) if name in kinds else NeuralEstimator.of(net)


def _with(net: nn.Module, z: Tensor) -> nn.Module:
    """Another network with the weights `z`, `(parameters, 1)`."""
    other = deepcopy(net)
    vector_to_parameters(z[:, 0], other.parameters())
    return other
