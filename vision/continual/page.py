"""The page of continual learning: accuracy after each task, forgetting, memory, and the accuracy matrix of CML."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.lab import (
    Block,
    Estimate,
    Figure,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    cite,
    compared,
    downloads,
    equal_settings,
    plot,
    verdict,
)
from vision.continual.evaluate import after_each_task
from vision.continual.figures import METHODS, better_frozen, gain, points

DRAWN = ("cml", "nearest_mean_further", "fine_tuning", "replay", "joint")


def page(rows: Sequence[Row]) -> Page:
    """Seeds of the first row's settings together; the interval of a single one is over its streams."""
    title, summary = "Continual few-shot learning", "New classes task by task, answered for among all classes seen."
    same = equal_settings(rows)
    about = same[0].result
    intro = (
        f"{summary} Encoder trained on {about['base_classes']} classes; tasks of {about['novel_classes']} others. "
        f"{about['data']}. CML is our reconstruction from the abstract of arXiv 2207.12303."
    )
    blocks: list[Block] = [
        *(Text(note) for note in about["notes"]),
        _key(same),
        _methods(same),
        _course(same),
        _matrix(same),
        _training(same),
        *downloads(same, {"learner.safetensors": "the learner before its first class"}),
    ]
    return Page(title, intro, blocks, _verdict(same))


def _shown(rows: Sequence[Row], it: Estimate, form: str = ".1f", unit: str = "%") -> Number:
    return cite(it.value, *rows, form=form, unit=unit, low=it.low, high=it.high)


def _verdict(rows: Sequence[Row]) -> Text:
    comparisons = [
        compared(name, _shown(rows, gain(rows, method), "+.1f", "points"))
        for method, name in METHODS.items()
        if method != "cml"
    ]
    return verdict("CML, after the last task,", comparisons, "is ahead of", behind="is behind")


def _key(rows: Sequence[Row]) -> KeyFigures:
    best = better_frozen(rows)
    return KeyFigures(
        (
            ("accuracy on all classes after the last task", _shown(rows, points(rows, "cml"))),
            (f"accuracy above that of: {METHODS[best]}", _shown(rows, gain(rows, best), "+.1f", "points")),
            ("forgetting", _shown(rows, points(rows, "cml", "forgetting"), unit="points")),
            ("bytes kept of a class", cite(rows[0].result["bytes_per_class"], *rows)),
        )
    )


def _methods(rows: Sequence[Row]) -> Table:
    def of(method: str, key: str) -> float:
        return float(np.median([row.result["methods"][method][key] for row in rows]))

    lines: list[Sequence[str | Number]] = [
        (
            name,
            *(_shown(rows, points(rows, method, key)) for key in ("single", "final")),
            _shown(rows, points(rows, method, "forgetting"), unit="points"),
            cite(int(of(method, "bytes_kept")), *rows),
            cite(of(method, "ms_per_class"), *rows, form=".1f", unit="ms"),
        )
        for method, name in METHODS.items()
    ]
    columns = ("method", "first task", "all classes, at the end", "forgetting", "bytes kept", "CPU time of a class")
    note = (
        "Forgetting: how far a task has fallen at the end from its best. What lines 2 to 5 leave out, they leave out "
        "of the inner loop alone; the outer loop was the same. Joint tuning keeps every picture and bounds replay."
    )
    return Table("Methods on the same streams", columns, lines, note=note, strong=(0,))


def _mean_matrix(rows: Sequence[Row], method: str) -> Any:
    return np.mean([row.result["methods"][method]["accuracy"] for row in rows], axis=0)


def _course(rows: Sequence[Row]) -> Figure:
    def paint(axes: Any) -> None:
        for method in DRAWN:
            course = 100 * after_each_task(_mean_matrix(rows, method))
            axes.plot(range(1, len(course) + 1), course, marker=".", label=METHODS[method])
        axes.set(xlabel="tasks learned", ylabel="accuracy on all classes seen (%)", ylim=(0, 100))

    return plot(paint, *rows, title="Accuracy after each task", caption="Chance falls with the number of classes.")


def _matrix(rows: Sequence[Row]) -> Table:
    matrix = 100 * _mean_matrix(rows, "cml")
    lines: list[Sequence[str | Number]] = [
        (str(after + 1), *(cite(float(x), *rows, form=".0f") if task <= after else "" for task, x in enumerate(line)))
        for after, line in enumerate(matrix)
    ]
    columns = ("after task", *(f"task {task + 1}" for task in range(len(matrix))))
    return Table("Accuracy of CML on each task (%)", columns, lines)


def _training(rows: Sequence[Row]) -> Table:
    lines: list[Sequence[str | Number]] = []
    for stage in rows[0].result["epochs"]:
        epochs = [epoch for row in rows for epoch in row.result["epochs"][stage]]
        lines.append(
            (
                stage,
                cite(len(epochs) // len(rows), *rows),
                cite(sum(epoch["cpu_s"] for epoch in epochs) / len(rows), *rows, form=".0f", unit="s"),
                cite(epochs[-1]["loss"], *rows, form=".3f"),
            )
        )
    return Table("Training of the encoders", ("stage", "epochs", "CPU time", "last loss"), lines)
