from enum import IntFlag
from typing import Final

import numpy as np

class EntryBit(IntFlag):
    LEAF = 1
    INVALID = 2
    PRESENT = 4
    WRITABLE = 8
    PROTECT = 16
    NOEXEC = 32
    YOUNG = 64
    BLOCK = 128
    DIRTY = 256
    SOFT_DIRTY = 512
    SPECIAL = 1024
    PREFIX = 2048
    VSIE = 4096
    HOLE = 8192
    BAD = 16384

RUN: Final[np.dtype[np.void]]
