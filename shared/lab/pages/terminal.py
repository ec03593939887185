"""A page in the terminal: the same tables and key figures, on stdout."""

from shared.lab.pages.page import KeyFigures, Number, Page, Table, Text


def print_page(page: Page) -> None:
    """Print title, key figures, tables and texts of `page`; figures and downloads are for the browser."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    console.print(f"[bold]{_plain(page.title)}[/bold]")
    console.print(_plain(page.summary))
    for block in page.blocks:
        match block:
            case Table():
                print_table(block)
            case KeyFigures(figures):
                lines = [(label, figure) for label, figure in figures]
                print_table(Table("", ("", ""), lines))
            case Text(parts, title):
                console.print()
                if title:
                    console.print(f"[bold]{_plain(title)}[/bold]")
                console.print("".join(_plain(_entry(part)) for part in parts))


def print_table(table: Table) -> None:
    """Print one table on stdout, numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(
        title=_plain(table.title) or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_header=any(table.columns),
        caption=_plain(table.note) or None,
        caption_justify="left",
    )
    for index, column in enumerate(table.columns):
        numeric = any(isinstance(line[index], Number) for line in table.lines)
        grid.add_column(_plain(column), justify="right" if numeric else "left", overflow="fold")
    for index, line in enumerate(table.lines):
        grid.add_row(*(_plain(_entry(entry)) for entry in line), style="bold" if index in table.strong else None)
    Console(highlight=False).print(grid)


def _entry(entry: str | Number) -> str:
    if isinstance(entry, str):
        return entry
    return f"{entry} {entry.interval}".rstrip()


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
