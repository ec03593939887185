"""How the neural blocks are trained: fresh packets at every step, all SNRs and delay spreads in one go."""

import math
from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from shared.core.task import Progress
from shared.training.loop import Schedule, descend, seeded
from wireless.ofdm.channel.impairment_set import drawn
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

Lessons = Sequence[tuple[int, float]]

EBN0_DB = (0.0, 20.0)
RMS_NS = (10.0, 150.0)
"""The ranges of training, uniform in each."""


def train_estimator(
    generator: torch.Generator,
    schedule: Schedule | None = None,
    hidden: Sequence[int] = TINY,
    progress: Progress | None = None,
) -> DelayGate:
    """A delay gate trained on exponential channels; the same for the same generator state and machine."""
    schedule = schedule or Schedule()
    net = seeded(lambda: DelayGate(hidden), generator)
    descend(
        list(net.parameters()),
        lambda: estimator_loss(net, schedule.batch, generator),
        schedule,
        progress=progress,
        note="training the estimator",
    )
    return net.eval()


def estimator_loss(net: Callable[..., Tensor], batch: int, generator: torch.Generator) -> Tensor:
    """`mean |h - estimate|^2 / N0` over fresh channels; without 1/N0 high SNRs would not count.

    `net` maps taps and N0 to scores, as `DelayGate` does.
    """
    h, ls, noise = fading(batch, generator)
    error = estimate(net, ls, noise) - h
    return ((error.real.square() + error.imag.square()).mean(1) / noise).mean()


def fading(batch: int, generator: torch.Generator, used: int = 52) -> tuple[Tensor, Tensor, Tensor]:
    """Channels h and their LS estimates over two training symbols, both `(batch, used)`, and N0 `(batch,)`.

    Exponential profiles of 16 taps, rms delay and Eb/N0 (of 16-QAM at rate 1/2) uniform in the ranges of training.
    """
    rms = RMS_NS[0] + (RMS_NS[1] - RMS_NS[0]) * torch.rand(batch, 1, generator=generator)
    power = torch.softmax(-50.0 * torch.arange(TAPS) / rms, 1)
    ebn0_db = EBN0_DB[0] + (EBN0_DB[1] - EBN0_DB[0]) * torch.rand(batch, generator=generator)
    noise = 0.5 * 10 ** (-ebn0_db / 10)
    h = (gaussian(batch, TAPS, generator) * power.sqrt()) @ torch.from_numpy(delays(used)[0]).T
    return h, h + gaussian(batch, used, generator) * (noise / 2).sqrt()[:, None], noise


