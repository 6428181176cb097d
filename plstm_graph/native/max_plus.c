/* M-mode node by node: largest sums along paths, and the way back along them; REAL is float or double.

   All tensors are contiguous, indices are 64-bit, edges and pairs are in the caller's order. Channels share nothing:
   they are evaluated in blocks of LANES, a cache line each, first to last - 1. Every maximum has the same shape: a row
   has something of its own, and terms arrive that are sums of two rows, the sum at an edge and what is added to it. Not
   a number counts as larger than every number. A temperature above 0 makes the maximum soft. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

#define INLINE static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")

enum { LANES = 64 / sizeof(REAL) };

typedef struct {
    int64_t nodes, edges, pairs, channels;
} Sizes;

typedef struct {
    const REAL *source, *transition, *mark, *direct;
} Inputs;

typedef struct {
    REAL *source, *transition, *mark, *direct;
} Grads;

/* What arrives at a row: the places of the edges whose sums are added to, caller's number of each edge by its place, and
   of what is added (NULL: that of the edge). */
typedef struct {
    const int64_t *from, *edge_at, *item;
    int64_t count;
} Terms;

INLINE Terms into_node(const Plan *t, int64_t place) {
    return (Terms){t->in_edge + t->in_ptr[place], t->edge_at, NULL, t->in_ptr[place + 1] - t->in_ptr[place]};
}

INLINE Terms into_edge(const Plan *t, int64_t place) {
    const int64_t first = t->pair_ptr[place];
    return (Terms){t->pair_in + first, t->edge_at, t->pair_at + first, t->pair_ptr[place + 1] - first};
}

INLINE int64_t edge_of(Terms at, int64_t i) { return at.edge_at[at.from[i]]; }

INLINE int64_t item_of(Terms at, int64_t i) { return at.item ? at.item[i] : edge_of(at, i); }

/* exp of the distance to the largest, in units of the temperature. */
INLINE REAL weight(REAL term, REAL largest, REAL temperature) {
    const REAL x = (term - largest) / temperature;
    return sizeof(REAL) == sizeof(float) ? (REAL)expf((float)x) : (REAL)exp((double)x);
}

INLINE REAL logarithm(REAL x) { return sizeof(REAL) == sizeof(float) ? (REAL)logf((float)x) : (REAL)log((double)x); }

/* The largest of a row's own and of all terms; sums and added begin at the first channel of the block. */
INLINE void largest_of(REAL *restrict row, const REAL *own, Terms at, const REAL *sums, const REAL *added, int64_t stride,
                       int64_t n, REAL temperature) {
    SIMD for (int64_t c = 0; c < n; c++) row[c] = own[c];
    for (int64_t i = 0; i < at.count; i++) {
        const REAL *sum = sums + edge_of(at, i) * stride, *add = added + item_of(at, i) * stride;
        SIMD for (int64_t c = 0; c < n; c++) {
            const REAL term = sum[c] + add[c];
            row[c] = (term > row[c]) | (term != term) ? term : row[c];
        }
    }
    if (temperature <= 0) return;
    REAL total[LANES];
    for (int64_t c = 0; c < n; c++) total[c] = weight(own[c], row[c], temperature);
    for (int64_t i = 0; i < at.count; i++) {
        const REAL *sum = sums + edge_of(at, i) * stride, *add = added + item_of(at, i) * stride;
        for (int64_t c = 0; c < n; c++) total[c] += weight(sum[c] + add[c], row[c], temperature);
    }
    /* Where the largest is infinite, so is the soft maximum. */
    for (int64_t c = 0; c < n; c++)
        if (row[c] - row[c] == 0) row[c] += temperature * logarithm(total[c]);
}

/* Gives the gradient of a row to what the row took: all of it to the first of equal terms, or to each its share. Sums
   are given theirs by the first visitor, which is the node that they end in, and more by the others. */
