"""`qwedge stylize`: pictures in, styled ones out; one line and exit code 2 for the rest, and nothing overwritten."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from vision.stylize.nets import Generator, Shape
from vision.stylize.stylizer import to_bytes

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
SHAPE = Shape(full=2, half=2, trunk=2, inner=2, blocks=1)


@pytest.fixture
def run(call):
    return lambda *words: call("stylize", *map(str, words))


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_a_picture_is_styled(picture, run, tmp_path):
    code, out, err = run(picture, "out.jpg")
    assert (code, err) == (0, "")
    assert out.startswith("out.jpg  9x6  ")
    assert Image.open(tmp_path / "out.jpg").size == (9, 6)


def test_nothing_is_overwritten_unless_asked(picture, run):
    before = picture.read_bytes()
    code, out, err = run(picture, picture)
    assert (code, out) == (2, "")
    assert "in.png exists; name another file, or add --overwrite" in err
    assert picture.read_bytes() == before
    assert run(picture, picture, "--overwrite")[0] == 0
    assert picture.read_bytes() != before


def test_equal_frames_stay_equal(run, tmp_path):
    (tmp_path / "clip").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(COLOUR).save(tmp_path / "clip" / name)
    Image.fromarray(COLOUR[::-1]).save(tmp_path / "clip" / "c.bmp")
    code, out, err = run("clip", "out", "--json")
    data = json.loads(out)
    assert (code, data["refused"]) == (0, [])
    assert [(each["target"], each["size"]) for each in data["pictures"]] == [
        (f"out/{name}.png", [9, 6]) for name in "abc"
    ]
    assert "3 pictures in" in err
    assert "a second" in err
    first, same, other = ((tmp_path / "out" / f"{name}.png").read_bytes() for name in "abc")
    assert first == same != other


def test_a_damaged_picture_of_a_folder_does_not_stop_the_others(run, tmp_path):
    (tmp_path / "clip").mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "clip" / "good.png")
    (tmp_path / "clip" / "bad.png").write_bytes(b"no picture")
    code, out, err = run("clip", "out")
    assert code == 2
    assert "1 of 2 pictures could not be styled: clip/bad.png: not a picture" in err
    assert out.startswith("out/good.png")


def test_a_net_of_ones_own_is_used(picture, run, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(to_bytes(Generator(SHAPE).eval()))
    assert run(picture, "out.png", "--weights", "mine.safetensors")[0] == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), COLOUR)  # its last layer is zero


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none.png", "out.png"), "none.png: no such file or folder"),
        (("in.png", "out.txt"), "out.txt: pictures are written as .png"),
        (("empty", "out"), "empty: no picture in this folder"),
        (("clip", "in.png"), "in.png is a file; pictures of a folder are written into a folder"),
        (("in.png", "out.png", "--weights", "in.png"), "in.png: not the weights of a net"),
        (("in.png", "out.png", "--weights", "none.safetensors"), "none.safetensors"),
        (("deep.png", "out.jpg"), "out.jpg: .jpg holds 8 bits"),
        (("in.mp4", "out.png"), "out.png: videos are written as .mp4, .mkv, .mov"),
        (("in.mp4", "out.mp4"), "in.mp4 is a video, and needs the program ffmpeg, which is not installed"),
    ],
)
def test_bad_input_is_one_line(words, says, picture, run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "in.mp4").write_bytes(b"a video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "clip").mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "clip" / "a.png")
    Image.fromarray(COLOUR[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_a_video_is_styled(run, tmp_path, monkeypatch):
    """`ffmpeg` is a stand-in: tests/vision/test_video.py has the real one."""
    from vision.data import video

    monkeypatch.setattr(video, "convert_video", lambda *about: video.Video(50, (64, 36), ("ffmpeg: damaged",)))
    (tmp_path / "in.mp4").write_bytes(b"a video")
    code, out, err = run("in.mp4", "out.mp4")
    assert code == 0
    assert out.startswith("out.mp4  64x36  50 frames in ")
    assert "in.mp4: ffmpeg: damaged" in err
    code, out, _ = run("in.mp4", "out.mp4", "--json")
    assert (json.loads(out)["frames"], json.loads(out)["size"]) == (50, [64, 36])
