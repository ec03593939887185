"""How many coded bits a second the Viterbi decoder and the whole link do here, and in Sionna.

One core, CPU time, rounds in turn. The link is the 802.11a grid at 24 Mb/s: 64-point FFT, 52 used subcarriers, 16-QAM,
K=7 rate 1/2, ten data symbols a packet, 16 Rayleigh taps of exponential profile, new for each packet. Alike in both:
source bits, encoder, interleaver of each symbol, Gray mapping, channel and noise at the same N0 on each subcarrier, LS
over two training symbols, max-log LLRs, terminated soft Viterbi, errors counted. Sionna is eager PyTorch (its Viterbi
decoder excludes itself from compilation) and gets the best of three batch sizes.

Not alike, and who gains: Sionna's grid has no pilots in data symbols, so it carries 2080 coded bits where ours carries
1920, and both are counted by the coded bit (a tie); it estimates over its resource grid and equalises by its
`LMMSEEqualizer`, where ours multiplies by the conjugate within the demapper (we gain; it is how Sionna does it); its
interleaver is one indexing and its channel three tensor operations written here (Sionna gains: its own channel models
take longer); our LLRs have ten bits before the decoder, Sionna's are float32 (we gain; the error rates of both stand
in the table). Neither makes a waveform.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from sionna.phy.channel import ApplyOFDMChannel
from sionna.phy.fec.conv import ConvEncoder, ViterbiDecoder
from sionna.phy.mapping import BinarySource, Demapper, Mapper
from sionna.phy.mimo import StreamManagement
from sionna.phy.ofdm import LMMSEEqualizer, LSChannelEstimator, ResourceGrid, ResourceGridMapper
from torch import Tensor

from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Table, cite
from shared.lab.running.benchmark import Metric, main
from wireless.ofdm.channel.models import ExponentialFading
from wireless.ofdm.channel.noise import gaussian
from wireless.ofdm.link.simulation import Link, noise_variance, random_bits
from wireless.ofdm.phy.coding import encode
from wireless.ofdm.phy.interleaver import permutation
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.receiver import viterbi

RATE = RATES[24]
OURS = "ours"
BATCHES = (32, 128, 512)


class LinkSpeedSettings(Settings):
    """What is timed, and how often."""

    ebn0_db: float = Field(default=10.0, description="Eb/N0 of the link, in dB")
    symbols: int = Field(default=10, ge=1, description="data symbols of a packet")
    rounds: int = Field(default=9, ge=3, description="times each contender is timed, in turn")
    packets: int = Field(default=4096, gt=0, description="packets of ours between two readings of the clock")


class LinkSpeed(Experiment[LinkSpeedSettings]):
    """The Viterbi decoder and the whole OFDM link on one core, ours beside Sionna's."""

    name = "link_speed"
    version = 1

    def run(self, cell: LinkSpeedSettings, context: Context) -> Mapping[str, JSON]:
        torch.manual_seed(int(context.rng.integers(2**63)))
        result: dict[str, JSON] = {}
        for part, contenders in (("viterbi", decoders(cell, context)), ("link", links(cell, context))):
            timed: dict[str, list[float]] = {name: [] for name in contenders}
            counts = {name: [0, 0] for name in contenders}
            for done in range(cell.rounds):
                for name, work in contenders.items():
                    start = time.process_time()
                    run = work()
                    timed[name].append(1e9 * (time.process_time() - start) / run.coded)
                    counts[name] = [counts[name][0] + run.errors, counts[name][1] + run.bits]
                context.progress(done + 1, cell.rounds, part)
            result[part] = {"ns_per_coded_bit": timed, "errors_of_bits": counts}
        return result

    def page(self, rows: Sequence[Row]) -> Page:
        tables = []
        for part, title in (("viterbi", "Viterbi decoder"), ("link", "End to end")):
            lines = []
            for row in rows:
                for name, times in row.result[part]["ns_per_coded_bit"].items():
                    errors, bits = row.result[part]["errors_of_bits"][name]
                    lines.append(
                        (
                            name,
                            cite(row.seed, row),
                            cite(1e3 / statistics.median(times), row, form=".3g", unit="Mb/s"),
                            cite(errors / bits, row, form=".2e"),
                        )
                    )
            tables.append(Table(title, ("who", "seed", "coded bits per CPU second", "bit error rate"), lines))
        return Page("Link speed", self.summary, tuple(tables))


class Run(NamedTuple):
    """What was done between two readings of the clock."""

    coded: int
    errors: int
    bits: int


def decoders(cell: LinkSpeedSettings, context: Context) -> dict[str, Callable[[], Run]]:
    """Decoding the same noisy words: ours from ten-bit LLRs, Sionna's from float32."""
    steps = cell.symbols * RATE.info
    bits = random_bits(cell.packets, steps, context.rng)
    bits[:, -6:] = 0
    sent = 2.0 * encode(bits).astype(np.float32) - 1
    llr = (sent + gaussian(sent.shape, 1.4, context.rng).real).astype(np.float32)
    rounded = viterbi.quantise(llr)

    def ours() -> Run:
        return Run(rounded.size, int(np.count_nonzero(viterbi.decode(rounded) != bits)), bits.size)

    def theirs(batch: int) -> Callable[[], Run]:
        decoder = ViterbiDecoder(encoder=sionna_encoder(), method="soft_llr")
        words, wanted = torch.from_numpy(llr[:batch]), torch.from_numpy(bits[:batch, :-6])
        return lambda: Run(words.numel(), int((decoder(words) != wanted).sum()), wanted.numel())

    return warmed({OURS: ours, **{sionna(batch): theirs(batch) for batch in BATCHES}})


