# cython: language_level=3
"""A method that does nothing, compiled as the methods of gmap are."""


cdef class Peer:

    def empty(self):
        pass
