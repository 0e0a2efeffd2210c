"""KVM's binary statistics. Floor 9.

Source: fact sheet uapi.md section 8.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NAME_SIZE = 48
HEADER = np.dtype([
    (name, "u4")
    for name in ("flags", "name_size", "num_desc", "id_offset", "desc_offset", "data_offset")
])
DESC = np.dtype([
    ("flags", "u4"), ("exponent", "i2"), ("size", "u2"), ("offset", "u4"), ("bucket_size", "u4"),
    ("name", f"S{NAME_SIZE}"),
])

_CUMULATIVE, _INSTANT, _LOG_HIST = 0, 1, 4
_SECONDS, _BOOLEAN = 2 << 4, 4 << 4
_POW10 = 0
_HISTOGRAM_BUCKETS = 32


class Stat(NamedTuple):
    """One statistic: its name, descriptor flags, power-of-ten exponent and number of words."""

    name: str
    flags: int = _CUMULATIVE
    exponent: int = 0
    size: int = 1


def _seconds(name: str, kind: int = _CUMULATIVE, size: int = 1) -> Stat:
    return Stat(name, kind | _SECONDS | _POW10, -9, size)


VM_STATS = (Stat("remote_tlb_flush"), Stat("remote_tlb_flush_requests"))
VCPU_STATS = (
    Stat("halt_successful_poll"), Stat("halt_attempted_poll"), Stat("halt_poll_invalid"),
    Stat("halt_wakeup"), _seconds("halt_poll_success_ns"), _seconds("halt_poll_fail_ns"),
    _seconds("halt_wait_ns"),
    _seconds("halt_poll_success_hist", _LOG_HIST, _HISTOGRAM_BUCKETS),
    _seconds("halt_poll_fail_hist", _LOG_HIST, _HISTOGRAM_BUCKETS),
    _seconds("halt_wait_hist", _LOG_HIST, _HISTOGRAM_BUCKETS),
    Stat("blocking", _INSTANT | _BOOLEAN),
    Stat("hvc_exit_stat"), Stat("wfe_exit_stat"), Stat("wfi_exit_stat"), Stat("mmio_exit_user"),
    Stat("mmio_exit_kernel"), Stat("signal_exits"), Stat("exits"), Stat("pfault_sync"),
)  # fmt: skip


class StatsFd:
    """What KVM_GET_STATS_FD returns: header, id, descriptors and data, read at the time.

    Attributes
    ----------
    name : str
        Of the anonymous file: ``kvm-vm-stats`` or ``kvm-vcpu-stats:0``.

    >>> fd = StatsFd("kvm-vm-stats", "kvm-1", VM_STATS, dict)
    >>> len(fd.descriptors), fd.values()["remote_tlb_flush"]
    (2, 0)
    """

    def __init__(self, name: str, id: str, stats: tuple[Stat, ...],
                 counters: Callable[[], dict[str, int]]) -> None:
        self.name = name
        self._id = id
        self._stats = stats
        self._counters = counters

    @property
    def header(self) -> Any:
        """`struct kvm_stats_header`."""
        desc_offset = HEADER.itemsize + NAME_SIZE
        data_offset = desc_offset + len(self._stats) * DESC.itemsize
        return np.array((0, NAME_SIZE, len(self._stats), HEADER.itemsize, desc_offset,
                         data_offset), dtype=HEADER)[()]

    @property
    def descriptors(self) -> NDArray[np.void]:
        """`struct kvm_stats_desc` of each statistic."""
        rows = []
        offset = 0
        for stat in self._stats:
            rows.append((stat.flags, stat.exponent, stat.size, offset, 0, stat.name.encode()))
            offset += 8 * stat.size
        return np.array(rows, dtype=DESC)

    def values(self) -> dict[str, int | list[int]]:
        """The statistics by name, histograms as lists.

        What this model does not count is 0, as what the s390 module does not count.
        """
        counters = self._counters()
        return {
            stat.name: counters.get(stat.name, 0) if stat.size == 1 else [0] * stat.size
            for stat in self._stats
        }

    def read(self) -> bytes:
        """The file from its beginning.

        >>> StatsFd("kvm-vm-stats", "kvm-1", VM_STATS, dict).read()[24:29]
        b'kvm-1'
        """
        data = np.concatenate([np.atleast_1d(np.asarray(v, "u8")) for v in self.values().values()])
        return (bytes(self.header.tobytes()) + self._id.encode().ljust(NAME_SIZE, b"\0")
                + self.descriptors.tobytes() + data.tobytes())
