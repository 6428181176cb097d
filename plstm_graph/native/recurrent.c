/* The recurrent form of the operator, node by node; REAL is float or double.

   All tensors are contiguous, indices are 64-bit. Nodes are taken in an order in which a node follows soon upon its
   predecessors, and a state stays in the slot of its edge no longer than the edge is under way: so on graphs of any
   number the states of a forward pass lie in the nearest cache. The backward pass computes the states of one segment of
   the walk again, one graph of a batch for instance, and walks back through them; the gradient of a state takes its
   place where it is needed for the last time. A unit of work is one head of one
   segment, a slice of its states at a time, some rows and at most WIDEST columns: none of them share states.

   Gates are laid out by head, in the order of the walk, before and after: reading and writing is then one after the
   other, and threads that work at different heads write to different cache lines. */

#define _DEFAULT_SOURCE /* madvise */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "plan.h"
#include "vector.h"

/* Columns of a slice, at most. */
enum { WIDEST = 32 };

typedef struct {
    int64_t nodes, edges, pairs, heads, key_width, value_width, rows, columns; /* the last two of a slice */
} Sizes;

/* Features [N, H, K or V] and Direct [N, H] of the caller; Source and Mark [H, E] and Transition [H, P] by place. */
typedef struct {
    const REAL *query, *key, *value, *source, *transition, *mark, *direct;
} Inputs;

/* As inputs, but that of Direct is [H, N] by place. */
typedef struct {
    REAL *query, *key, *value, *source, *transition, *mark, *direct;
} Grads;

/* One head of one segment and a slice of its states: places first to last - 1, rows top to top + rows - 1, columns from
   to from + width - 1. */
typedef struct {
    const Sizes *z;
    const Plan *t;
    const Inputs *x;
    int64_t first, last, head, top, rows, from, width;
} Unit;

/* The unit's columns of a row, and zeros behind them where there are fewer than the w that the compiler knows. */
INLINE void load(const Unit *u, const REAL *row, REAL *near, int64_t w) {
    if (u->width == w) {
        for (int64_t j = 0; j < w; j += LANES) put(near + j, at(row + u->from + j));
    } else {
        for (int64_t j = 0; j < w; j++) near[j] = j < u->width ? row[u->from + j] : 0;
    }
}

INLINE void store(const Unit *u, const REAL *near, REAL *row, int64_t w) {
    if (u->width == w) {
        for (int64_t j = 0; j < w; j += LANES) put(row + u->from + j, at(near + j));
    } else {
        for (int64_t j = 0; j < u->width; j++) row[u->from + j] = near[j];
    }
}

/* State of an edge, from those that lead to it; the state of the edge at a place stands at where[place], or where it
   says itself (NULL). */
INLINE void enter(const Unit *u, int64_t edge, const REAL *k, const REAL *v, REAL *states, const int64_t *where,
                  int64_t nk, int64_t w) {
    const Plan *t = u->t;
    const REAL source = u->x->source[u->head * u->z->edges + edge];
    const REAL *pass = u->x->transition + u->head * u->z->pairs;
    const int64_t first = t->pair_ptr[edge], last = t->pair_ptr[edge + 1], size = nk * w;
    REAL *state = states + (where ? where[edge] : edge) * size;
#define STATE(p) (states + (where ? where[t->pair_in[p]] : t->pair_in[p]) * size)
    Vector own[WIDEST / LANES];
    for (int64_t j = 0; j < w; j += LANES) own[j / LANES] = source * at(v + j);
    if (first == last) {
        for (int64_t r = 0; r < nk; r++)
            for (int64_t j = 0; j < w; j += LANES) put(state + r * w + j, k[r] * own[j / LANES]);
    } else if (first + 1 == last) {
        const REAL *one = STATE(first), a = pass[first];
        for (int64_t r = 0; r < nk; r++)
            for (int64_t j = 0; j < w; j += LANES)
                put(state + r * w + j, k[r] * own[j / LANES] + a * at(one + r * w + j));
    } else {
        const REAL *one = STATE(first), *two = STATE(first + 1), a = pass[first], b = pass[first + 1];
        for (int64_t r = 0; r < nk; r++)
            for (int64_t j = 0; j < w; j += LANES)
                put(state + r * w + j, k[r] * own[j / LANES] + a * at(one + r * w + j) + b * at(two + r * w + j));
        for (int64_t p = first + 2; p < last; p++) {
            const REAL *more = STATE(p), c = pass[p];
            for (int64_t i = 0; i < size; i += LANES) put(state + i, at(state + i) + c * at(more + i));
        }
    }
}

