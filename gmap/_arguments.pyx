"""How a function of integers or integer arrays checks its arguments and answers. Floor 0.

For functions whose arguments broadcast against each other: integers give a plain int or one
record, arrays an array of the same values. Everything in between is a numpy.uint64 or an
array of them. Where something is refused, `describe` makes the message of the first inputs
that are, given as ints.
"""

import numpy as np

from gmap._address cimport as_u64, as_u64_array

from gmap.errors import ConfigError


cdef object as_integers(value, str what, uint64_t last=0xFFFFFFFFFFFFFFFF):
    """A checked argument: an integer as numpy.uint64, anything else as an array of them."""
    if isinstance(value, (int, np.integer)):
        return np.uint64(as_u64(value, what, last))
    return as_u64_array(value, what, last)


cdef object as_integers_within(value, str what, uint64_t first, uint64_t last):
    """The same for integers that are options: another one is a ConfigError."""
    integers = as_integers(value, what)
    refuse((integers < first) | (integers > last),
           f"{what} {{}}: use {first} to {last}".format, (integers,))
    return integers


cdef object as_choice(value, str what, dict choices):
    """The code of a choice the caller made by name."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{what} {value!r}: use one of {', '.join(choices)}")
    return np.uint64(choices[value])


cdef int refuse(bad, describe, tuple inputs) except -1:
    """Raise ConfigError if anything is bad, describing the first inputs that are."""
    if not bad.any():
        return 0
    where = np.flatnonzero(bad)
    first = [int(np.broadcast_to(each, np.shape(bad)).flat[where[0]]) for each in inputs]
    count = f" (the first of {where.size} refused)" if where.size > 1 else ""
    raise ConfigError(describe(*first) + count)


cdef object answer(status, errors, describe, tuple inputs):
    """A status as the caller wants its errors: in the result, or raised."""
    if errors == "raise":
        refuse(status < 0, describe, inputs)
    elif errors != "status":
        raise ConfigError(f"errors {errors!r}: use 'raise' or 'status'")
    return plain(status)


cdef object plain(result):
    """An array as it is, a single value as a plain int."""
    return result if np.ndim(result) else result.item()


cdef object records(dtype, dict columns):
    """A record for each element the columns broadcast to."""
    result = np.zeros(np.broadcast_shapes(*map(np.shape, columns.values())), dtype)
    for name, values in columns.items():
        result[name] = values
    return result[()]
