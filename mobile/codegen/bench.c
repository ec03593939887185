/* Times every kernel call of the net: `bench [rounds [instructions [threads]]]` prints a line for each, its median and its
   least time in microseconds, then those of the whole net, whose rounds lie between those of the calls. Times are CPU time of
   the one thread, or with several threads what a clock on the wall says. What reading the clock takes is taken away. */
#define _POSIX_C_SOURCE 200809L
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int threads = 1;

static double now(void)
{
    struct timespec t;
    clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double clock_cost(void)
{
    double least = 1e9;
    for (int i = 0; i < 1000; i++) {
        const double from = now(), took = now() - from;
        if (took < least) least = took;
    }
    return least;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words)
{
    const int rounds = count > 1 ? atoi(words[1]) : 31, calls = net_calls();
    if (rounds < 1 || (count > 2 && strcmp(words[2], "best") && !net_use(words[2]))) {
        fprintf(stderr, "usage: bench [rounds [best or instructions that this machine has [threads]]]\n");
        return 2;
    }
    if (count > 3) threads = net_threads(atoi(words[3]));
    double *times = calloc((size_t)(calls + 1) * (size_t)rounds, sizeof *times);
    if (!times) return 1;
    const double cost = clock_cost();
    for (int round = -1; round < rounds; round++) { /* the first only fills the caches */
        for (int call = 0; call < calls; call++) {
            const double from = now();
            net_call(call);
            if (round >= 0) times[call * rounds + round] = now() - from - cost;
        }
        const double begin = now();
        net_compute();
        if (round >= 0) times[calls * rounds + round] = now() - begin - cost;
    }
    printf("instructions\t%s\n", net_instructions());
    for (int call = 0; call <= calls; call++) {
        double *of = times + (size_t)call * (size_t)rounds;
        qsort(of, (size_t)rounds, sizeof *of, ascending);
        printf("%s\t%.3f\t%.3f\n", call < calls ? net_call_name(call) : "net", of[rounds / 2], of[0]);
    }
    free(times);
    return 0;
}
