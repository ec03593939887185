"""The contract suite: what the author of a menu, a price, a task or a solver runs against it.

Plain assertions, so that any test runner will do:

>>> from shared import NonzeroPrice, Sparsity
>>> check_menu(Sparsity(), torch.tensor([[0.4], [-2.0], [1.1]]), NonzeroPrice())
>>> check_price(NonzeroPrice(), torch.tensor([[0.0], [-2.0]]))
>>> check_task(Quadratic(torch.eye(2), torch.ones(2, 1)), torch.zeros(2, 1))
"""

import ast
import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from shared.core.menu import Menu, Point
from shared.core.menus import FixedPoint, Levels, Product, Sparsity
from shared.core.price import BitPrice, LevelPrice, NonzeroPrice, Price
from shared.core.solver import Solution, Solver
from shared.core.task import Task

MULTIPLIERS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The task `loss(x) = 1/2 (x - optimum)' H (x - optimum)`, with its x-update in closed form.

    `argmin_x loss(x) + rho/2 ||x - anchor||^2 = (H + rho I)^-1 (H optimum + rho anchor)`; coordinates that are not free
    move to the right-hand side. `hessian` is `(n, n)`, positive definite, `optimum` `(blocks, size)` with
    `blocks * size = n`.

    >>> Quadratic(torch.eye(2), torch.ones(2, 1)).fit(torch.zeros(2, 1), anchor=torch.zeros(2, 1), rho=1.0).T
    tensor([[0.5000, 0.5000]])
    """

    hessian: Tensor
    optimum: Tensor

    def objective(self, x: Tensor) -> Tensor:
        gap = (x - self.optimum).flatten()
        return 0.5 * gap @ self.hessian @ gap

    def loss(self, x: Tensor) -> float:
        return float(self.objective(x))

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        moves = torch.ones_like(x, dtype=torch.bool).flatten() if free is None else free.flatten()
        fitted = x.flatten().clone()
        curved = self.hessian + rho * torch.eye(len(fitted), dtype=x.dtype, device=x.device)
        pull = self.hessian @ self.optimum.flatten() + rho * anchor.flatten()
        right = pull[moves] - curved[moves][:, ~moves] @ fitted[~moves]
        fitted[moves] = torch.linalg.solve(curved[moves][:, moves], right)
        return fitted.reshape(x.shape)


def check_menu(menu: Menu, v: Tensor, price: Price) -> None:
    """The laws of a menu at `v`, `(blocks, size)`, under one price. Raises `AssertionError` on the first broken one.

    Exact prox, projection feasible, idempotent and no farther than the hull, a higher multiplier never dearer, a budget
    met or an error with the cheapest reachable price, dtype and device kept, `v` not changed, `repr` and equality. Give
    a `v` of a few blocks: the whole set of points is searched where it is small.
    """
    before = v.clone()
    check_choices(menu, v)
    check_prox(menu, v, price)
    check_project(menu, v, price)
    assert torch.equal(v, before), f"{menu!r} changed the point it was given"
    check_repr(menu)


def check_choices(menu: Menu, v: Tensor) -> None:
    """Shapes, dtype, device of `Menu.menu`; frozen or free, an entry is on the menu of itself."""
    values, free = menu.menu(v)
    blocks, size = v.shape
    shape = (blocks, values.shape[1], size)
    assert values.shape == free.shape == shape, f"{menu!r}: {shape} expected, got {values.shape}, {free.shape}"
    assert (values.dtype, values.device) == (v.dtype, v.device), (
        f"{menu!r}: {v.dtype} {v.device} became {values.dtype} {values.device}"
    )
    assert free.dtype == torch.bool, f"{menu!r}: free must be bool, got {free.dtype}"
    for entry in range(values.shape[1]):
        z = values[:, entry].clone()
        again = (menu.menu(z).values == z[:, None]).all(-1).any(-1)
        assert again.all(), f"{menu!r}: {z[~again][0].tolist()} is on the menu near v, but not near itself"


def check_prox(menu: Menu, v: Tensor, price: Price) -> None:
    """Prox equals brute force at each multiplier, ties take the cheaper entry, a higher multiplier is never dearer."""
    values = menu.menu(v).values
    prices = price.price(values).double()
    distance = 0.5 * (values.double() - v[:, None].double()).square().sum(-1)
    spent = math.inf
    for lam in MULTIPLIERS:
        point = menu.prox(v, price, lam)
        cost = torch.where(prices.isinf(), math.inf, distance + lam * prices.nan_to_num(posinf=0.0))
        tied = cost <= cost.min(-1, keepdim=True).values
        cheapest = torch.where(tied, prices, math.inf).min(-1).values.sum()
        reached = _squares(v, point.z) + lam * point.price
        least = float(cost.min(-1).values.sum())
        assert math.isclose(reached, least, rel_tol=1e-6, abs_tol=1e-9), (
            f"{menu!r}: prox at {lam=} reached {reached}, brute force {least}"
        )
        assert point.price <= float(cheapest) * (1 + 1e-9), (
            f"{menu!r}: prox at {lam=} broke a tie for {point.price}, not {cheapest}"
        )
        assert point.price <= spent * (1 + 1e-9), f"{menu!r}: {lam=} costs {point.price}, a smaller multiplier {spent}"
        spent = point.price
        _check_point(menu, v, point)


def check_project(menu: Menu, v: Tensor, price: Price) -> None:
    """Each budget is met by a fixed point, no nearer than the best there is and no farther than the hull."""
    floor, ceiling = menu.budget(v, price)
    assert floor <= ceiling, f"{menu!r}: the cheapest point costs {floor}, the nearest {ceiling}"
    hull = [(point.price, _squares(v, point.z)) for point in (menu.prox(v, price, lam) for lam in MULTIPLIERS)]
    nearest = _frontier(menu, v, price)
    middle = [floor + share * (ceiling - floor) for share in (0.2, 0.5, 0.8)]
    for budget in (floor, *middle, ceiling, math.inf):
        point = menu.project(v, price, budget)
        _check_point(menu, v, point)
        reached = _squares(v, point.z)
        assert point.price <= budget, f"{menu!r}: {budget=} was exceeded, {point.price}"
        for hull_price, hull_distance in hull:
            assert hull_price > budget or reached <= hull_distance * (1 + 1e-9) + 1e-12, (
                f"{menu!r}: {budget=} reached 1/2||z-v||^2 = {reached}, a prox reaches {hull_distance} for {hull_price}"
            )
        bound = min((distance for spent, distance in nearest if spent <= budget * (1 + 1e-9)), default=0.0)
        assert reached >= bound * (1 - 1e-6) - 1e-9, f"{menu!r}: {budget=} reached {reached}, below the optimum {bound}"
        again = menu.project(point.z, price, budget)
        assert torch.equal(again.z, point.z), (
            f"{menu!r}: {budget=} is not idempotent: {point.z.tolist()}, then {again.z.tolist()}"
        )
    _check_unreachable(menu, v, price, floor)


def check_repr(noun: object) -> None:
    """`repr(noun)` spells a call that builds an equal object."""
    rebuilt = _build(ast.parse(repr(noun), mode="eval").body, type(noun))
    assert rebuilt == noun, f"repr does not rebuild it: {noun!r} became {rebuilt!r}"


def check_price(price: Price, z: Tensor) -> None:
    """The laws of a price at `z`, `(blocks, size)`: shape and sign, `z` not changed, repriced tight at `z`.

    A repriced price is a price: it keeps its unit and the same laws.
    """
    before = z.clone()
    assert price.unit, f"{price!r}: unit must name what is counted, got {price.unit!r}"
    values = torch.stack((z, torch.zeros_like(z), z + 1), 1)
    prices = price.price(values)
    assert prices.shape == values.shape[:2], f"{price!r}: {tuple(values.shape[:2])} expected, got {tuple(prices.shape)}"
    assert prices.device == z.device, f"{price!r}: values on {z.device}, prices on {prices.device}"
    assert (prices >= 0).all(), f"{price!r}: prices are at least 0, got {prices.min()}"
    alone = torch.cat([price.price(values[:, entry : entry + 1]) for entry in range(3)], 1)
    assert torch.equal(prices, alone), f"{price!r}: the price of an entry depends on the other entries offered"
    measured, tight = price.measure(z), price.reprice(z)
    estimate = float(tight.price(z[:, None]).double().sum())
    assert math.isclose(estimate, measured, rel_tol=1e-6, abs_tol=1e-9), (
        f"{price!r}: repriced around z it must be tight there, but estimates {estimate} where {measured} is measured"
    )
    assert tight.unit == price.unit, f"{price!r}: repriced, its unit became {tight.unit!r}"
    assert math.isclose(tight.measure(z), measured, rel_tol=1e-6), (
        f"{price!r}: repriced, it measures {tight.measure(z)}"
    )
    assert torch.equal(z, before), f"{price!r} changed the point it was given"


def check_task(task: Task, x: Tensor) -> None:
    """The laws of a task at `x`, `(blocks, size)`.

    The loss is a finite float; a fit lowers `loss + rho/2 ||x - anchor||^2`, ends nearer to the anchor for a higher
    rho, keeps shape, dtype and device, gives back what is not free exactly, and changes none of its inputs.
    """
    before, anchor = x.clone(), torch.zeros_like(x)
    loss = task.loss(x)
    assert isinstance(loss, float), f"loss must be a float, got {loss!r}"
    assert math.isfinite(loss), f"loss must be finite, got {loss}"
    gaps = []
    for rho in (0.1, 10.0):
        fitted = task.fit(x, anchor, rho).detach()
        assert (fitted.shape, fitted.dtype, fitted.device) == (x.shape, x.dtype, x.device), (
            f"fit must keep {tuple(x.shape)} {x.dtype} {x.device}, "
            f"got {tuple(fitted.shape)} {fitted.dtype} {fitted.device}"
        )
        start, end = (task.loss(at) + rho * _squares(anchor, at) for at in (x, fitted))
        assert end <= start * (1 + 1e-6) + 1e-9, f"fit at {rho=}: loss + penalty rose from {start} to {end}"
        gaps.append(_squares(anchor, fitted))
    assert gaps[1] <= gaps[0] * (1 + 1e-6) + 1e-9, f"a 100 times higher rho ended farther from the anchor: {gaps}"
    free = torch.arange(x.numel(), device=x.device).reshape(x.shape) % 2 == 0
    tuned = task.fit(x, x, 0.0, free).detach()
    assert torch.equal(tuned[~free], x[~free]), "fit moved coordinates that are not free"
    assert torch.equal(x, before), "fit changed x in place"
    assert not anchor.any(), "fit changed its anchor in place"


QUARTERS = (0.0, math.pi / 2, math.pi, 3 * math.pi / 2)

SOLVABLE: tuple[tuple[Menu, Price, tuple[int, int]], ...] = (
    (Sparsity(), NonzeroPrice((3.0, 1.0, 2.0, 1.0)), (4, 2)),
    (Levels(QUARTERS, period=4 * math.pi), LevelPrice(QUARTERS, (0.0, 1.0, 1.0, 1.0), 2.0, 4 * math.pi), (5, 1)),
    (FixedPoint(word=3, fraction=1), BitPrice(fraction=1), (4, 1)),
    (Product((Sparsity(), FixedPoint(2, 0)), (3, 2), sizes=(2, 1)), NonzeroPrice((2.0, 2.0, 2.0, 1.0, 1.0)), (5, 2)),
)
"""Menus with a price and the shape of a point, one of every kind."""


def check_solver(solver: Solver) -> None:
    """The laws of a solver, on small quadratics over menus of every kind. Raises `AssertionError` on the first broken.

    Feasible as measured, additive prices or not; on the menu; no worse than projecting the start once; on a quadratic
    without coupling, the point of `Menu.prox`; the same result each time; `x` not modified; `progress` called up to the
    last step; `steps`, `converged` and `residuals` in agreement.
    """
    for case, (menu, price, shape) in enumerate(SOLVABLE):
        task = _coupled(case, shape)
        floor, ceiling = menu.budget(task.optimum, price)
        for share in (0.0, 0.4, 1.0):
            check_solution(solver, task, menu, price, floor + share * (ceiling - floor))
        check_cold_limit(solver, menu, price, task.optimum)
    check_solution(solver, _coupled(0, (6, 1)), Sparsity(), _Runs(), 4.0)


def check_solution(solver: Solver, task: Quadratic, menu: Menu, price: Price, budget: float) -> None:
    """The laws of one solution, started at the task's optimum."""
    x, calls = task.optimum.clone(), list[tuple[int, int]]()

    def solve() -> Solution:
        calls.clear()
        return solver.solve(
            task, on=menu, price=price, budget=budget, x=x, progress=lambda k, n, _: calls.append((k, n))
        )

    name, first, solution = f"{solver!r} on {menu!r} at {budget=:g}", solve(), solve()
    z, measured = solution.z, price.measure(solution.z)
    assert torch.equal(x, task.optimum), f"{name}: changed its start in place"
    assert torch.equal(first.z, z), f"{name}: a second run ended elsewhere"
    assert solution.measured == measured <= budget, f"{name}: says {solution.measured}, measured {measured}"
    assert torch.equal(menu.prox(z, price, 0.0).z, z), f"{name}: {z.tolist()} is not on the menu"
    assert solution.loss == task.loss(z), f"{name}: says loss {solution.loss}, but it is {task.loss(z)}"
    if price.reprice(x) is price:
        once = task.loss(menu.project(x, price, budget).z)
        assert solution.loss <= once + 1e-9, f"{name}: worse than projecting the start once, {solution.loss} > {once}"
    dones = [done for done, _ in calls]
    assert dones, f"{name}: progress was never called"
    assert dones == sorted(set(dones)), f"{name}: progress does not advance: {dones}"
    assert all(done <= total for done, total in calls), f"{name}: progress beyond its total: {calls}"
    assert dones[-1] == solution.steps, f"{name}: progress ended at {dones[-1]}, steps={solution.steps}"
    apart = solution.residuals[-1]
    assert not solution.converged or apart <= 0.01 * float(z.norm()) + 1e-6, (
        f"{name}: converged, but x and z are {apart} apart"
    )


