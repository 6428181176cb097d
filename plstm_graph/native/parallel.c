/* The parallel form of the operator: scalars along the DAG, then a masked attention; REAL is float or double.

   All tensors are contiguous, indices are 64-bit. Names and shapes are those of parallel.py: entries of an ancestry,
   steps from entry to entry, links between a reader and a node that is read. Entries and steps are stored edge after
   edge, and an edge behind those that lead to it.

   Nodes are taken in ranges, and what one range writes lies side by side, so that threads seldom write to the same
   cache line. No edge leaves a part: so a part's scalars, and its share of everything else, depend on no other part.
   The attention alone may be split at any node: a reader's output and its query's gradient are sums over what it reads,
   a key's and a value's gradients are sums over who reads them. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "indices.h"
#include "vector.h"

typedef struct {
    /* Numbers of nodes, edges, pairs, entries, steps, and links. */
    int64_t nodes, edges, pairs, entries, steps, links;
    int64_t heads, key_width, value_width;
} Sizes;

typedef struct {
    const int64_t *edge_order;                      /* caller's edge of each stored edge */
    const int64_t *own;                             /* entry of each edge with itself, the last one of the edge */
    const int64_t *step_from, *step_to, *step_pair; /* of each step */
    const int64_t *ptr, *column, *link;             /* a row for each reader: what it reads, by which link */
    const int64_t *back_ptr, *back_column, *back_link; /* a row for each node that is read: who reads it */
    const int64_t *entry_link, *own_link;           /* link of each entry; of each node with itself */
    const int64_t *start, *end;                     /* nodes of each stored edge */
    const int64_t *pair_in, *pair_out;              /* stored edges of each stored pair */
} Structure;

/* Ranges of nodes: number i begins at node[i] and ends where the next one begins. */
typedef struct {
    const int64_t *node;
    const int64_t *edge_ptr, *edge; /* a row for each part: its stored edges, in their order; unused otherwise */
    const int64_t *step_ptr;        /* where the steps to each stored edge begin */
} Parts;

/* Slices that indices are checked in, and ranges that the attention is split in where parts are too few. */
enum { SLICES = 32, RANGES = 64 };

static int decreases(const int64_t *ptr, int64_t first, int64_t last) {
    int bad = 0;
    for (int64_t i = first; i < last; i++) bad |= ptr[i] > ptr[i + 1];
    return bad;
}

typedef struct {
    const Sizes *z;
    const Structure *t;
} Indices;

/* The first array of a structure, counted from 1, with an index outside its range; 0 if all can be used. Slices first to
   last - 1 are checked. */
int check(int64_t first, int64_t last, const Indices *a) {
    const Sizes *z = a->z;
    const Structure *t = a->t;
#define FROM(count) ((count) / SLICES * first + (count) % SLICES * first / SLICES)
#define TO(count) ((count) / SLICES * last + (count) % SLICES * last / SLICES)
#define STRAYS(index, count, bound) outside(t->index + FROM(count), TO(count) - FROM(count), bound)
#define BROKEN(ptr, rows, items) \
    (t->ptr[0] != 0 || t->ptr[rows] != (items) || decreases(t->ptr, FROM(rows), TO(rows)))
    if (STRAYS(edge_order, z->edges, z->edges)) return 1;
    if (STRAYS(own, z->edges, z->entries) || (z->edges == 0 ? 0 : t->own[z->edges - 1] + 1) != z->entries) return 2;
    for (int64_t e = FROM(z->edges); e < TO(z->edges); e++)
        if (e > 0 && t->own[e - 1] >= t->own[e]) return 2;
    if (STRAYS(step_from, z->steps, z->entries)) return 3;
    if (STRAYS(step_to, z->steps, z->entries)) return 4;
    if (STRAYS(step_pair, z->steps, z->pairs)) return 5;
    if (BROKEN(ptr, z->nodes, z->links)) return 6;
    if (STRAYS(column, z->links, z->nodes)) return 7;
    if (STRAYS(link, z->links, z->links)) return 8;
    if (BROKEN(back_ptr, z->nodes, z->links)) return 9;
    if (STRAYS(back_column, z->links, z->nodes)) return 10;
    if (STRAYS(back_link, z->links, z->links)) return 11;
    if (STRAYS(entry_link, z->entries, z->links)) return 12;
    if (STRAYS(own_link, z->nodes, z->links)) return 13;
    if (STRAYS(start, z->edges, z->nodes)) return 14;
    if (STRAYS(end, z->edges, z->nodes)) return 15;
    if (STRAYS(pair_in, z->pairs, z->edges)) return 16;
    if (STRAYS(pair_out, z->pairs, z->edges)) return 17;
    return 0;
}