/* total += scale * the sum of weight[r] * row r of a matrix; rows by turns, which need not wait for each other. */
INLINE void add_rows(Vector *total, REAL scale, const REAL *weight, const REAL *matrix, int64_t nk, int64_t w) {
    Vector a[WIDEST / LANES], b[WIDEST / LANES];
    for (int64_t j = 0; j < w; j += LANES) a[j / LANES] = b[j / LANES] = (Vector){0};
    for (int64_t r = 0; r + 1 < nk; r += 2)
        for (int64_t j = 0; j < w; j += LANES) {
            a[j / LANES] += weight[r] * at(matrix + r * w + j);
            b[j / LANES] += weight[r + 1] * at(matrix + (r + 1) * w + j);
        }
    if (nk % 2)
        for (int64_t j = 0; j < w; j += LANES) a[j / LANES] += weight[nk - 1] * at(matrix + (nk - 1) * w + j);
    for (int64_t j = 0; j < w; j += LANES) total[j / LANES] += scale * (a[j / LANES] + b[j / LANES]);
}

INLINE void run(const Unit *u, REAL *out, REAL *states, int64_t nk, int64_t w) {
    const Plan *t = u->t;
    const int64_t heads = u->z->heads, width = u->z->key_width, nv = u->z->value_width, size = nk * w;
    const REAL *mark = u->x->mark + u->head * u->z->edges;
    for (int64_t n = u->first; n < u->last; n++) {
        const int64_t row = t->order[n] * heads + u->head;
        const REAL *q = u->x->query + row * width, *k = u->x->key + row * width;
        REAL v[WIDEST], y[WIDEST];
        Vector read[WIDEST / LANES];
        load(u, u->x->value + row * nv, v, w);
        if (u->top == 0) {
            const REAL own = u->x->direct[row] * dot(q, k, width);
            for (int64_t j = 0; j < w; j += LANES) read[j / LANES] = own * at(v + j);
        } else {
            load(u, out + row * nv, y, w);
            for (int64_t j = 0; j < w; j += LANES) read[j / LANES] = at(y + j);
        }
        q += u->top;
        k += u->top;
        for (int64_t i = t->in_ptr[n]; i < t->in_ptr[n + 1]; i++)
            add_rows(read, mark[t->in_edge[i]], q, states + t->slot[t->in_edge[i]] * size, nk, w);
        for (int64_t j = 0; j < w; j += LANES) put(y + j, read[j / LANES]);
        store(u, y, out + row * nv, w);
        for (int64_t edge = t->out_ptr[n]; edge < t->out_ptr[n + 1]; edge++) enter(u, edge, k, v, states, t->slot, nk, w);
    }
}

/* Adds to a number that the first slice begins. */
INLINE void account(const Unit *u, REAL *total, REAL x) { *total = u->top > 0 || u->from > 0 ? *total + x : x; }

/* What a node is given back: of its query and key, and of its value. Rows of keys are whole vectors; what lies behind the
   slice's own rows is zero and stays so, for sums go over whole vectors. */
typedef struct {
    REAL *q, *k, *dq, *dk;
    Vector v[WIDEST / LANES], g[WIDEST / LANES], dv[WIDEST / LANES];
} Near;

/* An edge is written at its start: gradients of Source, the key and the value, from that of its state. */
INLINE REAL write_back(Near *near, REAL source, const REAL *given, int64_t nk, int64_t w) {
    Vector of_source = {0};
    for (int64_t r = 0; r < nk; r += LANES) {
        Vector row[LANES];
        for (int64_t i = 0; i < LANES; i++) {
            row[i] = (Vector){0};
            if (r + i >= nk) continue;
            const REAL scale = source * near->k[r + i];
            for (int64_t j = 0; j < w; j += LANES) {
                const Vector here = at(given + (r + i) * w + j);
                row[i] += here * near->v[j / LANES];
                near->dv[j / LANES] += scale * here;
            }
        }
        const Vector read = sums(row);
        of_source += read * at(near->k + r);
        put(near->dk + r, at(near->dk + r) + source * read);
    }
    return sum(of_source);
}

