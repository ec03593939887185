"""A slimmed net as one file: its plan and its numbers, statistics of norms included."""

from pathlib import Path

from shared.weights.described import from_bytes, to_bytes
from vision.slimming.net import SlimNet
from vision.slimming.plan import Plan

KIND = "slimmed"


def saved(net: SlimNet) -> bytes:
    """A safetensors file that `load` reads."""
    return to_bytes(net.state_dict(), KIND, {"plan": net.plan.to_json_data(), **net.frame})


def load(path: Path) -> SlimNet:
    """The net of `net-BUDGET.safetensors`, in evaluation mode. Raises `ValueError` for a file of another kind."""
    try:
        tensors, about = from_bytes(path.read_bytes(), KIND)
        net = SlimNet(Plan.from_json_data(about.pop("plan")), **about)
        net.load_state_dict(tensors)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a slimmed net: {error}; give net-BUDGET.safetensors of a run") from None
    return net.eval()
