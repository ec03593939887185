"""The radar experiment: a killed cell goes on, rows hold counts, figures and page follow from them; and the bound."""

from types import SimpleNamespace

import numpy as np
import pytest

from shared.lab import Row, Store, Table, print_page, run
from shared.training.epochs import Trainer
from wireless.radar.bound.bayes import bayes, log_evidence
from wireless.radar.bound.templates import templates
from wireless.radar.compression.techniques import SWEEP
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.experiment import figures
from wireless.radar.experiment.evaluate import confusion
from wireless.radar.experiment.page import page
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.classifier import Classifier
from wireless.radar.waveforms.catalogue import TWELVE, waveform

TINY = RadarSettings(
    nets=("bayes", "iq-10k"),
    classes=("cw", "barker", "p4"),
    samples=128,
    tested_db=(0.0, 10.0),
    snr_db=(0.0, 10.0),
    tested=6,
    bound_tested=2,
    epochs=2,
    examples=96,
    batch=32,
    techniques=(),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("radar"))
    return run(Radar(), Radar().cells(TINY), store), store


def test_every_net_and_seed_is_a_cell_of_its_own():
    cells = Radar().cells(TINY.model_copy(update={"seeds": 2, "seed": 5}))
    assert [(cell.nets, cell.seed) for cell in cells] == [
        *((("bayes",), seed) for seed in (5, 6)),
        *((("iq-10k",), seed) for seed in (5, 6)),
    ]


def test_rows_hold_counts_and_the_net(rows):
    (bound, net), store = rows
    assert np.sum(bound.result["confusion"], 2).tolist() == [[2, 2, 2]] * 2
    assert np.sum(net.result["confusion"], 2).tolist() == [[6, 6, 6]] * 2
    assert net.result["bytes"] == 4 * net.result["parameters"]
    assert net.result["trained_on"] == 192
    assert net.result["generation"]["pulses"] == 96
    assert len(net.result["generation"]["cpu_s"]) == 18  # of 20 blocks, between the second and the last
    loaded = Classifier.from_bytes(store.get(net.artefacts["iq-10k.safetensors"]))
    assert (loaded.name, loaded.classes, loaded.samples) == ("iq-10k", TINY.classes, 128)


def test_the_stored_net_gives_the_counts_of_its_row(rows):
    (_, net), store = rows
    loaded = Classifier.from_bytes(store.get(net.artefacts["iq-10k.safetensors"]))
    windowed = generate(TINY.test_recipe(6, (0.0, 10.0)))
    again = confusion(lambda part: loaded.probabilities(part.samples).argmax(1), [windowed], np.array([0.0, 10.0]), 3)
    assert again.tolist() == net.result["confusion"]


def test_a_cell_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(rows, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    calls, run_epoch = [], Trainer.run_epoch

    def counted(*arguments):
        calls.append(1)
        if len(calls) > 1:
            raise Killed
        return run_epoch(*arguments)

    cells = Radar().cells(TINY)[1:]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", counted)
        with pytest.raises(Killed):
            run(Radar(), cells, Store(tmp_path))
    [row] = run(Radar(), cells, Store(tmp_path))
    assert row.artefacts == rows[0][1].artefacts
    assert row.result["confusion"] == rows[0][1].result["confusion"]


def test_training_and_test_pulses_are_never_the_same():
    training = generate(TINY.training_recipe().with_seed(TINY.seed)).samples
    test = generate(TINY.test_recipe(6, TINY.tested_db)).samples
    assert not (training[:, None, :4] == test[None, :, :4]).all(2).any()
    apart = TINY.model_copy(update={"disjoint": True})
    assert (apart.training_recipe().part, apart.test_recipe(1, (0.0,)).part) == ("train", "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nets": ("resnet",)}, r"^no radar net 'resnet': it must be one of bayes, iq, "),
        ({"classes": ("cw", "chirp")}, r"^no class of pulses 'chirp'"),
        ({"samples": 64}, r"^samples=64: a window has 128"),
        ({"snr_db": (5.0, -5.0)}, r"a range has two ends in order"),
        ({"paths": 2}, r"^bayes is the bound of generated pulses in noise alone: leave it out of nets here$"),
        ({"classes": ("cw", "bpsk")}, r"^class 'bpsk' has no templates: its code is random"),
        ({"placed": True}, r"^placed=True: on which device\? Give one, such as device=ecp5-25k$"),
        ({"techniques": ("magic",)}, r"^no technique 'magic': it must be one of "),
        (
            {"nets": ("spectrogram",), "techniques": ("magnitude", "int8")},
            r"^techniques: int8 is of nets of one-dimensional layers, spectrogram can take control, magnitude, admm, ",
        ),
    ],
    ids=str,
)
def test_settings_that_make_no_experiment_are_refused_before_anything_is_computed(change, words):
    with pytest.raises(ValueError, match=words):
        Radar().cells(TINY.model_copy(update=change))


