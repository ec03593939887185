"""The experiment `radar`: settings, cells, and the stages of one."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shared.integer import Program
from shared.integer.files import to_json
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, hash_file
from shared.training.epochs import Trainer
from shared.weights.prices import MACs
from wireless.radar.bound.bayes import bayes
from wireless.radar.bound.templates import require_templates
from wireless.radar.channel.channel import Channel
from wireless.radar.compression.early_exit import EarlyExit
from wireless.radar.compression.techniques import FROM_SCRATCH, SWEEP, TECHNIQUES, same_size, suits
from wireless.radar.compression.work import Outcome, PriceName, Work
from wireless.radar.datasets.generate import EACH, Windowed, blocks, generate
from wireless.radar.datasets.layouts import hashes, read_set
from wireless.radar.datasets.recipe import Recipe
from wireless.radar.experiment.evaluate import Classify, confusion, ratios
from wireless.radar.experiment.page import BAYES, page
from wireless.radar.nets.classifier import Classifier, fresh, log_probabilities
from wireless.radar.nets.registry import NETS
from wireless.radar.training import Endless, Source, Stored, run_epoch, trainer
from wireless.radar.waveforms.catalogue import TWELVE, WAVEFORMS, waveform
from wireless.radar.waveforms.ranges import Part

TIMED = 20
"""Blocks of pulses whose generation is timed."""
_NO_BOUND = "is the bound of generated pulses in noise alone"
HELD_OUT = 0.2
"""Share of each class of a user's set that is counted and not trained on."""


class RadarSettings(Seeded):
    """The pulses, the nets, how long they are trained, and on how many pulses they are counted."""

    nets: tuple[str, ...] = Field(
        default=(BAYES, "iq"), min_length=1, description=f"{BAYES} (the bound), {', '.join(NETS)}: a row each"
    )
    classes: tuple[str, ...] = Field(default=TWELVE, min_length=2, description=f"of {', '.join(WAVEFORMS)}")
    samples: int = Field(default=1024, description="complex samples of a window")
    data: str = Field(
        default="",
        description="a set of your own, not generated: HDF5, .npz or SigMF",
    )
    snr_db: tuple[float, float] = Field(default=(-16.0, 10.0), description="range of the training pulses, in dB")
    tested_db: tuple[float, ...] = Field(
        default=tuple(float(db) for db in range(-16, 11, 2)), min_length=1, description="at which answers are counted"
    )
    tested: int = Field(default=100, gt=0, description="pulses of each class at each of them")
    bound_tested: int = Field(default=5, gt=0, description=f"the same for {BAYES}, which takes long")
    disjoint: bool = Field(default=False, description="parameter ranges of training and test have nothing in common")
    epochs: int = Field(default=10, gt=0, description="epochs of training")
    examples: int = Field(default=24_000, gt=0, description="pulses of an epoch, new ones in each")
    rate: float = Field(default=3e-3, gt=0, description="highest learning rate")
    batch: int = Field(default=128, gt=1, description="pulses of a training step")
    paths: int = Field(default=0, ge=0, description="further propagation paths")
    spread: float = Field(default=8.0, gt=0, description="their mean delay in samples")
    offset: float = Field(default=0.0, ge=0, description="largest frequency offset in cycles per sample")
    phase_noise: float = Field(default=0.0, ge=0, description="step of the phase's random walk in radians")
    overlap: float = Field(default=0.0, ge=0, le=1, description="share of windows with a second, weaker pulse")
    weights: str = Field(default="", description="weights (.safetensors) to begin with, instead of training")
    further: int = Field(default=0, ge=0, description="epochs that those weights are trained further")
    techniques: tuple[str, ...] = Field(
        default=SWEEP, description=f"of compression, [] for none: {', '.join(TECHNIQUES)}"
    )
    budget: float = Field(default=0.25, gt=0, le=1, description="share of the net's price that each may keep")
    price: PriceName = Field(default="bytes", description="what that is: bytes, or multiply-accumulates")
    tuning: int = Field(default=2, gt=0, description="epochs of training that each technique takes")
    same_size: bool = Field(
        default=False, description="a dense net of as many bytes, trained from scratch, beside each technique"
    )
    timed: bool = Field(default=False, description="milliseconds too: needs a C compiler and the extra mobile")
    onnx: bool = Field(default=False, description="nets as ONNX files, checked in ONNX Runtime: needs the extra mobile")
    device: str = Field(default="", description="an FPGA that fixed-point nets are planned for: needs the extra fpga")
    placed: bool = Field(default=False, description="those plans are placed and routed as well, which takes minutes")

    @property
    def trained(self) -> int:
        """Epochs of training, before any technique."""
        return self.further if self.weights else self.epochs

    @property
    def has_bound(self) -> bool:
        """Whether the Bayes classifier is the bound of these pulses."""
        return not self.data and self.channel() == Channel()

    def channel(self) -> Channel:
        return Channel(self.paths, self.spread, self.offset, self.phase_noise, self.overlap)

    def training_recipe(self) -> Recipe:
        """Of one epoch."""
        part: Part = "train" if self.disjoint else "all"
        return Recipe(self.examples, self.classes, self.samples, self.snr_db, part=part, channel=self.channel())

    @property
    def bound_widths(self) -> tuple[int, ...]:
        """Half the window and all of it."""
        return self.samples // 2, self.samples

    def test_recipe(self, each: int, snr_db: tuple[float, ...], widths: tuple[int, ...] = ()) -> Recipe:
        """`each` pulses of each class at each ratio; no seed of a training set makes one of them."""
        count = each * len(self.classes) * len(snr_db)
        return Recipe(
            count,
            self.classes,
            self.samples,
            snr_db,
            grid=True,
            part="test" if self.disjoint else "all",
            widths=widths,
            channel=self.channel(),
            seed=self.seed,
        )


