"""Rates of a frame: the eight of clause 17 and the eight one-stream schemes of HT, at 20 MHz."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True)
class Rate:
    """Modulation, code and numerology of the DATA symbols of a frame.

    `bits` are the coded bits per subcarrier (1, 2, 4, 6), `code` the code rate as (numerator, denominator), `data`
    the data subcarriers of a symbol: 48 in clause 17, 52 in HT. (IEEE 802.11-2020, tables 17-4 and 19-27.)

    >>> RATES[54].coded, RATES[54].info, RATES[54].mbps
    (288, 216, 54.0)
    >>> MCS[7].short().name, round(MCS[7].short().mbps, 1)
    ('MCS 7 short', 72.2)
    """

    name: str
    bits: int
    code: tuple[int, int]
    data: int = 48
    ht: bool = False
    short_guard: bool = False

    @property
    def coded(self) -> int:
        """Coded bits per OFDM symbol, N_CBPS."""
        return self.data * self.bits

    @property
    def info(self) -> int:
        """Data bits per OFDM symbol, N_DBPS."""
        return self.coded * self.code[0] // self.code[1]

    @property
    def guard(self) -> int:
        """Samples of the cyclic prefix at 20 MHz: 16 (800 ns), or 8 (400 ns) with the short guard interval."""
        return 8 if self.short_guard else 16

    @property
    def mbps(self) -> float:
        """Data bits per microsecond of a symbol of 4 us, or 3.6 us with the short guard interval."""
        return self.info * 20 / (64 + self.guard)

    def symbols(self, psdu_bytes: int) -> int:
        """DATA symbols for SERVICE (16 bits), the PSDU, the tail (6 bits) and padding, N_SYM."""
        return -(-(16 + 8 * psdu_bytes + 6) // self.info)

    def short(self) -> "Rate":
        """This scheme with the short guard interval, which only HT has."""
        if not self.ht:
            raise ValueError(f"{self.name} has no short guard interval; use one of the HT schemes MCS 0 to 7")
        return replace(self, name=f"{self.name.removesuffix(' short')} short", short_guard=True)


_SCHEMES = ((1, (1, 2)), (1, (3, 4)), (2, (1, 2)), (2, (3, 4)), (4, (1, 2)), (4, (3, 4)), (6, (2, 3)), (6, (3, 4)))
RATES: Mapping[int, Rate] = MappingProxyType(
    {mbps: Rate(f"{mbps} Mb/s", *scheme) for mbps, scheme in zip((6, 9, 12, 18, 24, 36, 48, 54), _SCHEMES, strict=True)}
)
# HT omits BPSK 3/4 and ends with 64-QAM 5/6.
_HT_SCHEMES = (_SCHEMES[0], *_SCHEMES[2:], (6, (5, 6)))
MCS: tuple[Rate, ...] = tuple(Rate(f"MCS {k}", *scheme, data=52, ht=True) for k, scheme in enumerate(_HT_SCHEMES))


def by_name(name: str) -> Rate:
    """The rate called `name`: "54 Mb/s" or "54", "MCS 7", "MCS 7 short"; spaces and case are ignored.

    >>> by_name("mcs7") is MCS[7], by_name("6") is RATES[6]
    (True, True)
    """
    rates = (*RATES.values(), *MCS, *(rate.short() for rate in MCS))
    wanted = name.lower().replace(" ", "")
    for rate in rates:
        short_name = rate.name.lower().replace(" ", "")
        if wanted in (short_name, short_name.removesuffix("mb/s")):
            return rate
    raise ValueError(f"rate {name!r} is unknown: it must be one of {', '.join(rate.name for rate in rates)}")
