"""Every technique of compression keeps its budget, counts what is left, and leaves the net as it was."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from shared.f8net import keep_zeros
from shared.integer import Program, outputs
from shared.lab import Store, print_page, run
from shared.weights.prices import MACs
from wireless.radar.compression import early_exit
from wireless.radar.compression.code_book import nearest_values, share
from wireless.radar.compression.pruning import factored
from wireless.radar.compression.techniques import TECHNIQUES, narrower, same_size
from wireless.radar.compression.work import Work, in_integers
from wireless.radar.datasets.generate import generate
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.classifier import fresh
from wireless.radar.nets.inputs import FORMAT, as_input
from wireless.radar.training import Stored, run_epoch, trainer

PULSES = Recipe(count=96, classes=("cw", "t1"), samples=128, snr_db=(5.0, 10.0))
FIXED = {
    "int8",
    "int4",
    "int3",
    "sparse-int4",
    "gradual-int8",
    "gradual-int4",
    "gradual-channels-int8",
    "gradual-channels-int4",
    "admm-int8",
    "channels-int8",
    "channels-int4",
    "taught-int4",
    "small-int8",
    "small-int4",
}
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
            computed[name] = TECHNIQUES[name].compress(work(trained))
        return computed[name]

    return call


@EVERY
def test_a_technique_keeps_its_budget(name, trained, outcomes):
    size = sum(parameter.numel() for parameter in trained.parameters())
    limit = {"control": 4.0, "early-exit": 4.04}.get(name, 4 * 0.4) * size
    assert 0 < outcomes(name).bytes <= limit + 16  # each layer has whole bytes of bits that say which blocks are there
    assert 0 < outcomes(name).kept <= 1


@pytest.mark.parametrize("name", ["admm", "relaxation-blocks", "code-book"])
def test_the_net_on_spectrograms_keeps_its_budget_too(name):
    """Its layers are two-dimensional; zeros that nothing held grew again in training."""
    net = fresh("spectrogram", PULSES.classes, 256, torch.Generator()).net.eval()
    recipe = replace(PULSES, samples=256)
    whole = replace(work(net), source=Stored(generate(recipe)), samples=256)
    size = sum(parameter.numel() for parameter in net.parameters())
    assert TECHNIQUES[name].compress(whole).bytes <= 4 * 0.4 * size + 16


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
    again, samples = TECHNIQUES[name].compress(work(trained)), generate(PULSES).samples
    assert (again.bytes, again.macs) == (outcomes(name).bytes, outcomes(name).macs)
    assert np.array_equal(again.answers(samples), outcomes(name).answers(samples))


@pytest.mark.parametrize("name", sorted(FIXED))
def test_answers_in_fixed_point_are_those_of_the_integer_program(name, outcomes):
    program, samples = outcomes(name).net, generate(PULSES).samples[:40]
    [scores] = outputs(program, FORMAT.to_integers(as_input(samples).numpy()))
    assert np.array_equal(scores.argmax(1), outcomes(name).answers(samples))


def test_pruned_nets_multiply_less_and_small_ones_too(outcomes):
    whole = outcomes("control").macs
    assert all(
        outcomes(name).macs < whole
        for name in set(TECHNIQUES) - {"control", "int8", "int4", "int3", "code-book", "early-exit"}
    )
    assert outcomes("int4").bytes < 0.7 * outcomes("int8").bytes < 0.2 * outcomes("control").bytes


@pytest.mark.parametrize(
    ("name", "last"), [("gradual", [4]), ("gradual-channels", [4]), ("gradual-channels-int8", [3, 1])]
)
def test_pruning_in_steps_trains_for_all_epochs_and_drops_more_at_each(name, last, trained, monkeypatch):
    epochs, sizes = [], []

    def watched(work, net, number, targets=None):
        epochs.append(number)
        sizes.append(sum(int(torch.count_nonzero(weight)) for weight in net.parameters() if weight.ndim > 1))
        return train(work, net, number, targets)

    train = Work.trained
    monkeypatch.setattr(Work, "trained", watched)
    TECHNIQUES[name].compress(replace(work(trained), epochs=7))
    assert epochs == [1, 1, 1, *last]
    assert sizes[:4] == sorted(set(sizes[:4]), reverse=True)


def test_windows_that_leave_early_cost_no_more_answers_than_allowed(trained, monkeypatch):
    for lost in (0.0, 0.2, 1.0):
        monkeypatch.setattr(early_exit, "LOST", lost)
        outcome = TECHNIQUES["early-exit"].compress(work(trained))
        windowed = generate(PULSES)
        whole = trained(as_input(windowed.samples)).argmax(1).numpy()
        right = [int((answers == windowed.labels).sum()) for answers in (whole, outcome.answers(windowed.samples))]
        assert right[0] - right[1] <= lost * len(whole)
        assert 0 <= outcome.net.onward <= 1
    assert outcome.net.onward == 0  # with all answers allowed to be lost, every window leaves
    first = float(MACs((2, PULSES.samples)).number_costs(outcome.net.first, (), None).sum())
    assert outcome.macs == pytest.approx(first)


def test_a_net_without_blocks_has_no_early_exit():
    with pytest.raises(ValueError, match=r"^early-exit: leaves a net on raw samples after 2 blocks"):
        TECHNIQUES["early-exit"].compress(work(fresh("transformer", PULSES.classes, 128, torch.Generator()).net))


def test_an_exit_that_nobody_takes_leaves_every_answer(trained):
    net = TECHNIQUES["early-exit"].compress(work(trained)).net
    net.threshold = 2.0
    x = as_input(generate(PULSES).samples)
    assert torch.allclose(net(x), trained(x), atol=1e-5)


@pytest.mark.parametrize("name", ["gradual", "gradual-channels", "admm-blocks", "small"])
def test_a_budget_of_multiply_accumulates_is_kept(name, trained):
    whole = work(trained)
    outcome = TECHNIQUES[name].compress(replace(whole, price="macs", budget=0.5))
    dense = float(MACs(whole.example).number_costs(trained, (), None).sum())
    assert 0.3 * dense < outcome.macs <= 0.5 * dense


def test_dropped_weights_do_not_move_the_grid_of_the_others(trained):
    """With 97 in 100 of a layer's weights dropped, the rest stay off the ends of the 8-bit grid."""
    net = copy.deepcopy(trained)
    layer = net[6]
    keep = layer.weight.detach().abs() > layer.weight.detach().abs().quantile(0.97)
    keep_zeros(layer, keep)
    program = in_integers(work(trained), net, 1).net
    weight = next(it.weight.integers for it in program.operations if it.output == "_6")
    assert int(np.abs(weight).max()) < 127


