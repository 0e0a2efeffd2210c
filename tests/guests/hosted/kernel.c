/* As much of a kernel as a statically linked program of Linux needs that computes and prints: it
 * is put into memory, started at EL0, and its system calls are answered. The one file there is is
 * the console. */
#include "guest.h"

const char guest_name[] = "hosted";

/* The program's ELF file (image.S). */
extern const uint8_t image_start[];

/* --- ELF, and what a program finds on its stack ------------------------------------------ */

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

enum { PT_LOAD = 1, PF_X = 1, PF_W = 2 };
enum { AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY = 9, AT_HWCAP = 16,
       AT_RANDOM = 25 };
enum { HWCAP_FP_ASIMD = 3 };

enum { EC_SVC = 0x15, EC_DATA_ABORT_EL0 = 0x24, EC_DATA_ABORT_EL1 = 0x25 };
enum { PROGRAM_STACK = 1 << 20, HEAP = 4 << 20 };
#define STACK_TOP 0x7fff0000ul
#define HEAP_START 0x50000000ul
#define MAPPINGS 0x60000000ul

static struct frame kernel;
static uint64_t heap_end = HEAP_START, next_mapping = MAPPINGS;

/* Pages of the program, zeroed, where it has none yet. */
static void give(uint64_t va, uint64_t bytes, uint64_t attributes)
{
    uint64_t end = va + bytes;
    for (va &= -GRANULE; va < end; va += GRANULE)
        if (!*descriptor_of(va))
            map(va, (uint64_t)take_memory(GRANULE), GRANULE, attributes);
}

static const uint64_t page_data = PAGE_DATA | PAGE_USER;

static void load(const struct elf_segment *segment)
{
    uint64_t attributes = page_data, va = segment->vaddr, done = 0;
    if (!(segment->flags & PF_W))
        attributes |= PAGE_READ_ONLY;
    if (segment->flags & PF_X)
        attributes &= ~PAGE_XN;
    give(va, segment->memsz, attributes);
    while (done < segment->filesz) {    /* where the page is, for the program may not write it */
        uint64_t at = va + done, part = GRANULE - at % GRANULE;
        uint64_t page = *descriptor_of(at) & ((1ul << 48) - GRANULE);
        if (part > segment->filesz - done)
            part = segment->filesz - done;
        memcpy((void *)(page + at % GRANULE), image_start + segment->offset + done, part);
        done += part;
    }
}

/* The program in memory; where it starts, and its stack. */
static void load_program(struct frame *frame)
{
    const struct elf_header *elf = (const void *)image_start;
    const struct elf_segment *segments = (const void *)(image_start + elf->phoff);
    uint64_t phdr = 0;
    CHECK(elf->machine == 183 && elf->type == 2);
    for (int i = 0; i < elf->phnum; i++)
        if (segments[i].type == PT_LOAD) {
            load(&segments[i]);
            if (elf->phoff - segments[i].offset < segments[i].filesz)
                phdr = segments[i].vaddr + elf->phoff - segments[i].offset;
        }
    __asm__ volatile("ic iallu");
    DSB();
    ISB();
    give(STACK_TOP - GRANULE, GRANULE, page_data);
    uint64_t random = STACK_TOP - 32;
    const uint64_t start[] = {
        1, STACK_TOP - 64, 0, 0,        /* argc, argv[0], and the ends of argv and of environ */
        AT_PHDR, phdr, AT_PHENT, elf->phentsize, AT_PHNUM, elf->phnum, AT_PAGESZ, GRANULE,
        AT_ENTRY, elf->entry, AT_HWCAP, HWCAP_FP_ASIMD, AT_RANDOM, random, AT_NULL, 0,
    };
    memcpy((void *)(STACK_TOP - 64), "program", 8);
    frame->sp_el0 = (STACK_TOP - 64 - sizeof start) & -16ul;
    memcpy((void *)frame->sp_el0, start, sizeof start);
    frame->elr = elf->entry;
}

/* --- system calls ------------------------------------------------------------------------ */