static int64_t first_entry(const Structure *t, int64_t edge) { return edge > 0 ? t->own[edge - 1] + 1 : 0; }

/* Divides nodes, whose indices were checked, into parts of a number of links or a little more; -1 if the steps are not
   those of the pairs, else the number of parts.
   node [N + 1], edge_ptr [N + 1], edge [E] and step_ptr [E + 1]: the parts; most: the most links of a part; ranges
   [RANGES + 1]: nodes divided evenly by links alone; part [N + 1] and place [N + 1] are scratch. */
int64_t divide(const Sizes *z, const Structure *t, int64_t links, int64_t *node, int64_t *edge_ptr, int64_t *edge,
               int64_t *step_ptr, int64_t *most, int64_t *ranges, int64_t *part, int64_t *place) {
    memset(step_ptr, 0, (size_t)(z->edges + 1) * sizeof(int64_t));
    for (int64_t p = 0; p < z->pairs; p++)
        step_ptr[t->pair_out[p] + 1] += t->own[t->pair_in[p]] + 1 - first_entry(t, t->pair_in[p]);
    for (int64_t e = 0; e < z->edges; e++) step_ptr[e + 1] += step_ptr[e];
    if (step_ptr[z->edges] != z->steps) return -1;

    /* How many edges lie over the gap before each node. */
    int64_t *over = part, parts = 0, above = 0;
    memset(over, 0, (size_t)(z->nodes + 1) * sizeof(int64_t));
    for (int64_t e = 0; e < z->edges; e++) {
        const int64_t start = t->start[e], end = t->end[e];
        over[(start < end ? start : end) + 1]++;
        over[(start < end ? end : start) + 1]--;
    }
    *most = 0;
    node[0] = 0;
    for (int64_t n = 1; n <= z->nodes; n++) {
        above += over[n];
        part[n - 1] = parts;
        const int64_t here = t->ptr[n] - t->ptr[node[parts]];
        if (n == z->nodes || (above == 0 && here >= links)) {
            if (here > *most) *most = here;
            node[++parts] = n;
        }
    }

    memset(edge_ptr, 0, (size_t)(parts + 1) * sizeof(int64_t));
    for (int64_t e = 0; e < z->edges; e++) edge_ptr[part[t->start[e]] + 1]++;
    for (int64_t i = 0; i < parts; i++) {
        edge_ptr[i + 1] += edge_ptr[i];
        place[i] = edge_ptr[i];
    }
    for (int64_t e = 0; e < z->edges; e++) edge[place[part[t->start[e]]]++] = e;

    /* Rows of readers and of what they read count alike. */
    ranges[0] = 0;
    for (int64_t i = 1, n = 0; i <= RANGES; i++) {
        const int64_t enough = z->links / RANGES * i + z->links % RANGES * i / RANGES;
        while (n < z->nodes && (t->ptr[n] + t->back_ptr[n]) / 2 < enough) n++;
        ranges[i] = i == RANGES ? z->nodes : n;
    }
    return parts;
}

/* Of all heads; H is their number, known to the compiler where it is 4. */
#define HEADS _Pragma("omp simd") for (int64_t h = 0; h < H; h++)

/* What the functions below are called with. */
typedef struct {
    const Sizes *z;
    const Structure *t;
    const Parts *parts;
    const REAL *query, *key, *value, *begin, *transition, *finish, *direct;
    REAL *out, *carried, *weight;
} Forward;

typedef struct {
    const Sizes *z;
    const Structure *t;
    const Parts *parts;
    const REAL *grad, *carried, *weight, *query, *key, *value, *transition, *finish;
    REAL *grad_query, *grad_key, *grad_value, *grad_begin, *grad_transition, *grad_finish, *grad_direct;
    REAL *grad_carried, *grad_link, *factor;
} Backward;

