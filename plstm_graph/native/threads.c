/* Ranges of independent units, side by side on the threads that torch itself computes with. */

#include <stdatomic.h>
#include <stdint.h>

/* Evaluates units first to last - 1; not 0 if something is wrong. */
typedef int (*Kernel)(int64_t first, int64_t last, const void *arguments);

/* GOMP_parallel of the OpenMP runtime: calls a function in several threads and waits for all of them. */
typedef void (*Parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);

typedef struct {
    Kernel kernel;
    const void *arguments;
    int64_t units, parts;
    atomic_int_fast64_t next; /* part that nobody has taken */
    atomic_int status;
} Work;

/* What one thread does: parts, until none is left. So all are done by however many threads there are. */
static void work(void *data) {
    Work *w = data;
    for (;;) {
        const int64_t part = atomic_fetch_add(&w->next, 1);
        if (part >= w->parts) return;
        const int status = w->kernel(w->units * part / w->parts, w->units * (part + 1) / w->parts, w->arguments);
        if (status) atomic_store(&w->status, status);
    }
}

/* All units in ranges; what a kernel returned that was not 0, if any did. Of many units each thread takes several ranges,
   so that no thread waits long for one whose units are larger. */
int share(Parallel parallel, Kernel kernel, const void *arguments, int64_t units, int64_t threads) {
    Work w = {kernel, arguments, units, units < 16 * threads ? threads : 4 * threads, 0, 0};
    parallel(work, &w, (unsigned)threads, 0);
    return atomic_load(&w.status);
}
