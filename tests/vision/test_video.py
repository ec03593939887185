"""Videos: every frame is the converted one, odd sides too; what cannot be read or written is one line, and no file."""

import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.training.loop import seeded
from vision.data.video import (
    Stream,
    check_video,
    convert_video,
    ffmpeg,
    header,
    read_frames,
    read_header,
    write_frame,
)
from vision.stylize.frames import from_colours, styled_frame, to_colours
from vision.stylize.nets import Generator, Shape
from vision.stylize.stylizer import stylizer
from vision.superres.bicubic import as_integers, resized
from vision.superres.frames import enlarged_frame
from vision.superres.nets import PlainNet
from vision.superres.upscaler import Upscaler, plain_net

FAKE = """#!{python}
import shutil, sys
names = [sys.argv[n + 1].removeprefix("file:") for n, word in enumerate(sys.argv) if word == "-i"]
assert "-nostdin" in sys.argv or "pipe:0" in names
if "pipe:1" in sys.argv:
    data = open(names[0], "rb").read()
    if data.startswith(b"broken"):
        sys.exit("banner\\nInvalid data in " + names[0])
    sys.stdout.buffer.write(data)
    if b"Xdamaged" in data:
        print("3 packets were damaged", file=sys.stderr)
elif "full" in sys.argv[-1]:
    sys.exit("No space left on device")
else:
    with open(sys.argv[-1].removeprefix("file:"), "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
"""
"""Reads and writes streams as they are, whatever the suffix."""


@pytest.fixture
def upscaler():
    net = seeded(lambda: PlainNet(2, 4, 1), torch.Generator().manual_seed(1))
    torch.nn.init.normal_(net.body.tail.weight, std=0.05, generator=torch.Generator().manual_seed(2))
    return Upscaler(plain_net(net), 2)


@pytest.fixture
def enlarge(upscaler):
    return partial(enlarged_frame, upscaler=upscaler)


@pytest.fixture
def style():
    net = seeded(lambda: Generator(Shape(2, 2, 2, 2, 1)), torch.Generator().manual_seed(1))
    torch.nn.init.normal_(net.last.weight, std=0.1, generator=torch.Generator().manual_seed(2))
    return partial(styled_frame, stylizer=stylizer(net.eval()))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ffmpeg"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return tmp_path


def clip(path, stream, count=3, cut=0):
    rng, file = np.random.default_rng(0), io.BytesIO()
    frames = [tuple(rng.integers(0, 256, shape, np.uint8) for shape in stream.planes()) for _ in range(count)]
    file.write(header(stream))
    for frame in frames:
        write_frame(file, frame, stream)
    path.write_bytes(file.getvalue()[: len(file.getvalue()) - cut])
    return frames


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize(("verb", "scale"), [("enlarge", 2), ("style", 1)])
def test_every_frame_is_converted_and_in_its_place(verb, scale, size, fake, request):
    convert = request.getfixturevalue(verb)
    stream = Stream(*size, ("F25:1", "Ip", "A1:1", "C420jpeg"))
    frames = clip(fake / "in.mp4", stream)
    reports = []
    video = convert_video(fake / "in.mp4", fake / "out.mkv", convert, scale, progress=lambda *it: reports.append(it))
    assert (video.frames, video.size, video.notes) == (3, size, ())
    assert reports == [(1, 0, "frames"), (2, 0, "frames"), (3, 0, "frames")]
    with (fake / "out.mkv").open("rb") as file:
        large = read_header(file, fake / "out.mkv")
        assert large == replace(stream, width=scale * size[0], height=scale * size[1])
        results = list(read_frames(file, large, fake / "out.mkv"))
    for result, frame in zip(results, frames, strict=True):
        for one, other in zip(result, convert(frame), strict=True):
            assert np.array_equal(one, other)
    assert sorted(path.name for path in fake.iterdir()) == ["bin", "in.mp4", "out.mkv"]


def test_luma_is_the_net_s_and_colours_are_bicubic(upscaler):
    stream = Stream(9, 7, ())
    luma, *colours = (np.random.default_rng(1).integers(0, 256, shape, np.uint8) for shape in stream.planes())
    large, *enlarged = enlarged_frame((luma, *colours), upscaler)
    assert np.array_equal(large, as_integers(upscaler.plane(luma.astype(np.float32)), np.uint8))
    for one, other in zip(enlarged, colours, strict=True):
        assert np.array_equal(one, as_integers(resized(other, 2), np.uint8)[:7, :9])