INLINE void share(const REAL *grad, const REAL *row, const REAL *own, Terms at, const REAL *sums, const REAL *added,
                  int64_t stride, int64_t n, REAL temperature, REAL *of_own, REAL *of_sums, REAL *of_added, int first) {
    REAL rest[LANES];
    /* Minus infinity has no gradient. */
    SIMD for (int64_t c = 0; c < n; c++) rest[c] = row[c] == -(REAL)INFINITY ? 0 : grad[c];
#define PART(term, c)                                                                  \
    REAL part;                                                                         \
    if (temperature > 0) {                                                             \
        part = row[c] == -(REAL)INFINITY ? 0 : rest[c] * weight(term, row[c], temperature); \
    } else {                                                                           \
        const int takes = (term == row[c]) | ((term != term) & (row[c] != row[c]));    \
        part = takes ? rest[c] : 0;                                                    \
        rest[c] = takes ? 0 : rest[c];                                                 \
    }
    SIMD for (int64_t c = 0; c < n; c++) {
        PART(own[c], c)
        of_own[c] = part;
    }
    for (int64_t i = 0; i < at.count; i++) {
        const int64_t edge = edge_of(at, i), item = item_of(at, i);
        const REAL *sum = sums + edge * stride, *add = added + item * stride;
        REAL *restrict of_sum = of_sums + edge * stride, *restrict of_add = of_added + item * stride;
        SIMD for (int64_t c = 0; c < n; c++) {
            const REAL term = sum[c] + add[c];
            PART(term, c)
            of_add[c] = part;
            of_sum[c] = first ? part : of_sum[c] + part;
        }
    }
}

INLINE void run(const Sizes *z, const Plan *t, const Inputs *x, REAL *out, REAL *sums, int64_t from, int64_t n,
                REAL temperature) {
    const int64_t stride = z->channels;
    for (int64_t place = 0; place < z->nodes; place++) {
        const int64_t node = t->order[place], row = node * stride + from;
        largest_of(out + row, x->direct + row, into_node(t, place), sums + from, x->mark + from, stride, n, temperature);
        for (int64_t i = t->out_ptr[place]; i < t->out_ptr[place + 1]; i++) {
            const int64_t own = t->edge_at[i] * stride + from;
            largest_of(sums + own, x->source + own, into_edge(t, i), sums + from, x->transition + from, stride, n,
                       temperature);
        }
    }
}

/* The gradient of an edge's sum grows where that of its source will stand. */
INLINE void run_backward(const Sizes *z, const Plan *t, const Inputs *x, const Grads *d, const REAL *out,
                         const REAL *sums, const REAL *grad, int64_t from, int64_t n, REAL temperature) {
    const int64_t stride = z->channels;
    for (int64_t place = z->nodes - 1; place >= 0; place--) {
        const int64_t node = t->order[place], row = node * stride + from;
        share(grad + row, out + row, x->direct + row, into_node(t, place), sums + from, x->mark + from, stride, n,
              temperature, d->direct + row, d->source + from, d->mark + from, 1);
        for (int64_t i = t->out_ptr[place]; i < t->out_ptr[place + 1]; i++) {
            const int64_t own = t->edge_at[i] * stride + from;
            share(d->source + own, sums + own, x->source + own, into_edge(t, i), sums + from, x->transition + from,
                  stride, n, temperature, d->source + own, d->source + from, d->transition + from, 0);
        }
    }
}

/* A width and a hardness that the compiler knows are faster. */
#define FOR_BLOCKS(CALL)                                                                     \
    for (int64_t block = first; block < last; block++) {                                     \
        const int64_t from = block * LANES, left = z->channels - from;                       \
        if (temperature > 0) CALL(left < LANES ? left : LANES, temperature);                 \
        else if (left >= LANES) CALL(LANES, 0);                                              \
        else CALL(left, 0);                                                                  \
    }

/* What the functions below are called with. */
typedef struct {
    const Sizes *z;
    const Plan *t;
    const REAL *temperature;
    const Inputs *x;
    REAL *out, *sums;
} Forward;

typedef struct {
    const Sizes *z;
    const Plan *t;
    const REAL *temperature;
    const Inputs *x;
    const Grads *d;
    const REAL *out, *sums, *grad;
} Backward;

/* Outputs [N, C] and the sum at each edge [E, C]. */
int forward(int64_t first, int64_t last, const Forward *a) {
    const Sizes *z = a->z;
    const REAL temperature = *a->temperature;
#define RUN(n, soft) run(z, a->t, a->x, a->out, a->sums, from, n, soft)
    FOR_BLOCKS(RUN)
    return 0;
}

/* All gradients, each entry written. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const Sizes *z = a->z;
    const REAL temperature = *a->temperature;
#define RUN_BACKWARD(n, soft) run_backward(z, a->t, a->x, a->d, a->out, a->sums, a->grad, from, n, soft)
    FOR_BLOCKS(RUN_BACKWARD)
    return 0;
}
