# A processor: the state operations see (pe_t), and the TLBs and decoded code behind it. Floor 6.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gmap._gmap cimport gmap_t
from gmap._nested cimport two_t
from gmap._stage1 cimport s1_cpu_t
from gmap._tlb cimport tlb_t
from saecore._pe cimport BTYPES, JUMPS, TLB0_PAGES, block_t, op_t, page_t, pe_t


# A first-level TLB, and which of its entries are in use.
ctypedef struct page_list_t:
    page_t *pages
    uint32_t n_used
    uint16_t used[TLB0_PAGES]


# Guest memory as the processor reaches it.
ctypedef struct mmu_t:
    two_t two               # both stages; its regime follows the system registers
    tlb_t tlb               # the second level: whole translations, by ASID
    page_list_t lists[3]    # the first: EL0, EL1, EL1 with PAN
    s1_cpu_t cpu
    uint64_t asce           # of the control block
    uint64_t msl            # its main-storage limit
    uint64_t seen[6]        # translation registers the regime was made from


# A page of host memory that holds decoded instructions.
ctypedef struct code_page_t:
    uint64_t host
    code_page_t *next       # of the same hash
    block_t *blocks


cdef enum:
    CODE_BITS = 15
    CODE_PAGE_BITS = 12


# Decoded code.
ctypedef struct code_t:
    char *arena             # of blocks and pages; dropped whole when it is full
    size_t begin            # of its first whole cache line
    size_t used
    uint32_t n_jumps        # entries of the tables of jumps in use, and which
    uint16_t jumps[2 * BTYPES * JUMPS]
    block_t **blocks        # by host address
    code_page_t **pages
    uint64_t epoch          # blocks of an older one are compared with memory before use
    op_t **links            # `go` operations in front of which a link was made
    uint32_t n_links
    uint32_t links_room
    op_t *scratch           # for a block that is not kept


# An access the guest made, as trace.EVENT (saecore/_trace.pyx) describes it to NumPy.
ctypedef struct trace_event_t:
    uint64_t insn           # how many instructions were executed before
    uint64_t pc
    uint64_t va
    uint64_t ipa
    uint8_t size            # bytes
    uint8_t kind            # gmap.Access
    uint8_t pad[6]


ctypedef struct trace_t:
    trace_event_t *events
    uint64_t n
    uint64_t room
    void *owner             # the object that empties it


# `pe` is first, so that a pe_t * is a processor_t *.
ctypedef struct processor_t:
    pe_t pe
    gmap_t *gmap
    # Set by whoever wants SAE to end soon (icptr SPURIOUS), from any thread; SAE clears it.
    uint64_t request
    # How many instructions SAE may still execute; it ends (SPURIOUS) when they are used up.
    uint64_t budget
    uint64_t once           # not 0: SAE ends (SPURIOUS) after about so many instructions, once
    uint64_t n_insns        # executed so far, all calls together
    trace_t *trace          # with CAREFUL_TRACE: SAE ends (SPURIOUS) when it is nearly full
    mmu_t mmu
    code_t code
