"""The page of a radar run: accuracy against noise beside the bound, what is mistaken for what, the size of each net."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.lab import (
    COLORS,
    Block,
    Download,
    Figure,
    KeyFigures,
    Number,
    Page,
    Row,
    Table,
    Text,
    canonical,
    cite,
    cite_mean,
    compared,
    plot,
    verdict,
    wilson,
)
from wireless.radar.compression.techniques import TECHNIQUES
from wireless.radar.experiment.figures import (
    classes,
    counts,
    mean_accuracy,
    of_net,
    right,
    tested_db,
    together,
    worst_recall,
)
from wireless.radar.nets.registry import NETS
from wireless.radar.waveforms.catalogue import ALIKE, WAVEFORMS

BAYES = "bayes"
"""The name of the bound among the nets."""
TITLES = {BAYES: "Bayes classifier over templates, SNR known", **{name: entry.title for name, entry in NETS.items()}}

OFTEN = 0.95
"""Share of right answers below which a ratio is worth a look at single classes."""
CLOSE = 1.2
"""Costs of two nets whose ratio is below this are neighbours in a drawing."""

Counted = NDArray[np.int64]


def page(rows: Sequence[Row]) -> Page:
    """One set of tables for all rows of equal settings: seeds are pooled, nets stay apart."""
    comparable = _comparable(rows)
    # A sweep begins with the weights of another row: where that row is here, it counts for the net itself.
    trained = [row for row in comparable if not row.settings.get("weights")]
    same = _once(trained + [row for row in comparable if not of_net(trained, row.result["net"])])
    names = list(dict.fromkeys(row.result["net"] for row in same))
    best = max((name for name in names if name != BAYES), key=lambda name: _mean(of_net(same, name)), default=BAYES)
    shown = of_net(same, best)
    blocks: list[Block] = [
        _key(shown),
        _curves(same, names),
        _nets(same, names),
        *(Text(f"{note[0].upper()}{note[1:]}.") for note in shown[0].result.get("notes", ())),
        _matrix(shown),
        _classes(shown),
        *_techniques(comparable),
        *([_training(shown)] if shown[0].result.get("epochs") else []),
        *(Download(name, row, f"seed {row.seed}") for row in comparable for name in row.artefacts),
    ]
    own = same[0].settings.get("data")
    summary = (
        f"{len(classes(same[0]))} classes of pulses"
        + (f" of {own}. " if own else f" in windows of {same[0].settings['samples']} complex samples; ")
        + ("" if own else "the signal-to-noise ratio is that of the pulse while it lasts, in the whole band. ")
        + "Intervals are 95 %."
    )
    return Page("Radar waveforms told apart", summary, blocks, _verdict(same, names, best))


def _comparable(rows: Sequence[Row]) -> list[Row]:
    """Rows that were counted on the same classes and ratios; of several groups the largest."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = classes(row), tested_db(row), row.settings["samples"], row.settings.get("data", "")
        groups.setdefault(key, []).append(row)
    return max(groups.values(), key=len)


def _once(rows: Sequence[Row]) -> list[Row]:
    """One row of each net and seed: sweeps that begin with the same weights count the same answers of the net."""
    return list({(row.result["net"], row.seed): row for row in reversed(rows)}.values())[::-1]


def _mean(rows: Sequence[Row]) -> float:
    return float(np.mean([mean_accuracy(row) for row in rows]))


def _verdict(rows: Sequence[Row], names: Sequence[str], best: str) -> Text:
    """The most accurate net beside the bound and the other nets, in points of mean accuracy."""
    comparisons = [
        compared(TITLES[name], _difference(of_net(rows, best), of_net(rows, name))) for name in names if name != best
    ]
    ours = of_net(rows, best)
    mean = cite_mean([100 * mean_accuracy(row) for row in ours], *ours, form=".1f", unit="%")
    lead = f"The {TITLES[best]} parameters" if best != BAYES else f"The {TITLES[best]}"
    first = Text(f"{lead}: ", mean, " of all pulses are named rightly. ")
    if not comparisons:
        return Text(*first.parts, "Nothing stands beside it here.")
    beside = verdict("It", comparisons, "is more accurate than", "is level with", "is less accurate than")
    return Text(*first.parts, *beside.parts)


