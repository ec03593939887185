"""The Viterbi decoder of the K=7 code, one packet per SIMD lane.

A state is the last six bits, the newest in bit 0; the register of an input is `2 * state + input`. Both polynomials
tap its newest and its oldest bit, so the four branches between the states j, j + 32 and 2j, 2j + 1 have one metric up
to its sign (a butterfly):

    new[2j]     = max(old[j] + m, old[j + 32] - m)
    new[2j + 1] = max(old[j] - m, old[j + 32] + m)        m = +-L0 +- L1

Path metrics are 16-bit integers that wrap around. Any state is reached from any other in six steps, so the metrics of
two states never differ by more than `6 * 2 (|L0| + |L1|) = 24 L`, nor those of two paths that meet by more than 28 L,
where L bounds the LLRs. With L = 511 the sign of a wrapped difference is right and nothing is ever normalised (Hekstra
1989, *An alternative to metric rescaling in Viterbi decoders*): the decoder is exact for LLRs of ten bits. Ties go to
the lower of the two old states.

Thirty-two packets occupy the lanes of a vector: no shuffles, no horizontal operations, and one packet alone costs as
much as thirty-two. The step is written in LLVM's vector instructions because its auto-vectoriser gives up on so many
arrays; LLVM splits them into vectors of the machine's width.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 32
LIMIT = 511
"""Largest magnitude of an input LLR."""
MEAN = 64.0
"""Mean magnitude of a packet's quantised LLRs: values beyond eight times the mean are clipped, a step is 1.6 % of it.

Eight bits suffice for 16-QAM; with 64-QAM at rate 5/6 and a mean of 24 they round whole faded subcarriers to zero.
"""

_STATES = 64
# Lower than any path from state zero can fall in six steps, 24 L; and 28 L below that it has not wrapped around.
_FAR = -12_300


def _metric(state: int) -> tuple[int, int]:
    """The two code bits of input 0 from a state, as the signs that L0 and L1 take in the branch metric."""
    register = 2 * state
    # 133 and 171 octal count the newest bit as their highest; here it is the lowest.
    bits = ((register & int(f"{taps:07b}"[::-1], 2)).bit_count() & 1 for taps in (0o133, 0o171))
    first, second = (2 * bit - 1 for bit in bits)
    return first, second


def decode(llr: NDArray[Any], threads: int = 1) -> NDArray[np.uint8]:
    """The most likely bits of packets that start and end in state zero.

    `llr` is (batch, 2n) in the order of `phy.coding.encode`, positive for 1: integers within +-511 are decoded exactly,
    floats are first quantised by `quantise`. The result is uint8 (batch, n) and includes the six tail bits. Packets
    are spread over `threads` threads, 32 at a time.

    >>> from wireless.ofdm.phy.coding import encode
    >>> bits = np.array([[1, 0, 1, 1, 0, 0, 0, 0, 0, 0]], np.uint8)
    >>> decode(2 * encode(bits).astype(np.int8) - 1)
    array([[1, 0, 1, 1, 0, 0, 0, 0, 0, 0]], dtype=uint8)
    """
    if llr.ndim != 2 or llr.shape[1] % 2:
        raise ValueError(f"LLRs have the shape {llr.shape}: the decoder needs (batch, 2n), two for each bit")
    if np.issubdtype(llr.dtype, np.floating):
        llr = quantise(llr)
    elif llr.size and max(llr.max(), -llr.min().astype(int)) > LIMIT:
        raise ValueError(
            f"integer LLRs reach from {llr.min()} to {llr.max()}: they must lie within +-{LIMIT}; pass floats"
        )
    lanes = to_lanes(llr.astype(np.int16, copy=False))
    bits = np.empty((llr.shape[0], llr.shape[1] // 2), np.uint8)
    over_groups(lambda group: decode_lanes(lanes[group], bits[group * LANES :][:LANES]), len(lanes), threads)
    return bits


def quantise(llr: NDArray[Any]) -> NDArray[np.int16]:
    """Each packet's LLRs (batch, n) in ten bits, scaled so that those that are not zero have the mean magnitude 64."""
    size = np.abs(llr)
    sent = np.maximum(np.count_nonzero(size, axis=1), 1)
    limits = np.finfo(np.float32)
    scale = np.minimum(MEAN * sent / np.maximum(size.sum(1, dtype=np.float64), limits.tiny), limits.max)
    scaled = np.rint(llr * scale[:, None].astype(np.float32))
    rounded: NDArray[np.int16] = np.clip(scaled, -LIMIT, LIMIT).astype(np.int16)
    return rounded


