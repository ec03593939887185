"""A torch net in 8-bit fixed point: trains like the net that it copies, ends as an integer program."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shared.f8net.graph import build
from shared.f8net.spreads import Fit
from shared.f8net.steps import AbstractStep, Quantiser, fix_quant
from shared.integer import Input, Program
from shared.integer.format import Format

MOMENTUM = 0.1  # of the moving averages of fraction bits, as in F8Net


class F8Net(nn.Module):
    """A copy of `net` whose weights and activations are `word`-bit fixed-point numbers (F8Net, arXiv 2202.05239).

    `net` is any module of Linear, Conv1d, Conv2d (groups too), BatchNorm behind them, ReLU, MaxPool, AvgPool,
    AdaptiveAvgPool(1), Flatten, Dropout, PixelShuffle, interpolation, concatenation, sums, differences and products,
    other activations (tables of 8 bits), and of attention: LayerNorm, softmax, matrix products, embeddings, reshapes
    and transpositions. `shape` is that of one input, without the batch; `input` the format its numbers come in.
    `weight_words` gives the weights of single layers fewer bits, by the layer's name; with `sparse`, weights that are
    zero do not count in the spread that sets the fraction bits of the others. With `fit="error"`, fraction bits are
    those of the least squared error: for weights and activations of which a few are much larger than the rest.

    Train it as usual; the first training batch calibrates, or `calibrate` does. Outside training and in float64,
    `forward` equals `program()` bit for bit. In float32 it does while sums stay below 2**24 steps.

    Ours beside the paper: the spread is the root mean square; fraction bits are not clamped to 0 to `word`; the last
    layer is not rescaled, its weight's own fraction bits do that; sums of a residual block are added in 32 bits before
    they are quantised. Of attention nothing is in the paper: scores, sums of branches and what layer norms read have
    16 bits, queries, keys and values have one format, and softmax and layer norms are those of `shared.integer.tokens`.

    Raises `ValueError` naming the layer that cannot be converted and the way out, or weights that are not finite.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> fixed = F8Net(net, shape=(2,), input=Format(8, 7)).calibrate(torch.rand(100, 2)).double().eval()
    >>> [type(step).__name__ for step in fixed.program().operations]
    ['Linear', 'Requantise', 'Linear']
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        shape: Sequence[int],
        input: Format,
        word: int = 8,
        weight_words: Mapping[str, int] | None = None,
        sparse: bool = False,
        fit: Fit = "spread",
    ) -> None:
        super().__init__()
        graph = build(net, shape, input, word, weight_words or {}, sparse, fit)
        self.input = Input(graph.input, tuple(shape), input)
        self.output = graph.output
        self.wiring = tuple((step.name, step.inputs) for step in graph.steps)
        self.steps = nn.ModuleList(step.module for step in graph.steps)
        self.scales = nn.ModuleList(graph.scales)
        self.calibrated: Tensor
        self.register_buffer("calibrated", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        return self.values(x)[self.output]

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Every named value, as fixed-point numbers, in order: the program's names. `x` is real, `(B, *shape)`.

        Raises `ValueError` before the first calibration.
        """
        if self.training and not self.calibrated:
            self.calibrate(x)
        if not self.calibrated:
            raise ValueError("this F8Net has no formats yet: call calibrate(batch), or train on a batch")
        values = self._walk(fix_quant(x, self.input.format))
        if self.training:
            for quantiser in self._quantisers():
                if not quantiser.leads:
                    quantiser.follow(MOMENTUM)
        return values

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> "F8Net":
        """Sets clipping levels and fraction bits from a batch `(B, *shape)`, computed without rounding. Returns itself.

        Raises `ValueError` for no samples, and for numbers that are not finite.
        """
        if not len(x) or not torch.isfinite(x).all():
            raise ValueError("calibration needs finite samples, got " + ("NaN or infinite ones" if len(x) else "none"))
        with self._exactly():
            self._walk(x)
        for quantiser in self._quantisers():
            if quantiser.leads:
                quantiser.lead()
        for quantiser in self._quantisers():
            if not quantiser.leads:
                quantiser.follow(1.0)
        self.calibrated.fill_(True)
        return self

    def program(self) -> Program:
        """The integer program of this net, with running statistics.

        Raises `ValueError` before the first calibration.
        """
        if not self.calibrated:
            raise ValueError("this F8Net has no formats yet: call calibrate(batch), or train on a batch")
        names = {self.input.name: self.input.name}
        operations = []
        for (name, inputs), step in zip(self.wiring, self._steps(), strict=True):
            operation = step.operation(tuple(names[source] for source in inputs), name)
            names[name] = name if operation else names[inputs[0]]
            operations += [operation] if operation else []
        return Program((self.input,), tuple(operations), (names[self.output],))

    def _walk(self, x: Tensor) -> dict[str, Tensor]:
        values = {self.input.name: x}
        for (name, inputs), step in zip(self.wiring, self._steps(), strict=True):
            values[name] = step(*(values[source] for source in inputs))
        return values

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        for step in self._steps():
            step.exact = True
        try:
            yield
        finally:
            for step in self._steps():
                step.exact = False

    def _steps(self) -> list[AbstractStep]:
        return [step for step in self.steps if isinstance(step, AbstractStep)]

    def _quantisers(self) -> list[Quantiser]:
        return [step for step in self._steps() if isinstance(step, Quantiser)]
