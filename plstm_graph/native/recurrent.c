/* The recurrent form of the operator, node by node; REAL is float or double.

   All tensors are contiguous, indices are 64-bit, edges and pairs are in the caller's order. Heads first to last - 1 are
   evaluated, a slice of the value width at a time: neither heads nor slices share states. Nodes are taken in an order
   in which a node follows soon upon its predecessors, so that their states are still in the cache. */

#define _DEFAULT_SOURCE /* madvise */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "plan.h"

#define INLINE static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")

typedef struct {
    int64_t nodes, edges, pairs, heads, key_width, value_width, slice;
} Sizes;

typedef struct {
    const REAL *query, *key, *value, *source, *transition, *mark, *direct;
} Inputs;

typedef struct {
    REAL *query, *key, *value, *source, *transition, *mark, *direct;
} Grads;

INLINE REAL dot(const REAL *restrict a, const REAL *restrict b, int64_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (int64_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

/* y += scale * x */
INLINE void add(REAL *restrict y, REAL scale, const REAL *restrict x, int64_t n) {
    SIMD for (int64_t i = 0; i < n; i++) y[i] += scale * x[i];
}

/* States that leave a node, from those that enter it. */
INLINE void leave(const Sizes *z, const Plan *t, const Inputs *x, int64_t node, int64_t h, int64_t from, REAL *states,
                  int64_t nk, int64_t width) {
    const int64_t heads = z->heads;
    const REAL *k = x->key + (node * heads + h) * nk, *v = x->value + (node * heads + h) * z->value_width + from;
    for (int64_t o = t->out_ptr[node]; o < t->out_ptr[node + 1]; o++) {
        const int64_t edge = t->out_edge[o];
        REAL *restrict state = states + edge * nk * width;
        const REAL put = x->source[edge * heads + h];
        for (int64_t i = 0; i < nk; i++) {
            const REAL scale = put * k[i];
            SIMD for (int64_t j = 0; j < width; j++) state[i * width + j] = scale * v[j];
        }
        for (int64_t p = t->pair_ptr[edge]; p < t->pair_ptr[edge + 1]; p++)
            add(state, x->transition[t->pair[p] * heads + h], states + t->pair_in[t->pair[p]] * nk * width, nk * width);
    }
}

INLINE void run(const Sizes *z, const Plan *t, const Inputs *x, int64_t h, int64_t from, REAL *out, REAL *states,
                int64_t nk, int64_t width) {
    const int64_t heads = z->heads, nv = z->value_width;
    for (int64_t place = 0; place < z->nodes; place++) {
        const int64_t node = t->order[place], row = node * heads + h;
        const REAL *q = x->query + row * nk, *v = x->value + row * nv + from;
        REAL *restrict y = out + row * nv + from;
        const REAL own = x->direct[row] * dot(q, x->key + row * nk, nk);
        SIMD for (int64_t j = 0; j < width; j++) y[j] = own * v[j];
        for (int64_t i = t->in_ptr[node]; i < t->in_ptr[node + 1]; i++) {
            const REAL *state = states + t->in_edge[i] * nk * width, mark = x->mark[t->in_edge[i] * heads + h];
            for (int64_t r = 0; r < nk; r++) add(y, mark * q[r], state + r * width, width);
        }
        leave(z, t, x, node, h, from, states, nk, width);
    }
}

INLINE void run_backward(const Sizes *z, const Plan *t, const Inputs *x, const Grads *d, int64_t h, int64_t from,
                         const REAL *grad, REAL *states, REAL *grads, int64_t nk, int64_t width) {
    const int64_t heads = z->heads, nv = z->value_width, size = nk * width;
    for (int64_t place = 0; place < z->nodes; place++) leave(z, t, x, t->order[place], h, from, states, nk, width);
    for (int64_t place = z->nodes - 1; place >= 0; place--) {
        const int64_t node = t->order[place], row = node * heads + h;
        const REAL *q = x->query + row * nk, *k = x->key + row * nk, *v = x->value + row * nv + from;
        const REAL *g = grad + row * nv + from;
        REAL *restrict dq = d->query + row * nk, *restrict dk = d->key + row * nk;
        REAL *restrict dv = d->value + row * nv + from;
        const REAL score = dot(q, k, nk), of_weight = dot(g, v, width), direct = x->direct[row];
        d->direct[row] += of_weight * score;
        add(dq, of_weight * direct, k, nk);
        add(dk, of_weight * direct, q, nk);
        add(dv, direct * score, g, width);
        for (int64_t i = t->in_ptr[node]; i < t->in_ptr[node + 1]; i++) {
            const int64_t edge = t->in_edge[i];
            const REAL mark = x->mark[edge * heads + h], *restrict state = states + edge * size;
            REAL *restrict grad_state = grads + edge * size, of_mark = 0;
            for (int64_t r = 0; r < nk; r++) {
                const REAL read = dot(state + r * width, g, width), scale = mark * q[r];
                of_mark += read * q[r];
                dq[r] += mark * read;
                SIMD for (int64_t j = 0; j < width; j++) grad_state[r * width + j] = scale * g[j];
            }
            d->mark[edge * heads + h] += of_mark;
        }
        for (int64_t o = t->out_ptr[node]; o < t->out_ptr[node + 1]; o++) {
            const int64_t edge = t->out_edge[o];
            const REAL *restrict grad_state = grads + edge * size, put = x->source[edge * heads + h];
            REAL of_source = 0;
            for (int64_t r = 0; r < nk; r++) {
                const REAL read = dot(grad_state + r * width, v, width);
                of_source += read * k[r];
                dk[r] += put * read;
                add(dv, put * k[r], grad_state + r * width, width);
            }
            d->source[edge * heads + h] += of_source;
            for (int64_t p = t->pair_ptr[edge]; p < t->pair_ptr[edge + 1]; p++) {
                const int64_t pair = t->pair[p], other = t->pair_in[pair];
                d->transition[pair * heads + h] += dot(states + other * size, grad_state, size);
                add(grads + other * size, x->transition[pair * heads + h], grad_state, size);
            }
        }
    }
}

INLINE int64_t width_at(const Sizes *z, int64_t from) {
    return z->value_width - from < z->slice ? z->value_width - from : z->slice;
}

/* Widths that compilers know are faster, small ones most of all. */
#define FOR_WIDTH(nk, nv, CALL)                                   \
    do {                                                          \
        if ((nk) == 4 && (nv) == 4) CALL(4, 4);                   \
        else if ((nk) == 8 && (nv) == 8) CALL(8, 8);              \
        else if ((nk) == 16 && (nv) == 16) CALL(16, 16);          \
        else if ((nk) == 24 && (nv) == 24) CALL(24, 24);          \
        else if ((nk) == 32 && (nv) == 32) CALL(32, 32);          \
        else if ((nk) == 24 && (nv) == 8) CALL(24, 8);            \
        else if ((nv) == 8) CALL(nk, 8);                          \
        else if ((nv) == 4) CALL(nk, 4);                          \
        else CALL(nk, nv);                                        \
    } while (0)

/* Large states are read at random: on Linux they ask for huge pages, so that not every read misses the table of pages. */
static void *allocate(size_t bytes) {
#ifdef __linux__
    const size_t page = (size_t)1 << 21;
    void *memory;
    if (bytes < 4 * page) return malloc(bytes);
    if (posix_memalign(&memory, page, bytes)) return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
#else
    return malloc(bytes);
#endif
}

static size_t state_bytes(const Sizes *z) {
    return (size_t)(z->edges * z->key_width * z->slice + 1) * sizeof(REAL);
}

/* What the functions below are called with. */
typedef struct {
    const Sizes *z;
    const Plan *t;
    const Inputs *x;
    REAL *out;
} Forward;

typedef struct {
    const Sizes *z;
    const Plan *t;
    const Inputs *x;
    const Grads *d;
    const REAL *grad;
} Backward;

/* Outputs [N, H, V]; 1 if there is no memory. */
int forward(int64_t first, int64_t last, const Forward *a) {
    const Sizes *z = a->z;
    REAL *states = allocate(state_bytes(z));
    if (!states) return 1;
    for (int64_t h = first; h < last; h++)
        for (int64_t from = 0; from < z->value_width; from += z->slice) {
            const int64_t width = width_at(z, from);
#define RUN(nk, nv) run(z, a->t, a->x, h, from, a->out, states, nk, nv)
            FOR_WIDTH(z->key_width, width, RUN);
        }
    free(states);
    return 0;
}

/* Gradients, zero at first; 1 if there is no memory. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const Sizes *z = a->z;
    REAL *states = allocate(2 * state_bytes(z));
    if (!states) return 1;
    REAL *grads = states + state_bytes(z) / sizeof(REAL);
    for (int64_t h = first; h < last; h++)
        for (int64_t from = 0; from < z->value_width; from += z->slice) {
            const int64_t width = width_at(z, from);
#define RUN_BACKWARD(nk, nv) run_backward(z, a->t, a->x, a->d, h, from, a->grad, states, grads, nk, nv)
            FOR_WIDTH(z->key_width, width, RUN_BACKWARD);
        }
    free(states);
    return 0;
}
