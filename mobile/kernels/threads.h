/* Parts of a net on several threads, which all go through its calls together. */
#ifndef QWEDGE_THREADS_H
#define QWEDGE_THREADS_H
#include "kernels.h"

/* Starts and ends threads until `count` compute together, the caller's included. The number that there is then: fewer if the
   system gives no more, 1 where the library was compiled with QW_NO_THREADS. */
int qw_threads(int count);

/* Does `work` once on every thread, and waits for all of them. */
void qw_together(void (*work)(struct qw_part));

/* Between two calls: no thread goes on before all are here. */
void qw_barrier(struct qw_part part);
#endif
