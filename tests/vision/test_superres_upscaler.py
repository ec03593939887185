"""Nets for super-resolution: merged equals branched, tiled equals untiled, and files are the net."""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from shared.training.loop import seeded
from vision.data.picture import Picture
from vision.pruning_search.rebuild import plain
from vision.superres.bicubic import as_integers, resized
from vision.superres.nets import ABPN, ESPCN, FSRCNN, CollapsedNet, EdgeBlock, EdgeNet, PlainNet, RepBlock, WideNet
from vision.superres.patches import Patches, pair
from vision.superres.pretrained import SCALES, pretrained
from vision.superres.sources import generated, own, published
from vision.superres.training import epoch_of, quality, trainer
from vision.superres.upscaler import Upscaler, from_bytes, plain_net, reach, to_bytes

RNG = np.random.default_rng(0)


def small_wide_net(scale=2):
    return WideNet.of(scale, 5, 3)


def random_net(scale=2, width=6, depth=3):
    net = seeded(lambda: PlainNet(scale, width, depth), torch.Generator().manual_seed(1))
    torch.nn.init.normal_(net.body.tail.weight, std=0.05, generator=torch.Generator().manual_seed(2))
    return net.eval()


def colours(height, width, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_a_net_without_branches_computes_the_same(depth):
    net, x = random_net(depth=depth), torch.rand(2, 1, 9, 11)
    used = plain(net, x)
    assert float((used(x) - net(x)).abs().max()) <= 1e-5
    assert not [module for module in used.modules() if isinstance(module, RepBlock)]
    assert sum(isinstance(module, torch.nn.Conv2d) for module in used.modules()) == depth + 2


def test_edge_oriented_branches_are_one_convolution():
    """The branches computed one by one are the oracle."""
    torch.manual_seed(0)
    block, x = EdgeBlock(5), torch.rand(2, 5, 9, 8)
    torch.nn.init.normal_(block.scales)
    branches = [block.main(x), block.behind(block.wide(x)), x]
    for mixed, scale, mask in zip(block.edges, block.scales, block.masks, strict=True):
        edges = torch.einsum("oi,bihw->bohw", mixed, x)
        filters = mask.expand(5, 1, 3, 3)
        branches.append(scale[:, None, None] * torch.nn.functional.conv2d(edges, filters, padding=1, groups=5))
    for once in (block(x), block.plain()(x)):
        assert float((once - sum(branches).relu()).abs().max().detach()) <= 1e-5
    net = EdgeNet(2, 5, 2).eval()
    assert float((plain(net, x[:, :1])(x[:, :1]) - net(x[:, :1])).abs().max().detach()) <= 1e-5
    assert [len(list(part.parameters())) for part in (net.body.block0, plain(net, x[:, :1]).body.block0)] == [6, 2]


def test_a_block_of_zeros_passes_its_input_on():
    block, x = RepBlock(4), torch.rand(1, 4, 5, 5)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("build", [PlainNet, EdgeNet, CollapsedNet, small_wide_net, ABPN, FSRCNN, ESPCN])
def test_every_net_enlarges_by_its_scale_and_begins_near_its_anchor(build, scale):
    x = torch.rand(2, 1, 7, 5)
    assert build(scale)(x).shape == (2, 1, 7 * scale, 5 * scale)
    if build not in (FSRCNN, ESPCN):
        assert torch.equal(build(scale)(x), x.repeat_interleave(scale, 2).repeat_interleave(scale, 3))


@pytest.mark.parametrize("build", [PlainNet, small_wide_net, ABPN, FSRCNN, ESPCN])
def test_reach_is_how_far_a_net_sees(build):
    net = seeded(lambda: build(2), torch.Generator().manual_seed(0))
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    x, at = torch.ones(1, 1, 41, 41), 20
    x.requires_grad_()
    net(x)[0, 0, 2 * at : 2 * at + 2, 2 * at : 2 * at + 2].sum().backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert at - reach(net) <= int(rows.min())
    assert int(rows.max()) <= at + reach(net)
    assert reach(net) - (int(rows.max()) - at) <= 1


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (33, 17)])
def test_tiled_is_untiled(scale, size):
    picture = Picture(colours(*size), alpha=RNG.integers(0, 256, size, np.uint8))
    upscaler = Upscaler(random_net(scale), scale)
    whole, tiled = upscaler(picture, tile=4096), upscaler(picture, tile=16)
    assert whole.size == (scale * size[1], scale * size[0])
    # The same sums in another order: a value on the edge between two levels may round to either.
    for one, two in ((whole.pixels, tiled.pixels), (whole.alpha, tiled.alpha)):
        difference = np.abs(one.astype(int) - two)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


