"""Cases of the folder `wireless`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases.case import Case, Wrong, expect, qwedge

THREE = "three frames, 24 Mb/s, 100 bytes, FCS ok, at samples 400, 2320, 4240"


def _decoded(folder: Path, *words: str | Path) -> tuple[dict[str, Any], str]:
    """What `qwedge decode --json` printed, and stderr."""
    outcome = qwedge("decode", *words, "--json", folder=folder)
    if outcome.code:
        raise Wrong(f"exit code {outcome.code}, {outcome.err.strip().splitlines()[-1]}")
    return json.loads(outcome.out), outcome.err


def _frames(
    *words: str, starts: tuple[int, ...] = (), rate: str = "24 Mb/s", length: int = 100
) -> Callable[[Path], None]:
    """A check for exactly these frames, all right."""

    def check(folder: Path) -> None:
        frames = _decoded(folder, *words)[0]["frames"]
        came = [(frame["start"], frame["rate"], frame["length"], frame["fcs_ok"]) for frame in frames]
        right = len(frames) == len(starts) and all(
            abs(start - at) <= 2 and rest == (rate, length, True)
            for (start, *rest), at in zip(came, starts, strict=False)
            for rest in [tuple(rest)]
        )
        if not right:
            raise Wrong(f"{came}")

    return check


def _three(*words: str) -> Callable[[Path], None]:
    return _frames(*words, starts=(400, 2320, 4240))


def _all_right(name: str, count: int) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        frames = _decoded(folder, name)[0]["frames"]
        right = sum(frame["fcs_ok"] for frame in frames)
        if (right, len(frames)) != (count, count):
            raise Wrong(f"{len(frames)} lines, {right} frames ok")

    return check


def _narrow(*words: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        _frames(*words, "--width", "10e6", starts=(400, 2320, 4240), rate="12 Mb/s")(folder)
        first = _decoded(folder, *words, "--width", "10e6")[0]["frames"][0]
        if abs(first["time_s"] - 40e-6) > 1e-6:
            raise Wrong(f"starts after {first['time_s']} s")

    return check


def _duplicate(folder: Path) -> None:
    for centre in ("10e6", "-10e6"):
        frames = _decoded(folder, "case28_dup40.cs16", "--rate", "40e6", "--centre", centre)[0]["frames"]
        if [(frame["rate"], frame["length"], frame["fcs_ok"]) for frame in frames] != [("24 Mb/s", 200, True)]:
            raise Wrong(f"{len(frames)} frames at {centre}")


def _glitch(folder: Path) -> None:
    _three("case25_glitch.cf32")(folder)
    if not _decoded(folder, "case25_glitch.cf32")[0]["warnings"]:
        raise Wrong("no warning")


def _named(name: str, format: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        [frame] = _decoded(folder, name)[0]["frames"]
        if frame["format"] != format or format not in frame["error"]:
            raise Wrong(f"{frame['format']}: {frame['error']}")

    return check


def _swapped(folder: Path) -> None:
    _, hint = _decoded(folder, "case15_swapped.cs16")
    if "--swap-iq" not in hint:
        raise Wrong("no hint")
    _three("case15_swapped.cs16", "--swap-iq")(folder)


def _own_blocks(folder: Path) -> None:
    """Blocks of a user's own whose output has the wrong shape, or NaN, in a link."""
    from wireless.ofdm.channel.models import AWGN
    from wireless.ofdm.link.simulation import Link
    from wireless.ofdm.receiver.chain import Receiver
    from wireless.ofdm.receiver.decoders import SoftViterbi
    from wireless.ofdm.receiver.demappers import MaxLog
    from wireless.ofdm.receiver.estimators import LS, ChannelEstimate

    class Estimator:
        name = "mine"

        def __init__(self, change: Callable[[ChannelEstimate], Any]) -> None:
            self.estimate = lambda observation: change(LS().estimate(observation))

    class Demapper:
        name = "mine"

        def __init__(self, change: Callable[[Any], Any]) -> None:
            self.demap = lambda *inputs: change(MaxLog().demap(*inputs))

    class Decoder:
        name = "mine"

        def __init__(self, change: Callable[[Any], Any]) -> None:
            self.decode = lambda *inputs: change(SoftViterbi().decode(*inputs))

    wrong = [
        Receiver(Estimator(lambda it: ChannelEstimate(it.h_hat[:, :48].copy(), it.err_var[:, :48].copy()))),
        Receiver(Estimator(lambda it: ChannelEstimate(it.h_hat, it.err_var[:, 0].copy()))),
        Receiver(Estimator(lambda it: ChannelEstimate(it.h_hat[:1].copy(), it.err_var[:1].copy()))),
        Receiver(Estimator(lambda it: ChannelEstimate(it.h_hat * np.nan, it.err_var))),
        Receiver(Estimator(lambda it: it.h_hat)),
        Receiver("ls", Demapper(lambda llr: llr[..., :96])),
        Receiver("ls", Demapper(lambda llr: llr * np.nan)),
        Receiver("ls", "max-log", Decoder(lambda bits: bits[:, :-3])),
        Receiver("ls", "max-log", Decoder(lambda bits: bits[:1])),
    ]
    for number, receiver in enumerate(wrong):
        try:
            ber = Link(AWGN(), receiver).ber(5.0, 64, np.random.default_rng(0))
        except ValueError as error:
            if "mine" in str(error):
                continue
            raise
        raise Wrong(f"block {number}: a bit error rate of {ber:.3g}")
    with expect("a block of the right shapes works"):
        Link(AWGN(), Receiver(Estimator(lambda it: it))).ber(5.0, 64, np.random.default_rng(0))


