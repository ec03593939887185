"""The experiments by name. Plain text, so that listing them imports nothing."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qwedge.shadowing import refuse_shadows

if TYPE_CHECKING:
    from shared.lab import Experiment


class Entry(NamedTuple):
    """Where an experiment's class is, what it does, and the extra that installs what it needs."""

    reference: str
    summary: str
    extra: str


# To add an experiment: write a subclass of `shared.lab.Experiment` beside its domain's page, and add an entry here.
EXPERIMENTS: Final[Mapping[str, Entry]] = {
    "compvqc": Entry(
        "quantum.compvqc.experiment:CompVQC",
        "Compress a variational quantum classifier for a real device, and compare it with every control.",
        "quantum",
    ),
    "noise": Entry(
        "quantum.noise.experiment:Noise",
        "Report how robust circuits are against device noise and finite shots, and where their errors come from.",
        "quantum",
    ),
    "f8net": Entry(
        "vision.f8net.experiment:F8NetGap",
        "Train an image classifier in 8-bit fixed point, beside its float net; count on the integer program.",
        "vision",
    ),
    "pruning_search": Entry(
        "qwedge.experiments.pruning_search:TimedPruningSearch",
        "Learn the width of every layer for a budget, beside widths by rule and by the solvers of the core.",
        "vision,mobile",
    ),
    "slimming": Entry(
        "qwedge.experiments.slimming:TimedSlimming",
        "Slim a net for a budget of milliseconds: depths, widths and operators, beside published nets and simple cuts.",
        "vision,mobile",
    ),
    "continual": Entry(
        "qwedge.experiments.continual:CompiledContinual",
        "Learn classes from a few pictures, task by task, without forgetting: CML beside its controls.",
        "vision,mobile",
    ),
    "superres": Entry(
        "qwedge.experiments.superres:TimedSuperRes",
        "Search a net that enlarges pictures within a budget, beside bicubic, FSRCNN, ECBSR and other shapes.",
        "vision,mobile",
    ),
    "superres_int8": Entry(
        "qwedge.experiments.superres_int8:UpscaleInt8",
        "Train a net that enlarges pictures in 8-bit integers, compile it, and time it beside other runtimes.",
        "vision,mobile",
    ),
    "superres_packages": Entry(
        "qwedge.experiments.superres_packages:Packages",
        "Set trained nets of pip packages, SPAN and realesr-animevideov3, beside the net that ships.",
        "vision,mobile",
    ),
    "stylize": Entry(
        "qwedge.experiments.stylize:TimedStylize",
        "Search a net that gives pictures a style within a budget, beside its teacher and other shapes.",
        "vision,mobile",
    ),
    "ofdm": Entry(
        "wireless.ofdm.experiment.run:OFDM",
        "Swap legacy and neural blocks of an 802.11 receiver, compress each, count errors everywhere.",
        "wireless",
    ),
    "ofdm_fpga": Entry(
        "qwedge.experiments.ofdm_fpga:OFDMFPGA",
        "Compress the receiver's estimator for an FPGA's price, build it, compare every step.",
        "wireless,fpga",
    ),
    "radar": Entry(
        "qwedge.experiments.radar:TimedRadar",
        "Tell radar waveforms apart by small nets, beside the Bayes bound.",
        "wireless",
    ),
    "radar_fpga": Entry(
        "qwedge.experiments.radar_fpga:RadarFPGA",
        "Name the waveforms in a recording by a compressed net on an FPGA, every step compared.",
        "wireless,fpga",
    ),
    "solvers": Entry(
        "qwedge.experiments.solvers:Solvers",
        "Compare ADMM, the relaxation and projecting once in four domains, at equal prices and gradient steps.",
        "quantum,wireless",
    ),
    "compile": Entry(
        "mobile.build.experiment:Compile",
        "Compile a net to a C library that computes the same integers, and measure every layer.",
        "mobile",
    ),
    "profile": Entry(
        "mobile.build.profile:Profile",
        "Predict every kernel call of a net on this machine, and measure it.",
        "mobile",
    ),
    "synth": Entry(
        "fpga.build.experiment:Synth",
        "Bring a net onto an FPGA with open tools, and compare every step bit for bit.",
        "fpga",
    ),
}

ROOTS: Final = ("shared", "quantum", "wireless", "vision", "mobile", "fpga", "qwedge")
"""Top-level packages of ours."""


def load(name: str) -> "Experiment[Any]":
    """The experiment called `name` in the catalogue, or the class at `module:Class` of the user's own.

    Raises ValueError for an unknown name and ModuleNotFoundError, with the `pip install` line, for a missing extra.
    """
    if ":" in name:
        return _own(name)
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        hint = f"did you mean `{near[0]}`? It must be" if near else "use"
        raise ValueError(f"no experiment {name!r}: {hint} one of {', '.join(EXPERIMENTS)}, or your own as module:Class")
    from shared.lab import load_experiment

    with extra_named(name):
        return load_experiment(EXPERIMENTS[name].reference)


@contextmanager
def extra_named(name: str) -> Iterator[None]:
    """Where a module is missing inside, say which extra of experiment `name` installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if name not in EXPERIMENTS or missing in ROOTS or "pip install" in str(error):
            raise
        extra = EXPERIMENTS[name].extra
        raise ModuleNotFoundError(f"`{extra}` needs {missing}: pip install -e '.[{extra}]'", name=missing) from None


def _own(reference: str) -> "Experiment[Any]":
    from shared.lab import load_experiment

    # An installed command does not look in the working directory, where a user's own module usually is.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
        refuse_shadows(ROOTS)
    needs = f"no experiment at {reference}: %s; needs module:Class, importable from here"
    if not all(part.isidentifier() for part in reference.replace(":", ".", 1).split(".")):
        raise ValueError(needs % "that is not the name of a class in a module")
    try:
        return load_experiment(reference)
    except (ImportError, AttributeError) as error:
        raise ValueError(needs % error) from error
    except ValueError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module does while it is imported
        raise ValueError(needs % f"importing it ends with {type(error).__name__}: {error}") from error
