"""Widths for milliseconds: prices of the compiled net decide, and what was promised is measured."""

import itertools

import pytest
import torch

pytest.importorskip("onnx", reason="pip install -e '.[vision]'")

from mobile.pricing.example import EXAMPLE
from mobile.pricing.net import net_latency
from qwedge.experiments import pruning_search as timed
from shared.lab import Store, run
from vision.nets.mask_net import MaskNet
from vision.nets.repvgg import RepVGG
from vision.nets.resnet import ResNet8
from vision.pruning_search.experiment import PruningSearch, PruningSearchSettings
from vision.pruning_search.figures import ms_error
from vision.pruning_search.page import page
from vision.pruning_search.rebuild import plain
from vision.pruning_search.space import ChannelSpace
from vision.stylize.nets import Generator, Shape

TINY = {"epochs": 1, "search": 1, "tuning": 1, "exchange": 0, "width": 8, "batch": 32, "per_class": 6, "scored": 2}


@pytest.fixture
def generated(monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(timed, "calibrated", lambda progress=None: EXAMPLE)


@pytest.mark.parametrize("net", [ResNet8(8), RepVGG((8, 12), (2, 2))], ids=["resnet", "repvgg"])
def test_milliseconds_fall_with_every_width_and_add_up(net, generated):
    x = torch.zeros(1, 3, 32, 32)
    space = ChannelSpace.of(net.eval(), x)

    class Kept:
        progress = None

        def stage(self, name, compute):
            return compute()

    layers = [group.writers[0].path for group in space.groups]
    price = timed.TimedPruningSearch().latency(plain(net, x), layers, Kept())
    widths = torch.tensor(space.sizes, dtype=torch.float64).requires_grad_()
    (slopes,) = torch.autograd.grad(price.expected(widths), widths)
    assert (slopes > 0).all()
    for group, fewer in itertools.product(range(len(space.sizes)), (4, 8)):
        narrow = widths.detach().clone()
        narrow[group] = max(narrow[group] - fewer, 4)
        assert price.expected(narrow) < price.expected(widths)


def test_a_budget_of_milliseconds_is_met_as_measured(generated, tmp_path, monkeypatch):
    asked = []

    def milliseconds(self, used, inputs):
        asked.append(used)
        return 0.7 * net_latency(used, (3, 32, 32), EXAMPLE).ms + 0.03

    monkeypatch.setattr("vision.pruning_search.widths.TRIED", 100)  # quicker
    monkeypatch.setattr(timed.TimedPruningSearch, "milliseconds", milliseconds)
    monkeypatch.setattr(timed.TimedPruningSearch, "library", lambda self, cell, used, inputs: {})
    settings = PruningSearchSettings(ms=0.06, controls=("admm",), **TINY)
    [row] = run(timed.TimedPruningSearch(), [settings], Store(tmp_path))
    assert set(row.result["nets"]) == {"search"}
    assert row.result["price"]["unit"] == "ms"
    for name, about in row.result["nets"].items():
        assert about["measured"] <= 0.06
        assert 1 < about["choice"] <= timed.CHOICES
        assert ms_error(row, name) < 5  # a channel of eight
    assert len(asked) <= 2 + timed.CHOICES  # narrow nets before they are trained, too
    assert set(row.result["measured_ms"]) == {"wide", "search"}
    assert "Milliseconds" in [getattr(block, "title", "") for block in page([row]).blocks]
    assert "generated shapes" in page([row]).summary


def test_a_net_is_timed_as_a_library(generated, monkeypatch):
    options = {}

    class Done:
        class times:
            net = 0.5

    def compiled(program, rng, *, format, rounds):
        options.update(shape=program.inputs[0].shape, rounds=rounds)
        return Done

    monkeypatch.setattr(timed, "compile_program", compiled)
    net = plain(ResNet8(4), torch.zeros(1, 3, 32, 32))
    assert timed.TimedPruningSearch().milliseconds(net, torch.zeros(4, 3, 32, 32)) == 0.5
    assert options == {"shape": (3, 32, 32), "rounds": timed.ROUNDS}


@pytest.mark.parametrize(
    ("task", "net"),
    [("classification", ResNet8(4)), ("segmentation", MaskNet(1, 4)), ("translation", Generator(Shape.of(4, 1)))],
    ids=["classification", "segmentation", "translation"],
)
def test_a_chosen_net_is_a_library(task, net):
    compiler = pytest.importorskip("mobile.runtime.compiler")
    try:
        compiler.find()
    except compiler.CompilerError as error:
        pytest.skip(str(error))
    used = plain(net, torch.zeros(1, 3, 32, 32))
    files = timed.TimedPruningSearch().library(PruningSearchSettings(task=task), used, torch.rand(4, 3, 32, 32))
    assert {"net.c", "net.h", "net.so"} <= set(files)


def test_a_machine_without_a_compiler_says_so(generated, monkeypatch):
    def missing(program, rng, **options):
        raise timed.CompilerError("no C compiler")

    monkeypatch.setattr(timed, "compile_program", missing)
    with pytest.raises(ValueError, match=r"^no C compiler$"):
        timed.TimedPruningSearch().library(PruningSearchSettings(), ResNet8(4).eval(), torch.rand(4, 3, 32, 32))


@pytest.mark.parametrize(
    ("experiment", "ms", "message"),
    [
        (PruningSearch(), 0.06, r"^ms needs a latency: take `qwedge run pruning_search`, or macs$"),
        (timed.TimedPruningSearch(), 60, r"^ms=60: the wide net takes 0\.\d+ ms; ask for less$"),
    ],
)
def test_what_cannot_be_met_is_said(generated, tmp_path, experiment, ms, message):
    with pytest.raises(ValueError, match=message):
        run(experiment, [PruningSearchSettings(ms=ms, **TINY)], Store(tmp_path))
