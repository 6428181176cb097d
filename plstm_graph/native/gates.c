/* The gates of P- and D-mode from the logits of nodes and edges, and their gradients; REAL is float or double.

   All tensors are contiguous, indices are 64-bit. A node has G logits: of Direct, Source and Mark, H each; of Transition
   as start of the in-edge, as the node between and as end of the out-edge, 3 H; of decay H, if there is one. An edge has
   none, or 4 H: of Source, of Mark, of Transition as in-edge and as out-edge. The gates of all lie one after the other,
   [P + 2 E + N, H]: Transition, Source, Mark, Direct.

   Exponentials are not computed here but between `logits` and `shares`, by torch, which does several at once. */

#include <stdint.h>

#include "indices.h"

#define INLINE static inline __attribute__((always_inline))
/* For each head h. */
#define HEADS _Pragma("omp simd") for (int64_t h = 0; h < heads; h++)

/* In P-mode transitions share out what arrives by an in-edge (COLUMN) or what leaves by an out-edge (ROW). */
enum { COLUMN, ROW, SIGNED };
/* The node that decides how much decays on an edge. */
enum { NO_DECAY, AT_START, AT_END };

typedef struct {
    int64_t nodes, edges, pairs, heads, of_node, of_edge;
    int64_t mode, decay;
} Sizes;

typedef struct {
    const int64_t *edge_index; /* start and end of each edge, [2, E] */
    const int64_t *pairs;      /* in-edge and out-edge of each pair, [2, P] */
} Structure;

/* The steepness of D-mode's transitions, and of decay by the node that is passed. */
static const REAL LONG_RANGE = 5;
/* Beyond this logit torch takes a softplus for the logit itself. */
static const REAL LINEAR = 20;

/* 1 if nodes of edges are none of the graph's, 2 if edges of pairs are none; 0 if all can be used. */
int check(const Sizes *z, const Structure *t) {
    if (outside(t->edge_index, 2 * z->edges, z->nodes)) return 1;
    if (outside(t->pairs, 2 * z->pairs, z->edges)) return 2;
    return 0;
}

/* A loop, for a graph without edges has no memory that memset would take. */
INLINE void zero(REAL *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = 0;
}

INLINE void add(REAL *restrict y, const REAL *restrict x, int64_t heads) { HEADS y[h] += x[h]; }

typedef struct {
    const Sizes *z;
    const Structure *t;
    const REAL *at_nodes, *at_edges, *bias;
    REAL *gates;   /* logits of all gates */
    REAL *kept;    /* in P-mode the logits of pairs once more, [P, H]; then logits of decay, [E, H] */
    REAL *scratch; /* what an edge contributes as in-edge and as out-edge, [2, E, H] */
} Logits;

INLINE void logits_of(const Logits *a, int64_t heads) {
    const Sizes *z = a->z;
    const int64_t *start = a->t->edge_index, *end = start + z->edges, *in_edge = a->t->pairs;
    const int64_t *out_edge = in_edge + z->pairs, all = z->edges * heads;
    REAL *transition = a->gates, *source = transition + z->pairs * heads, *mark = source + all, *direct = mark + all;
    REAL *decay = a->kept + z->pairs * heads, *of_in = a->scratch, *of_out = a->scratch + all;
    for (int64_t e = 0; e < z->edges; e++) {
        const REAL *from = a->at_nodes + start[e] * z->of_node, *to = a->at_nodes + end[e] * z->of_node;
        REAL *in = of_in + e * heads, *out = of_out + e * heads, *s = source + e * heads, *m = mark + e * heads;
        HEADS {
            s[h] = from[heads + h];
            m[h] = to[2 * heads + h];
            in[h] = from[3 * heads + h] + to[4 * heads + h];
            out[h] = to[5 * heads + h] + a->bias[h];
        }
        if (z->of_edge) {
            const REAL *own = a->at_edges + e * z->of_edge;
            add(s, own, heads);
            add(m, own + heads, heads);
            add(in, own + 2 * heads, heads);
            add(out, own + 3 * heads, heads);
        }
        if (z->decay == AT_START) HEADS decay[e * heads + h] = from[6 * heads + h];
        if (z->decay == AT_END) HEADS decay[e * heads + h] = LONG_RANGE * to[6 * heads + h];
    }
    for (int64_t n = 0; n < z->nodes; n++) HEADS direct[n * heads + h] = a->at_nodes[n * z->of_node + h];
    for (int64_t p = 0; p < z->pairs; p++) {
        const REAL *in = of_in + in_edge[p] * heads, *out = of_out + out_edge[p] * heads;
        REAL *both = transition + p * heads, *again = a->kept + p * heads;
        if (z->mode == SIGNED) HEADS both[h] = LONG_RANGE * (in[h] + out[h]);
        else HEADS again[h] = both[h] = in[h] + out[h];
    }
}

typedef struct {
    const Sizes *z;
    const Structure *t;
    const double *constants; /* what Source and Direct are multiplied by; the smallest normal number of REAL */
    REAL *gates;             /* softplus or tanh of pairs, and sigmoids */
    REAL *kept;              /* sigmoids of pairs in P-mode, afterwards how a transition answers to its logit; decay */
    REAL *total;             /* scratch, [E, H] */
} Shares;

