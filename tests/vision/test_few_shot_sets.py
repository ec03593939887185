"""Sets of classes with few pictures each: what is read from archives and folders, and what is refused."""

import io
import tarfile

import numpy as np
import pytest
from few_shot_files import drawings, sheet, tree
from PIL import Image

from vision.data.few_shot import ClassPictures, files, load, read_tree


def test_an_archive_of_sheets_is_cut_into_its_tiles(tmp_path):
    tiles = sheet(tmp_path / "set")
    read = load(str(tmp_path / "set"))
    assert read.base.names == ("x",)
    assert read.novel.names == ("y",)
    for classes, levels in ((read.base, tiles[0]), (read.novel, tiles[1])):
        assert classes.pictures[0].shape == (5, 8, 8, 3)
        assert np.abs(classes.pictures[0].mean((1, 2, 3)) - levels).max() < 2


def test_pictures_of_an_archive_are_scaled_by_means_and_the_caveat_says_so(tmp_path):
    tiles = sheet(tmp_path / "set")
    read = load(str(tmp_path / "set"), size=4)
    assert read.base.pictures[0].shape == (5, 4, 4, 3)
    assert np.abs(read.novel.pictures[0].mean((1, 2, 3)) - tiles[1]).max() < 2
    assert read.caveat.endswith("scaled from 8x8 to 4x4")
    sheet(tmp_path / "held out", ("test", "test"))
    assert load(str(tmp_path / "held out"), size=4).all().shape == (3, 4, 4)
    halves = ClassPictures(("a",), (np.array([0, 100, 50, 250], np.uint8).reshape(1, 2, 2, 1),))
    assert halves.scaled(1).pictures[0].tolist() == [[[[100]]]]


def test_an_archive_that_ends_early_is_refused(tmp_path):
    sheet(tmp_path / "set")
    path = tmp_path / "set" / "dev.tar"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match="incomplete or of another format"):
        load(str(tmp_path / "set"))
    with tarfile.open(path, "w") as archive:
        index = tarfile.TarInfo("dev/index.json")
        index.size = 2
        archive.addfile(index, io.BytesIO(b"{}"))
    with pytest.raises(ValueError, match="another format: it holds no sheet of pictures"):
        load(str(tmp_path / "set"))


def test_alphabets_in_both_files_of_omniglot_count_once_and_base_characters_are_turned(tmp_path):
    drawings(tmp_path, ("Korean", "Greek"), ("Greek", "Tagalog"))
    read = load(str(tmp_path))
    assert read.novel.names == ("Greek/character01", "Tagalog/character01")
    assert [len(each) for each in read.novel.pictures] == [2, 2]
    assert len(read.base) == 4
    first, *turned = [each[0] for each in read.base.pictures]
    for turns, each in enumerate(turned, 1):
        assert (each == np.rot90(first, turns)).all()
        assert not (each == first).all()
    assert not read.mirrored
    assert read.all().names == ("Korean/character01", *read.novel.names)


def test_characters_are_scaled_from_their_drawings_to_the_size_that_is_asked_for(tmp_path):
    """A square of 50 pixels about an L of 40: with 50 pixels no edge is blurred, as it were from 28."""
    drawings(tmp_path, ("Korean", "Greek"))
    read = load(str(tmp_path), size=50)
    expected = np.zeros((50, 50))
    expected[5:45, 5:15] = expected[35:45, 5:45] = 255
    assert (read.novel.pictures[0][0, :, :, 0] == expected).all()
    assert read.caveat.endswith("cannot be compared; 50x50 pixels, not 28x28")
    assert load(str(tmp_path), size=28).caveat == load(str(tmp_path)).caveat


def test_a_folder_of_each_class_is_read_and_what_is_missing_or_broken_is_named(tmp_path):
    tree(tmp_path, ["cat", "dog"], count=2)
    classes = read_tree(tmp_path, size=8)
    assert classes.names == ("cat", "dog")
    assert classes.pictures[0].shape == (2, 8, 8, 3)
    (tmp_path / "dog" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(
        ValueError, match=r"broken.png is not a picture that can be read: of a kind that Pillow does not"
    ):
        read_tree(tmp_path)
    (tmp_path / "elk").mkdir()
    (tmp_path / "dog" / "broken.png").unlink()
    with pytest.raises(ValueError, match="class 'elk' has no picture"):
        read_tree(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        load(str(tmp_path / "nowhere"))


def test_hidden_folders_are_no_classes_and_folders_no_pictures(tmp_path):
    tree(tmp_path, ["cat"], count=1)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "cat" / "older.png").mkdir()
    assert [len(each) for each in read_tree(tmp_path).pictures] == [1]
    assert [path.name for path in files(str(tmp_path))] == ["0.png"]


@pytest.mark.parametrize("place", ["nowhere", "cat/0.png"])
def test_what_is_no_folder_is_said(tmp_path, place):
    tree(tmp_path, ["cat"], count=1)
    with pytest.raises(ValueError, match=f"{place} is no folder: needs one that holds a folder of pictures for each"):
        read_tree(tmp_path / place)


def test_a_picture_of_a_tree_is_turned_as_its_exif_orientation_says(tmp_path):
    (tmp_path / "cat").mkdir()
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top is the picture's right side
    Image.fromarray(pixels).save(tmp_path / "cat" / "1.png", exif=exif)
    [read] = read_tree(tmp_path, size=8).pictures
    assert (read[0] == np.rot90(pixels, -1)).all()
