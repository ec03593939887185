"""Compiled nets beside ONNX Runtime and OpenVINO, one thread, one sample at a time; and how well times are predicted.

`python -m benchmarks.mobile [--quick] [--seed N] [--json FILE]`

All runtimes take turns in one process: each computes a sample untimed, then one that is timed in CPU seconds of the
process. Layers are measured in chains of three that are equal but for their weights. Those are normal for ours and for
peers alike: ours adds products in pairs where they fit into 16 bits, so that its time depends on the weights. Times of
ours include the way into and out of the arena's layout. Peers are what is installed: a row names those that are not.
Weights are random, so no accuracy is claimed. Rows of machines with and without VNNI must not be mixed: a row names the
instructions.
"""

import io
import math
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from mobile.build.compile import compile_program
from mobile.build.compile_floats import compile_floats
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.pricing.calibration import calibrated, timings
from mobile.pricing.net import net_latency
from qwedge.experiments.runtimes import Run, interleaved, onnx_runtime, openvino, ours
from shared.f8net.convert import from_torch
from shared.integer import Constant, Conv2d, Input, Program, Requantise
from shared.integer.format import Format
from shared.lab import JSON, Context, Experiment, Page, Row, Seeded, Table, cite, one_thread
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.nets.efficientformer import Factor, efficientformer_l1

SHAPES = {  # channels, pixels a side, kernel
    "1x1 56": (128, 56, 1),
    "1x1 28": (256, 28, 1),
    "1x1 14": (512, 14, 1),
    "1x1 7": (512, 7, 1),
    "3x3 56": (64, 56, 3),
    "3x3 28": (128, 28, 3),
    "3x3 14": (256, 14, 3),
    "3x3 7": (512, 7, 3),
}
CHAIN, KEPT = 3, 0.25
NETS = ("mobilenet_v2", "resnet18")
WORDS, TOKENS = 8192, 128
FLOAT_NETS = ("efficientformer_l1", "bert", "super_resolution")


class MobileSettings(Seeded):
    """What is timed."""

    part: Literal["layer", "net", "float net", "predictor"] = Field(
        description="a chain of layers, a whole net of integers or floats, or predictions"
    )
    subject: str = Field(description="a shape of the layers, a net, or the family of nets that is predicted")
    rounds: int = Field(default=25, gt=0, description="timed samples of each runtime")


