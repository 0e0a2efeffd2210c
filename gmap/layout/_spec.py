"""What a spec may say, and reading one. Floor 4; builds nothing."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from gmap._defs import PAGE_SIZE, SlotFlag
from gmap._host import FOLIO_ORDERS
from gmap.errors import ConfigError

__all__ = [
    "FIELDS",
    "PATTERNS",
    "Field",
    "Guest",
    "HostModel",
    "Memslot",
    "Spec",
    "SpecError",
    "Touched",
    "bundled_specs",
    "locate_spec",
    "parse_bytes",
    "parse_spec",
    "read_spec",
]

#: Orders in which a spec can touch its memory; docs/profile.md says what each does.
PATTERNS: Final = ("all", "sequential", "random", "strided", "clustered")

_DATA: Final = Path(__file__).parent.parent / "profiling" / "data"
_UNITS: Final = {
    "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}  # fmt: skip
_SIZE: Final = re.compile(r"(0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)\s*([A-Za-z]*)")
_NO_FLAGS: Final = SlotFlag(0)
_LARGEST_FILE: Final = 1 << 20  # a spec is written by a person


class SpecError(ConfigError):
    """A spec is malformed; the message names file, table, field, value and remedy."""


# --- what a spec says -----------------------------------------------------------------------


@dataclass(frozen=True)
class Guest:
    """The guest, and which large frames its address space may use.

    >>> Guest(ipa_bits=40).allow_2g
    False
    """

    ipa_bits: int
    allow_1m: bool = True
    allow_2g: bool = False


@dataclass(frozen=True)
class Memslot:
    """A memory slot and the host memory behind it.

    `hva_offset` bytes of the slot's host region lie before the slot: they shift the alignment
    of its host addresses. Regions themselves are aligned to the largest folio they hold.

    >>> Memslot(guest_phys_addr=0, size=1 << 20).folio
    '4k'
    """

    guest_phys_addr: int
    size: int
    flags: SlotFlag = _NO_FLAGS
    folio: str = "4k"
    hva_offset: int = 0


@dataclass(frozen=True)
class HostModel:
    """The modelled host: see `gmap.SyntheticHost`.

    >>> HostModel().kind
    'synthetic'
    """

    kind: str = "synthetic"
    seed: int = 0
    fragmentation: float = 0.0
    hamaxpow: int = 48


@dataclass(frozen=True)
class Touched:
    """The pages a guest touches, and in which order.

    >>> Touched().pattern
    'all'
    """

    pattern: str = "all"
    fraction: float | None = None
    pages: int | None = None
    seed: int = 0
    write: float = 1.0
    cluster: int = 2 << 20
    stride: int = 1 << 20
    trace: str | None = None


@dataclass(frozen=True)
class Spec:
    """A whole spec.

    >>> Spec("s", Guest(40), (Memslot(0, 1 << 20),)).memory_bytes
    1048576
    """

    name: str
    guest: Guest
    memslots: tuple[Memslot, ...]
    host: HostModel = HostModel()
    touched: Touched = Touched()
    description: str = ""
    file: str = "<spec>"

    @property
    def memory_bytes(self) -> int:
        """Bytes of all memory slots."""
        return sum(slot.size for slot in self.memslots)


# --- fields ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One field of a table: how it is read, whether it must be there, and what it means."""

    read: Callable[[object], Any]
    text: str
    required: bool = False


