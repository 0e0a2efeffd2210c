"""The compiled walk of `gmap._walk`, callable from @njit code. Floor 4."""

from importlib import import_module
from typing import Any

import numpy as np

from gmap._numba._kernel import kernel

__all__ = ["dat_translate"]

# As Any: their types differ from version to version.
types: Any = import_module("numba.types")
cgutils: Any = import_module("numba.core.cgutils")
extending: Any = import_module("numba.extending")
ir: Any = import_module("llvmlite.ir")

_ADDRESS = extending.get_cython_function_address("gmap._capi", "dat_translate_one")


def _call(typing: Any, asce: Any, gpa: Any, write: Any) -> Any:
    """Call `dat_translate_one`, whose last argument takes the address of its result."""
    result = types.Tuple((types.uint64, types.int32))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, number = (context.get_value_type(t) for t in (types.uint64, types.int32))
        pa = cgutils.alloca_once(builder, word)
        # An address of this process: Numba refuses to keep such code on disk.
        address = context.add_dynamic_addr(builder, _ADDRESS, info="gmap._capi.dat_translate_one")
        kind = ir.FunctionType(number, [word, word, number, pa.type])
        pic = builder.call(builder.bitcast(address, kind.as_pointer()), [*args, pa])
        return context.make_tuple(builder, result, [builder.load(pa), pic])

    return result(types.uint64, types.uint64, types.int32), generate


_call_walk: Any = extending.intrinsic(_call)


@kernel
def dat_translate(asce: int, gpa: int, write: bool) -> tuple[np.uint64, np.int32]:
    """Translate one guest address: the walk behind `Gmap.translate`, for your own @njit code.

    Parameters
    ----------
    asce : uint64
        What `gmap._numba.reading` gave.
    gpa : uint64
        A guest address in bytes.
    write : bool
        Whether to translate for a write.

    Returns
    -------
    pa : uint64
        The host address, 0 if there is none.
    pic : int32
        The program interruption code, 0 if there is none.

    Notes
    -----
    Nothing is checked: an ASCE that names no tables, or one kept after `reading` was left, reads
    whatever memory is there, or ends the process. Compiled code turns a negative address into a
    large one.

    Examples
    --------
    >>> import gmap, numba
    >>> from gmap._numba import dat_translate, reading
    >>> host = gmap.SyntheticHost()
    >>> ram = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, ram.nbytes, ram.hva)
    >>> g.fault_in(range(16)).any()
    np.False_
    >>> @numba.njit
    ... def mapped(asce, n):
    ...     found = 0
    ...     for gfn in range(n):
    ...         pa, pic = dat_translate(asce, gfn << 12, False)
    ...         found += pic == 0
    ...     return found
    >>> with reading(g) as asce:
    ...     mapped(asce, 256)
    16
    """
    result: tuple[np.uint64, np.int32] = _call_walk(
        np.uint64(asce), np.uint64(gpa), np.int32(write)
    )
    return result