/* Scalars along the DAG, and weights of links, of one part. */
INLINE void carry(const Forward *a, int64_t part, int64_t H) {
    const Structure *t = a->t;
    const Parts *parts = a->parts;
    const int64_t node = parts->node[part], end = parts->node[part + 1];
    REAL *restrict carried = a->carried, *restrict weight = a->weight;
    /* All links of its nodes are the part's own, and numbered one after the other. */
    memset(weight + t->ptr[node] * H, 0, (size_t)((t->ptr[end] - t->ptr[node]) * H) * sizeof(REAL));
    for (int64_t n = node; n < end; n++)
        HEADS weight[t->own_link[n] * H + h] = a->direct[n * H + h];
    for (int64_t i = parts->edge_ptr[part]; i < parts->edge_ptr[part + 1]; i++) {
        const int64_t edge = parts->edge[i], row = t->edge_order[edge] * H, own = t->own[edge];
        const int64_t first = first_entry(t, edge);
        memset(carried + first * H, 0, (size_t)((own - first) * H) * sizeof(REAL));
        HEADS carried[own * H + h] = a->begin[row + h];
        for (int64_t step = parts->step_ptr[edge]; step < parts->step_ptr[edge + 1]; step++) {
            const int64_t from = t->step_from[step] * H, to = t->step_to[step] * H, pair = t->step_pair[step] * H;
            HEADS carried[to + h] += a->transition[pair + h] * carried[from + h];
        }
        for (int64_t entry = first; entry <= own; entry++) {
            const int64_t link = t->entry_link[entry] * H;
            HEADS weight[link + h] += a->finish[row + h] * carried[entry * H + h];
        }
    }
}

/* The way back; the gradients of the transitions are zero at first. */
INLINE void carry_backward(const Backward *a, int64_t part, int64_t H) {
    const Structure *t = a->t;
    const Parts *parts = a->parts;
    const REAL *restrict carried = a->carried, *restrict grad_link = a->grad_link;
    REAL *restrict grad_carried = a->grad_carried;
    for (int64_t n = parts->node[part]; n < parts->node[part + 1]; n++)
        HEADS a->grad_direct[n * H + h] = grad_link[t->own_link[n] * H + h];
    for (int64_t i = parts->edge_ptr[part]; i < parts->edge_ptr[part + 1]; i++) {
        const int64_t edge = parts->edge[i], row = t->edge_order[edge] * H;
        const REAL *restrict finish = a->finish + row;
        REAL *restrict grad_finish = a->grad_finish + row;
        HEADS grad_finish[h] = 0;
        for (int64_t entry = first_entry(t, edge); entry <= t->own[edge]; entry++) {
            const int64_t link = t->entry_link[entry] * H;
            HEADS {
                grad_finish[h] += grad_link[link + h] * carried[entry * H + h];
                grad_carried[entry * H + h] = grad_link[link + h] * finish[h];
            }
        }
    }
    for (int64_t i = parts->edge_ptr[part + 1] - 1; i >= parts->edge_ptr[part]; i--) {
        const int64_t edge = parts->edge[i], row = t->edge_order[edge] * H;
        for (int64_t step = parts->step_ptr[edge]; step < parts->step_ptr[edge + 1]; step++) {
            const int64_t from = t->step_from[step] * H, to = t->step_to[step] * H, pair = t->step_pair[step] * H;
            const REAL *restrict transition = a->transition + pair;
            REAL *restrict grad_transition = a->grad_transition + pair;
            HEADS {
                grad_transition[h] += grad_carried[to + h] * carried[from + h];
                grad_carried[from + h] += grad_carried[to + h] * transition[h];
            }
        }
        HEADS a->grad_begin[row + h] = grad_carried[t->own[edge] * H + h];
    }
}

/* y += scale * x */
INLINE void add(REAL *restrict y, REAL scale, const REAL *restrict x, int64_t n) {
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] += scale * x[i];
}

/* Rows that are whole vectors, no more than so many of them, stay in registers. */
enum { MOST = 4 };

INLINE void load(Vector *near, const REAL *row, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) near[i / LANES] = at(row + i);
}

INLINE void store(const Vector *near, REAL *row, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) put(row + i, near[i / LANES]);
}

INLINE Vector products(const Vector *near, const REAL *row, int64_t n) {
    Vector total = near[0] * at(row);
    for (int64_t i = LANES; i < n; i += LANES) total += near[i / LANES] * at(row + i);
    return total;
}

INLINE void add_row(Vector *total, REAL scale, const REAL *row, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) total[i / LANES] += scale * at(row + i);
}

