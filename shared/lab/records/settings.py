"""Settings of an experiment: one typed, frozen object; a TOML file and `--set key=value` are two views of it."""

import difflib
import json
import math
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import pydantic

S = TypeVar("S", bound="Settings")


class Settings(pydantic.BaseModel):
    """Base class of every experiment's settings. Fields are typed, frozen, and unknown keys are errors.

    Use tuples rather than lists, and `Field(description=...)`: `qwedge list NAME` prints it.
    Every field is part of a row's identity, so leave out what cannot change the result.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    seed: int = pydantic.Field(default=0, ge=0, description="root of all randomness of a cell")

    def to_json_data(self) -> dict[str, Any]:
        """The settings as JSON data; infinities become the strings that read back as infinities."""
        data: dict[str, Any] = _spell_infinities(self.model_dump(mode="json"))
        return data


class Seeded(Settings):
    """Settings that ask for one cell or for several that differ in their seed alone.

    >>> Seeded(seed=100, seeds=2).per_seed()
    [Seeded(seed=100, seeds=1), Seeded(seed=101, seeds=1)]
    """

    seeds: int = pydantic.Field(default=1, gt=0, description="how many seeds, from --seed on; each is a row of its own")

    def per_seed(self) -> list[Self]:
        """The same settings once for each of the seeds."""
        seeds = range(self.seed, self.seed + self.seeds)
        return [self.model_copy(update={"seed": seed, "seeds": 1}) for seed in seeds]


def read_settings(
    kind: type[S], config: str | Path | None = None, assignments: Sequence[str] = (), seed: int | None = None
) -> S:
    """Settings from defaults, then a TOML file, then `key=value` strings, then `seed`; the later wins.

    A value is read as TOML and, where the field is a string, as it stands; `none` is None; a dotted key reaches inside.
    Raises ValueError, in one line, for an unknown key or a value that does not fit; OSError if `config` cannot be read.

    >>> read_settings(Settings, assignments=["seed=3"])
    Settings(seed=3)
    """
    tree = {} if config is None else _read_toml(Path(config))
    texts = dict(_split(assignment) for assignment in assignments)
    for key, text in texts.items():
        _assign(tree, key, _value(text))
    if seed is not None:
        tree["seed"] = seed
    try:
        return kind.model_validate(tree)
    except pydantic.ValidationError as error:
        wants_text = [".".join(map(str, fault["loc"])) + "." for fault in error.errors() if "string" in fault["type"]]
    # `--set name=42` for a string field: the text is meant, not the number it also spells.
    for key, text in texts.items():
        if any(place.startswith(key + ".") for place in wants_text):
            _assign(tree, key, text)
    try:
        return kind.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ValueError("; ".join(_sentence(kind, fault) for fault in error.errors())) from None


def command_line(invocation: str, settings: Settings) -> str:
    """The shell command that gives exactly these settings: `--set` for every field that is not at its default.

    >>> command_line("qwedge run compvqc", Settings(seed=3))
    'qwedge run compvqc --seed 3'
    """
    words = [invocation]
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name == "seed" or (not field.is_required() and value == field.get_default(call_default_factory=True)):
            continue
        data = value if isinstance(value, float) else settings.to_json_data()[name]
        words += ["--set", shlex.quote(f"{name}={_text(data)}")]
    return " ".join([*words, f"--seed {settings.seed}"])


def _spell_infinities(value: Any) -> Any:
    # JSON has no infinities; pydantic writes those of a nested model as null, which would be a second meaning of None.
    match value:
        case float() if not math.isfinite(value):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        case dict():
            return {key: _spell_infinities(entry) for key, entry in value.items()}
        case list():
            return [_spell_infinities(entry) for entry in value]
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply for settings") from None


def _split(assignment: str) -> tuple[str, str]:
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set {assignment}: needs key=value, such as --set seed=3")
    return key.strip(), text.strip()


def _value(text: str) -> Any:
    """What `text` spells in TOML; `none` is None; anything else is the text itself."""
    if text == "none":
        return None
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except RecursionError:
        raise ValueError(f"--set ...={text[:20]}... is nested too deeply for a setting") from None
    return parsed["value"] if parsed.keys() == {"value"} else text


def _text(value: Any) -> str:
    """The inverse of `_value`: TOML, and a string bare where it can only be read as that string."""
    match value:
        case None:
            return "none"
        case float() if not math.isfinite(value):
            return str(value)
        case str() if _value(value) == value and value.strip() == value:
            return value
    return _toml(value)


def _toml(value: Any) -> str:
    match value:
        case dict():
            # TOML has no null: a None inside a table is the entry left out.
            entries = (f"{_toml(key)} = {_toml(entry)}" for key, entry in value.items() if entry is not None)
            return "{" + ", ".join(entries) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ValueError(f"--set {key}: `{part}` holds a value, not a table; set `{part}` itself")
    tree[last] = value


def _sentence(kind: type[Settings], fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"`{place}` has no default: give it with --set {place}=..."
    if fault["type"] != "extra_forbidden":
        return f"{place}={fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    if len(fault["loc"]) > 1:
        return f"unknown setting `{place}`"
    names = list(kind.model_fields)
    near = difflib.get_close_matches(place, names, n=1)
    return f"unknown setting `{place}`: " + (
        f"did you mean `{near[0]}`?" if near else f"it must be one of {', '.join(names)}"
    )
