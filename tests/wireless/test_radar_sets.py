"""Sets of pulses: the same recipe is the same set, whatever its length; channels do what their numbers say."""

import numpy as np
import pytest

from wireless.radar.channel.channel import Channel
from wireless.radar.channel.effects import off_tune, through_paths, with_noise, with_phase_noise
from wireless.radar.datasets.generate import EACH, blocks, digest, generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.waveforms.catalogue import TWELVE, WAVEFORMS

SMALL = Recipe(count=150, classes=("cw", "frank", "noise"), samples=256)


def altered(**changes):
    return Recipe(**{"count": 150, "classes": ("cw", "frank", "noise"), "samples": 256, **changes})


def test_the_same_recipe_is_the_same_set_to_the_bit():
    first, second = generate(SMALL), generate(altered())
    assert first.samples.tobytes() == second.samples.tobytes()
    assert digest(SMALL) == digest(altered())


def test_a_recipe_has_the_hash_that_is_written_here():
    """On every machine and NumPy. Who changes it on purpose raises `GENERATOR`."""
    recipe = Recipe(count=3 * len(WAVEFORMS), classes=tuple(WAVEFORMS), channel=Channel(overlap=0.5))
    assert digest(recipe) == HASH


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"part": "test"},
        {"snr_db": (-16.0, 8.0)},
        {"channel": Channel(paths=1)},
        {"widths": (128,)},
        {"classes": ("cw", "frank", "p1")},
    ],
    ids=str,
)
def test_every_field_is_another_set(change):
    assert digest(altered(**change)) != digest(SMALL)
    assert altered(**change).identity != SMALL.identity


def test_a_longer_set_begins_with_the_shorter_one():
    longer = generate(altered(count=400))
    for one, other in zip(generate(SMALL), longer, strict=True):
        assert np.array_equal(one, other[:150])
    assert not np.array_equal(longer.samples[:96], longer.samples[96:192])


def test_blocks_are_the_set_in_parts_of_constant_size():
    parts = list(blocks(SMALL))
    assert [len(part.labels) for part in parts] == [3 * EACH, 150 - 3 * EACH]
    assert np.array_equal(np.concatenate([part.samples for part in parts]), generate(SMALL).samples)


def test_classes_and_the_grid_of_snr_come_in_turn():
    pulses = generate(altered(count=24, snr_db=(-8.0, 0.0), grid=True))
    assert pulses.labels.tolist() == [0, 1, 2] * 8
    assert pulses.snr_db.tolist() == [*[-8.0] * 3, *[0.0] * 3] * 4
    ratios = (-8.0, -4.0, 0.0, 4.0, 8.0)  # of which the rounds of a block are no multiple
    longer = generate(altered(count=200, snr_db=ratios, grid=True))
    assert longer.snr_db.tolist() == [ratios[k // 3 % 5] for k in range(200)]


def test_a_range_of_snr_is_uniform():
    pulses = generate(altered(count=3000))
    assert np.histogram(pulses.snr_db, 4, (-16, 10))[0] == pytest.approx(750, rel=0.15)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 10.0])
def test_noise_is_that_far_below_a_pulse_and_white(snr_db, rng):
    silence = np.zeros((40, 1024), np.complex64)
    noise = with_noise(silence, np.full(40, snr_db), rng)
    assert 10 * np.log10(np.mean(np.abs(noise) ** 2)) == pytest.approx(-snr_db, abs=0.1)
    assert np.mean(noise.real**2) == pytest.approx(np.mean(noise.imag**2), rel=0.03)
    spectrum = np.mean(np.abs(np.fft.fft(noise, axis=1)) ** 2, 0).reshape(8, -1).mean(1)
    assert spectrum == pytest.approx(spectrum.mean(), rel=0.1)
    assert np.array_equal(silence, np.zeros_like(silence))


