"""Clustered delay lines: 3GPP's channel models with a direction for every ray, for a single receive antenna."""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.models import AbstractChannel, Paths
from wireless.ofdm.phy.grid import SAMPLE_RATE

MODELS = ("A", "B", "C", "D", "E")


@dataclass(frozen=True)
class CDL(AbstractChannel):
    """The clustered delay lines A to E of 3GPP TR 38.901 (section 7.7.1), from Sionna's tables, at a scaled rms delay.

    Each cluster has twenty rays of equal power and random phase; D and E have a line of sight too. Between vertical
    omnidirectional antennas the gain of a ray is its phase alone (7.5-22), so polarisation and direction of departure
    drop out. With `doppler_hz`, the receiver moves horizontally in a random direction, and a ray from the direction r
    has the Doppler shift `doppler_hz` times the component of r along the movement (7.5-25).

    Delays, powers and angles come from Sionna; the random numbers all come from one generator of ours. Raises
    ValueError for another model and ImportError without Sionna.
    """

    model: str = "A"
    rms_ns: float = 100.0
    doppler_hz: float = 0.0

    @property
    def name(self) -> str:  # type: ignore[override]
        moving = f"-{self.doppler_hz:g}hz" if self.doppler_hz else ""
        return f"cdl-{self.model.lower()}-{self.rms_ns:g}ns{moving}"

    def sample(self, packets: int, rng: Generator) -> Paths:
        rays = _rays(self.model)
        phase = np.exp(2j * np.pi * rng.random((packets, *rays.power.shape)))
        gain = (phase * np.sqrt(rays.power)).astype(np.complex64)
        delay = (rays.delay * self.rms_ns * 1e-9 * SAMPLE_RATE).astype(np.float32)
        power = np.repeat(rays.power.sum(1).astype(np.float32)[None], packets, axis=0)
        if not self.doppler_hz:
            return Paths(gain.sum(2), delay, power)
        heading = rng.uniform(0, 2 * np.pi, (packets, 1, 1))
        along = rays.arrival[..., 0] * np.cos(heading) + rays.arrival[..., 1] * np.sin(heading)
        return Paths(gain, delay, power, (self.doppler_hz * along).astype(np.float32))


class _Rays(NamedTuple):
    delay: NDArray[np.float64]
    """(paths,), in units of the rms delay spread."""
    power: NDArray[np.float64]
    """(paths, rays); their sum is one."""
    arrival: NDArray[np.float64]
    """Unit vectors (paths, rays, 3) in the direction of arrival of each ray."""


@cache
def _rays(model: str) -> _Rays:
    if model not in MODELS:
        raise ValueError(f"CDL model {model!r} is not one of {', '.join(MODELS)}")
    try:
        from sionna.phy.channel import tr38901
    except ImportError as error:
        raise ImportError("CDL channels need Sionna: pip install -e '.[wireless]'") from error
    omni = tr38901.Antenna("single", "V", "omni", 5e9)
    table = tr38901.CDL(model, 1.0, 5e9, omni, omni)
    delay, cluster, azimuth, zenith = (
        np.asarray(part, np.float64) for part in (table._delays, table._powers, table._aoa, table._zoa)
    )
    power = np.repeat(cluster[:, None] / azimuth.shape[1], azimuth.shape[1], axis=1)
    if table._has_los:
        k = float(table._k_factor)
        power, sight = power / (1 + k), np.array([k / (1 + k)])
        # A separate path of one ray at delay zero; its other rays have no power.
        first = np.zeros((1, power.shape[1]))
        first[0, 0] = sight[0]
        power, delay = np.concatenate((first, power)), np.concatenate(([0.0], delay))
        azimuth = np.concatenate((np.full_like(first, float(table._los_aoa)), azimuth))
        zenith = np.concatenate((np.full_like(first, float(table._los_zoa)), zenith))
    flat = np.sin(zenith)
    arrival = np.stack((flat * np.cos(azimuth), flat * np.sin(azimuth), np.cos(zenith)), -1)
    return _Rays(delay - delay.min(), power, arrival)
