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
from vision.continual.figures import METHODS, better_frozen, gain, methods, points

DRAWN = ("cml", "nearest_mean_further", "maml", "fine_tuning", "replay", "joint")
MARKERS = "os^vDPX*<>"


def page(rows: Sequence[Row]) -> Page:
    """Seeds of the first row's settings together; the interval of a single one is over its streams."""
    title, summary = "Continual few-shot learning", "New classes task by task, answered for among all classes seen."
    same = equal_settings(rows)
    about = same[0].result
    intro = (
        f"{summary} Encoder trained on {about['base_classes']} classes; tasks of {about['novel_classes']} others. "
        f"{about['data']}. CML is our reconstruction from the abstract of arXiv 2207.12303, {_inner_loop(same[0])}."
    )
    first, *others = same[0].settings["shots"]
    blocks: list[Block] = [
        *(Text(note) for note in about["notes"]),
        _key(same, first),
        *(block for shots in (first, *others) for block in _of(same, shots)),
        _embeddings(same),
        _training(same),
        *downloads(same, {"learner.safetensors": "the learner before its first class"}),
    ]
    return Page(title, intro, blocks, _verdict(same, first))


def _inner_loop(row: Row) -> str:
    steps = row.settings["inner_steps"]
    return f"with {steps} step{'s' * (steps > 1)} of the inner loop on each task" if steps else "without its inner loop"


def _of(rows: Sequence[Row], shots: int) -> Sequence[Block]:
    curves = {"forgetting_own_course": "among a task's own classes", "forgetting_course": "among all classes learned"}
    return (
        _methods(rows, shots),
        _course(rows, shots),
        *(
            _forgetting(rows, shots, key, among)
            for key, among in curves.items()
            if key in methods(rows[0], shots)["cml"]
        ),
        _matrix(rows, shots),
    )


def _from(shots: int) -> str:
    return f"{shots} picture{'s' * (shots > 1)} of a class"


def _shown(rows: Sequence[Row], it: Estimate, form: str = ".1f", unit: str = "%") -> Number:
    return cite(it.value, *rows, form=form, unit=unit, low=it.low, high=it.high)


def _verdict(rows: Sequence[Row], shots: int) -> Text:
    comparisons = [
        compared(name, _shown(rows, gain(rows, shots, method), "+.1f", "points"))
        for method, name in METHODS.items()
        if method != "cml" and method in methods(rows[0], shots)
    ]
    subject = f"CML, from {_from(shots)}, after the last task,"
    return verdict(subject, comparisons, "is ahead of", behind="is behind")


def _key(rows: Sequence[Row], shots: int) -> KeyFigures:
    best = better_frozen(rows, shots)
    return KeyFigures(
        (
            (f"accuracy on all classes, from {_from(shots)}", _shown(rows, points(rows, shots, "cml"))),
            (f"accuracy above that of: {METHODS[best]}", _shown(rows, gain(rows, shots, best), "+.1f", "points")),
            (
                "forgetting, among a task's own classes",
                _shown(rows, points(rows, shots, "cml", "forgetting_own"), unit="points"),
            ),
            ("bytes kept of a class", cite(rows[0].result["bytes_per_class"], *rows)),
        )
    )


def _methods(rows: Sequence[Row], shots: int) -> Table:
    def of(method: str, key: str) -> float:
        return float(np.median([methods(row, shots)[method][key] for row in rows]))

    lines: list[Sequence[str | Number]] = [
        (
            name,
            cite(len(methods(rows[0], shots)[method]["final"]), *rows),
            *(_shown(rows, points(rows, shots, method, key)) for key in ("single", "final")),
            *(
                _shown(rows, points(rows, shots, method, key), unit="points")
                for key in ("forgetting_own", "forgetting")
            ),
            cite(int(of(method, "bytes_kept")), *rows),
            cite(of(method, "ms_per_class"), *rows, form=".1f", unit="ms"),
        )
        for method, name in METHODS.items()
        if method in methods(rows[0], shots)
    ]
    columns = (
        "method",
        "streams",
        "first task",
        "all classes, at the end",
        "forgetting, own classes",
        "fall, all classes",
        "bytes kept",
        "CPU time of a class",
    )
    note = (
        "Forgetting: how far a task has fallen at the end from its best, where answers are among its own classes. The "
        "fall where answers are among all classes learned holds, besides, that the question has become harder. Joint "
        "tuning keeps every picture, and each step has one of every class. Differences are taken over equal streams."
    )
    return Table(f"Methods, from {_from(shots)}", columns, lines, note=note, strong=(0,))


def _mean_matrix(rows: Sequence[Row], shots: int, method: str) -> Any:
    return np.mean([methods(row, shots)[method]["accuracy"] for row in rows], axis=0)


def _course(rows: Sequence[Row], shots: int) -> Figure:
    def paint(axes: Any) -> None:
        for method in DRAWN:
            course = 100 * after_each_task(_mean_matrix(rows, shots, method))
            axes.plot(range(1, len(course) + 1), course, marker=".", label=METHODS[method])
        axes.set(xlabel="tasks learned", ylabel="accuracy on all classes seen (%)", ylim=(0, 100))

    title = f"Accuracy after each task, from {_from(shots)}"
    return plot(paint, *rows, title=title, caption="Chance falls with the number of classes.")


def _forgetting(rows: Sequence[Row], shots: int, key: str, answers: str) -> Figure:
    def paint(axes: Any) -> None:
        for method in DRAWN:
            course = 100 * np.mean([methods(row, shots)[method][key] for row in rows], axis=0)
            axes.plot(range(1, len(course) + 1), course, marker=".", label=METHODS[method])
        axes.set(xlabel="tasks learned", ylabel="forgetting (points)")

    title = f"Forgetting after each task, from {_from(shots)}"
    return plot(paint, *rows, title=title, caption=f"Points below a task's best so far, answers {answers}.")


def _matrix(rows: Sequence[Row], shots: int) -> Table:
    matrix = 100 * _mean_matrix(rows, shots, "cml")
    lines: list[Sequence[str | Number]] = [
        (str(after + 1), *(cite(float(x), *rows, form=".0f") if task <= after else "" for task, x in enumerate(line)))
        for after, line in enumerate(matrix)
    ]
    columns = ("after task", *(f"task {task + 1}" for task in range(len(matrix))))
    return Table(f"Accuracy of CML on each task (%), from {_from(shots)}", columns, lines)


def _embeddings(rows: Sequence[Row]) -> Figure:
    plane = rows[0].result["embeddings"]

    def paint(axes: Any) -> None:
        for number, each in enumerate(plane["classes"]):
            axes.scatter(*np.transpose(each["points"]), s=14, marker=MARKERS[number % len(MARKERS)], label=each["name"])
        axes.set(xlabel="first direction", ylabel="second direction")

    caption = f"Classes that the encoder never saw, on the plane that holds {plane['share']:.0%} of their variance."
    return plot(paint, rows[0], title="Embeddings of pictures", caption=caption)


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
