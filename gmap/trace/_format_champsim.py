"""ChampSim's binary traces: one record of 64 bytes an instruction, without a head. Floor 4."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gmap.errors import TraceFormatError
from gmap.trace._champsim import ChampsimScanner
from gmap.trace._files import BrokenStreamError, Source
from gmap.trace._model import Records
from gmap.trace._position import State
from gmap.trace._reader import Meta, Reader

__all__ = ["INSTRUCTION", "read_champsim"]

#: ChampSim's `input_instr`, little-endian. A memory operand of 0 is none.
INSTRUCTION = np.dtype(
    [
        ("ip", "<u8"),
        ("is_branch", "u1"),
        ("branch_taken", "u1"),
        ("destination_registers", "u1", 2),
        ("source_registers", "u1", 4),
        ("destination_memory", "<u8", 2),
        ("source_memory", "<u8", 4),
    ]
)
_SIZE = INSTRUCTION.itemsize


class ChampsimReader:
    """The accesses of each instruction, filtered."""

    def __init__(self, source: Source, meta: Meta, window: int, state: State) -> None:
        self._source = source
        self._meta = meta
        self._offset = state.offset
        self._records = state.records
        self._scanner = ChampsimScanner(window, state.kept)

    def pieces(self) -> Iterator[Records]:
        rest = b""
        try:
            for piece in self._source:
                data = rest + piece if rest else piece
                n = len(data) // _SIZE
                rest = data[n * _SIZE :]
                if n:
                    yield self._counted(self._feed(np.frombuffer(data, INSTRUCTION, n)))
        except BrokenStreamError as error:
            raise self._error(0, str(error)) from None
        if rest:
            raise self._error(
                0, f"the file ends {len(rest)} bytes into this record of {_SIZE}: it is truncated"
            )
        if self._offset == 0:
            raise self._error(0, "the file ends before any record")
        scanner = self._scanner
        yield self._counted(scanner.finish())
        self._meta |= {
            "instructions": str(scanner.fetches),
            "loads": str(scanner.loads),
            "stores": str(scanner.stores),
            "accesses": str(scanner.accesses),
        }

    def _feed(self, instructions: NDArray[np.void]) -> Records:
        for field in ("is_branch", "branch_taken"):
            bad = instructions[field] > 1
            if bad.any():
                at = int(np.argmax(bad))
                raise self._error(
                    at,
                    f"{field}: expected 0 or 1, got {instructions[field][at]}: this is no trace "
                    "of ChampSim's",
                )
        words = instructions.view("<u8").reshape(len(instructions), -1)
        self._offset += instructions.nbytes
        return self._scanner.feed(words.astype(np.uint64, copy=False))

    def _counted(self, records: Records) -> Records:
        self._records += len(records)
        return records

    def _error(self, at: int, what: str) -> TraceFormatError:
        offset = self._offset + at * _SIZE
        record = offset // _SIZE + 1
        return TraceFormatError(f"{self._source.name}: record {record} (byte {offset}): {what}")

    def state(self) -> State:
        line = self._offset // _SIZE
        return State(self._offset, line, self._records, self._scanner.state())

    def fraction(self) -> float | None:
        return self._source.fraction()


def read_champsim(source: Source, meta: Meta, window: int, state: State) -> Reader:
    """Return the filtered accesses of a ChampSim trace; `meta` is complete once they are read."""
    meta["filter"] = str(window)
    if state.offset:
        source.seek(state.offset)
    return ChampsimReader(source, meta, window, state)


def is_champsim(head: bytes) -> bool:
    """Whether the flags of the first records are flags, and their addresses are not all 0."""
    n = min(len(head) // _SIZE, 64)
    records = np.frombuffer(head, INSTRUCTION, n)
    return n > 0 and bool(
        (records["ip"] != 0).all()
        and (records["is_branch"] <= 1).all()
        and (records["branch_taken"] <= 1).all()
    )
