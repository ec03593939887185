"""Frames in narrowband interference: how many the default receiver decodes, and that nothing is lost without any.

`python -m benchmarks.interference [--quick] [--seed N] [--json FILE]`
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, Text, cite
from shared.lab.running.benchmark import Metric, main
from wireless.ofdm.phy.mac import fcs
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.phy.transmit import data_bits, transmit
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.recordings.frames import Burst, bursts, decode

SEEDS = 5
FRAMES, BYTES, GAP = 20, 100, 400
SNR_DB = 25.0
RELATIVE_DB = (-15, -12, -10)
"""Power of the carrier relative to that of the frames."""
CARRIERS_HZ = (3.1e6, 7 * 312.5e3, -5.3e6, 0.9e6, 6.5e6)
"""Between subcarriers, on a pilot, on both sides, and near the edge."""
QUIET_DB, QUIET_FRAMES = 10.0, 200
"""SNR at which frames of 24 Mb/s have bit errors, and how many such frames are compared."""


class InterferenceSettings(Seeded):
    """Frames beside a carrier, and without one."""

    frames: int = Field(default=FRAMES, gt=0, description="frames beside each carrier")
    quiet: int = Field(default=QUIET_FRAMES, gt=0, description="frames in noise alone")


class Interference(Experiment[InterferenceSettings]):
    """Frames in narrowband interference that the default receiver decodes, and what it loses without any.

    One cell is one seed of frames and noise.
    """

    name = "interference"
    version = 1

    def run(self, cell: InterferenceSettings, context: Context) -> Mapping[str, JSON]:
        decoded: dict[str, JSON] = {}
        for done, db in enumerate(RELATIVE_DB):
            context.progress(done, len(RELATIVE_DB) + 1, f"a carrier {-db} dB below the frames")
            decoded[f"{-db}db"] = [right(db, hz, np.random.default_rng(cell.seed), cell.frames) for hz in CARRIERS_HZ]
        context.progress(len(RELATIVE_DB), len(RELATIVE_DB) + 1, "noise alone")
        ours, white = quiet_errors(np.random.default_rng(cell.seed), cell.quiet)
        return {"decoded": decoded, "bit_errors": ours, "bit_errors_white": white}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                cite(row.seed, row),
                *(cite(min(counts), row) for counts in row.result["decoded"].values()),
                cite(row.result["bit_errors"], row),
                cite(row.result["bit_errors_white"], row),
            )
            for row in rows
        ]
        below = (f"{-db} dB below the frames" for db in RELATIVE_DB)
        columns = ("seed", *below, "bit errors in noise alone", "taking noise as white")
        note = f"frames decoded beside the worst of {len(CARRIERS_HZ)} carriers"
        least = cite(min(min(counts) for row in rows for counts in row.result["decoded"].values()), *rows)
        return Page(
            "Interference",
            self.summary,
            [Table("Every seed", columns, lines, note=note)],
            Text("Of every ", cite(rows[0].settings["frames"], *rows), " frames at least ", least, " are decoded."),
        )


def right(relative_db: float, hz: float, rng: Generator, frames: int) -> int:
    """How many of `frames` frames the default receiver decodes beside a carrier at `hz`."""
    sent, samples = _air(frames, SNR_DB, rng)
    carrier = np.exp(2j * np.pi * (hz / 20e6 * np.arange(len(samples)) + rng.uniform()))
    power = 52 / 64 * 10 ** (relative_db / 10)
    decoded = [frame.psdu for frame in decode((samples + np.sqrt(power) * carrier).astype(np.complex64))]
    return sum(frame in decoded for frame in sent)


def quiet_errors(rng: Generator, frames: int) -> tuple[int, int]:
    """Bit errors in noise alone, and those of a receiver that never looks for interference."""
    receiver, ours, white = Receiver(), 0, 0
    for _ in range(frames):
        [frame], samples = _air(1, QUIET_DB, rng)
        for burst in bursts(samples.astype(np.complex64)):
            if isinstance(burst, Burst) and burst.frame.length == BYTES:
                sent = data_bits(np.frombuffer(frame, np.uint8)[None], RATES[24])[0, : burst.end]
                plain = burst._replace(observation=burst.observation._replace(interference=None))
                ours += int(np.count_nonzero(burst.bits(receiver) != sent))
                white += int(np.count_nonzero(plain.bits(receiver) != sent))
    return ours, white


def _air(count: int, snr_db: float, rng: Generator) -> tuple[list[bytes], NDArray[np.complex128]]:
    """Frames, and samples that hold them a gap apart, 30 kHz off, in noise."""
    bodies = [rng.bytes(BYTES - 4) for _ in range(count)]
    sent = [body + fcs(body) for body in bodies]
    silence = np.zeros(GAP)
    x = np.concatenate([part for frame in sent for part in (silence, transmit(frame, RATES[24]))] + [silence])
    x = x * np.exp(2j * np.pi * 30e3 / 20e6 * np.arange(len(x)))
    noise = rng.normal(size=(len(x), 2)).view(np.complex128)[:, 0]
    return sent, x + np.sqrt(0.5 * 10 ** (-snr_db / 10)) * noise


def cells(quick: bool, seed: int) -> Sequence[InterferenceSettings]:
    if quick:
        return [InterferenceSettings(seed=seed, frames=5, quiet=20)]
    return InterferenceSettings(seed=seed, seeds=SEEDS).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """For each power the worst of all carriers and seeds, and the ratio of bit errors without interference."""
    metrics = {}
    for db in RELATIVE_DB:
        worst = min(min(row.result["decoded"][f"{-db}db"]) for row in rows)
        metrics[f"frames_{-db}db"] = Metric(worst, unit=f"of {rows[0].settings['frames']} frames", goal=">= 19")
    ours, white = (sum(row.result[name] for row in rows) for name in ("bit_errors", "bit_errors_white"))
    metrics["free_ber_ratio"] = Metric(ours / white if white else None, unit="x bit errors", goal="<= 1.01")
    return metrics


if __name__ == "__main__":
    main(Interference(), cells, figures)