class _BadValue(ValueError):
    """A value that is refused, with the remedy."""


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _BadValue(f"use an integer from {low} to {high}")
        if not low <= value <= high:
            raise _BadValue(f"out of range, use {low} to {high}")
        return value

    return read


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _BadValue("use a number from 0 to 1")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _BadValue("use true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _BadValue("use one line of text")
    return value


def _choice(*names: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise _BadValue(f"use one of {', '.join(names)}" + _nearest(value, names))
        return value

    return read


def parse_bytes(value: object) -> int:
    """Return a number of bytes: an integer, or text such as "0x4000_0000" or "16GiB".

    Raises
    ------
    ConfigError
        It is none, or above 2**64 - 1; the message is the remedy.

    >>> parse_bytes("16GiB") == 16 << 30, parse_bytes("0x1000")
    (True, 4096)
    """
    amount = value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if not match or match[2] not in _UNITS:
            units = ", ".join(unit for unit in _UNITS if unit)
            raise ConfigError(
                f'use a number of bytes such as 4096, "0x4000_0000" or "16GiB" ({units})'
            )
        try:
            amount = int(match[1], 0 if match[1][:2] in ("0x", "0X") else 10) * _UNITS[match[2]]
        except ValueError:
            raise ConfigError("the digits are malformed: use such as 0x4000_0000") from None
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise ConfigError('use a number of bytes, or text such as "16GiB"')
    if not 0 <= amount < 1 << 64:
        raise ConfigError(f"{amount} bytes are out of range: use 0 to 2**64 - 1")
    return amount


def _bytes(low: int = 0) -> Callable[[object], int]:
    def read(value: object) -> int:
        try:
            amount = parse_bytes(value)
        except ConfigError as error:
            raise _BadValue(str(error)) from None
        if amount < low:
            raise _BadValue(f"too small, use {low} bytes or more")
        if amount % PAGE_SIZE:
            raise _BadValue(f"{amount:#x} is no multiple of {PAGE_SIZE}: round it")
        return amount

    return read


def _slot_flags(value: object) -> SlotFlag:
    names = {"log_dirty_pages": SlotFlag.LOG_DIRTY_PAGES}
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _BadValue(f"use a list of names: {list(names)}")
    flags = _NO_FLAGS
    for name in value:
        if name not in names:
            raise _BadValue(f"use names of {list(names)}" + _nearest(name, names))
        flags |= names[name]
    return flags


#: Every field of every table, by name; "" is the top of the file.
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    "": {
        "name": Field(_text, "what the reports call it; by default the file's name"),
        "description": Field(_text, "one line for `gmap profile --list`"),
    },
    "guest": {
        "ipa_bits": Field(_integer(32, 63), "log2 of the guest's physical size", required=True),
        "allow_1m": Field(_flag, "map 1 MiB folios by one entry; true by default"),
        "allow_2g": Field(_flag, "map 2 GiB folios by one entry; false by default, as for arm64"),
    },
    "memslot": {
        "guest_phys_addr": Field(_bytes(), "where the slot begins, bytes", required=True),
        "size": Field(_bytes(PAGE_SIZE), "bytes", required=True),
        "flags": Field(_slot_flags, 'list of names: "log_dirty_pages"'),
        "folio": Field(_choice(*FOLIO_ORDERS), "folios of the host memory behind it; 4k"),
        "hva_offset": Field(_bytes(), "bytes the slot begins behind an aligned host address; 0"),
    },
    "host": {
        "kind": Field(_choice("synthetic"), "synthetic: frames without bytes"),
        "seed": Field(_integer(0, (1 << 63) - 1), "decides what is fragmented; 0"),
        "fragmentation": Field(_share, "share of large blocks without a folio of their size; 0"),
        "hamaxpow": Field(_integer(0, 255), "log2 of the host's highest guest address; 48"),
    },
    "touched": {
        "pattern": Field(_choice(*PATTERNS), "which pages, in which order; all"),
        "fraction": Field(_share, "share of all slot memory that is touched"),
        "pages": Field(_integer(0, 1 << 40), "pages of 4 KiB that are touched"),
        "seed": Field(_integer(0, (1 << 63) - 1), "of what is random; 0"),
        "write": Field(_share, "share of the pages that are written to; 1"),
        "cluster": Field(_bytes(PAGE_SIZE), "clustered: bytes of one cluster; 2MiB"),
        "stride": Field(_bytes(PAGE_SIZE), "strided: bytes from page to page; 1MiB"),
        "trace": Field(_text, "instead of a pattern: a bundled trace or a trace file"),
    },
}


def _nearest(name: object, known: Any) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


# --- reading --------------------------------------------------------------------------------


def read_spec(path: str | PathLike[str]) -> Spec:
    """Read and check a spec.

    Parameters
    ----------
    path : str or path
        A TOML file, or the name of a bundled spec (`bundled_specs`).

    Raises
    ------
    SpecError
        Not TOML, or a rule is broken; names file, table, field, value and remedy.
    OSError
        The file cannot be read.

    >>> read_spec("microvm").guest.ipa_bits
    40
    """
    file = locate_spec(path)
    with open(file, "rb") as stream:
        data = stream.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise SpecError(f"{file}: more than {_LARGEST_FILE} bytes: this is no spec")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise SpecError(f"{file}: byte {error.start} is not UTF-8: save it as UTF-8") from None
    return parse_spec(text, file=file)


def parse_spec(text: str, *, file: str = "<spec>") -> Spec:
    """Check the text of a spec; `file` is what errors call it.

    Raises
    ------
    SpecError
        As `read_spec`.

    >>> parse_spec("[guest]\\nipa_bit = 40")
    Traceback (most recent call last):
        ...
    gmap.layout._spec.SpecError: <spec>: [guest] has no field 'ipa_bit'; did you mean 'ipa_bits'?
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file}: not TOML: {error}") from None
    except RecursionError:
        raise SpecError(f"{file}: not TOML: nested too deeply; a spec has tables only") from None
    top = {key: value for key, value in document.items() if key not in FIELDS or not key}
    for key in top:
        if key not in FIELDS[""]:
            known = [*FIELDS[""], *(name for name in FIELDS if name)]
            raise SpecError(
                f"{file}: no table or field {key!r} is known; use {', '.join(known)}"
                + _nearest(key, known)
            )
    guest = Guest(**_table(file, "guest", "[guest]", document.get("guest", {})))
    slots = document.get("memslot", [])
    if not isinstance(slots, list) or not slots:
        raise SpecError(f"{file}: [[memslot]] is missing: a guest needs memory, add one table")
    values = _table(file, "", "top of the file", top)
    spec = Spec(
        name=values.get("name", Path(file).name.removesuffix(".toml")),
        description=values.get("description", ""),
        guest=guest,
        memslots=tuple(
            Memslot(**_table(file, "memslot", f"[[memslot]] {index}", slot))
            for index, slot in enumerate(slots)
        ),
        host=HostModel(**_table(file, "host", "[host]", document.get("host", {}))),
        touched=_touched(file, document.get("touched", {})),
        file=file,
    )
    if spec.touched.pages is not None and spec.touched.pages > spec.memory_bytes // PAGE_SIZE:
        raise SpecError(
            f"{file}: [touched] pages = {spec.touched.pages}: the slots have only "
            f"{spec.memory_bytes // PAGE_SIZE}; touch fewer or add memory"
        )
    return spec


def _table(file: str, table: str, label: str, values: object) -> dict[str, Any]:
    """Check one table; its values, read."""
    fields = FIELDS[table]
    if not isinstance(values, dict):
        raise SpecError(f"{file}: {label} = {values!r}: write it as a table, {label}")
    result = {}
    for key, value in values.items():
        if key not in fields:
            raise SpecError(
                f"{file}: {label} has no field {key!r}"
                + (_nearest(key, fields) or f"; use {', '.join(fields)}")
            )
        try:
            result[key] = fields[key].read(value)
        except _BadValue as error:
            raise SpecError(f"{file}: {label} {key} = {_shown(value)}: {error}") from None
    for key, field in fields.items():
        if field.required and key not in result:
            raise SpecError(f"{file}: {label} {key} is missing: give {field.text}")
    return result


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _touched(file: str, values: object) -> Touched:
    """Check [touched], whose fields depend on each other."""
    read = _table(file, "touched", "[touched]", values)

    def needs(key: str, pattern: str) -> None:
        if key in read and read.get("pattern", "all") != pattern:
            raise SpecError(
                f'{file}: [touched] {key} = {_shown(read[key])}: only with pattern = "{pattern}"'
            )

    needs("cluster", "clustered")
    needs("stride", "strided")
    if "trace" in read:
        for key in ("pattern", "fraction", "pages", "seed", "write"):
            if key in read:
                raise SpecError(
                    f"{file}: [touched] {key} = {_shown(read[key])}: the trace says which pages "
                    "are touched; remove one of the two"
                )
    amounts = [key for key in ("fraction", "pages") if key in read]
    if len(amounts) == 2:
        raise SpecError(
            f"{file}: [touched] fraction = {read['fraction']} and pages = {read['pages']}: "
            "use one of the two"
        )
    if amounts and read.get("pattern", "all") == "all":
        raise SpecError(
            f'{file}: [touched] {amounts[0]} = {read[amounts[0]]}: pattern "all" touches every '
            'page; use pattern = "sequential" or another'
        )
    return Touched(**read)


# --- the ones that come along ---------------------------------------------------------------


def bundled_specs() -> dict[str, str]:
    """Return the descriptions of the bundled specs by their names.

    >>> "microvm" in bundled_specs()
    True
    """
    return {
        path.name.removesuffix(".toml"): tomllib.loads(path.read_text())["description"]
        for path in sorted(_DATA.glob("*.toml"))
    }


def locate_spec(name_or_path: str | PathLike[str]) -> str:
    """Return the path of a bundled spec, or what was given if it names none.

    A bundled name wins: write ``./microvm`` for a file of that name.

    >>> locate_spec("./some.toml")
    './some.toml'
    """
    given = fspath(name_or_path)
    path = _DATA / f"{given}.toml"
    return str(path) if given == Path(given).name and path.is_file() else given
