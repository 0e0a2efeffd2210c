# The geometry of DAT tables: how much an entry, a table and an ASCE cover. Floor 0.
#
# Inline, noexcept, nogil, no objects: the walk, the gmap and the IPA limits all cimport it.
# A table type is the level of the table's entries, and of an ASCE that designates it:
# 0 (segment) to 3 (region-1).
#
# Source: z/Architecture dynamic address translation; fact sheets dat-gmap.md sections 1 and
# 2.1, ipa.md sections 4 and 8.
from libc.stdint cimport uint64_t

from gmap._defs cimport (
    ASCE_P, ASCE_S, ASCE_TL, ASCE_X, CRST_BITS, LEVEL_PAGE, LEVEL_REGION1, LEVEL_SEGMENT,
    PAGE_SHIFT, SEGMENT_SHIFT,
)


cdef inline int level_shift(int level) noexcept nogil:
    """Log2 of the bytes one entry at `level` covers."""
    if level == LEVEL_PAGE:
        return <int>PAGE_SHIFT
    return <int>(SEGMENT_SHIFT + <uint64_t>level * CRST_BITS)


cdef inline int table_shift(int table_type) noexcept nogil:
    """Log2 of the bytes a whole table of this type covers: one entry of the level above."""
    return level_shift(table_type + 1)


cdef inline uint64_t type_end(int table_type) noexcept nogil:
    """First gfn an ASCE of this type does not cover."""
    return <uint64_t>1 << (table_shift(table_type) - <int>PAGE_SHIFT)


cdef inline uint64_t type_last_address(int table_type) noexcept nogil:
    """Last byte an ASCE of this type covers; for region-1 the shift leaves 0, so all ones."""
    return (type_end(table_type) << PAGE_SHIFT) - 1


cdef inline int limit_to_type(uint64_t limit_gfns) noexcept nogil:
    """The lowest table type that covers so many frames; 0 frames mean no limit."""
    cdef int table_type
    for table_type in range(LEVEL_SEGMENT, LEVEL_REGION1):
        if 0 < limit_gfns <= type_end(table_type):
            return table_type
    return LEVEL_REGION1


cdef inline uint64_t type_asce_control(int table_type) noexcept nogil:
    """Everything but the origin in the ASCE of a fresh arm64 gmap."""
    return ASCE_P | ASCE_S | ASCE_X | ASCE_TL | <uint64_t>table_type << 2
