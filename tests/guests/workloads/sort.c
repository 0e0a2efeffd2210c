/* Heap sort and then quick sort of pseudo-random words: loads, stores, and branches that are hard
 * to foresee. n: times 64 Ki words are sorted. */
#include "workload.h"

enum { WORDS = 1 << 16 };
static uint32_t a[WORDS];

static void sift_down(uint32_t *heap, uint32_t root, uint32_t size)
{
    uint32_t value = heap[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= size)
            break;
        if (child + 1 < size && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = value;
}

static void heap_sort(uint32_t *heap, uint32_t size)
{
    for (uint32_t i = size / 2; i-- > 0;)
        sift_down(heap, i, size);
    for (uint32_t end = size - 1; end > 0; end--) {
        uint32_t largest = heap[0];
        heap[0] = heap[end];
        heap[end] = largest;
        sift_down(heap, 0, end);
    }
}

static void quick_sort(uint32_t *first, uint32_t *last)
{
    while (last - first > 12) {
        uint32_t pivot = first[(last - first) / 2], *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                uint32_t t = *low;
                *low++ = *high;
                *high-- = t;
            }
        }
        quick_sort(first, high);
        first = low;
    }
    for (uint32_t *at = first + 1; at <= last; at++) {
        uint32_t value = *at, *to = at;
        for (; to > first && to[-1] > value; to--)
            *to = to[-1];
        *to = value;
    }
}

static void fill(uint64_t seed)
{
    for (int i = 0; i < WORDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a[i] = (uint32_t)(seed >> 32);
    }
}

uint64_t work(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t round = 0; round < n; round++) {
        fill(round + 1);
        if (round & 1)
            heap_sort(a, WORDS);
        else
            quick_sort(a, a + WORDS - 1);
        for (int i = 0; i < WORDS; i += 257)
            sum = sum * 31 + a[i];
    }
    return sum;
}
