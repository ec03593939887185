"""The slimming itself: from the largest plan, again and again the action that loses least per price that it saves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vision.slimming.plan import CHEAPER, STEP, Plan

Price = Callable[[Plan], float]
"""Milliseconds, or multiply-accumulates, of a plan's net."""
Loss = Callable[[Plan], float]
"""The validation loss of a plan with the supernet's weights."""


class Step(NamedTuple):
    """An action that was taken, and what the plan after it costs and loses."""

    action: str
    plan: Plan
    price: float
    loss: float


def slimmed(plan: Plan, price: Price, loss: Loss, budget: float, least: int = STEP) -> Iterator[Step]:
    """The course from `plan` to the first plan within `budget`, each step when it is taken.

    Y. Li et al., EfficientFormer (arXiv 2206.01191), algorithm 1: of all actions, the one that loses least per price
    saved. The paper counts right answers; a loss tells more of the same few images. What an action lost per price at an
    earlier step stands for what it loses now until it comes first, and only then is computed anew (M. Minoux,
    *Accelerated greedy algorithms*, 1978). Raises `ValueError` where no action is left and the budget is not met.

    >>> cost = lambda plan: float(sum(plan.widths))
    >>> [step.plan.widths for step in slimmed(Plan((32, 48), ((), ())), cost, lambda plan: -plan.widths[1] / 48, 50)]
    [(16, 48), (16, 32)]
    """
    cost, lost = price(plan), loss(plan)
    rates: dict[str, float] = {}
    while cost > budget:
        best = None
        for action, other in sorted(plan.actions(least), key=lambda each: rates.get(each[0], -np.inf)):
            step = Step(action, other, price(other), 0.0)
            if step.price >= cost:
                continue
            if best is not None and rates.get(action, -np.inf) >= rates[best.action]:
                break
            step = step._replace(loss=loss(other))
            rates[action] = (step.loss - lost) / (cost - step.price)
            if best is None or rates[action] < rates[best.action]:
                best = step
        if best is None:
            raise ValueError(
                f"the budget of {budget:g} is not met: {plan.spelled()} costs {cost:.4g} and is the least; ask for more"
            )
        plan, cost, lost = best.plan, best.price, best.loss
        yield best


def best_within(losses: Mapping[Plan, float], price: Price, budget: float) -> Plan:
    """Of all plans judged on a course that ends within the budget, the one within it that loses least.

    >>> cost = lambda plan: float(sum(plan.widths))
    >>> losses = {Plan((48,), ((),)): 0.1, Plan((32,), ((),)): 0.3, Plan((16,), ((),)): 0.5}
    >>> best_within(losses, cost, 40).widths
    (32,)
    """
    return min((plan for plan in losses if price(plan) <= budget), key=lambda plan: losses[plan])


def filled(plan: Plan, largest: Plan, price: Price, loss: Loss, budget: float) -> Plan:
    """The plan with stages widened by `STEP` and blocks as dear as those of `largest`, within the budget.

    Each time the change that loses least is made. A course ends in large steps and at plans that a short training of
    the supernet favours, and what it leaves of the budget is accuracy for nothing.

    >>> cost = lambda plan: float(sum(plan.widths))
    >>> filled(Plan((16, 32), ((), ())), Plan((32, 48), ((), ())), cost, lambda plan: -plan.widths[1], 70).widths
    (16, 48)
    """
    while within := _dearer_within(plan, largest, price, budget):
        plan = min(within, key=loss)
    return plan


def _dearer_within(plan: Plan, largest: Plan, price: Price, budget: float) -> list[Plan]:
    return [each for each in _dearer(plan, largest) if price(plan) < price(each) <= budget]


def _dearer(plan: Plan, largest: Plan) -> Iterator[Plan]:
    """Every plan up to the largest of which one action makes `plan`."""
    for stage, width in enumerate(plan.widths):
        if width + STEP <= largest.widths[stage]:
            yield replace(plan, widths=(*plan.widths[:stage], width + STEP, *plan.widths[stage + 1 :]))
        for place, operator in enumerate(plan.blocks[stage]):
            most = largest.blocks[stage][place]
            for other in (each for each in (most, *CHEAPER[most]) if operator in CHEAPER[each]):
                blocks = (*plan.blocks[stage][:place], other, *plan.blocks[stage][place + 1 :])
                try:
                    yield replace(plan, blocks=(*plan.blocks[:stage], blocks, *plan.blocks[stage + 1 :]))
                except ValueError:  # a block of maps behind one of tokens
                    continue


def uniform(plan: Plan, price: Price, budget: float, least: int = STEP) -> Plan:
    """The plan with every stage narrowed by one factor, rounded down to a multiple of `STEP`, within the budget.

    Where widths alone do not get there, blocks are left out from the end of each stage, one at a time.
    """
    for dropped in range(1 + max(map(len, plan.blocks))):
        blocks = tuple(_without(each, dropped) for each in plan.blocks)
        for factor in np.arange(1.0, 0.0, -0.05):
            widths = tuple(max(least, int(factor * width) // STEP * STEP) for width in plan.widths)
            if price(candidate := Plan(widths, blocks)) <= budget:
                return candidate
    raise ValueError(f"no uniform scaling of {plan.spelled()} costs {budget:g} or less; ask for more")


def random(plan: Plan, price: Price, budget: float, rng: np.random.Generator, least: int = STEP) -> Plan:
    """A plan within the budget by actions taken at random, and others taken back at random as the budget allows."""
    largest = plan
    while price(plan) > budget:
        cheaper = [other for _, other in plan.actions(least)]
        if not cheaper:
            raise ValueError(f"the budget of {budget:g} is not met by random actions; ask for more")
        plan = cheaper[int(rng.integers(len(cheaper)))]
    while within := _dearer_within(plan, largest, price, budget):
        plan = within[int(rng.integers(len(within)))]
    return plan


def _without(blocks: tuple, dropped: int) -> tuple:
    """The stage's blocks with the last `dropped` of them none, one at least being kept."""
    kept = max(len(blocks) - dropped, min(len(blocks), 1))
    return blocks[:kept] + ("none",) * (len(blocks) - kept)
