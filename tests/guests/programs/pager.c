/* A guest that pages by itself: 64 pages of addresses, memory for 16 of them. What is touched
 * is mapped in the handler of the data abort, and the oldest page goes to a store. */
#include "guest.h"

const char guest_name[] = "pager";

enum { PAGES = 64, FRAMES = 16, WORDS = GRANULE / 8, EC_DATA_ABORT = 0x25, FSC_LEVEL3 = 3 };
enum { FSC_TRANSLATION = 1 << 2, FSC_ACCESS_FLAG = 2 << 2, FSC_PERMISSION = 3 << 2 };
#define REGION 0x200000000000ul

static uint64_t *frames[FRAMES], *store[PAGES];
static int owner[FRAMES], dirty[PAGES], oldest;
static uint64_t missing, unused, clean, written_back;

static void page_in(uint64_t page)
{
    int frame = oldest;
    oldest = (oldest + 1) % FRAMES;
    if (owner[frame] >= 0) {
        uint64_t out = (uint64_t)owner[frame];
        unmap_page(REGION + out * GRANULE);
        if (dirty[out]) {
            for (uint64_t i = 0; i < WORDS; i++)
                store[out][i] = frames[frame][i];
            written_back++;
            dirty[out] = 0;
        }
    }
    for (uint64_t i = 0; i < WORDS; i++)
        frames[frame][i] = store[page][i];
    owner[frame] = (int)page;
    /* Neither accessed nor writable: the guest wants to know about both. */
    map(REGION + page * GRANULE, (uint64_t)frames[frame], GRANULE,
        (PAGE_DATA | PAGE_READ_ONLY) & ~PAGE_ACCESSED);
    ISB();
}

void on_exception(struct frame *frame, uint64_t kind)
{
    uint64_t esr = READ_SYSREG(esr_el1), far = READ_SYSREG(far_el1);
    uint64_t page = (far - REGION) / GRANULE;
    (void)frame;
    CHECK(kind == KIND_EL1_SYNC && esr >> 26 == EC_DATA_ABORT && page < PAGES);
    switch (esr & 0x3f) {
    case 0: case 1: case 2:
        fail("address size fault");
    case FSC_TRANSLATION | 0: case FSC_TRANSLATION | 1:
    case FSC_TRANSLATION | 2: case FSC_TRANSLATION | 3:
        missing++;
        page_in(page);
        break;
    case FSC_ACCESS_FLAG | FSC_LEVEL3:
        unused++;
        change_page(far, PAGE_ACCESSED, 0);
        break;
    case FSC_PERMISSION | FSC_LEVEL3:
        CHECK(esr & 1 << 6);
        clean++;
        dirty[page] = 1;
        change_page(far, 0, PAGE_READ_ONLY);
        break;
    default:
        fail("unexpected status");
    }
}

static void report(const char *what, uint64_t count)
{
    put(what);
    put_decimal(count);
}

uint64_t guest_main(void)
{
    volatile uint64_t *region = (volatile uint64_t *)REGION;
    uint64_t sum = 0;
    for (int i = 0; i < FRAMES; i++) {
        frames[i] = take_memory(GRANULE);
        owner[i] = -1;
    }
    for (int i = 0; i < PAGES; i++)
        store[i] = take_memory(GRANULE);
    for (uint64_t round = 1; round <= 3; round++)
        for (uint64_t page = 0; page < PAGES; page++) {
            volatile uint64_t *words = region + page * WORDS;
            if (page % 4 == 0)      /* these are never written to */
                sum += words[1];
            else
                words[round] += page * round + words[round - 1];
        }
    for (uint64_t page = PAGES; page-- > 0;)
        for (int i = 0; i < 4; i++)
            sum = sum * 31 + region[page * WORDS + (uint64_t)i];
    report("missing ", missing);
    report(", unused ", unused);
    report(", clean ", clean);
    report(", written back ", written_back);
    put("\n");
    return sum;
}