def test_a_run_without_further_settings_sweeps_and_leaves_out_what_cannot_be():
    bound, net = Radar().cells(RadarSettings())
    assert (bound.techniques, net.techniques) == ((), SWEEP)
    [behind_paths] = Radar().cells(RadarSettings(paths=2))
    assert behind_paths.nets == ("iq",)
    [spectrogram] = Radar().cells(RadarSettings(nets=("spectrogram",)))
    assert spectrogram.techniques == ("magnitude", "admm", "small")


def test_a_row_of_pulses_without_a_bound_says_so(tmp_path):
    settings = TINY.model_copy(update={"nets": ("iq-10k",), "paths": 1, "epochs": 1})
    [row] = run(Radar(), Radar().cells(settings), Store(tmp_path))
    assert row.result["notes"] == ["no bound stands beside: bayes is the bound of generated pulses in noise alone"]


def test_a_technique_that_cannot_be_is_a_note_and_loses_nothing_else(tmp_path, capsys):
    change = {
        "nets": ("iq-10k",),
        "epochs": 1,
        "tuning": 1,
        "budget": 1e-4,
        "techniques": ("small", "control"),
        "same_size": True,
    }
    [row] = run(Radar(), Radar().cells(TINY.model_copy(update=change)), Store(tmp_path))
    assert row.result["notes"] == ["small cannot be: budget=0.0001: no net of its layers is as small"]
    assert list(row.result["techniques"]) == ["control"]
    control = row.result["techniques"]["control"]
    assert 0.9 * control["bytes"] < control["same_size"]["bytes"] <= control["bytes"]
    print_page(page([row]))
    assert "Small cannot be: budget=0.0001" in capsys.readouterr().out


def test_the_page_says_who_is_ahead_and_shows_every_net(rows, capsys):
    shown = page(rows[0])
    text = "".join(map(str, shown.verdict.parts))
    assert text.startswith("The separable CNN on raw samples, 10k parameters: ")
    assert "Bayes classifier over templates" in text
    assert [getattr(block, "title", "") for block in shown.blocks[1:6]] == [
        "Accuracy against noise",
        "Nets",
        "What is taken for what",
        "Classes at 10 dB",
        "Training",
    ]
    print_page(shown)
    assert "10 dB" in capsys.readouterr().out


def answers(net, seed, right, classes=("lfm", "frank", "p3"), db=(-6.0, 10.0)):
    """A row in which so many of ten pulses of each class are named rightly, at two ratios; the rest is the next."""
    next_class = np.roll(np.eye(3, dtype=int), 1, axis=1)
    counted = [(r * np.eye(3, dtype=int) + (10 - r) * next_class).tolist() for r in right]
    result = {"net": net, "confusion": counted, "parameters": 5, "bytes": 20, "macs": 7.0, "epochs": []}
    settings = {"seed": seed, "classes": classes, "tested_db": db, "samples": 128}
    return Row(f"{net}{seed}", "radar", 1, settings, seed, result, {}, {})


