"""The parts of the 802.11 physical layer, each undone by its counterpart and held to what defines it."""

import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radio import EVERY

from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import PUNCTURING, depuncture, encode, puncture
from wireless.ofdm.phy.constellation import levels, modulate, points
from wireless.ofdm.phy.interleaver import deinterleave, interleave, permutation
from wireless.ofdm.phy.mac import aggregate, crc8, deaggregate, fcs, fcs_ok, mpdu
from wireless.ofdm.phy.rates import MCS, RATES, by_name
from wireless.ofdm.phy.scrambler import descramble, scramble, sequence
from wireless.ofdm.phy.signal import HTSignal, ht_signal_bits, read_ht_signal, read_signal, signal_bits
from wireless.ofdm.phy.transmit import data_bits, legacy_length, transmit

each_rate = pytest.mark.parametrize("rate", EVERY, ids=lambda rate: rate.name)


# Tables 17-4 and 19-27 of IEEE 802.11-2020: N_CBPS, N_DBPS, Mb/s.
def test_rates_are_those_of_the_standard():
    assert [(rate.coded, rate.info, rate.mbps) for rate in RATES.values()] == [
        (48, 24, 6), (48, 36, 9), (96, 48, 12), (96, 72, 18), (192, 96, 24), (192, 144, 36), (288, 192, 48),
        (288, 216, 54),
    ]  # fmt: skip
    assert [(rate.coded, rate.info, rate.mbps) for rate in MCS] == [
        (52, 26, 6.5), (104, 52, 13), (104, 78, 19.5), (208, 104, 26), (208, 156, 39), (312, 208, 52), (312, 234, 58.5),
        (312, 260, 65),
    ]  # fmt: skip
    assert [round(rate.short().mbps, 1) for rate in MCS] == [7.2, 14.4, 21.7, 28.9, 43.3, 57.8, 65.0, 72.2]


def test_rates_by_name():
    assert [by_name(rate.name) for rate in EVERY] == list(EVERY)
    with pytest.raises(ValueError, match=r"rate '7' is unknown: it must be one of 6 Mb/s, 9 Mb/s"):
        by_name("7")
    with pytest.raises(ValueError, match="6 Mb/s has no short guard interval"):
        RATES[6].short()


def test_code_is_linear_and_ends_in_state_zero(rng):
    one, two = rng.integers(0, 2, (2, 4, 90), dtype=np.uint8)
    assert (encode(one) ^ encode(two) == encode(one ^ two)).all()
    closed = np.concatenate([one, np.zeros((4, 6), np.uint8)], axis=1)
    after = np.concatenate([closed, two], axis=1)
    assert (encode(after)[:, 2 * 96 :] == encode(two)).all()


@pytest.mark.slow  # importing Sionna takes seconds
@pytest.mark.skipif(find_spec("sionna") is None, reason="the encoder's oracle is Sionna")
def test_code_equals_sionnas_bit_by_bit(rng):
    import torch
    from sionna.phy.fec.conv import ConvEncoder

    bits = rng.integers(0, 2, (8, 200), dtype=np.uint8)
    theirs = ConvEncoder(gen_poly=("1011011", "1111001"))(torch.tensor(bits, dtype=torch.float32))
    assert (encode(bits) == np.asarray(theirs).astype(np.uint8)).all()


@pytest.mark.parametrize("code", PUNCTURING)
def test_puncturing_keeps_the_rate_and_is_undone_but_for_zeros(code, rng):
    llr = rng.normal(size=(3, 60)).astype(np.float32)
    sent = puncture(llr, code)
    assert sent.shape[1] * code[0] == 30 * code[1]
    back = depuncture(sent, code)
    assert ((back == llr) | (back == 0)).all()
    assert (puncture(back, code) == sent).all()
    assert np.count_nonzero(back) == sent.size


def test_puncturing_takes_the_bits_that_the_standard_names():
    named = np.arange(20, dtype=np.float32)[None]  # A0 B0 A1 B1 ... are 0 1 2 3 ...
    assert puncture(named[:, :4], (2, 3)).tolist() == [[0, 1, 2]]
    assert puncture(named[:, :6], (3, 4)).tolist() == [[0, 1, 2, 5]]
    assert puncture(named[:, :10], (5, 6)).tolist() == [[0, 1, 2, 5, 6, 9]]
    with pytest.raises(ValueError, match="5 bits are not a multiple of 6, the puncturing period at code rate 3/4"):
        puncture(named[:, :5], (3, 4))
    with pytest.raises(ValueError, match="code rate 7/8 is not one of 1/2, 2/3, 3/4, 5/6"):
        depuncture(named, (7, 8))


