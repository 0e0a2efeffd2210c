# NumPy ufuncs from addresses to (addresses, codes). Floor 1.
#
# `loop` is a function of the ufunc loop's signature; its data pointer is `data`.

cdef object make_address_ufunc(void *loop, void *data, object owner, bytes name, bytes doc,
                               int codes)
cdef object make_access_ufunc(void *loop, void *data, object owner, bytes name, bytes doc,
                              int codes)
