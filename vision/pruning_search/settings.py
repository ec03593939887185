"""What a search of widths is asked for: the net, its training, the budget, and what it is compared with."""

from typing import Literal, get_args

from pydantic import Field

from vision.data.chosen import ImageSettings

SOLVERS = ("admm", "relaxation")
"""Of the core, over the menu that keeps or drops each channel."""
Control = Literal["uniform", "l1_group", "bn_gamma", "torch_pruning", "random", "admm", "relaxation"]
Task = Literal["classification", "segmentation", "translation"]


class PruningSearchSettings(ImageSettings):
    """The net, its training, the budget, and what it is compared with."""

    macs: float = Field(default=0.25, gt=0, le=1, description="share of the multiply-accumulates that is kept")
    ms: float | None = Field(
        default=None,
        gt=0,
        description="instead of macs: milliseconds of the net as a library of 8-bit integers, predicted, then "
        "measured, and predicted again by that",
    )
    task: Task = Field(
        default="classification",
        description="of images; or segmentation into instances, of generated shapes; or translation to another style",
    )
    net: Literal["resnet8", "repvgg"] = Field(default="resnet8", description="the net whose widths are searched")
    width: int = Field(
        default=16, gt=1, description="channels of the first stage; the others have 2 and 4 times as many"
    )
    pictures: int = Field(
        default=400, gt=0, description="training pictures of segmentation, or patches of an epoch of translation"
    )
    pairs: str = Field(
        default="$QWEDGE_DATA/cuhk_sketch64",
        description="folder with folders A and B of pairs, for translation; $NAMES expanded; generated pictures where "
        "QWEDGE_DATA is not set",
    )
    epochs: int = Field(default=10, gt=0, description="epochs of the wide net, from which everything starts")
    search: int = Field(default=1, gt=0, description="epochs of the search, on the wide net")
    tuning: int = Field(default=10, gt=0, description="epochs of the net that the search chose")
    exchange: float = Field(
        default=2.5, ge=0, description="epochs of a narrow net that controls by rule have for one of the search"
    )
    batch: int = Field(default=64, gt=1, description="images of a training step")
    rate: float = Field(default=0.1, gt=0, description="highest learning rate of the wide net")
    search_rate: float = Field(default=0.05, gt=0, description="learning rate of the search, of weights and gates")
    tuning_rate: float = Field(default=0.05, gt=0, description="highest learning rate of all narrow nets")
    weight: float = Field(
        default=60.0, gt=0, description="of the squared difference to the budget in the search's loss"
    )
    minimum: int = Field(default=2, gt=0, description="channels that every group keeps")
    multiple: int = Field(default=1, gt=0, description="widths are multiples of this")
    controls: tuple[Control, ...] = Field(
        default=get_args(Control), description="what chooses widths beside the search"
    )
