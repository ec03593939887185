"""F8Net: networks trained for 8-bit fixed-point multiplications only, down to an integer program."""

from shared.f8net.masks import keep_zeros
from shared.f8net.net import F8Net
from shared.f8net.steps import fix_quant

__all__ = ["F8Net", "fix_quant", "keep_zeros"]
