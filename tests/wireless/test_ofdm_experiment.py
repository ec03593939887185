"""The ofdm experiment: a killed cell goes on where it was, counts add up, and the page shows what they say."""

import copy
import math

import numpy as np
import pytest

from shared.lab import Store, run
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.compression.complexity import table
from wireless.ofdm.experiment.page import FILES, RIVALS
from wireless.ofdm.experiment.run import CHANNELS, OFDM, OFDMSettings
from wireless.ofdm.experiment.tables import NAMES
from wireless.ofdm.link.errors import BATCH, errors
from wireless.ofdm.link.rates import ber, main_points, mean_reduction, over_packets, over_seeds, pooled, ratio
from wireless.ofdm.link.simulation import Link
from wireless.ofdm.neural import DelayGate
from wireless.ofdm.receiver.chain import Receiver

TINY = OFDMSettings(
    ebn0_db=(8.0,), packets=20, others=0, decoded=20, channels=("awgn",), training=0.001, passes=1, bytes=200
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(OFDM(), [TINY], Store(tmp_path_factory.mktemp("whole")))


def without_times(result):
    if isinstance(result, dict):
        return {key: without_times(value) for key, value in result.items() if key != "cpu_s"}
    return [without_times(value) for value in result] if isinstance(result, list) else result


def test_a_cell_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("wireless.ofdm.experiment.run.errors", killed)
        with pytest.raises(Killed):
            run(OFDM(), [TINY], Store(tmp_path))
    with monkeypatch.context() as patch:
        training = ("train_estimator", "train_dense", "train_demapper", "train_decoder")
        for name in (*training, "packing.compress_to_bytes", "prune_units"):  # what is trained is not trained again
            patch.setattr(f"wireless.ofdm.experiment.networks.{name}", killed)
        [row] = run(OFDM(), [TINY], Store(tmp_path))
    assert without_times(row.result) == without_times(whole[0].result)
    assert row.artefacts == whole[0].artefacts


def test_the_page_names_every_receiver_and_every_file(whole):
    page = OFDM().page(whole)
    titles = [getattr(block, "title", "") for block in page.blocks]
    assert "In distribution" in titles
    assert "Every block legacy or neural" in titles
    assert "What the blocks cost" in titles
    assert set(whole[0].artefacts) == set(FILES)
    assert "Change of the bit error rate against each baseline" in titles
    [matrix] = [block for block in page.blocks if getattr(block, "title", "") == "Every block legacy or neural"]
    assert len({line[:3] for line in matrix.lines}) == 8
    [costs] = [block for block in page.blocks if getattr(block, "title", "") == "What the blocks cost"]
    shown = {line[0] for line in costs.lines if line[-1]}
    for block in ("estimator: delay gate", "decoder: syndrome network"):
        assert {f"{block}, {what}" for what in ("float32", "fewer units", "8 bits", "pruned, 4 bits")} <= shown
    assert {
        "estimator: LS",
        "estimator: dense",
        "estimator: delay gate of 5.5k",
        "decoder: Viterbi, additions",
    } <= shown


@pytest.mark.parametrize(
    ("factor", "says"), [(0.5, "has fewer bit errors than"), (1, "is level with"), (2, "has more bit errors than")]
)
def test_the_verdict_follows_from_the_counts(whole, factor, says):
    row = copy.deepcopy(whole[0])
    for point in (point["all"] for point in row.result["main"]):
        theirs = point["bit_errors"]["genie"]
        # twenty-fold, so that no interval of so few packets holds 0
        point["bit_errors"]["genie"], point["bit_errors"]["ours"] = (
            [int(20 * n * k) for n in theirs] for k in (1, factor)
        )
    text = "".join(map(str, OFDM().page([row]).verdict.parts))
    sentence = next(part for part in text.split(". ") if NAMES["genie"] in part)
    assert says in sentence
    for other in RIVALS:
        assert text.count(NAMES[other]) >= 1
    assert "max-log on impaired radios" not in text  # none were run
    assert "soft Viterbi" in text[text.index("The neural decoder") :]


def test_every_seed_is_a_cell_of_its_own():
    cells = OFDM().cells(TINY.model_copy(update={"seeds": 3, "seed": 5}))
    assert [cell.seed for cell in cells] == [5, 6, 7]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": ("moon",)}, "channel 'moon' is unknown: it must be one of awgn"),
        ({"recordings": "/nowhere"}, "recordings=/nowhere: no .dat file there"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(change, words):
    with pytest.raises(ValueError, match=words):
        OFDM().cells(TINY.model_copy(update=change))


def test_counted_errors_are_those_of_the_link():
    receivers = {"ls": Receiver("ls"), "again": Receiver("ls"), "perfect": Receiver("perfect")}
    counted = errors(Link(ExponentialFading()), receivers, 8.0, 100, np.random.default_rng(0))
    assert counted["bit_errors"]["ls"] == counted["bit_errors"]["again"]
    assert len(counted["bit_errors"]["ls"]) == 5
    assert counted["nmse"]["perfect"] == 0
    assert 0 < counted["packet_errors"]["perfect"] <= counted["packet_errors"]["ls"] <= 100
    with pytest.raises(ValueError, match="packets=30: must be a positive multiple of 20"):
        errors(Link(ExponentialFading()), receivers, 8.0, 30, np.random.default_rng(0))


def point(**groups):
    return {"bits": 1000, "packets": 40, "bit_errors": groups, "packet_errors": dict.fromkeys(groups, 1)}


def test_figures_by_hand():
    points = [point(a=[10, 10], b=[20, 20]), point(a=[1, 2], b=[6, 6])]
    assert ber(points[0], "a") == 0.02
    assert mean_reduction("a", "b")(ber, points) == pytest.approx((0.5 + 0.75) / 2)
    assert ratio("a", "b")(ber, points) == pytest.approx(math.sqrt(0.5 * 0.25))
    assert math.isnan(mean_reduction("a", "b")(ber, [point(a=[0], b=[0])]))


def test_a_bootstrap_keeps_pairs_together():
    rng = np.random.default_rng(1)
    b = rng.integers(1, 200, 50)
    it = over_packets(mean_reduction("a", "b"), [point(a=(b // 2 * 1).tolist(), b=(b // 2 * 2).tolist())])
    assert it.low == it.value == it.high == pytest.approx(0.5)
    noisy = over_packets(mean_reduction("a", "b"), [point(a=rng.permutation(b).tolist(), b=b.tolist())])
    assert noisy.low < 0 < noisy.high


def test_pooling_adds_packets_of_all_seeds(whole):
    [both], [one] = pooled([*whole, *whole], main_points), pooled(whole, main_points)
    assert both["bits"] == 2 * one["bits"]
    assert both["bit_errors"]["ours"] == 2 * one["bit_errors"]["ours"]
    assert over_seeds(mean_reduction("ours", "hard"), whole, main_points).value == mean_reduction("ours", "hard")(
        ber, main_points(whole[0])
    )


def test_the_cost_table_counts_the_networks_as_they_are(whole):
    made = whole[0].result["networks"]
    lines = {line.block: line for line in table(made)}
    dense, small = (lines[f"estimator: delay gate, {kind}"] for kind in ("float32", "pruned, 4 bits"))
    assert dense.parameters == sum(p.numel() for p in DelayGate().parameters())
    assert small.bytes == made["estimator, packed"]["bytes"]
    assert small.macs == 792 - round(792 * made["estimator, packed"]["sparsity"])
    fewer = lines["estimator: delay gate, fewer units"]
    assert (fewer.macs, fewer.parameters) == (396, 17 * 12 + 12 + 12 * 16 + 16)
    assert lines["decoder: syndrome network, fewer units"].macs == 37824 - 2 * 32 * 288


def test_a_point_ends_once_every_receiver_has_lost_enough():
    receivers = {"ls": Receiver("ls"), "perfect": Receiver("perfect")}
    counted = errors(Link(ExponentialFading()), receivers, 8.0, 2000, np.random.default_rng(0), enough=30)
    assert 30 <= min(counted["packet_errors"].values()) < 60
    assert counted["packets"] == 20 * len(counted["bit_errors"]["ls"]) < 2000
    assert counted["bits"] == 954 * counted["packets"]
    again = errors(Link(ExponentialFading()), receivers, 8.0, counted["packets"], np.random.default_rng(0))
    assert again == counted
    before = errors(Link(ExponentialFading()), receivers, 8.0, counted["packets"] - BATCH, np.random.default_rng(0))
    assert before["packet_errors"]["perfect"] < 30 <= before["packet_errors"]["ls"]


def test_every_channel_of_the_settings_is_known_by_the_name_that_tables_call_it():
    assert {"cdl-a-30ns", "cdl-b-100ns", "cdl-c-300ns", "cdl-d-30ns", "cdl-e-30ns"} < set(CHANNELS)
    for name, (channel, _) in CHANNELS.items():
        assert channel.name == name or not name.startswith(("cdl", "tdl", "tgn"))
