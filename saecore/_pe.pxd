# The processor's state and operations (include/sae_pe.h). Floor 6.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "sae_pe.h" nogil:
    enum:
        X_ZERO
        X_SINK
        X_SP
        X_TEMP
        N_X
        BLOCK_SLOTS
        TLB0_BITS
        TLB0_PAGES
        JUMP_BITS
        JUMPS
        BTYPES
        ACCESS_PLAIN
        ACCESS_USER
        ACCESS_ALIGNED
        ACCESS_ORDERED
        ACCESS_ATOMIC
        ACCESS_NO_ISV
        ACCESS_STORE
        CAREFUL_DEBUG
        CAREFUL_TRACE
        PE_OK
        PE_LEFT

    bint SAE_LIKELY(bint condition)
    bint SAE_UNLIKELY(bint condition)
    uint32_t SAE_LE32(uint32_t value)
    uint64_t sae_branch_address(const pe_t *pe, uint64_t pc)

    ctypedef void op_fn(pe_t *pe, const op_t *op) noexcept nogil

    ctypedef struct op_t:
        const void *run
        uint8_t rd
        uint8_t rn
        uint8_t rm
        uint8_t ra
        uint8_t insn
        uint8_t slot
        uint16_t code
        uint64_t imm
        op_t *link
        int64_t imm2
        op_fn *fn

    ctypedef struct block_t:
        uint64_t va
        uint64_t host
        block_t *next
        uint64_t epoch
        uint16_t el
        uint16_t guarded
        uint16_t n_insns
        uint16_t n_ops
        uint32_t *words
        block_t *same_page
        uint64_t ipa

    block_t *OP_BLOCK(const op_t *op)
    uint64_t OP_PC(const op_t *op)

    ctypedef struct page_t:
        uint64_t read
        uint64_t write
        uint64_t delta
        uint64_t aligned

    ctypedef struct jump_t:
        uint64_t va
        op_t *op
    uint64_t JUMP_AT(uint64_t va)
    uint64_t JUMP_EMPTY(uint64_t at)

    ctypedef struct vreg_t:
        uint64_t d[2]

    ctypedef struct pe_calls_t:
        int (*read)(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, unsigned int flags,
                    void *to) noexcept nogil
        int (*write)(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                     unsigned int flags, const void *source) noexcept nogil
        int (*pointer)(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                       unsigned int flags, void **host) noexcept nogil
        int (*system)(pe_t *pe, const op_t *op) noexcept nogil
        void (*sp_fault)(pe_t *pe, const op_t *op) noexcept nogil
        void (*undefined)(pe_t *pe, const op_t *op) noexcept nogil
        void (*fp_fault)(pe_t *pe, const op_t *op) noexcept nogil

    ctypedef struct pe_t:
        uint64_t x[35]
        page_t *tlb
        page_t *tlb_user
        jump_t *jumps
        int64_t left
        uint64_t el
        uint64_t sctlr
        uint64_t tbi
        uint64_t fp_trap
        op_t *from_ "from"
        unsigned int retired
        const pe_calls_t *calls
        vreg_t v[32]
        uint64_t pc
        uint64_t pstate
        uint64_t fpcr
        uint64_t fpsr
        uint64_t excl_va
        uint64_t excl_size
        uint64_t excl_value[2]
        uint64_t sp[2]
        uint64_t features
        page_t *tlbs[3]
        jump_t *jumps_of[2]
        page_t *no_tlb
        uint64_t careful
        uint64_t clock
        uint64_t ticks
        uint64_t sev
        uint64_t stepped
        int event
        unsigned int changed
        uint8_t icptr
        uint8_t gltl
        uint16_t pic
        uint64_t esr
        uint64_t far
        uint64_t teid
        uint64_t regs[508]
        uint64_t contextidr
        uint64_t cntp_ctl
        uint64_t cntv_ctl
        uint64_t gpto


cdef extern from "sae_flags.h" nogil:
    uint64_t sae_nzcv(pe_t *pe)
    void sae_set_nzcv(pe_t *pe, uint64_t nzcv)
