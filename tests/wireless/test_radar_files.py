"""Sets as files: what is written is read back, public layouts are read, and what is no set is one line with counts."""

import json

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from shared.lab import Store, run
from wireless.radar.datasets.export import export
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.labelled import LabelledSet
from wireless.radar.datasets.layouts import RADCHAR, hashes, read_set
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.experiment.evaluate import ratios
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.recordings.samples import complex_samples, stored

RECIPE = Recipe(count=150, classes=("cw", "frank", "t1"), samples=128, snr_db=(0.0, 10.0))
ENDINGS = (".h5", ".npz", ".sigmf-meta", ".cs16")


@pytest.fixture(scope="module")
def pulses():
    return generate(RECIPE)


@pytest.mark.parametrize("ending", ENDINGS[:3])
def test_what_is_written_is_read_back(ending, pulses, tmp_path):
    path = tmp_path / f"set{ending}"
    shown = []
    export(RECIPE, path, lambda done, total, note: shown.append(done))
    back = read_set(path)
    assert shown[-1] == 150
    assert back.classes == RECIPE.classes
    assert np.array_equal(back.samples, pulses.samples)
    assert np.array_equal(back.labels, pulses.labels)
    assert back.snr_db == pytest.approx(pulses.snr_db)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
    assert path.name in hashes(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_recipe_stands_beside_the_samples(ending, tmp_path):
    path = tmp_path / f"set{ending}"
    export(RECIPE, path)
    match ending:
        case ".h5":
            with h5py.File(path) as file:
                recipe = json.loads(file.attrs["recipe"])
        case ".npz":
            recipe = json.loads(str(np.load(path)["recipe"]))
        case ".sigmf-meta":
            recipe = json.loads(path.read_text())["global"]["qwedge:recipe"]
        case ".cs16":
            recipe = json.loads(path.with_suffix(".json").read_text())["recipe"]
    assert recipe == RECIPE.to_json_data()


def test_integers_are_the_samples_in_steps(pulses, tmp_path):
    export(RECIPE, tmp_path / "set.cs16")
    head = json.loads((tmp_path / "set.json").read_text())
    samples, _ = complex_samples(stored(tmp_path / "set.cs16"))
    assert samples.reshape(150, 128) * head["step"] == pytest.approx(pulses.samples, abs=head["step"])
    assert head["labels"] == [RECIPE.classes[label] for label in pulses.labels]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"set\.mp3: a set is written as \.h5, \.npz, \.sigmf-meta, \.cs16$"):
        export(RECIPE, tmp_path / "set.mp3")
    assert not list(tmp_path.iterdir())


def parts(samples):
    return np.stack([samples.real, samples.imag], -1)


def radchar(file, pulses):
    kind = np.dtype([("index", "<i8"), ("signal_type", "<i8"), ("signal_to_noise_ratio", "<i8")])
    labels = np.zeros(150, kind)
    labels["signal_type"], labels["signal_to_noise_ratio"] = pulses.labels, np.rint(pulses.snr_db)
    file["iq"], file["labels"] = pulses.samples, labels


def radioml(file, pulses):
    file["X"], file["Y"], file["Z"] = parts(pulses.samples), np.eye(24)[pulses.labels], np.rint(pulses.snr_db)[:, None]


def deepradar(file, pulses):
    file["X_train"] = parts(pulses.samples).transpose(2, 1, 0)
    file["Y_train"] = np.eye(23)[pulses.labels].T


def deepradar_table(file, pulses):
    file["X_val"] = parts(pulses.samples).transpose(2, 1, 0)
    file["lbl_val"] = np.stack([pulses.labels + 1.0, *np.zeros((5, 150))])


def words(file, pulses):
    file["iq"] = pulses.samples
    file["labels"] = np.array(["cw", "frank", "t1"], "S5")[pulses.labels]


def radarcomm(file, pulses):
    for k, (samples, label) in enumerate(zip(pulses.samples, pulses.labels, strict=True)):
        file[str(("pulsed", f"radar {label}", -4, k))] = np.concatenate([samples.real, samples.imag])


