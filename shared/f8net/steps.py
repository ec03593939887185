"""The layers of a fixed-point net, each as torch trains it and as the integer program runs it."""

import abc
import math
from fractions import Fraction
from typing import Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.f8net.scales import Scale
from shared.f8net.spreads import Fit, spread
from shared.integer import operations as integer
from shared.integer.format import Format, fraction_for

BIAS = 32  # bits


T = TypeVar("T")


def _tracked(statistic: T | None) -> T:
    assert statistic is not None  # the graph refuses a norm without running statistics
    return statistic


class _Quantise(torch.autograd.Function):
    """`round(x / step)`, saturated, times `step`, in one buffer: a training step is bound by memory, not by sums."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, format: Format) -> Tensor:
        integers = x * 2.0**format.fraction
        ctx.save_for_backward((integers > format.low) & (integers < format.high))
        return integers.round_().clamp_(format.low, format.high).mul_(format.step)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0] * inside, None


class _Statistics(torch.autograd.Function):
    """Variance and mean per channel as torch's batch norm counts them: of channels-last tensors 30 times as fast as
    `torch.var_mean`, in float32 with the rounding that a float net trains with too.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, y: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(y, None, None, 0.0)
        ctx.save_for_backward(y, mean)
        return variance, mean

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        y, mean = ctx.saved_tensors  # type: ignore[attr-defined]
        count, shape = y.numel() // y.shape[1], (-1, *(1,) * (y.ndim - 2))
        slope = 2 * grads[0] / count
        return torch.addcmul((grads[1] / count - slope * mean).reshape(shape), y, slope.reshape(shape))


def fix_quant(x: Tensor, format: Format) -> Tensor:
    """The nearest numbers of the format, ties to even, saturated: `Format.quantise` with a gradient.

    The gradient is one strictly inside the range and zero outside, so an unsigned format is a ReLU in it too. F8Net,
    arXiv 2202.05239, section 3; its signed range leaves out the lowest integer, ours does not.

    >>> fix_quant(torch.tensor([0.3, -9.0]), Format(8, 4))
    tensor([ 0.3125, -8.0000])
    """
    quantised: Tensor = _Quantise.apply(x, format)
    return quantised


class AbstractStep(nn.Module, abc.ABC):
    """One step, on fixed-point numbers in floating point `(B, ...)`."""

    exact = False
    """True while calibrating: nothing is rounded or saturated, batches normalise themselves."""

    @abc.abstractmethod
    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation | None:
        """The same in integers; `None` where nothing happens."""


class HasFormat(Protocol):
    """A step whose value is of few bits."""

    @property
    def format(self) -> Format:
        """As it is now."""


class Quantiser(AbstractStep):
    """Rounds and saturates to `word` bits; unsigned, it is the ReLU too.

    The fraction bits follow from the spread. Of the activation that leads its scale they are a choice of unit, fixed
    when calibrated: `alpha` says where it clips. The others of a residual group share its `alpha` and have fraction
    bits of their own, the moving average of each batch's, rounded.
    """

    def __init__(self, word: int, fit: Fit, *, signed: bool, scale: tuple[Scale, float], leads: bool) -> None:
        super().__init__()
        self.word, self.fit, self.signed, self.leads = word, fit, signed, leads
        self.scale = (*scale,)  # in a tuple: no module of ours, its owner is the net
        self.fraction: Tensor
        self.register_buffer("fraction", torch.zeros(()))
        self.spread = 0.0

    @property
    def format(self) -> Format:
        """The format as it is now."""
        return Format(self.word, round(self.fraction.item()), self.signed)

    def forward(self, x: Tensor) -> Tensor:
        if self.exact or (self.training and not self.leads):
            self.spread = spread(x, self.word, signed=self.signed, fit=self.fit) * self._eta()
        if self.exact:
            return x if self.signed else x.relu()
        return fix_quant(x, self.format)

    def lead(self) -> None:
        """Sets the unit of its scale from the calibration batch, so that `eta = 1` and the range ends at `alpha`."""
        scale, ratio = self.scale
        assert scale.alpha is not None
        self.fraction.fill_(fraction_for(self.spread, self.word, signed=self.signed))
        top = self.format.high * self.format.step
        scale.unit.fill_(1 / (top * ratio))
        scale.alpha.data.fill_(top)

    def follow(self, momentum: float) -> None:
        """Moves the fraction bits towards those for the spread of the last batch."""
        target = fraction_for(self.spread / self._eta(), self.word, signed=self.signed)
        self.fraction += momentum * (target - self.fraction)

    def _eta(self) -> float:
        scale, ratio = self.scale
        return float(scale().detach()) * ratio

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Requantise(inputs, output, self.format)


