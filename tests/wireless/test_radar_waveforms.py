"""Each class of pulses obeys the law of its textbook; all classes fill their windows as they should."""

import numpy as np
import pytest

from wireless.radar.waveforms import codes, laws
from wireless.radar.waveforms.catalogue import ALIKE, TWELVE, WAVEFORMS, merged, waveform
from wireless.radar.waveforms.polyphase import POLYPHASE_BARKER
from wireless.radar.waveforms.pulses import pulses, unit
from wireless.radar.waveforms.ranges import Choice, Integers, Uniform, require_part

EVERY = pytest.mark.parametrize("name", WAVEFORMS)


def column(value):
    return np.array([[value]])


def phase(name, width, **parameters):
    """The phase in turns, without the carrier's, of one pulse."""
    p = {key: column(value) for key, value in parameters.items()} | {"width": column(width)}
    return WAVEFORMS[name].turns(np.arange(width, dtype=float)[None], p)[0]


def frequency(turns):
    return np.diff(turns)


def side_lobes(turns):
    """Magnitudes of the aperiodic autocorrelation at delays from 0 on, relative to delay 0."""
    s = np.exp(2j * np.pi * np.asarray(turns))
    spectrum = np.fft.fft(s, 2 * len(s))
    return np.abs(np.fft.ifft(np.abs(spectrum) ** 2))[: len(s)] / len(s)


def peak_side_lobe_db(turns):
    lobes = side_lobes(turns)
    first_rise = int(np.argmax(np.diff(lobes) > 0))
    return 20 * np.log10(lobes[first_rise:].max())


def periodic(turns):
    s = np.exp(2j * np.pi * np.asarray(turns))
    return np.abs(np.fft.ifft(np.abs(np.fft.fft(s)) ** 2))[1:].max() / len(s)


def line(samples, power):
    """The strongest line of a power of the samples, as a share of all."""
    return np.abs(np.fft.fft(samples**power, 8 * len(samples))).max() / len(samples)


# Chirps: Richards, chapter 4.


@pytest.mark.parametrize(("name", "direction"), [("lfm_up", 1), ("lfm_down", -1), ("lfm", -1)])
def test_a_chirp_sweeps_its_bandwidth_once_on_a_line(name, direction):
    f = frequency(phase(name, 1000, bandwidth=0.05, direction=direction))
    slope = direction * 0.05 / 1000
    assert np.diff(f) == pytest.approx(slope, rel=1e-6)
    assert f.mean() == pytest.approx(0, abs=abs(slope))


def test_a_chirp_has_the_side_lobes_and_the_width_of_the_textbook():
    turns = phase("lfm", 4096, bandwidth=0.1, direction=1)
    assert -13.5 < peak_side_lobe_db(turns) < -13.2
    half_power = np.interp(-np.sqrt(0.5), -side_lobes(turns)[:12], np.arange(12))
    assert 2 * half_power * 0.1 == pytest.approx(0.88, abs=0.02)


def test_a_triangle_is_its_own_mirror():
    f = frequency(phase("triangle", 1001, bandwidth=0.06))
    assert f == pytest.approx(f[::-1], abs=2e-4)
    assert f.max() - f.min() == pytest.approx(0.06, rel=0.01)
    assert abs(int(f.argmax()) - 500) <= 1


@pytest.mark.parametrize(("width", "bandwidth", "lobe"), [(1024, 0.1, -31.9), (2048, 0.2, -39.3), (8192, 0.2, -42.5)])
def test_a_nonlinear_chirp_has_the_side_lobes_of_its_spectrum(width, bandwidth, lobe):
    turns = phase("nlfm", width, bandwidth=bandwidth, direction=1)
    assert peak_side_lobe_db(turns) == pytest.approx(lobe, abs=0.6)
    f = frequency(turns)
    assert np.all(np.diff(f) > -1e-9)
    assert f.max() - f.min() == pytest.approx(bandwidth, rel=0.02)


# Hops: Pace, chapter 6.


def test_steps_are_equal_and_rise_across_the_bandwidth():
    f = frequency(phase("stepped", 1000, bandwidth=0.1, steps=5)).reshape(-1)
    inner = [np.median(f[200 * k + 5 : 200 * k + 195]) for k in range(5)]
    assert inner == pytest.approx([-0.04, -0.02, 0.0, 0.02, 0.04])


def test_costas_arrays_are_all_there_are_and_every_difference_is_once():
    assert [len(codes.costas_arrays(order)) for order in range(2, 8)] == [2, 4, 12, 40, 116, 200]
    for array in codes.costas_arrays(6):
        for distance in range(1, 6):
            differences = [later - sooner for sooner, later in zip(array, array[distance:], strict=False)]
            assert len(set(differences)) == len(differences)


