"""A project of hls4ml for a vendor's tool, checked and, where the tool is installed, synthesised; as rows hold it."""

import io
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from fpga.build.verify import CannotRunError, Check, hls_check, verify
from fpga.hls import Project, lower
from shared.integer import Program
from shared.integer.files import to_json
from shared.integer.format import Integers
from shared.lab import Context, cache_folder

ARCHIVE = "project.tar.gz"
_TOP = "project"


def project(
    program: Program,
    backend: str,
    clock_ns: float,
    samples: int,
    context: Context,
    task_samples: Integers | None = None,
    preceding: Sequence[Check] = (),
) -> dict[str, Any]:
    """Writes the project, runs its C++ here if it can be compiled, and the vendor's tool if it is on PATH.

    The project is the artefact `project.tar.gz`; `preceding` are further checks to run first. Raises `ValueError` for
    an operation that hls4ml cannot compute, and naming the first value whose numbers differ from the program's.
    """
    key = sha256(f"{backend} {clock_ns} {to_json(program)}".encode()).hexdigest()
    folder = cache_folder() / "projects" / key[:32]
    context.progress(0, 3, "writing the project")
    written = lower(program, folder, backend=backend, clock_ns=clock_ns)
    context.progress(1, 3, "compiling and comparing")
    results = context.checkpoint("compared", partial(_compared, written, samples, context.rng, task_samples, preceding))
    context.progress(2, 3, "synthesis")
    reports = context.checkpoint("reports", partial(_synthesised, written))
    context.artefact(ARCHIVE, archive_of(folder))
    precisions = [{"name": layer.name, "value": layer.value, **layer.precision} for layer in written.layers]
    return {"backend": backend, "clock_ns": clock_ns, "layers": precisions, "ladder": results, "vendor": reports}


def archive_of(folder: Path) -> bytes:
    """A folder as an archive, without paths of this machine."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in (".so", ".gz"):
                archive.add(path, Path(_TOP) / path.relative_to(folder), recursive=False)
    return data.getvalue()


def unpack(path: Path) -> None:
    """The folder in the archive, written beside it; raises ValueError, with nothing written, for another archive."""
    try:
        with tarfile.open(path) as archive:
            # Files alone, each in the project's folder: the row that names the archive may be anybody's.
            for member in archive.getmembers():
                if Path(member.name).parts[:1] != (_TOP,) or not member.isfile():
                    raise ValueError(f"{path} holds {member.name!r}, which is not a file of {_TOP}/")
            archive.extractall(path.parent, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not an archive of a project: {error}") from error


def _compared(
    written: Project,
    samples: int,
    rng: np.random.Generator,
    task_samples: Integers | None,
    preceding: Sequence[Check],
) -> list[dict[str, Any]]:
    """All values of the program on a few samples, then the output on all of them."""
    checks = [*preceding, Check("every layer", partial(_checked, written), 10), hls_check(written, samples)]
    return [result.to_json_data() for result in verify(written.program, checks, rng, task_samples).results]


def _checked(written: Project, x: Integers) -> Integers:
    if shutil.which(written.backend.compiler) is None:
        raise CannotRunError(f"it needs {written.backend.compiler!r} on PATH")
    written.check(x)
    return written.predict(x)


def _synthesised(written: Project) -> dict[str, Any]:
    """The vendor's reports, or why there are none."""
    try:
        return {"reports": written.build()}
    except OSError as error:
        return {"missing": str(error).replace(str(written.folder), ARCHIVE)}