def test_no_part_is_larger_than_a_tile_and_its_border():
    sizes = set()

    class Repeated(torch.nn.Module):
        def forward(self, x):
            sizes.add(x.shape[3])
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    assert Upscaler(Repeated(), 2)(Picture(colours(3, 20_000)), tile=256).size == (40_000, 6)
    assert 250 < max(sizes) <= 256 + 2 * 2


def test_a_net_that_adds_nothing_leaves_the_colours_bicubic():
    class Bicubic(torch.nn.Module):
        def forward(self, x):
            return torch.from_numpy(resized(x[0, 0].numpy(), 2))[None, None]

    for dtype in (np.uint8, np.uint16):
        picture = Picture(colours(12, 9, dtype))
        expected = as_integers(
            resized(np.pad(picture.pixels, ((9, 9), (9, 9), (0, 0)), "edge"), 2)[18:-18, 18:-18], dtype
        )
        difference = np.abs(Upscaler(Bicubic(), 2)(picture).pixels.astype(int) - expected)
        assert difference.max() <= (1 if dtype == np.uint8 else 8)  # single precision of 16 bits


def test_transparency_profile_and_exif_stay():
    picture = Picture(colours(8, 8), np.full((8, 8), 255, np.uint8), exif=b"about", profile=b"colours")
    enlarged = Upscaler(random_net(), 2)(picture)
    assert (enlarged.exif, enlarged.profile) == (b"about", b"colours")
    assert enlarged.alpha.shape == (16, 16)


@pytest.mark.parametrize("net", [random_net(3, 5, 2), WideNet(3, 5, 9, 4, 2)], ids=["plain", "wide"])
def test_a_file_is_the_net_that_it_was_made_of(net):
    again = from_bytes(to_bytes(net, {"steps": 7}))
    x = torch.rand(1, 1, 6, 6)
    assert again.scale == 3
    assert float((again.net(x) - net(x)).abs().max()) <= 1e-5
    with pytest.raises(ValueError, match="mine: not the weights of a net of `qwedge run superres`"):
        from_bytes(save({"a": torch.zeros(2)}), "mine")
    with pytest.raises(ValueError, match="the weights: not the weights"):
        from_bytes(b"no file")


@pytest.mark.parametrize("scale", SCALES)
def test_the_net_that_ships_beats_bicubic_on_pictures_it_was_not_trained_on(scale):
    tested = [pair(name, pixels, scale) for name, pixels in generated(seed=5).test.items()]
    ours, bicubic = (np.mean(quality(net, tested, scale)["psnr"]) for net in (pretrained(scale).net, None))
    assert ours > bicubic + 1


def test_training_begins_to_beat_the_anchor():
    source = generated(train=12)
    pairs = [pair(name, pixels, 2) for name, pixels in source.train.items()]
    tested = [pair(name, pixels, 2) for name, pixels in source.test.items()]
    net = random_net()
    before = np.mean(quality(net, tested, 2)["psnr"])
    trainer(net, 1, 5e-3).run_epoch(epoch_of(pairs, 2, 12, 60, torch.Generator().manual_seed(0)))
    assert np.mean(quality(net, tested, 2)["psnr"]) > before + 3


