"""Styled pictures: the style without a net, pairs and their parts, nets and their smaller copies, tiles, files."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from shared.training.loop import seeded
from shared.weights.prices import MACs
from vision.data.picture import Picture
from vision.pruning_search.depth import kept_parts
from vision.pruning_search.price import ScaledPrice
from vision.stylize.classical import classical
from vision.stylize.nets import Discriminator, Generator, Shape
from vision.stylize.pairs import Pair, Patches
from vision.stylize.pretrained import pretrained
from vision.stylize.quality import quality
from vision.stylize.scenes import scenes
from vision.stylize.search import (
    channels_price,
    chosen,
    gated_net,
    part_of,
    random_scores,
    shape_price,
    space_of,
    uniform_scores,
)
from vision.stylize.sources import generated, hashes, load, shrunk
from vision.stylize.stylizer import Stylizer, from_bytes, plain_net, stylizer, to_bytes
from vision.stylize.training import ADVERSARIAL, FEATURES, JUDGED, Taught, captured, epoch_of, trainer

RNG = np.random.default_rng(0)
SHAPE = Shape(full=4, half=6, trunk=8, inner=6, blocks=3)


def random_net(shape=SHAPE, seed=1):
    net = seeded(lambda: Generator(shape), torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.empty_like(value).normal_(0.2 if "norm" in name else 0, 0.2, generator=generator))
        for name, value in net.named_buffers():
            if name.endswith("mean"):
                value.normal_(0, 0.1, generator=generator)
    return net.eval()


def colours(height, width, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_classical_style_keeps_edges_and_takes_texture_and_tones_away():
    noisy = np.full((40, 40, 3), 0.25, np.float32)
    noisy[:, 20:] = 0.75
    noisy += RNG.normal(0, 0.02, noisy.shape).astype(np.float32)
    styled = classical(noisy)
    assert styled[8:-8, 3:14].std() < 0.5 * noisy[8:-8, 3:14].std()
    assert styled[8:-8, 19].mean() < 0.1  # the outline is on the dark side
    assert abs(styled[8:-8, 26:].mean() - 0.75) < 0.05
    tones = classical(np.linspace(0, 1, 400, dtype=np.float32)[None, :, None].repeat(12, 0).repeat(3, 2))[6, :, 0]
    assert np.histogram(np.abs(tones * 8 - np.rint(tones * 8)), 2, (0, 0.5))[0][0] < 400


def test_the_classical_style_is_local_and_the_same_every_time():
    picture = RNG.random((50, 40, 3), np.float32)
    styled = classical(picture)
    assert np.array_equal(styled, classical(picture.copy()))
    assert np.abs(classical(picture[:30])[:15] - styled[:15]).max() < 1e-5
    assert 0 <= styled.min() <= styled.max() <= 1


def test_generated_pictures_are_the_same_for_the_same_seed():
    one, same, other = (next(scenes(seed, 1, 32)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.std() > 0.05


@pytest.mark.parametrize("names", [("A", "B"), ("A64", "B64")])
def test_pairs_of_equal_names_are_parted_by_a_hash(names, tmp_path):
    for place, name in enumerate(names):
        (tmp_path / name).mkdir()
        for number in range(11):
            (tmp_path / name / f"{number}.{'png' if place else 'bmp'}").write_bytes(png(colours(12, 14)))
    source = load(tmp_path)
    parts = [{pair.name for pair in part} for part in (source.test, source.validation, source.train)]
    assert [len(part) for part in parts] == [2, 1, 8]
    assert len(set.union(*parts)) == 11
    assert parts[0] != {"0", "1"}
    first = source.train[0]
    assert first.picture.shape == first.styled.shape == (12, 14, 3)
    assert np.array_equal(first.styled, Image.open(tmp_path / names[1] / f"{first.name}.png"))
    before = hashes(tmp_path)
    (tmp_path / names[1] / "3.png").write_bytes(png(colours(12, 14)))
    assert set(before) == set(names)
    assert hashes(tmp_path)[names[0]] == before[names[0]]
    assert hashes(tmp_path)[names[1]] != before[names[1]]


def test_pictures_of_a_folder_are_styled_and_parted_in_their_order(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(png(colours(12, 14)[..., : 1 if number == 4 else 3].squeeze()))
    source = load(tmp_path)
    assert [[pair.name[0] for pair in part] for part in (source.train, source.validation, source.test)] == [
        list("0123456"),
        list("7"),
        list("89"),
    ]
    for pair in (source.test[0], source.train[4]):
        expected = np.rint(classical(pair.picture.astype(np.float32) / 255) * 255)
        assert np.abs(pair.styled - expected).max() <= 1
    assert shrunk(colours(600, 300)).shape == (256, 128, 3)


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="is no folder; name one that holds pictures, or folders A and B"):
        load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"holds 0 of \.png"):
        load(tmp_path)
    for name in "AB":
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(png(colours(12, 14)))
    (tmp_path / "B" / "1.png").write_bytes(png(colours(14, 12)))
    with pytest.raises(ValueError, match=r"A/1.png and .*B/1.png are 14x12 and 12x14; a pair is of one size"):
        load(tmp_path)
    (tmp_path / "A" / "x.png").write_bytes(png(colours(12, 14)))
    with pytest.raises(ValueError, match="1 pictures are in one of A and B only, x in A; pairs have equal names"):
        load(tmp_path)


def test_patches_are_of_the_same_place_in_both():
    pixels = colours(20, 24)
    pair = Pair("it", pixels, 255 - pixels)
    pictures, styled = Patches([pair], 8, 32).batch(torch.arange(32), torch.Generator().manual_seed(0))
    assert pictures.shape == (32, 3, 8, 8)
    assert float((pictures + styled - 1).abs().max()) < 1e-6
    assert len({patch.numpy().tobytes() for patch in pictures}) > 20
    with pytest.raises(ValueError, match="it is 24x20: size=32 asks for a larger picture"):
        Patches([pair], 32, 4)


def test_a_generator_begins_as_the_identity_and_is_what_its_shape_says():
    net, x = Generator(SHAPE), torch.rand(2, 3, 8, 12)
    assert torch.equal(net.eval()(x), x)
    assert net.shape == SHAPE
    assert Discriminator(4)(x.repeat(1, 1, 2, 2), x.repeat(1, 1, 2, 2)).shape == (2, 1, 2, 3)


@pytest.mark.parametrize("closed", [(), (1, 5), (4, 11, 19), (25,), (0, 10, 20, 24, 26)])
def test_closed_gates_equal_the_net_without_channels_and_blocks(closed):
    net, x = random_net(), torch.rand(2, 3, 8, 12)
    space = space_of(net)
    assert space.sizes == SHAPE.sizes == [4, 6, 8, 6, 3]
    gates = torch.ones(27)
    gates[list(closed)] = 0
    small = part_of(net, [part.nonzero().flatten() for part in gates.split(space.sizes)])
    assert small.shape.sizes == [int(part.sum()) for part in gates.split(space.sizes)]
    actual, expected = small(x).detach(), space.forward(net, gates, x).detach()
    assert float((actual - expected).abs().max()) <= 1e-5
    assert float((expected - x).abs().max()) > 0.1


def test_every_gate_has_a_gradient_open_or_closed():
    net = random_net().train()
    gates = torch.ones(27)
    gates[[2, 9, 20, 25]] = 0
    gates.requires_grad_()
    space_of(net).forward(net, gates, torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert (gates.grad != 0).all()


@pytest.mark.parametrize("shape", [SHAPE, Shape(3, 2, 5, 1, 1), Shape(4, 6, 8, 6, 2)])
def test_the_price_is_that_of_the_net_of_this_shape_and_has_its_slopes(shape):
    macs = MACs((3, 8, 12))
    price = shape_price(SHAPE, lambda net: channels_price(net, macs))
    at = torch.tensor(shape.sizes, dtype=torch.float64, requires_grad=True)
    alone = plain_net(Generator(shape))
    assert float(price.expected(at).detach()) == float(macs.number_costs(alone, (), None).double().sum())
    slopes = torch.autograd.grad(price.expected(at), at)[0]
    assert (slopes > 0).all()


@pytest.mark.parametrize("multiple", [1, 4])
def test_widths_are_multiples_and_blocks_any_number(multiple):
    net = random_net(Shape.of(4, 3))
    price = shape_price(net.shape, lambda net: channels_price(net, MACs((3, 16, 16))))
    budget = 0.5 * float(price.expected(torch.tensor(net.shape.sizes)))
    sizes = [len(part) for part in kept_parts(uniform_scores(net), price, budget, 1, multiple)]
    assert sizes[-1] == 3
    assert all(size % multiple == 0 for size in sizes[:-1])
    assert float(price.expected(torch.tensor(sizes))) <= budget


@pytest.mark.parametrize("times", [1, 2])
def test_a_fitted_price_is_what_was_measured_and_keeps_its_proportions(times):
    net = random_net(Shape.of(4, 2))
    price = shape_price(net.shape, lambda net: channels_price(net, MACs((3, 16, 16))))
    small, fitted = torch.tensor(Shape.of(2, 1).sizes), price
    for measured in range(5, 5 + times):  # once more at a price that was fitted before
        fitted = ScaledPrice.fitted(fitted, net.shape.sizes, measured)
    full = torch.tensor(net.shape.sizes)
    assert float(fitted.expected(full)) == pytest.approx(4 + times)
    assert float(fitted.expected(small) / fitted.expected(full)) == pytest.approx(
        float(price.expected(small) / price.expected(full))
    )


def test_rivals_are_within_the_budget_and_of_another_shape():
    net = random_net()
    price = shape_price(SHAPE, lambda net: channels_price(net, MACs((3, 8, 12))))
    budget = 0.4 * float(price.expected(torch.tensor(SHAPE.sizes)))
    searched = chosen(gated_net(net, price, 0.4, 10)).shape
    uniform, random = (
        part_of(net, kept_parts(scores, price, budget, 1)).shape
        for scores in (uniform_scores(net), random_scores(net, torch.Generator().manual_seed(0)))
    )
    for shape in (searched, uniform, random):
        assert 0.3 * budget < float(price.expected(torch.tensor(shape.sizes))) <= budget
    assert uniform.blocks == 3
    assert len({searched, uniform, random}) == 3


def test_one_step_trains_both_nets_each_by_its_own_loss_and_leaves_the_teacher():
    net, teacher = random_net(), random_net(seed=2)
    taught = Taught(net, Discriminator(4), teacher).train()
    taught.discriminator.eval()  # its norms change with every call otherwise
    x, y = torch.rand(2, 2, 3, 16, 16)
    outputs = taught(x)
    taught.loss(outputs, y).backward()
    by_loss = [value.grad.clone() for value in (*net.parameters(), *taught.discriminator.parameters())]

    with captured(teacher.blocks) as trunk:
        distance = (outputs[1] - y).abs().mean() + (outputs[1] - teacher(x)).abs().mean()
    distance = distance + FEATURES * (outputs[2] - trunk[0]).abs().mean()
    judge = taught.discriminator
    again = taught(x)
    assert float(taught._distance(again, y).detach()) == pytest.approx(float(distance.detach()), rel=1e-5)
    generator_loss = taught._distance(again, y).log() - ADVERSARIAL * judge(x, again[1]).mean()
    image = again[1].detach()
    judge_loss = JUDGED * ((1 - judge(x, y)).relu().mean() + (1 + judge(x, image)).relu().mean())
    alone = [*torch.autograd.grad(generator_loss, list(net.parameters()))]
    alone += torch.autograd.grad(judge_loss, list(judge.parameters()))
    for actual, expected in zip(by_loss, alone, strict=True):
        assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-6)
    assert all(value.grad is None for value in taught.teacher.parameters())
    assert not taught.teacher.training
    assert all(value.requires_grad for value in teacher.parameters())  # it was copied


def test_training_comes_closer_to_the_style():
    source = generated(count=4, side=32)
    net = seeded(lambda: Generator(Shape.of(4, 1)), torch.Generator().manual_seed(0))
    taught = seeded(lambda: Taught(net, Discriminator(4)), torch.Generator().manual_seed(0))
    before = np.mean(quality(stylizer(net).styled, source.train)["psnr"])
    trainer(taught, 1, 1e-2).run_epoch(epoch_of(source.train, 16, 25, torch.Generator().manual_seed(0)))
    assert np.mean(quality(stylizer(net.eval()).styled, source.train)["psnr"]) > before + 0.3


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (70, 65)])
def test_tiled_is_untiled(size):
    picture = Picture(colours(*size), alpha=RNG.integers(0, 256, size, np.uint8))
    style = stylizer(random_net())
    whole, tiled = style(picture, tile=4096), style(picture, tile=17)
    assert whole.size == picture.size
    assert np.array_equal(whole.alpha, picture.alpha)
    difference = np.abs(whole.pixels.astype(int) - tiled.pixels)
    # The same sums in another order: a value on the edge between two levels may round to either.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_reach_is_how_far_a_net_sees():
    net, side = random_net(), 160
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.fill_(0.1 if "conv.weight" in name or name == "last.weight" else 1.0)
    rows = []
    for at in range(side // 2, side // 2 + 4):
        x = torch.full((1, 3, side, side), 0.5, requires_grad=True)
        net(x)[0, :, at, at].sum().backward()
        used = x.grad[0].abs().sum((0, 2)).nonzero().flatten()
        rows.append(max(at - int(used.min()), int(used.max()) - at))
    assert net.reach - 8 <= max(rows) <= net.reach


def test_memory_is_bounded_by_the_tile():
    sizes = set()

    class Kept(torch.nn.Module):
        def forward(self, x):
            sizes.add(x.shape[2:])
            return x

    wide = Picture(colours(3, 20_000))
    assert np.array_equal(Stylizer(Kept(), 12)(wide, tile=256).pixels, wide.pixels)
    assert max(sizes) == (4, 256 + 2 * 12)


@pytest.mark.parametrize("pixels", [colours(9, 7), colours(9, 7)[..., :1], colours(9, 7, np.uint16)[..., :1]])
def test_a_picture_keeps_its_kind_and_the_same_frame_is_styled_the_same(pixels):
    picture = Picture(pixels, exif=b"about", profile=b"colours")
    style = stylizer(random_net())
    first, again = style(picture), style(picture)
    assert np.array_equal(first.pixels, again.pixels)
    assert (first.pixels.dtype, first.pixels.shape) == (pixels.dtype, pixels.shape)
    assert (first.exif, first.profile) == (b"about", b"colours")
    assert not np.array_equal(first.pixels, pixels)


def test_a_file_is_the_net_that_it_was_made_of():
    net, x = random_net(), torch.rand(1, 3, 8, 12)
    again = from_bytes(to_bytes(net, {"steps": 7}))
    assert again.reach == net.reach
    assert float((again.net(x) - net(x)).detach().abs().max()) <= 5e-3  # 16 bits
    with pytest.raises(ValueError, match="mine: not the weights of a net of `qwedge run stylize`"):
        from_bytes(save({"a": torch.zeros(2)}), "mine")
    with pytest.raises(ValueError, match="the weights: not the weights"):
        from_bytes(b"no file")


def test_the_net_that_ships_is_nearer_to_the_style_than_the_picture_is():
    pairs = generated(seed=5, count=10).test
    ours, identity = (np.mean(quality(style, pairs)["ssim"]) for style in (pretrained().styled, lambda x: x))
    assert ours > identity + 0.05
