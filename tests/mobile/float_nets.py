"""Small float nets of every operator, with random weights: each is a module and the shape of its input."""

import torch
from torch import nn
from torch.nn import functional

from vision.nets.efficientformer import EfficientFormer, Factor


class Function(nn.Module):
    """A function of tensors as a module, with layers and parameters of its own."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) else part)

    def forward(self, x):
        return self.function(self, x)


class SuperResolution(nn.Module):
    """3x3 layers, a pixel shuffle, and the image itself, enlarged, as anchor."""

    def __init__(self, width, mode, behind=nn.ReLU, scale=2, inputs=3):
        super().__init__()
        self.head, self.body = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.behind, self.second = behind(), behind()
        self.tail = nn.Conv2d(width, inputs * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        self.anchor = nn.Upsample(scale_factor=scale, mode=mode)

    def forward(self, x):
        y = self.behind(self.head(x))
        y = y + self.second(self.body(y))
        return torch.clamp(self.shuffle(self.tail(y)) + self.anchor(x), 0, 1)


class Joined(nn.Module):
    """Features of all layers joined, as dense and feature-distilling nets do it."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(15, 16, 3, padding=1), nn.Conv2d(31, 3, 1)
        self.slopes = nn.PReLU(12, init=0.3)

    def forward(self, x):
        y = torch.cat([x, self.slopes(self.a(x))], 1)
        kept, rest = torch.cat([functional.leaky_relu(self.b(y), 0.2), y], 1).split((12, 19), 1)
        return self.c(torch.cat((rest, kept), 1)) + x * 0.5 - 1


class Block(nn.Module):
    """A pre-norm transformer block with attention in one of three spellings."""

    def __init__(self, width, heads, spelling="matmul", causal=False, tokens=0):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.heads, self.spelling, self.causal = heads, spelling, causal
        if tokens:
            self.register_buffer("mask", torch.ones(tokens, tokens).tril()[None, None] == 0)

    def forward(self, x):
        x = x + self.out(self.attend(self.first(x)))
        return x + self.mlp(self.second(x))

    def attend(self, x):
        batch, tokens, width = x.shape
        if self.spelling == "permute":
            q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        else:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        if self.spelling == "function":
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
            if self.causal:
                scores = scores.masked_fill(self.mask, float("-inf"))
            y = scores.softmax(-1) @ v
        return y.transpose(1, 2).reshape(batch, tokens, width)


class VisionTransformer(nn.Module):
    """Patches, a class token, positions, blocks, a classifier of the class token."""

    def __init__(self, width=24, heads=3, patch=4, size=16, blocks=2, classes=5):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Block(width, heads, "permute") for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Language(nn.Module):
    """Tokens of text to logits of each (a decoder), or to the mean of all (an encoder)."""

    def __init__(self, causal, words=50, width=32, heads=4, tokens=12, spelling="matmul"):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(tokens, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, heads, spelling, causal, tokens if causal else 0) for _ in range(2)))
        self.head, self.causal = nn.Linear(width, words), causal

    def forward(self, x):
        y = self.words(x.long()) + self.places(torch.arange(x.shape[1]))
        y = self.blocks(self.norm(y))
        return self.head(y) if self.causal else torch.tanh(self.head(y.mean(1)))


MOVES = Function(
    lambda self, x: (
        functional.pixel_unshuffle(x, 2).roll(1, 2),
        x.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2),
        torch.cat([x.flatten(2), functional.relu(x).flatten(2)[:, :, 3:]], 2),
        x.permute(0, 2, 3, 1).flip(2),
    )
)
PIXELS = Function(
    lambda self, x: (
        functional.interpolate(x, size=(9, 5), mode="nearest"),
        functional.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=False),
        functional.interpolate(x, size=(3, 11), mode="bicubic", align_corners=True),
        functional.interpolate(x, scale_factor=(0.5, 0.5), mode="bilinear", antialias=True),
        self.reflected(x),
        functional.pad(x, (1, 2, 0, 3)),
        functional.pad(self.reflected(x), (0, 1)),
        x.mean((2, 3)),
        x.mean(1, keepdim=True) * x,
    ),
    reflected=nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
)
NUMBERS = Function(
    lambda self, x: (
        (x * 0.5 - 1).clamp(-0.25, 1.5),
        x / 4 + self.by_channel,
        self.by_channel * (3 - -x),
        -x - x * self.everywhere,
        functional.gelu(x, approximate="tanh"),
        torch.sigmoid(x) * torch.tanh(3 * x),
        functional.silu(x[:, 1:3] * 20),
        functional.softmax(x, dim=1),
    ),
    by_channel=torch.linspace(-1, 1, 5)[:, None, None],
    everywhere=torch.linspace(-1, 1, 5 * 6 * 7).reshape(5, 6, 7),
)


