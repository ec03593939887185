"""A page as one self-contained HTML file: readable without network, every number tied to its rows."""

import base64
import json
import re
from collections.abc import Callable, Sequence

from shared.lab.pages.page import Download, Figure, KeyFigures, Number, Page, Table, Text
from shared.lab.records.store import Row, Store


def render(page: Page, rows: Sequence[Row], store: Store) -> str:
    """The HTML text of `page`; `rows` are all rows it was derived from and `store` holds their artefacts.

    Raises ValueError if a number or figure names a row that is not among `rows`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shared.lab.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.tests |= {kind.__name__: _is(kind) for kind in (Text, KeyFigures, Table, Figure, Download, Number)}
    environment.filters |= {
        "numeric": _numeric,
        "inline": _inline,
        "width": _width,
        "data_uri": lambda download: _data_uri(store.get(download.row.artefacts[download.name])),
        "size": lambda download: _size(len(store.get(download.row.artefacts[download.name]))),
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    }
    # "<" would let a string in a row end the script element.
    data = json.dumps([row.to_json_data() for row in rows], ensure_ascii=False).replace("<", "\\u003c")
    template = environment.get_template("page.html")
    return template.render(page=page, rows=rows, sources=_Sources(rows), data=data)


class _Sources:
    """Where numbers come from: an anchor for each row, and for each set of rows that a number was derived from."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {row.id: row for row in rows}
        self.sets: list[tuple[str, ...]] = []

    def anchor(self, ids: tuple[str, ...]) -> str:
        """The anchor on the page for these rows; empty without rows."""
        if unknown := [id for id in ids if id not in self._rows]:
            raise ValueError(f"the page cites row {unknown[0][:12]}, not among the {len(self._rows)} rows shown")
        if len(ids) < 2:
            return f"row-{ids[0][:12]}" if ids else ""
        if ids not in self.sets:
            self.sets.append(ids)
        return f"rows-{self.sets.index(ids) + 1}"

    def hint(self, ids: tuple[str, ...]) -> str:
        """What a reader sees when pointing at a number: its command, or how many rows it was derived from."""
        return self._rows[ids[0]].command if len(ids) == 1 else f"derived from {len(ids)} rows"


def _is(kind: type) -> Callable[[object], bool]:
    return lambda block: isinstance(block, kind)


def _numeric(table: Table) -> list[bool]:
    """Which columns hold numbers and are set to the right."""
    return [any(isinstance(line[index], Number) for line in table.lines) for index in range(len(table.columns))]


def _width(table: Table) -> str:
    """The class of a table by its width in characters: one that a screen is too narrow for is shown line by line.

    Words of a cell may be set on several lines, down to a column of `COLUMN` characters; a number stays on one line.
    """
    cells = [table.columns, *table.lines]
    columns = [max(_characters(line[index]) for line in cells) for index in range(len(table.columns))]
    return next((name for name, least in WIDTHS.items() if sum(columns) + 3 * len(columns) > least), "")


COLUMN = 18
"""Characters of a line in a column of words."""

WIDTHS = {"wide": 90, "middling": 42}
"""The widest class first, each with the number of characters that its tables exceed."""


def _characters(entry: str | Number) -> int:
    if isinstance(entry, Number) and not isinstance(entry.value, str):
        return len(f"{entry} {entry.interval}")
    return max([min(len(str(entry)), COLUMN), *map(len, str(entry).split())])


def _inline(svg: str, index: str) -> str:
    """The drawing with ids of its own, so that two drawings in one page do not share clip paths or markers."""
    svg = re.sub(r'\bid="', f'id="f{index}-', svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>f{index}-", svg)


def _data_uri(data: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"


def _size(count: int) -> str:
    return f"{count} bytes" if count < 2048 else f"{count / 1024:.0f} KiB"
