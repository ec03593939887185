"""The comparison of solvers is one of equals: same start, same budget, same number of gradient steps."""

import dataclasses

import pytest
import torch

from qwedge.experiments import solver_problems, solvers
from shared import NonzeroPrice, Sparsity
from shared.core.testing import Quadratic
from shared.lab import Row, Store, run


def toy(seed, generator):
    a = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    x = torch.randn(8, 1, generator=generator, dtype=torch.float64)
    task = Quadratic(a @ a.T / 8 + torch.eye(8, dtype=torch.float64), x)
    return solver_problems.Problem(
        x=x,
        menu=Sparsity(),
        price=NonzeroPrice(),
        objective=task.objective,
        loss=task.loss,
        held_out=lambda point: task.loss(point) + 1.0,
        rate=0.03,
        rho={"admm": 0.3, "relaxation": 0.3},
    )


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solvers, "PROBLEMS", {"fpga": toy})
        settings = solvers.SolversSettings(share=0.5)
        [row] = run(solvers.Solvers(), [settings], Store(tmp_path_factory.mktemp("rows")))
    return row


def test_every_method_takes_as_many_gradient_steps(row):
    steps = {row.result[name]["gradients"] for name in solvers.METHODS}
    assert steps == {solver_problems.SEARCH + solver_problems.TUNING}


def test_every_method_keeps_the_budget(row):
    assert row.result["budget"] == 4.0 == 0.5 * row.result["dense"]["price"]
    assert all(0 < row.result[name]["price"] <= 4.0 for name in solvers.METHODS)


def test_methods_are_compared_on_what_solvers_did_not_evaluate(row):
    """The dense point is the optimum, of loss 0, and 1 on the held-out data."""
    assert row.result["dense"]["loss"] == 1.0
    assert all(solvers.excess([row], "fpga", name)[0] > 0 for name in solvers.METHODS)
    assert solvers.excess([row], "circuits", "admm") == []


def test_the_page_shows_every_seed_and_method(row):
    means, table = solvers.Solvers().page([row]).blocks
    assert [line[2] for line in table.lines] == [line[0] for line in means.lines] == list(solvers.METHODS.values())


def test_the_verdict_names_the_better_method_of_each_domain():
    def row(domain, seed, **losses):
        result = {name: {"loss": loss, "price": 1, "gradients": 9, "cpu_s": 1.0} for name, loss in losses.items()}
        result |= {"unit": "gates", "budget": 2.0, "dense": {"loss": 0.1, "price": 9}}
        return Row(f"{domain}{seed}", "solvers", 1, {"domain": domain}, seed, result, {}, {})

    rows = [
        row("fpga", 0, once=0.1, admm=0.2, relaxation=0.3, straight_through=0.05),
        row("fpga", 1, once=0.1, admm=0.2, relaxation=0.3, straight_through=0.16),
        row("circuits", 0, once=0.4, admm=0.2, relaxation=0.3, straight_through=0.2),
    ]
    assert "".join(map(str, solvers.Solvers().page(rows).verdict.parts)) == (
        "In fpga, projected once has a lower held-out loss than ADMM (-0.1 loss) and relaxation (-0.2 loss). "
        "It is level with relaxation, straight-through (-0.005 loss). "
        "In circuits, ADMM has a lower held-out loss than projected once (-0.2 loss) and relaxation (-0.1 loss). "
        "It is level with relaxation, straight-through (+0 loss). "
    )


def test_rounding_keeps_the_zeros_of_the_choice():
    task = solver_problems.CountedTask(lambda x: (x - 1.2).square().sum(), lambda x: 0.0, rate=0.05)
    problem = toy(0, torch.Generator().manual_seed(0))
    rounded = dataclasses.replace(problem, on_menu=lambda x, z: x.round() * (z != 0))
    z = torch.tensor([[0.0], [2.0], [0.0]])
    assert rounded.tuned(task, z, z + 0.3, z != 0, 100).tolist() == [[0.0], [1.0], [0.0]]
    assert task.gradients == 100
