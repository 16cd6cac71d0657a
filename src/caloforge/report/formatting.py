"""Numbers as text, for the pages and the command line."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from caloforge.units import GeV

__all__ = ["FILTERS", "auc", "count", "flat", "over_floor", "pm", "sig", "span"]

_NONE = "–"
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def sig(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits.

    Example:
        >>> sig(0.0123456, 2), sig(1234.5, 3), sig(None)
        ('0.012', '1234', '–')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return _minus(f"{mantissa}·10{_superscript(int(power))}")
    return _minus(f"{value:.{max(0, digits - 1 - exponent)}f}")


def pm(value: float | None, error: float | None) -> str:
    """A value and its error, both to two digits of the error.

    Example:
        >>> pm(0.73124, 0.0123), pm(0.5, None), pm(1234.5, 67.0)
        ('0.731 ± 0.012', '0.500', '1234 ± 67')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    if error is None or not math.isfinite(error) or error <= 0:
        return sig(value, 3)
    digits = 1 - math.floor(math.log10(error))
    if digits > 6 or abs(value) >= 1e7:
        scale = math.floor(math.log10(max(abs(value), error)))
        digits = max(0, scale + 1 - math.floor(math.log10(error)))
        power = f"·10{_superscript(scale)}"
        return _minus(f"({value / 10.0**scale:.{digits}f} ± {error / 10.0**scale:.{digits}f}){power}")
    digits = max(0, digits)
    return _minus(f"{value:.{digits}f} ± {error:.{digits}f}")


def auc(value: float | None, spread: float | None) -> str:
    """An AUC, never with more than three decimals: more would not come back.

    Example:
        >>> auc(0.68264, 0.0033), auc(0.5, None)
        ('0.683 ± 0.003', '0.500')
    """
    if value is None:
        return _NONE
    text = _minus(f"{value:.3f}")
    return text if spread is None else f"{text} ± {max(spread, 0.001):.3f}"


def span(e_inc_range: Sequence[float]) -> str:
    """A range of energies in MeV, as text in GeV.

    Example:
        >>> span([1000.0, 99_900.0])
        '1 to 99.9 GeV'
    """
    low, high = (f"{energy / GeV:.3g}" for energy in e_inc_range)
    return f"{low} GeV" if low == high else f"{low} to {high} GeV"


def count(value: int) -> str:
    """A count with thin spaces between thousands.

    Example:
        >>> count(12345).replace(_THIN_SPACE, " ")
        '12 345'
    """
    return f"{value:,}".replace(",", _THIN_SPACE)


def over_floor(row: Mapping[str, Any]) -> str:
    """How many times its mean floor a feature's separation is; a dash where chance explains it."""
    if row["separation"] <= row["floor_95"] or not row["floor"]:
        return _NONE
    return f"{sig(row['separation'] / row['floor'], 2)} ×"


def along(value: float, low: float, high: float) -> float:
    """Place of a value on a scale, percent, kept inside."""
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested plain data as names and texts."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "along": along,
    "auc": auc,
    "count": count,
    "flat": flat,
    "gev": span,
    "gev1": lambda energy: span([energy, energy]),
    "over_floor": over_floor,
    "pm": pm,
    "sig": sig,
}
