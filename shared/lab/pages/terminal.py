"""A page in the terminal: its verdict, key figures, tables and texts, on stdout."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.lab.pages.page import KeyFigures, Number, Page, Table, Text
from shared.lab.records.printable import printable


def print_page(page: Page) -> None:
    """Print title, verdict, key figures, tables and texts of `page`; figures and downloads are for the browser."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    console.print(f"[bold]{plain(page.title)}[/bold]")
    if page.verdict:
        _print_text(page.verdict)
    console.print(plain(page.summary))
    for block in page.blocks:
        match block:
            case Table():
                print_table(block)
            case KeyFigures(figures):
                lines = [(label, figure) for label, figure in figures]
                print_table(Table("", ("", ""), lines))
            case Text():
                console.print()
                _print_text(block)


def print_table(table: Table) -> None:
    """Print one table on stdout, numbers to the right; no word is broken if the terminal has room for it.

    A table that is wider than the terminal is printed in parts, each with the first column and some of the others.
    Where even two columns are too wide, each line is a list of its entries.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if table.title:
        console.print()
        console.print(f"[italic]{plain(table.title)}[/italic]")
    parts = _parts(table, console.width - 1)
    for part in parts:
        console.print(_grid(table, part))
    if not parts:
        _print_lists(console, table)
    if table.note:
        console.print(f"[dim italic]{plain(table.note)}[/dim italic]")


PADDING = 3
"""Blanks between two columns."""

HEAD = 24
"""The widest that a first column is where words may be set on several lines."""


def _parts(table: Table, screen: int) -> list[dict[int, int]]:
    """The columns of each part of a table with their widths; none if a part of two columns is too wide."""
    columns = range(len(table.columns))
    words, wanted = ([measure(table, k) + PADDING for k in columns] for measure in (_longest_word, _longest_entry))
    if sum(words) <= screen:
        return [_shared_out(words, wanted, screen)]
    first = max(words[0], min(wanted[0], HEAD))
    if first + max(words[1:], default=0) > screen:
        return []
    parts = [{0: first}]
    for k in columns[1:]:
        if sum(parts[-1].values()) + words[k] > screen:
            parts.append({0: first})
        parts[-1][k] = words[k]
    return [_shared_out(list(part.values()), [wanted[k] for k in part], screen, list(part)) for part in parts]


def _shared_out(
    words: Sequence[int], wanted: Sequence[int], screen: int, columns: Sequence[int] = ()
) -> dict[int, int]:
    """Widths between those of the longest words and those wanted; the narrowest column is widened first.

    Rich alone would break words before it takes room from a column that has more.
    """
    widths = list(words)
    for _ in range(screen - sum(widths)):
        narrow = [k for k in range(len(widths)) if widths[k] < wanted[k]]
        if not narrow:
            break
        widths[min(narrow, key=widths.__getitem__)] += 1
    return dict(zip(columns or range(len(widths)), widths, strict=True))


def _cells(table: Table, column: int) -> list[str | Number]:
    return [table.columns[column], *(line[column] for line in table.lines)]


def _longest_word(table: Table, column: int) -> int:
    """Characters of the longest word of a column; a number with its unit and interval is one word."""
    return max((len(word) for cell in _cells(table, column) for word in _words(cell)), default=1)


def _longest_entry(table: Table, column: int) -> int:
    return max(len(_entry(cell)) for cell in _cells(table, column))


def _words(cell: str | Number) -> list[str]:
    whole = isinstance(cell, Number) and not isinstance(cell.value, str)
    return [_entry(cell)] if whole else _entry(cell).split()


def _grid(table: Table, widths: Mapping[int, int]) -> Any:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(box=box.SIMPLE_HEAD, show_header=any(table.columns))
    for index, width in widths.items():
        numeric = any(isinstance(line[index], Number) for line in table.lines)
        grid.add_column(plain(table.columns[index]), justify="right" if numeric else "left", width=width - PADDING)
    for number, line in enumerate(table.lines):
        style = "bold" if number in table.strong else None
        grid.add_row(*(plain(_entry(line[index])) for index in widths), style=style)
    return grid


def _print_lists(console: Any, table: Table) -> None:
    """Each line as the name of each column with its entry."""
    for line in table.lines:
        console.print()
        for column, entry in zip(table.columns, line, strict=True):
            console.print(plain(f"{column}: {_entry(entry)}" if column else _entry(entry)))


def _print_text(text: Text) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if text.title:
        console.print(f"[bold]{plain(text.title)}[/bold]")
    console.print("".join(plain(_entry(part)) for part in text.parts))


def _entry(entry: str | Number) -> str:
    # Widths are measured on what is printed.
    return printable(entry if isinstance(entry, str) else f"{entry} {entry.interval}".rstrip())


def plain(text: str) -> str:
    """`text` for rich, as it stands: neither markup nor control characters of a terminal are obeyed."""
    from rich.markup import escape

    return escape(printable(text))
