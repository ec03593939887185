"""Steps of attention, of tables and of moves, each as torch trains it and as the integer program runs it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shared import integer
from shared.f8net.scales import Scale
from shared.f8net.spreads import Fit, spread
from shared.f8net.steps import AbstractStep, HasFormat, Quantiser, fix_quant
from shared.integer.format import Format, fraction_for
from shared.integer.tokens import EXPONENTIAL_BITS, NORMAL_BITS, SHARES

WEIGHT = 10
"""Bits of a layer norm's weights."""
CONSTANT = 16
"""Bits of values that depend on no input, such as positions."""
WHOLE = Format(32, 0)
MOST, MASKED = 1e4, 64.0
"""Constants beyond the first are masks; a score that is less by the second has no share."""

Scaled = tuple[Scale, float]
"""A scale and the ratio of a value to it."""


def eta(scaled: Scaled) -> float:
    """What one stands for, as a number."""
    scale, ratio = scaled
    return float(scale(torch.float64).detach()) * ratio


def _replaced(real: Tensor, exact: Tensor) -> Tensor:
    """The exact numbers, with the gradient of the real ones."""
    exact = exact.to(real.dtype)
    return real + (exact - real).detach() if real.requires_grad else exact


def _run(operation: integer.Operation, x: Tensor, format: Format) -> Tensor:
    """What the integer program computes, on numbers of a format; the result is integers."""
    integers = np.rint(x.detach().double().cpu().numpy() / format.step).astype(np.int64)
    result = integer.run_operation(operation, [integer.Value.full(x.shape[1:], format)], integers)
    return torch.from_numpy(np.ascontiguousarray(result)).to(x.device)


class Activation(Quantiser):
    """A function of numbers of 8 bits, rounded to 8 bits: one table in integers."""

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        channels: int,
        word: int,
        fit: Fit,
        *,
        signed: bool,
        source: HasFormat | Format,
        scales: tuple[Scaled, Scaled],
    ) -> None:
        """`channels` are 1 for a function that is the same for all; each channel has its own otherwise."""
        super().__init__(word, fit, signed=signed, scale=scales[1], leads=False)
        self.function, self.channels = function, channels
        self.ends = (source, scales)  # in a tuple: no module of ours

    @property
    def input_format(self) -> Format:
        """The format of what is looked up."""
        source = self.ends[0]
        return source if isinstance(source, Format) else source.format

    def forward(self, x: Tensor) -> Tensor:
        y = self._real(x)
        if self.exact or self.training:
            self.spread = spread(y, self.word, signed=self.signed, fit=self.fit) * self._eta()
        if self.exact:
            return y
        return _replaced(fix_quant(y, self.format), self._looked_up(x))

    def _real(self, x: Tensor) -> Tensor:
        before, after = self.ends[1]
        return self.function(x * eta(before)) / eta(after)

    def _looked_up(self, x: Tensor) -> Tensor:
        return _run(self.operation(("x",), "y"), x, self.input_format).double() * self.format.step

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        format = self.input_format
        every = torch.arange(format.low, format.high + 1, dtype=torch.float64) * format.step
        with torch.no_grad():
            y = self._real(every.expand(1, self.channels, -1).to(_device(self)))[0].cpu().numpy()
        return integer.Table(inputs, output, integer.Constant(self.format.to_integers(y), self.format))


def _device(module: nn.Module) -> torch.device:
    return next(module.buffers()).device


