"""The experiment `ofdm`: neural receiver blocks trained, exchanged with legacy ones and compressed; errors counted."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import Field

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, hash_file
from wireless.ofdm.channel.cdl import CDL
from wireless.ofdm.channel.models import AWGN, TDL, AbstractChannel, ExponentialFading, Moving, Rician, TGn, TwoTap
from wireless.ofdm.experiment.networks import Networks, block
from wireless.ofdm.experiment.page import page
from wireless.ofdm.link.errors import GROUP, Receivers, errors, recorded
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.receiver.soft_feedback import FixedDelays, TurboReceiver

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
    "cdl-a-30ns": (CDL("A", 30.0), (8.0, 12.0)),
    "cdl-b-100ns": (CDL("B", 100.0), (6.0, 10.0)),
    "cdl-c-300ns": (CDL("C", 300.0), (6.0, 10.0)),
    "cdl-d-30ns": (CDL("D", 30.0), (4.0, 7.0)),
    "cdl-e-30ns": (CDL("E", 30.0), (4.0, 7.0)),
    "cdl-c-100ns-100hz": (CDL("C", 100.0, 100.0), (8.0, 12.0)),
}
"""Channels outside the training, each with values of Eb/N0 in dB at which LS has enough errors to count."""

SLOW = 5
"""Channels with Doppler are summed from waves sample by sample, which is slow: they get a fifth of the packets."""


def _moves(channel: AbstractChannel) -> bool:
    return isinstance(channel, Moving) or bool(getattr(channel, "doppler_hz", 0.0))


RADIOS: Mapping[int, tuple[float, ...]] = {24: (8.0, 10.0, 12.0, 14.0), 54: (16.0, 18.0, 20.0, 22.0)}
"""Rates in Mb/s and Eb/N0 in dB at which demappers are compared on the impairment set."""

RECORDED_DB = (5.0, 8.0, 11.0, 14.0)


class OFDMSettings(Seeded):
    """The amount of training, the channels and packets of the measurements, and the size of the estimator."""

    ebn0_db: tuple[float, ...] = Field(
        default=(6.0, 8.0, 10.0, 12.0, 14.0), min_length=1, description="Eb/N0 of the main curves, in dB"
    )
    packets: int = Field(default=400, gt=0, multiple_of=GROUP, description="packets for each Eb/N0 of the main curves")
    others: int = Field(
        default=200, ge=0, multiple_of=100, description="packets for each Eb/N0 on other channels; 0: main curves only"
    )
    decoded: int = Field(default=100, ge=0, multiple_of=GROUP, description="packets with the neural decoder; 0: none")
    errors: int = Field(
        default=0, ge=0, description="end a point once every receiver has this many packet errors; 0: never"
    )
    channels: tuple[str, ...] = Field(
        default=("awgn", "two-tap", "rician-3db", "tgn-d", "beyond-cp", "cdl-b-100ns"),
        description=f"channels outside the training: {', '.join(CHANNELS)}",
    )
    training: float = Field(default=1.0, gt=0, le=10, description="training steps relative to the default number")
    passes: int = Field(default=3, ge=0, description="passes of soft feedback")
    bytes: int = Field(default=200, gt=0, description="budget of the compressed estimator, complete file")
    recordings: str = Field(
        default="", description="folder of cs16 recordings (.dat) to add noise to, $NAMES expanded; none: skipped"
    )
    draws: int = Field(default=1, gt=0, description="noise realisations for each recorded frame")


def _folder(recordings: str) -> Path:
    """Rows name data by a variable, so that they are the same on every machine."""
    return Path(os.path.expandvars(recordings)).expanduser()


class OFDM(Experiment[OFDMSettings]):
    """Swap legacy and neural blocks of an 802.11 receiver, compress each, count errors everywhere.

    One cell is one seed: its networks, their compressed forms, and all error counts.
    """

    name = "ofdm"
    version = 2

    def cells(self, settings: OFDMSettings) -> Sequence[OFDMSettings]:
        if unknown := sorted(set(settings.channels) - set(CHANNELS)):
            raise ValueError(f"channel {unknown[0]!r} is unknown: it must be one of {', '.join(CHANNELS)}")
        if settings.recordings and not sorted(_folder(settings.recordings).glob("*.dat")):
            raise ValueError(f"recordings={settings.recordings}: no .dat file there; needs cs16 recordings at 20 MHz")
        return super().cells(settings)

    def data(self, cell: OFDMSettings) -> Mapping[str, str]:
        if not cell.recordings:
            return {}
        return {path.name: hash_file(path) for path in sorted(_folder(cell.recordings).glob("*.dat"))}

    def run(self, cell: OFDMSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell; each is stored once finished, so a killed run continues after the last one."""

    def __init__(self, settings: OFDMSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.networks = Networks(context, settings.training, settings.bytes)
        measured = len(settings.ebn0_db) + len(settings.channels) + len(RADIOS) + bool(settings.recordings)
        context.plan(len(self.networks.stages) + measured)

    def result(self) -> Mapping[str, JSON]:
        stage = self.context.stage
        networks = {name: stage(name, compute) for name, compute in self.networks.stages.items()}
        curves = [stage(f"main {db:g} dB", partial(self.main, db)) for db in self.settings.ebn0_db]
        outside = {name: stage(name, partial(self.outside, name)) for name in self.settings.channels}
        radios = {str(mbps): stage(f"radios at {mbps} Mb/s", partial(self.radios, mbps)) for mbps in RADIOS}
        recorded_frames = stage("recordings", self.recordings) if self.settings.recordings else []
        return {
            "networks": networks,
            "main": curves,
            "outside": outside,
            "radios": radios,
            "recordings": recorded_frames,
        }

    def count(
        self, link: Link, receivers: Receivers, ebn0_db: float, packets: int, radios: bool = False
    ) -> dict[str, Any]:
        return errors(link, receivers, ebn0_db, packets, self.context.rng, radios, self.settings.errors)

    @cached_property
    def blocks(self) -> Mapping[str, Any]:
        return {
            name: block(name, self.networks.net(name))
            for name in ("estimator", "neural-5k", "dense", "demapper", "decoder")
        }

    def main(self, ebn0_db: float) -> JSON:
        """Every receiver on exponential channels; those with a neural decoder on fewer packets."""
        link, estimator = Link(ExponentialFading()), self.blocks["estimator"]
        one_pass = {name: Receiver(it) for name, it in self.networks.compressed("estimator").items()}
        one_pass |= {name: Receiver(self.blocks[name]) for name in ("neural-5k", "dense")}
        counted = self.count(
            link, self.references | one_pass | self.swaps("soft-viterbi"), ebn0_db, self.settings.packets
        )
        if not self.settings.decoded:
            return {"ebn0_db": ebn0_db, "all": counted, "decoded": None}
        small = {name: Receiver(estimator, decoder=it) for name, it in self.networks.compressed("decoder").items()}
        receivers = self.swaps("neural") | self.swaps("soft-viterbi") | small
        return {
            "ebn0_db": ebn0_db,
            "all": counted,
            "decoded": self.count(link, receivers, ebn0_db, self.settings.decoded),
        }

    @property
    def references(self) -> dict[str, Any]:
        passes = self.settings.passes
        return {
            "hard": Receiver("ls", "hard", "hard-viterbi"),
            "dft": Receiver("dft"),
            "robust": Receiver("lmmse-robust"),
            "robust, hard feedback": Receiver("lmmse-robust", passes=2),
            "robust, soft feedback": TurboReceiver(FixedDelays(), passes),
            "genie": Receiver("lmmse-genie"),
            "perfect": Receiver("perfect"),
            "ours": TurboReceiver(self.blocks["estimator"], passes),
            "ours, packed": TurboReceiver(self.networks.packed, passes),
        }

    def swaps(self, decoder: str) -> dict[str, Any]:
        """Legacy or neural estimator and demapper before one decoder, named `estimator/demapper/decoder`."""
        last: Any = self.blocks["decoder"] if decoder == "neural" else decoder
        return {
            f"{first}/{middle}/{decoder}": Receiver(
                self.blocks["estimator"] if first == "neural" else "ls",
                self.blocks["demapper"] if middle == "neural" else "max-log",
                last,
            )
            for first in ("ls", "neural")
            for middle in ("max-log", "neural")
        }

    def outside(self, name: str) -> JSON:
        """LS and the neural receivers on a channel outside the training."""
        channel, decibels = CHANNELS[name]
        receivers: Receivers = {
            "ls": Receiver("ls"),
            "robust": Receiver("lmmse-robust"),
            "neural": Receiver(self.blocks["estimator"]),
            "neural-5k": Receiver(self.blocks["neural-5k"]),
            "dense": Receiver(self.blocks["dense"]),
            "ours": TurboReceiver(self.blocks["estimator"], self.settings.passes),
        }
        packets = self.settings.others // (SLOW if _moves(channel) else 1)
        if not packets:
            return []
        return [{"ebn0_db": db, **self.count(Link(channel), receivers, db, packets)} for db in decibels]

    def radios(self, mbps: int) -> JSON:
        """Demappers on the impairment set, with the same estimator and decoder."""
        estimator = self.blocks["estimator"]
        receivers: Receivers = {
            "ls": Receiver("ls"),
            "max-log": Receiver(estimator),
            "exact": Receiver(estimator, "exact"),
            "neural": Receiver(estimator, self.blocks["demapper"]),
            **{name: Receiver(estimator, it) for name, it in self.networks.compressed("demapper").items()},
        }
        link, packets = Link(ExponentialFading(), rate=RATES[mbps]), self.settings.others
        if not packets:
            return []
        return [{"ebn0_db": db, **self.count(link, receivers, db, packets, radios=True)} for db in RADIOS[mbps]]

    def recordings(self) -> JSON:
        receivers: Receivers = {
            "hard": Receiver("ls", "hard", "hard-viterbi"),
            "ls": Receiver("ls"),
            "robust": Receiver("lmmse-robust"),
            "neural": Receiver(self.blocks["estimator"]),
            "ours": TurboReceiver(self.blocks["estimator"], self.settings.passes),
        }
        folder, realisations = _folder(self.settings.recordings), self.settings.draws
        return [{"snr_db": db, **recorded(folder, receivers, db, realisations, self.context.rng)} for db in RECORDED_DB]
