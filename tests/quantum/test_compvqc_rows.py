"""A row of the experiment holds every method, and its files are the circuits that the row tells of."""

import json
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import angle
from quantum.circuits.readout import Readout, per_class
from quantum.compilation import controls
from quantum.compvqc import experiment as compvqc
from quantum.compvqc.experiment import CompVQC, CompVQCSettings
from quantum.compvqc.page import METHODS
from quantum.compvqc.search import CompVQC as Compressor
from quantum.interop import openqasm
from quantum.simulation.simulate import expectations
from quantum.tasks.classification import LOGIT_SCALE
from quantum.tasks.data import load
from quantum.tasks.training import Training
from shared import ADMM

pytestmark = pytest.mark.slow

ADMM_OF_3 = ADMM(rho=0.03, steps=3, reprice_every=3, fine_tune=0)


def reading() -> Circuit:
    """Features, weights, the features again, weights."""
    block = ansatz("line", 3, 1)
    own = tuple(replace(gate, weight=gate.weight + block.weights) for gate in block.gates)
    return angle(3, 4) + block + angle(3, 4) + Circuit(3, own)


@pytest.fixture(scope="module", params=["angle", "own"])
def cell_result(request, tmp_path_factory):
    """The result and the files of one cell; every stage of it, with few steps and seeds."""
    settings = CompVQCSettings(task="iris", wires=3, layers=1, starts=1, budget="twoq<=30", circuit="line")
    if request.param == "own":
        path = tmp_path_factory.mktemp("circuits") / "reading.qasm"
        weights = np.random.default_rng(0).uniform(-math.pi, math.pi, reading().weights)
        path.write_text(openqasm.dumps(reading(), weights.tolist()))
        settings = settings.model_copy(update={"circuit": str(path), "encoding": "own"})
    files: dict[str, bytes] = {}
    context = SimpleNamespace(
        rng=np.random.default_rng(0),
        progress=lambda *_: None,
        artefact=files.__setitem__,
        checkpoint=lambda _, compute: compute(),
    )
    with pytest.MonkeyPatch.context() as patch:
        quick = partial(Compressor, admm=ADMM_OF_3, shrink_factor=0.6, restarts=0, polish=1, moves=2, rounds=1)
        patch.setattr(compvqc, "Compressor", quick)
        patch.setattr(compvqc, "SMALL_LAYERS", (1, 3))
        patch.setattr(compvqc, "SMALL_STARTS", 1)
        patch.setattr(compvqc, "SHARES", (0.5,))
        patch.setattr(compvqc, "SEEDS", range(2))
        patch.setattr(controls, "SEEDS", range(2))
        patch.setattr(
            compvqc, "classification", partial(compvqc.classification, training=Training(steps=60, inner_steps=5))
        )
        result = CompVQC().run(settings, context)
    return result, files


def test_every_method_is_in_the_row(cell_result):
    result, _ = cell_result
    assert json.loads(json.dumps(result))
    for name in METHODS:
        assert ("scores" in result[name]) != ("missing" in result[name])
    for name in ("compvqc", "dense", *controls.CONTROLS):
        assert result[name]["scores"]["twoq"] >= 0
    assert result["exact"][0] <= result["o3"]["scores"]["twoq"]


def right(files: dict[str, bytes], name: str, readout: Readout) -> int:
    """How many test samples a kept circuit classifies right."""
    circuit, weights = openqasm.loads(files[name].decode())
    data = load("iris", 0)
    values = expectations(circuit, torch.tensor(weights, dtype=torch.float64), readout, x=data.test.x)
    return int((readout.logits(values).argmax(-1) == data.test.y).sum())


@pytest.mark.parametrize(("name", "method"), [("dense", "dense"), ("small", "small")])
def test_the_dense_and_the_small_circuit_are_read_by_z_on_each_wire(cell_result, name, method):
    result, files = cell_result
    assert right(files, f"{name}.qasm", per_class(3, 3, LOGIT_SCALE)) == result[method]["scores"]["correct"]["test"]


def test_the_compressed_circuit_is_read_as_its_readout_says(cell_result):
    result, files = cell_result
    said = json.loads(files["readout.json"])
    readout = Readout(tuple(map(tuple, said["parities"])), tuple(map(tuple, said["weights"])), said["scale"])
    assert right(files, "compressed.qasm", readout) == result["compvqc"]["scores"]["correct"]["test"]


def test_the_small_circuit_reads_the_features_as_often(cell_result):
    _, files = cell_result
    dense, small = (openqasm.loads(files[f"{name}.qasm"].decode())[0] for name in ("dense", "small"))
    reads = [[(g.name, g.wires, g.feature) for g in each.gates if g.feature is not None] for each in (dense, small)]
    assert reads[0] == reads[1]
