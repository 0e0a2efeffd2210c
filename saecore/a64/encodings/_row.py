"""The row of the encoding table."""

from typing import NamedTuple

from saecore._defs import Feature


class Encoding(NamedTuple):
    """One instruction encoding.

    `pattern` has 32 characters, most significant bit first, spaces aside: ``0`` and ``1`` are
    fixed, a letter names the field a bit belongs to, ``.`` is a bit that does not matter
    (should-be-zero and should-be-one bits).
    """

    key: str
    title: str
    pattern: str
    group: str
    feature: Feature | None = None
    #: Constraints on fields that make a word UNDEFINED although it matches, for readers and
    #: tests; the emitter enforces them.
    note: str = ""

    @property
    def bits(self) -> str:
        """The pattern without spaces."""
        return self.pattern.replace(" ", "")

    @property
    def mask(self) -> int:
        """The bits that are fixed."""
        return int("".join("1" if c in "01" else "0" for c in self.bits), 2)

    @property
    def value(self) -> int:
        """What the fixed bits are."""
        return int("".join("1" if c == "1" else "0" for c in self.bits), 2)

    @property
    def fields(self) -> dict[str, tuple[int, int]]:
        """Every field's highest and lowest bit."""
        found: dict[str, tuple[int, int]] = {}
        for at, letter in enumerate(self.bits):
            if letter.isalpha():
                bit = 31 - at
                found[letter] = (found.get(letter, (bit, bit))[0], bit)
        return found
