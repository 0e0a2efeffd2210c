"""Decoded code: blocks of operations, found by host address and by guest address. Floor 7.

A block is made for one guest address, one host address and one exception level, for a guarded page
or one that is not, so that all that depends on the pc is a constant in it. It ends at the first
branch, or before the page does. Writes of the guest to code are noticed page by page; what the
host writes, and what new translations bring, is noticed because each epoch compares a block's
instructions with memory when the block is first used in it.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset

from gmap._defs cimport PAGE_SIZE
from gmap._memory cimport release, zalloc, zalloc_lines
from saecore._defs cimport PSTATE_BTYPE
from saecore._mmu cimport mmu_protect_code
from saecore._pe cimport (
    BLOCK_SLOTS, BTYPES, JUMP_AT, JUMP_EMPTY, JUMPS, SAE_LE32, block_t, jump_t, op_t,
)
from saecore._processor cimport (
    CODE_BITS, CODE_PAGE_BITS, code_page_t, code_t, processor_t,
)
from saecore.a64._codes cimport (
    GROUP_BRANCH, GROUP_CRYPTO, GROUP_DATA, GROUP_FP, GROUP_MEMORY, GROUP_PAUTH, GROUP_SIMD,
    GROUP_SYSTEM, GROUP_VECTOR, GROUP_VECTOR_FP, N_ENCODINGS, N_GROUPS, N_OPS, OP_b, OP_go,
    OP_undefined, sae_encodings,
)
from saecore.a64._emit cimport EMIT_END, EMIT_NEXT, EMIT_UNDEFINED, builder_t, emit
from saecore.a64._emit_branch cimport emit_branch
from saecore.a64._emit_crypto cimport emit_crypto
from saecore.a64._emit_data cimport emit_data
from saecore.a64._emit_fp cimport emit_fp
from saecore.a64._emit_memory cimport emit_memory
from saecore.a64._emit_pauth cimport emit_pauth
from saecore.a64._emit_simd cimport emit_simd
from saecore.a64._emit_system cimport emit_system
from saecore.a64._emit_vector cimport emit_vector
from saecore.a64._emit_vector_fp cimport emit_vector_fp

from saecore.a64.encodings import OPS, data


cdef enum:
    ARENA_BYTES = 32 << 20
    MAX_INSNS = 60
    MAX_OPS = 200           # an instruction is at most some dozens
    ROOM_OPS = 256          # slots while a block is made
    BUCKETS = 1 << 11       # by the top bits of an instruction


# Rows of the table by the top eleven bits of an instruction, in the order of the table.
cdef uint16_t CANDIDATES[1 << 15]
cdef uint16_t FIRST[BUCKETS + 1]

# Of an operation: its form that takes N from the one before, or 0; whether it leaves its result
# for the one behind; whether N and M may be exchanged.
cdef uint16_t FORWARDED[N_OPS]
cdef bint LEAVES[N_OPS]
cdef bint COMMUTES[N_OPS]


def fill_forwarding():
    """Look the codes up by name."""
    codes = {name: code for code, name in enumerate(OPS)}
    for name in data.FORWARDED:
        FORWARDED[codes[name]] = codes[f"{name}_a"]
        LEAVES[codes[name]] = LEAVES[codes[f"{name}_a"]] = True
    for name in data.LEAVES:
        LEAVES[codes[name]] = True
    for name in data.COMMUTATIVE:
        COMMUTES[codes[name]] = True


fill_forwarding()

# The labels of all operations (sae_run.h); set when the loop is loaded.
cdef const void *const *LABELS = NULL


cdef void code_set_labels(const void *const *labels) noexcept nogil:
    global LABELS
    LABELS = labels


cdef void sort_rows() noexcept nogil:
    cdef uint32_t bucket, differs, n = 0
    cdef int enc
    for bucket in range(BUCKETS):
        FIRST[bucket] = <uint16_t>n
        for enc in range(N_ENCODINGS):
            differs = (bucket << 21 ^ sae_encodings[enc].value) & sae_encodings[enc].mask
            if differs >> 21 == 0:
                CANDIDATES[n] = <uint16_t>enc
                n += 1
    FIRST[BUCKETS] = <uint16_t>n


sort_rows()


cdef int code_find_encoding(uint32_t insn, uint64_t features) noexcept nogil:
    """The row of an instruction, or -1."""
    cdef uint32_t at
    cdef int enc
    for at in range(FIRST[insn >> 21], FIRST[(insn >> 21) + 1]):
        enc = CANDIDATES[at]
        if not (insn ^ sae_encodings[enc].value) & sae_encodings[enc].mask and not (
                sae_encodings[enc].feature & ~features):
            return enc
    return -1


# --- decoding -------------------------------------------------------------------------------

ctypedef int (*emitter_t)(builder_t *b, uint32_t insn, int enc) noexcept nogil
cdef emitter_t EMITTERS[N_GROUPS]
EMITTERS[<int>GROUP_DATA] = emit_data
EMITTERS[<int>GROUP_BRANCH] = emit_branch
EMITTERS[<int>GROUP_MEMORY] = emit_memory
EMITTERS[<int>GROUP_SYSTEM] = emit_system
EMITTERS[<int>GROUP_PAUTH] = emit_pauth
EMITTERS[<int>GROUP_SIMD] = emit_simd
EMITTERS[<int>GROUP_FP] = emit_fp
EMITTERS[<int>GROUP_VECTOR] = emit_vector
EMITTERS[<int>GROUP_VECTOR_FP] = emit_vector_fp
EMITTERS[<int>GROUP_CRYPTO] = emit_crypto


cdef int emit_instruction(builder_t *b, uint32_t insn) noexcept nogil:
    cdef int enc = code_find_encoding(insn, b.features)
    cdef unsigned int before = b.n_ops
    cdef int rc = EMIT_UNDEFINED
    cdef op_t *op
    b.taken = b.pc + 4
    b.falls = False
    if enc >= 0:
        rc = EMITTERS[sae_encodings[enc].group](b, insn, enc)
    if rc == EMIT_UNDEFINED:
        b.n_ops = before
        op = emit(b, OP_undefined)
        op.imm = insn
        return EMIT_END
    return rc


cdef void forward(op_t *ops, unsigned int first, unsigned int end) noexcept nogil:
    """Let operations take from the one before what that has just made."""
    cdef unsigned int i
    cdef op_t *op
    for i in range(first, end):
        op = &ops[i + 1]
        if not LEAVES[ops[i].code] or not FORWARDED[op.code]:
            continue
        if op.rn != ops[i].rd and op.rm == ops[i].rd and COMMUTES[op.code]:
            op.rm = op.rn
            op.rn = ops[i].rd
        if op.rn == ops[i].rd:
            op.code = FORWARDED[op.code]


cdef void decode(processor_t *p, op_t *ops, const place_t *at, unsigned int most) noexcept nogil:
    """Make the block of up to `most` instructions at `va` in an array of ROOM_OPS."""
    cdef block_t *block = <block_t *>ops
    cdef uint64_t va = at.va
    cdef const uint32_t *words = <const uint32_t *><uintptr_t>at.host
    cdef unsigned int in_page = <unsigned int>((PAGE_SIZE - (va & (PAGE_SIZE - 1))) >> 2)
    cdef builder_t b
    cdef op_t *op
    cdef unsigned int i
    cdef int rc = EMIT_NEXT
    memset(&b, 0, sizeof(b))
    b.ops = ops
    b.n_ops = BLOCK_SLOTS
    b.el = p.pe.el
    b.guarded = at.guarded
    b.features = p.pe.features
    most = min(most, in_page)
    while rc == EMIT_NEXT and b.insn < most and b.n_ops < MAX_OPS:
        b.pc = va + 4 * b.insn
        rc = emit_instruction(&b, SAE_LE32(words[b.insn]))
        b.insn += 1
    block.va = va
    block.host = at.host
    block.next = NULL
    block.epoch = p.code.epoch
    block.el = <uint16_t>p.pe.el
    block.guarded = at.guarded
    block.n_insns = <uint16_t>b.insn
    block.same_page = NULL
    if rc == EMIT_NEXT:
        # Cut off. The instruction index is that of the one behind.
        b.taken = va + 4 * b.insn
        b.falls = False
        emit(&b, OP_b)
    op = &ops[b.n_ops - 1]
    op.ra = <uint8_t>b.insn
    b.insn -= 1
    emit(&b, OP_go).imm = b.taken
    emit(&b, OP_go).imm = va + 4 * (b.insn + 1)
    op.link = op + 1
    op[1].link = op + 2
    block.n_ops = <uint16_t>b.n_ops
    forward(ops, BLOCK_SLOTS, b.n_ops - 1)
    if LABELS != NULL:
        for i in range(BLOCK_SLOTS, b.n_ops):
            ops[i].run = LABELS[ops[i].code]


# --- the cache ------------------------------------------------------------------------------

cdef inline uint64_t hash_of(uint64_t host, int bits) noexcept nogil:
    return (host * <uint64_t>0x9E3779B97F4A7C15) >> (64 - bits)


cdef void forget_all(processor_t *p) noexcept nogil:
    cdef code_t *c = &p.code
    c.used = c.begin
    c.n_links = 0
    memset(c.blocks, 0, sizeof(block_t *) << CODE_BITS)
    memset(c.pages, 0, sizeof(code_page_t *) << CODE_PAGE_BITS)
    code_new_epoch(p)


cdef int code_init(processor_t *p) noexcept nogil:
    """0, or -1 if there is no memory; what there is must be freed in any case."""
    cdef code_t *c = &p.code
    cdef uint32_t i
    # Not touched before it is used, unlike memory of zalloc_lines.
    c.arena = <char *>zalloc(ARENA_BYTES)
    c.begin = c.used = <size_t>-<uintptr_t>c.arena & 63
    c.blocks = <block_t **>zalloc(sizeof(block_t *) << CODE_BITS)
    c.pages = <code_page_t **>zalloc(sizeof(code_page_t *) << CODE_PAGE_BITS)
    c.links_room = 1 << 16
    c.links = <op_t **>zalloc(sizeof(op_t *) * c.links_room)
    c.scratch = <op_t *>zalloc_lines(sizeof(op_t) * ROOM_OPS)
    p.pe.jumps_of[0] = <jump_t *>zalloc_lines(sizeof(jump_t) * 2 * BTYPES * JUMPS)
    if (c.arena == NULL or c.blocks == NULL or c.pages == NULL or c.links == NULL
            or c.scratch == NULL or p.pe.jumps_of[0] == NULL):
        return -1
    p.pe.jumps_of[1] = p.pe.jumps_of[0] + BTYPES * JUMPS
    for i in range(2 * BTYPES * JUMPS):
        p.pe.jumps_of[0][i].va = JUMP_EMPTY(i & (JUMPS - 1))
    c.epoch = 1
    return 0


cdef void code_free(processor_t *p) noexcept nogil:
    release(p.code.arena)
    release(p.code.blocks)
    release(p.code.pages)
    release(p.code.links)
    release(p.code.scratch)
    release(p.pe.jumps_of[0])


cdef void code_new_epoch(processor_t *p) noexcept nogil:
    cdef code_t *c = &p.code
    cdef op_t *go
    cdef uint32_t i
    for i in range(c.n_links):
        go = c.links[i]
        (go - 1).link = go
    c.n_links = 0
    for i in range(c.n_jumps):
        p.pe.jumps_of[0][c.jumps[i]].va = JUMP_EMPTY(c.jumps[i] & (JUMPS - 1))
    c.n_jumps = 0
    c.epoch += 1


cdef void code_link(processor_t *p, op_t *go, block_t *block) noexcept nogil:
    """Let the end of a block go straight on to another."""
    cdef code_t *c = &p.code
    if c.n_links == c.links_room:
        code_new_epoch(p)
        return
    c.links[c.n_links] = go
    c.n_links += 1
    (go - 1).link = <op_t *>block + BLOCK_SLOTS


cdef inline code_page_t **page_slot(processor_t *p, uint64_t host) noexcept nogil:
    """Where the page of an address is, or would be, linked in."""
    cdef uint64_t page = host & ~(PAGE_SIZE - 1)
    cdef code_page_t **at = &p.code.pages[hash_of(page, CODE_PAGE_BITS)]
    while at[0] != NULL and at[0].host != page:
        at = &at[0].next
    return at


cdef bint code_holds(processor_t *p, uint64_t host) noexcept nogil:
    return page_slot(p, host)[0] != NULL


cdef void unhash(processor_t *p, block_t *block) noexcept nogil:
    cdef block_t **at = &p.code.blocks[hash_of(block.host, CODE_BITS)]
    while at[0] != block:
        at = &at[0].next
    at[0] = block.next


cdef void forget_page(processor_t *p, code_page_t **at) noexcept nogil:
    """Forget the blocks of a page. Their memory stays what it is until the arena is full, so
    the one that runs may go on to its end."""
    cdef code_page_t *page = at[0]
    cdef block_t *block = page.blocks
    while block != NULL:
        unhash(p, block)
        block = block.same_page
    at[0] = page.next
    code_new_epoch(p)


cdef bint code_written(processor_t *p, uint64_t host, uint64_t nbytes) noexcept nogil:
    cdef code_page_t **at = page_slot(p, host)
    cdef block_t *block
    if at[0] == NULL:
        return False
    block = at[0].blocks
    while block != NULL:
        if block.host < host + nbytes and host < block.host + 4 * <uint64_t>block.n_insns:
            forget_page(p, at)
            return True
        block = block.same_page
    return False


cdef block_t *keep(processor_t *p, op_t *made) noexcept nogil:
    """Copy a new block to the arena and enter it."""
    cdef code_t *c = &p.code
    cdef block_t *block = <block_t *>made
    cdef size_t ops_bytes = sizeof(op_t) * block.n_ops
    cdef size_t nbytes = ops_bytes + ((4 * block.n_insns + 31) & ~31)
    cdef code_page_t **at
    cdef code_page_t *page
    cdef uint64_t bucket
    cdef op_t *last
    if c.used + nbytes + sizeof(code_page_t) + 32 > ARENA_BYTES:
        forget_all(p)
        block.epoch = c.epoch
    at = page_slot(p, block.host)
    if at[0] == NULL:
        page = <code_page_t *>(c.arena + c.used)
        c.used += (sizeof(code_page_t) + 31) & ~<size_t>31
        page.host = block.host & ~(PAGE_SIZE - 1)
        page.blocks = NULL
        page.next = at[0]
        at[0] = page
        mmu_protect_code(p, page.host)
    page = at[0]
    block = <block_t *>(c.arena + c.used)
    c.used += nbytes
    memcpy(block, made, ops_bytes)
    block.words = <uint32_t *>(<char *>block + ops_bytes)
    memcpy(block.words, <void *><uintptr_t>block.host, 4 * block.n_insns)
    # The ends of a block point at each other.
    last = <op_t *>block + block.n_ops - 3
    last.link = last + 1
    last[1].link = last + 2
    bucket = hash_of(block.host, CODE_BITS)
    block.next = c.blocks[bucket]
    c.blocks[bucket] = block
    block.same_page = page.blocks
    page.blocks = block
    return block


cdef void note_jump(processor_t *p, block_t *block, unsigned int btype) noexcept nogil:
    """Let branches of a kind (PSTATE.BTYPE) find a block from now on."""
    cdef code_t *c = &p.code
    cdef jump_t *jump = &p.pe.jumps[btype * JUMPS + JUMP_AT(block.va)]
    if jump.va == JUMP_EMPTY(JUMP_AT(block.va)):
        c.jumps[c.n_jumps] = <uint16_t>(jump - p.pe.jumps_of[0])
        c.n_jumps += 1
    jump.va = block.va
    jump.op = <op_t *>block + BLOCK_SLOTS


cdef block_t *code_block(processor_t *p, const place_t *at) noexcept nogil:
    cdef code_t *c = &p.code
    cdef block_t *block = c.blocks[hash_of(at.host, CODE_BITS)]
    while block != NULL and not (block.host == at.host and block.va == at.va
                                 and block.el == p.pe.el and block.guarded == at.guarded):
        block = block.next
    if block != NULL and block.epoch != c.epoch:
        if memcmp(block.words, <void *><uintptr_t>at.host, 4 * block.n_insns):
            forget_page(p, page_slot(p, at.host))
            block = NULL
        else:
            block.epoch = c.epoch
    if block == NULL:
        decode(p, c.scratch, at, MAX_INSNS)
        block = keep(p, c.scratch)
    # An instruction that shows BTYPE must be come by each time.
    if not p.pe.pstate & PSTATE_BTYPE:
        note_jump(p, block, at.btype)
    return block


cdef block_t *code_single(processor_t *p, const place_t *at) noexcept nogil:
    decode(p, p.code.scratch, at, 1)
    (<block_t *>p.code.scratch).words = <uint32_t *><uintptr_t>at.host
    return <block_t *>p.code.scratch


def operations(uint32_t[:] words, uint64_t va=0, uint64_t el=1, uint64_t features=<uint64_t>-1,
               bint guarded=False):
    """The operations some instructions at an address, in a guarded page or not, decode to, by name;
    pairs of index of the instruction and name. For tests and for who wonders what the loop runs.

    >>> import numpy as np
    >>> from saecore.a64._blocks import operations
    >>> operations(np.array([0x91000421, 0xF1000400, 0x54FFFFC1], np.uint32))
    [(0, 'add_x_imm'), (1, 'subs_x_imm_b_ne'), (2, 'go'), (2, 'go')]
    """
    cdef processor_t *p = <processor_t *>zalloc_lines(sizeof(processor_t))
    cdef op_t *ops = <op_t *>zalloc_lines(sizeof(op_t) * ROOM_OPS)
    cdef block_t *block = <block_t *>ops
    cdef place_t at
    cdef unsigned int i
    at.va, at.host, at.guarded, at.btype = va, <uint64_t><uintptr_t>&words[0], guarded, 0
    try:
        if p == NULL or ops == NULL:
            raise MemoryError("no memory to decode")
        p.pe.features = features
        p.pe.el = el
        decode(p, ops, &at, <unsigned int>min(words.shape[0], MAX_INSNS))
        return [(ops[i].insn, OPS[ops[i].code]) for i in range(BLOCK_SLOTS, block.n_ops)]
    finally:
        release(p)
        release(ops)
