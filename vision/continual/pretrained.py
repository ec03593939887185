"""The learner that ships with the package, before its first class."""

from importlib.resources import as_file, files

from vision.continual.learner import Learner


def pretrained() -> Learner:
    """A new learner for colour pictures of 32x32 pixels, whose encoder was trained on 30 classes of CIFAR-100.

    `qwedge run continual --set data=cifar100 --set width=32 --set base_classes=30` trains others like it.

    >>> learner = pretrained()
    >>> learner.bytes_kept, learner.stored.bytes_per_class
    (0, 128)
    """
    with as_file(files("vision.continual").joinpath("pretrained", "photographs.safetensors")) as path:
        return Learner.load(path)
