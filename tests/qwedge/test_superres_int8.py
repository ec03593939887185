"""A net for super-resolution in integers: qualities are of the library, peers compute the same net, a page says it."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="pip install -e '.[mobile]'")
pytest.importorskip("PIL", reason="pip install -e '.[vision]'")

from qwedge.experiments import integer_luma
from qwedge.experiments.superres_int8 import UpscaleInt8, UpscaleInt8Settings
from qwedge.experiments.superres_int8_page import _verdict, best_peer, drops, fps, mean_psnr, page, speedups
from shared.integer import AbstractWeighted, outputs
from shared.integer.files import from_json
from shared.lab import Row, Store, run
from vision.superres.nets import PlainNet
from vision.superres.upscaler import to_bytes

TINY = {"kept": 0.5, "steps": 2, "sparse_steps": 2, "size": 8, "height": 12, "width": 16, "rounds": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    (folder / "mine.safetensors").write_bytes(to_bytes(PlainNet(2, 8, 2)))
    store = Store(folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QWEDGE_DATA", raising=False)
        patch.setattr(integer_luma, "cache_folder", lambda: folder)
        settings = UpscaleInt8Settings(weights=str(folder / "mine.safetensors"), **TINY)
        [row] = run(UpscaleInt8(), [settings], store)
    return row, store


def test_a_net_whose_tail_is_zero_loses_only_what_rounding_of_its_input_costs(whole):
    row, _ = whole
    assert set(row.result["psnr"]) == {"float", "calibrated", "int8", "sparse"}
    assert abs(drops([row], "calibrated")[0]) < 0.1
    assert np.mean(row.result["peer_psnr"]) == pytest.approx(mean_psnr(row, "float"), abs=0.5)


def test_the_files_are_the_programs(whole):
    row, store = whole
    program = from_json(store.get(row.artefacts["sparse.json"]).decode())
    assert program.inputs[0].shape == (1, 12, 16)
    _, *trunk, _, _ = (it.weight.integers for it in program.operations if isinstance(it, AbstractWeighted))
    empty = [(each.reshape(4, 2, 2, 4, 9) == 0).all((1, 3)) for each in trunk]
    assert np.mean(empty) == 0.5
    [result] = outputs(program, np.zeros((1, 1, 12, 16), int))
    assert result.shape == (1, 1, 24, 32)


def test_the_page_has_all_runtimes_and_a_verdict(whole):
    row, _ = whole
    text = str(page([row]))
    for runtime in ("ours int8", "ours sparse", "ours float32", "onnxruntime int8", "onnxruntime float32"):
        assert runtime in text
        assert fps(row, runtime) > 0


def test_the_best_peer_is_the_fastest_of_the_others():
    others = {"a int8": 30.0, "b int8": 20.0, "b float32": 9.0}
    times = {"ours int8": 10.0, "ours sparse": 5.0, "ours float32": 1.0} | others
    row = Row.__new__(Row)
    object.__setattr__(row, "result", {"median_ms": times, "missing": ["c: not installed"]})
    assert best_peer(row, "int8") == "b int8"
    assert speedups([row], "sparse") == [4.0]
    assert speedups([row], "int8", "float32") == [0.9]
    object.__setattr__(row, "result", {"median_ms": {"ours int8": 1.0}, "missing": ["c: not installed"]})
    assert speedups([row], "int8") == []
    assert "No other runtime is installed: c: not installed." in str(_verdict([row]))
