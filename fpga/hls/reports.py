"""What a vendor's tool reported on a project of hls4ml, as plain numbers."""

import contextlib
import io
from pathlib import Path
from typing import Any

_READERS = {
    "vitis": "parse_vivado_report",
    "vivado": "parse_vivado_report",
    "quartus": "parse_quartus_report",
    "catapult": "parse_catapult_report",
    "oneapi": "parse_oneapi_report",
    "libero": "parse_libero_report",
}


def read_reports(folder: str | Path, backend: str) -> dict[str, Any]:
    """The reports in a project's folder, section by section as hls4ml names them, numbers as numbers.

    For Vitis and Vivado: `CSynthesisReport` with clock periods in ns, latency and interval in clocks, LUT, FF, DSP,
    BRAM_18K, URAM and how many there are; `VivadoSynthReport` and `CosimReport` after those steps.

    Raises `OSError` if nothing was synthesised there, `ValueError` for a report that cannot be read.
    """
    try:
        from hls4ml import report
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("read_reports needs hls4ml: pip install -e '.[fpga]'") from error
    parse = getattr(report, _READERS[backend])
    missing = OSError(f"no report of {backend} in {folder}: synthesise it by build(), where the tool is installed")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it says what it does not find
            sections = parse(str(folder))
    except OSError as error:
        raise missing from error
    except Exception as error:  # a parser may raise anything on a truncated file
        raise ValueError(f"the report of {backend} in {folder} cannot be read: {error}") from error
    if not sections or not any(sections.values()):
        raise missing
    plain: dict[str, Any] = _plain(sections)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    for kind in (int, float):
        with contextlib.suppress(ValueError, TypeError):
            return kind(value)
    return value
