# The one guard every address, frame number and count passes on its way in. Floor 0.
from libc.stdint cimport uint64_t

cdef uint64_t as_u64(object value, str what, uint64_t last) except? 0xFFFFFFFFFFFFFFFF
cdef object as_u64_array(object values, str what, uint64_t last)
