"""Recordings of radars are read from every kind of file and named by the net that ships; bad ones are one line."""

import json
import tarfile

import numpy as np
import pytest
from scipy.io import wavfile

from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.nets.pretrained import NAMES, pretrained
from wireless.radar.recordings import classify, read
from wireless.radar.waveforms.catalogue import TWELVE, merged

LOUD = Recipe(count=120, snr_db=(6.0, 10.0), seed=12345)


@pytest.fixture(scope="module")
def pulses():
    return generate(LOUD)


def integers(samples):
    scaled = samples / np.abs(samples).max() * 30_000
    return np.stack([scaled.real, scaled.imag], -1).round().astype("<i2")


def write(kind, folder, samples):
    path = folder / f"pulse.{kind}"
    match kind:
        case "cs16":
            integers(samples).tofile(path)
        case "cf32":
            samples.astype("<c8").tofile(path)
        case "npy":
            np.save(path, samples)
        case "wav":
            wavfile.write(path, 1_000_000, integers(samples))
        case "sigmf-meta":
            samples.astype("<c8").tofile(path.with_suffix(".sigmf-data"))
            path.write_text(json.dumps({"global": {"core:datatype": "cf32_le", "core:version": "1.2.0"}}))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_net_that_ships_names_fresh_pulses(name, pulses):
    """TorchSig's were less than 1 % right on such: weights are scored on pulses that nothing was trained on."""
    answers = pretrained(name).probabilities(pulses.samples).argmax(1)
    assert (answers == pulses.labels).mean() > 0.9
    alike = np.array(merged(TWELVE))
    assert (alike[answers] == alike[pulses.labels]).mean() > 0.95


@pytest.mark.parametrize("kind", ["cs16", "cf32", "npy", "wav", "sigmf-meta"])
def test_every_kind_of_file_gives_the_same_answer(kind, pulses, tmp_path):
    samples, warnings = read(write(kind, tmp_path, pulses.samples[0]))
    [answer], notes = classify(samples, pretrained())
    assert (warnings, notes) == ((), ())
    assert answer.start == 0
    assert answer.name == TWELVE[pulses.labels[0]]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values(), reverse=True)


def test_a_sigmf_recording_is_named_by_its_archive_or_without_its_suffixes(pulses, tmp_path):
    meta = write("sigmf-meta", tmp_path, pulses.samples[0])
    assert np.array_equal(read(tmp_path / "pulse.sigmf")[0], pulses.samples[0])
    with tarfile.open(tmp_path / "whole.sigmf", "w") as archive:
        for file in (meta, meta.with_suffix(".sigmf-data")):
            archive.add(file, f"pulse/{file.name}")
    assert np.array_equal(read(tmp_path / "whole.sigmf")[0], pulses.samples[0])


@pytest.mark.parametrize("shape", ["(N, 2)", "(2, N)"])
def test_an_array_of_i_and_q_is_read_either_way(shape, pulses, tmp_path):
    parts = np.stack([pulses.samples[0].real, pulses.samples[0].imag], -1)
    np.save(tmp_path / "a.npy", parts if shape == "(N, 2)" else parts.T)
    assert np.array_equal(read(tmp_path / "a.npy")[0], pulses.samples[0])


def test_a_long_recording_is_named_window_by_window(pulses):
    chosen = [0, 13, 40]  # of three classes
    answers, _ = classify(np.concatenate([pulses.samples[k] for k in chosen]), pretrained())
    assert [answer.start for answer in answers] == [0, 512, 1024, 1536, 2048]
    assert [answers[k].name for k in (0, 2, 4)] == [TWELVE[pulses.labels[k]] for k in chosen]


def test_the_last_window_ends_with_the_recording(pulses):
    answers, _ = classify(np.concatenate(pulses.samples[:2])[:1500], pretrained())
    assert [answer.start for answer in answers] == [0, 476]


def test_a_shift_moves_the_carrier_and_a_note_says_where_to(pulses):
    at_zero = pulses.samples[8] * np.exp(-2j * np.pi * 0.18 * np.arange(1024))
    _, [note] = classify(at_zero.astype(np.complex64), pretrained())
    assert "--shift +0.1" in note
    [answer], notes = classify(at_zero.astype(np.complex64), pretrained(), 0.18)
    assert (answer.name, notes) == (TWELVE[pulses.labels[8]], ())


def test_a_short_recording_is_filled_with_zeros_and_says_so(pulses):
    [answer], notes = classify(pulses.samples[0][:700], pretrained())
    assert answer.start == 0
    assert notes == ("324 zeros follow its 700 samples, to fill a window of 1024",)


def test_too_few_samples_and_a_shift_beyond_the_band_are_refused(pulses):
    with pytest.raises(ValueError, match=r"^127 samples are too few: a window has 1024, give 128 or more$"):
        classify(pulses.samples[0][:127], pretrained())
    with pytest.raises(ValueError, match=r"^shift=0.7 cycles per sample: must be between -0.5 and 0.5$"):
        classify(pulses.samples[0], pretrained(), 0.7)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([1, np.nan, 2, np.inf], complex), r"2 of 4 samples are not finite$"),
        (np.ones(200, complex), r"all 200 samples are the same: was the receiver on\?$"),
        (np.zeros(0, complex), r"all 0 samples are the same"),
        (np.arange(200.0), r"float64 \(200,\); needs complex \(N,\), or I and Q as \(N, 2\) or \(2, N\)$"),
        (np.ones((5, 5), complex), r"complex128 \(5, 5\); needs complex"),
        (np.array(["a", "b"]), r"<U1 \(2,\); needs complex"),
    ],
    ids=str,
)
def test_an_array_that_is_no_recording_is_refused(array, words, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=words):
        read(tmp_path / "a.npy")


def test_an_array_has_one_channel(pulses, tmp_path):
    np.save(tmp_path / "a.npy", pulses.samples[0])
    assert np.array_equal(read(tmp_path / "a.npy", channel=0)[0], pulses.samples[0])
    with pytest.raises(ValueError, match=r"^channel=1: .*a\.npy has the channels 0 to 0$"):
        read(tmp_path / "a.npy", channel=1)
