"""Records on their way to a file whose head says how many they are. Floor 4."""

import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from gmap.trace._errors import write_error
from gmap.trace._model import ACCESS, Records
from gmap.trace._reader import CHUNK_RECORDS, Path

__all__ = ["Spool"]


class Spool:
    """Records in a file without a name beside the target, so that nothing can be left of it.

    Attributes
    ----------
    records : int
        How many were added.
    max_records : int or None
        Where it is full.
    order : bool
        Whether any of them has an order.
    """

    def __init__(self, path: Path, max_records: int | None = None) -> None:
        self.name = os.fsdecode(path)
        self.records = 0
        self.max_records = max_records
        self.order = False
        target = os.path.realpath(self.name)
        regular = os.path.isfile(target) or not os.path.exists(target)
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(  # noqa: SIM115
                dir=os.path.dirname(target) if regular else None, buffering=0
            )
        except OSError as error:
            raise write_error(self.name, error) from error

    @property
    def room(self) -> int | None:
        """How many more records it takes; None if there is no limit."""
        return None if self.max_records is None else self.max_records - self.records

    @property
    def full(self) -> bool:
        return self.room == 0

    def append(self, records: Records) -> None:
        """Add records, as far as there is room under the limit."""
        records = records[: self.room]
        data = memoryview(records.tobytes())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise write_error(self.name, error) from error
        self.records += len(records)
        self.order = self.order or bool(records["order"].any())

    def chunks(self) -> Iterator[Records]:
        """Yield what was added."""
        self._file.seek(0)
        while data := self._file.read(CHUNK_RECORDS * ACCESS.itemsize):
            yield np.frombuffer(data, ACCESS)

    def close(self) -> None:
        self._file.close()
