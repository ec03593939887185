"""`qwedge upscale`: pictures in, larger ones out; one line and exit code 2 for the rest, and nothing overwritten."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("PIL")

from PIL import Image

from qwedge.commands.upscale import upscale
from vision.superres.nets import PlainNet
from vision.superres.pretrained import SCALES
from vision.superres.upscaler import to_bytes

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.fixture
def run(call):
    return lambda *words: call("upscale", *map(str, words))


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.mark.parametrize("scale", SCALES)
def test_a_picture_is_enlarged(scale, picture, run, tmp_path):
    code, out, err = run(picture, "out.webp", "--scale", scale)
    assert (code, err) == (0, "")
    assert out.startswith(f"out.webp  9x6 -> {9 * scale}x{6 * scale}  ")
    assert Image.open(tmp_path / "out.webp").size == (9 * scale, 6 * scale)


def test_nothing_is_overwritten_unless_asked(picture, run, tmp_path):
    before = picture.read_bytes()
    code, out, err = run(picture, picture)
    assert (code, out) == (2, "")
    assert "in.png exists; name another file, or add --overwrite" in err
    assert picture.read_bytes() == before
    assert run(picture, picture, "--overwrite")[0] == 0
    assert Image.open(picture).size == (18, 12)


def test_a_folder_is_enlarged_file_by_file(run, tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            (tmp_path / "clip").mkdir(exist_ok=True)
            Image.fromarray(COLOUR).save(tmp_path / "clip" / name)
    code, out, err = run("clip", "out", "--json")
    data = json.loads(out)
    assert (code, data["scale"], data["refused"]) == (0, 2, [])
    assert [(each["target"], each["enlarged"]) for each in data["pictures"]] == [
        ("out/a.png", [18, 12]),
        ("out/b.png", [18, 12]),
    ]
    assert "2 pictures in" in err
    assert "a second" in err
    assert run("clip", "out")[0] == 2


def test_a_damaged_picture_of_a_folder_does_not_stop_the_others(run, tmp_path):
    (tmp_path / "clip").mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "clip" / "good.png")
    (tmp_path / "clip" / "bad.png").write_bytes(b"no picture")
    code, out, err = run("clip", "out")
    assert code == 2
    assert "1 of 2 pictures could not be enlarged: clip/bad.png: not a picture" in err
    assert out.startswith("out/good.png")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_names_that_become_equal_are_refused_before_anything_is_written(run, tmp_path):
    (tmp_path / "clip").mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "clip" / "a.png")
    Image.fromarray(COLOUR).save(tmp_path / "clip" / "A.jpg")
    code, _, err = run("clip", "out")
    assert code == 2
    assert "clip/A.jpg and clip/a.png would both become out/a.png" in err
    assert not (tmp_path / "out").exists()


def test_a_net_of_ones_own_is_used(picture, run, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(to_bytes(PlainNet(3, 4, 1)))
    code, out, _ = run(picture, "out.png", "--weights", "mine.safetensors", "--json")
    assert (code, json.loads(out)["scale"]) == (0, 3)
    # Its tail is zero, so luma is that of the pixels repeated, on colours that are smooth.
    assert torch.from_numpy(np.asarray(Image.open("out.png"))).shape == (18, 27, 3)


def test_the_scale_is_that_of_the_net_and_another_one_is_refused(picture, run, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(to_bytes(PlainNet(4, 4, 1)))
    code, out, err = run(picture, "out.png", "--weights", "mine.safetensors", "--scale", "2")
    assert (code, out) == (2, "")
    assert "--scale 2: the net in mine.safetensors enlarges 4 times; leave the option out" in err
    assert run(picture, "out.png", "--weights", "mine.safetensors", "--scale", "4")[0] == 0


def test_what_was_narrowed_is_said(run, tmp_path):
    Image.fromarray(COLOUR[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert run("deep.png", "out.png")[0] == 0
    assert np.asarray(Image.open("out.png")).dtype == np.uint16
    code, _, err = run("deep.png", "out.jpg")
    assert code == 2
    assert "out.jpg: .jpg holds 8 bits" in err
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none.png", "out.png"), "none.png: no such file or folder"),
        (("in.png", "out.txt"), "out.txt: pictures are written as .png"),
        (("empty", "out"), "empty: no picture in this folder"),
        (("clip", "in.png"), "in.png is a file; pictures of a folder are written into a folder"),
        (("in.png", "out.png", "--weights", "in.png"), "in.png: not the weights of a net"),
        (("in.png", "out.png", "--scale", "3"), "'3' is not one of '2', '4'"),
        (("none.mp4", "out.png"), "none.mp4: no such file or folder"),
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
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_the_scales_of_the_option_are_those_that_ship():
    [option] = [each for each in upscale.params if each.name == "scale"]
    assert tuple(map(int, option.type.choices)) == SCALES


def test_a_video_is_enlarged(run, tmp_path, monkeypatch):
    """`ffmpeg` is a stand-in: tests/vision/test_video.py has the real one."""
    from vision.data import video

    monkeypatch.setattr(video, "convert_video", lambda *about: video.Video(50, (64, 36), ("ffmpeg: damaged",)))
    (tmp_path / "in.mp4").write_bytes(b"a video")
    code, out, err = run("in.mp4", "out.mp4")
    assert code == 0
    assert out.startswith("out.mp4  64x36 -> 128x72  50 frames in ")
    assert "in.mp4: ffmpeg: damaged" in err
    code, out, _ = run("in.mp4", "out.mp4", "--json", "--scale", 4)
    data = json.loads(out)
    assert (data["frames"], data["enlarged"]) == (50, [256, 144])
    assert data["fps"] == pytest.approx(50 / data["seconds"])


def test_integers_come_close_to_floats(run, tmp_path):
    pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
    smooth = np.linspace(0, 255, 24 * 20).reshape(24, 20, 1).repeat(3, 2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "in.png")
    for numbers in ("float32", "int8"):
        assert run("in.png", f"{numbers}.png", "--numbers", numbers)[0] == 0
    one, other = (np.asarray(Image.open(f"{numbers}.png")).astype(int) for numbers in ("float32", "int8"))
    assert np.abs(one - other).mean() < 1
    assert not np.array_equal(one, other)
