"""Folded RTL: engines that compute a net a part at a time, with as many products per clock as a device affords."""

try:
    import amaranth  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("folded RTL needs Amaranth: pip install -e '.[fpga]'") from error

from fpga.folded.generate import generate
from fpga.folded.graph.engines import Fold
from fpga.folded.planning.mapper import plan
from fpga.folded.planning.plan import Plan, Utilisation, utilisation

__all__ = ["Fold", "Plan", "Utilisation", "generate", "plan", "utilisation"]