def test_figures_by_hand():
    row = answers("iq", 0, (5, 9))
    assert figures.mean_accuracy(row) == pytest.approx(0.7)
    assert figures.accuracy_at(row, -6.0) == pytest.approx(0.5)
    assert figures.worst_recall(figures.counts(row), 1) == pytest.approx(0.9)
    # Frank and P3 as one: what of Frank is taken for P3 is right then.
    assert figures.right(figures.together(row)) == pytest.approx([20 / 30, 28 / 30])
    with pytest.raises(ValueError, match=r"^no answers were counted at 3 dB, only at -6, 10$"):
        figures.accuracy_at(row, 3.0)


def test_the_verdict_says_so_where_a_net_is_behind():
    rows = [answers("bayes", 0, (9, 10)), answers("iq", 0, (5, 9)), answers("transformer", 0, (4, 4))]
    text = "".join(map(str, page(rows).verdict.parts))
    assert "70.0 % of all pulses are named rightly" in text
    assert "It is more accurate than transformer on patches of samples, 32k (+30.0 points)" in text
    assert "It is less accurate than Bayes classifier over templates, SNR known (-25.0 points)" in text


def test_a_net_that_was_only_loaded_stands_beside_the_others():
    loaded = answers("iq", 0, (5, 9))
    loaded.settings["weights"] = "iq.safetensors"
    text = "".join(map(str, page([answers("bayes", 0, (9, 10)), loaded]).verdict.parts))
    assert "70.0 % of all pulses are named rightly" in text
    trained = answers("iq", 1, (6, 10))
    assert "80.0 % of all pulses" in "".join(map(str, page([loaded, trained]).verdict.parts))


def test_two_sweeps_of_a_net_have_tables_of_their_own_and_count_its_answers_once():
    rows = [answers("iq", 0, (5, 9)), answers("iq", 0, (5, 9))]
    for row, name, tuning in zip(rows, ("magnitude", "gradual"), (2, 4), strict=True):
        row.settings.update(weights="iq.safetensors", budget=0.3, price="macs", tuning=tuning, examples=1000)
        row.settings["snr_db"] = [-16.0, 10.0]  # a list, as rows from a file have it
        compressed = {"bytes": 9.0, "macs": 3.0, "kept": 0.5, "confusion": row.result["confusion"]}
        row.result["techniques"] = {name: compressed}
    shown = page(rows)
    titles = [block.title for block in shown.blocks if getattr(block, "title", "").startswith("Compression")]
    assert [title.rpartition(": ")[2] for title in titles] == [
        "30% of the MACs, 2,000 pulses",
        "30% of the MACs, 4,000 pulses",
    ]
    both, one = (
        next(block for block in it.blocks if getattr(block, "title", "") == "Nets") for it in (shown, page(rows[:1]))
    )
    assert [str(cell) for cell in both.lines[0]] == [str(cell) for cell in one.lines[0]]
    assert [cell.interval for cell in both.lines[0][1:]] == [cell.interval for cell in one.lines[0][1:]]


def test_a_technique_stands_beside_its_control_its_hardware_and_its_time():
    row = answers("iq", 0, (5, 9))
    row.settings.update(budget=0.3, tuning=2, examples=1000, device="ecp5-25k")
    plan = {"per_second": 6000.0, "lut": 5.0, "ff": 6.0, "dsp": 7.0, "bram": 8.0}
    routed = {"routed_mhz": 120.0, "routed_per_second": 7200.0, "used": {"lut": 9, "ff": 10, "dsp": 11, "bram": 12}}
    control = {"bytes": 8.0, "confusion": answers("iq", 0, (4, 8)).result["confusion"]}
    ms = {"compiled": 0.5, "dense in ONNX Runtime": 1.0}
    row.result["ms"] = ms
    row.result["techniques"] = {
        "int8": {
            "bytes": 9.0, "macs": 3.0, "kept": 0.4, "cpu_s": 77.0, "confusion": row.result["confusion"], "ms": ms,
            "same_size": control, "fpga": plan | routed,
        },
        "int4": {
            "bytes": 5.0, "macs": 3.0, "kept": 0.4, "cpu_s": 7.0, "confusion": row.result["confusion"], "ms": ms,
            "same_size": None, "fpga": {"short": "it needs more"},
        },
    }  # fmt: skip
    tables = {block.title.partition(",")[0]: block for block in page([row]).blocks if isinstance(block, Table)}
    [beside] = tables["Beside dense nets of the same size"].lines
    assert [str(cell) for cell in beside[1:]] == ["9", "8", "70.0 %", "60.0 %", "+10.0 points"]
    lines = [[str(cell) for cell in line[1:]] for line in tables["On an ecp5-25k"].lines]
    assert lines == [
        ["estimated", "6,000", "100 MHz", "5", "6", "7", "8"],
        ["routed", "7,200", "120 MHz", "9", "10", "11", "12"],
        ["does not fit", *[""] * 6],
    ]
    [costs] = [block for block in page([row]).blocks if getattr(block, "title", "").startswith("Compression")]
    assert costs.columns[1] == "parameters"
    assert [str(line[1]) for line in costs.lines] == ["5", "2", "2"]
    assert any("77" in str(cell) for block in tables.values() for line in block.lines for cell in line)
    front = next(block for block in page([row]).blocks if getattr(block, "title", "") == "Accuracy against size")
    assert len(front.panels) == 3  # bytes, MACs and milliseconds


