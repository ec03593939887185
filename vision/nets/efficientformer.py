"""EfficientFormer: blocks on maps that pool, then blocks on tokens that attend, with one reshape between them."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from shared.weights.channels import ChannelGroup, Slot

KEY, VALUE, HEADS = 32, 128, 8
"""Numbers of each head's keys and values, and heads of an attention."""
EXPANSION = 4
STRIDE = 32
"""Pixels of an image beside those of the last map."""
Size = tuple[int, int]


class Factor(nn.Module):
    """The input times a number for each channel, `weight`, that starts close to zero (LayerScale, arXiv 2103.17239)."""

    def __init__(self, *shape: int, start: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class DropPath(nn.Module):
    """In training the input is zero for a share `rate` of the samples, and larger for the others to make up for it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        kept = torch.rand(len(x), *(1,) * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class PoolingMixer(nn.Module):
    """The mean of 3x3 pixels, less the pixel itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(x) - x
        return y


class MapBlock(nn.Module):
    """Pooling and an MLP of 1x1 convolutions, each added to a map `(B, width, H, W)`: MB4D of the paper."""

    def __init__(self, width: int, drop: float = 0.0) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.mixer = PoolingMixer()
        self.scale1, self.scale2 = Factor(width, 1, 1), Factor(width, 1, 1)
        self.drop = DropPath(drop)
        self.mlp = nn.Sequential(
            nn.Conv2d(width, inner, 1),
            nn.BatchNorm2d(inner),
            nn.GELU(),
            nn.Conv2d(inner, width, 1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.scale1(self.mixer(x)))
        y: Tensor = x + self.drop(self.scale2(self.mlp(x)))
        return y


class PositionBias(nn.Module):
    """What each head adds to its scores: `weight`, `(heads, H * W)`, at the distances |dy| and |dx| of two tokens."""

    index: Tensor

    def __init__(self, size: Size, heads: int = HEADS) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads, size[0] * size[1]))
        self.size = size
        self.register_buffer("index", _distances(size), persistent=False)

    def forward(self) -> Tensor:
        return self.weight[:, self.index]

    def resize(self, size: Size) -> None:
        """The bias for another number of tokens: the table over distances is interpolated, distance 0 staying there."""
        table = self.weight.detach().unflatten(1, self.size)[None]
        table = interpolate(table, size, mode="bicubic", align_corners=True)[0].flatten(1)
        self.weight = nn.Parameter(table, requires_grad=self.weight.requires_grad)
        self.size, self.index = size, _distances(size).to(table.device)


def _distances(size: Size) -> Tensor:
    """The entry of the table for each pair of tokens, `(N, N)`."""
    rows, columns = (axis.flatten() for axis in torch.meshgrid(*map(torch.arange, size), indexing="ij"))
    return (rows[:, None] - rows).abs() * size[1] + (columns[:, None] - columns).abs()


