"""EfficientFormer: the published counts, any image size, heads that can be removed, and timm's answers."""

import itertools

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shared.weights.compressed import folded
from shared.weights.prices import MACs, positions
from vision.nets.efficientformer import (
    DenseMaps,
    EfficientFormer,
    PositionBias,
    efficientformer_l1,
    efficientformer_l3,
    efficientformer_l7,
)
from vision.nets.timm_file import load_timm
from vision.nets.timm_names import efficientformer_from_timm
from vision.pruning_search.rebuild import narrowed
from vision.pruning_search.space import ChannelSpace

VARIANTS = [
    (efficientformer_l1, 12_289_928, 1.30),
    pytest.param(efficientformer_l3, 31_406_000, 3.93, marks=pytest.mark.slow),
    pytest.param(efficientformer_l7, 82_229_328, 10.17, marks=pytest.mark.slow),
]
"""Parameters of timm's nets with both heads, and GMACs as arXiv 2206.01191 has them."""


def tiny(image=64, on_tokens=1):
    torch.manual_seed(0)
    net = EfficientFormer((8, 12, 16, 24), (1, 1, 1, 2), on_tokens, image=image, classes=5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in net.named_parameters():
        if name.endswith(("weight", "bias")) and parameter.ndim <= 3:
            parameter.data += torch.randn_like(parameter) * 0.3
    return net.eval()


@pytest.mark.parametrize(("build", "parameters", "gmacs"), VARIANTS)
def test_counts_are_the_published_ones(build, parameters, gmacs):
    net = build()
    assert sum(p.numel() for p in net.parameters()) == parameters
    uses = positions(net, (3, 224, 224))
    total = sum(times * net.get_submodule(path).weight.numel() for path, times in uses.items())
    assert total / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize("on_tokens", [0, 1, 2])
@pytest.mark.parametrize("image", [64, (96, 70)])
def test_images_of_any_size(on_tokens, image):
    net = tiny(64, on_tokens).at_size(image)
    height, width = (image, image) if isinstance(image, int) else image
    x = torch.randn(2, 3, height, width)
    assert net(x).shape == (2, 5)
    maps = DenseMaps(net).eval()(x)
    assert [each.shape[1] for each in maps] == [8, 12, 16, 24]
    assert [tuple(each.shape[2:]) for each in maps] == [
        (-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)
    ]
    assert all(each.detach().mean(1).abs().max() < 1e-5 for each in maps)
    with pytest.raises(ValueError, match=r"^images of 32 x 32, but the net is for .*: take net.at_size\(\(32, 32\)\)$"):
        net(torch.zeros(1, 3, 32, 32))


def test_a_bias_at_another_size_is_the_same_function_of_distance():
    bias = PositionBias((4, 4), heads=2)
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 4), torch.linspace(0, 1, 4), indexing="ij")
    bias.weight.data = torch.stack((rows, 2 * columns)).flatten(1)
    same = bias().clone()
    bias.resize((4, 4))
    torch.testing.assert_close(bias(), same)
    bias.resize((10, 7))
    table = bias.weight.unflatten(1, (10, 7))
    torch.testing.assert_close(table[0, :, 3], torch.linspace(0, 1, 10), atol=0.04, rtol=0)
    torch.testing.assert_close(table[1, 5], torch.linspace(0, 2, 7), atol=0.08, rtol=0)
    assert torch.equal(bias(), bias().transpose(1, 2))


