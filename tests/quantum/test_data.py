"""Data is split without overlap, in proportion, by the seed; fitted on the training part; and bad files say why."""

import math
import pickle
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum.tasks import data
from quantum.tasks.data import PARTS, SETS, load, read
from shared.lab.records.arrays import read_npy

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
    """The rows of each part as they are in the file."""
    loaded = load(path, seed, "as-is")
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
    sizes = {name: (*SETS[name]().x.shape, len(load(name, 0).classes)) for name in SETS}
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
    four = SETS["digits36"]().x.reshape(-1, 4, 4)
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
    for table in (from_csv, from_npz):
        np.testing.assert_array_equal(table.x, x)
        np.testing.assert_array_equal(table.labels, y)
        assert table.notes == ()
    loaded = load(str(tmp_path / "a.csv"), 0)
    assert loaded.classes == ("no", "yes")
    assert loaded.sha256 == load(str(tmp_path / "a.npz"), 0).sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv is empty: write one sample per line, with its label last"),
        ("1,2,a\n3,4,5,b", "a.csv, line 2: 4 columns, the first line has 3"),
        ("x,y,kind\n\n1,2,a\n3,b", "a.csv, line 4: 2 columns, the first line has 3"),
        ("1,2,a\n1,two,a", "a.csv, line 2: column 2: 'two' is not a number: write one there, or delete the line"),
        ("?,2,a\n1,2,a", r"a.csv, line 1: column 1: '\?' is not a number"),
        ("1_0,2,a\n1,2,a", r"a.csv, line 1: column 1: '1_0' is not a number"),
        ("1,2,a\n1,,a", "a.csv, line 2: column 2 is empty: write a number there, or delete the line"),
        ("f,g,kind\n1,,a\n1,2,b", r"a.csv, line 2: column 2 \(g\) is empty: write a number there, or delete the line"),
        ("1,2,a\n1,2,", "a.csv, line 2: the label, the last column, is empty"),
        ("1|2|a\n3|4|b", r"a.csv, line 2: needs numbers and a label, separated by commas, not '3\|4\|b'"),
        ("1,2,a\n3,4,b" + "x" * 200_000, "a.csv is not a table: field larger than field limit"),
        (b"1,2,caf\xe9", "a.csv is not UTF-8 text: 'utf-8' codec can't decode byte 0xe9 in position 7"),
        ("a,b,kind\n", "a.csv has a header and no sample: write one sample per line, with its label last"),
        ("1,nan,a\n" + "1,2,a\n" * 9 + "1,2,b\n" * 9, r"x\[0, 1\] is nan; fill or drop such rows"),
        ("1,2,a\n" * 9 + "1,inf,b\n" * 9, r"x\[9, 1\] is inf; fill or drop such rows"),
        ("1,2,a\n" * 9, "has 1 class: a classifier needs at least 2"),
        ("1,2,a\n" * 9 + "1,2,b\n" * 5, "class b has 5 samples, but a three-way split needs 6"),
    ],
)
def test_a_bad_csv_says_why(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load(csv(tmp_path / "a.csv", text), 0)


LABELS = np.repeat([8, 9, 10], 8)
SPELLINGS = {
    "integers": [f"{label}" for label in LABELS],
    "floats": [f"{label}.0" for label in LABELS],
    "exponents": [f"{label:.18e}" for label in LABELS],  # as numpy.savetxt writes them
    "mixed": [f"{label}" if k % 2 else f"{label}.0" for k, label in enumerate(LABELS)],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_number_labels_are_numbers_in_every_file(tmp_path, spelling):
    """Sorted as text, 10 comes before 8, and `8` and `8.0` are two classes; class k is what wire k decides."""
    x = numbers(len(LABELS))
    texts = np.array(SPELLINGS[spelling])
    expected = load(npz(tmp_path / "integers.npz", x=x, y=LABELS), 0)
    assert expected.classes == ("8", "9", "10")
    for path in (
        csv(tmp_path / "a.csv", as_csv(x, texts)),
        npz(tmp_path / "texts.npz", x=x, y=texts),
        npz(tmp_path / "bytes.npz", x=x, y=texts.astype("S")),
        npz(tmp_path / "floats.npz", x=x, y=LABELS.astype(np.float32)),
    ):
        loaded = load(path, 0)
        assert (loaded.classes, loaded.sha256) == (expected.classes, expected.sha256)
        assert (loaded.test.y == expected.test.y).all()


def test_labels_of_words_or_of_some_words_are_text(tmp_path):
    for texts in (["b", "a"], ["10", "9", "none"], ["True", "False"], ["nan", "b"]):
        y = np.repeat(texts, 8)
        assert load(csv(tmp_path / "a.csv", as_csv(numbers(len(y)), y)), 0).classes == tuple(sorted(texts))
    assert load(npz(tmp_path / "a.npz", x=numbers(), y=np.arange(40) % 2 > 0), 0).classes == ("False", "True")


DIALECTS = {
    "semicolons": ("f;g;kind", ";", "."),
    "semicolons and decimal commas": ("f;g;kind", ";", ","),
    "tabs": ("f\tg\tkind", "\t", "."),
    "spaces, as numpy.savetxt": ("# f g kind", " ", "."),
    "quotes": ('"f","g","kind"', '","', "."),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("header", [True, False])
def test_a_csv_of_any_usual_dialect_is_read(tmp_path, dialect, header):
    head, separator, decimal = DIALECTS[dialect]
    x, y = numbers(20, 2), ["a", "b"] * 10
    quote = '"' * (separator == '","')
    lines = [
        quote + separator.join([*(repr(v).replace(".", decimal) for v in row), label]) + quote
        for row, label in zip(x.tolist(), y, strict=True)
    ]
    table = read(Path(csv(tmp_path / "a.csv", "\n".join([head] * header + lines))))
    np.testing.assert_array_equal(table.x, x)
    assert table.labels.tolist() == y


INDICES = {
    "unnamed, as pandas writes it": (",f,g,kind", [str(k) for k in range(20)], True),
    "unnamed and shuffled": (",f,g,kind", [str((7 * k) % 20) for k in range(20)], True),
    "unnamed, of text": (",f,g,kind", [f"row{k}" for k in range(20)], True),
    "read and written again": ("Unnamed: 0,f,g,kind", [str(k) for k in range(20)], True),
    "columns numbered by pandas": (",0,1,2", [str(k) for k in range(20)], True),
    "called id, from 1": ("id,f,g,kind", [str(k + 1) for k in range(20)], True),
    "called id, and no count": ("id,f,g,kind", [str(k * k) for k in range(20)], False),
    "a feature that counts": ("time,f,g,kind", [str(k) for k in range(20)], False),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_column_that_numbers_the_rows_is_no_feature(tmp_path, case):
    header, first, is_index = INDICES[case]
    x, y = numbers(20, 2), ["a", "b"] * 10
    lines = [",".join([k, *map(repr, row), label]) for k, row, label in zip(first, x.tolist(), y, strict=True)]
    path = Path(csv(tmp_path / "a.csv", "\n".join([header, *lines])))
    table = read(path)
    assert table.x.shape == (20, 2 if is_index else 3)
    assert len(table.notes) == is_index
    assert load(str(path), 0).notes[: len(table.notes)] == table.notes
    np.testing.assert_array_equal(table.x[:, -2:], x)


def test_columns_numbered_by_pandas_without_an_index_are_a_header(tmp_path):
    x, y = numbers(20, 2), [str(k % 2) for k in range(20)]
    lines = [",".join([*map(repr, row), label]) for row, label in zip(x.tolist(), y, strict=True)]
    np.testing.assert_array_equal(read(Path(csv(tmp_path / "a.csv", "\n".join(["0,1,2", *lines])))).x, x)


def test_columns_stay_as_they_are_where_a_circuit_was_trained_on_them(tmp_path):
    x = 100 * numbers(60, 20)
    path = npz(tmp_path / "a.npz", x=x, y=np.arange(60) % 2)
    for part in raw_rows(path, 0).values():
        assert {tuple(row) for row in part} <= {tuple(row) for row in x}
    assert load(path, 0, "as-is").notes == ("the columns of a.npz are as they are in the file",)
    assert load(path, 0).notes == (
        "the columns of a.npz are standardised, projected on 16 principal components, and scaled to [0, pi], all "
        "fitted on the training part",
    )
    assert (data.resolved("auto", path, own=True), data.resolved("auto", path, own=False)) == ("as-is", "range")
    assert data.resolved("auto", "iris", own=True) == "range"
    assert data.resolved("as-is", "iris", own=False) == "as-is"
    with pytest.raises(ValueError, match="columns 'raw' is unknown: use one of auto, as-is, range"):
        data.resolved("raw", path, own=True)


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
            r"^a.npz: x is not all numbers \(could not convert string.*\)" + HOW,
        ),
        ({"x": numbers() + 1j, "y": Y}, "^a.npz: x is complex: save real and imaginary parts as columns of their own"),
        ({"x": numbers(), "y": Y + 1j}, "^a.npz: y is complex"),
        ({"x": numbers().astype("datetime64[s]"), "y": Y}, r"^a.npz: x is of type datetime64\[s\]" + HOW),
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


def claims(shape: tuple[int, ...], dtype: str = "<f8", version: bytes = b"\x01\x00") -> bytes:
    """An array file that ends after its header."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + header


BAD_ENTRIES = {
    "claims 8 TB": (claims((10**9, 1000)), r"it claims the shape \(1000000000, 1000\) of float64; at most 128 MiB"),
    "a bomb": (claims((60_000_000, 8)) + bytes(10**6), "it claims the shape"),
    "claims 8 TB in a later version": (claims((10**9, 1000), version=b"\x03\x00"), "it claims the shape"),
    "a label of a gigabyte": (claims((1,), "<U300000000"), "it claims the shape"),
    "a negative shape": (claims((-40, -3)), "it claims the shape"),
    "no content": (b"", ""),
    "ends early": (claims((40, 3)), ""),
    "nested without end": (b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"[" * 9000, ""),
    "no header": (b"\x93NUMPY\x01\x00\x04\x00None", ""),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_an_entry_that_is_not_what_it_claims_is_refused_unread(tmp_path, case):
    content, message = BAD_ENTRIES[case]
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", content)
    began = time.process_time()
    with pytest.raises(ValueError, match=rf"^a.npz holds an entry that is not a plain array \({message}.*\)" + HOW):
        load(str(tmp_path / "a.npz"), 0)
    assert time.process_time() - began < 2
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^a.npy is not a plain NumPy array \({message}"):
        read_npy(tmp_path / "a.npy")


def test_an_encrypted_archive_says_so(tmp_path):
    path = Path(npz(tmp_path / "a.npz", x=numbers(), y=Y))
    content = path.read_bytes()
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(mark) + flags
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^a.npz holds .* \(File 'x.npy' is encrypted, password required.*\)" + HOW):
        load(str(path), 0)


def test_an_array_file_is_read_as_it_was_written(tmp_path):
    np.save(tmp_path / "a.npy", numbers())
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), numbers())
