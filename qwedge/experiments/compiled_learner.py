"""A learner of new classes whose encoder is a C library: on a processor, classes are added without training."""

import numpy as np
import torch
from torch import Tensor

from mobile.build.compile import compile_program
from vision.continual.border import check_pictures
from vision.continual.device import IntegerEmbedding
from vision.continual.frozen import NearestMeans
from vision.continual.scoring import Embed
from vision.data.augment import PIXEL
from vision.nets.encoder import Embedding


def compiled_learner(embedding: Embedding, samples: Tensor) -> NearestMeans:
    """Nearest class means behind the compiled encoder, which `samples` `(n, C, H, W)` in [0, 1) calibrate.

    It answers as `NearestMeans(IntegerEmbedding(embedding, samples), features)` does, from the same integers.
    Raises as `mobile.build.compile.compile_program`.
    """
    return NearestMeans(compiled(IntegerEmbedding(embedding, samples)), len(embedding.centre))


def compiled(integers: IntegerEmbedding) -> Embed:
    """The same embedding, its encoder compiled for this machine."""
    program = integers.encoder.program()
    net = compile_program(program, np.random.default_rng(0), format="dense").net
    [output] = program.outputs
    values = program.values[output].format

    def embed(pictures: Tensor) -> Tensor:
        check_pictures(pictures, integers.shape)
        [maps] = net(PIXEL.to_integers(pictures.numpy()))
        return integers.directions(torch.from_numpy(values.from_integers(maps)).float())

    return embed
