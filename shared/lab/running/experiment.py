"""What an experiment is: settings, independent cells, a computation, and a page."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any, Generic, TypeVar, get_args, get_origin

from shared.lab.pages.page import Page, Table
from shared.lab.records.identity import JSON, fingerprint
from shared.lab.records.settings import Seeded, Settings
from shared.lab.records.store import Row
from shared.lab.running.context import Context

S = TypeVar("S", bound=Settings)


class Experiment(ABC, Generic[S]):
    """Subclass `Experiment[MySettings]`, set `name` and `version`, write `run` and `page`; it takes no arguments.

    `name` and `version` belong to every row's identity: raise `version` when a change of code changes results. Readers
    see the first paragraph of the docstring as `summary`; `settings` is the class in the brackets.
    """

    name: str
    version: int
    summary: str = ""
    settings: type[S]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__doc__:
            cls.summary = " ".join(cleandoc(cls.__doc__).partition("\n\n")[0].split())
        for base in vars(cls).get("__orig_bases__", ()):
            kinds = [kind for kind in get_args(base) if isinstance(kind, type)]
            if kinds and issubclass(get_origin(base), Experiment):
                cls.settings = kinds[0]

    def cells(self, settings: S) -> Sequence[S]:
        """The independent computations `settings` asks for, each one a settings object that asks for itself alone.

        By default one, or one for each seed of `Seeded` settings. Override it to raise ValueError for whatever can be
        checked before any work starts.
        """
        return settings.per_seed() if isinstance(settings, Seeded) else (settings,)

    def data(self, cell: S) -> Mapping[str, str]:
        """Name and SHA-256 (`hash_file`) of each file the cell reads; part of the row's identity."""
        return {}

    @abstractmethod
    def run(self, cell: S, context: Context) -> Mapping[str, JSON]:
        """Compute one cell: raw counts and numbers, as JSON data.

        Nothing but `cell`, the files in `data` and `context.rng` may affect what is returned.
        """

    @abstractmethod
    def page(self, rows: Sequence[Row]) -> Page:
        """What a reader sees of `rows`, one at least: derived from them alone, so that it can be written again."""


def cell_id(experiment: Experiment[S], cell: S) -> str:
    """The id of the row that `cell` gives: SHA-256 of everything that affects the result."""
    return fingerprint(experiment.name, experiment.version, cell.to_json_data(), experiment.data(cell))


def settings_table(title: str, schema: Mapping[str, Any]) -> Table:
    """The settings of an experiment, from their JSON schema: name, default, kind and what each one means."""
    lines = [
        (name, str(field.get("default", "required")), _kind(field), field.get("description", ""))
        for name, field in schema["properties"].items()
    ]
    return Table(title, ("setting", "default", "kind", "meaning"), lines)


def _kind(field: Mapping[str, Any]) -> str:
    """What a JSON schema says a value may be, in a word or two."""
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_kind(option) for option in field["anyOf"])
    return str(field.get("type", field.get("const", "table")))
