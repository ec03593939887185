"""Frames in narrowband interference: how many the default receiver decodes, and that nothing is lost without any.

`python -m benchmarks.interference [--seed N] [--json FILE]`, in a few seconds.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shared.lab.pages.terminal import print_table
from shared.lab.records.json_log import write_atomic
from shared.lab.records.provenance import provenance
from shared.lab.running.benchmark import Metric, figures_table
from wireless.ofdm.phy.mac import fcs
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.phy.transmit import data_bits, transmit
from wireless.ofdm.receiver.chain import Receiver
from wireless.ofdm.recordings.frames import Burst, bursts, decode

FRAMES, BYTES, GAP = 20, 100, 400
SNR_DB = 25.0
RELATIVE_DB = (-15, -12, -10)
"""Power of the carrier relative to that of the frames."""
CARRIERS_HZ = (3.1e6, 7 * 312.5e3, -5.3e6, 0.9e6, 6.5e6)
"""Between subcarriers, on a pilot, on both sides, and near the edge."""
QUIET_DB, QUIET_FRAMES = 10.0, 200
"""SNR at which frames of 24 Mb/s have bit errors, and how many such frames are compared."""


def interference(seed: int = 0) -> Mapping[str, Metric]:
    """The worst of five frequencies for each power, and the ratio of bit errors without interference."""
    metrics = {}
    for relative_db in RELATIVE_DB:
        counts = [right(relative_db, hz, np.random.default_rng(seed)) for hz in CARRIERS_HZ]
        metrics[f"frames_{-relative_db}db"] = Metric(min(counts), goal=">= 19")
    metrics["free_ber_ratio"] = Metric(free_ratio(np.random.default_rng(seed)), goal="<= 1.01")
    return metrics


def right(relative_db: float, hz: float, rng: Generator) -> int:
    """How many of `FRAMES` frames the default receiver decodes beside a carrier at `hz`."""
    sent, samples = _air(FRAMES, SNR_DB, rng)
    carrier = np.exp(2j * np.pi * (hz / 20e6 * np.arange(len(samples)) + rng.uniform()))
    power = 52 / 64 * 10 ** (relative_db / 10)
    decoded = [frame.psdu for frame in decode((samples + np.sqrt(power) * carrier).astype(np.complex64))]
    return sum(frame in decoded for frame in sent)


def free_ratio(rng: Generator) -> float:
    """Bit errors in noise alone over those of a receiver that never looks for interference."""
    receiver, ours, white = Receiver(), 0, 0
    for _ in range(QUIET_FRAMES):
        [frame], samples = _air(1, QUIET_DB, rng)
        for burst in bursts(samples.astype(np.complex64)):
            if isinstance(burst, Burst) and burst.frame.length == BYTES:
                sent = data_bits(np.frombuffer(frame, np.uint8)[None], RATES[24])[0, : burst.end]
                plain = burst._replace(observation=burst.observation._replace(interference=None))
                ours += int(np.count_nonzero(burst.bits(receiver) != sent))
                white += int(np.count_nonzero(plain.bits(receiver) != sent))
    return ours / white if white else float(ours > 0)


def _air(count: int, snr_db: float, rng: Generator) -> tuple[list[bytes], NDArray[np.complex128]]:
    """Frames, and samples that hold them a gap apart, 30 kHz off, in noise."""
    bodies = [rng.bytes(BYTES - 4) for _ in range(count)]
    sent = [body + fcs(body) for body in bodies]
    silence = np.zeros(GAP)
    x = np.concatenate([part for frame in sent for part in (silence, transmit(frame, RATES[24]))] + [silence])
    x = x * np.exp(2j * np.pi * 30e3 / 20e6 * np.arange(len(x)))
    noise = rng.normal(size=(len(x), 2)).view(np.complex128)[:, 0]
    return sent, x + np.sqrt(0.5 * 10 ** (-snr_db / 10)) * noise


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames in narrowband interference.")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of frames and noise (default: 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and provenance to FILE")
    options = parser.parse_args()
    measured = interference(options.seed)
    if options.json is not None:
        contents = {
            "figures": {name: measure._asdict() for name, measure in measured.items()},
            "provenance": provenance(f"python -m benchmarks.interference --seed {options.seed}"),
        }
        write_atomic(options.json, json.dumps(contents, indent=1, ensure_ascii=False).encode())
    print_table(figures_table(measured))


if __name__ == "__main__":
    main()
