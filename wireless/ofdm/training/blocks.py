"""Training of the neural blocks: new packets at every step, with all SNRs and delay spreads in every batch.

Every block is trained where `shared.training.device.choose` says, `$QWEDGE_DEVICE` or the CPU, and is back on the CPU
at the end. Packets are sampled on the CPU whatever the device, so that the same seed gives the same packets.
"""

import math
from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from shared.core.task import Progress
from shared.training.device import choose
from shared.training.loop import Net, Schedule, descend, seeded
from wireless.ofdm.channel.impairment_set import random_front_end
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.channel.profile import TAPS
from wireless.ofdm.link.simulation import TAIL, Link
from wireless.ofdm.neural.decoder import CODES, Generators, SyndromeNet, features, targets
from wireless.ofdm.neural.demapper import ContextNet
from wireless.ofdm.neural.dense import DenseNet
from wireless.ofdm.neural.estimator import TINY, DelayGate, delays, estimate
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.receiver.estimators import Estimator

CPU = torch.device("cpu")

Curriculum = Sequence[tuple[int, float]]
"""Stages of the decoder's training: constraint length of the code, and the stage's share of the steps."""

EBN0_DB = (0.0, 20.0)
RMS_NS = (10.0, 150.0)
"""The ranges of training, uniform in each."""


def _trained(
    build: Callable[[], Net],
    loss: Callable[[Net, torch.device], Tensor],
    generator: torch.Generator,
    schedule: Schedule,
    progress: Progress | None,
    block: str,
) -> Net:
    device = choose()
    net = seeded(build, generator).to(device)
    descend(
        list(net.parameters()), lambda: loss(net, device), schedule, progress=progress, note=f"training the {block}"
    )
    net.cpu().eval()
    return net


def train_estimator(
    generator: torch.Generator,
    schedule: Schedule | None = None,
    hidden: Sequence[int] = TINY,
    progress: Progress | None = None,
) -> DelayGate:
    """A delay gate trained on exponential channels; reproducible on one machine from the generator state."""
    schedule = schedule or Schedule()

    def loss(net: DelayGate, device: torch.device) -> Tensor:
        return estimator_loss(net, schedule.batch, generator, device)

    return _trained(lambda: DelayGate(hidden), loss, generator, schedule, progress, "estimator")


def estimator_loss(
    net: Callable[..., Tensor], batch: int, generator: torch.Generator, device: torch.device = CPU
) -> Tensor:
    """`mean |h - estimate|^2 / N0` over new channels; without 1/N0 high SNRs would not count.

    `net` maps taps and N0 to scores, as `DelayGate` does, and is on `device`.
    """
    h, ls, noise_var = (sampled.to(device) for sampled in fading(batch, generator))
    error = estimate(net, ls, noise_var) - h
    return ((error.real.square() + error.imag.square()).mean(1) / noise_var).mean()


def fading(batch: int, generator: torch.Generator, used: int = 52) -> tuple[Tensor, Tensor, Tensor]:
    """Channels h and their LS estimates over two training symbols, both `(batch, used)`, and N0 `(batch,)`.

    Exponential profiles of 16 taps, rms delay and Eb/N0 (of 16-QAM at rate 1/2) uniform in the ranges of training.
    """
    rms = RMS_NS[0] + (RMS_NS[1] - RMS_NS[0]) * torch.rand(batch, 1, generator=generator)
    power = torch.softmax(-50.0 * torch.arange(TAPS) / rms, 1)
    ebn0_db = EBN0_DB[0] + (EBN0_DB[1] - EBN0_DB[0]) * torch.rand(batch, generator=generator)
    noise_var = 0.5 * 10 ** (-ebn0_db / 10)
    h = (gaussian(batch, TAPS, generator) * power.sqrt()) @ torch.from_numpy(delays(used)[0]).T
    return h, h + gaussian(batch, used, generator) * (noise_var / 2).sqrt()[:, None], noise_var


