"""Widths for tasks beside classification: exact masks, mask AP as COCO counts it, and cells of both tasks."""

import itertools

import numpy as np
import pytest
import torch

from qwedge.experiments.pruning_search import TimedPruningSearch
from shared import MACs
from shared.lab import Store, run
from vision.data.instances import VISIBLE, scenes
from vision.data.shapes import SHAPES, inside
from vision.nets.mask_net import MaskNet
from vision.pruning_search.figures import budget_error, gains, reached
from vision.pruning_search.page import page
from vision.pruning_search.settings import PruningSearchSettings
from vision.pruning_search.space import ChannelSpace
from vision.pruning_tasks.average_precision import RECALLS, THRESHOLDS, Detection, Truth, mask_ap
from vision.pruning_tasks.segmentation import REACH, Segmentation, detections, target

TINY = {
    "epochs": 1, "search": 2, "tuning": 1, "exchange": 0.5, "width": 4, "batch": 4, "pictures": 8, "scored": 3,
    "macs": 0.5, "controls": ("uniform", "admm"),
}  # fmt: skip


def test_masks_share_no_pixel_and_say_what_is_visible():
    for scene in scenes(np.random.default_rng(1), 20):
        assert scene.pixels.shape == (32, 32, 3)
        assert scene.masks
        assert np.sum(scene.masks, axis=0).max() == 1
        assert all(mask.sum() >= VISIBLE for mask in scene.masks)
        for mask in scene.masks:
            # A shape has one colour, and noise of 8 levels.
            assert scene.pixels[mask].astype(float).std(0).max() < 14
    again = scenes(np.random.default_rng(1), 20)
    assert np.array_equal(again[-1].pixels, scene.pixels)
    assert all(inside(kind, np.zeros(1), np.zeros(1)).all() for kind in range(SHAPES))


def some_pictures(rng, pictures=3, side=12, labels=2):
    """Random boxes as instances, and some of them moved or of another class as detections."""

    def box():
        top, left = rng.integers(0, side - 4, 2)
        mask = np.zeros((side, side), bool)
        mask[top : top + rng.integers(2, 6), left : left + rng.integers(2, 6)] = True
        return mask

    truths = [[Truth(box(), int(rng.integers(labels))) for _ in range(rng.integers(1, 4))] for _ in range(pictures)]
    offered = [
        [
            Detection(np.roll(each.mask, rng.integers(-1, 2, 2), (0, 1)), each.label, float(rng.random()))
            for each in picture
            for _ in range(rng.integers(0, 3))
        ]
        + [Detection(box(), int(rng.integers(labels)), float(rng.random()))]
        for picture in truths
    ]
    return offered, truths


def by_definition(offered, truths):
    """Mean over classes, thresholds and recalls of the best precision among all cuts of the list of scores."""
    values = []
    for label, threshold in itertools.product({each.label for picture in truths for each in picture}, THRESHOLDS):
        ranked = sorted(
            ((each, number) for number, picture in enumerate(offered) for each in picture if each.label == label),
            key=lambda pair: -pair[0].score,
        )
        free = [[each.mask for each in picture if each.label == label] for picture in truths]
        count, right, points = sum(map(len, free)), 0, []
        for cut, (each, number) in enumerate(ranked, start=1):
            overlaps = [(each.mask & mask).sum() / (each.mask | mask).sum() for mask in free[number]]
            if overlaps and max(overlaps) >= threshold:
                del free[number][int(np.argmax(overlaps))]
                right += 1
            points.append((right / count, right / cut))
        values += [max((p for r, p in points if r >= recall), default=0.0) for recall in RECALLS]
    return np.mean(values)


@pytest.mark.parametrize("seed", range(5))
def test_mask_ap_is_that_of_its_definition(seed):
    offered, truths = some_pictures(np.random.default_rng(seed))
    assert mask_ap(offered, truths) == pytest.approx(by_definition(offered, truths), abs=1e-12)