/* Sums of products of two states. */
INLINE REAL product(const REAL *a, const REAL *b, int64_t size) {
    Vector one = {0}, two = {0};
    int64_t i = 0;
    for (; i + 2 * LANES <= size; i += 2 * LANES) {
        one += at(a + i) * at(b + i);
        two += at(a + i + LANES) * at(b + i + LANES);
    }
    if (i < size) one += at(a + i) * at(b + i);
    return sum(one + two);
}

/* The first transitions from an edge, as many as are followed at once: gates, gradients of later states, and what becomes
   of the gates' own gradients. */
typedef struct {
    REAL pass[2];
    const REAL *given[2];
    Vector total[2][WIDEST / LANES];
} Onward;

/* An edge is read at its end and passes on to others: gradients of Mark, of the query, and of up to two transitions. The
   gradient of its state takes the place of that. */
INLINE REAL read_back(Near *near, REAL mark, REAL *state, Onward *on, int ways, int64_t nk, int64_t w) {
    Vector of_mark = {0};
    for (int way = 0; way < ways; way++)
        for (int64_t j = 0; j < w; j += LANES) on->total[way][j / LANES] = (Vector){0};
    for (int64_t r = 0; r < nk; r += LANES) {
        Vector row[LANES];
        for (int64_t i = 0; i < LANES; i++) {
            row[i] = (Vector){0};
            if (r + i >= nk) continue;
            REAL *here = state + (r + i) * w;
            const REAL scale = mark * near->q[r + i];
            for (int64_t j = 0; j < w; j += LANES) {
                const Vector was = at(here + j);
                Vector grad = scale * near->g[j / LANES];
                row[i] += was * near->g[j / LANES];
                for (int way = 0; way < ways; way++) {
                    const Vector later = at(on->given[way] + (r + i) * w + j);
                    on->total[way][j / LANES] += was * later;
                    grad += on->pass[way] * later;
                }
                put(here + j, grad);
            }
        }
        const Vector read = sums(row);
        of_mark += read * at(near->q + r);
        put(near->dq + r, at(near->dq + r) + mark * read);
    }
    return sum(of_mark);
}

/* All that an edge is given back at its end. */
INLINE void end_of(const Unit *u, const Grads *d, Near *near, int64_t edge, REAL *states, int64_t nk, int64_t w) {
    const Plan *t = u->t;
    const int64_t size = nk * w, h = u->head, first = t->next_ptr[edge], count = t->next_ptr[edge + 1] - first;
    const REAL mark = u->x->mark[h * u->z->edges + edge], *pass = u->x->transition + h * u->z->pairs;
    REAL *state = states + edge * size, *of_pass = d->transition + h * u->z->pairs, of_mark;
    const int64_t *pair = t->next_pair + first, *later = t->next_edge + first;
    Onward on = {0};
    for (int way = 0; way < 2 && way < count; way++) {
        on.pass[way] = pass[pair[way]];
        on.given[way] = states + later[way] * size;
    }
    for (int64_t i = 2; i < count; i++)
        account(u, of_pass + pair[i], product(state, states + later[i] * size, size));
    if (count == 0) of_mark = read_back(near, mark, state, &on, 0, nk, w);
    else if (count == 1) of_mark = read_back(near, mark, state, &on, 1, nk, w);
    else of_mark = read_back(near, mark, state, &on, 2, nk, w);
    account(u, d->mark + h * u->z->edges + edge, of_mark);
    for (int way = 0; way < 2 && way < count; way++) {
        for (int64_t j = LANES; j < w; j += LANES) on.total[way][0] += on.total[way][j / LANES];
        account(u, of_pass + pair[way], sum(on.total[way][0]));
    }
    for (int64_t i = 2; i < count; i++) {
        const REAL *given = states + later[i] * size, more = pass[pair[i]];
        for (int64_t j = 0; j < size; j += LANES) put(state + j, at(state + j) + more * at(given + j));
    }
}

