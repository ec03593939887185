"""Laws that hold for every solver, and that the suite notices a solver that breaks one."""

import dataclasses
import math
import re

import pytest
import torch

from shared import ADMM, NonzeroPrice, Relaxation, Sparsity
from shared.core import testing

SOLVERS = {
    "ADMM": ADMM(),
    "softmax": Relaxation(steps=60, reprice_every=20),
    "straight-through": Relaxation(steps=30, reprice_every=10, mode="straight-through"),
    "few steps": Relaxation(steps=5, reprice_every=3),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_keep_the_contract(name):
    testing.check_solver(SOLVERS[name])


@dataclasses.dataclass(frozen=True)
class Faulty:
    """ADMM with one planted fault."""

    fault: str

    def solve(self, task, *, on, price, budget=math.inf, x, progress=None):
        if self.fault == "overspends":
            budget = math.inf
        if self.fault == "silent":
            progress = None
        if self.fault == "drops all":
            budget = on.budget(x, price)[0]
        solution = ADMM(steps=5).solve(task, on=on, price=price, budget=budget, x=x, progress=progress)
        if self.fault == "mutates":
            x += 1.0
        changes = {
            "off the menu": {"z": solution.z + 0.1},
            "wrong loss": {"loss": solution.loss - 1.0},
            "miscounts steps": {"steps": 3},
            "never apart": {"converged": True, "residuals": (9.0,)},
            "random": {"z": solution.z * (1 + 1e-6 * torch.rand((), dtype=torch.float64))},
        }
        return dataclasses.replace(solution, **changes.get(self.fault, {}))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("overspends", "says"),
        ("silent", "never called"),
        ("drops all", "worse than projecting"),
        ("mutates", "changed its start"),
        ("off the menu", "says|not on the menu"),
        ("wrong loss", "says loss"),
        ("miscounts steps", r"progress ended at 5, steps=3"),
        ("never apart", "converged, but x and z are 9.0 apart"),
        ("random", "a second run ended elsewhere"),
    ],
)
def test_a_broken_solver_is_noticed(fault, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_solver(Faulty(fault))


def test_a_solver_that_ignores_its_menu_s_prox_is_noticed():
    """Projecting the start's mirror image is feasible, on the menu and deterministic, and still wrong."""

    @dataclasses.dataclass(frozen=True)
    class Mirrored:
        def solve(self, task, *, on, price, budget=math.inf, x, progress=None):
            return ADMM(steps=0).solve(task, on=on, price=price, budget=budget, x=x.flip(0), progress=progress)

    menu, price, shape = testing.SOLVABLE[2]
    with pytest.raises(AssertionError, match="prox at lam="):
        testing.check_cold_limit(Mirrored(), menu, price, testing._coupled(0, shape).optimum)


@pytest.mark.parametrize("name", ["ADMM", "softmax"])
@pytest.mark.parametrize("task", [torch.nn.Linear(2, 2), object()])
def test_a_net_is_no_task(name, task):
    with pytest.raises(TypeError, match=rf"needs a task with .* got {type(task).__name__} without .*ParameterTask"):
        SOLVERS[name].solve(task, on=Sparsity(), price=NonzeroPrice(), budget=2, x=torch.ones(3, 1))


def test_a_task_without_a_gradient_is_refused_by_the_relaxation():
    class Blackbox:
        def loss(self, x):
            return 0.0

        def fit(self, x, anchor, rho, free=None):
            return x

    message = "Relaxation needs a task with `loss`, `fit`, `objective`, got Blackbox without `objective`"
    with pytest.raises(TypeError, match=re.escape(message)):
        Relaxation().solve(Blackbox(), on=Sparsity(), price=NonzeroPrice(), budget=2, x=torch.ones(3, 1))