class LayerNorm(AbstractStep):
    """A layer norm over channels of numbers of at most 16 bits."""

    def __init__(self, layer: nn.LayerNorm, source: HasFormat | Format, scales: tuple[Scaled, Scaled]) -> None:
        super().__init__()
        self.layer = layer
        self._links = (source, scales)

    def forward(self, x: Tensor) -> Tensor:
        before, after = (eta(each) for each in self._links[1])
        weight, bias = self._affine(x.shape[1], x)
        lines = x.movedim(1, -1)
        real = functional.layer_norm(lines * before, lines.shape[-1:], weight / after, bias / after, self.layer.eps)
        real = real.movedim(-1, 1)
        if self.exact:
            return real
        operation = self.operation(("x",), "y", x.shape[1])
        steps = 2.0 ** -(operation.weight.format.fraction + NORMAL_BITS)
        return _replaced(real, _run(operation, x, self._format()).double() * steps)

    def _format(self) -> Format:
        source = self._links[0]
        return source if isinstance(source, Format) else source.format

    def _affine(self, channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self.layer.weight, self.layer.bias
        return (
            like.new_ones(channels) if weight is None else weight.flatten().to(like.dtype),
            like.new_zeros(channels) if bias is None else bias.flatten().to(like.dtype),
        )

    def operation(self, inputs: tuple[str, ...], output: str, channels: int | None = None) -> integer.LayerNorm:
        before, after = (eta(each) for each in self._links[1])
        channels = channels or math.prod(self.layer.normalized_shape)
        weight, bias = (
            each.detach().cpu().numpy() / after for each in self._affine(channels, torch.zeros((), dtype=torch.float64))
        )
        top = max(float(np.abs(weight).max()), 2.0**-20)
        format = Format(WEIGHT, WEIGHT - 1 - math.floor(math.log2(top) + 1))
        wide = Format(32, format.fraction + NORMAL_BITS)
        added = round(channels**2 * self.layer.eps / (before * self._format().step) ** 2)
        return integer.LayerNorm(
            inputs,
            output,
            integer.Constant(format.to_integers(weight), format),
            integer.Constant(wide.to_integers(bias), wide),
            integer.Constant(np.array([min(added, 2**52 - 1)]), Format(53, 0)),
        )


class Softmax(AbstractStep):
    """Shares over channels, in 1 / 256, of numbers of at most 16 bits."""

    format = SHARES

    def __init__(self, source: HasFormat | Format, scale: Scaled) -> None:
        super().__init__()
        self._links = (source, scale)

    def _format(self) -> Format:
        source = self._links[0]
        return source if isinstance(source, Format) else source.format

    def forward(self, x: Tensor) -> Tensor:
        real = (x * eta(self._links[1])).softmax(1)
        if self.exact:
            return real
        return _replaced(real, _run(self.operation(("x",), "y"), x, self._format()).double() * SHARES.step)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        step = self._format().step * eta(self._links[1])
        distances = np.arange(256) * np.array([[1], [256]])
        table = np.rint(np.exp(-distances * step) * (1 << EXPONENTIAL_BITS)).astype(np.int64)
        return integer.Softmax(inputs, output, integer.Constant(table, Format(EXPONENTIAL_BITS + 2, EXPONENTIAL_BITS)))


class MatrixProduct(AbstractStep):
    """Products of two values, one for each row; see `shared.integer.MatrixProduct`."""

    def __init__(self, *, transposed: bool) -> None:
        super().__init__()
        self.transposed = transposed

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bkhm,bkhn->bnhm" if self.transposed else "bkhm,bnhk->bnhm", a, b)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.MatrixProduct(inputs, output, self.transposed)


class Subtract(AbstractStep):
    """The difference of two values of one scale."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Subtract(inputs, output)


class Multiply(AbstractStep):
    """The product of two values, the second perhaps of one number a channel."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Multiply(inputs, output)


class Concatenate(AbstractStep):
    """Values of one scale, one behind the other."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *values: Tensor) -> Tensor:
        batch = max(map(len, values))  # a constant is that of one sample
        return torch.cat([each.expand(batch, *each.shape[1:]) for each in values], self.axis + 1)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Concatenate(inputs, output, self.axis)


class Rearrange(AbstractStep):
    """Numbers at other places."""

    def __init__(self, index: Tensor) -> None:
        """`index` is shaped as the result, without a batch."""
        super().__init__()
        self.index: Tensor
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.index]

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        places = integer.Constant(self.index.flatten().cpu().numpy(), WHOLE)
        return integer.Rearrange(inputs, output, tuple(self.index.shape), places)


class Rescale(AbstractStep):
    """What changes nothing but what one stands for."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def operation(self, inputs: tuple[str, ...], output: str) -> None:
        return None


class Clip(AbstractStep):
    """Numbers above `most` become `most`."""

    def __init__(self, most: float, source: HasFormat, scale: Scaled) -> None:
        super().__init__()
        self.most, self._links = most, (source, scale)

    def _high(self) -> int:
        format = self._links[0].format
        return min(max(round(self.most / eta(self._links[1]) / format.step), 0), format.high)

    def forward(self, x: Tensor) -> Tensor:
        if self.exact:
            return x.clamp(max=self.most / eta(self._links[1]))
        return x.clamp(max=self._high() * self._links[0].format.step)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Clip(inputs, output, self._links[0].format.low, self._high())


class Resample(AbstractStep):
    """Weighted sums of rows and of columns of an image."""

    def __init__(self, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]) -> None:
        """For each axis places and weights, `(results, taps)`."""
        super().__init__()
        self.axes = tuple((places, *_in_integers(weights)) for places, weights in (rows, columns))

    def forward(self, x: Tensor) -> Tensor:
        (rows, by_row, row_format), (columns, by_column, column_format) = self.axes
        weights = torch.from_numpy(by_row * row_format.step).to(x)
        x = (x[:, :, rows] * weights[..., None]).sum(3)
        weights = torch.from_numpy(by_column * column_format.step).to(x)
        return (x[..., columns] * weights).sum(-1)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        constants = []
        for places, weights, format in self.axes:
            constants += [integer.Constant(places.numpy(), WHOLE), integer.Constant(weights, format)]
        return integer.Resample(inputs, output, *constants)