class Radar(Experiment[RadarSettings]):
    """Tell radar waveforms apart by small nets, beside the Bayes bound.

    One cell is one net and one seed: its training, and its answers on pulses that nothing was trained on.
    """

    name = "radar"
    version = 4  # 4: dropped weights of two-dimensional layers stay dropped; first weights of small nets are other ones

    def cells(self, settings: RadarSettings) -> Sequence[RadarSettings]:
        unknown = sorted(set(settings.nets) - {BAYES, *NETS})
        if unknown:
            raise ValueError(f"no radar net {unknown[0]!r}: it must be one of {BAYES}, {', '.join(NETS)}")
        if unknown := sorted(set(settings.techniques) - set(TECHNIQUES)):
            raise ValueError(f"no technique {unknown[0]!r}: it must be one of {', '.join(TECHNIQUES)}")
        if settings.data:
            read_set(Path(settings.data)).parted(HELD_OUT, np.random.default_rng(0))  # which refuses what is no set
        if settings.placed and not settings.device:
            raise ValueError("placed=True: on which device? Give one, such as device=ecp5-25k")
        settings.training_recipe(), settings.test_recipe(1, settings.tested_db)  # which refuse what makes no set
        nets = tuple(dict.fromkeys(settings.nets))
        if BAYES in nets and not settings.has_bound:
            if "nets" in settings.model_fields_set:
                raise ValueError(f"{BAYES} {_NO_BOUND}: leave it out of nets here")
            nets = tuple(net for net in nets if net != BAYES)
        if BAYES in nets:
            for name in settings.classes:
                require_templates(waveform(name))
        techniques = {net: _techniques(net, settings) for net in nets}
        return [
            cell.model_copy(update={"nets": (net,), "techniques": techniques[net]})
            for net in nets
            for cell in settings.per_seed()
        ]

    def data(self, cell: RadarSettings) -> Mapping[str, str]:
        files = hashes(Path(cell.data)) if cell.data else {}
        return files | ({Path(cell.weights).name: hash_file(cell.weights)} if cell.weights else {})

    def run(self, cell: RadarSettings, context: Context) -> Mapping[str, JSON]:
        return _Cell(cell, context, self).result()

    def milliseconds(self, net: nn.Module | Program, dense: nn.Module, samples: int) -> Mapping[str, float]:
        """Measured times of one window, of `net` and of the `dense` one that it comes from, by runtime.

        Raises `ValueError` here, where no compiler is known; `qwedge.experiments.radar` measures.
        """
        raise ValueError("timed=True needs a compiler of nets: run `qwedge run radar`, or leave it out")

    def planned(self, program: Program, device: str, placed: bool) -> Mapping[str, JSON]:
        """The fastest design of a fixed-point net that an FPGA holds, as estimated before any tool runs, and `placed`.

        Raises `ValueError` here, where no FPGA is known; `qwedge.experiments.radar` plans.
        """
        raise ValueError(f"{device=} needs plans of FPGAs: run `qwedge run radar`, or leave it out")

    def onnx(self, net: nn.Module | Program, samples: int) -> bytes:
        """`net` as an ONNX file, whose answers are those of `net`.

        Raises `ValueError` here, where no runtime is known; `qwedge.experiments.radar` writes and checks.
        """
        raise ValueError("onnx=True needs ONNX Runtime: run `qwedge run radar`, or leave it out")

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _techniques(net: str, settings: RadarSettings) -> tuple[str, ...]:
    """Those of the settings; of the default ones those that the net can take. Raises `ValueError` for others."""
    if net == BAYES:
        return ()
    built = NETS[net].build(len(settings.classes), settings.samples)
    unsuited = [name for name in settings.techniques if not suits(name, built)]
    if unsuited and "techniques" in settings.model_fields_set:
        able = ", ".join(name for name in TECHNIQUES if suits(name, built))
        raise ValueError(f"techniques: {unsuited[0]} is of nets of one-dimensional layers, {net} can take {able}")
    return tuple(name for name in settings.techniques if name not in unsuited)


