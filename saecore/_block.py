"""The control block and the save area as structured NumPy dtypes. Floor 6.

Words are in the host's byte order; `to_bytes` gives them as an s390 holds them.
"""

import numpy as np
from numpy.typing import NDArray

from saecore._layout import BLOCK, BLOCK_BYTES, ICPTD, SAVE_AREA, SAVE_AREA_BYTES, Field


def _dtype(fields: list[Field], nbytes: int, alias: str = "") -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": [alias + field.name for field in fields],
            "formats": [
                (f"u{field.size}", (field.length,)) if field.length > 1 else f"u{field.size}"
                for field in fields
            ],
            "offsets": [field.offset for field in fields],
            "itemsize": nbytes,
        }
    )


#: The control block of sae.md section 1, 4096 bytes.
BLOCK_DTYPE = _dtype(BLOCK, BLOCK_BYTES)
#: The same bytes as the views of the interception data (sae.md 4), which overlap.
ICPTD_DTYPE = _dtype(ICPTD, BLOCK_BYTES)
#: The save area of sae.md section 2, 4096 bytes.
SAVE_AREA_DTYPE = _dtype(SAVE_AREA, SAVE_AREA_BYTES)


def to_bytes(record: NDArray[np.void]) -> bytes:
    """A control block or save area as an s390 holds it: every field big-endian.

    >>> import numpy as np
    >>> block = np.zeros((), BLOCK_DTYPE)
    >>> block["pc"] = 0x4000_0000
    >>> to_bytes(block)[0x290:0x298].hex()
    '0000000040000000'
    """
    if record.dtype not in (BLOCK_DTYPE, SAVE_AREA_DTYPE):
        raise TypeError(f"dtype {record.dtype} is neither BLOCK_DTYPE nor SAVE_AREA_DTYPE")
    swapped = np.zeros(record.shape, record.dtype.newbyteorder(">"))
    for name in record.dtype.names or ():
        swapped[name] = record[name]
    return swapped.tobytes()