class Residual(nn.Module):
    """The block of ResNet-50, or that of MobileNetV3: its channels scaled by what their mean says."""

    def __init__(self, *body, squeezed=0):
        super().__init__()
        self.body = nn.Sequential(*body)
        if squeezed:
            self.scale = nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(squeezed, 8, 1),
                nn.ReLU(),
                nn.Conv2d(8, squeezed, 1),
                nn.Hardsigmoid(),
            )

    def forward(self, x):
        y = self.body(x)
        return functional.relu(y + x) if not hasattr(self, "scale") else y * self.scale(y) + x


def layers(*channels, kernel=3, behind=nn.Hardswish, **options):
    conv = nn.Conv2d(*channels, kernel, padding=kernel // 2, bias=False, **options)
    return conv, nn.BatchNorm2d(channels[1]), behind()


def classifier():
    """Blocks of VGG, ResNet-50 and MobileNetV3."""
    return nn.Sequential(
        *layers(3, 12, behind=nn.ReLU),
        nn.MaxPool2d(2),
        *layers(12, 16, stride=2),
        Residual(*layers(16, 8, kernel=1), *layers(8, 8), *layers(8, 16, kernel=1, behind=nn.Identity)),
        Residual(
            *layers(16, 24, kernel=1, behind=nn.SiLU),
            *layers(24, 24, kernel=5, groups=24),
            *layers(24, 16),
            squeezed=16,
        ),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16 * 16, 5),
    )


def efficientformer():
    """Of 64 pixels, with factors that do not hide the blocks as those of an untrained net do."""
    net = EfficientFormer((16, 32, 48, 64), (1, 1, 1, 3), 2, image=64, classes=10)
    for module in net.modules():
        if isinstance(module, Factor):
            nn.init.uniform_(module.weight, 0.2, 1.0)
    return net


def enlarger():
    """Transposed convolutions, as FSRCNN has them."""
    first = nn.ConvTranspose2d(2, 5, (9, 3), (3, 1), padding=(4, 0), output_padding=(2, 0))
    return nn.Sequential(
        first, nn.PReLU(5), nn.ConvTranspose2d(5, 3, 2, 2), nn.Flatten(2), nn.ConvTranspose1d(3, 2, 1, 2)
    )


NETS = {
    "classifier": (classifier, (3, 32, 32)),
    "efficientformer": (efficientformer, (3, 64, 64)),
    "transposed": (enlarger, (2, 4, 5)),
    "super-resolution": (lambda: SuperResolution(16, "nearest"), (3, 9, 14)),
    "bicubic anchor": (lambda: SuperResolution(12, "bicubic", nn.PReLU, 3), (3, 8, 7)),
    "joined": (Joined, (3, 8, 9)),
    "moves": (lambda: MOVES, (8, 6, 4)),
    "pixels": (lambda: PIXELS, (4, 6, 8)),
    "numbers": (lambda: NUMBERS, (5, 6, 7)),
    "vision transformer": (VisionTransformer, (3, 16, 16)),
    "block": (lambda: Block(20, 2, "function", True), (7, 20)),
    "encoder": (lambda: Language(False), (12,)),
    "decoder": (lambda: Language(True), (12,)),
}


class DecoderStep(nn.Module):
    """One word of a `Language` decoder: keys and values of the words before it come in, and go out with its own.

    They lie in a window, the newest last; `mask` is added to the scores, minus infinity for places not yet filled.
    """

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def forward(self, word, place, mask, keys, values):
        net = self.whole
        y = net.norm(net.words(word.long()) + net.places(place.long()))
        width, kept_keys, kept_values = net.norm.normalized_shape[0], [], []
        for layer, block in enumerate(net.blocks):
            q, k, v = block.qkv(block.first(y)).split((width, width, width), -1)
            kept_keys.append(torch.cat([keys[:, layer, 1:], k], 1))
            kept_values.append(torch.cat([values[:, layer, 1:], v], 1))
            q, k, v = (
                each.unflatten(-1, (block.heads, -1)).transpose(1, 2) for each in (q, kept_keys[-1], kept_values[-1])
            )
            scores = q @ k.transpose(-2, -1) / (width // block.heads) ** 0.5 + mask[:, None, None]
            y = y + block.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
            y = y + block.mlp(block.second(y))
        joined = (torch.cat([each[:, None] for each in kept], 1) for kept in (kept_keys, kept_values))
        return (net.head(y), *joined)
