"""How figures are written for people; the name of a figure tells its unit. Floor 4."""

from typing import Final

__all__ = ["shown", "shown_bytes", "shown_change"]

_BYTES: Final = (("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))
_HEX: Final = ("guest_phys_addr", "userspace_addr", "vtcr_el2", "first_byte", "start", "end")


def shown_bytes(value: float) -> str:
    """Bytes with a unit and up to four digits.

    >>> shown_bytes(4096), shown_bytes(820842496), shown_bytes(1), shown_bytes(-1536)
    ('4 KiB', '782.8 MiB', '1 B', '-1.5 KiB')
    """
    for unit, shift in _BYTES:
        if abs(value) >= 1 << shift:
            number = value / (1 << shift)
            digits = max(0, 3 - len(str(int(abs(number)))))
            text = f"{number:.{max(digits, 1)}f}"
            return f"{text.rstrip('0').rstrip('.')} {unit}"
    return f"{value:g} B"


def shown(key: str, value: object) -> str:
    """Return a figure as reports show it, by the end of its name.

    >>> shown("table_bytes", 4096), shown("table_ratio", 0.0123), shown("leaves", 12345)
    ('4 KiB', '1.23 %', '12,345')
    >>> shown("mean_reads", 2.5), shown("guest_phys_addr", 4096), shown("level", "PTE")
    ('2.5', '0x1000', 'PTE')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if key in _HEX and isinstance(value, int):
        return f"{value:#x}"
    if key.endswith("_bytes"):
        return shown_bytes(value)
    if key.endswith("_ratio"):
        return f"{100 * value:.3g} %" if abs(value) < 10 else f"{100 * value:,.0f} %"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:,}"


def shown_change(key: str, change: float) -> str:
    """Return a difference with its sign; between two shares, in percentage points.

    >>> shown_change("leaves", 5), shown_change("table_bytes", -4096)
    ('+5', '-4 KiB')
    >>> shown_change("table_ratio", 0.01), shown_change("change_ratio", 0.01)
    ('+1 points', '+1 %')
    """
    text = ("+" if change > 0 else "") + shown(key, change)
    if key.endswith("_ratio") and key != "change_ratio":
        text = text.removesuffix("%") + "points"
    return text