def to_lanes(llr: NDArray[np.int16]) -> NDArray[np.int16]:
    """int16 (batch, 2n) -> (groups, 2n, 32), the last group filled up with zeros."""
    groups = -(-llr.shape[0] // LANES)
    padded = np.zeros((groups * LANES, llr.shape[1]), np.int16)
    padded[: llr.shape[0]] = llr
    return np.ascontiguousarray(padded.reshape(groups, LANES, llr.shape[1]).transpose(0, 2, 1))


def over_groups(work: Any, groups: int, threads: int) -> None:
    """Calls `work(group)` for every group, on `threads` threads; the kernels release the interpreter's lock."""
    if threads == 1:
        for group in range(groups):
            work(group)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(groups)))


def decode_lanes(llr: NDArray[np.int16], bits: NDArray[np.uint8]) -> None:
    """Decode up to 32 packets: LLRs int16 (2n, 32) into uint8 (packets, n), in place."""
    steps = llr.shape[0] // 2
    survivors = np.empty((steps, _STATES), np.uint32)
    metrics = np.empty((2, _STATES, LANES), np.int16)
    _forward(llr, metrics, survivors)
    _trace_back(survivors, bits)


_METRIC = ir.VectorType(ir.IntType(16), LANES)
_MASK = ir.IntType(LANES)


@intrinsic
def _add_compare_select(context, llr, metrics, survivors, step):  # type: ignore[no-untyped-def]
    """One step for 64 states and 32 packets; bit i of survivors[step, s] says that lane i came from the higher."""
    signature = types.void(llr, metrics, survivors, types.intp)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def data(k, kind):  # type: ignore[no-untyped-def]
            array = context.make_array(signature.args[k])(context, builder, arguments[k])
            return builder.bitcast(array.data, kind.as_pointer())

        def at(base, index):  # type: ignore[no-untyped-def]
            return builder.gep(base, [index if isinstance(index, ir.Value) else ir.Constant(ir.IntType(64), index)])

        def load(pointer):  # type: ignore[no-untyped-def]
            value = builder.load(pointer)
            value.align = 1  # NumPy promises no vector's alignment
            return value

        def store(value, pointer):  # type: ignore[no-untyped-def]
            builder.store(value, pointer).align = 1

        word = ir.IntType(64)
        now = arguments[3]
        odd = builder.and_(now, word(1))
        old = at(data(1, _METRIC), builder.mul(odd, word(_STATES)))
        new = at(data(1, _METRIC), builder.mul(builder.xor(odd, word(1)), word(_STATES)))
        masks = at(data(2, _MASK), builder.mul(now, word(_STATES)))
        pair = at(data(0, _METRIC), builder.shl(now, word(1)))
        first, second = load(at(pair, 0)), load(at(pair, 1))
        alike, unlike = builder.add(first, second), builder.sub(first, second)
        zero = ir.Constant(_METRIC, [0] * LANES)
        for j in range(_STATES // 2):
            low, high = load(at(old, j)), load(at(old, j + _STATES // 2))
            sign, other = _metric(j)
            m = alike if sign == other else unlike
            plus, minus = (builder.add, builder.sub) if sign > 0 else (builder.sub, builder.add)
            for k, (a, b) in enumerate(((plus(low, m), minus(high, m)), (minus(low, m), plus(high, m)))):
                worse = builder.icmp_signed("<", builder.sub(a, b), zero)
                store(builder.select(worse, b, a), at(new, 2 * j + k))
                store(builder.bitcast(worse, _MASK), at(masks, 2 * j + k))
        return context.get_dummy_value()

    return signature, generate


@njit(cache=True, nogil=True)
def _forward(llr, metrics, survivors):  # type: ignore[no-untyped-def]
    metrics[0] = _FAR
    metrics[0, 0] = 0
    for step in range(survivors.shape[0]):
        _add_compare_select(llr, metrics, survivors, step)


@njit(cache=True, nogil=True)
def _trace_back(survivors, bits):  # type: ignore[no-untyped-def]
    state = np.zeros(LANES, np.int64)
    for step in range(survivors.shape[0] - 1, -1, -1):
        came = survivors[step]
        for lane in range(bits.shape[0]):
            s = state[lane]
            bits[lane, step] = s & 1
            state[lane] = (s >> 1) | (((came[s] >> lane) & 1) << 5)
