"""Channel estimation without a channel model: a fully connected network from LS on 52 subcarriers to the channel."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wireless.ofdm.receiver.estimators import ChannelEstimate, Observation, interpolated

USED = 52
HIDDEN = 128


class DenseNet(nn.Module):
    """LS on 52 subcarriers and N0 to the channel: a linear map of LS plus a network of two hidden layers.

    It is initialised as LS itself: the linear map as the identity, the other output as zero. It also learns its error
    variance, which on subcarrier k is `N0 exp(doubt[0, k] + doubt[1, k] log N0)`.
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

    def forward(self, ls: Tensor, noise_var: Tensor) -> tuple[Tensor, Tensor]:
        """The channel, complex `(batch, 52)`, and the logarithm of its error variance over N0, `(batch, 52)`.

        `ls` is complex `(batch, 52)` over two training symbols at N0 `(batch,)`.
        """
        x, level = torch.cat((ls.real, ls.imag), 1), torch.log(noise_var)[:, None]
        parts = self.skip(x) + self.layers(torch.cat((x, level / 5), 1))
        h = torch.complex(parts[:, :USED], parts[:, USED:])
        return h, self.doubt[0] + self.doubt[1] * level


@dataclass(frozen=True, eq=False)
class DenseEstimator:
    """A trained `DenseNet` as a block of the receiver.

    HT has two more subcarriers at each edge, for which the network is not trained: there the estimate is LS.
    """

    net: DenseNet
    name = "dense"

    def estimate(self, observation: Observation) -> ChannelEstimate:
        observation = interpolated(observation)
        h_hat, ls_err_var = observation.ls.copy(), observation.ls_err_var
        err_var: NDArray[np.float32] = np.repeat(ls_err_var[:, None], h_hat.shape[1], axis=1)
        edge = (h_hat.shape[1] - USED) // 2
        inner = slice(edge, edge + USED)
        with torch.no_grad():
            # The network was trained on two training symbols: another LS error is that of two symbols at another N0.
            noise_var = torch.from_numpy(2 * ls_err_var)
            estimated, doubt = self.net(torch.from_numpy(np.ascontiguousarray(observation.ls[:, inner])), noise_var)
            h_hat[:, inner], err_var[:, inner] = estimated.numpy(), (noise_var[:, None] * doubt.exp()).numpy()
        return ChannelEstimate(h_hat, err_var)
