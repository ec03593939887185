"""Where a window's elements are in a frame buffer: padded frames, one after the other, as a line of cells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A window that moves over `(height, width)` positions of `words` memory words each; a line has height 1.

    Neighbours share their padding: the zeros to the right of a row are those to the left of the next, and the rows of
    zeros below a frame are those above the next frame. So a frame takes `frame` cells, and element `(r, c)` of frame
    `f` begins at `lead + f * frame + r * pitch + c * words`, where the first `lead` cells are zeros.
    """

    words: int
    size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        """Positions of the window, top to bottom."""
        return (self.size[0] + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def columns(self) -> int:
        """Positions of the window, left to right."""
        return (self.size[1] + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def side(self) -> int:
        """Zeros behind a row, in cells: its padding, and more if the window ends beyond that."""
        beyond = (self.columns - 1) * self.stride[1] + 1 - self.size[1]
        return max(self.padding[1], beyond) * self.words

    @property
    def pitch(self) -> int:
        """Cells from a row to the next."""
        return self.size[1] * self.words + self.side

    @property
    def below(self) -> int:
        """Zeros behind a frame, in cells, those of its last row not counted."""
        beyond = (self.rows - 1) * self.stride[0] + 1 - self.size[0]
        return max(self.padding[0], beyond) * self.pitch

    @property
    def lead(self) -> int:
        """Zeros in front of the first frame, in cells."""
        return self.padding[0] * self.pitch + self.padding[1] * self.words

    @property
    def frame(self) -> int:
        """Cells from a frame to the next."""
        return self.size[0] * self.pitch + self.below

    @property
    def steps(self) -> tuple[int, int, int]:
        """How far the window's first cell moves: to the next column, the next row's begin, the next frame's begin."""
        column = self.stride[1] * self.words
        back = (self.columns - 1) * column
        row = self.stride[0] * self.pitch - back
        return column, row, self.frame - (self.rows - 1) * self.stride[0] * self.pitch - back

    @property
    def span(self) -> int:
        """Cells from the window's first to its last."""
        return (self.kernel[0] - 1) * self.pitch + self.kernel[1] * self.words

    def offset(self, i: int, j: int, word: int) -> int:
        """Where word `word` of row `i`, column `j` of the window is, from its first cell."""
        return i * self.pitch + j * self.words + word

    @property
    def cells(self) -> int:
        """A power of two that holds the window, and lets the writer be a step, but at least a window, ahead."""
        step = max(self.steps[0], self.steps[1] if self.rows > 1 else 0, self.steps[2])
        return 1 << (max(self.span + max(step, self.span), self.lead + 1, 16) - 1).bit_length()