class Mobile(Experiment[MobileSettings]):
    """Compiled nets beside the runtimes that are installed.

    One cell is one layer, net or family of nets.
    """

    name = "mobile"
    version = 2

    def run(self, cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        if cell.part == "predictor":
            return predicted(cell, context)
        return {"layer": layer, "net": whole_net, "float net": float_net}[cell.part](cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        lines = []
        for row in rows:
            times = row.result.get("median_ms") or {}
            lines += [
                (row.settings["part"], row.settings["subject"], cite(row.seed, row), name, cite(ms, row, form=".3g"))
                for name, ms in times.items()
            ]
        columns = ("part", "subject", "seed", "runtime", "median ms")
        return Page("Compiled nets beside other runtimes", self.summary, (Table("Times of a sample", columns, lines),))


# Layers


def layer(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    channels, size, kernel = SHAPES[cell.subject]
    x = context.rng.integers(0, 256, (1, channels, size, size))
    runs: dict[str, Run] = {}
    for name, rows in FORMATS.items():
        program = chain(channels, size, kernel, rows if name != "dense" else 0, context.rng)
        compiled = compile_program(program, context.rng, format=name, count=2)
        runs[f"ours {name}"] = ours(compiled.net, x)
        context.progress(len(runs), len(FORMATS), "compiling layers")
    model, floats = (
        quantised_chain(channels, size, kernel, context.rng),
        float_chain(channels, size, kernel, context.rng),
    )
    peers, missing = peer_runs({"int8": (model, x.astype(np.uint8)), "fp32": (floats, x.astype(np.float32))})
    return {"instructions": compiled.net.instructions, "missing": missing, **interleaved(runs | peers, cell.rounds)}


def chain(channels: int, size: int, kernel: int, rows: int, rng: np.random.Generator) -> Program:
    """Layers of 8 bits, of whose blocks of `rows` x 4 weights a quarter is kept; dense for 0."""
    operations: list[Any] = []
    last = "x"
    for k in range(CHAIN):
        weight = normal_weights((channels, channels, kernel, kernel), rng)
        if rows:
            shape = (channels // rows, channels // 4, kernel, kernel)
            kept = rng.permutation(math.prod(shape)).reshape(shape) < KEPT * math.prod(shape)
            weight *= np.repeat(np.repeat(kept, rows, 0), 4, 1)
        pads = (kernel // 2,) * 2
        operations += [
            Conv2d((last,), f"sum{k}", Constant(weight, Format(8, 7)), None, (1, 1), pads),
            Requantise((f"sum{k}",), f"y{k}", Format(8, 0, signed=False)),
        ]
        last = f"y{k}"
    return Program((Input("x", (channels, size, size), Format(8, 0, signed=False)),), tuple(operations), (last,))


def normal_weights(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """Of 8 bits, the largest of some 10,000 at the limit: about as trained layers have them."""
    return np.rint(rng.standard_normal(shape) * 32).clip(-127, 127).astype(np.int64)


def quantised_chain(channels: int, size: int, kernel: int, rng: np.random.Generator) -> bytes:
    """The chain as ONNX with QDQ, unsigned bytes in and out, weights per channel."""
    from onnx import TensorProto, helper

    nodes, constants = [], _Constants()
    step, zero = constants.add(np.float32(0.05)), constants.add(np.uint8(0))
    last = "x"
    for k in range(CHAIN):
        weight = normal_weights((channels, channels, kernel, kernel), rng).astype(np.int8)
        scale = np.full(channels, 1 / (60 * math.sqrt(channels) * kernel), np.float32)
        scales, zeros = constants.add(scale), constants.add(np.zeros(channels, np.int8))
        bias, of_bias = constants.add(np.zeros(channels, np.int32)), constants.add((scale * 0.05).astype(np.float32))
        nodes += [
            helper.make_node("DequantizeLinear", [last, step, zero], [f"x{k}"]),
            helper.make_node("DequantizeLinear", [constants.add(weight), scales, zeros], [f"w{k}"], axis=0),
            helper.make_node(
                "DequantizeLinear", [bias, of_bias, constants.add(np.zeros(channels, np.int32))], [f"b{k}"], axis=0
            ),
            helper.make_node("Conv", [f"x{k}", f"w{k}", f"b{k}"], [f"s{k}"], pads=[kernel // 2] * 4),
            helper.make_node("Relu", [f"s{k}"], [f"r{k}"]),
            helper.make_node("QuantizeLinear", [f"r{k}", step, zero], [f"q{k}"]),
        ]
        last = f"q{k}"
    return constants.model(nodes, (channels, size, size), last, TensorProto.UINT8)


def float_chain(channels: int, size: int, kernel: int, rng: np.random.Generator) -> bytes:
    """The chain as ONNX in floats."""
    from onnx import TensorProto, helper

    nodes, constants = [], _Constants()
    last = "x"
    for k in range(CHAIN):
        weight = rng.standard_normal((channels, channels, kernel, kernel)) / (math.sqrt(channels) * kernel)
        names = [last, constants.add(weight.astype(np.float32)), constants.add(np.zeros(channels, np.float32))]
        nodes += [
            helper.make_node("Conv", names, [f"s{k}"], pads=[kernel // 2] * 4),
            helper.make_node("Relu", [f"s{k}"], [f"r{k}"]),
        ]
        last = f"r{k}"
    return constants.model(nodes, (channels, size, size), last, TensorProto.FLOAT)


class _Constants:
    """The initialisers of an ONNX graph, by a name each."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []

    def add(self, array: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def model(self, nodes: list[Any], shape: tuple[int, ...], output: str, kind: int) -> bytes:
        from onnx import helper

        ends = [helper.make_tensor_value_info(name, kind, [1, *shape]) for name in ("x", output)]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        contents: bytes = model.SerializeToString()
        return contents


# Peers


def peer_runs(models: Mapping[str, tuple[bytes, NDArray[Any]]]) -> tuple[dict[str, Run], list[str]]:
    """A run of every model in every runtime that is installed, and the runtimes that are not."""
    runs: dict[str, Run] = {}
    missing = ["MNN: no harness here"]
    for name, load in (("onnxruntime", onnx_runtime), ("openvino", openvino)):
        try:
            for numbers, (model, x) in models.items():
                runs[f"{name} {numbers}"] = load(model, x)
        except ModuleNotFoundError:
            missing.append(f"{name}: not installed")
    return runs, missing


# Nets


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Module:
    """With a random batch norm, so that no branch is near zero."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, norm, *([nn.ReLU()] if relu else []))


class Block(nn.Module):
    """`body(x) + around(x)`, and perhaps a ReLU."""

    def __init__(self, body: nn.Module, around: nn.Module, relu: bool) -> None:
        super().__init__()
        self.body, self.around, self.behind = body, around, nn.ReLU() if relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(self.body(x) + self.around(x))  # type: ignore[no-any-return]


def mobilenet_v2(width: float = 1.0, classes: int = 1000) -> nn.Sequential:
    """MobileNetV2 with ReLU where it has ReLU6, which fixed point saturates anyway."""

    def scaled(channels: int) -> int:
        return max(8, int(channels * width + 4) // 8 * 8)

    channels = scaled(32)
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for expansion, base, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for k in range(count):
            step, outputs, wide = stride if k == 0 else 1, scaled(base), channels * expansion
            parts = [convolution(channels, wide, 1)] if expansion > 1 else []
            parts += [convolution(wide, wide, 3, step, wide), convolution(wide, outputs, 1, relu=False)]
            body = nn.Sequential(*parts)
            layers.append(Block(body, nn.Identity(), False) if step == 1 and channels == outputs else body)
            channels = outputs
    last = max(1280, scaled(1280))
    head = (convolution(channels, last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes))
    return nn.Sequential(*layers, *head)


def resnet18(width: int = 64, classes: int = 1000) -> nn.Sequential:
    """ResNet-18, whose pool has windows of 2 x 2: those of 3 x 3 need padding, which integer pools do not have."""
    channels = width
    layers: list[nn.Module] = [convolution(3, width, 7, 2), nn.MaxPool2d(2)]
    for k in range(8):
        outputs, stride = width * 2 ** (k // 2), 2 if k in (2, 4, 6) else 1
        body = nn.Sequential(convolution(channels, outputs, 3, stride), convolution(outputs, outputs, 3, relu=False))
        around = convolution(channels, outputs, 1, stride, relu=False) if stride == 2 else nn.Identity()
        layers.append(Block(body, around, True))
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def whole_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    torch.manual_seed(int(context.rng.integers(2**31)))
    net = {"mobilenet_v2": mobilenet_v2, "resnet18": resnet18}[cell.subject]().eval()
    shape, size = (3, 224, 224), 224
    x = context.rng.standard_normal((4, *shape)).astype(np.float32).clip(-4, 3.9)
    began = time.perf_counter()
    floats = compile_floats(net, [shape], context.rng, count=1)
    seconds = time.perf_counter() - began
    context.progress(1, 4, f"{cell.subject} at {size} pixels: floats compiled")
    program = from_torch(net, shape, "s8.5", x)
    compiled = compile_program(program, context.rng, price=calibrated(), count=2)
    context.progress(2, 4, "integers compiled")
    integers = program.inputs[0].format.to_integers(x[:1])
    y = np.empty((1, 1000), np.float32)
    runs = {"ours int8": ours(compiled.net, integers), "ours fp32": partial(floats.net.run, [x[:1].copy()], [y])}
    model = exported(net, torch.zeros(1, *shape))
    peers, missing = peer_runs({"fp32": (model, x[:1]), "int8": (quantised(model, x), x[:1])})
    context.progress(3, 4, "timing")
    return {
        "instructions": compiled.net.instructions,
        "missing": missing,
        "max_rel_error": max(floats.errors.values()),
        "mismatches": sum(check.mismatches for check in compiled.checks),
        "compile_s": seconds,
        "library_kib": {"int8": len(compiled.shared_library) / 1024, "fp32": len(floats.shared_library) / 1024},
        "arena_kib": {"int8": compiled.lowered.arena / 1024, "fp32": floats.lowered.arena / 1024},
        **interleaved(runs | peers, cell.rounds),
    }


def exported(net: nn.Module, example: torch.Tensor) -> bytes:
    """The net as float ONNX."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (example,), buffer, dynamo=False, opset_version=17)
    return buffer.getvalue()


class Encoder(nn.Module):
    """BERT of four layers and 256 numbers a token, as J. Devlin et al. describe it (arXiv 1810.04805), to classes."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(TOKENS, width)
        self.norm, self.layers = nn.LayerNorm(width), nn.Sequential(*(EncoderLayer(width) for _ in range(4)))
        self.pooled, self.head = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.words(x) + self.places.weight)
        return self.head(torch.tanh(self.pooled(self.layers(y)[:, 0])))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Attention and an MLP, each added to the tokens before a layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.first, self.second, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), width // 64

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, 64)).transpose(1, 3).unbind(2)
        mixed = (q @ k.transpose(-2, -1) / 8).softmax(-1) @ v
        x = self.first(x + self.out(mixed.transpose(1, 2).flatten(2)))
        return self.second(x + self.mlp(x))  # type: ignore[no-any-return]


class Enlarger(nn.Module):
    """Images to twice their size: 3x3 layers of 16 channels, a pixel shuffle, and the nearest pixels as anchor."""

    def __init__(self) -> None:
        super().__init__()
        body = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
        for _ in range(4):
            body += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + nn.functional.interpolate(x, scale_factor=2.0)  # type: ignore[no-any-return]


def _float_subject(subject: str, rng: np.random.Generator) -> tuple[nn.Module, torch.Tensor]:
    """A net and a sample."""
    if subject == "bert":
        return Encoder().eval(), torch.from_numpy(rng.integers(0, WORDS, (1, TOKENS)))
    if subject == "super_resolution":
        return Enlarger().eval(), torch.from_numpy(rng.standard_normal((1, 3, 180, 320)).astype(np.float32))
    net = efficientformer_l1().eval()
    for module in net.modules():
        if isinstance(module, Factor):  # of no effect in a net that is not trained
            nn.init.uniform_(module.weight, 0.2, 1.0)
    return net, torch.from_numpy(rng.standard_normal((1, 3, 224, 224)).astype(np.float32))


def float_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """A net whose kernels are of floats alone, beside the peers and beside its prediction."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    net, example = _float_subject(cell.subject, context.rng)
    x = example.numpy()
    began = time.perf_counter()
    compiled = compile_floats(net, [example], context.rng, count=1)
    seconds = time.perf_counter() - began
    context.progress(1, 3, f"{cell.subject}: floats compiled")
    y = np.empty((1, *compiled.net.outputs[0]), np.float32)
    runs: dict[str, Run] = {"ours fp32": partial(compiled.net.run, [x.astype(np.float32)], [y])}
    peers, missing = peer_runs({"fp32": (exported(net, example), x)})
    latency = calibrated(context.progress, "float32")
    _, [timed] = timings([compiled.lowered], passes=6)
    context.progress(2, 3, "timing")
    return {
        "instructions": compiled.net.instructions,
        "missing": missing,
        "max_rel_error": max(compiled.errors.values()),
        "compile_s": seconds,
        "library_kib": {"fp32": len(compiled.shared_library) / 1024},
        "arena_kib": {"fp32": compiled.lowered.arena / 1024},
        "pair": [net_latency(net, example, latency, "float32").ms, timed.ms],
        **interleaved(runs | peers, cell.rounds),
    }


def quantised(model: bytes, samples: NDArray[np.float32]) -> bytes:
    """The model with QDQ by ONNX Runtime's own tool: static, per channel, unsigned activations."""
    import tempfile
    from pathlib import Path

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.rest = iter([{name: samples[k : k + 1]} for k in range(len(samples))])

        def get_next(self) -> Any:
            return next(self.rest, None)

    import onnx

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}.onnx") for name in ("float", "ready", "quantised")]
        Path(paths[0]).write_bytes(model)
        quant_pre_process(paths[0], paths[1])
        name = onnx.load_from_string(model).graph.input[0].name
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(paths[1], paths[2], Samples(name), QuantFormat.QDQ, per_channel=True, **kinds)
        return Path(paths[2]).read_bytes()


# Predictions


def predicted(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """Whole nets of a kind that no law was fitted on, in all formats, and slopes of the price against measured ones."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    latency = calibrated(context.progress)

    def family(scale: float) -> tuple[nn.Module, tuple[int, ...]]:
        if cell.subject == "resnet18":
            return resnet18(int(16 * scale), 10).eval(), (3, 64, 64)
        return mobilenet_v2(scale / 2, 100).eval(), (3, 96, 96)

    nets = []
    for scale in (0.75, 1.0, 1.5, 2.0):
        net, shape = family(scale)
        program = from_torch(net, shape, "s8.5", torch.randn(4, *shape).clamp(-4, 3.9))
        nets += [lower(program, format=format) for format in FORMATS]
    _, timed = timings(nets, passes=6)
    pairs = [[sum(latency(work) for work, _ in each.calls), each.ms] for each in timed]
    return {"instructions": latency.instructions, "pairs": pairs, "slopes": slopes(latency)}


def slopes(latency: Any) -> list[list[float]]:
    """Milliseconds per channel of one layer, by the price's gradient and by times two tile steps apart.

    The difference of two times is small, so that each is the least of many turns.
    """
    results = []
    for inputs, outputs, kernel, size in ((64, 16, 1, 56), (128, 24, 1, 28), (32, 16, 3, 56), (64, 24, 3, 28)):

        def net(width: int, shape: tuple[int, ...] = (inputs, outputs, kernel, size)) -> nn.Sequential:
            first, last, k, _ = shape
            middle = nn.Conv2d(first, width, k, padding=k // 2)
            return nn.Sequential(middle, nn.ReLU(), nn.Conv2d(width, last, 1), nn.ReLU()).eval()

        example = (inputs, size, size)
        programs = [from_torch(net(outputs + step), example, "u8.0", torch.rand(2, *example) * 255) for step in (-4, 4)]
        _, (below, above) = timings([lower(program, format="dense") for program in programs], passes=40)
        priced = net_latency(net(outputs), example, latency)
        results.append([priced.gradient()["0"], (above.ms - below.ms) / 8])
    return results


# Figures


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    layers = [row for row in rows if row.settings["part"] == "layer"]
    nets = [row for row in rows if row.settings["part"] == "net"]
    pairs = [pair for row in rows if row.settings["part"] == "predictor" for pair in row.result["pairs"]]
    gradients = [pair for row in rows if row.settings["part"] == "predictor" for pair in row.result["slopes"]]
    errors = [abs(guess / measured - 1) for guess, measured in pairs]
    off = [abs(slope / measured - 1) for slope, measured in gradients]
    figures = {
        f"conv{kernel}_int8_75{name}": _geomean(layers, kernel, formats, goal)
        for kernel in ("1x1", "3x3")
        for name, formats, goal in (("", ("2x4",), ">= 3.5"), ("_1x4", ("1x4",), ""), ("_dense", ("dense",), ""))
    }
    for net in NETS:
        those = [row for row in nets if row.settings["subject"] == net]
        figures[f"dense_int8_ratio_{net}"] = over_seeds(
            [_ratio(row, "ours int8", "int8") for row in those], "x", ">= 0.95"
        )
        figures[f"dense_fp32_ratio_{net}"] = over_seeds([_ratio(row, "ours fp32", "fp32") for row in those], "x")
    floats = [row for row in rows if row.settings["part"] == "float net"]
    for net in FLOAT_NETS:
        ratios = [_ratio(row, "ours fp32", "fp32") for row in floats if row.settings["subject"] == net]
        figures[f"dense_fp32_ratio_{net}"] = over_seeds(ratios, "x")
    wide = [abs(row.result["pair"][0] / row.result["pair"][1] - 1) for row in floats]
    figures["float_predictor_worst_error"] = Metric(max(wide, default=None), goal="<= 0.1")
    mobile = [row for row in nets if row.settings["subject"] == "mobilenet_v2"]
    relative = [row.result["max_rel_error"] for row in (*nets, *floats)]
    wrong = [row.result["mismatches"] for row in nets]
    figures |= {
        "predictor_median_error": Metric(statistics.median(errors) if errors else None, goal="<= 0.05"),
        "predictor_p90_error": Metric(float(np.quantile(errors, 0.9)) if errors else None, goal="<= 0.1"),
        "predictor_tau": Metric(tau(pairs) if pairs else None, goal=">= 0.95"),
        "gradient_error": Metric(max(off, default=None), unit="worst of the layers", goal="<= 0.1"),
        "compile_seconds": over_seeds([row.result["compile_s"] for row in mobile], "s", "<= 10"),
        "max_rel_error": Metric(max(relative, default=None), goal="<= 1e-5"),
        "int8_mismatches": Metric(sum(wrong) if wrong else None, unit="samples", goal="<= 0"),
    }
    return figures


def _ratio(row: Row, name: str, numbers: str) -> float:
    """How many times faster than the best peer."""
    times = row.result["median_ms"]
    best = min(ms for peer, ms in times.items() if not peer.startswith("ours") and peer.endswith(numbers))
    return float(best / times[name])


def _geomean(rows: Sequence[Row], kernel: str, formats: Sequence[str], goal: str) -> Metric:
    """Over the shapes of a kernel, then over seeds; beside the best peer of 8 bits."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if row.settings["subject"].startswith(kernel):
            ratio = max(_ratio(row, f"ours {name}", "int8") for name in formats)
            by_seed.setdefault(row.seed, []).append(math.log(ratio))
    return over_seeds([math.exp(statistics.fmean(logs)) for logs in by_seed.values()], "x", goal)


def tau(pairs: Sequence[Sequence[float]]) -> float:
    """Kendall's rank correlation of predicted and measured times.

    >>> tau([(1.0, 2.0), (2.0, 3.0), (3.0, 2.5)])
    0.3333333333333333
    """
    agree = [math.copysign(1.0, (a - c) * (b - d)) for k, (a, b) in enumerate(pairs) for c, d in list(pairs)[k + 1 :]]
    return statistics.fmean(agree)


def cells(quick: bool, seed: int) -> list[MobileSettings]:
    if quick:
        return [MobileSettings(part="layer", subject=shape, rounds=5, seed=seed) for shape in ("1x1 14", "3x3 14")]
    seeds = range(seed, seed + 3)
    layers = [MobileSettings(part="layer", subject=shape, seed=each) for each in seeds for shape in SHAPES]
    nets = [MobileSettings(part="net", subject=net, seed=seed) for net in NETS]
    nets += [MobileSettings(part="float net", subject=net, seed=seed) for net in FLOAT_NETS]
    return [*layers, *nets, *(MobileSettings(part="predictor", subject=net, seed=seed) for net in NETS)]


if __name__ == "__main__":
    main(Mobile(), cells, figures)