/* states hold those of the segment's edges; room is for four rows of keys. */
INLINE void run_backward(const Unit *u, const Grads *d, const REAL *grad, REAL *states, REAL *room, int64_t nk,
                         int64_t w) {
    const Plan *t = u->t;
    const int64_t heads = u->z->heads, width = u->z->key_width, nv = u->z->value_width, size = nk * w, h = u->head;
    const int64_t edges = u->z->edges, whole = whole_vectors(nk);
    const REAL *source = u->x->source + h * edges;
    REAL *by_place = states - t->out_ptr[u->first] * size, v[WIDEST], g[WIDEST];
    for (int64_t n = u->first; n < u->last; n++) {
        const int64_t row = t->order[n] * heads + h;
        load(u, u->x->value + row * nv, v, w);
        for (int64_t edge = t->out_ptr[n]; edge < t->out_ptr[n + 1]; edge++)
            enter(u, edge, u->x->key + row * width + u->top, v, by_place, NULL, nk, w);
    }
    Near near = {.q = room, .k = room + whole, .dq = room + 2 * whole, .dk = room + 3 * whole};
    memset(room, 0, (size_t)(4 * whole) * sizeof(REAL));
    for (int64_t n = u->last - 1; n >= u->first; n--) {
        const int64_t row = t->order[n] * heads + h;
        const REAL direct = u->x->direct[row], *q = u->x->query + row * width, *k = u->x->key + row * width;
        memcpy(near.q, q + u->top, (size_t)nk * sizeof(REAL));
        memcpy(near.k, k + u->top, (size_t)nk * sizeof(REAL));
        load(u, u->x->value + row * nv, v, w);
        load(u, grad + row * nv, g, w);
        Vector of_weight = {0};
        for (int64_t j = 0; j < w; j += LANES) {
            near.v[j / LANES] = at(v + j);
            near.g[j / LANES] = at(g + j);
            of_weight += near.v[j / LANES] * near.g[j / LANES];
        }
        const REAL of_score = sum(of_weight) * direct;
        for (int64_t r = 0; r < whole; r += LANES) {
            put(near.dq + r, of_score * at(near.k + r));
            put(near.dk + r, of_score * at(near.q + r));
        }
        if (u->top == 0) {
            const REAL score = dot(q, k, width);
            account(u, d->direct + h * u->z->nodes + n, sum(of_weight) * score);
            for (int64_t j = 0; j < w; j += LANES) near.dv[j / LANES] = direct * score * near.g[j / LANES];
        } else {
            load(u, d->value + row * nv, v, w);
            for (int64_t j = 0; j < w; j += LANES) near.dv[j / LANES] = at(v + j);
        }
        for (int64_t edge = t->out_ptr[n]; edge < t->out_ptr[n + 1]; edge++)
            account(u, d->source + h * edges + edge, write_back(&near, source[edge], by_place + edge * size, nk, w));
        for (int64_t i = t->in_ptr[n]; i < t->in_ptr[n + 1]; i++) end_of(u, d, &near, t->in_edge[i], by_place, nk, w);
        REAL *dq = d->query + row * width + u->top, *dk = d->key + row * width + u->top;
        for (int64_t r = 0; r < nk; r++) {
            dq[r] = u->from > 0 ? dq[r] + near.dq[r] : near.dq[r];
            dk[r] = u->from > 0 ? dk[r] + near.dk[r] : near.dk[r];
        }
        for (int64_t j = 0; j < w; j += LANES) put(v + j, near.dv[j / LANES]);
        store(u, v, d->value + row * nv, w);
    }
}

/* Slices are filled up to a width that the compiler knows; heads as wide as their keys are the usual ones, and halves of
   those are taken where graphs are large. Of keys the compiler knows the width in single precision alone: each case takes
   it half a second, and in double precision twice as long. */
#define KNOWN(nk, width) (sizeof(REAL) == 4 && (nk) == (width))
#define FOR_WIDTH(nk, w, CALL)                               \
    do {                                                     \
        if (KNOWN(nk, 8) && (w) == 8) CALL(8, 8);               \
        else if (KNOWN(nk, 8) && (w) == 16) CALL(8, 16);        \
        else if (KNOWN(nk, 16) && (w) == 16) CALL(16, 16);      \
        else if (KNOWN(nk, 24) && (w) == 24) CALL(24, 24);      \
        else if (KNOWN(nk, 32) && (w) == 32) CALL(32, 32);      \
        else if ((w) == 8) CALL(nk, 8);                      \
        else if ((w) == 16) CALL(nk, 16);                    \
        else if ((w) == 24) CALL(nk, 24);                    \
        else CALL(nk, 32);                                   \
    } while (0)

/* Large states are read at random: on Linux they ask for huge pages, so that not every read misses the table of pages. */
static void *allocate(int64_t numbers) {
    const size_t bytes = (size_t)(numbers + 1) * sizeof(REAL);
#ifdef __linux__
    const size_t page = (size_t)1 << 21;
    void *memory;
    if (posix_memalign(&memory, bytes < 4 * page ? 64 : page, bytes)) return NULL;
    if (bytes >= 4 * page) madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
#else
    return malloc(bytes);
#endif
}