def gaussian(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Circular complex Gaussian numbers of unit variance."""
    parts = torch.randn(rows, columns, 2, generator=generator) * math.sqrt(0.5)
    return torch.view_as_complex(parts)


def train_dense(
    generator: torch.Generator, schedule: Schedule | None = None, progress: Progress | None = None
) -> DenseNet:
    """A dense estimator trained on the channels of `train_estimator`, its error variance by maximum likelihood."""
    schedule = schedule or Schedule()

    def loss(net: DenseNet, device: torch.device) -> Tensor:
        return dense_loss(net, schedule.batch, generator, device)

    return _trained(DenseNet, loss, generator, schedule, progress, "dense estimator")


def dense_loss(
    net: Callable[..., tuple[Tensor, Tensor]], batch: int, generator: torch.Generator, device: torch.device = CPU
) -> Tensor:
    """`estimator_loss` plus the negative Gaussian log-likelihood of the error, which trains only the error variance."""
    h, ls, noise_var = (sampled.to(device) for sampled in fading(batch, generator))
    h_hat, doubt = net(ls, noise_var)
    error = h_hat - h
    squared = (error.real.square() + error.imag.square()) / noise_var[:, None]
    return squared.mean() + (doubt + squared.detach() * torch.exp(-doubt)).mean()


DECODER = Schedule(steps=400, batch=64, rate=3e-3)

DECODER_STEPS = 192
EASY, HARD = 14.0, 1.0
"""Es/N0 in dB per code bit at which each stage of the decoder's curriculum starts and ends."""

SINGLE_STAGE: Curriculum = ((7, 1.0),)
GROWING_MEMORY: Curriculum = ((3, 0.2), (5, 0.2), (7, 0.6))
"""The same steps on K=7 alone, or after two stages on codes of less memory."""


def train_decoder(
    generator: torch.Generator,
    schedule: Schedule = DECODER,
    progress: Progress | None = None,
    curriculum: Curriculum = SINGLE_STAGE,
) -> SyndromeNet:
    """A decoder trained from few errors to many: isolated errors have syndrome patterns that do not overlap.

    Every batch mixes all SNRs that its stage has reached. Code bits fade independently, as after the interleaver. With
    `GROWING_MEMORY` the network is first trained on codes of less memory, whose errors affect fewer syndrome bits. At
    the same total number of steps the result is worse, as fewer steps remain for K=7.
    """
    stages = iter(code_and_noise(curriculum, schedule.steps))

    def loss(net: SyndromeNet, device: torch.device) -> Tensor:
        code, hardest_db = next(stages)
        llr, wrong = (sampled.to(device) for sampled in noisy_code(schedule.batch, hardest_db, generator))
        return binary_cross_entropy_with_logits(net(features(llr, code)), targets(wrong, code))

    return _trained(SyndromeNet, loss, generator, schedule, progress, "decoder")


def code_and_noise(curriculum: Curriculum, steps: int) -> list[tuple[Generators, float]]:
    """Code and lowest Es/N0 in dB of every step: a stage gets harder over its first half and stays there.

    >>> [db for _, db in code_and_noise(((7, 1.0),), 4)]
    [7.5, 1.0, 1.0, 1.0]
    """
    ends = np.cumsum([share for _, share in curriculum])
    lasts = np.round(ends / ends[-1] * steps).astype(int)
    result = []
    for (length, _), first, last in zip(curriculum, (0, *lasts[:-1]), lasts, strict=True):
        done = (np.arange(first, last) + 1 - first) / max(last - first, 1)
        result += [(CODES[length], float(db)) for db in EASY + (HARD - EASY) * np.minimum(2 * done, 1.0)]
    return result


def noisy_code(batch: int, hardest_db: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """LLRs `(batch, 2 steps)` of the all-zero code word, and where their signs are wrong `(batch, 2, steps)`.

    One code word suffices, as the inputs of the network depend on errors only. SNRs are uniform from `hardest_db` to
    `EASY`.
    """
    db = hardest_db + (EASY - hardest_db) * torch.rand(batch, 1, generator=generator)
    n0 = 10 ** (-db / 10)
    gain = gaussian(batch, 2 * DECODER_STEPS, generator).abs()
    llr = 4 * gain * (torch.randn(gain.shape, generator=generator) * (n0 / 2).sqrt() - gain) / n0
    return llr, (llr > 0).to(torch.uint8).reshape(batch, -1, 2).transpose(1, 2)


DEMAPPER = Schedule(steps=400, batch=32, rate=5e-3, floor=1e-4)

POOL = 48
"""Batches of impaired packets on which the demapper, of 242 weights, is trained repeatedly."""

IMPAIRED = {24: (6.0, 18.0), 54: (14.0, 28.0)}
"""Rates in Mb/s and ranges of Eb/N0 in dB of the impaired packets."""


Batch = tuple[Tensor, Tensor, Tensor, Tensor, int]
"""Inputs of a demapper, y, h_hat and noise_var; then the transmitted code bits, and the bits per subcarrier."""


def train_demapper(
    estimator: Estimator, generator: torch.Generator, schedule: Schedule = DEMAPPER, progress: Progress | None = None
) -> ContextNet:
    """A demapper trained on estimates of `estimator`, on exponential channels and front ends of the impairment set."""
    batches = cycle(impaired(estimator, schedule.batch, generator))

    def loss(net: ContextNet, device: torch.device) -> Tensor:
        return demapper_loss(net, next(batches), device)

    return _trained(ContextNet, loss, generator, schedule, progress, "demapper")


def demapper_loss(net: Callable[..., Tensor], batch: Batch, device: torch.device = CPU) -> Tensor:
    """Cross entropy of the LLRs of `net`, clipped as a decoder would clip them."""
    *tensors, bits = batch
    y, h_hat, noise_var, sent = (tensor.to(device) for tensor in tensors)
    return binary_cross_entropy_with_logits(net(y, h_hat, noise_var, bits).clamp(-30, 30), sent)


def impaired(estimator: Estimator, packets: int, generator: torch.Generator, count: int = POOL) -> list[Batch]:
    """`count` batches from front ends of the impairment set, with the channel estimates of `estimator`."""
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return [_impaired(estimator, packets, k, rng) for k in range(count)]


def _impaired(estimator: Estimator, packets: int, index: int, rng: np.random.Generator) -> Batch:
    """Rates alternate with `index`; every third batch has no impairments."""
    mbps = tuple(IMPAIRED)[index % len(IMPAIRED)]
    rate, impairments = RATES[mbps], random_front_end(rng) if index % 3 else ()
    link = Link(ExponentialFading(), rate=rate, impairments=impairments)
    batch = link.packets(float(rng.uniform(*IMPAIRED[mbps])), packets, rng)
    data, channel = grid.data_positions(rate.ht), estimator.estimate(batch.observation)
    bits = np.pad(batch.bits, ((0, 0), (0, TAIL)))
    sent = interleave(puncture(encode(bits), rate.code).reshape(packets, -1, rate.coded), rate)
    noise_var = batch.observation.noise_var[:, None] + channel.err_var[:, data]
    arrays = (batch.y[..., data], channel.h_hat[:, None, data], noise_var, sent.astype(np.float32))
    y, h_hat, noise, target = (torch.from_numpy(array) for array in arrays)
    return y, h_hat, noise, target, rate.bits
