"""Every technique of compression keeps its budget, counts what is left, and leaves the net as it was."""

import numpy as np
import pytest
import torch

from shared.integer import outputs
from shared.integer.files import from_json
from shared.lab import Store, print_page, run
from wireless.radar.compression.techniques import TECHNIQUES, Work
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.classifier import fresh
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.training import Stored, run_epoch, trainer

PULSES = Recipe(count=96, classes=("cw", "t1"), samples=128, snr_db=(5.0, 10.0))
FIXED = {"int8", "admm-int8", "channels-int8"}
EVERY = pytest.mark.parametrize("name", TECHNIQUES)


@pytest.fixture(scope="module")
def trained():
    classifier = fresh("iq-10k", PULSES.classes, PULSES.samples, torch.Generator())
    training = trainer(classifier.net, 2, 5e-3, 32)
    for _ in range(2):
        run_epoch(training, Stored(generate(PULSES)), torch.Generator())
    return classifier.net.eval()


def work(net, budget=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Work(net, Stored(generate(PULSES)), PULSES.samples, 2, budget, 2, 3, 2e-3, 32, generator)


@pytest.fixture(scope="module")
def outcomes(trained):
    computed = {}

    def call(name):
        if name not in computed:
            computed[name] = TECHNIQUES[name][1](work(trained))
        return computed[name]

    return call


@EVERY
def test_a_technique_keeps_its_budget(name, trained, outcomes):
    size = sum(parameter.numel() for parameter in trained.parameters())
    limit = {"control": 4.0, "int8": 1.6}.get(name, 4 * 0.4) * size
    assert 0 < outcomes(name).bytes <= limit + 16  # each layer has whole bytes of bits that say which blocks are there
    assert 0 < outcomes(name).kept <= 1


@EVERY
def test_answers_are_classes_of_every_window(name, outcomes):
    samples = generate(PULSES).samples[:40]
    answers = outcomes(name).answers(samples)
    assert answers.shape == (40,)
    assert set(answers) <= {0, 1}


@EVERY
def test_the_net_is_left_as_it_was(name, trained, outcomes):
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    outcomes(name)
    assert all(torch.equal(before[key], value) for key, value in trained.state_dict().items())
    assert not trained.training


@pytest.mark.parametrize("name", ["distilled", pytest.param("channels-int8", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_outcome(name, trained, outcomes):
    again, samples = TECHNIQUES[name][1](work(trained)), generate(PULSES).samples
    assert (again.bytes, again.macs, again.program) == (
        outcomes(name).bytes,
        outcomes(name).macs,
        outcomes(name).program,
    )
    assert np.array_equal(again.answers(samples), outcomes(name).answers(samples))


@pytest.mark.parametrize("name", sorted(FIXED))
def test_answers_in_fixed_point_are_those_of_the_integer_program(name, outcomes):
    program, samples = from_json(outcomes(name).program), generate(PULSES).samples[:40]
    [scores] = outputs(program, FORMAT.to_integers(as_input(samples).numpy()))
    assert np.array_equal(scores.argmax(1), outcomes(name).answers(samples))


def test_pruned_nets_multiply_less_and_small_ones_too(outcomes):
    whole = outcomes("control").macs
    assert all(outcomes(name).macs < whole for name in set(TECHNIQUES) - {"control", "int8"})
    assert outcomes("int8").bytes < outcomes("control").bytes / 3


def test_a_budget_that_no_small_net_meets_is_refused(trained):
    with pytest.raises(ValueError, match=r"^budget=0.0001: no net on raw samples is as small$"):
        TECHNIQUES["small"][1](work(trained, budget=1e-4))


def test_a_sweep_begins_with_given_weights_and_stands_on_the_page(tmp_path, capsys):
    settings = RadarSettings(
        nets=("iq-10k",),
        classes=("cw", "t1"),
        samples=128,
        tested_db=(0.0, 10.0),
        tested=4,
        epochs=1,
        tuning=1,
        examples=96,
        batch=32,
        techniques=("magnitude", "int8"),
    )
    first = fresh("iq-10k", settings.classes, 128, torch.Generator())
    (tmp_path / "mine.safetensors").write_bytes(first.to_bytes())
    begun = settings.model_copy(update={"weights": str(tmp_path / "mine.safetensors")})
    [row] = run(Radar(), Radar().cells(begun), Store(tmp_path / "rows"))
    assert (row.result["epochs"], row.result["trained_on"]) == ([], 0)
    assert list(row.result["techniques"]) == ["magnitude", "int8"]
    assert np.sum(row.result["techniques"]["int8"]["confusion"]) == 16
    assert "int8.json" in row.artefacts
    print_page(Radar().page([row]))
    shown = capsys.readouterr().out
    assert "largest weights kept" in shown
    assert "8-bit fixed point, F8Net" in shown
    other = begun.model_copy(update={"classes": ("cw", "t2")})
    with pytest.raises(
        ValueError, match=r"mine\.safetensors is iq-10k for cw, t1 in 128 samples; needs iq-10k for cw, t2"
    ):
        run(Radar(), Radar().cells(other), Store(tmp_path / "other"))