enum {
    SYS_IOCTL = 29, SYS_CLOSE = 57, SYS_LSEEK = 62, SYS_READ, SYS_WRITE, SYS_READV, SYS_WRITEV,
    SYS_EXIT = 93, SYS_EXIT_GROUP, SYS_SET_TID_ADDRESS = 96, SYS_CLOCK_GETTIME = 113,
    SYS_SCHED_GETAFFINITY = 123, SYS_RT_SIGACTION = 134, SYS_RT_SIGPROCMASK, SYS_GETPID = 172,
    SYS_GETTID = 178, SYS_BRK = 214, SYS_MUNMAP, SYS_MREMAP, SYS_MMAP = 222, SYS_MPROTECT = 226,
    SYS_MADVISE = 233,
};
enum { ENOMEM = 12, ENOTTY = 25, ESPIPE = 29 };

struct part {
    const char *bytes;
    uint64_t n;
};

static uint64_t write_parts(const struct part *part, uint64_t n)
{
    uint64_t written = 0;
    for (; n--; part++) {
        for (uint64_t i = 0; i < part->n; i++)
            put_char(part->bytes[i]);
        written += part->n;
    }
    return written;
}

/* A page of the stack, the heap or a mapping, when it is touched. It is never taken back: no
 * program here needs more than there is. */
static int give_touched(uint64_t va)
{
    if (!(va >= STACK_TOP - PROGRAM_STACK && va < STACK_TOP)
        && !(va >= HEAP_START && va < heap_end) && !(va >= MAPPINGS && va < next_mapping))
        return 0;
    if (*descriptor_of(va))
        return 0;
    give(va, 1, page_data);
    return 1;
}

static uint64_t system_call(const uint64_t *x)
{
    uint64_t here;
    switch (x[8]) {
    case SYS_WRITE:
        return write_parts(&(struct part){(const char *)x[1], x[2]}, 1);
    case SYS_WRITEV:
        return write_parts((const struct part *)x[1], x[2]);
    case SYS_BRK:
        if (x[0] < HEAP_START || x[0] > HEAP_START + HEAP)
            return heap_end;
        return heap_end = x[0];
    case SYS_MMAP:
        here = next_mapping;
        next_mapping += (x[1] + GRANULE - 1) & -GRANULE;
        return here;
    case SYS_CLOCK_GETTIME:
        here = READ_SYSREG(cntvct_el0);
        ((uint64_t *)x[1])[0] = here / READ_SYSREG(cntfrq_el0);
        ((uint64_t *)x[1])[1] = 0;
        return 0;
    case SYS_SCHED_GETAFFINITY:
        *(uint64_t *)x[2] = 1;
        return 8;
    case SYS_IOCTL:
        return -(uint64_t)ENOTTY;
    case SYS_LSEEK:
        return -(uint64_t)ESPIPE;
    case SYS_MREMAP:
        return -(uint64_t)ENOMEM;
    case SYS_GETPID:
    case SYS_GETTID:
    case SYS_SET_TID_ADDRESS:
        return 1;
    case SYS_READ:
    case SYS_READV:
    case SYS_CLOSE:
    case SYS_MUNMAP:
    case SYS_MPROTECT:
    case SYS_MADVISE:
    case SYS_RT_SIGACTION:
    case SYS_RT_SIGPROCMASK:
        return 0;
    }
    put("system call ");
    put_decimal(x[8]);
    put("\n");
    fail("unknown system call");
}

void on_exception(struct frame *frame, uint64_t kind)
{
    uint64_t ec = READ_SYSREG(esr_el1) >> 26;
    if (kind == KIND_EL1_SYNC && ec == EC_SVC) {    /* guest_main starts the program */
        kernel = *frame;
        *frame = (struct frame){0};
        load_program(frame);
    } else if ((ec == EC_DATA_ABORT_EL0 || ec == EC_DATA_ABORT_EL1)
               && give_touched(READ_SYSREG(far_el1))) {
        return;
    } else if (kind != KIND_EL0_SYNC || ec != EC_SVC) {
        unexpected_exception(frame, kind);
    } else if (frame->x[8] == SYS_EXIT || frame->x[8] == SYS_EXIT_GROUP) {
        uint64_t status = frame->x[0];
        *frame = kernel;
        frame->x[0] = status;
    } else {
        frame->x[0] = system_call(frame->x);
    }
}

uint64_t guest_main(void)
{
    register uint64_t status __asm__("x0");
    __asm__ volatile("svc #1" : "=r"(status)::"memory");    /* back when the program ends */
    return status;
}