def check_cold_limit(solver: Solver, menu: Menu, price: Price, v: Tensor) -> None:
    """Without coupling, `loss(z) = 1/2 ||z - v||^2`: at the price of a proximal step nothing is better than that."""
    task = Quadratic(torch.eye(v.numel(), dtype=v.dtype), v)
    for lam in (0.1, 0.5):
        point = menu.prox(v, price, lam)
        solution = solver.solve(task, on=menu, price=price, budget=point.price, x=v)
        assert torch.equal(solution.z, point.z), (
            f"{solver!r} on {menu!r}: prox at {lam=} is {point.z.tolist()}, the solution {solution.z.tolist()}"
        )


def _coupled(seed: int, shape: tuple[int, int]) -> Quadratic:
    generator, n = torch.Generator().manual_seed(seed), math.prod(shape)
    a = torch.randn(n, n, generator=generator, dtype=torch.float64)
    optimum = 1.2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return Quadratic(a @ a.T / n + 0.05 * torch.eye(n, dtype=torch.float64), optimum)


@dataclass(frozen=True)
class _Runs:
    """A target that is not additive: each block costs 2, and neighbours that are both kept share 1."""

    each: tuple[float, ...] | float = 2.0
    unit: str = "coins"

    def price(self, values: Tensor) -> Tensor:
        return NonzeroPrice(self.each).price(values)

    def measure(self, z: Tensor) -> float:
        kept = (z != 0).any(-1)
        return float(2 * kept.sum() - (kept[1:] & kept[:-1]).sum())

    def reprice(self, z: Tensor) -> "_Runs":
        kept = (z != 0).any(-1)
        tight = self.measure(z) / max(int(kept.sum()), 1)
        return replace(self, each=tuple(torch.where(kept, tight, 2.0).tolist()))


