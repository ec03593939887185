"""The net of a plan, and the supernet whose blocks hold every operator."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import gumbel_softmax

from vision.nets.efficientformer import Factor, MapBlock, Size, TokenBlock, Tokens
from vision.slimming.plan import ON_MAPS, OPERATORS, STEP, Operator, Plan

FUSED = 2
"""Channels inside of a fused block beside those around it: its 3x3 convolution is dense, so few more pay."""

SUMMED = 0.1
"""Share of the batches that train the sum of all operators."""

START = 1.0
"""Of the factors of branches. From the paper's 1e-5 they grow over hundreds of epochs; here there are tens."""


class FusedBlock(nn.Module):
    """A 3x3 convolution to more channels and a 1x1 back, added to a map: what compilers for CPUs run fastest.

    S. Gupta, M. Tan, EfficientNet-EdgeTPU (2019): depthwise and expansion fused into one dense convolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, FUSED * width, 3, padding=1),
            nn.BatchNorm2d(FUSED * width),
            nn.ReLU(),
            nn.Conv2d(FUSED * width, width, 1),
            nn.BatchNorm2d(width),
        )
        self.scale = Factor(width, 1, 1, start=START)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.scale(self.layers(x))
        return y


class SingleBlock(nn.Module):
    """One 3x3 convolution, added to a map `(B, width, H, W)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.scale = Factor(width, 1, 1, start=START)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.scale(self.layers(x))
        return y


def block(operator: Operator, width: int, size: Size) -> nn.Module:
    """One block, `(B, width, H, W)` or tokens `(B, H * W, width)` to the same."""
    match operator:
        case "none":
            return nn.Identity()
        case "pool":
            operation: nn.Module = MapBlock(width)
        case "single":
            operation = SingleBlock(width)
        case "conv":
            operation = FusedBlock(width)
        case "attention":
            operation = TokenBlock(width, size)
    for module in operation.modules():
        if isinstance(module, Factor):
            nn.init.constant_(module.weight, START)
    return operation


def stem(width: int, stride: int) -> nn.Sequential:
    """A convolution of the image, two for a stride of 4."""
    first = [nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
    more = [nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()] if stride == 4 else []
    return nn.Sequential(*first, *more)


def embedding(before: int, width: int) -> nn.Sequential:
    """A convolution that halves the map."""
    return nn.Sequential(nn.Conv2d(before, width, 3, 2, 1), nn.BatchNorm2d(width))


class SlimNet(nn.Module):
    """Images `(B, 3, image, image)` to logits `(B, classes)`, by the blocks of a plan.

    >>> net = SlimNet(Plan((32, 64), (("conv",), ("pool", "attention"))), image=32, classes=10)
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, plan: Plan, *, image: int, classes: int, stride: int = 2) -> None:
        super().__init__()
        self.plan, self.frame = plan, {"image": image, "classes": classes, "stride": stride}
        sides = map_sides(plan, image, stride)
        stages: list[nn.Module] = []
        for stage, (width, operators) in enumerate(zip(plan.widths, plan.blocks, strict=True)):
            maps = [block(each, width, (sides[stage],) * 2) for each in operators if each in ON_MAPS]
            tokens = [block(each, width, (sides[stage],) * 2) for each in operators if each == "attention"]
            first = [embedding(plan.widths[stage - 1], width)] if stage else []
            stages.append(nn.Sequential(*first, *maps, *([Tokens()] if tokens else []), *tokens))
        self.stem = stem(plan.widths[0], stride)
        self.stages = nn.Sequential(*stages)
        self.to_tokens = nn.Identity() if "attention" in plan.blocks[-1] else Tokens()
        self.norm = nn.LayerNorm(plan.widths[-1])
        self.head = nn.Linear(plan.widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.to_tokens(self.stages(self.stem(x)))).mean(1))
        return logits


def map_sides(plan: Plan, image: int, stride: int) -> list[int]:
    """Pixels per side of each stage's map."""
    first = -(-image // stride)
    return [-(-first // 2**stage) for stage in range(len(plan.widths))]


class Supernet(nn.Module):
    """Every block as a choice, and the weights that the nets of all cheaper plans share.

    `plan` is the largest net; each of its blocks may be what it is or anything cheaper. The net of a plan has the
    leading channels of the shared weights (`weights`), so a narrow one takes as little time here as by itself.

    In training most batches are given to a plan that random actions make of the largest. The others train the sum of
    all operators' outputs, weighted by a Gumbel softmax: it says what each block gives to its operators, and little of
    each operator alone, and costs as much as all of them.

    Y. Li et al., EfficientFormer (arXiv 2206.01191), section 3.3 and appendix; E. Jang et al. (arXiv 1611.01144); Z.
    Guo et al., *Single path one-shot* (arXiv 1904.00420); J. Yu et al., *Slimmable networks* (arXiv 1812.08928).
    """

    def __init__(self, plan: Plan, *, image: int, classes: int, stride: int = 2) -> None:
        super().__init__()
        self.frame = {"image": image, "classes": classes, "stride": stride}
        sides = map_sides(plan, image, stride)
        openings = [stem(plan.widths[0], stride), *map(embedding, plan.widths, plan.widths[1:])]
        stages = zip(openings, plan.blocks, plan.widths, sides, strict=True)
        self.plan = plan
        self.stages = nn.Sequential(
            *(
                _Stage(opening, [_Choice(operator, width, (side, side)) for operator in operators])
                for opening, operators, width, side in stages
            )
        )
        self.norm = nn.LayerNorm(plan.widths[-1])
        self.head = nn.Linear(plan.widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.rand(()) >= SUMMED:
            return self.answered(at_random(self.plan), x)
        x = self.stages(x)
        logits: Tensor = self.head(self.norm(x.flatten(2).transpose(1, 2)).mean(1))
        return logits

    def answered(self, plan: Plan, x: Tensor) -> Tensor:
        """Logits `(B, classes)` of a plan's net, by the statistics of this batch: others are of many plans at once."""
        net = SlimNet(plan, **self.frame)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = module.running_var = None
        logits: Tensor = functional_call(net, self.weights(net), (x,))
        return logits

    def weights(self, net: SlimNet) -> dict[str, Tensor]:
        """Those of a plan's net by its own names: the leading part of each shared tensor."""
        shared, sources = dict(self.named_parameters()), shared_modules(net.plan)
        weights = {}
        for name, own in net.named_parameters():
            module = next((module for module in sources if name.startswith(f"{module}.")), "")
            source = sources[module] + name.removeprefix(module) if module else name
            weights[name] = shared[source][tuple(map(slice, own.shape))]
        return weights

    def shares(self) -> list[list[dict[str, float]]]:
        """What the softmax gives to each operator of each block, by stage."""
        return [
            [choice.shares() for choice in stage.choices if isinstance(choice, _Choice)]
            for stage in self.stages
            if isinstance(stage, _Stage)
        ]


def shared_modules(plan: Plan) -> dict[str, str]:
    """Names of the parts of a plan's net, and of the supernet's that they are taken from.

    >>> shared_modules(Plan((32, 64), (("none",), ("pool", "attention"))))["stages.1.1"]
    'stages.1.choices.0.blocks.1'
    """
    names = {"stem": "stages.0.opening"}
    for stage, operators in enumerate(plan.blocks):
        parts = [f"stages.{stage}.opening"] if stage else []
        for place, operator in enumerate(operators):
            if operator == "attention" and "attention" not in operators[:place]:
                parts.append("")  # the reshape to tokens
            if operator != "none":
                parts.append(f"stages.{stage}.choices.{place}.blocks.{OPERATORS.index(operator)}")
        names |= {f"stages.{stage}.{number}": part for number, part in enumerate(parts) if part}
    return names


def at_random(plan: Plan) -> Plan:
    """What up to as many random actions make of a plan as narrow it and change each of its blocks once."""
    most = sum(width // STEP - 1 for width in plan.widths) + sum(map(len, plan.blocks))
    for _ in range(int(torch.randint(most + 1, ()))):
        cheaper = [other for _, other in plan.actions()]
        if not cheaper:
            break
        plan = cheaper[int(torch.randint(len(cheaper), ()))]
    return plan


class _Stage(nn.Module):
    """What opens a stage, and its choices."""

    def __init__(self, opening: nn.Sequential, choices: Sequence["_Choice"]) -> None:
        super().__init__()
        self.opening, self.choices = opening, nn.ModuleList(choices)

    def forward(self, x: Tensor) -> Tensor:
        x = self.opening(x)
        for choice in self.choices:
            x = choice(x)
        return x


class _Choice(nn.Module):
    """The sum of several operators on a map `(B, width, H, W)`, weighted by a softmax that is Gumbel's in training."""

    def __init__(self, largest: Operator, width: int, size: Size) -> None:
        super().__init__()
        self.operators = OPERATORS[: OPERATORS.index(largest) + 1]
        self.blocks = nn.ModuleList(block(operator, width, size) for operator in self.operators)
        self.scores = nn.Parameter(torch.zeros(len(self.operators)))

    def forward(self, x: Tensor) -> Tensor:
        weights = gumbel_softmax(self.scores) if self.training else self.scores.softmax(0)
        return torch.stack([weights[k] * self.one(x, each) for k, each in enumerate(self.operators)]).sum(0)

    def one(self, x: Tensor, operator: Operator) -> Tensor:
        module = self.blocks[self.operators.index(operator)]
        y: Tensor
        if operator != "attention":
            y = module(x)
            return y
        y = module(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])
        return y

    def shares(self) -> dict[str, float]:
        return dict(zip(self.operators, self.scores.detach().softmax(0).tolist(), strict=True))
