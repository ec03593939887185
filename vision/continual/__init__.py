"""Continual few-shot learning: tasks of new classes, one after the other, and every class answered for."""

from vision.continual.learner import Learner
from vision.continual.pretrained import pretrained
from vision.continual.storage import ClassStorage

__all__ = ["ClassStorage", "Learner", "pretrained"]