class Weighted(AbstractStep):
    """A linear layer or convolution with the batch norm behind it, as one effective weight and bias (F8Net, section 4).

    ```
    y0 = conv(eta_in q, W)  ->  batch mean mu, deviation s          in training; running ones otherwise
    W' = W (gamma / s) eta_in / eta_out      b' = (beta + (b - mu) gamma / s) / eta_out
    y  = conv(q, fix_quant(W')) + fix_quant(b')
    ```
    The fraction bits of `W'` are measured at every use, those of `b'` are the input's and the weight's together.
    Gradients flow through `mu` and `s`. Outside training, `W'` and `b'` are float64 whatever the type of the net.
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv1d | nn.Conv2d,
        norm: nn.BatchNorm1d | nn.BatchNorm2d | None,
        word: int,
        sparse: bool,
        fit: Fit,
        source: "HasFormat | Format",
        scales: tuple[tuple[Scale, float], tuple[Scale, float]],
        axes: int = 0,
    ) -> None:
        """`axes` are those of the positions, for a linear layer that is applied to each."""
        super().__init__()
        self.layer, self.norm, self.word, self.sparse, self.fit = layer, norm, word, sparse, fit
        self.axes = axes
        self._links = (source, scales)

    @property
    def input_format(self) -> Format:
        """The format of what is multiplied."""
        source = self._links[0]
        return source if isinstance(source, Format) else source.format

    def forward(self, x: Tensor) -> Tensor:
        if self.exact:
            return self._product(x, *self._effective(self._batch(x)))
        weight, bias = self._effective(self._batch(x)) if self.training else self.settled()
        weight_format, bias_format = self.formats(weight)
        return self._product(x, fix_quant(weight, weight_format).to(x.dtype), fix_quant(bias, bias_format).to(x.dtype))

    @torch.no_grad()
    def settled(self) -> tuple[Tensor, Tensor]:
        """Effective weight and bias with the running statistics, float64."""
        norm = self.norm
        running = None if norm is None else (_tracked(norm.running_mean), _tracked(norm.running_var))
        return self._effective(running, torch.float64)

    def formats(self, weight: Tensor) -> tuple[Format, Format]:
        """The formats of an effective weight and the bias beside it."""
        kept = weight[weight != 0] if self.sparse else weight
        width = spread(kept, self.word, signed=True, fit=self.fit) if kept.numel() else 0.0
        fraction = fraction_for(width, self.word)
        return Format(self.word, fraction), Format(BIAS, fraction + self.input_format.fraction)

    def _effective(
        self, statistics: tuple[Tensor, Tensor] | None, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        dtype = dtype or self.layer.weight.dtype
        (scale_in, ratio_in), (scale_out, ratio_out) = self._links[1]
        eta_in, eta_out = scale_in(dtype) * ratio_in, scale_out(dtype) * ratio_out
        weight = self.layer.weight.to(dtype)
        bias = weight.new_zeros(len(weight)) if self.layer.bias is None else self.layer.bias.to(dtype)
        if self.norm is not None and statistics is not None:
            mean, variance = (numbers.to(dtype) for numbers in statistics)
            gain = (variance + self.norm.eps).rsqrt()
            gain = gain * self.norm.weight.to(dtype) if self.norm.affine else gain
            weight = weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))
            bias = (bias - mean) * gain + (self.norm.bias.to(dtype) if self.norm.affine else 0)
        return weight * (eta_in / eta_out), bias / eta_out

    def _batch(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mean and variance of this batch's outputs, per channel; the running ones move along when training."""
        if self.norm is None:
            return None
        scale, ratio = self._links[1][0]
        # Scaled are the weights, which are fewer than what they are multiplied with.
        y = self._product(x, self.layer.weight * (scale() * ratio), self.layer.bias)
        count = y.numel() // y.shape[1]
        if count < 2:
            raise ValueError("a batch norm needs more than one value per channel: use a larger batch")
        variance, mean = _Statistics.apply(y)
        if not self.exact:
            momentum = _tracked(self.norm.momentum)
            _tracked(self.norm.running_mean).lerp_(mean.detach(), momentum)
            _tracked(self.norm.running_var).lerp_(variance.detach() * (count / (count - 1)), momentum)
        return mean, variance

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.layer
        if isinstance(layer, nn.Linear) and x.ndim == 2:
            return functional.linear(x, weight, bias)
        conv = functional.conv1d if x.ndim == 3 else functional.conv2d
        if isinstance(layer, nn.Linear):  # of each position
            return conv(x, weight.reshape(*weight.shape, *(1,) * (x.ndim - 2)), bias)
        return conv(x, weight, bias, layer.stride, layer.padding, groups=layer.groups)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        layer, (weight, bias) = self.layer, self.settled()
        formats = self.formats(weight)
        w = integer.Constant(formats[0].to_integers(weight.cpu().numpy()), formats[0])
        b = integer.Constant(formats[1].to_integers(bias.cpu().numpy()), formats[1])
        b_or_none = b if b.integers.any() else None
        if isinstance(layer, nn.Linear) and not self.axes:
            return integer.Linear(inputs, output, w, b_or_none)
        if isinstance(layer, nn.Linear):
            of_positions = integer.Conv1d if self.axes == 1 else integer.Conv2d
            w = integer.Constant(w.integers.reshape(*w.integers.shape, *(1,) * self.axes), w.format)
            return of_positions(inputs, output, w, b_or_none)
        kind = integer.Conv1d if isinstance(layer, nn.Conv1d) else integer.Conv2d
        padding = cast(tuple[int, ...], layer.padding)
        return kind(inputs, output, w, b_or_none, layer.stride, padding, layer.groups)