def links(cell: LinkSpeedSettings, context: Context) -> dict[str, Callable[[], Run]]:
    """The whole link from source bits to counted errors."""
    link = Link(ExponentialFading(), rate=RATE, symbols=cell.symbols)

    def ours() -> Run:
        counts = link.simulate(cell.ebn0_db, cell.packets, context.rng, chunk=1024)
        return Run(counts.packets * cell.symbols * RATE.coded, counts.bit_errors, counts.bits)

    return warmed({OURS: ours, **{sionna(batch): SionnaLink(cell, batch) for batch in BATCHES}})


class SionnaLink:
    """The same link of Sionna's blocks, called once for each batch of packets."""

    def __init__(self, cell: LinkSpeedSettings, batch: int) -> None:
        self.batch = batch
        self.n0 = torch.tensor(noise_variance(cell.ebn0_db, RATE), dtype=torch.float32)
        self.grid = ResourceGrid(
            num_ofdm_symbols=2 + cell.symbols,
            fft_size=64,
            subcarrier_spacing=312.5e3,
            num_guard_carriers=(6, 5),
            dc_null=True,
            pilot_pattern="kronecker",
            pilot_ofdm_symbol_indices=[0, 1],
        )
        self.coded = int(self.grid.num_data_symbols) * RATE.bits
        self.source, self.encoder = BinarySource(), sionna_encoder()
        self.mapper, self.demapper = Mapper("qam", RATE.bits), Demapper("maxlog", "qam", RATE.bits)
        self.place, self.apply = ResourceGridMapper(self.grid), ApplyOFDMChannel()
        self.estimate = LSChannelEstimator(self.grid, interpolation_type="lin_time_avg")
        self.equalise = LMMSEEqualizer(self.grid, StreamManagement(np.array([[1]]), 1))
        self.decode = ViterbiDecoder(encoder=self.encoder, method="soft_llr")
        self.back = torch.from_numpy(permutation(MCS[3]).copy())  # 16-QAM on 52 subcarriers is HT's
        self.order = self.back.argsort()
        turns = np.exp(-2j * np.pi / 64 * np.outer(np.arange(16), np.arange(-32, 32)))
        self.response = torch.from_numpy(turns.astype(np.complex64))

    def __call__(self) -> Run:
        with torch.no_grad():
            bits = self.source([self.batch, 1, 1, self.coded // 2 - 6])
            coded = self.encoder(bits).reshape(self.batch, -1, len(self.order))[..., self.order]
            x = self.place(self.mapper(coded.reshape(self.batch, 1, 1, -1)))
            y = self.apply(x, self.channel(x.shape[-2]), self.n0)
            h, error = self.estimate(y, self.n0)
            points, noise = self.equalise(y, h, error, self.n0)
            llr = self.demapper(points, noise).reshape(self.batch, -1, len(self.back))[..., self.back]
            decided = self.decode(llr.reshape(self.batch, 1, 1, -1))
            errors = int((decided != bits).sum())
        return Run(self.batch * self.coded, errors, bits.numel())

    def channel(self, symbols: int) -> Tensor:
        """h on all 64 subcarriers, (batch, 1, 1, 1, 1, symbols, 64): the law of `ExponentialFading`."""
        rms_ns = 10 + 140 * torch.rand(self.batch, 1)
        power = torch.exp(-50 / rms_ns * torch.arange(16))
        power = power / power.sum(1, keepdim=True)
        taps = torch.randn(self.batch, 16, dtype=torch.complex64) * power.sqrt()
        h = taps @ self.response
        return h.reshape(self.batch, 1, 1, 1, 1, 1, 64).expand(-1, -1, -1, -1, -1, symbols, -1)


def sionna_encoder() -> Any:
    """802.11's code, ended with six zeros."""
    return ConvEncoder(gen_poly=("1011011", "1111001"), terminate=True)


def sionna(batch: int) -> str:
    return f"Sionna, batch {batch}"


def warmed(contenders: dict[str, Callable[[], Run]]) -> dict[str, Callable[[], Run]]:
    """Each called once: what is compiled or allocated at the first call stays outside the clock."""
    for work in contenders.values():
        work()
    return contenders


def ratios(row: Row, part: str) -> list[float]:
    """Sionna's fastest batch over ours, round by round: neighbours in time saw the same machine."""
    times = row.result[part]["ns_per_coded_bit"]
    fastest = min(set(times) - {OURS}, key=lambda name: statistics.median(times[name]))
    return [theirs / ours for theirs, ours in zip(times[fastest], times[OURS], strict=True)]


def cells(quick: bool, seed: int) -> list[LinkSpeedSettings]:
    return [LinkSpeedSettings(seed=seed + k, rounds=3 if quick else 9) for k in range(1 if quick else 3)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    def speed(part: str, goal: str) -> Metric:
        return spread([1e3 / ns for row in rows for ns in row.result[part]["ns_per_coded_bit"][OURS]], "Mb/s", goal)

    def against(part: str, goal: str) -> Metric:
        return spread([ratio for row in rows for ratio in ratios(row, part)], "x coded bits per CPU second", goal)

    return {
        "viterbi_mbps": speed("viterbi", ">= 200"),
        "viterbi_speedup_vs_sionna": against("viterbi", ""),
        "link_mbps": speed("link", ""),
        "link_speedup_vs_sionna": against("link", ">= 200"),
    }


def spread(measured: Sequence[float], unit: str, goal: str) -> Metric:
    low, high = np.quantile(measured, [0.025, 0.975])
    return Metric(statistics.median(measured), float(low), float(high), unit, goal)


if __name__ == "__main__":
    main(LinkSpeed(), cells, figures)
