"""Channel estimation without structure: a fully connected network from 52 noisy subcarriers to 52 clean ones."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wireless.ofdm.receiver.estimators import Channel, Observation

USED = 52
HIDDEN = 128


class DenseNet(nn.Module):
    """LS on 52 subcarriers and N0 to the channel: a linear map of LS, and what two hidden layers add to it.

    It begins as LS itself, the linear map the identity and the rest zero. Beside the channel it learns how wrong it is:
    the variance of its error on subcarrier k is `N0 exp(doubt[0, k] + doubt[1, k] log N0)`.
    """

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.skip = nn.Linear(2 * USED, 2 * USED, bias=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * USED + 1, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * USED),
        )
        self.doubt = nn.Parameter(torch.zeros(2, USED))
        nn.init.eye_(self.skip.weight)
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, ls: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The channel, complex `(batch, 52)`, and the logarithm of its error's variance over N0, `(batch, 52)`.

        `ls` is complex `(batch, 52)` over two training symbols at N0 `(batch,)`.
        """
        x, level = torch.cat((ls.real, ls.imag), 1), torch.log(noise)[:, None]
        parts = self.skip(x) + self.layers(torch.cat((x, level / 5), 1))
        h = torch.complex(parts[:, :USED], parts[:, USED:])
        return h, self.doubt[0] + self.doubt[1] * level


@dataclass(frozen=True, eq=False)
class DenseEstimator:
    """A trained `DenseNet` as a block of the receiver.

    HT has two more subcarriers at each edge, of which the network knows nothing: there the estimate is LS.
    """

    net: DenseNet
    name = "dense"

    def estimate(self, seen: Observation) -> Channel:
        h, edge = seen.ls.copy(), (seen.ls.shape[1] - USED) // 2
        error = seen.noise / np.float32(seen.looks)
        variance: NDArray[np.float32] = np.repeat(error[:, None], h.shape[1], axis=1)
        inner = slice(edge, edge + USED)
        with torch.no_grad():
            # The network was trained on two looks: an error of another variance is that of two looks at another N0.
            noise = torch.from_numpy(2 * error)
            found, doubt = self.net(torch.from_numpy(np.ascontiguousarray(seen.ls[:, inner])), noise)
            h[:, inner], variance[:, inner] = found.numpy(), (noise[:, None] * doubt.exp()).numpy()
        return Channel(h, variance)
