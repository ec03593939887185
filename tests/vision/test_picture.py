"""Picture files: what is read is what the file shows, what is written is what was read, and the rest is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from vision.data.picture import Picture, check_output, encoded, read, write

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = COLOUR[..., 0]
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
ALPHA = RNG.integers(0, 256, (5, 7), np.uint8)


def file(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def palette(transparent=None):
    image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7) % 3, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return file(image, **({} if transparent is None else {"transparency": transparent}))


@pytest.mark.parametrize(
    ("data", "pixels", "alpha"),
    [
        (file(Image.fromarray(COLOUR)), COLOUR, None),
        (file(Image.fromarray(GREY)), GREY[..., None], None),
        (file(Image.fromarray(DEEP)), DEEP[..., None], None),
        (file(Image.fromarray(DEEP), "TIFF"), DEEP[..., None], None),
        (file(Image.fromarray(np.dstack((COLOUR, ALPHA)))), COLOUR, ALPHA),
        (file(Image.fromarray(np.dstack((GREY, ALPHA)))), GREY[..., None], ALPHA),
        (file(Image.fromarray(GREY > 99)), np.where(GREY > 99, 255, 0)[..., None], None),
        (palette(), np.eye(3)[np.arange(35).reshape(5, 7) % 3] * 255, None),
        (
            palette(transparent=1),
            np.eye(3)[np.arange(35).reshape(5, 7) % 3] * 255,
            np.where(np.arange(35) % 3 == 1, 0, 255),
        ),
        (
            file(Image.fromarray(GREY), transparency=int(GREY[0, 0])),
            GREY[..., None],
            np.where(GREY[0, 0] == GREY, 0, 255),
        ),
    ],
    ids=["rgb", "grey", "16 bits", "16 bits, TIFF", "rgba", "la", "1 bit", "palette", "palette, clear", "grey, clear"],
)
def test_every_kind_is_read_as_it_looks(data, pixels, alpha):
    picture = read(data, "it")
    assert np.array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == (np.uint16 if pixels is DEEP[..., None] or pixels.dtype == np.uint16 else np.uint8)
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None:
        assert np.array_equal(picture.alpha, np.reshape(alpha, (5, 7)))
    again = read(encoded(picture), "again")
    assert np.array_equal(again.pixels, picture.pixels)
    assert alpha is None or np.array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_and_keep_the_rest_of_exif(orientation):
    upright = Image.fromarray(COLOUR)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Pillow's transpositions, the inverse of each orientation
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    turned = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    picture = read(file(turned, exif=exif.tobytes()), "it")
    assert np.array_equal(picture.pixels, COLOUR)
    kept = Image.open(io.BytesIO(encoded(picture, ".png"))).getexif()
    assert (kept.get(0x0112, 1), kept[0x010F]) == (1, "maker")


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg"])
def test_what_a_tiff_says_of_itself_is_kept_and_how_its_numbers_lie_is_not(orientation, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = orientation, "maker", {0x9003: "2026:11:27 10:00:00"}
    data = file(Image.fromarray(COLOUR), "TIFF", exif=exif.tobytes())
    assert 0x0111 in Image.open(io.BytesIO(data)).getexif()  # where strips of pixels begin in this file
    kept = Image.open(io.BytesIO(encoded(read(data, "it"), suffix))).getexif()
    assert (kept.get(0x0112, 1), kept[0x010F]) == (1, "maker")
    assert kept.get_ifd(0x8769)[0x9003] == "2026:11:27 10:00:00"
    assert suffix == ".tiff" or 0x0111 not in kept


def test_the_colour_profile_is_kept():
    data = file(Image.fromarray(COLOUR), icc_profile=b"colours")
    assert Image.open(io.BytesIO(encoded(read(data, "it")))).info["icc_profile"] == b"colours"


def frames(form):
    first, *others = [Image.fromarray(np.roll(COLOUR, n, 0)) for n in range(3)]
    return file(first, form, save_all=True, append_images=others)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no picture", "it: not a picture in a format that Pillow reads"),
        (b"", "it: not a picture"),
        (file(Image.fromarray(COLOUR))[:-30], "it: incomplete or corrupt picture: "),
        (file(Image.fromarray(np.tile(COLOUR, (40, 40, 1))), "JPEG")[:900], "it: incomplete or corrupt picture: "),
        (frames("GIF"), "it: 3 pictures in one file"),
        (frames("PNG"), "it: 3 pictures in one file"),
        (frames("TIFF"), "it: 3 pictures in one file"),
        (file(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "it: colours of the kind CMYK; convert it to RGB"),
        (file(Image.fromarray(COLOUR).convert("LAB"), "TIFF"), "it: colours of the kind LAB"),
    ],
    ids=["text", "empty", "cut", "cut jpeg", "gif", "apng", "pages", "cmyk", "lab"],
)
def test_what_is_no_picture_of_this_kind_is_one_line(data, says):
    with pytest.raises(ValueError, match=says) as error:
        read(data, "it")
    assert "\n" not in str(error.value)


def test_sixteen_bits_of_colour_are_read_as_eight_and_said():
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    line = zlib.compress(b"\0" + struct.pack(">6H", 256, 512, 768, 1024, 1280, 1536))
    picture = read(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", line) + chunk(b"IEND", b""), "it")
    assert picture.pixels.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert "16 bits of colour" in picture.notes[0]


@pytest.mark.parametrize(
    ("picture", "name", "says"),
    [
        (Picture(COLOUR, ALPHA), "it.jpg", "it.jpg: .jpg holds no transparency"),
        (Picture(DEEP[..., None]), "it.webp", "it.webp: .webp holds 8 bits, and the picture has 16"),
    ],
)
def test_a_format_that_would_lose_something_is_refused(picture, name, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        write(picture, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_stays_unless_asked(tmp_path):
    path = tmp_path / "it.png"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"it.png exists; name another file, or add --overwrite"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)
    with pytest.raises(ValueError, match=r"pictures are written as .png"):
        check_output(tmp_path / "it.txt", overwrite=True)