def test_colours_come_back_to_a_level_where_four_pixels_agree():
    """Within the 219 steps that luma has for 256 levels."""
    corners = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [37, 141, 99]], np.uint8)
    for colour in corners:
        frame = from_colours(np.broadcast_to(colour, (5, 7, 3)))
        assert [plane.shape for plane in frame] == [(5, 7), (3, 4), (3, 4)]
        assert np.abs(to_colours(frame).astype(int) - colour).max() <= 2
    # As ITU-R BT.709, table 3.5, has them: white is 235, and red is 63, 102, 240.
    assert [int(plane[0, 0]) for plane in from_colours(np.full((2, 2, 3), 255, np.uint8))] == [235, 128, 128]
    assert [int(plane[0, 0]) for plane in from_colours(np.full((2, 2, 3), (255, 0, 0), np.uint8))] == [63, 102, 240]


def test_equal_frames_stay_equal_in_a_style(style):
    frame = tuple(np.random.default_rng(2).integers(16, 235, shape, np.uint8) for shape in Stream(30, 22, ()).planes())
    for one, other, before in zip(style(frame), style(frame), frame, strict=True):
        assert np.array_equal(one, other)
        assert not np.array_equal(one, before)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"broken", "in.mp4: ffmpeg cannot read it: Invalid data in"),
        (b"", "in.mp4: ffmpeg read no video of 8 bits from it"),
        (b"YUV4MPEG2 W4 H4 C420p10\n", "in.mp4: ffmpeg read no video of 8 bits from it"),
        (b"YUV4MPEG2 W4 H4 C444\n", "in.mp4: ffmpeg read no video of 8 bits from it"),
        (b"YUV4MPEG2 Wx H4\n", "in.mp4: ffmpeg read no video of 8 bits from it"),
        (b"YUV4MPEG2 W4 H4\n", "in.mp4: no frame of video in it"),
        (b"YUV4MPEG2 W4 H4\nFRAME\n123", "in.mp4: a frame is cut short"),
    ],
)
def test_what_is_no_video_is_one_line_and_leaves_no_file(contents, says, enlarge, fake):
    (fake / "in.mp4").write_bytes(contents)
    with pytest.raises(ValueError, match=says.replace(".", r"\.")):
        convert_video(fake / "in.mp4", fake / "out.mp4", enlarge, 2)
    assert sorted(path.name for path in fake.iterdir()) == ["bin", "in.mp4"]


def test_why_it_cannot_be_written_is_said_though_frames_are_left_to_read(enlarge, fake):
    clip(fake / "in.mp4", Stream(64, 64, ()), count=40)
    with pytest.raises(ValueError, match=r"full\.mp4: ffmpeg cannot write it: No space left on device"):
        convert_video(fake / "in.mp4", fake / "full.mp4", enlarge, 2)
    assert sorted(path.name for path in fake.iterdir()) == ["bin", "in.mp4"]


def test_what_ffmpeg_complains_of_is_a_note(enlarge, fake):
    clip(fake / "in.mp4", Stream(4, 4, ("Xdamaged",)))
    assert convert_video(fake / "in.mp4", fake / "out.mp4", enlarge, 2).notes == ("ffmpeg: 3 packets were damaged",)


def test_without_ffmpeg_the_way_out_is_said(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(
        ValueError, match=r"clip\.mp4 is a video, and needs the program ffmpeg, .* a folder of its frames"
    ):
        ffmpeg(Path("clip.mp4"))


def test_where_a_video_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"out\.gif: videos are written as \.mp4, \.mkv, \.mov; name one of these"):
        check_video(tmp_path / "out.gif", False)
    (tmp_path / "out.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"out\.mp4 exists; name another file, or add --overwrite"):
        check_video(tmp_path / "out.mp4", False)
    check_video(tmp_path / "out.mp4", True)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_clip_goes_through_ffmpeg_with_its_sound(enlarge, tmp_path):
    sources = ("testsrc=size=33x21:rate=10:duration=0.5", "sine=duration=0.5")
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-shortest", str(tmp_path / "in.mp4")], check=True)
    assert convert_video(tmp_path / "in.mp4", tmp_path / "out.mp4", enlarge, 2).frames == 5
    said = subprocess.run(["ffmpeg", "-i", str(tmp_path / "out.mp4")], capture_output=True, text=True).stderr
    assert "66x42" in said
    assert "bt709" in said
    assert "Audio" in said
