/* Three tasks at EL0 and a kernel at EL1: system calls, round robin, and one task that touches
 * what is the kernel's and is ended for it. */
#include "guest.h"

const char guest_name[] = "tasks";

enum { N_TASKS = 3, SYS_PUT = 1, SYS_YIELD, SYS_ADD, SYS_EXIT, EC_SVC = 0x15, EC_ABORT_EL0 = 0x24 };
enum { STACK = 0x10000 };

static struct frame tasks[N_TASKS], kernel;
static uint64_t total, alive = N_TASKS;
static int ended[N_TASKS], current;

/* --- what runs at EL0: nothing here may touch the kernel's data ------------------------- */

static inline uint64_t call(uint64_t number, uint64_t argument)
{
    register uint64_t x0 __asm__("x0") = argument;
    register uint64_t x8 __asm__("x8") = number;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8) : "memory");
    return x0;
}

static void task(uint64_t id)
{
    volatile uint64_t *kernels = &total;
    for (uint64_t i = 0; i < 4; i++) {
        call(SYS_PUT, 'a' + id);
        call(SYS_ADD, (id + 1) * 100 + i);
        if (id == 1 && i == 2)
            *kernels = 0;
        call(SYS_YIELD, 0);
    }
    call(SYS_EXIT, 0);
}

/* --- the kernel ------------------------------------------------------------------------- */

static void switch_task(struct frame *frame)
{
    tasks[current] = *frame;
    if (alive == 0) {
        *frame = kernel;
        return;
    }
    do
        current = (current + 1) % N_TASKS;
    while (ended[current]);
    *frame = tasks[current];
}

static void end_task(struct frame *frame)
{
    ended[current] = 1;
    alive--;
    switch_task(frame);
}

void on_exception(struct frame *frame, uint64_t kind)
{
    uint64_t esr = READ_SYSREG(esr_el1), ec = esr >> 26;
    if (kind == KIND_EL1_SYNC && ec == EC_SVC) {    /* the kernel starts the first task */
        kernel = *frame;
        *frame = tasks[current = 0];
        return;
    }
    CHECK(kind == KIND_EL0_SYNC);
    if (ec == EC_ABORT_EL0) {
        CHECK(READ_SYSREG(far_el1) == (uint64_t)&total);
        put("!");
        end_task(frame);
        return;
    }
    CHECK(ec == EC_SVC);
    char text[2] = {(char)frame->x[0], 0};
    switch (frame->x[8]) {
    case SYS_PUT:
        put(text);
        break;
    case SYS_YIELD:
        switch_task(frame);
        break;
    case SYS_ADD:
        frame->x[0] = total += frame->x[0];
        break;
    case SYS_EXIT:
        end_task(frame);
        break;
    default:
        fail("unknown system call");
    }
}

uint64_t guest_main(void)
{
    uint64_t code = (uint64_t)task & -GRANULE;
    /* The code of the tasks, for EL0 too: it may be read and executed there, not written. */
    for (uint64_t page = code; page < (uint64_t)task + 0x400; page += GRANULE)
        change_page(page, PAGE_USER, 0);
    for (uint64_t id = 0; id < N_TASKS; id++) {
        uint64_t stack = (uint64_t)take_memory(STACK);
        for (uint64_t page = stack; page < stack + STACK; page += GRANULE)
            change_page(page, PAGE_USER, 0);
        tasks[id].x[0] = id;
        tasks[id].elr = (uint64_t)task;
        tasks[id].sp_el0 = stack + STACK;
    }
    __asm__ volatile("svc #1" ::: "memory");    /* back when all tasks have ended */
    put("\n");
    return total;
}
