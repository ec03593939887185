"""The worked example of the standard: every number here is from IEEE 802.11, annex I (annex G of 802.11a-1999).

A frame of 100 bytes at 36 Mb/s, scrambler state 1011101. The 1999 edition computed its samples with another frame
check sequence, da5799ed, than later editions print, 67 33 21 b6; the latter is the right one.
"""

import numpy as np
import pytest

from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.constellation import modulate
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.mac import fcs
from wireless.ofdm.phy.rates import RATES
from wireless.ofdm.phy.scrambler import sequence
from wireless.ofdm.phy.signal import read_signal, signal_bits
from wireless.ofdm.phy.transmit import SCRAMBLER_STATE, data_bits, transmit
from wireless.ofdm.recordings.frames import decode

BODY = (
    bytes.fromhex("0402002e006008cd37a60020d6013cf1006008ad3baf0000")
    + b"Joy, bright spark of divinity,\nDaughter of Elysium,\nFire-insired we trea"
)
PSDU = BODY + bytes.fromhex("da5799ed")


def bits(text):
    return np.array([int(bit) for bit in text if bit in "01"], np.uint8)


def packed(values):
    return np.packbits(values).tobytes().hex()


def test_frame_check_sequence():
    assert fcs(BODY).hex() == "673321b6"


def test_scrambler():
    table = """0110110000011001101010011100111101101000010101011111010010100011011100011111110000111011110010110010010
               000001000100110001011101"""
    assert (sequence(SCRAMBLER_STATE, 127) == bits(table)).all()


def test_signal_field():
    field = signal_bits(RATES[36], 100)
    coded = encode(field[None])[0]
    assert (field == bits("101100010011000000000000")).all()
    assert (coded == bits("110100011010000100000010001111100111000000000000")).all()
    assert (interleave(coded, RATES[6]) == bits("100101001101000000010100100000110010010010010100")).all()
    assert read_signal(field) == (RATES[36], 100)


def test_data_bits_of_the_first_and_the_last_symbol():
    scrambled = data_bits(np.frombuffer(PSDU, np.uint8)[None], RATES[36])[0]
    assert len(scrambled) == 6 * 144
    assert packed(scrambled[:144]) == "6c19898f6821f4a5614fd7ae240cf33ae4bc"
    assert packed(scrambled[-144:]) == "7d8a27173915a0ec28308cca00dc7f0ef2c9"


def test_first_data_symbol():
    rate = RATES[36]
    coded = puncture(encode(data_bits(np.frombuffer(PSDU, np.uint8)[None], rate)), rate.code)[:, :192]
    mixed = interleave(coded, rate)
    assert packed(coded) == "2b08a1f09db59a1d4afbe8c28fc0c873c043e019e0d3ebb2"
    assert packed(mixed) == "77f0efc47300bf11109a1d126e38f5691b6b9843000db36d"
    points = modulate(mixed, rate.bits)[0]
    table = [-0.316 + 0.316j, -0.316 + 0.316j, 0.316 + 0.316j, -0.949 - 0.949j, 0.316 + 0.949j, 0.316 + 0.316j]
    assert np.abs(points[:6] - table).max() < 5e-4


@pytest.mark.parametrize(
    ("first", "table"),
    [
        (0, "0.046+0.046j -0.132+0.002j -0.013-0.079j 0.143-0.013j 0.092+0j 0.143-0.013j -0.013-0.079j"),
        (161, "0.012-0.098j 0.092-0.106j -0.092-0.115j -0.003-0.054j 0.075+0.074j -0.127+0.021j -0.122+0.017j"),
        (321, "0.033-0.044j -0.002-0.038j -0.081+0.084j 0.007-0.1j -0.001-0.113j -0.021-0.005j 0.136-0.105j"),
        (401, "0.004+0.014j 0.011-0.1j -0.097-0.02j 0.062+0.081j 0.124+0.139j 0.104-0.015j 0.173-0.14j"),
        (801, "0.029+0.025j 0.086-0.029j 0.087-0.082j 0.003-0.036j -0.096-0.089j -0.073-0.046j 0.105-0.02j"),
        (873, "-0.053-0.073j -0.118-0.149j 0.019-0.019j -0.042+0.026j 0.041+0.009j 0.028-0.076j -0.038-0.068j"),
    ],
    ids=["short training", "long training", "SIGNAL", "first DATA symbol", "last DATA symbol", "the end"],
)
def test_samples_of_the_frame(first, table):
    """Table I-22 and those before; its transform divides by 64, ours by 8. Windowed first samples are left out."""
    expected = np.array([complex(value) for value in table.split()])
    samples = transmit(PSDU, RATES[36])
    assert len(samples) == 880
    assert np.abs(samples[first : first + 7] / 8 - expected).max() < 8e-4


def test_the_frame_is_received():
    [frame] = decode(np.pad(transmit(BODY + fcs(BODY), RATES[36]), 50))
    assert frame.psdu == BODY + fcs(BODY)
    assert frame.fcs_ok
    assert frame.mpdus[0].header[1:3] == ("00:60:08:cd:37:a6", "00:20:d6:01:3c:f1")
    [old] = decode(np.pad(transmit(PSDU, RATES[36]), 50))
    assert (old.psdu, old.error) == (PSDU, "FCS wrong")