def test_counts_are_by_ratio_class_and_answer():
    parts = [SimpleNamespace(snr_db=np.array([0.1, 9.0, 9.9]), labels=np.array([0, 1, 1]))]
    counted = confusion(lambda _: np.array([1, 1, 0]), parts, np.array([0.0, 10.0]), 2)
    assert counted.tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 1]]]


# The bound.


def test_evidence_is_the_mean_over_templates_and_delays():
    """Against the sum itself, term by term, with NumPy's I0."""
    windowed = generate(Recipe(count=4, classes=("cw", "t1"), samples=128, snr_db=(-6.0, 0.0), widths=(64, 128)))
    expected = np.empty((4, 2))
    for column, name in enumerate(("cw", "t1")):
        terms = [[] for _ in range(4)]
        for signals, widths in templates(waveform(name), 128, (64, 128)):
            for signal, width in zip(signals, widths, strict=True):
                for window, (x, db) in enumerate(zip(windowed.samples, windowed.snr_db, strict=True)):
                    power = 10 ** (-db / 10)
                    inner = [abs(np.vdot(signal[:width], x[t : t + width])) for t in range(129 - width)]
                    terms[window].append(np.mean(np.i0(2 * np.array(inner) / power)) * np.exp(-width / power))
        expected[:, column] = [np.log(np.mean(each)) for each in terms]
    measured = log_evidence(windowed, ("cw", "t1"), (64, 128))
    assert measured == pytest.approx(expected, abs=0.15)


def test_templates_hold_every_pulse_up_to_their_steps(rng):
    """The best template explains nine tenths of a pulse's amplitude: what is lost is about a decibel."""
    for name in ("lfm", "costas", "frank", "t3"):
        recipe = Recipe(count=6, classes=(name,), samples=256, snr_db=(90.0, 90.0), widths=(128, 256))
        for x in generate(recipe).samples:
            energy, best = np.sum(np.abs(x) ** 2), 0.0
            for signals, widths in templates(waveform(name), 256, (128, 256)):
                z = np.abs(np.fft.ifft(np.fft.fft(x) * np.fft.fft(signals).conj())).max(1)
                best = max(best, float((z / np.sqrt(widths * energy)).max()))
            assert best > 0.85, name


def test_the_bound_is_right_where_there_is_little_noise():
    classes = ("cw", "lfm", "barker", "t2")
    windowed = generate(Recipe(count=16, classes=classes, samples=256, snr_db=(3.0, 3.0), widths=(128, 256)))
    assert (bayes(windowed, classes, (128, 256)) == windowed.labels).mean() > 0.9


def test_every_class_of_the_twelve_has_templates():
    for name in TWELVE:
        signals, widths = next(templates(waveform(name), 512, (256, 512)))
        assert len(signals) == len(widths) > 10
        assert np.all((np.abs(signals) > 0.5).sum(1) == widths)
