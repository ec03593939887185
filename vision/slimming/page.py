"""The page of a slimming: accuracies at each budget, and every step from the largest net."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.lab import (
    Block,
    Figure,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    downloads,
    equal_settings,
    plot,
    verdict,
)
from vision.slimming.figures import NETS, best_rival, gains, nets, percent, regret, search_cost, seconds, shared_nets
from vision.slimming.plan import Plan

RUNTIMES = {"qwedge": "`qwedge compile --numbers float32` on one thread", "onnxruntime": "ONNX Runtime on one thread"}
FILES = {
    "net-{}.safetensors": "the slimmed net with its plan, for `vision.slimming.files.load`",
    "plan-{}.json": "its widths and operators",
    "net-{}.onnx": "the slimmed net as ONNX",
}


def page(rows: Sequence[Row]) -> Page:
    """Seeds of the first row's settings together."""
    same = equal_settings(rows)
    price, data = same[0].result["price"], same[0].result["data"]
    runtime = f" Milliseconds are those of {RUNTIMES[price.get('runtime', 'qwedge')]}." if _is_timed(same) else ""
    summary = (
        f"From {Plan.from_json_data(same[0].result['largest']).spelled()}, which costs {price['largest']:,.4g} "
        f"{price['unit']}, to {' and '.join(_budgets(same))}. {data['name']}. Stages are written as width: "
        "operators, C for fused 3x3 convolutions, S for single ones, P for pooling, A for attention. Intervals are "
        f"95 %, over seeds.{runtime}"
    )
    files = {
        name.format(f"{at['budget']:.4g}"): f"{note} within {at['budget']:.4g} {price['unit']}"
        for at in same[0].result["budgets"]
        for name, note in FILES.items()
    }
    blocks: list[Block] = [
        _key(same), _front(same), _nets(same), *_race(same), _path(same), _course(same), *downloads(same, files)
    ]  # fmt: skip
    return Page("Latency-driven slimming", summary, blocks, _verdict(same))


def _budgets(rows: Sequence[Row]) -> list[str]:
    result = rows[0].result
    return [f"{at['budget']:,.4g} {result['price']['unit']}" for at in result["budgets"]]


def _is_timed(rows: Sequence[Row]) -> bool:
    return bool(rows[0].result["price"]["unit"] == "ms")


def _verdict(rows: Sequence[Row]) -> Text:
    comparisons = [
        compared(f"{name} at {budget}", cite_mean(gains(rows, place, rival), *rows, form="+.2f", unit="points"))
        for place, budget in enumerate(_budgets(rows))
        for rival, name in shared_nets(rows, place).items()
        if rival != "slimmed"
    ]
    return verdict("The slimmed net", comparisons, "has a higher accuracy than", behind="has a lower accuracy than")


def _key(rows: Sequence[Row]) -> KeyFigures:
    figures = [
        (
            f"accuracy above that of {NETS[control]}, at {budget}",
            cite_mean(gains(rows, place, control), *rows, form="+.2f", unit="points"),
        )
        for place, budget in enumerate(_budgets(rows))
        for control in ("uniform", best_rival(rows, place))
        if control in shared_nets(rows, place)
    ]
    cost = cite_mean([search_cost(row) for row in rows], *rows, form=".2f")
    figures.append(("CPU time of the search, in that of training the slimmed nets", cost))
    if _is_timed(rows):
        measured = cite_mean([regret(row) for row in rows], *rows, form="+.1f", unit="%")
        figures.append(("time measured above the prediction, at the worst budget", measured))
    return KeyFigures(figures)


def _front(rows: Sequence[Row]) -> Figure:
    """Accuracy against measured time, or against the price where nothing was timed."""
    key, unit = ("measured_ms", "ms, measured") if _is_timed(rows) else ("price", rows[0].result["price"]["unit"])

    def paint(axes: Any) -> None:
        for net, name in NETS.items():
            points = [
                (nets(row, place)[net][key], percent(row, place, net))
                for place in range(len(rows[0].result["budgets"]))
                if net in shared_nets(rows, place)
                for row in rows
            ]
            if points:
                axes.scatter(*zip(*points, strict=True), label=name)
        axes.set(xlabel=unit, ylabel="accuracy (%)")
        axes.legend()

    return plot(paint, *rows, title="Accuracy against cost", caption="Every seed and budget is a point.")


