"""Training in stages of a cell: each epoch is stored once finished, so a killed run continues after the last one."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from shared.lab import JSON, Context
from shared.training.data import Batches, Shuffled
from shared.training.epochs import Trainer
from vision.data.augment import Augmented
from vision.data.cifar10 import Images
from vision.training.evaluate import correct

EPOCH = 100
"""Steps of an epoch, after which a stopped training goes on, where a training is so many steps on random examples."""


def whole_epochs(steps: int) -> tuple[int, int]:
    """How many epochs `steps` are split into, and the steps of each.

    >>> whole_epochs(1000), whole_epochs(30)
    ((10, 100), (1, 30))
    """
    count = max(round(steps / EPOCH), 1)
    return count, max(round(steps / count), 1)


def trained(
    context: Context,
    name: str,
    trainer: Trainer,
    train: Images,
    held_back: Images,
    trivial: bool = False,
    until: int | None = None,
) -> list[Mapping[str, JSON]]:
    """The epochs of the trainer's schedule, up to `until`, on images as `Augmented` varies them.

    The result of each epoch: the mean loss, correct answers on the images held back, and CPU seconds of training. The
    net ends on the CPU.
    """

    def batches() -> Batches:
        return Shuffled(Augmented(train, trivial=trivial), trainer.schedule.batch, context.generator())

    def validate(net: nn.Module) -> Mapping[str, JSON]:
        return {"validation_correct": correct(net, held_back), "validation_of": len(held_back.labels)}

    return epochs(context, name, trainer, batches, validate, until)


def epochs(
    context: Context,
    name: str,
    trainer: Trainer,
    batches: Callable[[], Batches],
    validate: Callable[[nn.Module], Mapping[str, JSON]] = lambda net: {},
    until: int | None = None,
) -> list[Mapping[str, JSON]]:
    """The epochs of the trainer's schedule, up to `until`, each on new `batches()`; its net ends on the CPU.

    It goes on from where the trainer is. The result of each epoch: the mean loss, what `validate` says of the net, and
    CPU seconds of training.
    """
    results, last = [], trainer.schedule.epochs if until is None else until
    trainer.net.to(trainer.device)
    for number in range(trainer.epoch + 1, last + 1):
        title = f"{name}, epoch {number}/{trainer.schedule.epochs}"
        results.append(context.stage(title, partial(_epoch, context, title, trainer, batches, validate)))
        trainer.restore(context.load_tensors(title))
    trainer.net.cpu()
    return results


def _epoch(
    context: Context,
    title: str,
    trainer: Trainer,
    batches: Callable[[], Batches],
    validate: Callable[[nn.Module], Mapping[str, JSON]],
) -> JSON:
    started = time.process_time()
    loss = trainer.run_epoch(batches(), lambda done, total, note: context.progress(done, total, f"{title}, {note}"))
    spent = time.process_time() - started
    validated = validate(trainer.net)
    if validated:
        context.progress(0, 0, f"{title}: {', '.join(f'{name} {value}' for name, value in validated.items())}")
    context.save_tensors(title, trainer.state())
    return {"loss": loss, **validated, "cpu_s": spent}
