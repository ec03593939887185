"""What the terminal shows of a page, as JSON data and back: everything but drawings and downloads."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.lab.pages.page import Block, Download, Figure, KeyFigures, Number, Page, Table, Text
from shared.lab.records.identity import to_json_data


def printed_data(page: Page) -> dict[str, Any]:
    """The parts of `page` that `print_page` prints, as JSON data."""
    blocks = [asdict(block) for block in page.blocks if not isinstance(block, Figure | Download)]
    verdict = page.verdict and asdict(page.verdict)
    data = {"title": page.title, "summary": page.summary, "verdict": verdict, "blocks": blocks}
    whole: dict[str, Any] = to_json_data(data, "page")
    return whole


def printed_page(data: Mapping[str, Any]) -> Page:
    """The page of `printed_data`, which prints as the page that it was taken from."""
    verdict = data["verdict"] and _text(data["verdict"])
    return Page(data["title"], data["summary"], [_block(block) for block in data["blocks"]], verdict)


def _block(data: Mapping[str, Any]) -> Block:
    match data:
        case {"parts": _}:
            return _text(data)
        case {"figures": figures}:
            return KeyFigures([(label, _number(figure)) for label, figure in figures])
    lines = [[entry if isinstance(entry, str) else _number(entry) for entry in line] for line in data["lines"]]
    return Table(data["title"], data["columns"], lines, data["note"], data["strong"])


def _text(data: Mapping[str, Any]) -> Text:
    parts = (part if isinstance(part, str) else _number(part) for part in data["parts"])
    return Text(*parts, title=data["title"])


def _number(data: Mapping[str, Any]) -> Number:
    return Number(**{**data, "rows": tuple(data["rows"])})
