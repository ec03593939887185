"""What is kept of a class once its pictures are gone: the direction of its mean embedding, in int8."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

LARGEST = 127


class ClassStorage:
    """Names of classes and a direction of each, one byte per feature; the length of a mean says nothing to a cosine."""

    def __init__(self, features: int) -> None:
        self.names: list[str] = []
        self.codes = torch.zeros(0, features, dtype=torch.int8)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def means(self) -> Tensor:
        """Unit vectors `(classes, features)`, as they are stored."""
        return normalize(self.codes.float(), dim=1)

    @property
    def bytes_per_class(self) -> int:
        """Bytes of one class, its name apart."""
        return self.codes.shape[1]

    def check(self, names: Sequence[str]) -> None:
        """Raises `ValueError` for no name at all, an empty one, one that is stored, and one that comes twice."""
        if not names:
            raise ValueError("a task without classes: needs the pictures of one class at least")
        for place, name in enumerate(names):
            if not name or not isinstance(name, str):
                raise ValueError(f"class {name!r}: needs a name, as a string that is not empty")
            if name in self.names or name in names[:place]:
                raise ValueError(f"class {name!r} is stored already: give the new one a name of its own")

    def restore(self, names: Sequence[str], codes: Tensor) -> None:
        """Stores what another storage held. Raises `ValueError` where both do not fit, or a name comes twice."""
        expected = (len(names), self.bytes_per_class)
        if (tuple(codes.shape), codes.dtype) != (expected, torch.int8):
            raise ValueError(
                f"{len(names)} classes need codes {expected} of {torch.int8}, not {tuple(codes.shape)} of {codes.dtype}"
            )
        if names:
            self.check(names)
        self.names, self.codes = list(names), codes

    def write(self, names: Sequence[str], means: Tensor) -> None:
        """Stores new classes with their mean embeddings `(names, features)`, each rounded to its largest feature."""
        self.check(names)
        peak = means.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(means.dtype).tiny)
        self.codes = torch.cat([self.codes, (means * (LARGEST / peak)).round().to(torch.int8)])
        self.names += names