@each_rate
def test_interleaver_is_a_permutation_that_parts_neighbours(rate, rng):
    to = permutation(rate)
    assert sorted(to) == list(range(rate.coded))
    carriers = to // rate.bits
    assert np.abs(np.diff(carriers)).min() >= 3
    # Neighbours take turns between the more and the less protected bits of a point.
    half, columns = max(rate.bits // 2, 1), 13 if rate.ht else 16
    assert all(set(to[at : at + half] % half) == set(range(half)) for at in range(0, rate.coded, columns))
    bits = rng.integers(0, 2, (2, 3, rate.coded), dtype=np.uint8)
    assert (deinterleave(interleave(bits, rate), rate) == bits).all()


@each_rate
def test_interleaver_is_that_of_the_standard(rate):
    """The receiver's permutations undo it, as 17.3.5.7 and 19.3.11.8 write them out; no code is shared."""
    columns, s, n = 13 if rate.ht else 16, max(rate.bits // 2, 1), rate.coded
    for k, j in enumerate(permutation(rate).tolist()):
        i = s * (j // s) + (j + columns * j // n) % s
        assert columns * i - (n - 1) * (columns * i // n) == k


def test_second_permutation_of_64_qam():
    """By hand: in column c of three bits, position r goes to (r - c) modulo 3."""
    assert permutation(RATES[54])[[0, 1, 2, 3, 16, 17, 18, 32, 33, 287]].tolist() == [
        0,
        20,
        37,
        54,
        1,
        18,
        38,
        2,
        19,
        287,
    ]


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_constellation_is_gray_with_unit_power(bits):
    table = points(bits)
    assert len(set(table.tolist())) == 2**bits
    assert np.mean(np.abs(table) ** 2) == pytest.approx(1)
    step = np.diff(np.sort(levels(bits))).min()
    near = np.argwhere(np.isclose(np.abs(table[:, None] - table[None]), step, rtol=1e-4))
    assert len(near)
    assert all(int(a ^ b).bit_count() == 1 for a, b in near)
    labels = np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1
    assert (modulate(labels.astype(np.uint8).reshape(1, 1, -1), bits)[0, 0] == table).all()


def test_constellation_of_the_standard():
    # Table 17-12: b0 b1 b2 b3 = 1000 is I = 3, Q = -3; table 17-13: 010111 is I = -1, Q = 5 ... over sqrt(42).
    assert points(4)[0b1000] == pytest.approx((3 - 3j) / np.sqrt(10))
    assert points(6)[0b010101] == pytest.approx((-1 + 5j) / np.sqrt(42))
    with pytest.raises(ValueError, match="bits=3 per subcarrier"):
        points(3)
    with pytest.raises(ValueError, match="7 code bits are not a multiple of 2, the bits of a constellation point"):
        modulate(np.zeros((1, 1, 7), np.uint8), 2)


def test_scrambler_has_period_127_and_the_sequence_of_all_ones():
    # 17.3.5.5 prints the sequence of the all-ones state.
    printed = (
        "0000111011110010110010010000001000100110001011101011011000001100"
        "110101001110011110110100001010101111101001010001101110001111111"
    )
    assert "".join(map(str, sequence(127, 127))) == printed
    assert (sequence(5, 254)[127:] == sequence(5, 127)).all()
    assert sequence(1, 127).sum() == 64
    with pytest.raises(ValueError, match="scrambler state 0: must be between 1 and 127"):
        sequence(0, 7)


@pytest.mark.parametrize("state", [1, 64, 93, 127])
def test_descrambler_needs_no_state(state, rng):
    bits = np.concatenate([np.zeros(7, np.uint8), rng.integers(0, 2, 300, dtype=np.uint8)])
    assert (descramble(scramble(bits, state)) == bits).all()


@pytest.mark.parametrize("ht", [False, True])
def test_symbols_survive_the_way_to_samples_and_keep_their_power(ht, rng):
    used = len(grid.used(ht))
    x = rng.normal(size=(2, 5, 2 * used)).astype(np.float32).view(np.complex64)
    for guard in (8, 16):
        samples = grid.to_time(x, guard)
        assert samples.shape == (2, 5 * (64 + guard))
        assert np.abs(grid.to_frequency(samples, guard, ht) - x).max() < 1e-5
        symbols = samples.reshape(2, 5, -1)
        assert (symbols[..., :guard] == symbols[..., 64:]).all()
        assert np.sum(np.abs(symbols[..., guard:]) ** 2) == pytest.approx(np.sum(np.abs(x) ** 2), rel=1e-5)


def test_training_fields_repeat():
    head = grid.preamble()
    assert len(head) == 320
    assert np.abs(head[:144] - head[16:160]).max() < 1e-6
    assert np.abs(head[192:256] - head[256:320]).max() < 1e-6
    assert np.abs(head[160:192] - head[224:256]).max() < 1e-6
    power = np.mean(np.abs(head) ** 2)
    assert power == pytest.approx(52 / 64, rel=1e-4)
    assert np.mean(np.abs(head[:160]) ** 2) == pytest.approx(52 / 64, rel=1e-4)
    tail = grid.ht_preamble()
    assert np.abs(tail[:64] - tail[16:80]).max() < 1e-6
    assert np.abs(tail[80:96] - tail[144:160]).max() < 1e-6


def test_pilots_of_the_standard():
    # 17.3.5.10: p_0.. = 1 1 1 1 -1 -1 -1 1; pattern 1 1 1 -1. 19.3.11.10: HT rotates the pattern from p_3 on.
    assert grid.pilots(0, 8)[:, 0].tolist() == [1, 1, 1, 1, -1, -1, -1, 1]
    assert grid.pilots(0, 8)[:, 3].tolist() == [-1, -1, -1, -1, 1, 1, 1, -1]
    assert grid.pilots(3, 4, True).tolist() == [[1, 1, 1, -1], [-1, -1, 1, -1], [-1, 1, -1, -1], [1, -1, -1, -1]]
    assert (grid.pilots(127, 5) == grid.pilots(0, 5)).all()


@given(mbps=st.sampled_from(list(RATES)), length=st.integers(1, 4095), flip=st.integers(0, 17))
def test_signal_field_is_read_back_and_one_wrong_bit_is_seen(mbps, length, flip):
    bits = signal_bits(RATES[mbps], length)
    assert read_signal(bits) == (RATES[mbps], length)
    assert bits[:18].sum() % 2 == 0
    assert not bits[18:].any()
    bits[flip] ^= 1
    with pytest.raises(ValueError, match="SIGNAL parity is wrong"):
        read_signal(bits)


@pytest.mark.parametrize(
    ("flips", "message"),
    [
        ((3, 17), "SIGNAL announces the illegal rate 1100"),
        ((5, 17), "SIGNAL announces length 0"),
    ],
)
def test_signal_fields_that_no_one_sends(flips, message):
    bits = signal_bits(RATES[6], 1)
    bits[list(flips)] ^= 1
    with pytest.raises(ValueError, match=message):
        read_signal(bits)


@pytest.mark.parametrize("length", [0, 4096])
def test_signal_field_holds_12_bits_of_length(length):
    with pytest.raises(ValueError, match=rf"a PSDU of {length} bytes: SIGNAL can announce 1 to 4095"):
        signal_bits(RATES[6], length)


@given(
    mcs=st.integers(0, 127),
    length=st.integers(0, 65535),
    flags=st.lists(st.booleans(), min_size=6, max_size=6),
    two=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    flip=st.integers(0, 41),
)
def test_ht_signal_is_read_back_and_one_wrong_bit_is_seen(mcs, length, flags, two, flip):
    short, aggregation, smoothing, sounding, wide, ldpc = flags
    fields = HTSignal(mcs, length, short, aggregation, smoothing, sounding, wide, two[0], ldpc, two[1])
    bits = ht_signal_bits(fields)
    assert bits.shape == (48,)
    assert read_ht_signal(bits) == fields
    bits[flip] ^= 1
    with pytest.raises(ValueError, match="HT-SIG CRC is wrong"):
        read_ht_signal(bits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (HTSignal(12, 100), "HT frame MCS 12, of several streams"),
        (HTSignal(1, 100, wide=True), "HT frame 40 MHz wide: only one stream"),
        (HTSignal(1, 100, ldpc=True, stbc=1), "HT frame LDPC coded, space-time block coded"),
        (HTSignal(1, 0), "HT frame a sounding frame without data"),
    ],
)
def test_ht_frames_that_are_not_decoded_say_why(fields, message):
    with pytest.raises(ValueError, match=message):
        _ = fields.rate


def test_frame_check_sequence_is_the_crc_of_ethernet():
    assert fcs(b"123456789") == 0xCBF43926.to_bytes(4, "little")  # the check value of CRC-32
    assert fcs_ok(b"123456789" + fcs(b"123456789"))
    assert not fcs_ok(b"")
    assert not fcs_ok(fcs(b""))
    assert zlib.crc32(b"") == 0


def test_crc8_of_the_standards_example():
    # 19.3.9.4.4: these bits of HT-SIG have the CRC 10101000.
    bits = [int(bit) for bit in "1111000100100110000000001110000000"]
    assert f"{crc8(bits):08b}" == "10101000"


@pytest.mark.parametrize("damaged", [None, 0, 1, 2])
def test_aggregate_is_taken_apart_and_a_damaged_delimiter_costs_one_frame(damaged, rng):
    parts = [rng.bytes(size) for size in (30, 41, 100)]
    parts = [part + fcs(part) for part in parts]
    psdu = bytearray(aggregate(parts))
    begins = [psdu.index(part) for part in parts]
    if damaged is not None:
        psdu[begins[damaged] - 2] ^= 1
    kept = [part for k, part in enumerate(parts) if k != damaged]
    assert [each.data for each in deaggregate(bytes(psdu))] == kept
    assert all(each.fcs_ok for each in deaggregate(bytes(psdu)))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_taken_apart(data):
    assert sum(len(part.data) for part in deaggregate(data)) <= len(data)
    assert mpdu(data).data == data


def test_headers_by_type():
    address = [bytes([k] * 6) for k in range(3)]
    written = [":".join([f"{k:02x}"] * 6) for k in range(3)]
    data = bytes.fromhex("88020000") + b"".join(address) + bytes.fromhex("3012") + bytes(6)
    assert mpdu(data).header == ("QoS data", *written, 0x123)
    assert mpdu(b"\x80" + data[1:]).header[0] == "beacon"
    assert mpdu(bytes.fromhex("d4000000") + address[1] + bytes(4)).header == ("ACK", written[1], None, None, None)
    assert mpdu(bytes.fromhex("b4000000") + address[1] + address[2] + bytes(4)).header[:3] == ("RTS", *written[1:])
    assert mpdu(bytes.fromhex("54030000") + address[0] + bytes(10)).header[0] == "VHT NDP announcement"
    assert mpdu(bytes.fromhex("64000000") + bytes(12)).header[0] == "control subtype 6"
    assert mpdu(bytes(13)).header is None


@each_rate
def test_data_holds_service_psdu_tail_and_padding(rate, rng):
    for size in (1, 14, 137):
        octets = rng.integers(0, 256, (2, size), dtype=np.uint8)
        bits = data_bits(octets, rate, 77)
        assert bits.shape == (2, rate.symbols(size) * rate.info)
        assert bits.shape[1] - rate.info < 16 + 8 * size + 6 <= bits.shape[1]
        assert not bits[:, 16 + 8 * size :][:, :6].any()
        clear = scramble(bits, 77)
        assert not clear[:, :16].any()
        assert not clear[:, 16 + 8 * size + 6 :].any()
        assert (np.packbits(clear[:, 16 : 16 + 8 * size], axis=1, bitorder="little") == octets).all()


@pytest.mark.parametrize("rate", [MCS[0], MCS[3], MCS[3].short(), MCS[7].short()], ids=lambda rate: rate.name)
def test_legacy_length_of_an_ht_frame_covers_its_time(rate):
    for size in (1, 138, 1000):
        samples = len(transmit(bytes(size), rate))
        announced = 400 + 80 * RATES[6].symbols(legacy_length(rate, size))
        assert 0 <= announced - samples < 80


def test_legacy_length_of_a_recorded_frame():
    # dot11n_26mbps of the recordings: 138 bytes at MCS 3 behind a SIGNAL of length 42 at 6 Mb/s.
    assert legacy_length(MCS[3], 138) == 42
    with pytest.raises(ValueError, match=r"a PSDU of 60000 bytes at MCS 0 takes longer than the 5.5 ms"):
        legacy_length(MCS[0], 60000)
