"""What a weight may become on an FPGA: blocks that a folded engine can leave out."""

from shared import Grouping


def lane_blocks(shape: tuple[int, ...], lanes: int) -> Grouping:
    """The blocks of a weight `(out, in, *kernel)` that one clock of an engine of so many lanes multiplies at once.

    Where all of a block is zero, `fpga.folded` leaves the clock and the memory word out. Raises `ValueError` unless
    `lanes` divides the outputs.

    >>> lane_blocks((24, 17), lanes=8)
    Grouping(shape=(24, 17), tile=(8, 1))
    """
    return Grouping(shape, (lanes, *(1,) * (len(shape) - 1)))