LAYOUTS = {
    radchar: RADCHAR[:3],
    radioml: ("0", "1", "2"),
    words: RECIPE.classes,
    deepradar: ("1", "2", "3"),
    deepradar_table: ("1", "2", "3"),
    radarcomm: ("pulsed, radar 0", "pulsed, radar 1", "pulsed, radar 2"),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_layouts_of_public_sets_are_read(layout, pulses, tmp_path):
    with h5py.File(tmp_path / "set.hdf5", "w") as file:
        layout(file, pulses)
    back = read_set(tmp_path / "set.hdf5")
    # HDF5 lists names in alphabetical order, so that windows of RadarComm come in another one.
    order = np.lexsort(pulses.samples.real.T[:3])
    again = np.lexsort(back.samples.real.T[:3])
    assert back.samples[again] == pytest.approx(pulses.samples[order], abs=1e-6)
    assert [back.classes[label] for label in back.labels[again]] == [
        LAYOUTS[layout][label] for label in pulses.labels[order]
    ]


@pytest.mark.parametrize("beside", ["lbl", "Y"])
def test_deepradar_has_its_labels_in_a_file_beside(beside, pulses, tmp_path):
    """As it is published: X in HDF5, where that of training is named Xr, the others in the older format of MATLAB."""
    write_h5(tmp_path / "X_train.mat", Xr_train=parts(pulses.samples).transpose(2, 1, 0))
    table = np.stack([pulses.labels + 1.0, np.rint(pulses.snr_db), *np.zeros((4, 150))], 1)
    labels = {"lbl": table, "Y": np.eye(23)[pulses.labels]}[beside]
    savemat(tmp_path / f"{beside}_train.mat", {f"{beside}_train": labels})
    back = read_set(tmp_path / "X_train.mat")
    assert np.array_equal(back.samples, pulses.samples)
    assert [back.classes[label] for label in back.labels] == [str(1 + label) for label in pulses.labels]
    if beside == "lbl":
        assert np.array_equal(back.snr_db, np.rint(pulses.snr_db))
    assert set(hashes(tmp_path / "X_train.mat")) == {"X_train.mat", f"{beside}_train.mat"}


def test_windows_without_the_file_of_their_labels_are_refused(pulses, tmp_path):
    write_h5(tmp_path / "X_val.mat", X_val=parts(pulses.samples).transpose(2, 1, 0))
    with pytest.raises(
        ValueError, match=r"X_val\.mat holds X_val; needs .*, with lbl_val\.mat or Y_val\.mat beside it"
    ):
        read_set(tmp_path / "X_val.mat")
    (tmp_path / "lbl_val.mat").write_text("nothing")
    with pytest.raises(ValueError, match=r"lbl_val\.mat is not a file of MATLAB with lbl_val"):
        read_set(tmp_path / "X_val.mat")


def test_a_folder_of_sigmf_recordings_is_one_set(pulses, tmp_path):
    for seed in (0, 1):
        export(RECIPE.with_seed(seed), tmp_path / f"{seed}.sigmf-meta")
    back = read_set(tmp_path)
    assert back.samples.shape == (300, 128)
    assert len(hashes(tmp_path)) == 4


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


IQ, ZEROS = np.ones((4, 128), "c8"), np.zeros(4, int)
LABELS = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"iq": IQ}, r"holds iq; needs iq and labels \(RadChar, ours\), X, Y and Z"),
        ({"iq": IQ, "labels": LABELS[:3]}, r"4 windows, 3 labels, 3 ratios; needs one for each$"),
        (
            {"iq": np.where(np.arange(128) == 5, np.nan, IQ), "labels": LABELS},
            r"4 of 4 windows have samples that are not",
        ),
        ({"iq": 0 * IQ, "labels": LABELS}, r"4 of 4 windows are all zero$"),
        ({"iq": IQ, "labels": ZEROS}, r"all 4 windows are 0; needs two classes$"),
        ({"iq": IQ, "labels": LABELS - 1}, r"2 of 4 labels are none of 1 classes$"),
        ({"iq": IQ[:, :9], "labels": LABELS}, r"windows of shape \(9,\); needs 16 samples or more$"),
        ({"iq": IQ.real, "labels": LABELS}, r"windows are float32 \(4, 128\); needs complex \(N, samples\) or I and Q"),
        ({"iq": IQ, "labels": np.zeros(4, [("a", "i4")])}, r"labels have no field signal_to_noise_ratio, only a$"),
        ({"iq": IQ, "labels": LABELS + 0.5}, r"labels are float64; needs whole numbers or words$"),
        ({"X": parts(IQ), "Y": np.ones((4, 3)), "Z": ZEROS}, r"are not one-hot: every line needs one number"),
        ({"(1,2,3,4)": np.ones(7)}, r"'\(1,2,3,4\)' has 7 values"),
    ],
    ids=range(12),
)
def test_a_file_that_is_no_set_is_refused_in_one_line(arrays, words, tmp_path):
    write_h5(tmp_path / "set.h5", **arrays)
    with pytest.raises(ValueError, match=words) as caught:
        read_set(tmp_path / "set.h5")
    assert "set.h5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_hdf5_or_no_archive_is_refused(tmp_path):
    for name, words in (
        ("a.h5", "is not a set in HDF5"),
        ("a.npz", "is not a NumPy archive"),
        ("a.csv", "a set is .h5"),
    ):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(ValueError, match=words):
            read_set(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_set(tmp_path / "none.h5")


def test_recordings_that_are_silently_missing_are_named(tmp_path):
    export(RECIPE, tmp_path / "a.sigmf-meta")
    (tmp_path / "b.sigmf-data").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 recordings have no metadata, the first is b\.sigmf-data$"):
        read_set(tmp_path)
    (tmp_path / "b.sigmf-data").unlink()
    (tmp_path / "a.sigmf-data").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.sigmf-data"):
        read_set(tmp_path)


def test_an_annotation_beyond_the_recording_is_refused(tmp_path):
    export(RECIPE, tmp_path / "a.sigmf-meta")
    meta = json.loads((tmp_path / "a.sigmf-meta").read_text())
    meta["annotations"][-1]["core:sample_start"] += 1
    (tmp_path / "a.sigmf-meta").write_text(json.dumps(meta))
    with pytest.raises(ValueError, match=r"an annotation ends at sample 19201, the recording at 19200$"):
        read_set(tmp_path)


def test_every_class_is_in_both_parts_of_a_set(pulses):
    whole = LabelledSet(pulses.samples, pulses.labels, RECIPE.classes, pulses.snr_db)
    train, test = whole.parted(0.2, np.random.default_rng(0))
    assert (len(train.labels), len(test.labels)) == (120, 30)
    assert np.bincount(test.labels).tolist() == [10, 10, 10]
    assert not {window.tobytes() for window in train.samples} & {window.tobytes() for window in test.samples}


def test_ratios_of_a_set_are_its_own_or_every_two_decibels():
    own, notes = ratios(np.linspace(-5.0, 5.0, 100))
    assert own == (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0)
    assert notes == ("100 ratios are counted at the nearest 2 dB",)
    assert ratios(np.full(3, np.nan))[0] == (0.0,)


def test_a_net_is_trained_on_a_set_of_ones_own(tmp_path):
    export(RECIPE, tmp_path / "mine.npz")
    settings = RadarSettings(data=str(tmp_path / "mine.npz"), epochs=1, batch=32, techniques=("magnitude",), tuning=1)
    [row] = run(Radar(), Radar().cells(settings), Store(tmp_path / "rows"))
    assert (row.result["trained_on"], row.result["tested_on"]) == (120, {"windows": 30})
    assert np.sum(row.result["confusion"]) == 30
    page = Radar().page([row])
    assert "150 ratios are counted at the nearest 2 dB" in row.result["notes"]
    assert "3 classes of pulses of " in page.summary


def test_a_set_that_is_none_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "mine.npz").write_text("nothing")
    with pytest.raises(ValueError, match="is not a NumPy archive"):
        Radar().cells(RadarSettings(nets=("iq",), data=str(tmp_path / "mine.npz")))
    export(RECIPE, tmp_path / "mine.npz")
    with pytest.raises(ValueError, match="leave it out of nets here"):
        Radar().cells(RadarSettings(nets=("bayes", "iq"), data=str(tmp_path / "mine.npz")))
