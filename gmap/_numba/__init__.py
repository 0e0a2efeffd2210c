"""Kernels that users edit, compiled by Numba when they are first called. Floor 4.

::

    caches   one cache: sets, ways and five rules of replacement; everything below is made of it
    walks    page-table walks of one and two dimensions, and the caches beside them
    tlb      the loop over a trace: first level, second level, walk
    dat      the compiled walk of `gmap._walk`, for @njit code

`gmap.models` is the face over them: configuration, replay, results. docs/models.md tells how to
change a model.
"""

from gmap._capi import reading
from gmap._numba.dat import dat_translate

__all__ = ["dat_translate", "reading"]
