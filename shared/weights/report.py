"""What compression did to a net, layer by layer."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerReport:
    """One convolution or linear layer."""

    name: str
    kind: str
    kept: str
    """Such as `12 of 64 blocks`, `5 of 16 outputs`, `all`."""
    macs_before: int
    macs_after: int
    """Multiply-accumulates for one sample, of what is left."""


@dataclass(frozen=True)
class CompressionReport:
    """What was kept, what it costs, and what was lost; `str()` is a table for people."""

    layers: tuple[LayerReport, ...]
    unit: str
    """Of the three numbers that follow."""
    dense: float
    budget: float
    measured: float
    loss_name: str
    loss_before: float
    loss_after: float
    accuracy_before: float | None
    """Share of right answers; None without class numbers as targets."""
    accuracy_after: float | None
    measured_on: str
    """The examples that losses and accuracies are of."""
    status: str
    """How the search ended."""
    notes: tuple[str, ...]
    """What was reordered, rescaled, padded or left dense."""

    def to_json_data(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("layer", "kind", "kept", "MACs before", "after")]
        rows += [(it.name, it.kind, it.kept, f"{it.macs_before:,}", f"{it.macs_after:,}") for it in self.layers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.append(
            f"{self.measured:,.6g} of {self.dense:,.6g} {self.unit} ({self.measured / self.dense:.1%}), "
            f"budget {self.budget:,.6g}"
        )
        lines.append(f"{self.loss_name} {self.loss_before:.4g} -> {self.loss_after:.4g} on {self.measured_on}")
        if self.accuracy_before is not None and self.accuracy_after is not None:
            lines.append(f"accuracy {self.accuracy_before:.1%} -> {self.accuracy_after:.1%}")
        return "\n".join((*lines, f"search {self.status}", *(f"note: {note}" for note in self.notes)))