class Attention(nn.Module):
    """Attention of tokens `(B, N, width)`, its scores biased by distance; heads may be removed."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, HEADS * (2 * KEY + VALUE))
        self.bias = PositionBias(size)
        self.project = nn.Linear(HEADS * VALUE, width)

    def own_channel_groups(self) -> Sequence[ChannelGroup]:
        """The heads."""
        heads = len(self.bias.weight)
        return [
            ChannelGroup(
                heads,
                writers=[Slot("qkv", repeat=2 * KEY + VALUE)],
                carriers=[Slot("bias")],
                readers=[Slot("project", repeat=VALUE)],
            )
        ]

    def forward(self, x: Tensor) -> Tensor:
        by_head = self.qkv(x).unflatten(-1, (-1, 2 * KEY + VALUE)).transpose(1, 2)
        q, k, v = by_head.split((KEY, KEY, VALUE), -1)
        scores = q @ k.transpose(-2, -1) * KEY**-0.5 + self.bias()
        mixed = torch.softmax(scores, -1) @ v
        y: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return y


class TokenBlock(nn.Module):
    """Attention and an MLP, each added to tokens `(B, N, width)` behind a layer norm: MB3D of the paper."""

    def __init__(self, width: int, size: Size, drop: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer = Attention(width, size)
        self.scale1, self.scale2 = Factor(width), Factor(width)
        self.drop = DropPath(drop)
        self.mlp = nn.Sequential(nn.Linear(width, EXPANSION * width), nn.GELU(), nn.Linear(EXPANSION * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.scale1(self.mixer(self.norm1(x))))
        y: Tensor = x + self.drop(self.scale2(self.mlp(self.norm2(x))))
        return y


class Tokens(nn.Module):
    """A map `(B, width, H, W)` as tokens `(B, H * W, width)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """An embedding, which halves the map, unless the stage is the first; then blocks, the last ones on tokens."""

    def __init__(self, width: int, before: int | None, on_tokens: int, size: Size, drops: Sequence[float]) -> None:
        super().__init__()
        self.embed: nn.Module = nn.Identity()
        if before is not None:
            self.embed = nn.Sequential(nn.Conv2d(before, width, 3, 2, 1), nn.BatchNorm2d(width))
        on_maps = len(drops) - on_tokens
        maps = [MapBlock(width, drop) for drop in drops[:on_maps]]
        tokens = [TokenBlock(width, size, drop) for drop in drops[on_maps:]]
        self.blocks = nn.Sequential(*maps, *([Tokens()] if tokens else []), *tokens)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.blocks(self.embed(x))
        return y


class EfficientFormer(nn.Module):
    """Images `(B, 3, H, W)` to logits `(B, classes)`, the mean of a head for labels and one for a teacher's answers.

    Y. Li et al., EfficientFormer (arXiv 2206.01191), section 3 and appendix. The image size is part of the net, for the
    attention's bias has an entry for each distance on the last map; `at_size` gives the net for another one.

    >>> sum(parameter.numel() for parameter in efficientformer_l1().parameters())
    12289928
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        on_tokens: int,
        *,
        image: int | Size = 224,
        classes: int = 1000,
        drop_path: float = 0.0,
    ) -> None:
        """The last `on_tokens` blocks are on tokens; `drop_path` is the rate of the last block, which rises on a line.

        Raises `ValueError` where there are more blocks on tokens than in the last stage, and for an image of no size.
        """
        super().__init__()
        if not 0 <= on_tokens <= depths[-1]:
            raise ValueError(f"{on_tokens=}: the last stage has {depths[-1]} blocks, which may be on tokens")
        self.image = _pair(image)
        rates = iter(drop_path * block / max(sum(depths) - 1, 1) for block in range(sum(depths)))
        first = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, first // 2, 3, 2, 1),
            nn.BatchNorm2d(first // 2),
            nn.ReLU(),
            nn.Conv2d(first // 2, first, 3, 2, 1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        )
        attending = [0] * (len(depths) - 1) + [on_tokens]
        before = (None, *widths)
        self.stages = nn.Sequential(
            *(
                Stage(width, before[stage], attending[stage], self.tokens, [next(rates) for _ in range(depths[stage])])
                for stage, width in enumerate(widths)
            )
        )
        self.has_tokens = on_tokens > 0
        self.norm = nn.LayerNorm(widths[-1])
        self.head, self.distilled = nn.Linear(widths[-1], classes), nn.Linear(widths[-1], classes)
        self.apply(_initialise)

    @property
    def tokens(self) -> Size:
        """Rows and columns of the last map."""
        return -(-self.image[0] // STRIDE), -(-self.image[1] // STRIDE)

    def forward(self, x: Tensor) -> Tensor:
        labels, distilled = self.both_heads(x)
        return (labels + distilled) / 2

    def both_heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of both heads: for training, the second is to agree with a teacher."""
        self._require_size(x)
        x = self.stages(self.stem(x))
        x = self.norm(x if self.has_tokens else x.flatten(2).transpose(1, 2)).mean(1)
        return self.head(x), self.distilled(x)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The map behind each stage, `(B, width, H / 4, W / 4)` to `(B, width, H / 32, W / 32)`: for dense tasks."""
        self._require_size(x)
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        if self.has_tokens:
            maps[-1] = x.transpose(1, 2).unflatten(2, self.tokens)
        return tuple(maps)

    def at_size(self, image: int | Size) -> "EfficientFormer":
        """A copy for images of another size, `(H, W)`. Raises `ValueError` for one that is none.

        Its biases are interpolated over distances. The authors' dense code interpolates the matrix of all pairs of
        tokens instead, which then no longer depends on the distance alone.
        """
        net = copy.deepcopy(self)
        net.image = _pair(image)
        for module in net.modules():
            if isinstance(module, PositionBias):
                module.resize(net.tokens)
        return net

    def _require_size(self, x: object) -> None:
        if isinstance(x, Tensor) and tuple(x.shape[-2:]) != self.image:  # torch.fx traces with something else
            height, width = x.shape[-2:]
            raise ValueError(
                f"images of {height} x {width}, but the net is for {self.image[0]} x {self.image[1]}: "
                f"take net.at_size(({height}, {width}))"
            )


class DenseMaps(nn.Module):
    """The four maps of an `EfficientFormer`, each behind a layer norm over its channels, for dense tasks."""

    def __init__(self, net: EfficientFormer) -> None:
        super().__init__()
        self.net = net
        widths = [_width(stage) for stage in net.stages]
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.net.maps(x)
        return tuple(norm(each.movedim(1, -1)).movedim(-1, 1) for norm, each in zip(self.norms, maps, strict=True))


def efficientformer_l1(**options: int | Size | float) -> EfficientFormer:
    """12,289,928 parameters, 1.3 GMACs at 224 x 224; `options` are those of `EfficientFormer`."""
    return EfficientFormer((48, 96, 224, 448), (3, 2, 6, 4), 1, **options)  # type: ignore[arg-type]


def efficientformer_l3(**options: int | Size | float) -> EfficientFormer:
    """31,406,000 parameters, 3.9 GMACs at 224 x 224; `options` are those of `EfficientFormer`."""
    return EfficientFormer((64, 128, 320, 512), (4, 4, 12, 6), 4, **options)  # type: ignore[arg-type]


def efficientformer_l7(**options: int | Size | float) -> EfficientFormer:
    """82,229,328 parameters, 10.2 GMACs at 224 x 224; `options` are those of `EfficientFormer`."""
    return EfficientFormer((96, 192, 384, 768), (6, 6, 18, 8), 8, **options)  # type: ignore[arg-type]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _width(stage: nn.Module) -> int:
    return next(len(module.weight) for module in stage.modules() if isinstance(module, Factor))


def _pair(image: int | Size) -> Size:
    sides = (image, image) if isinstance(image, int) else tuple(image)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"image={image!r}: needs the pixels of a side, or of height and width: both whole and positive"
        )
    return sides