@pytest.mark.parametrize("name", ["magnitude", "admm-channels", "low-rank", "code-book"])
def test_batch_norms_follow_their_statistics_after_a_search(name, trained, monkeypatch):
    """`compress` leaves them as they are, which made pruned nets lose most of their accuracy."""
    tracked = []

    def watched(work, net, epochs, targets=None):
        before = copy.deepcopy(net)
        after = train(work, net, epochs, targets)
        moved = [
            not torch.equal(old.running_mean, new.running_mean)
            for old, new in zip(before.modules(), after.modules(), strict=True)
            if isinstance(old, nn.BatchNorm1d)
        ]
        tracked.extend(moved)
        return after

    train = Work.trained
    monkeypatch.setattr(Work, "trained", watched)
    TECHNIQUES[name].compress(work(trained))
    assert tracked
    assert all(tracked)


def test_a_budget_that_no_small_net_meets_is_refused(trained):
    with pytest.raises(ValueError, match=r"^budget=0.0001: no net of its layers is as small$"):
        TECHNIQUES["small"].compress(work(trained, budget=1e-4))


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
    further = begun.model_copy(update={"further": 2, "techniques": ()})
    [later] = run(Radar(), Radar().cells(further), Store(tmp_path / "further"))
    assert (len(later.result["epochs"]), later.result["trained_on"]) == (2, 192)
    assert later.artefacts["iq-10k.safetensors"] != row.artefacts["iq-10k.safetensors"]
    other = begun.model_copy(update={"classes": ("cw", "t2")})
    with pytest.raises(
        ValueError, match=r"mine\.safetensors is iq-10k for cw, t1 in 128 samples; needs iq-10k for cw, t2"
    ):
        run(Radar(), Radar().cells(other), Store(tmp_path / "other"))


@pytest.mark.parametrize("name", ["magnitude", "int4"])
def test_the_control_of_a_technique_is_dense_of_as_many_bytes_and_trained_for_all_epochs(
    name, trained, outcomes, monkeypatch
):
    epochs, size = [], outcomes(name).bytes
    monkeypatch.setattr(Work, "trained", lambda work, net, number, targets=None: epochs.append(number) or net.eval())
    control = same_size(work(trained), name, size)
    assert 0.6 * size < control.bytes <= size
    assert isinstance(control.net, Program) == (name == "int4")
    assert sum(epochs) == work(trained).whole
    assert same_size(work(trained), name, 40) is None


@pytest.mark.parametrize("name", ["iq", "iq-10k", "bank"])
def test_a_narrower_net_has_the_layers_of_the_net(name):
    net = fresh(name, PULSES.classes, PULSES.samples, torch.Generator()).net
    shapes = [[tuple(it.shape) for it in each.parameters()] for each in (net, narrower(net, 2, 1.0))]
    assert shapes[0] == shapes[1]
    half = narrower(net, 2, 0.5)
    assert [type(layer) for layer in half] == [type(layer) for layer in net]
    sizes = [sum(it.numel() for it in each.parameters()) for each in (net, half)]
    assert 0.2 * sizes[0] < sizes[1] < 0.6 * sizes[0]
    assert half(torch.zeros(3, 2, PULSES.samples)).shape == (3, 2)


def test_a_factored_net_computes_the_same(trained):
    x = as_input(generate(PULSES).samples[:8])
    narrow = factored(trained).eval()
    pointwise = [layer for layer in trained if isinstance(layer, nn.Conv1d) and layer.kernel_size == (1,)]
    assert len(narrow) == len(trained) + len(pointwise)
    with torch.no_grad():
        assert torch.allclose(narrow(x), trained(x), atol=1e-4)


def test_weights_that_share_a_book_have_its_values_and_train_them():
    layer = nn.Linear(8, 8)
    share(layer, nearest_values(layer.weight.detach().flatten(), 4))
    indices = layer.parametrizations.weight[0].indices.clone()
    (layer(torch.ones(1, 8)) - 3).square().sum().backward()
    torch.optim.SGD(layer.parameters(), 0.1).step()
    assert len(layer.weight.unique()) == 4
    assert torch.equal(layer.weight, layer.parametrizations.weight[0].book[indices])
    assert layer.parametrizations.weight[0].book.grad.any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_values_of_a_book_are_means_of_what_is_nearest_to_them(count):
    weights = torch.randn(200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    book = nearest_values(weights, count)
    nearest = (weights[:, None] - book).abs().argmin(1)
    for index, value in enumerate(book):
        assert float(weights[nearest == index].mean()) == pytest.approx(float(value), abs=1e-2)
