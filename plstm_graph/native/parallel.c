/* The parallel form of the operator: scalars along the DAG, then a masked attention; REAL is float or double.

   All tensors are contiguous, indices are 64-bit. Heads first to last - 1 are evaluated; heads share no output, so any
   ranges of them may run side by side. Names and shapes are those of parallel.py: entries of an ancestry a, links l
   between a reader and a node that is read, steps from entry to entry in the order of their levels. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "indices.h"

#define INLINE static inline __attribute__((always_inline))
/* For each head h; heads are independent. */
#define HEADS _Pragma("omp simd") for (int64_t h = first; h < last; h++)

typedef struct {
    /* Numbers of readers, nodes that are read, edges, pairs, own links, entries, steps, and links. */
    int64_t readers, read, edges, pairs, own_links, entries, steps, links;
    int64_t heads, key_width, value_width;
} Sizes;

typedef struct {
    const int64_t *edge_order;                      /* caller's edge of each stored edge */
    const int64_t *own, *to_edge;                   /* entry of each edge with itself; last edge of each entry */
    const int64_t *step_from, *step_to, *step_pair; /* of each step */
    const int64_t *ptr, *column, *link;             /* a row for each reader: what it reads, by which link */
    const int64_t *entry_link, *own_link;           /* link of each entry; of each node with itself */
} Structure;

/* The first array of a structure, counted from 1, with an index outside its range; 0 if all can be used. */
int check(const Sizes *z, const Structure *t) {
    if (outside(t->edge_order, z->edges, z->edges)) return 1;
    if (outside(t->own, z->edges, z->entries)) return 2;
    if (outside(t->to_edge, z->entries, z->edges)) return 3;
    if (outside(t->step_from, z->steps, z->entries)) return 4;
    if (outside(t->step_to, z->steps, z->entries)) return 5;
    if (outside(t->step_pair, z->steps, z->pairs)) return 6;
    int unsorted = t->ptr[0] != 0 || t->ptr[z->readers] != z->links;
    for (int64_t r = 0; r < z->readers; r++) unsorted |= t->ptr[r] > t->ptr[r + 1];
    if (unsorted) return 7;
    if (outside(t->column, z->links, z->read)) return 8;
    if (outside(t->link, z->links, z->links)) return 9;
    if (outside(t->entry_link, z->entries, z->links)) return 10;
    if (outside(t->own_link, z->own_links, z->links)) return 11;
    return 0;
}