def _difference(ours: Sequence[Row], theirs: Sequence[Row]) -> Number:
    """Points of mean accuracy between two nets, over the seeds of both; paired where they are the same."""
    pairs = {row.seed: row for row in theirs}
    if all(row.seed in pairs for row in ours):
        points = [100 * (mean_accuracy(row) - mean_accuracy(pairs[row.seed])) for row in ours]
    else:
        points = [100 * (mean_accuracy(row) - _mean(theirs)) for row in ours]
    return cite_mean(points, *ours, *theirs, form="+.1f", unit="points")


def _pooled(rows: Sequence[Row]) -> Counted:
    total: Counted = np.sum([counts(row) for row in rows], 0)
    return total


def _key(rows: Sequence[Row]) -> KeyFigures:
    figures = [("mean accuracy over all ratios", cite_mean([mean_accuracy(row) for row in rows], *rows, form=".1%"))]
    db = tested_db(rows[0])
    for at in sorted({_nearest(db, -6.0), len(db) - 1}):
        figures.append((f"accuracy at {db[at]:g} dB", _share(_pooled(rows), at, rows)))
    worst = worst_recall(_pooled(rows), len(db) - 1)
    figures.append((f"recall of the worst class at {db[-1]:g} dB", cite(worst, *rows, form=".1%")))
    return KeyFigures(figures)


def _nearest(db: Sequence[float], wanted: float) -> int:
    return min(range(len(db)), key=lambda at: abs(db[at] - wanted))


def _share(counted: Counted, at: int, rows: Sequence[Row]) -> Number:
    it = wilson(int(np.trace(counted[at])), int(counted[at].sum()))
    return cite(it.value, *rows, form=".1%", low=it.low, high=it.high)


