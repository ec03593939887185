"""What both verbs of pictures refuse is one line with exit code 2, and no file; the smallest and the widest work."""

import io
import json
import signal

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from vision.data.picture import write

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
SCALES = {"upscale": 2, "stylize": 1}


@pytest.fixture(params=list(SCALES))
def verb(request):
    return request.param


def saved(pixels, form, **options):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form, **options)
    return data.getvalue()


def moving(form):
    return saved(COLOUR, form, save_all=True, append_images=[Image.fromarray(255 - COLOUR)], duration=40)


def printed():
    data = io.BytesIO()
    Image.fromarray(COLOUR).convert("CMYK").save(data, "jpeg")
    return data.getvalue()


BAD = {
    "empty.png": (b"", "not a picture"),
    "text.png": (b"not a picture at all", "not a picture"),
    "cut.png": (saved(COLOUR, "png")[:-60], "incomplete or corrupt picture"),
    "cut.jpg": (saved(COLOUR, "jpeg")[:-40], "incomplete or corrupt picture"),
    "moving.gif": (moving("gif"), "2 pictures in one file"),
    "moving.png": (moving("png"), "2 pictures in one file"),
    "moving.webp": (moving("webp"), "2 pictures in one file"),
    "pages.tiff": (moving("tiff"), "2 pictures in one file"),
    "printed.jpg": (printed(), "colours of the kind CMYK"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_line_and_no_file(verb, name, call, tmp_path):
    data, says = BAD[name]
    (tmp_path / name).write_bytes(data)
    code, out, err = call(verb, name, "out.png")
    assert (code, out) == (2, "")
    assert f"{name}: " in err
    assert says in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_pictures_of_a_folder_are_named_and_the_others_are_written(verb, call, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, (data, _) in BAD.items():
        (folder / f"{name.replace('.', '-')}.png").write_bytes(data)
    (folder / "lost.png").symlink_to("nowhere.png")
    (folder / "album.png").mkdir()
    Image.fromarray(COLOUR).save(folder / "good.png")
    code, out, err = call(verb, "in", "out", "--json")
    assert code == 2
    data = json.loads(out)
    assert [each["target"] for each in data["pictures"]] == ["out/good.png"]
    assert len(data["refused"]) == len(BAD) + 1
    assert "in/lost.png: No such file or directory" in data["refused"]
    assert f"{len(BAD) + 1} of {len(BAD) + 2} pictures could not be" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_names_that_become_equal_are_refused_before_anything_is_written(verb, call, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "A.jpg", "b.bmp"):
        Image.fromarray(COLOUR).save(folder / name)
    code, _, err = call(verb, "in", "out")
    assert code == 2
    assert "in/A.jpg and in/a.png would both become out/a.png; rename one of them" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(1, 1), (20_000, 2)])
def test_one_pixel_and_twenty_thousand_in_a_row_work(verb, size, call, tmp_path):
    row = np.arange(size[0]) // 8 % 256
    Image.fromarray(np.broadcast_to(row[None, :, None], (*size[::-1], 3)).astype(np.uint8)).save(tmp_path / "in.png")
    assert call(verb, "in.png", "out.png", "--quiet")[0] == 0
    assert Image.open(tmp_path / "out.png").size == tuple(SCALES[verb] * side for side in size)


def test_an_output_that_exists_stays_byte_for_byte(verb, call, tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "in.png")
    (tmp_path / "out.png").write_bytes(b"mine")
    code, _, err = call(verb, "in.png", "out.png")
    assert code == 2
    assert "out.png exists; name another file, or add --overwrite" in err
    assert (tmp_path / "out.png").read_bytes() == b"mine"
    assert call(verb, "in.png", "out.png", "--overwrite")[0] == 0
    assert Image.open(tmp_path / "out.png").size == (9 * SCALES[verb], 6 * SCALES[verb])


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(COLOUR).save(tmp_path / "in" / f"{name}.png")


@pytest.mark.parametrize("number", [None, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_folder_that_was_stopped_goes_on_where_it_was(verb, number, clip, call, tmp_path, monkeypatch):
    def stops(picture, path):
        if path.name == "b.png":
            raise KeyboardInterrupt(*([] if number is None else [number]))
        write(picture, path)

    with monkeypatch.context() as patch:
        patch.setattr("vision.data.picture.write", stops)
        code, _, err = call(verb, "in", "out")
    assert code == 128 + (number or signal.SIGINT)
    assert err == "qwedge: interrupted; pictures written: 1 of 3, the same command with --resume goes on\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    code, _, err = call(verb, "in", "out")
    assert code == 2
    assert "out/a.png exists; name another folder, or add --resume to leave what exists, or --overwrite" in err
    first = (tmp_path / "out" / "a.png").stat()
    code, out, _ = call(verb, "in", "out", "--resume", "--json")
    assert (code, [each["target"] for each in json.loads(out)["pictures"]]) == (0, ["out/b.png", "out/c.png"])
    assert (tmp_path / "out" / "a.png").stat() == first
    assert call(verb, "in", "out", "--resume") == (0, "", "qwedge: every picture is written already\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("in", "out", "--resume", "--overwrite"),
            "--overwrite replaces what exists, and --resume leaves it; take one",
        ),
        (("in/a.png", "out.png", "--resume"), "goes on with a folder of pictures, and in/a.png is one file; leave"),
    ],
)
def test_what_cannot_go_on_is_one_line(verb, words, says, clip, call, tmp_path):
    code, out, err = call(verb, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize(
    ("pixels", "target", "says"),
    [
        (np.dstack((COLOUR, COLOUR[..., :1])), "out.jpg", "out.jpg: .jpg holds no transparency"),
        (COLOUR[..., 0].astype(np.uint16) * 257, "out.webp", "out.webp: .webp holds 8 bits"),
        (np.zeros((1, 20_000, 3), np.uint8), "out.webp", "out.webp: .webp holds sides of 16383 pixels at most"),
        (np.zeros((70_000, 1, 3), np.uint8), "out.jpeg", "out.jpeg: .jpeg holds sides of 65500 pixels at most"),
    ],
    ids=["transparent", "deep", "wide", "tall"],
)
def test_what_the_format_cannot_hold_is_refused_before_it_is_computed(
    pixels, target, says, verb, call, tmp_path, monkeypatch
):
    for name in ("superres.upscaler.Upscaler", "stylize.stylizer.Stylizer"):
        monkeypatch.setattr(f"vision.{name}.__call__", lambda *arguments: pytest.fail("it was computed"))
    Image.fromarray(pixels).save(tmp_path / "in.png")
    code, out, err = call(verb, "in.png", target)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / target).exists()
