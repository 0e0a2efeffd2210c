/* A C library's strings, memory, sorting and number reading, each against a plain loop written
 * here; at every alignment and many lengths. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static unsigned failures;
static uint32_t seed = 1, digest = 2166136261u;

#define CHECK(what) check((what) != 0, #what, __LINE__)

static void check(int ok, const char *text, int line)
{
    if (!ok && failures++ < 10)
        printf("line %d: %s\n", line, text);
}

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void add(const void *bytes, size_t n)
{
    for (const unsigned char *at = bytes; n--; at++)
        digest = (digest ^ *at) * 16777619u;
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* --- memory, at every alignment ---------------------------------------------------------- */

enum { ROOM = 512 };
static unsigned char left[ROOM], right[ROOM], expected[ROOM];

static void fill(unsigned char *bytes)
{
    for (int i = 0; i < ROOM; i++)
        bytes[i] = (unsigned char)draw(256);
}

static void test_memory(void)
{
    for (int round = 0; round < 600; round++) {
        size_t to = draw(48), from = draw(48), n = draw(round % 4 ? 40 : 400);
        fill(left);
        fill(right);
        memcpy(expected, left, ROOM);
        for (size_t i = 0; i < n; i++)
            expected[to + i] = right[from + i];
        CHECK(memcpy(left + to, right + from, n) == left + to);
        CHECK(memcmp(left, expected, ROOM) == 0);

        for (size_t i = 0; i < n; i++)      /* overlapping: through another array */
            expected[i] = left[from + i];
        memcpy(right, left, ROOM);
        memmove(right + to, right + from, n);
        CHECK(memcmp(right + to, expected, n) == 0);
        CHECK(memcmp(right, left, to) == 0);
        CHECK(memcmp(right + to + n, left + to + n, ROOM - to - n) == 0);

        int byte = (int)draw(256);
        memset(right + to, byte, n);
        size_t alike = 0;
        while (alike < n && right[to + alike] == byte)
            alike++;
        CHECK(alike == n);
        CHECK(memcmp(right + to + n, left + to + n, ROOM - to - n) == 0);

        size_t at = 0;
        while (at < n && left[to + at] != byte)
            at++;
        CHECK(memchr(left + to, byte, n) == (at < n ? left + to + at : NULL));
        if (n) {
            memcpy(right, left + to, n);
            right[n / 2] ^= 0x80;
            CHECK(sign(memcmp(right, left + to, n)) == (right[n / 2] & 0x80 ? 1 : -1));
        }
        add(left, ROOM);
    }
}

/* --- strings ----------------------------------------------------------------------------- */

static void word(char *text, size_t n, char last)
{
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + draw((uint32_t)(last - 'a' + 1)));
    text[n] = 0;
}

static const char *find(const char *text, const char *part)
{
    for (;; text++) {
        size_t i = 0;
        while (part[i] && text[i] == part[i])
            i++;
        if (!part[i])
            return text;
        if (!*text)
            return NULL;
    }
}

static void test_strings(void)
{
    char text[300], copy[300], part[12];
    for (int round = 0; round < 600; round++) {
        size_t offset = draw(20), n = draw(240), m = 1 + draw(5);
        char *here = text + offset, letter = (char)('a' + draw(4));
        word(here, n, 'c');
        word(part, m, 'c');
        CHECK(strlen(here) == n);
        CHECK(strnlen(here, n / 2) == n / 2);
        CHECK(strstr(here, part) == find(here, part));
        size_t first = 0, last = n;
        while (first < n && here[first] != letter)
            first++;
        while (last > 0 && here[last - 1] != letter)
            last--;
        CHECK(strchr(here, letter) == (first < n ? here + first : NULL));
        CHECK(strrchr(here, letter) == (last > 0 ? here + last - 1 : NULL));
        CHECK(strchr(here, 0) == here + n);
        CHECK(strcspn(here, (char[]){letter, 0}) == first);
        CHECK(strspn(here, "abc") == n);
        CHECK(strcmp(strcpy(copy, here), here) == 0);
        CHECK(strlen(strncpy(copy, here, 100)) >= (n < 100 ? n : 100));
        copy[n < 100 ? n : 100] = 0;
        CHECK(strncmp(copy, here, 100) == 0);
        CHECK(strlen(strcat(copy, part)) == (n < 100 ? n : 100) + m);
        if (n) {
            strcpy(copy, here);
            copy[n / 3]++;
            CHECK(strcmp(copy, here) > 0 && strcmp(here, copy) < 0);
            CHECK(strncmp(copy, here, n / 3) == 0);
            copy[n / 3]--;
            for (size_t i = 0; i < n; i++)
                copy[i] = (char)toupper(copy[i]);
            CHECK(strcasecmp(copy, here) == 0);
        }
        add(here, n);
    }
    char list[] = "one,,two;three", *rest = list;
    int tokens = 0;
    for (char *token = strtok_r(list, ",;", &rest); token; token = strtok_r(NULL, ",;", &rest))
        tokens += printf("%s ", token) > 0;
    printf("%d\n", tokens);
}

/* --- numbers and sorting ------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void test_numbers(void)
{
    char text[64], *end;
    static const int bases[] = {2, 8, 10, 16, 36};
    for (int round = 0; round < 200; round++) {
        uint64_t value = (uint64_t)draw(1 << 24) << draw(40);
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        CHECK(strtoull(text, &end, 10) == value && !*end);
        snprintf(text, sizeof text, "%#llx", (unsigned long long)value);
        CHECK(strtoull(text, NULL, 0) == value);
        int base = bases[draw(5)], at = 63;
        text[at] = 0;
        for (uint64_t rest = value; at == 63 || rest; rest /= (unsigned)base)
            text[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[rest % (unsigned)base];
        CHECK(at == 0 || strtoull(text + at, NULL, base) == value);
    }
    errno = 0;
    CHECK(strtol("-9223372036854775809", NULL, 10) == INT64_MIN && errno == ERANGE);
    CHECK(strtol("  +12x", &end, 10) == 12 && *end == 'x');
    printf("[%5d|%-5d|%05d|%+d|%x|%#o|%c|%10.3s|%-8s|%%]\n", 42, 42, 42, 42, 255u, 8u, 'c',
           "string", "left");

    static uint32_t numbers[2000];
    for (int i = 0; i < 2000; i++)
        numbers[i] = draw(1000) * 3;
    qsort(numbers, 2000, sizeof *numbers, compare);
    for (int i = 1; i < 2000; i++)
        CHECK(numbers[i - 1] <= numbers[i]);
    add(numbers, sizeof numbers);
    uint32_t key = numbers[777], none = 1;
    uint32_t *found = bsearch(&key, numbers, 2000, sizeof *numbers, compare);
    CHECK(found && *found == key);
    CHECK(!bsearch(&none, numbers, 2000, sizeof *numbers, compare));
}

int main(void)
{
    test_memory();
    test_strings();
    test_numbers();
    printf("strings: %08x, %u failures\n", digest, failures);
    return failures != 0;
}