/* A row's products with the rows of up to eight columns. */
INLINE Vector dots(const Vector *near, const REAL *rows, const int64_t *column, int64_t count, int64_t stride, int64_t n) {
    Vector x[LANES];
    if (count == LANES) {
        for (int i = 0; i < LANES; i++) x[i] = products(near, rows + column[i] * stride, n);
    } else {
        for (int i = 0; i < LANES; i++) x[i] = i < count ? products(near, rows + column[i] * stride, n) : (Vector){0};
    }
    return sums(x);
}

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Outputs of readers; both widths are whole vectors, at most MOST. */
INLINE void attend(const Forward *a, int64_t first, int64_t last, int64_t nk, int64_t nv) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads;
    for (int64_t reader = first; reader < last; reader++)
        for (int64_t h = 0; h < heads; h++) {
            const REAL *keys = a->key + h * nk, *values = a->value + h * nv, *weight = a->weight + h;
            Vector q[MOST], total[MOST] = {{0}};
            load(q, a->query + (reader * heads + h) * nk, nk);
            for (int64_t item = t->ptr[reader], end = t->ptr[reader + 1]; item < end; item += LANES) {
                const int64_t count = least(end - item, LANES), *column = t->column + item;
                REAL scale[LANES];
                put(scale, dots(q, keys, column, count, heads * nk, nk));
                for (int64_t i = 0; i < count; i++)
                    add_row(total, scale[i] * weight[t->link[item + i] * heads], values + column[i] * heads * nv, nv);
            }
            store(total, a->out + (reader * heads + h) * nv, nv);
        }
}

/* Gradients of queries and links; and by what each link scales gradients of keys and of values, factor [M, H, 2]. */
INLINE void attend_backward(const Backward *a, int64_t first, int64_t last, int64_t nk, int64_t nv) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads;
    for (int64_t reader = first; reader < last; reader++)
        for (int64_t h = 0; h < heads; h++) {
            const REAL *keys = a->key + h * nk, *values = a->value + h * nv;
            Vector q[MOST], g[MOST], total[MOST] = {{0}};
            load(q, a->query + (reader * heads + h) * nk, nk);
            load(g, a->grad + (reader * heads + h) * nv, nv);
            for (int64_t item = t->ptr[reader], end = t->ptr[reader + 1]; item < end; item += LANES) {
                const int64_t count = least(end - item, LANES), *column = t->column + item;
                REAL score[LANES], grad_weight[LANES];
                put(score, dots(q, keys, column, count, heads * nk, nk));
                put(grad_weight, dots(g, values, column, count, heads * nv, nv));
                for (int64_t i = 0; i < count; i++) {
                    const int64_t link = t->link[item + i] * heads + h;
                    const REAL weight = a->weight[link], scale = grad_weight[i] * weight;
                    a->grad_link[link] = grad_weight[i] * score[i];
                    a->factor[2 * link] = scale;
                    a->factor[2 * link + 1] = score[i] * weight;
                    add_row(total, scale, keys + column[i] * heads * nk, nk);
                }
            }
            store(total, a->grad_query + (reader * heads + h) * nk, nk);
        }
}

/* Gradients of the keys and values of nodes that are read. */
INLINE void read_backward(const Backward *a, int64_t first, int64_t last, int64_t nk, int64_t nv) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads;
    for (int64_t node = first; node < last; node++)
        for (int64_t h = 0; h < heads; h++) {
            Vector k[MOST] = {{0}}, v[MOST] = {{0}};
            for (int64_t item = t->back_ptr[node]; item < t->back_ptr[node + 1]; item++) {
                const int64_t reader = t->back_column[item] * heads + h;
                const REAL *factor = a->factor + 2 * (t->back_link[item] * heads + h);
                add_row(k, factor[0], a->query + reader * nk, nk);
                add_row(v, factor[1], a->grad + reader * nv, nv);
            }
            store(k, a->grad_key + (node * heads + h) * nk, nk);
            store(v, a->grad_value + (node * heads + h) * nv, nv);
        }
}

/* The same three for rows of any width. */
static void attend_any(const Forward *a, int64_t first, int64_t last) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads, nk = a->z->key_width, nv = a->z->value_width;
    for (int64_t row = first * heads; row < last * heads; row++) {
        const int64_t reader = row / heads, h = row % heads;
        memset(a->out + row * nv, 0, (size_t)nv * sizeof(REAL));
        for (int64_t item = t->ptr[reader]; item < t->ptr[reader + 1]; item++) {
            const int64_t column = t->column[item] * heads + h;
            const REAL score = dot(a->query + row * nk, a->key + column * nk, nk);
            add(a->out + row * nv, a->weight[t->link[item] * heads + h] * score, a->value + column * nv, nv);
        }
    }
}

