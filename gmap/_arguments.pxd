# How a function of integers or integer arrays checks its arguments and answers. Floor 0.
from libc.stdint cimport uint64_t

cdef object as_integers(object value, str what, uint64_t last=*)
cdef object as_integers_within(object value, str what, uint64_t first, uint64_t last)
cdef object as_choice(object value, str what, dict choices)
cdef int refuse(object bad, object describe, tuple inputs) except -1
cdef object answer(object status, object errors, object describe, tuple inputs)
cdef object plain(object result)
cdef object records(object dtype, dict columns)