def _nets(rows: Sequence[Row]) -> Table:
    def mean(place: int, net: str, key: str, form: str, scale: float = 1.0) -> Number:
        return cite_mean([float(nets(row, place)[net][key]) / scale for row in rows], *rows, form=form)

    timed = _is_timed(rows)
    lines: list[Sequence[str | Number]] = [
        (
            budget,
            name,
            _spelled(nets(rows[0], place)[net]),
            cite_mean([percent(row, place, net) for row in rows], *rows, form=".2f", unit="%"),
            *((mean(place, net, key, ".3g") for key in ("price", "measured_ms")) if timed else ()),
            mean(place, net, "macs", ".2f", 1e6),
            mean(place, net, "parameters", ".0f", 1e3),
            cite_mean([seconds(row, place, net) for row in rows], *rows, form=".0f", unit="s"),
        )
        for place, budget in enumerate(_budgets(rows))
        for net, name in shared_nets(rows, place).items()
    ]
    times = ("ms, predicted", "ms, measured") if timed else ()
    columns = (
        "budget", "net", "widths and operators of the first seed", "accuracy", *times, "million MACs",
        "thousand parameters", "CPU time",
    )  # fmt: skip
    note = (
        "All begin with random weights. The first uniform net is trained for the CPU time of the slimmed net, the "
        "others for that of its search besides, in whole epochs by a short measurement. CPU time is that of this "
        "training. Published nets are scaled by width; one that does not get so small is not there."
    )
    strong = [number for number, (_, name, *_) in enumerate(lines) if name == NETS["slimmed"]]
    return Table("Nets within the budgets", columns, lines, note=note, strong=tuple(strong))


def _spelled(net: Mapping[str, Any]) -> str:
    return Plan.from_json_data(net["plan"]).spelled() if "plan" in net else str(net["spelled"])


def _race(rows: Sequence[Row]) -> list[Table]:
    """None where the plan of the course was not raced: by `candidates=1`."""
    row = rows[0]
    lines: list[Sequence[str | Number]] = []
    for budget, at in zip(_budgets(rows), row.result["budgets"], strict=True):
        race = at["race"]
        for name, spelled in race["candidates"].items() if race["rounds"] else ():
            losses = [each["losses"][name] for each in race["rounds"] if name in each["losses"]]
            kept = "is the slimmed net" if name == race["winner"] else f"dropped after round {len(losses)}"
            lines.append((budget, name, spelled, cite(losses[-1], row, form=".3f"), kept))
    columns = ("budget", "candidate", "widths and operators", "last loss of the race", "outcome")
    note = (
        "Candidates are the plan of the course, uniform scaling and random cuts. They train side by side, each on its "
        "own whole schedule; after each round the half of higher training loss stops, and the last one goes on."
    )
    return [Table("The race of the first seed", columns, lines, note=note)] if lines else []


def _path(rows: Sequence[Row]) -> Figure:
    unit = rows[0].result["price"]["unit"]

    def paint(axes: Any) -> None:
        for row in rows:
            course = row.result["course"]
            prices = [step["price"] for step in course]
            axes.plot(prices, [step["loss"] for step in course], marker=".", label=f"seed {row.seed}")
        axes.set(xlabel=unit, ylabel="validation loss by the supernet")
        axes.legend()

    title = "From the largest net to the least budget"
    return plot(paint, *rows, title=title, caption="With the supernet's weights, on validation images, from the right.")


def _course(rows: Sequence[Row]) -> Table:
    row = rows[0]
    unit = row.result["price"]["unit"]
    lines: list[Sequence[str | Number]] = [
        (
            cite(number + 1, row),
            step["action"],
            Plan.from_json_data(step["plan"]).spelled(),
            cite(step["price"], row, form=",.4g", unit=unit),
            cite(step["loss"], row, form=".3f"),
        )
        for number, step in enumerate(row.result["course"])
    ]
    columns = ("step", "action", "plan", "price", "loss by the supernet")
    note = (
        f"{row.result['judged']} plans were judged on the way. At each budget the net is the one of these within it "
        "that loses least, with what is left of the budget filled."
    )
    return Table("Every step of the first seed", columns, lines, note=note)
