#define _POSIX_C_SOURCE 200809L
#include "threads.h"

#include <stddef.h>

#if defined(QW_NO_THREADS)
int qw_threads(int count)
{
    (void)count;
    return 1;
}

void qw_together(void (*work)(struct qw_part)) { work((struct qw_part){0, 1}); }

void qw_barrier(struct qw_part part) { (void)part; }
#else
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MOST_THREADS 64
/* Looks before another process may have the processor: calls are short. */
#define SPINS 2000

static pthread_t workers[MOST_THREADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int threads = 1;              /* that compute, the caller's included: a worker with a number beyond them ends */
static unsigned turn;                /* of work: a worker that has done it waits for the next */
static void (*task)(struct qw_part); /* the work, if there is any */
static atomic_int arrived;
static atomic_uint passed;

static void barrier_of(int count)
{
    const unsigned before = atomic_load(&passed);
    if (atomic_fetch_add(&arrived, 1) + 1 == count) {
        atomic_store(&arrived, 0);
        atomic_fetch_add(&passed, 1);
        return;
    }
    for (int left = SPINS; atomic_load(&passed) == before; left -= left > 0)
        if (!left) sched_yield();
}

void qw_barrier(struct qw_part part)
{
    if (part.count > 1) barrier_of(part.count);
}

static void *worker(void *number)
{
    const int32_t index = (int32_t)(ptrdiff_t)number;
    unsigned done = 0;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (index < threads && (turn == done || !task)) pthread_cond_wait(&changed, &lock);
        done = turn;
        void (*const work)(struct qw_part) = task;
        const int32_t count = threads;
        pthread_mutex_unlock(&lock);
        if (index >= count) return NULL;
        work((struct qw_part){index, count});
        barrier_of(count);
    }
}

static void announce(int count, void (*work)(struct qw_part))
{
    pthread_mutex_lock(&lock);
    threads = count;
    task = work;
    turn += work != NULL;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

int qw_threads(int count)
{
    const int there = threads, wanted = count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : count;
    announce(wanted, NULL);
    for (int k = wanted; k < there; k++) pthread_join(workers[k], NULL);
    for (int k = there; k < wanted; k++)
        if (pthread_create(&workers[k], NULL, worker, (void *)(ptrdiff_t)k)) {
            announce(k, NULL);
            return k;
        }
    return wanted;
}

void qw_together(void (*work)(struct qw_part))
{
    const struct qw_part first = {0, threads};
    if (first.count == 1) {
        work(first);
        return;
    }
    announce(first.count, work);
    work(first);
    barrier_of(first.count);
}
#endif
