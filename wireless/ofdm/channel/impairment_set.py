"""The impairment set: front ends with random parameters of amplifier, oscillator, mixer and converter."""

from typing import cast

from numpy.random import Generator

from wireless.ofdm.channel.impairments import ADC, CarrierOffset, Impairment, IQImbalance, PhaseNoise, RappAmplifier

BACKOFF_DB = (5.0, 7.0)
LINEWIDTH_HZ = (50.0, 400.0)
GAIN_DB = (-1.0, 1.0)
PHASE_DEG = (-4.0, 4.0)
CONVERTER_BITS = (5, 7)
OFFSET_HZ = 500.0


def random_front_end(rng: Generator) -> tuple[Impairment, ...]:
    """A front end of the impairment set, uniform in every range; carrier offset and phase noise differ by packet.

    The ranges lie around a Rapp amplifier at 6 dB back-off and a 6-bit converter. At the ends of the ranges the
    image of the mixer is 23 dB below the signal; good radios keep it 30 dB below.
    """
    front_end = (
        RappAmplifier(backoff_db=float(rng.uniform(*BACKOFF_DB))),
        PhaseNoise(linewidth_hz=float(rng.uniform(*LINEWIDTH_HZ))),
        CarrierOffset(hertz=(-OFFSET_HZ, OFFSET_HZ)),
        IQImbalance(gain_db=float(rng.uniform(*GAIN_DB)), phase_deg=float(rng.uniform(*PHASE_DEG))),
        ADC(bits=int(rng.integers(CONVERTER_BITS[0], CONVERTER_BITS[1] + 1))),
    )
    return cast(tuple[Impairment, ...], front_end)