def test_mask_ap_is_that_of_coco():
    """Where pycocotools is installed; it is no requirement."""
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pip install pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.mask import encode

    offered, truths = some_pictures(np.random.default_rng(9), pictures=6)

    def annotated(pictures):
        flat = [(number, each) for number, picture in enumerate(pictures, start=1) for each in picture]
        return [
            {
                "id": place, "image_id": number, "category_id": each.label + 1, "iscrowd": 0,
                "area": float(each.mask.sum()), "score": getattr(each, "score", 1.0),
                "segmentation": encode(np.asfortranarray(each.mask.astype(np.uint8))),
            }
            for place, (number, each) in enumerate(flat, start=1)
        ]  # fmt: skip

    data = COCO()
    data.dataset = {
        "images": [{"id": number, "height": 12, "width": 12} for number in range(1, 7)],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": annotated(truths),
    }
    data.createIndex()
    judged = cocoeval.COCOeval(data, data.loadRes(annotated(offered)), "segm")
    judged.evaluate()
    judged.accumulate()
    precision = judged.eval["precision"][:, :, :, 0, -1]
    assert mask_ap(offered, truths) == pytest.approx(precision[precision > -1].mean(), abs=1e-9)


def test_the_targets_of_a_scene_decode_to_its_masks():
    """Outputs as sure as the targets are: almost all masks come back, where no two centres coincide."""
    chosen = scenes(np.random.default_rng(3), 12)
    offered = []
    for scene in chosen:
        classes, bump, *way = target(scene).numpy()
        logits = [12.0 * (classes == kind) for kind in range(2)]
        offered.append(detections(np.stack([*logits, 12 * bump - 6, *way]).astype(np.float32)))
    truths = [[Truth(mask, 0) for mask in scene.masks] for scene in chosen]
    assert mask_ap(offered, truths) > 0.9
    assert REACH > 1


def test_a_decoder_that_joins_maps_is_a_search_space():
    net = MaskNet(1, 4)
    space = ChannelSpace.of(net.eval(), torch.rand(2, 3, 16, 16))
    assert sorted(space.sizes) == [4, 4, 8, 8, 16, 16]
    joined = [slot for group in space.groups for slot in group.readers if slot.path in ("join_half.0", "join_full.0")]
    assert sorted(slot.start for slot in joined) == [0, 0, 8, 16]


@pytest.mark.parametrize(("task", "key"), [("segmentation", "average_precision"), ("translation", "ssim")])
def test_a_task_is_searched_and_compared(task, key, tmp_path, monkeypatch):
    monkeypatch.delenv("QWEDGE_DATA", raising=False)
    monkeypatch.setattr(TimedPruningSearch, "library", lambda self, cell, used, inputs: {})
    image = pytest.importorskip("PIL.Image", reason="pip install -e '.[vision]'")
    pytest.importorskip("onnx", reason="pip install -e '.[vision]'")
    for (shift, folder), number in itertools.product(enumerate("AB"), range(5)):
        (tmp_path / folder).mkdir(exist_ok=True)
        pixels = np.random.default_rng((shift, number)).integers(256, size=(48, 48, 3), dtype=np.uint8)
        image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    settings = PruningSearchSettings(task=task, pairs=str(tmp_path), **TINY)
    [row] = run(TimedPruningSearch(), [settings], Store(tmp_path / "rows"))
    assert set(row.result[key]) == {"wide", "search", "uniform"}
    assert row.result["missing"] == {"admm": "asked for classification alone"}
    assert row.result["nets"]["search"]["reparam_error"] <= 1e-4
    assert budget_error(row) < 5  # nets of four channels
    assert len(gains([row], "uniform")) == 1
    assert -1 <= reached(row, "search") <= 100
    shown = page([row])
    assert "ADMM of the core, asked for classification alone" in shown.summary
    assert {"widths.json", "net.onnx", "net.safetensors"} <= set(row.artefacts)


def test_segmentation_learns_what_it_is_scored_by():
    work = Segmentation(PruningSearchSettings(task="segmentation", **TINY))
    x, y = work.train.batch(torch.arange(4), torch.Generator())
    exact = torch.cat((*((12.0 * (y[:, :1] == kind)) for kind in range(2)), 12 * y[:, 1:2] - 6, y[:, 2:]), 1)
    assert work.loss(exact, y) < 0.5 * work.loss(work.build()(x), y)
    assert MACs(x[:1]).number_costs(work.build(), (), None).sum() > 0
