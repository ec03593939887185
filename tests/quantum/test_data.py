"""Data is split without overlap, in proportion, by the seed; fitted on the training part; and bad files say why."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum.tasks import data
from quantum.tasks.data import PARTS, SETS, load, read

HOW = r": save numbers x \(samples, features\) and labels y \(samples,\) with numpy.savez"


def numbers(samples: int = 40, features: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(samples, features))


def npz(path: Path, **arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


def csv(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def raw_rows(path: str, seed: int) -> dict[str, np.ndarray]:
    """The rows of each part as they stand in the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "_scale", lambda raw, *rest: raw)
        loaded = load(path, seed)
    return {part: getattr(loaded, part).x.numpy() for part in PARTS}


# Splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_angles_and_classes_in_three_parts(name):
    loaded = load(name, 0)
    counts = [len(getattr(loaded, part).y) for part in PARTS]
    assert [round(count / sum(counts), 2) for count in counts] == pytest.approx([0.56, 0.19, 0.25], abs=0.01)
    for part in (getattr(loaded, part) for part in PARTS):
        assert part.x.dtype.is_floating_point
        assert part.x.dtype.itemsize == 8
        assert part.x.shape == (len(part.y), loaded.features)
        assert 0 <= part.x.min() <= part.x.max() <= math.pi
        assert part.y.unique().tolist() == list(range(len(loaded.classes)))


def test_the_sets_are_the_ones_they_are_called():
    """Samples, features and classes: scikit-learn's own tables; the digits pooled to 4x4, wine and cancer projected."""
    sizes = {name: (*SETS[name]()[0].shape, len(load(name, 0).classes)) for name in SETS}
    assert sizes == {
        "digits36": (364, 16, 2),
        "digits4": (720, 16, 4),
        "iris": (150, 4, 3),
        "wine": (178, 13, 3),
        "cancer": (569, 30, 2),
    }
    assert {name: load(name, 0).features for name in ("wine", "cancer")} == {"wine": 8, "cancer": 8}
    assert load("digits36", 0).classes == ("3", "6")