def gaussian(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Circular complex Gaussian numbers of unit variance."""
    parts = torch.randn(rows, columns, 2, generator=generator) * math.sqrt(0.5)
    return torch.view_as_complex(parts)


def train_dense(
    generator: torch.Generator, schedule: Schedule | None = None, progress: Progress | None = None
) -> DenseNet:
    """A dense estimator trained on the channels of `train_estimator`, its error's variance by maximum likelihood."""
    schedule = schedule or Schedule()
    net = seeded(DenseNet, generator)
    parameters = list(net.parameters())
    descend(
        parameters,
        lambda: dense_loss(net, schedule.batch, generator),
        schedule,
        progress=progress,
        note="training the dense one",
    )
    return net.eval()


def dense_loss(net: Callable[..., tuple[Tensor, Tensor]], batch: int, generator: torch.Generator) -> Tensor:
    """`estimator_loss`, and the Gaussian likelihood of the error, which trains the variance alone."""
    h, ls, noise = fading(batch, generator)
    found, doubt = net(ls, noise)
    error = found - h
    squared = (error.real.square() + error.imag.square()) / noise[:, None]
    return squared.mean() + (doubt + squared.detach() * torch.exp(-doubt)).mean()


DECODER = Schedule(steps=400, batch=64, rate=3e-3)

DECODER_STEPS = 192
EASY, HARD = 14.0, 1.0
"""Es/N0 in dB per code bit, where each lesson of the decoder's curriculum starts and where it ends."""

AT_ONCE: Lessons = ((7, 1.0),)
GROWING: Lessons = ((3, 0.2), (5, 0.2), (7, 0.6))
"""Constraint lengths in the order of training, each with its share of the steps."""


def train_decoder(
    generator: torch.Generator,
    schedule: Schedule = DECODER,
    progress: Progress | None = None,
    lessons: Lessons = AT_ONCE,
) -> SyndromeNet:
    """A decoder trained from few errors to many: on single errors the syndrome shows each of them alone.

    Every batch mixes all noise that its lesson has reached. Code bits fade independently, as after the interleaver.
    With the lessons `GROWING` the network first reads codes of less memory, whose errors lie nearer to their syndrome.
    In as many steps in all that is worse: fewer are left for K=7.
    """
    net, plan = seeded(SyndromeNet, generator), iter(curriculum(lessons, schedule.steps))

    def loss() -> Tensor:
        code, level = next(plan)
        llr, wrong = noisy_code(schedule.batch, level, generator)
        return binary_cross_entropy_with_logits(net(features(llr, code)), targets(wrong, code))

    descend(list(net.parameters()), loss, schedule, progress=progress, note="training the decoder")
    return net.eval()


def curriculum(lessons: Lessons, steps: int) -> list[tuple[Generators, float]]:
    """Code and hardest Es/N0 of every step: a lesson gets harder over its first half and stays so.

    >>> [db for _, db in curriculum(((7, 1.0),), 4)]
    [7.5, 1.0, 1.0, 1.0]
    """
    ends = np.cumsum([share for _, share in lessons])
    lasts = np.round(ends / ends[-1] * steps).astype(int)
    plan = []
    for (length, _), first, last in zip(lessons, (0, *lasts[:-1]), lasts, strict=True):
        done = (np.arange(first, last) + 1 - first) / max(last - first, 1)
        plan += [(CODES[length], float(db)) for db in EASY + (HARD - EASY) * np.minimum(2 * done, 1.0)]
    return plan


def noisy_code(batch: int, hardest_db: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """LLRs `(batch, 2 steps)` of an all-zero code word, and where their signs are wrong `(batch, 2, steps)`.

    As the network sees errors only, one code word stands for all. SNRs are uniform from `hardest_db` to `EASY`.
    """
    db = hardest_db + (EASY - hardest_db) * torch.rand(batch, 1, generator=generator)
    n0 = 10 ** (-db / 10)
    gain = gaussian(batch, 2 * DECODER_STEPS, generator).abs()
    llr = 4 * gain * (torch.randn(gain.shape, generator=generator) * (n0 / 2).sqrt() - gain) / n0
    return llr, (llr > 0).to(torch.uint8).reshape(batch, -1, 2).transpose(1, 2)


DEMAPPER = Schedule(steps=400, batch=32, rate=5e-3, floor=1e-4)

POOL = 48
"""Batches of impaired packets that the demapper is trained on, over and over; it has some 240 weights."""

IMPAIRED = {24: (6.0, 18.0), 54: (14.0, 28.0)}
"""Rates in Mb/s and ranges of Eb/N0 in dB of the impaired packets."""


Batch = tuple[Tensor, Tensor, Tensor, Tensor, int]
"""What a demapper is given, y, h, noise, then the code bits that were sent, and how many a subcarrier carries."""


def train_demapper(
    estimator: Estimator, generator: torch.Generator, schedule: Schedule = DEMAPPER, progress: Progress | None = None
) -> ContextNet:
    """A demapper trained behind `estimator` on exponential channels and radios drawn from the impairment set."""
    pool = impaired(estimator, schedule.batch, generator)
    net, turn = seeded(ContextNet, generator), cycle(pool)
    descend(
        list(net.parameters()),
        lambda: demapper_loss(net, next(turn)),
        schedule,
        progress=progress,
        note="training the demapper",
    )
    return net.eval()


def demapper_loss(net: Callable[..., Tensor], batch: Batch) -> Tensor:
    """Cross entropy of the LLRs that `net` gives, bounded as a decoder would bound them."""
    y, h, noise, sent, bits = batch
    return binary_cross_entropy_with_logits(net(y, h, noise, bits).clamp(-30, 30), sent)


def impaired(estimator: Estimator, packets: int, generator: torch.Generator, count: int = POOL) -> list[Batch]:
    """`count` batches from radios of the impairment set, seen through `estimator`."""
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    return [_impaired(estimator, packets, k, rng) for k in range(count)]


def _impaired(estimator: Estimator, packets: int, turn: int, rng: np.random.Generator) -> Batch:
    """Rates take turns; every third batch comes from perfect radios."""
    mbps = tuple(IMPAIRED)[turn % len(IMPAIRED)]
    rate, radio = RATES[mbps], drawn(rng) if turn % 3 else ()
    link = Link(ExponentialFading(), rate=rate, impairments=radio)
    burst = link.packets(float(rng.uniform(*IMPAIRED[mbps])), packets, rng)
    data, channel = grid.data_places(rate.ht), estimator.estimate(burst.seen)
    bits = np.pad(burst.bits, ((0, 0), (0, TAIL)))
    sent = interleave(puncture(encode(bits), rate.code).reshape(packets, -1, rate.coded), rate)
    noise = burst.seen.noise[:, None] + channel.variance[:, data]
    arrays = (burst.y[..., data], channel.h[:, None, data], noise, sent.astype(np.float32))
    y, h, doubt, target = (torch.from_numpy(array) for array in arrays)
    return y, h, doubt, target, rate.bits
