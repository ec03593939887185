"""Error counts of many receivers on the same packets, kept in groups of packets for bootstrap intervals."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.impairment_set import random_front_end
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.receiver.chain import AbstractReceiver, Receiver
from wireless.ofdm.recordings.files import read
from wireless.ofdm.recordings.frames import Burst, bursts, decode_burst

GROUP = 20
"""Packets whose errors are counted together: the unit that a bootstrap resamples."""

BATCH = 80
"""Packets that are simulated at a time; a multiple of `GROUP`."""

Receivers = Mapping[str, AbstractReceiver]


def errors(
    link: Link,
    receivers: Receivers,
    ebn0_db: float,
    packets: int,
    rng: Generator,
    radios: bool = False,
    enough: int = 0,
) -> dict[str, Any]:
    """The errors of every receiver on the same `packets` packets, a multiple of `GROUP`.

    With `enough`, simulation stops after the batch in which every receiver has reached that many packet errors;
    "packets" is the number that was simulated.

    `bit_errors[name]` has a count for every group, `packet_errors[name]` one in all; `nmse[name]` is the summed squared
    error of the channel estimate over the channel's summed power, where there is one true channel per packet. With
    `radios`, the packets pass front ends of the impairment set, a new one for every `GROUP` packets.
    """
    if packets % GROUP or packets <= 0:
        raise ValueError(f"packets={packets}: must be a positive multiple of {GROUP}, the packets counted together")
    bit_errors: dict[str, list[int]] = {name: [] for name in receivers}
    packet_errors = dict.fromkeys(receivers, 0)
    squared_error, power, sent = dict.fromkeys(receivers, 0.0), 0.0, 0
    size = GROUP if radios else BATCH
    for start in range(0, packets, size):
        front_end = replace(link, impairments=random_front_end(rng)) if radios else link
        batch = front_end.packets(ebn0_db, min(size, packets - start), rng)
        truth = batch.observation.truth
        h = None if truth is None or truth.h.ndim != 2 else truth.h
        power += 0.0 if h is None else float(np.sum(np.abs(h) ** 2))
        for name, receiver in receivers.items():
            received = receiver.receive(batch.observation, batch.y, link.rate, link.bits_per_packet)
            wrong = np.count_nonzero(received.bits != batch.bits, axis=1)
            bit_errors[name] += wrong.reshape(-1, GROUP).sum(1).tolist()
            packet_errors[name] += int(np.count_nonzero(wrong))
            if h is not None:
                squared_error[name] += float(np.sum(np.abs(received.channel.h_hat - h) ** 2))
        sent += len(batch.bits)
        if enough and min(packet_errors.values()) >= enough:
            break
    counted = {
        "packets": sent,
        "bits": sent * link.bits_per_packet,
        "bit_errors": bit_errors,
        "packet_errors": packet_errors,
    }
    return counted | ({"nmse": {name: value / power for name, value in squared_error.items()}} if power else {})


def recorded(folder: Path, receivers: Receivers, snr_db: float, realisations: int, rng: Generator) -> dict[str, Any]:
    """Frames of the recordings in `folder` that each receiver loses once noise is added, to a signal-to-noise ratio.

    A frame counts if its check sequence is right as recorded. `lost[name]` has an entry of 0 or 1 for every frame and
    realisation of the noise; a frame whose preamble or header is missed is lost for all receivers alike.
    """
    lost: dict[str, list[int]] = {name: [] for name in receivers}
    frames = list(_valid_frames(folder))
    for samples, clean, bits in frames:
        for _ in range(realisations):
            noisy = _detected_again(_noisy(samples, clean, snr_db, rng), clean)
            for name, receiver in receivers.items():
                lost[name].append(int(noisy is None or not np.array_equal(noisy.bits(receiver), bits)))
    return {"frames": len(frames), "lost": lost}


def _valid_frames(folder: Path) -> Iterator[tuple[NDArray[np.complex64], Burst, NDArray[np.uint8]]]:
    """The samples around each frame with a valid check sequence, the frame, and its bits."""
    for path in sorted(folder.glob("*.dat")):
        samples = read(path, "cs16").samples
        for burst in bursts(samples):
            if isinstance(burst, Burst) and decode_burst(burst, Receiver()).fcs_ok:
                start = max(burst.frame.start - 400, 0)
                yield samples[start : burst.frame.stop + 200], burst, burst.bits(Receiver())


def _noisy(samples: NDArray[np.complex64], clean: Burst, snr_db: float, rng: Generator) -> NDArray[np.complex64]:
    """The samples with noise, white over 20 MHz, `snr_db` below the frame's mean power."""
    frame = samples[min(400, clean.frame.start) : -200]
    variance = float(np.mean(np.abs(frame) ** 2)) * 10 ** (-snr_db / 10)
    parts = rng.standard_normal((len(samples), 2)) * np.sqrt(variance / 2)
    noisy: NDArray[np.complex64] = samples + parts.astype(np.float32).view(np.complex64)[:, 0]
    return noisy


def _detected_again(samples: NDArray[np.complex64], clean: Burst) -> Burst | None:
    """The same frame in noisy samples: of the same length and rate."""
    for burst in bursts(samples):
        if isinstance(burst, Burst) and burst.rate == clean.rate and burst.frame.length == clean.frame.length:
            return burst
    return None