class Add(AbstractStep):
    """The sum of two values of one scale."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Add(inputs, output)


class Pool(AbstractStep):
    """The largest of each window, or the sum as `integer.AveragePool` reads it: what that lacks is in the scale."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], *, average: bool) -> None:
        super().__init__()
        kind = integer.AveragePool if average else integer.MaxPool
        self.pool: integer.AveragePool | integer.MaxPool = kind(("x",), "y", size, stride)

    def forward(self, x: Tensor) -> Tensor:
        for axis, (size, stride) in enumerate(zip(self.pool.size, self.pool.stride, strict=True), start=2):
            x = x.unfold(axis, size, stride)
        axes = tuple(range(-len(self.pool.size), 0))
        if isinstance(self.pool, integer.AveragePool):
            return x.sum(axes) * 2.0**-self.pool.bits  # torch's own divides first, which rounds
        return x.amax(axes)

    @property
    def ratio(self) -> Fraction:
        """The scale of the output over that of the input."""
        if isinstance(self.pool, integer.AveragePool):
            return Fraction(2**self.pool.bits, math.prod(self.pool.size))
        return Fraction(1)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return type(self.pool)(inputs, output, self.pool.size, self.pool.stride)


class Flatten(AbstractStep):
    """All axes in one."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.Flatten(inputs, output)


class PixelShuffle(AbstractStep):
    """Channels as squares of pixels."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(x, self.factor)

    def operation(self, inputs: tuple[str, ...], output: str) -> integer.Operation:
        return integer.PixelShuffle(inputs, output, self.factor)


class Pass(AbstractStep):
    """A layer that acts in training only."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x if self.exact else cast(Tensor, self.layer(x))

    def operation(self, inputs: tuple[str, ...], output: str) -> None:
        return None