def _curves(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    """Accuracy against the ratio, with every class by itself and with those that are nearly alike as one."""
    db = tested_db(rows[0])

    def paint(*panels: Any) -> None:
        for axes, count in zip(panels, (counts, together), strict=True):
            for name in names:
                total = np.sum([count(row) for row in of_net(rows, name)], 0)
                shares = [wilson(int(np.trace(each)), int(each.sum())) for each in total]
                line = {"color": COLORS["grey"], "linestyle": "--"} if name == BAYES else {}
                [curve] = axes.plot(db, [100 * it.value for it in shares], label=TITLES[name], marker="o", **line)
                low, high = (
                    [100 * bound for bound in bounds] for bounds in zip(*(it[1:] for it in shares), strict=True)
                )
                axes.fill_between(db, low, high, color=curve.get_color(), alpha=0.2, linewidth=0)
            axes.set_xlabel("signal-to-noise ratio in dB")
            axes.set_ylabel("right answers in %")
            axes.set_ylim(0, 100)
        panels[0].set_title("every class by itself")
        panels[1].set_title(f"{', '.join(ALIKE)} as one")

    caption = "Share of pulses named rightly; higher is better. Shaded: 95 % intervals."
    return plot(paint, *rows, title="Accuracy against noise", caption=caption, panels=2)


def _nets(rows: Sequence[Row], names: Sequence[str]) -> Table:
    db = tested_db(rows[0])
    shown = sorted({_nearest(db, wanted) for wanted in (-8.0, 0.0, 10.0)})
    lines: list[Sequence[str | Number]] = []
    for name in names:
        of = of_net(rows, name)
        lines.append(
            (
                TITLES[name],
                *(cite(of[0].result.get(key), *of, form=",.0f") for key in ("parameters", "bytes", "macs")),
                cite_mean([mean_accuracy(row) for row in of], *of, form=".1%"),
                *(_share(_pooled(of), at, of) for at in shown),
                cite_mean([float(right(together(row)).mean()) for row in of], *of, form=".1%"),
            )
        )
    columns = ("net", "params", "bytes", "MACs", "mean", *(f"{db[at]:g} dB" for at in shown), "alike as one")
    note = (
        f"Accuracy over all ratios, at three of them, and with {', '.join(ALIKE)} counted as one class: they differ in "
        "little more than their carrier. A multiply-accumulate (MAC) is of one window."
    )
    return Table("Nets", columns, lines, note)


def _techniques(rows: Sequence[Row]) -> list[Block]:
    """What each technique of compression makes of each net, beside the net; all of them, whatever came of it."""
    shown = [row for row in rows if row.result.get("techniques")]
    if not shown:
        return []
    sweeps: dict[str, list[Row]] = {}
    for row in shown:
        terms = [row.settings.get(name) for name in _SWEEP]
        sweeps.setdefault(canonical([row.result["net"], terms, list(row.result["techniques"])]), []).append(row)
    return [_front(shown), *(table for sweep in sweeps.values() for table in _tables(sweep))]


_SWEEP = ("budget", "price", "tuning", "examples", "snr_db")
"""Settings that techniques depend on: rows with other ones are in tables of their own."""


def _terms(row: Row) -> str:
    """What each technique may keep and spends, in words."""
    settings = row.settings
    kept = f"{settings.get('budget', 1.0):.0%} of the {'MACs' if settings.get('price') == 'macs' else 'bytes'}"
    if settings.get("data"):
        return f"{kept}, {settings['tuning']} epochs"
    return f"{kept}, {settings.get('tuning', 0) * settings.get('examples', 0):,} pulses"


def _tables(rows: Sequence[Row]) -> list[Table]:
    """The techniques of one net, a line each: what its nets cost, and how often they are right."""
    db = tested_db(rows[0])
    at = sorted({_nearest(db, wanted) for wanted in (-8.0, 0.0, 10.0)})
    is_timed = all("ms" in row.result for row in rows)
    title, terms = TITLES[rows[0].result["net"]], _terms(rows[0])
    nets: dict[str, Sequence[Mapping[str, Any]]] = {f"the net: {title}": [{**row.result, "kept": 1.0} for row in rows]}
    for name in rows[0].result["techniques"]:
        nets[TECHNIQUES[name].title] = [row.result["techniques"][name] for row in rows]

    def cost(results: Sequence[Mapping[str, Any]]) -> Sequence[str | Number]:
        means = {key: float(np.mean([it[key] for it in results])) for key in ("bytes", "macs", "kept")}
        size, smaller = rows[0].result["parameters"], rows[0].result["bytes"] / means["bytes"]
        return (
            cite(means["kept"] * size, *rows, form=",.0f"),
            cite(means["bytes"], *rows, form=",.0f"),
            cite(smaller, *rows, form=".1f", unit="x"),
            cite(means["macs"], *rows, form=",.0f"),
            cite(means["kept"], *rows, form=".0%"),
            *([_ms(results, "compiled", rows), _ms(results, "dense in ONNX Runtime", rows)] if is_timed else []),
        )

    def accuracy(results: Sequence[Mapping[str, Any]]) -> Sequence[Number]:
        answers = [np.array(result["confusion"]) for result in results]
        gained = [
            100 * float(right(a).mean() - right(counts(row)).mean()) for a, row in zip(answers, rows, strict=True)
        ]
        return (
            cite_mean([float(right(each).mean()) for each in answers], *rows, form=".1%"),
            cite_mean(gained, *rows, form="+.1f", unit="points"),
            *(_share(np.sum(answers, 0), ratio, rows) for ratio in at),
            cite(float(np.mean([it.get("cpu_s", 0.0) for it in results])), *rows, form=",.0f", unit="s"),
        )

    times = ("compiled", "dense, ONNX Runtime") if is_timed else ()
    costs = ("technique", "parameters", "bytes", "smaller", "MACs", "weights", *times)
    accuracies = ("technique", "mean", "against the net", *(f"{db[ratio]:g} dB" for ratio in at), "CPU time")
    note = (
        "Bytes in floating point: four for each number that is not zero, and a bit for each block of a layer that has "
        "zeros; in fixed point: weights, biases and binary points as LZMA codes them. MACs are those whose weight is "
        "not zero." + (" Times are of a window on one thread, both in turn." if is_timed else "")
    )
    trained = (
        f"Every technique has the same terms ({terms}): the share that it may keep, and its training in pulses. Small "
        "nets train from scratch, for the epochs of the net too. Unfavourable results are kept."
    )
    cost_lines: list[Sequence[str | Number]] = [(name, *cost(each)) for name, each in nets.items()]
    accuracy_lines: list[Sequence[str | Number]] = [(name, *accuracy(each)) for name, each in nets.items()]
    return [
        Table(f"Compression of the {title}: {terms}", costs, cost_lines, note),
        Table(f"Accuracy of the compressed {title}: {terms}", accuracies, accuracy_lines, trained),
        *_controls(rows, f"{title}: {terms}"),
        *_hardware(rows, f"{title}: {terms}"),
    ]


def _ms(results: Sequence[Mapping[str, Any]], runtime: str, rows: Sequence[Row]) -> Number:
    return cite(float(np.mean([it["ms"][runtime] for it in results])), *rows, form=".3f", unit="ms")


def _controls(rows: Sequence[Row], title: str) -> list[Table]:
    """Each technique beside a dense net of as many bytes that was trained from scratch."""
    lines: list[Sequence[str | Number]] = []
    for name in rows[0].result["techniques"]:
        results = [row.result["techniques"][name] for row in rows]
        if not all(result.get("same_size") for result in results):
            continue
        controls = [result["same_size"] for result in results]
        ours, theirs = (
            [100 * float(right(np.array(it["confusion"])).mean()) for it in each] for each in (results, controls)
        )
        lines.append(
            (
                TECHNIQUES[name].title,
                *(
                    cite(float(np.mean([it["bytes"] for it in each])), *rows, form=",.0f")
                    for each in (results, controls)
                ),
                *(cite_mean(each, *rows, form=".1f", unit="%") for each in (ours, theirs)),
                cite_mean([a - b for a, b in zip(ours, theirs, strict=True)], *rows, form="+.1f", unit="points"),
            )
        )
    columns = ("technique", "bytes", "dense net's", "mean", "dense net's", "compressed minus dense")
    note = (
        "The dense net has numbers of the same kind, takes no more bytes, and trains from scratch for the epochs of "
        "the net and of the technique together."
    )
    return [Table(f"Beside dense nets of the same size, {title}", columns, lines, note)] if lines else []


RESOURCES = {"lut": "logic cells", "ff": "flip-flops", "dsp": "multipliers", "bram": "block RAMs"}


def _hardware(rows: Sequence[Row], title: str) -> list[Table]:
    """Fixed-point nets on the FPGA: as planned, and as placed and routed where that was asked for."""
    lines: list[Sequence[str | Number]] = []
    for name in rows[0].result["techniques"]:
        plans = [row.result["techniques"][name].get("fpga", {}) for row in rows]
        if not all(plans):
            continue
        if any("short" in plan for plan in plans):
            lines.append((TECHNIQUES[name].title, "does not fit", *[""] * (len(RESOURCES) + 2)))
            continue
        for stage, per_second, mhz in (("estimated", "per_second", 100.0), ("routed", "routed_per_second", None)):
            if all(per_second in plan for plan in plans):
                clock = mhz or float(np.mean([plan["routed_mhz"] for plan in plans]))
                taken = [plan["used"] if stage == "routed" else plan for plan in plans]
                lines.append(
                    (
                        TECHNIQUES[name].title,
                        stage,
                        cite(float(np.mean([plan[per_second] for plan in plans])), *rows, form=",.0f"),
                        cite(clock, *rows, form=".0f", unit="MHz"),
                        *(cite(float(np.mean([it[kind] for it in taken])), *rows, form=",.0f") for kind in RESOURCES),
                    )
                )
    columns = ("technique", "", "windows a second", "clock", *RESOURCES.values())
    note = "The fastest plan that the device holds. Estimates are of before any tool ran, at a clock of 100 MHz."
    return [Table(f"On an {rows[0].settings['device']}, {title}", columns, lines, note)] if lines else []


def _front(rows: Sequence[Row]) -> Figure:
    """Mean accuracy against bytes, MACs and, where all are timed, milliseconds; a line joins what nothing beats."""
    points = [
        (name, result, float(right(np.array(result["confusion"])).mean()))
        for row in rows
        for name, result in ((row.result["net"], row.result), *row.result["techniques"].items())
    ]
    costs: dict[Callable[[Any], float], str] = {
        itemgetter("bytes"): "bytes",
        itemgetter("macs"): "multiply-accumulates of a window",
    }
    if all("ms" in result for _, result, _ in points):
        costs[lambda result: float(result["ms"]["compiled"])] = "milliseconds of a window, compiled"

    def paint(*panels: Any) -> None:
        from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

        for axes, (cost, words) in zip(panels, costs.items(), strict=True):
            best = -1.0
            front = []
            for name, result, accuracy in sorted(points, key=lambda point: (cost(point[1]), -point[2])):
                axes.plot(cost(result), 100 * accuracy, "o", color=COLORS["blue"])
                if accuracy > best:
                    best = accuracy
                    front.append((cost(result), 100 * accuracy, name))
            axes.plot(*zip(*((x, y) for x, y, _ in front), strict=True), color=COLORS["grey"], linewidth=1)
            for (before, *_), (x, y, name) in pairwise([(0.0,), *front]):
                up = x < CLOSE * before  # the higher of two neighbours, whose name would meet the other's
                axes.annotate(name, (x, y), fontsize=6, xytext=(0, 4 if up else -8), textcoords="offset points")
            axes.set_xscale("log")
            spent = [cost(result) for _, result, _ in points]
            decade = max(spent) > 10 * min(spent)  # in less, the logarithmic one marks every step, and names meet
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)) if decade else MaxNLocator(3))
            axes.xaxis.set_major_formatter(EngFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(y=0.15)
            axes.set_xlabel(words)
            axes.set_ylabel("right answers in %")

    caption = "Mean accuracy over all ratios; up and left is better. The line joins what nothing of its size beats."
    return plot(paint, *rows, title="Accuracy against size", caption=caption, panels=len(costs))


def _telling(rows: Sequence[Row]) -> int:
    """The index of the highest ratio at which answers are often wrong: above it there is little to see."""
    wrong = np.flatnonzero(right(_pooled(rows)) < OFTEN)
    return int(wrong[-1]) if len(wrong) else len(tested_db(rows[0])) - 1


def _matrix(rows: Sequence[Row]) -> Figure:
    """What is taken for what."""
    at = _telling(rows)
    names, counted, db = classes(rows[0]), _pooled(rows)[at], tested_db(rows[0])[at]
    shares = 100 * counted / np.maximum(counted.sum(1, keepdims=True), 1)

    def paint(axes: Any) -> None:
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=100, edgecolors="none")
        axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90)
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlabel("answer")
        axes.set_ylabel("class")

    caption = f"At {db:g} dB. A line is a class and adds up to 100 %; darker is more, and the diagonal is right."
    return plot(paint, *rows, title="What is taken for what", caption=caption, size=(5.2, 4.6))


