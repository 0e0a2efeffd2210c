/*
 * The triad of the STREAM benchmark: a[i] = b[i] + s * c[i] over three arrays of 16 MiB each,
 * ten times. README.md beside this file tells how the trace triad.csv.xz was recorded from it.
 */
#include <stdio.h>
#include <stdlib.h>

enum { N = (16 << 20) / sizeof(double), TIMES = 10 };

int main(void)
{
	double *a = malloc(N * sizeof(double));
	double *b = malloc(N * sizeof(double));
	double *c = malloc(N * sizeof(double));

	if (!a || !b || !c) {
		fputs("triad: no memory\n", stderr);
		return 1;
	}
	for (size_t i = 0; i < N; i++) {
		a[i] = 1.0;
		b[i] = 2.0;
		c[i] = 0.5 * i;
	}
	for (int time = 0; time < TIMES; time++)
		for (size_t i = 0; i < N; i++)
			a[i] = b[i] + (time + 1) * c[i];
	printf("%.1f %.1f\n", a[1], a[N - 1]);
	return 0;
}