CASES: list[Case] = [
    Case(
        "case47_cut1",
        "one 48 Mb/s frame, start -1",
        _frames("case47_cut1.cs16", starts=(-1,), rate="48 Mb/s", length=138),
    ),
    Case(
        "case46_cutstf",
        "one 48 Mb/s frame, start -130",
        _frames("case46_cutstf.cs16", starts=(-130,), rate="48 Mb/s", length=138),
    ),
    Case("case37_tone-12", "10 frames ok, default blocks", _all_right("case37_tone-12.cs16", 10)),
    Case("case38_bt-10", "10 frames ok, no invented lines", _all_right("case38_bt-10.cs16", 10)),
    Case("case05", THREE, _three("case05.sigmf-meta")),
    Case("case04", THREE, _three("case04.sigmf-meta")),
    Case("case08", THREE, _three("case08.sigmf")),
    Case("case07", THREE, _three("case07.sigmf-meta", "--channel", "0")),
    Case("case12", "three frames, 12 Mb/s of a 10 MHz channel", _narrow("case12.sigmf-meta")),
    Case("case12_10msps", "three frames, 12 Mb/s of a 10 MHz channel", _narrow("case12_10msps.cs16", "--rate", "10e6")),
    Case("case28_dup40", "one 24 Mb/s frame of 200 bytes in either half", _duplicate),
    Case("case01", THREE, _three("case01.cs8")),
    Case("case02", THREE, _three("case02.cu8")),
    Case("case09", THREE, _three("case09.wav")),
    Case("case15_swapped", "a hint; exchanged back " + THREE, _swapped),
    Case("case17_dcjump", THREE, _three("case17_dcjump.cs16")),
    Case("case25_glitch", THREE + ", and a warning", _glitch),
    Case("case33_greenfield", "named as HT greenfield", _named("case33_greenfield.cs16", "HT greenfield")),
    Case("case36_rsvd", "24 Mb/s, 120 bytes, FCS ok", _frames("case36_rsvd.cs16", starts=(400,), length=120)),
    Case("case50_wrong_shapes", "ValueError that names the block and both shapes", _own_blocks),
]
