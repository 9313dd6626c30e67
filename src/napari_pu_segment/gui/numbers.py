"""Numbers for people: percentages and counts as the user's locale writes them."""

from __future__ import annotations

from qtpy.QtCore import QLocale

DIGITS = 3
PERCENT = "\N{NO-BREAK SPACE}%"  # a number and its sign stay on one line


def significant(value: float, digits: int = DIGITS) -> float:
    """A number with so many digits that count."""
    return float(f"{value:.{digits}g}")


def percent(fraction: float, locale: QLocale) -> str:
    """A fraction as a percentage: 6.2 %, 0.031 %, in one line; with a decimal comma where the locale has one."""
    value = significant(100 * fraction, 2 if fraction < 0.1 else DIGITS)
    text = repr(value).removesuffix(".0") if value >= 1e-3 or value == 0 else f"{value:f}".rstrip("0")
    return text.replace(".", locale.decimalPoint()) + PERCENT


def number_text(value: float, digits: int = 4) -> str:
    """Some digits of a number, more of a large one; with a decimal comma where the locale has one."""
    text = f"{value:.0f}" if 10**digits <= abs(value) < 1e12 else f"{value:.{digits}g}"
    return text.replace(".", QLocale().decimalPoint())
