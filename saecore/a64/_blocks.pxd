# Decoded code: blocks of operations, found by host address and by guest address. Floor 7.
from libc.stdint cimport uint32_t, uint64_t

from saecore._pe cimport block_t, op_t
from saecore._processor cimport processor_t


# Where an instruction is that is to be executed next.
ctypedef struct place_t:
    uint64_t va
    uint64_t host
    bint guarded            # its page is (FEAT_BTI)
    unsigned int btype      # PSTATE.BTYPE of the branch that has landed there


cdef void code_set_labels(const void *const *labels) noexcept nogil
# The row of the encoding table an instruction is, with these features, or -1.
cdef int code_find_encoding(uint32_t insn, uint64_t features) noexcept nogil
cdef int code_init(processor_t *p) noexcept nogil
cdef void code_free(processor_t *p) noexcept nogil
# The block whose first instruction is there; decoded if need be.
cdef block_t *code_block(processor_t *p, const place_t *at) noexcept nogil
# A block of that one instruction alone, which is not kept and not linked.
cdef block_t *code_single(processor_t *p, const place_t *at) noexcept nogil
# Let the end of a block, its `go` operation, go straight on to another block.
cdef void code_link(processor_t *p, op_t *go, block_t *block) noexcept nogil
# Whether a host page holds decoded code.
cdef bint code_holds(processor_t *p, uint64_t host) noexcept nogil
# Bytes have been written: forget the blocks of the page if they were of one. True if they were.
cdef bint code_written(processor_t *p, uint64_t host, uint64_t nbytes) noexcept nogil
# Addresses may mean other code now: undo links and forget what was found by guest address;
# blocks are compared with memory before they are used again.
cdef void code_new_epoch(processor_t *p) noexcept nogil