def _in_integers(weights: Tensor) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Format]:
    """Weights as integers of at most 8 fraction bits, whose sums are those of the weights: the largest gives way."""
    reals = weights.double().numpy()
    fraction = next((bits for bits in range(8) if (reals * 2**bits == np.rint(reals * 2**bits)).all()), 8)
    integers = np.rint(reals * 2**fraction).astype(np.int64)
    missing = np.rint(reals.sum(1) * 2**fraction).astype(np.int64) - integers.sum(1)
    integers[np.arange(len(integers)), np.abs(integers).argmax(1)] += missing
    return integers, Format(fraction + 4, fraction)


class ConstantValue(AbstractStep):
    """A tensor that depends on no input, in 16 bits."""

    def __init__(self, tensor: Tensor, scale: Scaled) -> None:
        super().__init__()
        self.tensor = nn.Parameter(tensor.detach().clone())
        self._links = (scale,)

    @property
    def format(self) -> Format:
        """None of its numbers saturates; what masks, such as minus infinity, is at `MASKED` at least."""
        fixed = self.tensor.detach().abs().flatten() / eta(self._links[0])
        masks = fixed > MOST
        top = max(float(fixed[~masks].max()) if (~masks).any() else 0.0, MASKED if masks.any() else 0.0)
        return Format(CONSTANT, min(CONSTANT - 1 - math.floor(math.log2(max(top, 2.0**-15)) + 1), CONSTANT))

    def forward(self) -> Tensor:
        fixed = self.tensor / eta(self._links[0])
        return (fixed.clamp(min=self.format.low * self.format.step) if self.exact else fix_quant(fixed, self.format))[
            None
        ]

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        reals = self.tensor.detach().double().cpu().numpy() / eta(self._links[0])
        return integer.ConstantValue((), output, integer.Constant(self.format.to_integers(reals), self.format))


class Embedding(AbstractStep):
    """For each number its row of a table, in 8 bits."""

    def __init__(self, table: Tensor, word: int, fit: Fit) -> None:
        super().__init__()
        self.table, self.word, self.fit = table, word, fit

    @property
    def format(self) -> Format:
        """Of the table."""
        return Format(self.word, fraction_for(spread(self.table, self.word, signed=True, fit=self.fit), self.word))

    def forward(self, x: Tensor) -> Tensor:
        table = self.table if self.exact else fix_quant(self.table, self.format)
        table = table.to(x.dtype) if x.is_floating_point() else table
        return table[x.long().clamp(0, len(table) - 1)].transpose(1, 2)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        integers = self.format.to_integers(self.table.detach().double().cpu().numpy())
        return integer.Embedding(inputs, output, integer.Constant(integers, self.format))
