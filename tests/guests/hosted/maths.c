/* Floating point as a program sees it: arithmetic of values built to hurt, in all rounding modes
 * and with its exceptions; conversions; a C library's functions; numbers read and printed. */
#include <fenv.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fused where it is written, nowhere else: not every host can. Rounding modes change, and
 * exceptions are looked at. */
#pragma STDC FP_CONTRACT OFF
#pragma STDC FENV_ACCESS ON

static unsigned failures;
static uint64_t seed = 88172645463325252u;

#define CHECK(what) check((what) != 0, #what, __LINE__)
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static void check(int ok, const char *text, int line)
{
    if (!ok && failures++ < 10)
        printf("line %d: %s\n", line, text);
}

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Which NaN an operation makes is the machine's choice: here all are one. */
static uint64_t bits(double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return isnan(value) ? 0x7ff8000000000000u : word;
}

static double from_bits(uint64_t word)
{
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static uint64_t digest;

static void add(double value)
{
    digest = digest * 0x100000001b3u ^ bits(value);
}

static void show(const char *name)
{
    printf("%s %016" PRIx64 "\n", name, digest);
    digest = 0;
}

/* --- arithmetic -------------------------------------------------------------------------- */

static const double hard[] = {
    0.0, -0.0, DBL_TRUE_MIN, -DBL_TRUE_MIN, DBL_MIN, DBL_MIN - DBL_TRUE_MIN, FLT_TRUE_MIN,
    FLT_MIN, 1.0, -1.0, 1.0 + DBL_EPSILON, 1.0 - DBL_EPSILON / 2, 1.0 + FLT_EPSILON / 2, 0.1,
    0.5, 1.5, 2.5, -2.5, 3.0, 1e10 + 0.5, 4503599627370495.5, 9007199254740993.0, 2147483647.5,
    -2147483648.0, 9223372036854774784.0, FLT_MAX, -FLT_MAX, 1e300, DBL_MAX, -DBL_MAX, INFINITY,
    -INFINITY, NAN,
};
static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static void test_arithmetic(void)
{
    for (size_t mode = 0; mode < LENGTH(modes); mode++) {
        fesetround(modes[mode]);
        for (size_t i = 0; i < LENGTH(hard); i++)
            for (size_t j = 0; j < LENGTH(hard); j++) {
                volatile double a = hard[i], b = hard[j], c = hard[(i * 7 + j) % LENGTH(hard)];
                volatile float x = (float)a, y = (float)b;
                add(a + b);
                add(a - b);
                add(a * b);
                add(a / b);
                add(fma(a, b, c));
                add(fmin(a, b) + 0.0);      /* of two zeros either may be the smaller */
                add(fmax(a, b) + 0.0);
                add(copysign(a, b));
                add((double)(x + y));
                add((double)(x * y));
                add((double)(x / y));
                digest += (unsigned)(a < b) + 2u * (a <= b) + 4u * (a == b) + 8u * (x > y);
            }
        for (size_t i = 0; i < LENGTH(hard); i++) {
            volatile double a = hard[i];
            volatile float x = (float)a;
            add(sqrt(a));
            add((double)sqrtf(x));
            add((double)x);
            add(floor(a));
            add(ceil(a));
            add(trunc(a));
            if (mode == 0)      /* a library may make it of sums */
                add(round(a));
            add(rint(a));
            add(nearbyint(a));
            if (fabs(a) < 9e18) {
                add((double)(int64_t)a);
                digest += (uint64_t)llrint(a);
            }
            if (a >= 0 && a < 1.8e19)
                digest += (uint64_t)a;
            if (fabs(a) < 2e9)
                digest += (uint32_t)(int32_t)x;
        }
        for (int i = 0; i < 400; i++) {
            volatile int64_t whole = (int64_t)draw() >> (draw() & 63);
            add((double)whole);
            add((double)(float)whole);
            add((double)(uint64_t)whole);
            add((double)(int32_t)whole);
            volatile double a = from_bits(draw()), b = from_bits(draw());
            add(a * b);
            add(a + b);
            add(fma(a, b, (double)whole));
            add((double)(float)a);
        }
        char name[24];
        snprintf(name, sizeof name, "rounding %d", (int)mode);
        show(name);
    }
    fesetround(FE_TONEAREST);
}

static void test_exceptions(void)
{
    volatile double zero = 0, one = 1, three = 3, big = DBL_MAX, small = DBL_MIN, nan = NAN;
    volatile double result;
#define RAISED(expression)                                                                     \
    (feclearexcept(FE_ALL_EXCEPT), result = (expression), (void)result,                        \
     fetestexcept(FE_ALL_EXCEPT))
    CHECK(RAISED(one + one) == 0);
    CHECK(RAISED(one / three) == FE_INEXACT);
    CHECK(RAISED(one / zero) == FE_DIVBYZERO);
    CHECK(RAISED(zero / zero) == FE_INVALID);
    CHECK(RAISED(sqrt(-one)) == FE_INVALID);
    CHECK(RAISED(big * big) == (FE_OVERFLOW | FE_INEXACT));
    CHECK(RAISED(small / three) == (FE_UNDERFLOW | FE_INEXACT));
    CHECK(RAISED(small / 2) == 0);
    CHECK(RAISED((double)(float)big) == (FE_OVERFLOW | FE_INEXACT));
    CHECK(RAISED(rint(one / 2)) == FE_INEXACT);
    CHECK(RAISED(nearbyint(one / 2)) == 0);
    CHECK(RAISED((double)isless(one, nan)) == 0);
    CHECK(RAISED((double)(one < nan)) == FE_INVALID);
    CHECK(RAISED((double)(one == nan)) == 0);
}

/* --- the library's functions ------------------------------------------------------------- */

static int near(double a, double b)
{
    return fabs(a - b) <= 1e-13 * (1 + fabs(b));
}

static void test_functions(void)
{
    for (int i = -40; i <= 40; i++) {
        double x = i * 0.37, y = fabs(x) + 0.01;
        CHECK(near(sin(x) * sin(x) + cos(x) * cos(x), 1));
        CHECK(near(tan(x) * cos(x), sin(x)));
        CHECK(near(exp(log(y)), y));
        CHECK(near(exp2(log2(y)), y));
        CHECK(near(log1p(expm1(y)), y));
        CHECK(near(pow(y, 1.5), y * sqrt(y)));
        CHECK(near(cbrt(x) * cbrt(x) * cbrt(x), x));
        CHECK(near(atan2(sin(x), cos(x)), remainder(x, 2 * 3.14159265358979323846)));
        CHECK(near(sinh(x / 4) + cosh(x / 4), exp(x / 4)));
        CHECK(near(atanh(tanh(x / 8)), x / 8));
        CHECK(near(erf(x) + erfc(x), 1));
        CHECK(near(tgamma(y + 1), y * tgamma(y)) || y > 10);
        CHECK(near(hypot(3 * x, 4 * x), 5 * fabs(x)));
        add(fmod(x, 0.3));
        add(remainder(x, 0.3));
        add(ldexp(x, i));
        add(nextafter(x, 0));
        int exponent;
        double whole;
        add(frexp(x, &exponent) + exponent);
        add(modf(x, &whole) + whole * 3);
        add(logb(y) + ilogb(y) + scalbn(y, i));
        if (i % 8 == 0)     /* nine digits, on which libraries agree */
            printf("%.9g %.9g %.9g %.9g %.9g\n", sin(x), exp(x), log(y), pow(y, x), tgamma(y));
    }
    show("functions");
    volatile float f = 0.7f;
    printf("%.6g %.6g %.6g %.6g\n", (double)sinf(f), (double)expf(f), (double)logf(f),
           (double)powf(f, 3));
}

/* --- reading and printing ---------------------------------------------------------------- */

static void test_text(void)
{
    char text[400];
    for (int i = 0; i < 300; i++) {
        double value = from_bits(draw());
        if (isnan(value))
            continue;
        snprintf(text, sizeof text, "%.17g", value);
        CHECK(bits(strtod(text, NULL)) == bits(value));
        for (const char *at = text; *at; at++)
            digest = digest * 31 + (unsigned char)*at;
        snprintf(text, sizeof text, "%a", value);
        CHECK(bits(strtod(text, NULL)) == bits(value));
        float narrow = (float)value;
        snprintf(text, sizeof text, "%.9g", (double)narrow);
        CHECK(strtof(text, NULL) == narrow);
    }
    show("text");
    for (size_t i = 0; i + 1 < LENGTH(hard); i += 3)
        printf("%g %.3e %.17g %15.4f|%-12.2g|%+.1e\n", hard[i], hard[i], hard[i],
               isinf(hard[i]) ? 0 : fmod(hard[i], 1e6), hard[i], hard[i]);
    printf("%.0f %.0f %.0f %.1f %.3f\n", 0.5, 1.5, 2.5, 0.25, 1.0005);
    printf("%.17g %.17g\n", strtod("2.2250738585072011e-308", NULL),
           strtod("9007199254740993.00000000000000000000001", NULL));
    long double wide = 1.0L / 3;    /* of 128 bits on arm64, 80 on x86 */
    printf("%.15Lg %.0Lf\n", wide * 3, 4503599627370497.0L * 2);
}

int main(void)
{
    test_arithmetic();
    test_exceptions();
    test_functions();
    test_text();
    printf("maths: %u failures\n", failures);
    return failures != 0;
}