static void attend_backward_any(const Backward *a, int64_t first, int64_t last) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads, nk = a->z->key_width, nv = a->z->value_width;
    for (int64_t row = first * heads; row < last * heads; row++) {
        const int64_t reader = row / heads, h = row % heads;
        memset(a->grad_query + row * nk, 0, (size_t)nk * sizeof(REAL));
        for (int64_t item = t->ptr[reader]; item < t->ptr[reader + 1]; item++) {
            const int64_t column = t->column[item] * heads + h, link = t->link[item] * heads + h;
            const REAL score = dot(a->query + row * nk, a->key + column * nk, nk), weight = a->weight[link];
            const REAL grad_weight = dot(a->grad + row * nv, a->value + column * nv, nv);
            a->grad_link[link] = grad_weight * score;
            a->factor[2 * link] = grad_weight * weight;
            a->factor[2 * link + 1] = score * weight;
            add(a->grad_query + row * nk, grad_weight * weight, a->key + column * nk, nk);
        }
    }
}

static void read_backward_any(const Backward *a, int64_t first, int64_t last) {
    const Structure *t = a->t;
    const int64_t heads = a->z->heads, nk = a->z->key_width, nv = a->z->value_width;
    for (int64_t row = first * heads; row < last * heads; row++) {
        const int64_t node = row / heads, h = row % heads;
        memset(a->grad_key + row * nk, 0, (size_t)nk * sizeof(REAL));
        memset(a->grad_value + row * nv, 0, (size_t)nv * sizeof(REAL));
        for (int64_t item = t->back_ptr[node]; item < t->back_ptr[node + 1]; item++) {
            const int64_t reader = t->back_column[item] * heads + h;
            const REAL *factor = a->factor + 2 * (t->back_link[item] * heads + h);
            add(a->grad_key + row * nk, factor[0], a->query + reader * nk, nk);
            add(a->grad_value + row * nv, factor[1], a->grad + reader * nv, nv);
        }
    }
}

/* Numbers of heads and widths that compilers know are twice as fast. */
#define FOR_WIDTH(z, function, a, first, last)                                                         \
    do {                                                                                               \
        const int64_t width = (z)->key_width == (z)->value_width ? (z)->key_width : 0;                 \
        if (width == 8) function(a, first, last, 8, 8);                                                \
        else if (width == 16) function(a, first, last, 16, 16);                                        \
        else if (width == 24) function(a, first, last, 24, 24);                                        \
        else if (width == 32) function(a, first, last, 32, 32);                                        \
        else function##_any(a, first, last);                                                           \
    } while (0)

#define FOR_HEADS(z, function, a, part)                 \
    do {                                                \
        if ((z)->heads == 4) function(a, part, 4);      \
        else function(a, part, (z)->heads);             \
    } while (0)

/* Carried scalars [A, H] and weights of links [M, H] of parts. */
int weigh(int64_t first, int64_t last, const Forward *a) {
    for (int64_t part = first; part < last; part++) FOR_HEADS(a->z, carry, a, part);
    return 0;
}

/* Outputs [N, H, V] of ranges of nodes, from those. */
int attend_ranges(int64_t first, int64_t last, const Forward *a) {
    FOR_WIDTH(a->z, attend, a, a->parts->node[first], a->parts->node[last]);
    return 0;
}

/* Both, part after part. */
int forward(int64_t first, int64_t last, const Forward *a) {
    for (int64_t part = first; part < last; part++) {
        weigh(part, part + 1, a);
        attend_ranges(part, part + 1, a);
    }
    return 0;
}

/* Gradients of queries and of links [M, H], of ranges of nodes; factor [M, H, 2] is for those of keys and values. */
int read_back(int64_t first, int64_t last, const Backward *a) {
    FOR_WIDTH(a->z, attend_backward, a, a->parts->node[first], a->parts->node[last]);
    return 0;
}

/* Gradients of keys and values of ranges of nodes, from those. */
int give_back(int64_t first, int64_t last, const Backward *a) {
    FOR_WIDTH(a->z, read_backward, a, a->parts->node[first], a->parts->node[last]);
    return 0;
}

/* Gradients of gates of parts, from those of links; those of transitions are zero at first; grad_carried [A, H] is
   scratch. */
int weigh_back(int64_t first, int64_t last, const Backward *a) {
    for (int64_t part = first; part < last; part++) FOR_HEADS(a->z, carry_backward, a, part);
    return 0;
}

/* All three, part after part. */
int backward(int64_t first, int64_t last, const Backward *a) {
    for (int64_t part = first; part < last; part++) {
        read_back(part, part + 1, a);
        give_back(part, part + 1, a);
        weigh_back(part, part + 1, a);
    }
    return 0;
}