INLINE void shares_of(const Shares *a, int64_t heads) {
    const Sizes *z = a->z;
    const int64_t *in_edge = a->t->pairs, *group = z->mode == COLUMN ? in_edge : in_edge + z->pairs;
    const REAL *decay = a->kept + z->pairs * heads, scale = (REAL)a->constants[0], least = (REAL)a->constants[1];
    REAL *source = a->gates + z->pairs * heads, *direct = source + 2 * z->edges * heads;
    if (z->mode == SIGNED) {
        for (int64_t i = 0; i < z->pairs * heads; i++) a->kept[i] = LONG_RANGE * (1 - a->gates[i] * a->gates[i]);
    } else {
        zero(a->total, z->edges * heads);
        for (int64_t p = 0; p < z->pairs; p++) {
            REAL *weight = a->gates + p * heads, *total = a->total + group[p] * heads;
            /* A softplus underflows to 0 for very negative logits; a group of nothing else then shares evenly. */
            HEADS weight[h] += least;
            add(total, weight, heads);
        }
        for (int64_t p = 0; p < z->pairs; p++) {
            REAL *share = a->gates + p * heads, *slope = a->kept + p * heads;
            const REAL *total = a->total + group[p] * heads;
            HEADS {
                slope[h] = (share[h] > LINEAR ? 1 : slope[h]) / total[h];
                share[h] /= total[h];
            }
        }
    }
    if (z->decay) {
        for (int64_t p = 0; p < z->pairs; p++) HEADS a->gates[p * heads + h] *= decay[in_edge[p] * heads + h];
    }
    for (int64_t i = 0; i < z->edges * heads; i++) source[i] *= scale;
    for (int64_t i = 0; i < z->nodes * heads; i++) direct[i] *= scale;
}

typedef struct {
    const Sizes *z;
    const Structure *t;
    const double *constants;
    const REAL *grad, *gates, *kept;
    REAL *grad_nodes, *grad_edges; /* grad_nodes is 0 at first */
    REAL *sums;                    /* gradients of what an edge contributes as in-edge and as out-edge, and scratch:
                                      sums of a group and of an in-edge, [4, E, H] */
} Backward;

INLINE void backward_of(const Backward *a, int64_t heads) {
    const Sizes *z = a->z;
    const int64_t *start = a->t->edge_index, *end = start + z->edges, *in_edge = a->t->pairs;
    const int64_t *out_edge = in_edge + z->pairs, *group = z->mode == COLUMN ? in_edge : out_edge;
    const int64_t all = z->edges * heads;
    const REAL scale = (REAL)a->constants[0];
    const REAL *source = a->gates + z->pairs * heads, *mark = source + all, *direct = mark + all;
    const REAL *grad_source = a->grad + z->pairs * heads, *grad_mark = grad_source + all;
    const REAL *grad_direct = grad_mark + all;
    const REAL *slope = a->kept, *decay = a->kept + z->pairs * heads;
    REAL *grad_in = a->sums, *grad_out = grad_in + all, *of_group = grad_out + all, *of_decay = of_group + all;
    zero(a->sums, 4 * all);
    for (int64_t p = 0; p < z->pairs; p++) {
        const REAL *g = a->grad + p * heads, *transition = a->gates + p * heads;
        if (z->mode != SIGNED) HEADS of_group[group[p] * heads + h] += g[h] * transition[h];
        if (z->decay) HEADS of_decay[in_edge[p] * heads + h] += g[h] * transition[h];
    }
    for (int64_t p = 0; p < z->pairs; p++) {
        const int64_t e = in_edge[p] * heads, f = out_edge[p] * heads, shared = group[p] * heads;
        for (int64_t h = 0; h < heads; h++) {
            const REAL g = a->grad[p * heads + h] * (z->decay ? decay[e + h] : 1) - of_group[shared + h];
            const REAL logit = g * slope[p * heads + h];
            grad_in[e + h] += logit;
            grad_out[f + h] += logit;
        }
    }
    for (int64_t n = 0; n < z->nodes; n++) {
        const REAL *g = grad_direct + n * heads, *d = direct + n * heads;
        REAL *out = a->grad_nodes + n * z->of_node;
        HEADS out[h] = g[h] * d[h] * (1 - d[h] / scale);
    }
    for (int64_t e = 0; e < z->edges; e++) {
        REAL *from = a->grad_nodes + start[e] * z->of_node, *to = a->grad_nodes + end[e] * z->of_node;
        for (int64_t h = 0; h < heads; h++) {
            const int64_t i = e * heads + h;
            const REAL of_source = grad_source[i] * source[i] * (1 - source[i] / scale);
            const REAL of_mark = grad_mark[i] * mark[i] * (1 - mark[i]);
            from[heads + h] += of_source;
            to[2 * heads + h] += of_mark;
            from[3 * heads + h] += grad_in[i];
            to[4 * heads + h] += grad_in[i];
            to[5 * heads + h] += grad_out[i];
            if (z->of_edge) {
                REAL *own = a->grad_edges + e * z->of_edge;
                own[h] = of_source;
                own[heads + h] = of_mark;
                own[2 * heads + h] = grad_in[i];
                own[3 * heads + h] = grad_out[i];
            }
            if (z->decay == AT_START) from[6 * heads + h] += of_decay[i] * (1 - decay[i]);
            if (z->decay == AT_END) to[6 * heads + h] += LONG_RANGE * of_decay[i] * (1 - decay[i]);
        }
    }
}

/* Numbers of heads that compilers know are faster. */
#define FOR_HEADS(heads, CALL)           \
    do {                                 \
        if ((heads) == 4) CALL(a, 4);    \
        else CALL(a, heads);             \
        return 0;                        \
    } while (0)

int logits(const Logits *a) { FOR_HEADS(a->z->heads, logits_of); }

int shares(const Shares *a) { FOR_HEADS(a->z->heads, shares_of); }

int backward(const Backward *a) { FOR_HEADS(a->z->heads, backward_of); }