INLINE Unit unit_of(const Sizes *z, const Plan *t, const Inputs *x, int64_t number) {
    const int64_t segment = number / z->heads, head = number % z->heads;
    return (Unit){z, t, x, t->segment[segment], t->segment[segment + 1], head, 0, 0, 0, 0};
}

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Slice after slice of a unit: rows from the top of each, and of those the columns from the first of each. */
#define FOR_SLICES(u, z)                                                                                          \
    for (u.top = 0; u.rows = least((z)->rows, (z)->key_width - u.top), u.top < (z)->key_width; u.top += (z)->rows) \
        for (u.from = 0; u.width = least((z)->columns, (z)->value_width - u.from), u.from < (z)->value_width;      \
             u.from += (z)->columns)

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

/* Outputs [N, H, V] of units, the heads of one segment after those of the other; 1 if there is no memory. */
int forward(int64_t first, int64_t last, const Forward *a) {
    const Sizes *z = a->z;
    REAL *states = allocate(a->t->sizes[SLOTS] * z->rows * whole_vectors(z->columns));
    if (!states) return 1;
    for (int64_t number = first; number < last; number++) {
        Unit u = unit_of(z, a->t, a->x, number);
        FOR_SLICES(u, z) {
            const int64_t w = whole_vectors(u.width);
#define RUN(nk, w) run(&u, a->out, states, nk, w)
            FOR_WIDTH(u.rows, w, RUN);
        }
    }
    free(states);
    return 0;
}

/* All gradients of units, each entry written; 1 if there is no memory. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const Sizes *z = a->z;
    const int64_t size = z->rows * whole_vectors(z->columns), whole = whole_vectors(z->rows), longest = a->t->sizes[LONGEST] * size;
    REAL *states = allocate(longest + 4 * whole);
    if (!states) return 1;
    for (int64_t number = first; number < last; number++) {
        Unit u = unit_of(z, a->t, a->x, number);
        FOR_SLICES(u, z) {
            const int64_t w = whole_vectors(u.width);
#define RUN_BACKWARD(nk, w) run_backward(&u, a->d, a->grad, states, states + longest, nk, w)
            FOR_WIDTH(u.rows, w, RUN_BACKWARD);
        }
    }
    free(states);
    return 0;
}

typedef struct {
    const Sizes *z;
    const Plan *t;
    REAL *source, *transition, *mark, *direct;                 /* of the caller, [E or P or N, H] */
    REAL *source_at, *transition_at, *mark_at, *direct_at;     /* by place, [H, E or P or N] */
} Layout;

#define FOR_ROWS(count_of, from, to, number, at)                   \
    for (int64_t p = from; p < to; p++)                            \
        for (int64_t h = 0, heads = a->z->heads; h < heads; h++) { \
            const int64_t here = number * heads + h, there = h * (count_of) + p; \
            at                                                     \
        }

/* Source, Transition and Mark of what leaves the nodes at some places, by head and place. */
int arrange(int64_t first, int64_t last, const Layout *a) {
    const Plan *t = a->t;
    const int64_t edge = t->out_ptr[first], edge_end = t->out_ptr[last];
    FOR_ROWS(a->z->edges, edge, edge_end, t->edge_at[p], {
        a->source_at[there] = a->source[here];
        a->mark_at[there] = a->mark[here];
    })
    FOR_ROWS(a->z->pairs, t->pair_ptr[edge], t->pair_ptr[edge_end], t->pair_at[p],
             { a->transition_at[there] = a->transition[here]; })
    return 0;
}

/* The way back, for gradients; Direct's too. */
int arrange_back(int64_t first, int64_t last, const Layout *a) {
    const Plan *t = a->t;
    const int64_t edge = t->out_ptr[first], edge_end = t->out_ptr[last];
    FOR_ROWS(a->z->edges, edge, edge_end, t->edge_at[p], {
        a->source[here] = a->source_at[there];
        a->mark[here] = a->mark_at[there];
    })
    FOR_ROWS(a->z->pairs, t->pair_ptr[edge], t->pair_ptr[edge_end], t->pair_at[p],
             { a->transition[here] = a->transition_at[there]; })
    FOR_ROWS(a->z->nodes, first, last, t->order[p], { a->direct[here] = a->direct_at[there]; })
    return 0;
}
