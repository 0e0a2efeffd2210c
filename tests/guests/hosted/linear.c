/* Linear algebra in doubles and floats: matrix products, LU with pivots and what it solves,
 * eigenvalues by Jacobi's rotations. Compilers make vectors of most of it. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Every result is the same to the bit on every machine. */
#pragma STDC FP_CONTRACT OFF

enum { N = 40 };
typedef double matrix[N][N];

static uint64_t seed = 88172645463325252u;

static double draw(void)    /* from -1 to 1 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(int64_t)seed * 0x1p-63;
}

static uint64_t digest(const void *bytes, size_t n)
{
    uint64_t found = 1469598103934665603u;
    for (const unsigned char *at = bytes; n--; at++)
        found = (found ^ *at) * 1099511628211u;
    return found;
}

static void multiply(matrix into, matrix a, matrix b)
{
    memset(into, 0, sizeof(matrix));
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                into[i][j] += a[i][k] * b[k][j];
}

static float multiply_floats(void)
{
    static float a[N][N], b[N][N], c[N][N];
    float trace = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(i - j) / 7;
            b[i][j] = 1 / (float)(i + j + 1);
        }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i][j] = fmaf(a[i][k], b[k][j], c[i][j]);
    for (int i = 0; i < N; i++)
        trace += c[i][i];
    return trace;
}

static int decompose(matrix a, int *order)
{
    int swaps = 0;
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k + 1; i < N; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k]))
                pivot = i;
        order[k] = pivot;
        if (pivot != k) {
            double row[N];
            memcpy(row, a[k], sizeof row);
            memcpy(a[k], a[pivot], sizeof row);
            memcpy(a[pivot], row, sizeof row);
            swaps++;
        }
        for (int i = k + 1; i < N; i++) {
            double factor = a[i][k] /= a[k][k];
            for (int j = k + 1; j < N; j++)
                a[i][j] -= factor * a[k][j];
        }
    }
    return swaps;
}

static void solve(matrix lu, const int *order, double *x)
{
    for (int k = 0; k < N; k++) {
        double swapped = x[order[k]];
        x[order[k]] = x[k];
        x[k] = swapped;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            x[i] -= lu[i][j] * x[j];
    for (int i = N; i-- > 0;) {
        for (int j = i + 1; j < N; j++)
            x[i] -= lu[i][j] * x[j];
        x[i] /= lu[i][i];
    }
}

static int eigenvalues(matrix a)
{
    for (int sweep = 1;; sweep++) {
        double off = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < i; j++)
                off += a[i][j] * a[i][j];
        if (off < 1e-24 || sweep > 30)
            return sweep;
        for (int p = 0; p < N; p++)
            for (int q = p + 1; q < N; q++) {
                if (fabs(a[p][q]) < 1e-300)
                    continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < N; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < N; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                }
            }
    }
}

int main(void)
{
    static matrix a, b, c, lu;
    int order[N];
    double x[N], right[N], determinant, residual = 0, trace = 0, sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = draw();
            b[j][i] = draw();
        }
    multiply(c, a, b);
    printf("product %016" PRIx64 ", of floats %.9g\n", digest(c, sizeof c),
           (double)multiply_floats());

    memcpy(lu, a, sizeof a);
    determinant = decompose(lu, order) % 2 ? -1 : 1;
    for (int i = 0; i < N; i++) {
        determinant *= lu[i][i];
        right[i] = x[i] = draw();
    }
    solve(lu, order, x);
    for (int i = 0; i < N; i++) {
        double row = -right[i];
        for (int j = 0; j < N; j++)
            row += a[i][j] * x[j];
        residual = fmax(residual, fabs(row));
    }
    printf("determinant %.17g, solution %016" PRIx64 ", residual %.3g\n", determinant,
           digest(x, sizeof x), residual);

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            b[i][j] = a[i][j] + a[j][i];
    for (int i = 0; i < N; i++)
        trace += b[i][i];
    int sweeps = eigenvalues(b);
    for (int i = 0; i < N; i++)
        sum += b[i][i];
    printf("%d sweeps, first eigenvalue %.17g, the sum is off by %.2g\n", sweeps, b[0][0],
           fabs(sum - trace));
    return residual > 1e-12 || fabs(sum - trace) > 1e-12;
}