def test_paths_come_late_fall_with_their_delay_and_keep_the_mean_power(rng):
    impulse = np.zeros((6000, 64), np.complex64)
    impulse[:, 10] = 1
    late = through_paths(impulse, 3, 4.0, rng)
    power = np.mean(np.abs(late) ** 2, 0)
    assert np.all(power[:10] == 0)
    assert power.sum() == pytest.approx(1, rel=0.03)
    assert power[10] > power[11] > power[16] > power[26]


def test_an_offset_turns_every_window_by_one_frequency_within_its_limit(rng):
    turned = off_tune(np.ones((200, 256), np.complex64), 0.01, rng)
    f = np.angle(turned[:, 1:] * turned[:, :-1].conj()) / (2 * np.pi)
    assert np.ptp(f, axis=1) == pytest.approx(0, abs=1e-6)
    assert 0.009 < np.abs(f[:, 0]).max() <= 0.01
    assert abs(f[:, 0].mean()) < 0.002


def test_phase_noise_is_a_walk_of_its_step(rng):
    walk = np.unwrap(np.angle(with_phase_noise(np.ones((200, 512), np.complex64), 0.02, rng)), axis=1)
    assert np.std(np.diff(walk, axis=1)) == pytest.approx(0.02, rel=0.02)
    assert np.std(walk[:, -1] - walk[:, 0]) == pytest.approx(0.02 * np.sqrt(511), rel=0.2)


def test_a_second_pulse_is_there_as_often_and_as_weak_as_stated():
    clean = altered(count=900, classes=("cw", "frank"), snr_db=(80.0, 80.0), widths=(256,))
    both = altered(
        count=900,
        classes=("cw", "frank"),
        snr_db=(80.0, 80.0),
        widths=(256,),
        channel=Channel(overlap=0.4, weaker_db=(6.0, 6.0)),
    )
    cw = generate(both).samples[::2]  # the pulse fills its window, so what varies is the second one
    doubled = np.ptp(np.abs(cw), axis=1) > 0.1
    assert doubled.mean() == pytest.approx(0.4, abs=0.08)
    assert np.abs(cw[doubled]).max() == pytest.approx(1 + 10 ** (-6 / 20), abs=0.01)
    assert np.ptp(np.abs(generate(clean).samples[::2]), axis=1).max() < 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, r"^count=0: a set needs a window"),
        ({"classes": ()}, r"^classes=none: needs one at least"),
        ({"classes": ("cw", "cw")}, r"^classes=cw, cw: needs one at least, each once"),
        ({"classes": ("chirp",)}, r"^no class of pulses 'chirp'"),
        ({"samples": 100}, r"^samples=100: a window has 128 to"),
        ({"snr_db": (3.0,)}, r"^snr_db=\(3.0,\): a range has two ends in order; for single values take grid=True"),
        ({"snr_db": (3.0, 1.0)}, r"a range has two ends in order"),
        ({"snr_db": (float("nan"), 1.0)}, r"needs finite numbers"),
        ({"part": "dev"}, r"^part='dev'"),
        ({"widths": (2000,)}, r"^widths=\(2000,\): a pulse has 1 to 256 samples"),
        ({"seed": -1}, r"^seed=-1"),
    ],
    ids=str,
)
def test_a_recipe_that_makes_no_set_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        altered(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paths": -1}, "^paths=-1"),
        ({"offset": float("inf")}, "^offset=inf"),
        ({"spread": 0.0}, "^spread=0.0"),
        ({"overlap": 1.5}, "overlap=1.5"),
        ({"weaker_db": (5.0, 1.0)}, r"^weaker_db=\(5.0, 1.0\)"),
    ],
    ids=str,
)
def test_a_channel_of_impossible_numbers_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        Channel(**change)


def test_every_class_can_be_generated_in_the_shortest_window():
    pulses = generate(Recipe(count=3 * len(WAVEFORMS), classes=tuple(WAVEFORMS), samples=128))
    assert np.isfinite(pulses.samples).all()
    assert set(TWELVE) <= set(WAVEFORMS)


HASH = "dce5a04a70703c70d7bcf9f6542b5c7758b8ef5cab2becc98f86e4f073f18a97"
