"""The contract suite holds for every menu and price here, and notices a plug-in that breaks a law."""

import dataclasses
import math
import re

import pytest
import torch

from shared import AbstractAdditivePrice, Choices, Menu, NonzeroPrice, Sparsity
from shared.core import testing


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_menus_keep_the_contract(case, seed, dtype):
    testing.check_menu(case.menu, case.point(seed, dtype), case.price)


def test_prices_keep_the_contract(case):
    testing.check_price(case.price, case.point(0))
    testing.check_repr(case.price)


@pytest.mark.parametrize("free", [None, "half"])
def test_quadratic_keeps_the_contract(free):
    hessian = torch.tensor([[2.0, 0.3], [0.3, 1.0]])
    testing.check_task(testing.Quadratic(hessian, torch.tensor([[1.0], [-2.0]])), torch.zeros(2, 1))


@dataclasses.dataclass(frozen=True)
class Broken(Menu):
    """Sparsity with one planted fault."""

    fault: str

    def menu(self, v):
        values, free = Sparsity().menu(v)
        if self.fault == "moves":
            return Choices(values + 0.1, free)
        if self.fault == "dtype":
            return Choices(values.to(torch.float16), free)
        if self.fault == "mutates":
            v[0] = 0.0
        if self.fault == "integer free":
            return Choices(values, free.int())
        return Choices(values, free)

    def __repr__(self):
        return "Sparsity()" if self.fault == "repr" else f"Broken(fault={self.fault!r})"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("moves", "not near itself"),
        ("dtype", "torch.float32 cpu became torch.float16"),
        ("mutates", "changed the point"),
        ("integer free", "free must be bool"),
        ("repr", "does not rebuild"),
    ],
)
def test_a_broken_menu_is_noticed(fault, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_menu(Broken(fault), torch.tensor([[1.0], [2.0]]), NonzeroPrice())


def test_the_menu_under_the_faults_is_sound():
    testing.check_menu(Broken("none"), torch.tensor([[1.0], [2.0]]), NonzeroPrice())


class LoosePrice:
    """A price that calls itself repriced although it is not."""

    unit = "gates"

    def price(self, values):
        return values.abs().sum(-1)

    def measure(self, z):
        return float(z.abs().sum()) - 1

    def reprice(self, z):
        return self


class ContextPrice(AbstractAdditivePrice):
    """A price of an entry that depends on what else is offered."""

    unit = "gates"

    def price(self, values):
        return values.abs().sum(-1) - values.abs().sum(-1).min(-1, keepdim=True).values


@pytest.mark.parametrize(
    ("price", "message"), [(LoosePrice(), "tight there"), (ContextPrice(), "depends on the other entries")]
)
def test_a_broken_price_is_noticed(price, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_price(price, torch.tensor([[1.0], [2.0]]))


class BrokenTask(testing.Quadratic):
    fault = ""

    def fit(self, x, anchor, rho, free=None):
        if self.fault == "mutates":
            x += 1
        if self.fault == "thaws":
            free = None
        if self.fault == "repelled":
            rho = -rho / 100
        if self.fault == "dtype":
            return super().fit(x, anchor, rho, free).float()
        return super().fit(x, anchor, rho, free)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("mutates", "changed x in place"),
        ("thaws", "not free"),
        ("repelled", r"penalty rose|farther"),
        ("dtype", "float64 cpu, got"),
    ],
)
def test_a_broken_task_is_noticed(fault, message):
    task = BrokenTask(torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64))
    task.__class__ = type("Faulty", (BrokenTask,), {"fault": fault})
    with pytest.raises(AssertionError, match=message):
        testing.check_task(task, torch.zeros(2, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("fill", lambda table, pick, budget: table.pick(0.0), "was exceeded"),
        ("within", lambda table, budget: table.cheapest, "a prox reaches|not idempotent"),
        ("pick", lambda table, lam: table.cheapest, "brute force"),
        ("pick", lambda table, lam: (table.distance**0.5 + lam * table.price).argmin(-1), "brute force"),
    ],
)
def test_a_broken_core_is_noticed(monkeypatch, name, fault, message):
    """A fill that overshoots, a search that stops short, a prox that ignores its multiplier or forgets the square."""
    from shared.core.menu import _Table

    monkeypatch.setattr(_Table, name, fault)
    with pytest.raises(AssertionError, match=message):
        testing.check_menu(Sparsity(), torch.tensor([[0.3], [1.0], [2.0], [5.0]]), NonzeroPrice())


def test_repr_that_is_no_literal_is_explained():
    @dataclasses.dataclass(frozen=True)
    class Endless(Menu):
        period: float = math.inf

        def menu(self, v):
            return Sparsity().menu(v)

    Endless.__repr__ = lambda self: f"Endless(period={self.period})"
    with pytest.raises(AssertionError, match=re.escape("repr holds inf, which is not a literal")):
        testing.check_repr(Endless())