def test_a_digits_pixel_is_the_mean_of_four_in_grey_levels_of_16():
    from sklearn.datasets import load_digits

    digits = load_digits()
    eight = digits.images[np.isin(digits.target, (3, 6))]
    four = SETS["digits36"]()[0].reshape(-1, 4, 4)
    assert four[5, 1, 2] == eight[5, 2:4, 4:6].mean()
    loaded = load("digits36", 0)
    pixels = {round(float(value), 9) for value in four.ravel() / 16 * math.pi}
    assert {round(float(value), 9) for value in loaded.test.x.ravel()} <= pixels


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(data.LEAST_PER_CLASS, 60), min_size=2, max_size=8), seed=st.integers(0, 2**31 - 1))
def test_parts_are_disjoint_whole_and_stratified(tmp_path_factory, counts, seed):
    """At any class sizes that are accepted: each row once, each class in each part and in proportion."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(labels))
    path = npz(tmp_path_factory.mktemp("rows") / "rows.npz", x=rows[:, None], y=labels)
    parts = {part: x[:, 0].astype(int) for part, x in raw_rows(path, seed).items()}
    assert sorted(np.concatenate(list(parts.values()))) == rows.tolist()
    loaded = load(path, seed)
    for share, (part, members) in zip((9 / 16, 3 / 16, 4 / 16), parts.items(), strict=True):
        np.testing.assert_array_equal(labels[members], getattr(loaded, part).y)
        for name, count in enumerate(counts):
            assert (labels[members] == name).any()
            assert abs((labels[members] == name).sum() - share * count) < 2


@pytest.mark.parametrize("name", ["digits36", "wine", "iris"])
def test_the_seed_alone_decides(name):
    first, again, other = load(name, 7), load(name, 7), load(name, 8)
    for part in PARTS:
        assert (getattr(first, part).x == getattr(again, part).x).all()
        assert (getattr(first, part).y == getattr(again, part).y).all()
    assert not (first.test.x == other.test.x).all()
    assert first.sha256 == again.sha256 == other.sha256


def test_a_large_table_is_projected_alike_each_time(tmp_path):
    """Where scikit-learn would choose a randomised solver that nobody seeded."""
    path = npz(tmp_path / "wide.npz", x=numbers(1000, 120), y=np.arange(1000) % 2)
    first, again = load(path, 0), load(path, 0)
    assert first.features == 16
    assert (first.train.x == again.train.x).all()


@pytest.mark.parametrize("features", [3, 30])
def test_what_is_fitted_is_fitted_on_the_training_part(tmp_path, features):
    """Garbage in the validation and test rows changes nothing in the training part, and what it is scaled by."""
    x, y = numbers(80, features), np.arange(80) % 2
    path = npz(tmp_path / "clean.npz", x=x, y=y)
    kept = {tuple(row) for row in raw_rows(path, 3)["train"]}
    spoilt = np.array([row if tuple(row) in kept else 100 * row + 7 for row in x])
    clean, dirty = load(path, 3), load(npz(tmp_path / "dirty.npz", x=spoilt, y=y), 3)
    assert (clean.train.x == dirty.train.x).all()
    assert not (clean.test.x == dirty.test.x).all()
    assert 0 <= dirty.test.x.min() <= dirty.test.x.max() <= math.pi


def test_the_hash_tells_data_apart(tmp_path):
    x, y = numbers(), np.arange(40) % 2
    same, moved, relabelled = (
        load(npz(tmp_path / f"{k}.npz", x=a, y=b), 0).sha256
        for k, (a, b) in enumerate([(x, y), (x + 1e-12, y), (x, 1 - y)])
    )
    assert same == load(npz(tmp_path / "again.npz", x=x, y=y), 5).sha256
    assert len({same, moved, relabelled}) == 3


def test_a_constant_column_is_no_division_by_zero(tmp_path):
    x = numbers()
    x[:, 1] = 5.0
    loaded = load(npz(tmp_path / "constant.npz", x=x, y=np.arange(40) % 2), 0)
    assert (loaded.train.x[:, 1] == 0).all()


# Files ------------------------------------------------------------------------------------------------------------


def as_csv(x: np.ndarray, y: np.ndarray) -> str:
    return "\n".join(",".join([*map(repr, row), label]) for row, label in zip(x.tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize("header", ["", "a,b,c,kind\n", ",,,\n", "\n\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_csv_and_npz_are_read_as_they_were_written(tmp_path, header, mark):
    x, y = numbers(), np.array(["no", "yes"] * 20)
    from_csv = read(Path(csv(tmp_path / "a.csv", mark + (header + as_csv(x, y)).encode())))
    from_npz = read(Path(npz(tmp_path / "a.npz", x=x, y=y)))
    for loaded, expected in zip((*from_csv, *from_npz), (x, y, x, y), strict=True):
        np.testing.assert_array_equal(loaded, expected)
    loaded = load(str(tmp_path / "a.csv"), 0)
    assert loaded.classes == ("no", "yes")
    assert loaded.sha256 == load(str(tmp_path / "a.npz"), 0).sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv is empty: write one sample per line, with its label last"),
        ("1,2,a\n3,4,5,b", "a.csv, line 2: 4 columns, the first line has 3"),
        ("x,y,kind\n\n1,2,a\n3,b", "a.csv, line 4: 2 columns, the first line has 3"),
        ("1,2,a\n1,two,a", "a.csv, line 2: 'two' is not a number"),
        ("?,2,a\n1,2,a", r"a.csv, line 1: '\?' is not a number"),
        ("1,2,a\n1,,a", "a.csv, line 2: '' is not a number"),
        ("1,2,a\n1,2,", "a.csv, line 2: the label, the last column, is empty"),
        ("1;2;a\n3;4;b", "a.csv, line 2: needs numbers and a label, separated by commas, not '3;4;b'"),
        (b"1,2,caf\xe9", "a.csv is not UTF-8 text: 'utf-8' codec can't decode byte 0xe9 in position 7"),
        ("a,b,kind\n", r"x is \(0, 2\) and y \(0,\) but must be \(samples, features\) and \(samples,\)"),
        ("1,nan,a\n" + "1,2,a\n" * 9 + "1,2,b\n" * 9, r"x\[0, 1\] is nan; fill or drop such rows"),
        ("1,2,a\n" * 9 + "1,inf,b\n" * 9, r"x\[9, 1\] is inf; fill or drop such rows"),
        ("1,2,a\n" * 9, "has 1 class: a classifier needs at least 2"),
        ("1,2,a\n" * 9 + "1,2,b\n" * 5, "class b has 5 samples, but a three-way split needs 6"),
    ],
)
def test_a_bad_csv_says_why(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load(csv(tmp_path / "a.csv", text), 0)


Y = np.arange(40) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": numbers()}, "^a.npz lacks y" + HOW),
        ({"a": numbers()}, "^a.npz lacks x and y" + HOW),
        (
            {"x": numbers(), "y": Y.astype(object)},
            r"^a.npz holds an entry that is not a plain array \(Object arrays.*\)" + HOW,
        ),
        (
            {"x": np.array([["a"]]), "y": Y},
            r"^a.npz holds an entry that is not a plain array \(could not convert string.*\)" + HOW,
        ),
        ({"x": numbers(), "y": Y[:-1]}, r"x is \(40, 3\) and y \(39,\) but must be"),
        ({"x": numbers()[:, 0], "y": Y}, r"x is \(40,\) and y \(40,\) but must be"),
        ({"x": numbers()[:, :0], "y": Y}, r"x is \(40, 0\) and y \(40,\) but must be"),
        (
            {"x": numbers(), "y": np.where(np.arange(40) == 6, np.nan, Y)},
            r"y\[6\] is nan; drop samples without",
        ),
        ({"x": np.where(np.arange(40)[:, None] == 4, np.nan, numbers()), "y": Y}, r"x\[4, 0\] is nan; fill or drop"),
    ],
)
def test_a_bad_archive_says_why(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(npz(tmp_path / "a.npz", **arrays), 0)


class Dangerous:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "a.npz").write_bytes(pickle.dumps(Dangerous(trace)))
    with pytest.raises(ValueError, match="^a.npz is not a NumPy archive" + HOW):
        load(str(tmp_path / "a.npz"), 0)
    objects = np.array([Dangerous(trace)] * 40, dtype=object)
    with pytest.raises(ValueError, match=r"^a.npz holds an entry that is not a plain array"):
        load(npz(tmp_path / "a.npz", x=numbers(), y=objects), 0)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_says_so(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="^a.npz is not a NumPy archive" + HOW):
        load(str(tmp_path / "a.npz"), 0)


def test_a_damaged_archive_says_so(tmp_path):
    path = Path(npz(tmp_path / "a.npz", x=numbers(), y=Y))
    whole = bytearray(path.read_bytes())
    whole[200] ^= 0xFF  # inside the numbers of x
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"^a.npz holds an entry that is not a plain array \(Bad CRC-32.*\)" + HOW):
        load(str(path), 0)


def test_a_name_that_is_nothing_lists_the_sets(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name in ("digit4", str(tmp_path / "none.csv"), str(tmp_path / "folder.csv")):
        message = f"data '{name}' is neither a file nor one of digits36, digits4, iris, wine, cancer"
        with pytest.raises(FileNotFoundError, match=f"^{message}$"):
            load(name, 0)
    with pytest.raises(ValueError, match=r"data file 'a.txt': use .npz with x and y, or .csv with the label last"):
        load(csv(tmp_path / "a.txt", "1,2"), 0)