def _check_point(menu: Menu, v: Tensor, point: Point) -> None:
    z, _, free = point
    assert (z.shape, z.dtype, z.device) == (v.shape, v.dtype, v.device), (
        f"{menu!r}: {tuple(v.shape)} {v.dtype} {v.device} became {tuple(z.shape)} {z.dtype} {z.device}"
    )
    values, offered = menu.menu(v)
    entry = (values == z[:, None]).all(-1) & (offered == free[:, None]).all(-1)
    assert entry.any(-1).all(), f"{menu!r}: {z.tolist()} takes something that is not on the menu"
    assert z.data_ptr() != v.data_ptr(), f"{menu!r}: the point shares its memory with the input"


def _check_unreachable(menu: Menu, v: Tensor, price: Price, floor: float) -> None:
    message = ""
    try:
        menu.project(v, price, math.nextafter(floor, -math.inf))
    except ValueError as error:
        message = str(error)
    assert message, f"{menu!r}: a budget below the cheapest price, {floor}, was accepted"
    assert f"costs {floor:g}" in message, f"the error must name the cheapest price, {floor:g}: {message}"


def _frontier(menu: Menu, v: Tensor, price: Price, most: int = 20_000) -> list[tuple[float, float]]:
    """Price and distance of every point there is, or of none if there are more than `most`."""
    values = menu.menu(v).values
    blocks, entries, _ = values.shape
    if entries**blocks > most:
        return []
    prices = price.price(values).double().tolist()
    squares = (0.5 * (values.double() - v[:, None].double()).square().sum(-1)).tolist()
    picks = itertools.product(range(entries), repeat=blocks)
    return [(_taken(prices, pick), _taken(squares, pick)) for pick in picks]


def _taken(table: list[list[float]], pick: tuple[int, ...]) -> float:
    return math.fsum(row[entry] for row, entry in zip(table, pick, strict=True))


def _squares(v: Tensor, z: Tensor) -> float:
    return float(0.5 * (z.double() - v.double()).square().sum())


def _build(node: ast.expr, kind: type) -> object:
    """Evaluates a repr made of literals, tuples and calls of menus, without `eval`."""
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name), f"repr must call a class by its name, got {ast.unparse(node.func)}"
        nouns = {cls.__name__: cls for cls in (*_subclasses(Menu), kind)}
        assert node.func.id in nouns, f"repr calls {node.func.id}, which is neither a menu nor {kind.__name__}"
        keywords = {str(word.arg): _build(word.value, kind) for word in node.keywords}
        return nouns[node.func.id](*(_build(arg, kind) for arg in node.args), **keywords)
    if isinstance(node, ast.Tuple | ast.List):
        items = [_build(item, kind) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise AssertionError(f"repr holds {ast.unparse(node)}, which is not a literal") from error


def _subclasses(cls: type) -> list[type[Any]]:
    below: list[type[Any]] = cls.__subclasses__()
    return below + [deeper for child in below for deeper in _subclasses(child)]
