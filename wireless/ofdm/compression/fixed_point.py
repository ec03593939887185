"""The delay gate in fixed point: fine-tuned by F8Net on the channel estimation loss, run as an integer program."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.core.task import Progress
from shared.f8net import F8Net, keep_zeros
from shared.integer import Program, outputs
from shared.integer.format import Format
from shared.training.device import choose
from shared.training.loop import Schedule, descend
from wireless.ofdm.channel.profile import TAPS
from wireless.ofdm.neural.estimator import FLOOR, AbstractGateEstimator, DelayGate, delays, gate_inputs
from wireless.ofdm.training.blocks import estimator_loss, fading

TUNING = Schedule(steps=1500, rate=1e-3, floor=1e-5)
BATCH = 4096
"""Channels from which the number formats are calibrated."""
INTEGER_BITS = 4
"""Logarithms of powers over N0 lie between -7 and 12: five bits before the point, one of them the sign."""


def input_format(word: int) -> Format:
    """The format in which a gate of `word` bits reads its 17 numbers."""
    return Format(word, word - 1 - INTEGER_BITS)


def train_fixed(
    gate: DelayGate,
    generator: torch.Generator,
    word: int = 8,
    keep: Sequence[Tensor] | None = None,
    schedule: Schedule = TUNING,
    progress: Progress | None = None,
) -> F8Net:
    """`gate` in `word` bits, fine-tuned; weights stay zero where `keep`, one mask per weight matrix, is False."""
    read = input_format(word)
    fixed = F8Net(layers(gate, keep), shape=(TAPS + 1,), input=read, word=word)

    def scores(t: Tensor, noise_var: Tensor) -> Tensor:
        power = (t.real.square() + t.imag.square()) / noise_var[:, None]
        result: Tensor = fixed(torch.cat((torch.log(power + FLOOR), torch.log(noise_var)[:, None]), 1))
        return result.clamp(-20, 20)

    device = choose()
    fixed.to(device).train()
    descend(
        list(fixed.parameters()),
        lambda: estimator_loss(scores, schedule.batch, generator, device),
        schedule,
        progress=progress,
        note="training in fixed point",
    )
    fixed.cpu().eval()
    return fixed


def calibrated(gate: DelayGate, generator: torch.Generator, word: int) -> F8Net:
    """`gate` in `word` bits without training: formats from the value ranges over one batch of channels."""
    _, ls, noise_var = fading(BATCH, generator)
    t = (ls @ torch.from_numpy(delays(ls.shape[1])[1]).T).numpy()
    x = torch.from_numpy(gate_inputs(t, noise_var.numpy()))
    return F8Net(layers(gate), shape=(TAPS + 1,), input=input_format(word), word=word).calibrate(x).eval()


def layers(gate: DelayGate, keep: Sequence[Tensor] | None = None) -> nn.Sequential:
    """The layers of the gate with a ReLU between them, from the output of `gate_inputs`; masked by `keep`."""
    modules: list[nn.Module] = []
    for index, layer in enumerate(copy.deepcopy(gate.layers)):
        if keep is not None:
            keep_zeros(layer, keep[index])
        modules += [nn.ReLU(), layer] if modules else [layer]
    return nn.Sequential(*modules)


@dataclass(frozen=True, eq=False)
class FixedEstimator(AbstractGateEstimator):
    """The gate as an integer program: the result of a receiver whose gate runs on an FPGA."""

    program: Program
    name = "fixed"

    def scores(self, t: NDArray[np.complex64], noise_var: NDArray[np.float32]) -> NDArray[np.float32]:
        (entry,), (result,) = self.program.inputs, self.program.outputs
        (integers,) = outputs(self.program, entry.format.to_integers(gate_inputs(t, noise_var)))
        scores = self.program.values[result].format.from_integers(integers)
        return np.clip(scores, -20, 20).astype(np.float32)
