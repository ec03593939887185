"""Counts errors of many receivers on the same packets, in groups, so that intervals can be made of them later."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.impairment_set import drawn
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.receiver.chain import Receives
from wireless.ofdm.recordings.files import read
from wireless.ofdm.recordings.frames import Burst, bursts

GROUP = 20
"""Packets whose errors are counted together; groups are what a bootstrap draws."""

BURST = 80

Receivers = Mapping[str, Receives]


def errors(
    link: Link,
    receivers: Receivers,
    ebn0_db: float,
    packets: int,
    rng: Generator,
    radios: bool = False,
    enough: int = 0,
) -> dict[str, Any]:
    """What every receiver got wrong in the same `packets` packets, a multiple of `GROUP`.

    With `enough`, no further burst is sent once every receiver has lost so many packets; "packets" says how many were.

    `bit_errors[name]` has a count for every group, `packet_errors[name]` one for all; `nmse[name]` is the summed
    squared error of the channel over its summed power, where the truth is one channel per packet. With `radios`, every
    burst comes from another radio of the impairment set.
    """
    if packets % GROUP or packets <= 0:
        raise ValueError(f"packets={packets}: must be a multiple of {GROUP}, the packets counted together")
    bit: dict[str, list[int]] = {name: [] for name in receivers}
    packet = dict.fromkeys(receivers, 0)
    off, power, sent = dict.fromkeys(receivers, 0.0), 0.0, 0
    size = GROUP if radios else BURST
    for start in range(0, packets, size):
        here = replace(link, impairments=drawn(rng)) if radios else link
        burst = here.packets(ebn0_db, min(size, packets - start), rng)
        truth = None if burst.seen.truth is None or burst.seen.truth.h.ndim != 2 else burst.seen.truth.h
        power += 0.0 if truth is None else float(np.sum(np.abs(truth) ** 2))
        for name, receiver in receivers.items():
            received = receiver.receive(burst.seen, burst.y, link.rate, link.bits_each)
            wrong = np.count_nonzero(received.bits != burst.bits, axis=1)
            bit[name] += wrong.reshape(-1, GROUP).sum(1).tolist()
            packet[name] += int(np.count_nonzero(wrong))
            if truth is not None:
                off[name] += float(np.sum(np.abs(received.channel.h - truth) ** 2))
        sent += len(burst.bits)
        if enough and min(packet.values()) >= enough:
            break
    counted = {"packets": sent, "bits": sent * link.bits_each, "bit_errors": bit, "packet_errors": packet}
    return counted | ({"nmse": {name: value / power for name, value in off.items()}} if power else {})


def recorded(folder: Path, receivers: Receivers, snr_db: float, draws: int, rng: Generator) -> dict[str, Any]:
    """Frames of the recordings in `folder`, with noise added to a signal-to-noise ratio, that each receiver lost.

    A frame counts if it has a right check sequence as recorded. `lost[name]` has a count for every frame and draw of
    noise, 0 or 1; a frame whose preamble or header is not found is lost to all of them alike.
    """
    lost: dict[str, list[int]] = {name: [] for name in receivers}
    frames = list(_frames(folder))
    for samples, clean, bits in frames:
        for _ in range(draws):
            found = _again(_noisy(samples, clean, snr_db, rng), clean)
            for name, receiver in receivers.items():
                lost[name].append(int(found is None or not np.array_equal(_bits(receiver, found), bits)))
    return {"frames": len(frames), "lost": lost}


def _frames(folder: Path) -> Iterator[tuple[NDArray[np.complex64], Burst, NDArray[np.uint8]]]:
    """The samples around each sound frame, the frame, and its bits."""
    from wireless.ofdm.receiver.chain import Receiver
    from wireless.ofdm.recordings.frames import finish

    for path in sorted(folder.glob("*.dat")):
        samples = read(path, "cs16").samples
        for found in bursts(samples):
            if isinstance(found, Burst) and finish(found, Receiver()).fcs_ok:
                start = max(found.frame.start - 400, 0)
                yield samples[start : found.frame.stop + 200], found, _bits(Receiver(), found)


def _noisy(samples: NDArray[np.complex64], clean: Burst, snr_db: float, rng: Generator) -> NDArray[np.complex64]:
    """With noise, white over 20 MHz, so that the frame's mean power is `snr_db` above it."""
    frame = samples[min(400, clean.frame.start) : -200]
    variance = float(np.mean(np.abs(frame) ** 2)) * 10 ** (-snr_db / 10)
    parts = rng.standard_normal((len(samples), 2)) * np.sqrt(variance / 2)
    noisy: NDArray[np.complex64] = samples + parts.astype(np.float32).view(np.complex64)[:, 0]
    return noisy


def _again(samples: NDArray[np.complex64], clean: Burst) -> Burst | None:
    """The same frame in noisy samples: as long and at the same rate."""
    for found in bursts(samples):
        if isinstance(found, Burst) and found.rate == clean.rate and found.frame.length == clean.frame.length:
            return found
    return None


def _bits(receiver: Receives, burst: Burst) -> NDArray[np.uint8]:
    bits: NDArray[np.uint8] = receiver.receive(burst.seen, burst.y, burst.rate, burst.end, burst.end).bits[0]
    return bits