@pytest.mark.parametrize("hops", laws.COSTAS_ORDERS)
def test_costas_pulses_hop_over_an_array_of_their_order(hops):
    arrays = set()
    for share in np.linspace(0, 0.999, 150):
        f = frequency(phase("costas", 60 * hops, hops=hops, base=1 / 64, share=share))
        arrays.add(tuple(np.rint(np.median(f.reshape(-1)[k * 60 + 2 : k * 60 + 57]) * 64) for k in range(hops)))
    assert arrays <= {tuple(map(float, array)) for array in codes.costas_arrays(hops)}
    assert len(arrays) >= min(100, len(codes.costas_arrays(hops)))


# Codes: Pace, chapter 5; Levanon & Mozeson, chapter 6.


@pytest.mark.parametrize("length", codes.BARKER)
def test_no_side_lobe_of_a_barker_code_exceeds_a_chip(length):
    assert side_lobes(codes.barker(length))[1:].max() * length == pytest.approx(1)


@pytest.mark.parametrize("code", POLYPHASE_BARKER, ids=len)
def test_no_side_lobe_of_a_polyphase_barker_code_exceeds_a_chip(code):
    assert side_lobes(code)[1:].max() * len(code) < 1.001
    assert len(set(code)) > 4


@pytest.mark.parametrize("order", [3, 4, 5, 6, 7, 8, 10])
def test_frank_codes_have_the_side_lobes_of_their_order_and_none_that_is_periodic(order):
    half = np.sin(np.pi / order) if order % 2 == 0 else 2 * np.sin(np.pi / (2 * order))
    assert peak_side_lobe_db(codes.frank(order)) == pytest.approx(-20 * np.log10(order**2 * half), abs=1e-6)
    assert periodic(codes.frank(order)) < 1e-12


@pytest.mark.parametrize("order", [4, 6, 7, 8])
def test_p1_is_frank_on_another_carrier(order):
    n = np.arange(order * order)
    turns = codes.frank(order) - n * (order - 1) / (2 * order)
    assert unit(codes.p1(order) - turns) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("order", [4, 6, 8])
def test_p2_is_a_palindrome_with_the_side_lobes_of_frank(order):
    turns = codes.p2(order)
    assert turns == pytest.approx(turns[::-1])
    assert peak_side_lobe_db(turns) == pytest.approx(peak_side_lobe_db(codes.frank(order)), abs=1e-6)


def test_p2_of_an_odd_order_is_refused():
    with pytest.raises(ValueError, match=r"^P2 of order 7: needs an even order$"):
        codes.p2(7)


@pytest.mark.parametrize(("length", "lobe"), [(16, -18.75), (36, -21.94), (64, -24.36), (100, -26.32)])
def test_p3_and_p4_are_a_sampled_chirp(length, lobe):
    n = np.arange(length)
    assert peak_side_lobe_db(codes.p3(length)) == pytest.approx(lobe, abs=0.01)
    assert codes.p3(length) - codes.p4(length) == pytest.approx(n / 2)
    assert np.diff(codes.p3(length), 2) == pytest.approx(1 / length)
    assert periodic(codes.p4(length)) < 1e-12


@pytest.mark.parametrize("states", [2, 3, 4])
@pytest.mark.parametrize("name", ["t1", "t2", "t3", "t4"])
def test_polytime_codes_quantise_their_phase_down_to_their_states(name, states):
    shape = {"segments": 4, "bandwidth": 0.05, "states": states}
    turns, fine = phase(name, 1000, **shape), phase(name, 1000, **shape | {"states": 1 << 20})
    assert len(np.unique(np.rint(turns % 1 * states) % states)) == states
    assert np.all((fine - turns >= -2e-6) & (fine - turns < 1 / states))


def test_t1_turns_j_times_in_segment_j_and_t2_around_zero():
    shape = {"segments": 4, "states": 1 << 20}
    for name, cycles in (("t1", [0, 1, 2, 3]), ("t2", [-1.5, -0.5, 0.5, 1.5])):
        segments = phase(name, 4000, **shape).reshape(4, 1000)
        assert segments[:, -1] - segments[:, 0] == pytest.approx(cycles, abs=0.01)


def test_t3_ends_and_t4_begins_and_ends_at_half_the_bandwidth():
    t3, t4 = (frequency(phase(name, 2000, bandwidth=0.08, states=1 << 24)) for name in ("t3", "t4"))
    assert (t3[0], t3[-1]) == pytest.approx((0, 0.08), abs=1e-4)
    assert (t4[0], t4[-1]) == pytest.approx((-0.04, 0.04), abs=1e-4)


