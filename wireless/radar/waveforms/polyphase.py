"""Polyphase Barker codes, from a gradient search of our own over phases, rounded to 1/10,000 turn.

Any phases are allowed, and no aperiodic side lobe exceeds one chip (Golomb & Scholtz 1965; Friese 1996). A code times a
tone is one too, so that the first two phases are 0.
"""

from typing import Final

POLYPHASE_BARKER: Final = (
    (0, 0, 0.8023, 0.9288, 0.1918, 0.5913, 0.315, 0.841),
    (0, 0, 0.1418, 0.1256, 0.7586, 0.6103, 0.1329, 0.4662, 0.9505),
    (0, 0, 0.5252, 0.51, 0.1407, 0.342, 0.4131, 0.2564, 0.6377, 0.1603, 0.8093, 0.1676),
    (0, 0, 0.9836, 0.3574, 0.4135, 0.3683, 0.014, 0.2472, 0.6192, 0.1191, 0.0297, 0.6278, 0.1641, 0.7933),
    (
        *(0, 0, 0.0145, 0.0176, 0.2601, 0.1508, 0.8947, 0.6295),
        *(0.6361, 0.0939, 0.333, 0.5616, 0.0874, 0.769, 0.1911, 0.6474),
    ),
)
"""Phases in turns of codes of 8, 9, 12, 14 and 16 chips."""