class _Cell:
    """The stages of one cell. Each epoch is stored once finished, so a killed run continues after the last one."""

    def __init__(self, settings: RadarSettings, context: Context, targets: Radar) -> None:
        self.settings, self.context, self.targets = settings, context, targets

    def result(self) -> Mapping[str, JSON]:
        [name] = self.settings.nets
        return self.bound() if name == BAYES else self.net(name)

    def bound(self) -> Mapping[str, JSON]:
        """The Bayes classifier, on pulses of two lengths where no code sets them: its templates are as many."""
        settings = self.settings
        self.context.plan(len(settings.tested_db))
        counted = [self.context.stage(f"bound at {db:g} dB", partial(self.bound_at, db)) for db in settings.tested_db]
        return {"net": BAYES, "confusion": counted, "widths": list(settings.bound_widths)}

    def bound_at(self, db: float) -> JSON:
        settings = self.settings
        windowed = generate(settings.test_recipe(settings.bound_tested, (db,), settings.bound_widths))
        answers = bayes(windowed, settings.classes, settings.bound_widths, self.context.progress)
        counts = confusion(lambda _: answers, [windowed], np.array([db]), len(settings.classes))
        return list(counts[0].tolist())

    def net(self, name: str) -> Mapping[str, JSON]:
        settings = self.settings
        self.context.plan(settings.trained + 3 + len(settings.techniques))
        pulses = self.own() if settings.data else self.generated()
        classifier, epochs = self.trained(name, pulses)
        counts = self.context.stage("counting", partial(self.count, classify_by(classifier.net), pulses))
        self.context.artefact(f"{name}.safetensors", classifier.to_bytes())
        self.export(name, classifier.net, pulses)
        tried = {
            technique: self.context.stage(technique, partial(self.compressed, technique, classifier, pulses))
            for technique in settings.techniques
        }
        failed = [f"{technique} cannot be: {it['cannot']}" for technique, it in tried.items() if "cannot" in it]
        size = sum(parameter.numel() for parameter in classifier.net.parameters())
        return {
            "net": name,
            "parameters": size,
            "bytes": 4 * size,
            "macs": float(MACs((2, pulses.samples)).number_costs(classifier.net, (), None).sum()),
            "epochs": epochs,
            **pulses.about,
            "notes": [*pulses.notes, *failed],
            **counts,
            **self.times(classifier.net, classifier.net, pulses),
            "techniques": {technique: it for technique, it in tried.items() if "cannot" not in it},
        }

    def compressed(self, technique: str, classifier: Classifier, pulses: "_Pulses") -> dict[str, JSON]:
        """What a technique makes of the net, and its answers on the same pulses; or why it cannot: the rest goes on."""
        work = self.work(technique, classifier, pulses)
        started = time.process_time()
        try:
            outcome = TECHNIQUES[technique].compress(work)
        except ValueError as error:
            return {"cannot": str(error)}
        result = self.counted(outcome, time.process_time() - started, pulses)
        if isinstance(outcome.net, Program):
            self.context.artefact(f"{technique}.json", to_json(outcome.net).encode())
        self.export(technique, outcome.net, pulses)
        result |= {**self.times(outcome.net, classifier.net, pulses), **self.plan(outcome.net)}
        if self.settings.same_size and technique not in FROM_SCRATCH:
            started = time.process_time()
            beside = same_size(work, technique, outcome.bytes)
            result["same_size"] = beside and self.counted(beside, time.process_time() - started, pulses)
        return result

    def work(self, technique: str, classifier: Classifier, pulses: "_Pulses") -> Work:
        settings = self.settings
        return Work(
            classifier.net,
            pulses.source,
            pulses.samples,
            len(pulses.classes),
            settings.budget,
            settings.tuning,
            settings.epochs + settings.tuning,
            settings.rate,
            settings.batch,
            self.context.generator(),
            lambda done, total, note: self.context.progress(done, total, f"{technique}, {note}"),
            settings.price,
        )

    def counted(self, outcome: Outcome, spent: float, pulses: "_Pulses") -> dict[str, JSON]:
        """What a net costs, with the CPU time that it took to train, and its answers."""
        counts = self.count(lambda windowed: outcome.answers(windowed.samples), pulses)
        return {"bytes": outcome.bytes, "macs": outcome.macs, "kept": outcome.kept, "cpu_s": spent, **counts}

    def export(self, name: str, net: nn.Module | Program, pulses: "_Pulses") -> None:
        if self.settings.onnx and not isinstance(net, EarlyExit):  # whose two parts are two graphs
            self.context.artefact(f"{name}.onnx", self.targets.onnx(net, pulses.samples))

    def times(self, net: nn.Module | Program, dense: nn.Module, pulses: "_Pulses") -> dict[str, JSON]:
        return {"ms": dict(self.targets.milliseconds(net, dense, pulses.samples))} if self.settings.timed else {}

    def plan(self, net: nn.Module | Program) -> dict[str, JSON]:
        if not self.settings.device or not isinstance(net, Program):
            return {}
        return {"fpga": dict(self.targets.planned(net, self.settings.device, self.settings.placed))}

    def generated(self) -> "_Pulses":
        settings = self.settings
        recipe = settings.test_recipe(settings.tested, settings.tested_db)
        about: dict[str, JSON] = {
            "trained_on": settings.trained * settings.examples,
            "tested_on": {"recipe": recipe.identity, "windows": recipe.count},
            "generation": self.context.stage("generating", self.generation),
        }
        source = Endless(settings.training_recipe())
        test = partial(blocks, recipe)
        return _Pulses(source, recipe.classes, recipe.samples, test, settings.tested_db, about, self.notes())

    def notes(self) -> Sequence[str]:
        return [] if self.settings.has_bound else [f"no bound stands beside: {BAYES} {_NO_BOUND}"]

    def generation(self) -> JSON:
        """The CPU time of each of some blocks of pulses, one after the other, on this machine."""
        each = EACH * len(self.settings.classes)
        parts, seconds = blocks(self.settings.training_recipe().with_count(TIMED * each)), list[float]()
        next(parts)  # fills tables and caches
        for _ in parts:
            seconds.append(time.process_time())
        return {"pulses": each, "cpu_s": np.diff(seconds).tolist()}

    def own(self) -> "_Pulses":
        """The user's set: a fifth of each class is kept for the counts."""
        whole = read_set(Path(self.settings.data))
        train, test = whole.parted(HELD_OUT, np.random.default_rng(self.settings.seed))
        db, notes = ratios(whole.snr_db)
        about: dict[str, JSON] = {
            "trained_on": len(train.labels),
            "tested_on": {"windows": len(test.labels)},
            "classes": whole.classes,
            "tested_db": db,
        }
        notes = (*whole.notes, *notes, *self.notes())
        kept = Windowed(test.samples, test.labels, np.nan_to_num(test.snr_db))
        source = Stored(Windowed(train.samples, train.labels, train.snr_db))
        return _Pulses(source, whole.classes, whole.samples.shape[1], lambda: [kept], db, about, notes)

    def trained(self, name: str, pulses: "_Pulses") -> tuple[Classifier, list[Mapping[str, JSON]]]:
        """The net after all epochs, with the loss and the CPU time of each."""
        settings, epochs = self.settings, []
        seed = self.context.stage("first weights", lambda: int(self.context.rng.integers(2**62)))
        generator = torch.Generator().manual_seed(seed)
        initial = fresh(name, pulses.classes, pulses.samples, generator)
        classifier = self.loaded(pulses) if settings.weights else initial
        training = trainer(classifier.net, settings.trained, settings.rate, settings.batch)
        for number in range(1, settings.trained + 1):
            title = f"{name}, epoch {number}/{settings.trained}"
            epochs.append(self.context.stage(title, partial(self.epoch, title, training, pulses.source)))
            training.restore(self.context.load_tensors(title))
        classifier.net.cpu().eval()
        return classifier, epochs

    def loaded(self, pulses: "_Pulses") -> Classifier:
        path = Path(self.settings.weights)
        classifier = Classifier.from_bytes(path.read_bytes(), str(path))
        if (classifier.name, classifier.classes, classifier.samples) != (
            self.settings.nets[0],
            pulses.classes,
            pulses.samples,
        ):
            raise ValueError(
                f"{path} is {classifier.name} for {', '.join(classifier.classes)} in {classifier.samples} samples; "
                f"needs {self.settings.nets[0]} for {', '.join(pulses.classes)} in {pulses.samples}"
            )
        return classifier

    def epoch(self, title: str, training: Trainer, source: Source) -> JSON:
        started = time.process_time()
        loss = run_epoch(
            training,
            source,
            self.context.generator(),
            lambda done, total, note: self.context.progress(done, total, f"{title}, {note}"),
        )
        self.context.save_tensors(title, training.state())
        return {"loss": loss, "cpu_s": time.process_time() - started}

    def count(self, classify: Classify, pulses: "_Pulses") -> dict[str, JSON]:
        grid = np.array(pulses.tested_db)
        counts = confusion(classify, pulses.test(), grid, len(pulses.classes), self.context.progress)
        return {"confusion": counts.tolist()}


@dataclass(frozen=True, eq=False)
class _Pulses:
    """What a net is trained on and counted on, generated or the user's own."""

    source: Source
    classes: tuple[str, ...]
    samples: int
    test: Callable[[], Iterable[Windowed]]
    tested_db: Sequence[float]
    about: Mapping[str, JSON]
    notes: Sequence[str]


def classify_by(net: nn.Module) -> Classify:
    """The class whose logit is largest."""
    return lambda windowed: log_probabilities(net, windowed.samples).argmax(1)