def test_random_chips_vanish_in_the_power_of_their_states(rng):
    for name, states in (("bpsk", 2), ("qpsk", 4)):
        for samples in pulses(WAVEFORMS[name], 8, 1024, rng, "all").samples:
            alive = samples[samples != 0]
            assert line(alive, states) > 0.98
            assert line(alive, states // 2) < 0.5


def test_noise_radar_is_gaussian(rng):
    samples = pulses(WAVEFORMS["noise"], 60, 1024, rng, "all").samples
    alive = samples[samples != 0]
    assert np.mean(np.abs(alive) ** 2) == pytest.approx(1, abs=0.02)
    assert np.mean(alive.real**4) / np.mean(alive.real**2) ** 2 == pytest.approx(3, abs=0.1)


def test_an_unmodulated_pulse_is_one_line(rng):
    samples = pulses(WAVEFORMS["cw"], 1, 1024, rng, "all").samples[0]
    assert line(samples[samples != 0], 1) > 0.98
    assert side_lobes(phase("cw", 500)) == pytest.approx(1 - np.arange(500) / 500)


# Windows.


@EVERY
@pytest.mark.parametrize("window", [128, 1000, 1024])
def test_a_pulse_has_unit_magnitude_where_its_parameters_say_and_zero_elsewhere(name, window, rng):
    samples, p = pulses(WAVEFORMS[name], 20, window, rng, "all")
    at = np.arange(window)
    alive = (at >= p["start"]) & (at < p["start"] + p["width"])
    assert samples.dtype == np.complex64
    assert np.all(samples[~alive] == 0)
    assert np.all(p["start"] + p["width"] <= window)
    assert np.all(p["start"] >= 0)
    if name != "noise":
        assert np.abs(samples[alive]) == pytest.approx(1, abs=1e-6)


@EVERY
def test_samples_are_the_law_on_the_carrier(name, rng):
    samples, p = pulses(WAVEFORMS[name], 4, 512, rng, "all")
    k = np.clip(np.arange(512.0) - p["start"], 0, p["width"] - 1)
    turns = WAVEFORMS[name].turns(k, p) + p["carrier"] * k + p["phase"]
    alive = samples != 0
    assert (samples / np.abs(samples + ~alive))[alive] == pytest.approx(np.exp(2j * np.pi * turns)[alive], abs=1e-4)


def test_starts_phases_and_carriers_fill_their_ranges(rng):
    p = pulses(WAVEFORMS["t3"], 4000, 256, rng, "all").parameters
    room = 256 - p["width"]
    share = (p["start"] / np.maximum(room, 1))[room > 40]
    for values, low, high in ((share, 0, 1), (p["phase"], 0, 1), (p["carrier"], 1 / 6, 1 / 5)):
        assert np.all((values >= low) & (values <= high))
        assert np.histogram(values, 4, (low, high))[0] == pytest.approx(len(values) / 4, rel=0.2)


@EVERY
def test_parts_for_training_and_tests_have_no_value_in_common(name, rng):
    train, test = (WAVEFORMS[name].parameters(300, 1024, rng, part) for part in ("train", "test"))
    for key, range_ in WAVEFORMS[name].ranges.items():
        if not isinstance(range_, Choice):
            strips = [np.unique((p[key] - range_.low) / (range_.high - range_.low) * 10 // 1) for p in (train, test)]
            assert set(strips[0]) == {0, 1, 3, 4, 5, 6, 8, 9}
            assert set(strips[1]) == {2, 7}
    if not isinstance(WAVEFORMS[name].ranges["carrier"], Choice) and "chip" not in train:
        assert not set(train["width"].ravel()) & set(test["width"].ravel())


def test_a_range_of_whole_numbers_reaches_both_ends_and_is_parted_too(rng):
    whole = Integers(8, 24)
    assert set(whole.sample(2000, rng)) == set(range(8, 25))
    train, test = (set(whole.sample(2000, rng, part)) for part in ("train", "test"))
    assert train | test == set(range(8, 25))
    assert not train & test
    assert test


def test_a_choice_has_all_its_values_in_every_part(rng):
    assert all(set(Choice((2, 3)).sample(100, rng, part)) == {2, 3} for part in ("all", "train", "test"))


def test_a_uniform_range_is_uniform(rng):
    values = Uniform(2.0, 4.0).sample(8000, rng)
    assert np.histogram(values, 5, (2, 4))[0] == pytest.approx(1600, rel=0.12)


def test_an_unknown_class_or_part_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"^no class of pulses 'franck': did you mean 'frank'\? It must be one of cw, "
    ):
        waveform("franck")
    with pytest.raises(ValueError, match=r"^part='dev': must be one of all, train, test$"):
        require_part("dev")


def test_classes_that_are_alike_count_as_the_first_of_them():
    assert [TWELVE[index] for index in merged(TWELVE) if TWELVE[index] in ALIKE] == ["frank"] * 4
    assert merged(("lfm", "t1")) == (0, 1)
