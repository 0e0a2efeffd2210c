"""A file is written whole or not at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from trace_samples import SUFFIXES, sample

from gmap.errors import ConfigError
from gmap.trace import TraceWriteError, _files, read, write, write_chunks


class FullDisk:
    """The `os` module, on a disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = os.write(fd, data[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 1, 50, 400])
def test_a_full_disk(
    tmp_path: Path, suffix: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / f"old{suffix}"
    old.write_bytes(b"what was there")
    for path in (old, tmp_path / f"new{suffix}"):
        monkeypatch.setattr(_files, "os", FullDisk(room))
        with pytest.raises(TraceWriteError, match="No space left on device") as caught:
            write(path, sample())
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value).startswith(f"{path}: ")
        assert "free some space" in str(caught.value)
    assert os.listdir(tmp_path) == [old.name]
    assert old.read_bytes() == b"what was there"


def test_a_disk_that_is_full_only_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TraceWriteError, match="No space left"):
        write(tmp_path / "t.csv", sample())
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_a_device_is_written_to_and_stays() -> None:
    with pytest.raises(TraceWriteError, match="/dev/full: No space left on device"):
        write("/dev/full", sample())
    write("/dev/null", sample())
    assert not os.path.isfile("/dev/full")
    assert not os.path.isfile("/dev/null")


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield sample().records()
        raise KeyboardInterrupt

    for suffix in SUFFIXES:
        with pytest.raises(KeyboardInterrupt):
            write_chunks(tmp_path / f"t{suffix}", broken(), {}, n=300)
    assert os.listdir(tmp_path) == []


def test_other_failures_name_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TraceWriteError, match="make the directory first"):
        write(tmp_path / "missing" / "t.csv", sample())
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(TraceWriteError, match="not a directory"):
        write(tmp_path / "dir.csv", sample())
    with pytest.raises(ConfigError, match=r"end the name in \.csv\.xz"):
        write(tmp_path / "t.json", sample())
    with pytest.raises(ConfigError, match=r"end the name in \.csv\.xz"):
        write(tmp_path / "t.lackey", sample())


def test_a_trace_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", sample())
    (tmp_path / "other").touch()
    assert (tmp_path / "t.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write(tmp_path / "link.csv", sample())
    assert (tmp_path / "link.csv").is_symlink()
    assert read(tmp_path / "real.csv") == sample()