def test_patches_are_of_the_same_place():
    pairs = [pair(name, pixels, 2) for name, pixels in generated(train=3, side=40).train.items()]
    small, large = Patches(pairs, 2, 8, 64).batch(torch.arange(64), torch.Generator().manual_seed(0))
    assert small.shape == (64, 1, 8, 8)
    assert large.shape == (64, 1, 16, 16)
    means = torch.nn.functional.avg_pool2d(large, 2)
    assert float((means - small)[:, :, 1:-1, 1:-1].abs().mean()) < 0.02
    assert float((means.flip(3) - small).abs().mean()) > 0.02  # a place that is mirrored once differs
    with pytest.raises(ValueError, match="none of 2 training pictures has 50x50 pixels when shrunk"):
        Patches(pairs, 2, 50, 4)
    with pytest.raises(ValueError, match="tiny is 3x2: too small for scale 4"):
        pair("tiny", np.zeros((2, 3, 3), np.float32), 4)


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_photograph_of_set5_is_not_trained_on(tmp_path):
    for archive, names in (("T91", ["t1.bmp.png"]), ("BSD200", ["302003.png", "1.png", "2.png"])):
        with tarfile.open(tmp_path / f"{archive}.tar.xz", "w:xz") as file:
            for number, name in enumerate(names):
                member = tarfile.TarInfo(f"{archive}/{name}")
                member.size = len(png(number))
                file.addfile(member, io.BytesIO(png(number)))
    (tmp_path / "Set5").mkdir()
    (tmp_path / "Set5" / "img_005.png").write_bytes(png(0))
    source = published(tmp_path)
    assert set(source.train) | set(source.validation) == {"T91/t1.bmp.png", "BSD200/1.png", "BSD200/2.png"}
    assert list(source.test) == ["img_005.png"]
    assert "without 302003.png" in source.about
    (tmp_path / "BSD200.tar.xz").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"BSD200.tar.xz is incomplete or corrupt"):
        published(tmp_path)


@pytest.mark.parametrize("count", [3, 11, 25])
def test_a_folder_of_ones_own_is_parted(count, tmp_path):
    for number in range(count):
        (tmp_path / f"{number:02d}.png").write_bytes(png(number))
    source = own(tmp_path)
    parts = [set(part) for part in (source.train, source.validation, source.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == count
    assert all(parts)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds 0 pictures"):
        own(tmp_path / "empty")


def test_generated_pictures_are_the_same_for_the_same_seed():
    one, same, other = generated(1, 10, 2, 32), generated(1, 10, 2, 32), generated(2, 10, 2, 32)
    assert np.array_equal(one.train["generated 0"], same.train["generated 0"])
    assert not np.array_equal(one.train["generated 0"], other.train["generated 0"])
    assert (len(one.train), len(one.validation), len(one.test)) == (9, 1, 2)


def test_a_block_split_from_one_layer_computes_what_the_layer_does():
    block = random_net().body.block1
    again = RepBlock(6)
    again.split(block.plain().main)
    x = torch.rand(2, 6, 9, 8)
    torch.testing.assert_close(again(x), block(x))
    assert not any(parameter.any() for parameter in again.side.parameters())


def test_a_net_computes_the_same_in_the_branches_that_it_is_trained_by():
    net, x = random_net(), torch.rand(2, 1, 9, 8)
    for kind in (PlainNet, EdgeNet, CollapsedNet):
        branched = kind(2, *net.sizes).split(plain_net(net))
        torch.testing.assert_close(branched(x), net(x))
        torch.testing.assert_close(plain_net(branched)(x), net(x))


def test_the_net_for_a_larger_scale_begins_with_the_layers_of_the_smaller():
    from vision.superres import pretrain

    net, smaller = pretrain.first(4), pretrained(2).net
    x = torch.rand(1, 1, 12, 12)
    ours, theirs = (plain(it, x).body[:-1](x) for it in (net, smaller))
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(net(x), x.repeat_interleave(4, 2).repeat_interleave(4, 3))
