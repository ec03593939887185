"""Training in stages of a cell: each epoch is stored once finished, so a killed run continues after the last one."""

import time
from collections.abc import Mapping
from functools import partial

from shared.lab import JSON, Context
from shared.training.data import Shuffled
from shared.training.epochs import Trainer
from vision.data.augment import Augmented
from vision.data.cifar10 import Images
from vision.training.evaluate import correct


def trained(
    context: Context, name: str, trainer: Trainer, train: Images, held_back: Images
) -> list[Mapping[str, JSON]]:
    """All epochs of the trainer's schedule on augmented images; its net ends on the CPU.

    The result of each epoch: the mean loss, correct answers on the images held back, and CPU seconds of training.
    """
    epochs = []
    for number in range(1, trainer.schedule.epochs + 1):
        title = f"{name}, epoch {number}/{trainer.schedule.epochs}"
        epochs.append(context.stage(title, partial(_epoch, context, title, trainer, train, held_back)))
        trainer.restore(context.load_tensors(title))
    trainer.net.cpu()
    return epochs


def _epoch(context: Context, title: str, trainer: Trainer, train: Images, held_back: Images) -> JSON:
    started = time.process_time()
    loss = trainer.run_epoch(
        Shuffled(Augmented(train), trainer.schedule.batch, context.generator()),
        lambda done, total, note: context.progress(done, total, f"{title}, {note}"),
    )
    spent = time.process_time() - started
    validated = correct(trainer.net, held_back)
    context.progress(0, 0, f"{title}: {validated} of {len(held_back.labels)} validation images")
    context.save_tensors(title, trainer.state())
    return {"loss": loss, "validation_correct": validated, "validation_of": len(held_back.labels), "cpu_s": spent}