def _classes(rows: Sequence[Row]) -> Table:
    """Every class, with the class that it is mistaken for most."""
    at = _telling(rows)
    counted, names = _pooled(rows)[at], classes(rows[0])
    lines: list[Sequence[str | Number]] = []
    for index, name in enumerate(names):
        total, wrong = int(counted[index].sum()), counted[index].copy()
        wrong[index] = 0
        it = wilson(int(counted[index, index]), max(total, 1))
        most = int(wrong.argmax())
        share = cite(wrong[most] / max(total, 1), *rows, form=".1%") if wrong.any() else ""
        recall = cite(it.value, *rows, form=".1%", low=it.low, high=it.high)
        title = WAVEFORMS[name].title if name in WAVEFORMS else ""
        lines.append((name, title, recall, names[most] if wrong.any() else "", share))
    columns = ("class", "waveform", "named rightly", "mistaken most for", "share")
    note = f"At the highest ratio at which fewer than {OFTEN:.0%} of all answers are right, or at the highest."
    return Table(f"Classes at {tested_db(rows[0])[at]:g} dB", columns, lines, note)


def _training(rows: Sequence[Row]) -> Table:
    lines = [
        (
            cite(number + 1, *rows),
            cite_mean([row.result["epochs"][number]["loss"] for row in rows], *rows, form=".3f"),
            cite(float(np.mean([row.result["epochs"][number]["cpu_s"] for row in rows])), *rows, form=".0f", unit="s"),
        )
        for number in range(len(rows[0].result["epochs"]))
    ]
    note = "Means over seeds. The loss is the mean over an epoch, of pulses that no other epoch has."
    return Table("Training", ("epoch", "loss", "CPU time"), lines, note)