def test_the_bias_of_two_tokens_is_that_of_their_distance():
    bias = PositionBias((3, 5), heads=2)
    bias.weight.data.normal_()
    matrix = bias()
    for one, other in itertools.product(range(15), repeat=2):
        down, right = abs(one // 5 - other // 5), abs(one % 5 - other % 5)
        assert torch.equal(matrix[:, one, other], bias.weight[:, down * 5 + right])


def test_norms_fold_into_the_convolutions():
    net, x = tiny(), torch.randn(2, 3, 64, 64)
    plain, count = folded(net, x)
    assert count == sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    torch.testing.assert_close(plain(x), net(x), atol=1e-5, rtol=1e-5)


def test_heads_hidden_units_and_widths_can_be_removed():
    net, x = tiny(), torch.randn(2, 3, 64, 64)
    space = ChannelSpace.of(net, x)
    sizes = sorted(space.sizes)
    assert sizes == sorted([4, 8, 12, 16, 32, 48, 64, 96, 96, 8])  # stem, widths of three stages, hidden units, heads
    kept = [torch.arange(0, size, 2) for size in space.sizes]
    narrow = narrowed(net, space, kept, x)
    assert len(narrow.stages[-1].blocks[-1].mixer.bias.weight) == 4
    costs = [float(MACs((3, 64, 64)).number_costs(it, (), None).sum()) for it in (net, narrow)]
    assert costs[1] < 0.5 * costs[0]


def test_both_heads_are_trained_and_their_mean_is_the_answer():
    net, x = tiny().train(), torch.randn(2, 3, 64, 64)
    labels, distilled = net.both_heads(x)
    (labels.sum() + distilled.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.eval()
    torch.testing.assert_close(net(x), sum(net.both_heads(x)) / 2)


def timm_state(net):
    """The state of a net of ours under timm's names."""
    names = (
        ("stem.0.", "stem.conv1."), ("stem.1.", "stem.norm1."), ("stem.3.", "stem.conv2."), ("stem.4.", "stem.norm2."),
        (".embed.0.", ".downsample.conv."), (".embed.1.", ".downsample.norm."), ("distilled.", "head_dist."),
        (".mixer.bias.weight", ".token_mixer.attention_biases"), (".mixer.", ".token_mixer."), (".project.", ".proj."),
        (".scale1.weight", ".ls1.gamma"), (".scale2.weight", ".ls2.gamma"), (".mlp.0.", ".mlp.fc1."),
        (".mlp.1.", ".mlp.norm1."), (".mlp.4.", ".mlp.norm2."), (".mlp.2.", ".mlp.fc2."), (".mlp.3.", ".mlp.fc2."),
    )  # fmt: skip
    state = {}
    for name, tensor in net.state_dict().items():
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        state[name] = tensor.flatten().clone() if "gamma" in name else tensor.clone()
    return state


@pytest.mark.parametrize("image", [0, -5, (64,), (64, 0), (64.0, 64), "64"], ids=str)
def test_an_image_size_that_is_none_is_refused(image):
    for build in (tiny, tiny().at_size):
        with pytest.raises(ValueError, match=r"^image=.*: needs the pixels of a side, or of height and width"):
            build(image)


@pytest.mark.parametrize(("image", "on_tokens"), [(96, 1), (96, 2), (224, 0)])
def test_a_checkpoint_of_timm_is_read_whatever_its_variant(image, on_tokens, tmp_path):
    net, x = tiny(image, on_tokens), torch.randn(2, 3, image, image)
    save_file(timm_state(net), tmp_path / "model.safetensors")
    loaded = load_timm(tmp_path / "model.safetensors")
    assert torch.equal(loaded(x), net(x))
    assert loaded.at_size(160)(torch.randn(1, 3, 160, 160)).shape == (1, 5)


def test_a_file_that_is_no_checkpoint_of_timm_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a checkpoint of timm's EfficientFormer"):
        load_timm(path)
    path.write_bytes(b"{}")
    with pytest.raises(ValueError, match="not a safetensors file that can be read"):
        load_timm(path)
    with pytest.raises(ValueError, match="not a safetensors file that can be read"):
        load_timm(tmp_path / "nowhere.safetensors")


def test_answers_are_those_of_timm():
    timm = pytest.importorskip("timm", reason="timm is a peer, not a requirement")
    torch.manual_seed(0)
    theirs = timm.create_model("efficientformer_l1", num_classes=7).eval()
    for name, tensor in theirs.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.1 * torch.randn_like(tensor))
    ours = efficientformer_l1(classes=7).eval()
    ours.load_state_dict(efficientformer_from_timm(theirs.state_dict()))
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected, actual = theirs(x), ours(x)
        tokens = torch.randn(2, 49, 448)
        mixers = theirs.stages[-1].blocks[-1].token_mixer, ours.stages[-1].blocks[-1].mixer
        attended = [mixer(tokens) for mixer in mixers]  # in the net, tokens behind random layers are nearly alike
    assert float((actual - expected).abs().max() / expected.abs().max()) <= 1e-5
    assert float((attended[0] - attended[1]).abs().max() / attended[0].abs().max()) <= 1e-5
