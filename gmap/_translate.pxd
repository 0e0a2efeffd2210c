# Translation of many addresses at once. Floor 3.
from gmap._gmap cimport gmap_t

cdef object make_translate(gmap_t *g, bint write, object owner)