INLINE REAL dot(const REAL *restrict a, const REAL *restrict b, int64_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (int64_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

/* y += scale * x */
INLINE void add(REAL *restrict y, REAL scale, const REAL *restrict x, int64_t n) {
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] += scale * x[i];
}

/* The widest sums that are kept on the stack, where they may stay in registers. */
enum { MOST_NEAR = 32 };

/* Outputs of all readers. What a reader has of its own stays in registers while it goes through its links. */
INLINE void attend(const Sizes *z, const Structure *t, int64_t heads, int64_t first, int64_t last, const REAL *query,
                   const REAL *key, const REAL *value, const REAL *weight, REAL *out, int64_t nk, int64_t nv) {
    for (int64_t reader = 0; reader < z->readers; reader++) {
        for (int64_t h = first; h < last; h++) {
            const REAL *q = query + (reader * heads + h) * nk;
            REAL near[MOST_NEAR], *y = out + (reader * heads + h) * nv, *total = nv <= MOST_NEAR ? near : y;
            memset(total, 0, (size_t)nv * sizeof(REAL));
            for (int64_t item = t->ptr[reader]; item < t->ptr[reader + 1]; item++) {
                const int64_t column = t->column[item] * heads + h;
                add(total, weight[t->link[item] * heads + h] * dot(q, key + column * nk, nk), value + column * nv, nv);
            }
            if (nv <= MOST_NEAR) memcpy(y, near, (size_t)nv * sizeof(REAL));
        }
    }
}

INLINE void attend_backward(const Sizes *z, const Structure *t, int64_t heads, int64_t first, int64_t last,
                            const REAL *grad, const REAL *query, const REAL *key, const REAL *value,
                            const REAL *weight, REAL *grad_query, REAL *grad_key, REAL *grad_value, REAL *grad_link,
                            int64_t nk, int64_t nv) {
    for (int64_t reader = 0; reader < z->readers; reader++) {
        for (int64_t h = first; h < last; h++) {
            const int64_t row = reader * heads + h;
            const REAL *q = query + row * nk, *g = grad + row * nv;
            REAL near[MOST_NEAR], *grad_q = grad_query + row * nk, *total = nk <= MOST_NEAR ? near : grad_q;
            memset(total, 0, (size_t)nk * sizeof(REAL));
            for (int64_t item = t->ptr[reader]; item < t->ptr[reader + 1]; item++) {
                const int64_t column = t->column[item] * heads + h, link = t->link[item] * heads + h;
                const REAL *k = key + column * nk;
                const REAL score = dot(q, k, nk), grad_weight = dot(g, value + column * nv, nv);
                const REAL own = weight[link];
                grad_link[link] = grad_weight * score;
                add(total, grad_weight * own, k, nk);
                add(grad_key + column * nk, grad_weight * own, q, nk);
                add(grad_value + column * nv, own * score, g, nv);
            }
            if (nk <= MOST_NEAR) memcpy(grad_q, near, (size_t)nk * sizeof(REAL));
        }
    }
}

/* Scalars along the DAG, then weights of links. */
INLINE void carry(const Sizes *z, const Structure *t, int64_t heads, int64_t first, int64_t last, const REAL *begin,
                  const REAL *transition, const REAL *finish, const REAL *direct, REAL *carried, REAL *weight) {
    for (int64_t a = 0; a < z->entries; a++)
        HEADS carried[a * heads + h] = 0;
    for (int64_t edge = 0; edge < z->edges; edge++)
        HEADS
            carried[t->own[edge] * heads + h] = begin[t->edge_order[edge] * heads + h];
    for (int64_t step = 0; step < z->steps; step++) {
        const int64_t from = t->step_from[step] * heads, to = t->step_to[step] * heads;
        const int64_t pair = t->step_pair[step] * heads;
        HEADS carried[to + h] += transition[pair + h] * carried[from + h];
    }
    for (int64_t link = 0; link < z->links; link++)
        HEADS weight[link * heads + h] = 0;
    for (int64_t node = 0; node < z->own_links; node++)
        HEADS weight[t->own_link[node] * heads + h] = direct[node * heads + h];
    for (int64_t a = 0; a < z->entries; a++) {
        const int64_t link = t->entry_link[a] * heads, edge = t->edge_order[t->to_edge[a]] * heads;
        HEADS weight[link + h] += finish[edge + h] * carried[a * heads + h];
    }
}

INLINE void carry_backward(const Sizes *z, const Structure *t, int64_t heads, int64_t first, int64_t last,
                           const REAL *carried, const REAL *transition, const REAL *finish, REAL *grad_begin,
                           REAL *grad_transition, REAL *grad_finish, REAL *grad_direct, REAL *grad_carried,
                           const REAL *grad_link) {
    for (int64_t node = 0; node < z->own_links; node++)
        HEADS grad_direct[node * heads + h] = grad_link[t->own_link[node] * heads + h];
    for (int64_t a = 0; a < z->entries; a++) {
        const int64_t link = t->entry_link[a] * heads, edge = t->edge_order[t->to_edge[a]] * heads;
        HEADS {
            grad_finish[edge + h] += grad_link[link + h] * carried[a * heads + h];
            grad_carried[a * heads + h] = grad_link[link + h] * finish[edge + h];
        }
    }
    for (int64_t step = z->steps - 1; step >= 0; step--) {
        const int64_t from = t->step_from[step] * heads, to = t->step_to[step] * heads;
        const int64_t pair = t->step_pair[step] * heads;
        HEADS {
            grad_transition[pair + h] += grad_carried[to + h] * carried[from + h];
            grad_carried[from + h] += grad_carried[to + h] * transition[pair + h];
        }
    }
    for (int64_t edge = 0; edge < z->edges; edge++)
        HEADS
            grad_begin[t->edge_order[edge] * heads + h] = grad_carried[t->own[edge] * heads + h];
}

/* Numbers of heads and widths that compilers know are twice as fast. */
#define FOR_WIDTH(nk, nv, CALL)                                   \
    do {                                                          \
        if ((nk) == 8 && (nv) == 8) CALL(8, 8);                   \
        else if ((nk) == 16 && (nv) == 16) CALL(16, 16);          \
        else if ((nk) == 24 && (nv) == 24) CALL(24, 24);          \
        else if ((nk) == 32 && (nv) == 32) CALL(32, 32);          \
        else CALL(nk, nv);                                        \
    } while (0)

/* What the functions below are called with. */
typedef struct {
    const Sizes *z;
    const Structure *t;
    const REAL *query, *key, *value, *begin, *transition, *finish, *direct;
    REAL *out, *carried, *weight;
} Forward;

typedef struct {
    const Sizes *z;
    const Structure *t;
    const REAL *grad, *carried, *weight, *query, *key, *value, *transition, *finish;
    REAL *grad_query, *grad_key, *grad_value, *grad_begin, *grad_transition, *grad_finish, *grad_direct;
    REAL *grad_carried, *grad_link;
} Backward;

/* Outputs [R, H, V], carried scalars [A, H] and weights of links [M, H]. */
int forward(int64_t first, int64_t last, const Forward *a) {
    const int64_t heads = a->z->heads, nk = a->z->key_width, nv = a->z->value_width;
#define CARRY(heads, first, last)                                                                                      \
    carry(a->z, a->t, heads, first, last, a->begin, a->transition, a->finish, a->direct, a->carried, a->weight)
#define ATTEND(nk, nv)                                                                             \
    attend(a->z, a->t, heads, first, last, a->query, a->key, a->value, a->weight, a->out, nk, nv)
    if (heads == 4 && first == 0 && last == 4) CARRY(4, 0, 4);
    else CARRY(heads, first, last);
    FOR_WIDTH(nk, nv, ATTEND);
    return 0;
}

/* Gradients of all arguments, zero at first but that of the query; grad_carried [A, H] and grad_link [M, H] are
   scratch. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const int64_t heads = a->z->heads, nk = a->z->key_width, nv = a->z->value_width;
#define ATTEND_BACKWARD(nk, nv)                                                                    \
    attend_backward(a->z, a->t, heads, first, last, a->grad, a->query, a->key, a->value, a->weight, a->grad_query,     \
                    a->grad_key, a->grad_value, a->grad_link, nk, nv)
#define CARRY_BACKWARD(heads, first, last)                                                                             \
    carry_backward(a->z, a->t, heads, first, last, a->carried, a->transition, a->finish, a->grad_begin,                \
                   a->grad_transition, a->grad_finish, a->grad_direct, a->grad_carried, a->grad_link)
    FOR_WIDTH(nk, nv, ATTEND_BACKWARD);
    if (heads == 4 && first == 0 && last == 4) CARRY_BACKWARD(4, 0, 4);
    else CARRY_BACKWARD(heads, first, last);
    return 0;
}
