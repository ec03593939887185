"""The learner that a user holds: it learns classes task by task, answers for all of them, and is saved in between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.func import functional_call

from shared.lab import write_atomic
from vision.continual.adaptation import Adaptation, Discriminator, Parameters, adapted, class_means
from vision.continual.border import check_pictures, check_task
from vision.continual.storage import ClassStorage
from vision.nets.encoder import Embedding
from vision.nets.encoders import ENCODERS, name_of

FORMAT = 2
"""Version of saved states."""

NAME = "learner"
"""What a state says of itself stands under this one name: safetensors writes several in any order."""

BATCH = 256


class Learner:
    """Learns classes by name from a few pictures each; keeps `bytes_per_class` bytes of a class and no picture.

    >>> from vision.nets.conv4 import Conv4
    >>> torch.manual_seed(0) and None
    >>> learner = Learner(Embedding(Conv4(1, 16, 8)), Discriminator(8))
    >>> learner.learn({"dark": torch.zeros(2, 1, 16, 16), "bright": torch.rand(2, 1, 16, 16)})
    >>> learner.predict(torch.zeros(1, 1, 16, 16))
    ['dark']
    """

    def __init__(self, embedding: Embedding, discriminator: Discriminator, how: Adaptation | None = None) -> None:
        self.embedding, self.discriminator = embedding.eval(), discriminator.eval()
        self.how = how or Adaptation()
        self.stored = ClassStorage(len(embedding.centre))
        self.now: Parameters = {name: value.detach() for name, value in embedding.named_parameters()}

    @property
    def _shape(self) -> tuple[int, int, int]:
        """C, H, W of the pictures that the encoder reads."""
        encoder = self.embedding.encoder
        return encoder.channels, encoder.size, encoder.size

    @property
    def bytes_kept(self) -> int:
        """Bytes of all that is kept of the classes learned."""
        return self.stored.bytes_per_class * len(self.stored)

    def learn(self, support: Mapping[str, Tensor]) -> None:
        """Learns one task: pictures `(shots, C, H, W)` in [0, 1) of each new class, by name.

        Raises `ValueError` for a class without a picture, for one that is stored already, and for pictures of another
        shape or range; nothing changes then.
        """
        for name, pictures in support.items():
            check_pictures(pictures, self._shape, f"class {name!r}")
        check_task(support, self.stored)
        pictures = torch.cat(list(support.values()))
        labels = torch.repeat_interleave(torch.tensor([len(each) for each in support.values()]))
        now = adapted(self.embedding, self.discriminator, pictures, labels, self.stored.means, self.how)
        now = {name: value.detach() for name, value in now.items()}
        with torch.no_grad():
            means = class_means(functional_call(self.embedding, dict(now), (pictures,)), labels, len(support))
        self.stored.write(list(support), means)
        self.now = now

    @torch.no_grad()
    def scores(self, pictures: Tensor) -> Tensor:
        """Cosines `(B, classes)` of pictures `(B, C, H, W)` with every class, in the order of learning."""
        check_pictures(pictures, self._shape)
        embedded = [functional_call(self.embedding, dict(self.now), (part,)) for part in pictures.split(BATCH)]
        return torch.cat(embedded) @ self.stored.means.T

    def predict(self, pictures: Tensor) -> Sequence[str]:
        """The name of the nearest class of each picture. Raises `ValueError` before anything was learned."""
        if not len(self.stored):
            raise ValueError("no class was learned yet: call `learn` first")
        return [self.stored.names[nearest] for nearest in self.scores(pictures).argmax(1).tolist()]

    def save(self, path: str | Path) -> None:
        """Writes everything that `load` needs, as safetensors: later learning goes on as if nothing had happened."""
        write_atomic(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        encoder = self.embedding.encoder
        about = {
            "format": FORMAT,
            "classes": self.stored.names,
            "adaptation": asdict(self.how),
            "encoder": [name_of(encoder), encoder.channels, encoder.size, encoder.width],
        }
        tensors = {f"first.{name}": value for name, value in self.embedding.state_dict().items()}
        tensors |= {f"discriminator.{name}": value for name, value in self.discriminator.state_dict().items()}
        tensors |= {f"now.{name}": value for name, value in self.now.items()} | {"codes": self.stored.codes}
        return save({name: value.contiguous().clone() for name, value in tensors.items()}, {NAME: json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> "Learner":
        """A learner as it was saved. Raises `ValueError` for a file that is none, incomplete, or of another version."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get(NAME, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(f"{path} is no state of a learner: {error}") from None
        if not isinstance(about, dict):
            raise ValueError(f"{path} is no state of a learner: what it says of itself is no table")
        if about.get("format") != FORMAT:
            raise ValueError(
                f"{path} is of version {about.get('format')}: this one reads {FORMAT}; learn the classes anew"
            )
        try:
            name, *sizes = about["encoder"]
            encoder = ENCODERS[name](*sizes)
            learner = cls(Embedding(encoder), Discriminator(encoder.features), Adaptation(**about["adaptation"]))
            learner.embedding.load_state_dict(_under("first.", tensors))
            learner.discriminator.load_state_dict(_under("discriminator.", tensors))
            learner.now = _like(learner.now, _under("now.", tensors))
            learner.stored.restore(about["classes"], tensors["codes"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is an incomplete state of a learner: {error}") from None
        return learner


def _like(first: Parameters, now: Parameters) -> Parameters:
    """`now`, which has every parameter of `first` in its shape."""
    for name, value in first.items():
        if name not in now or now[name].shape != value.shape:
            raise ValueError(f"needs {name} of shape {tuple(value.shape)} as after the last task")
    return now


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
