"""OFDM: train neural receiver blocks, swap them with legacy ones, compress the estimator, count errors everywhere."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field

from shared import ADMM
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, hash_file
from wireless.ofdm.channels import AWGN, TDL, AbstractChannel, ExponentialFading, Moving, Rician, TGn, TwoTap
from wireless.ofdm.compress import SOLVER, TUNING, compress, unpack
from wireless.ofdm.evaluate import GROUP, Receivers, errors, recorded
from wireless.ofdm.link import Link
from wireless.ofdm.neural import ContextNet, DelayGate, NeuralDecoder, NeuralDemapper, NeuralEstimator, SyndromeNet
from wireless.ofdm.neural.weights import from_lists, to_bytes, to_lists
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.receiver import Receiver
from wireless.ofdm.report import page
from wireless.ofdm.tasks import Weights
from wireless.ofdm.train import (
    DECODER,
    DEMAPPER,
    Schedule,
    estimator_loss,
    train_decoder,
    train_demapper,
    train_estimator,
)
from wireless.ofdm.turbo import FixedDelays, TurboReceiver

WORD = 4
"""Bits of a compressed weight."""

CHANNELS: Mapping[str, tuple[AbstractChannel, tuple[float, ...]]] = {
    "awgn": (AWGN(), (2.0, 4.0)),
    "two-tap": (TwoTap(), (8.0, 12.0)),
    "rician-3db": (Rician(3.0), (6.0, 10.0)),
    "rician-10db": (Rician(10.0), (4.0, 7.0)),
    "tgn-b": (TGn("B"), (8.0, 12.0)),
    "tgn-d": (TGn("D"), (8.0, 12.0)),
    "tgn-e": (TGn("E"), (6.0, 10.0)),
    "tdl-a-30ns": (TDL("A", 30.0), (8.0, 12.0)),
    "tdl-a-100ns": (TDL("A", 100.0), (8.0, 12.0)),
    "tdl-c-300ns": (TDL("C", 300.0), (6.0, 10.0)),
    "beyond-cp": (ExponentialFading((200.0, 400.0), 48), (6.0, 10.0)),
    "doppler-100hz": (Moving(ExponentialFading(), 100.0), (8.0, 12.0)),
    "doppler-1000hz": (Moving(ExponentialFading(), 1000.0), (8.0, 12.0)),
}
"""Channels that nothing was trained on, each with values of Eb/N0 in dB at which LS makes errors worth counting."""

SLOW = 5
"""Moving channels are summed from waves sample by sample: they get a fifth of the packets."""

RADIOS: Mapping[int, tuple[float, ...]] = {24: (8.0, 10.0, 12.0, 14.0), 54: (16.0, 18.0, 20.0, 22.0)}
"""Rates in Mb/s and Eb/N0 in dB at which the demappers meet the impairment set."""

RECORDED_DB = (5.0, 8.0, 11.0, 14.0)

Steps = TypeVar("Steps", Schedule, ADMM)


class OFDMSettings(Settings):
    """How much is trained, on what it is tried, and how small the estimator has to be."""

    ebn0_db: tuple[float, ...] = Field(
        default=(6.0, 8.0, 10.0, 12.0, 14.0), min_length=1, description="Eb/N0 of the main curves, in dB"
    )
    packets: int = Field(default=400, gt=0, multiple_of=GROUP, description="packets for each Eb/N0 of the main curves")
    others: int = Field(default=200, ge=0, multiple_of=100, description="the same elsewhere; 0: main curves only")
    decoded: int = Field(default=100, ge=0, multiple_of=GROUP, description="the same with the neural decoder; 0: none")
    channels: tuple[str, ...] = Field(
        default=("awgn", "two-tap", "rician-3db", "tgn-d", "beyond-cp"),
        description=f"channels outside the training: {', '.join(CHANNELS)}",
    )
    training: float = Field(default=1.0, gt=0, le=10, description="training steps relative to the usual number")
    passes: int = Field(default=3, ge=0, description="passes of soft feedback")
    bytes: int = Field(default=200, gt=0, description="budget of the compressed estimator, all included")
    recordings: str = Field(
        default="", description="folder of cs16 recordings (.dat) to add noise to, $NAMES expanded; none: skipped"
    )
    draws: int = Field(default=1, gt=0, description="draws of noise for each recorded frame")
    seeds: int = Field(default=1, gt=0, description="how many seeds, from --seed on; each trains networks of its own")


def _folder(recordings: str) -> Path:
    """Rows name data by a variable, so that they say the same on every machine."""
    return Path(os.path.expandvars(recordings)).expanduser()


class OFDM(Experiment[OFDMSettings]):
    """One cell is one seed: networks, compressed network, and all errors."""

    name = "ofdm"
    version = 1
    summary = "Swap legacy and neural blocks of an 802.11 receiver, compress the estimator, count errors everywhere."
    settings = OFDMSettings

    def cells(self, settings: OFDMSettings) -> Sequence[OFDMSettings]:
        if unknown := sorted(set(settings.channels) - set(CHANNELS)):
            raise ValueError(f"channel {unknown[0]!r} is unknown: use some of {', '.join(CHANNELS)}")
        if settings.recordings and not sorted(_folder(settings.recordings).glob("*.dat")):
            raise ValueError(f"recordings={settings.recordings}: no .dat file there; needs cs16 recordings at 20 MHz")
        return [
            settings.model_copy(update={"seed": seed, "seeds": 1})
            for seed in range(settings.seed, settings.seed + settings.seeds)
        ]

    def data(self, cell: OFDMSettings) -> Mapping[str, str]:
        if not cell.recordings:
            return {}
        return {path.name: hash_file(path) for path in sorted(_folder(cell.recordings).glob("*.dat"))}

    def run(self, cell: OFDMSettings, context: Context) -> Mapping[str, JSON]:
        torch.set_num_threads(1)  # the networks are tiny: a second thread costs more than it brings
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell; each is kept once finished, so a killed run goes on from the last."""

    def __init__(self, settings: OFDMSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.done, self.total = 0, 4 + len(settings.ebn0_db) + (len(settings.channels) + len(RADIOS) + 2)

    def result(self) -> Mapping[str, JSON]:
        about = {name: self.stage(name, stage) for name, stage in self.trained.items()}
        curves = [self.stage(f"main {db:g} dB", partial(self.main, db)) for db in self.settings.ebn0_db]
        outside = {name: self.stage(name, partial(self.outside, name)) for name in self.settings.channels}
        radios = {str(mbps): self.stage(f"radios at {mbps} Mb/s", partial(self.radios, mbps)) for mbps in RADIOS}
        taken = self.stage("recordings", self.recordings) if self.settings.recordings else []
        networks = {name: {key: value for key, value in it.items() if key != "weights"} for name, it in about.items()}
        return {"networks": networks, "main": curves, "outside": outside, "radios": radios, "recordings": taken}

    def stage(self, name: str, compute: Callable[[], JSON]) -> Any:
        self.context.progress(self.done, self.total, name)
        value = self.context.checkpoint(name, compute)
        self.done += 1
        if name in self.trained:
            self.kept[name] = value
        return value

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the training stages returned."""
        return {}

    @cached_property
    def trained(self) -> Mapping[str, Callable[[], JSON]]:
        return {
            "estimator": lambda: self.train(train_estimator, "estimator", self.scaled(Schedule())),
            "packed": self.pack,
            "demapper": lambda: self.train(
                lambda g, schedule, report=None: train_demapper(self.estimator, g, schedule, report=report),
                "demapper",
                self.scaled(DEMAPPER),
            ),
            "decoder": lambda: self.train(train_decoder, "decoder", self.scaled(DECODER)),
        }

    def scaled(self, schedule: Steps) -> Steps:
        return replace(schedule, steps=max(round(schedule.steps * self.settings.training), 1))

    def generator(self) -> torch.Generator:
        """Seeded by the cell's generator: call it inside a stage, so that the stage's record holds its draw."""
        return torch.Generator().manual_seed(int(self.context.rng.integers(2**63)))

    def train(self, trainer: Callable[..., torch.nn.Module], name: str, schedule: Schedule) -> JSON:
        started = time.process_time()
        net = trainer(self.generator(), schedule, report=self.report)
        self.context.artefact(f"{name}.safetensors", to_bytes(net))
        parameters = sum(parameter.numel() for parameter in net.parameters())
        return {"parameters": parameters, "cpu_s": time.process_time() - started, "weights": to_lists(net)}

    def report(self, done: int, total: int, note: str) -> None:
        self.context.progress(self.done, self.total, f"{note} {done}/{total}")

    def pack(self) -> JSON:
        started = time.process_time()
        task = Weights(self.gate, lambda net, g: estimator_loss(net, 512, g), self.generator(), seed=0)
        found = compress(task, self.settings.bytes, WORD, self.scaled(SOLVER), self.scaled(TUNING), report=self.report)
        self.context.artefact("estimator.packed", found.packed)
        return {
            "bytes": len(found.packed),
            "sparsity": found.sparsity,
            "loss": found.loss,
            "dense_loss": found.dense_loss,
            "status": found.status,
            "cpu_s": time.process_time() - started,
            "weights": found.packed.hex(),
        }

    @cached_property
    def gate(self) -> DelayGate:
        return from_lists(DelayGate(), self.kept["estimator"]["weights"])

    @cached_property
    def estimator(self) -> NeuralEstimator:
        return NeuralEstimator.of(self.gate)

    @cached_property
    def packed(self) -> NeuralEstimator:
        """The compressed estimator, read back from its bytes."""
        net = DelayGate()
        z = unpack(bytes.fromhex(self.kept["packed"]["weights"]), WORD, net)
        torch.nn.utils.vector_to_parameters(z[:, 0], net.parameters())
        return NeuralEstimator.of(net)

    @cached_property
    def demapper(self) -> NeuralDemapper:
        return NeuralDemapper(from_lists(ContextNet(), self.kept["demapper"]["weights"]))

    @cached_property
    def decoder(self) -> NeuralDecoder:
        return NeuralDecoder(from_lists(SyndromeNet(), self.kept["decoder"]["weights"]))

    def main(self, ebn0_db: float) -> JSON:
        """Every receiver on exponential channels, those with the neural decoder on fewer packets."""
        link, rng = Link(ExponentialFading()), self.context.rng
        found = errors(link, self.references | self.swaps("soft-viterbi"), ebn0_db, self.settings.packets, rng)
        decoded = (
            errors(link, self.swaps("neural") | self.swaps("soft-viterbi"), ebn0_db, self.settings.decoded, rng)
            if self.settings.decoded
            else None
        )
        return {"ebn0_db": ebn0_db, "all": found, "decoded": decoded}

    @property
    def references(self) -> dict[str, Any]:
        return {
            "hard": Receiver("ls", "hard", "hard-viterbi"),
            "dft": Receiver("dft"),
            "robust": Receiver("lmmse-robust"),
            "robust, hard feedback": Receiver("lmmse-robust", passes=2),
            "robust, soft feedback": TurboReceiver(FixedDelays(), self.settings.passes),
            "genie": Receiver("lmmse-genie"),
            "perfect": Receiver("perfect"),
            "packed": Receiver(self.packed),
            "ours": TurboReceiver(self.estimator, self.settings.passes),
            "ours, packed": TurboReceiver(self.packed, self.settings.passes),
        }

    def swaps(self, decoder: str) -> dict[str, Any]:
        """Legacy or neural estimator and demapper before one decoder, named `estimator/demapper/decoder`."""
        last: Any = self.decoder if decoder == "neural" else decoder
        return {
            f"{first}/{middle}/{decoder}": Receiver(
                self.estimator if first == "neural" else "ls",
                self.demapper if middle == "neural" else "max-log",
                last,
            )
            for first in ("ls", "neural")
            for middle in ("max-log", "neural")
        }

    def outside(self, name: str) -> JSON:
        """LS and the neural receivers on a channel that nothing was trained on."""
        channel, decibels = CHANNELS[name]
        receivers: Receivers = {
            "ls": Receiver("ls"),
            "robust": Receiver("lmmse-robust"),
            "neural": Receiver(self.estimator),
            "ours": TurboReceiver(self.estimator, self.settings.passes),
        }
        packets = self.settings.others // (SLOW if isinstance(channel, Moving) else 1)
        if not packets:
            return []
        return [{"ebn0_db": db, **errors(Link(channel), receivers, db, packets, self.context.rng)} for db in decibels]

    def radios(self, mbps: int) -> JSON:
        """Demappers on the impairment set, behind the same estimator and before the same decoder."""
        receivers: Receivers = {
            "ls": Receiver("ls"),
            "max-log": Receiver(self.estimator),
            "exact": Receiver(self.estimator, "exact"),
            "neural": Receiver(self.estimator, self.demapper),
        }
        link, packets = Link(ExponentialFading(), rate=RATES[mbps]), self.settings.others
        if not packets:
            return []
        return [
            {"ebn0_db": db, **errors(link, receivers, db, packets, self.context.rng, radios=True)}
            for db in RADIOS[mbps]
        ]

    def recordings(self) -> JSON:
        receivers: Receivers = {
            "hard": Receiver("ls", "hard", "hard-viterbi"),
            "ls": Receiver("ls"),
            "robust": Receiver("lmmse-robust"),
            "neural": Receiver(self.estimator),
            "ours": TurboReceiver(self.estimator, self.settings.passes),
        }
        folder, draws = _folder(self.settings.recordings), self.settings.draws
        return [{"snr_db": db, **recorded(folder, receivers, db, draws, self.context.rng)} for db in RECORDED_DB]
