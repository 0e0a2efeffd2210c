"""The one guard every address, frame number and count passes on its way in. Floor 0.

NumPy turns ``[2**63, 1]`` into floats and wraps -1 silently; nothing here does.
"""

from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_CheckExact

import operator

import numpy as np

from gmap.errors import AddressError, AddressTypeError


def _range_error(value, str what, uint64_t last):
    return AddressError(f"{what} {value!r} is out of range: use 0 to {last:#x}")


def _type_error(value, str what):
    return AddressTypeError(
        f"{what} must be an unsigned integer or an array of them, got {value!r}: "
        "convert it with int() or .astype(numpy.uint64) once you know it is exact"
    )


cdef uint64_t as_u64(object value, str what, uint64_t last) except? 0xFFFFFFFFFFFFFFFF:
    """The value of a Python or NumPy integer from 0 to `last`; anything else is refused."""
    cdef uint64_t result
    if not PyLong_CheckExact(value):
        if isinstance(value, (bool, np.bool_)):
            raise _type_error(value, what)
        try:
            value = operator.index(value)
        except TypeError:
            raise _type_error(value, what) from None
    try:
        result = PyLong_AsUnsignedLongLong(value)
    except OverflowError:
        raise _range_error(value, what, last) from None
    if result > last:
        raise _range_error(value, what, last)
    return result


cdef object as_u64_array(object values, str what, uint64_t last):
    if type(values) is not np.ndarray and isinstance(values, np.ma.MaskedArray):
        raise AddressTypeError(f"{what} array is masked: pass .compressed() or .filled(...)")
    if isinstance(values, np.ndarray):
        array = values
    else:
        if isinstance(values, (str, bytes)):
            raise _type_error(values, what)
        try:
            array = np.asarray(values)
        except (ValueError, OverflowError):     # ragged
            raise _type_error(values, what) from None
        if array.dtype.kind not in "ui" or array.dtype.kind == "b":
            # Mixed signs, huge values and floats meet here: look at each one as it came.
            exact = [as_u64(value, what, last) for value in np.asarray(values, dtype=object).flat]
            return np.array(exact, dtype=np.uint64).reshape(array.shape)
    if array.dtype.kind == "i":
        if array.size and array.min() < 0:
            raise _range_error(int(array.min()), what, last)
    elif array.dtype.kind != "u":
        sample = array.flat[0] if array.size else array.dtype
        raise AddressTypeError(
            f"{what} array has dtype {array.dtype} (first value {sample!r}): "
            "convert it with .astype(numpy.uint64) once you know it is exact"
        )
    result = array.astype(np.uint64, copy=False)
    if last != 0xFFFFFFFFFFFFFFFF and result.size and result.max() > last:
        raise _range_error(int(result.max()), what, last)
    return result


def as_addr(values, str what="address"):
    """Addresses as a uint64 array, refusing whatever would change on the way.

    Parameters
    ----------
    values : int, sequence of int, or integer array
        Signed arrays are accepted if no value is negative.
    what : str
        What to call a value in an error.

    Returns
    -------
    numpy.ndarray
        uint64, of the shape of `values`; a view where possible.

    Raises
    ------
    AddressError
        A value below 0 or above 2**64 - 1.
    AddressTypeError
        Floats, bools, strings, masked arrays.

    >>> as_addr([0x1000, 0x2000])
    array([4096, 8192], dtype=uint64)
    >>> as_addr(-1)
    Traceback (most recent call last):
        ...
    gmap.errors.AddressError: address -1 is out of range: use 0 to 0xffffffffffffffff
    """
    return as_u64_array(values, what, 0xFFFFFFFFFFFFFFFF)
