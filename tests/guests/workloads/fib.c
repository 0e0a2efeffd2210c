/* Fibonacci numbers by recursion: calls, returns, and the stack. n: which one. */
#include "workload.h"

static __attribute__((noinline)) uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t work(uint64_t n)
{
    return fib(n);
}
