/* The operator on grids, node by node, with the states of a few lines at most in the cache; REAL is float or double.

   A unit is one head of one grid. All tensors are contiguous: features [B, X, Y, H, K or V], direct [B, X, Y, H] and its
   gradient [B, H, X, Y], the eight gates in the order of GATES in shapes.py, each [B, X, Y, O, H], and together
   [B, H, O, X, Y, 8], so that a unit finds its own side by side. Orientation o runs against the first axis if
   flips[2 o], against the second if flips[2 o + 1].

   Rows and columns of a state share nothing but the node's gates, so a unit is evaluated in sweeps of ROWS rows and of a
   cache line of columns, or half of one: states of a sweep stay in the registers and the innermost cache. Features of a
   unit are packed for that; rows and columns that are missing are 0. Units first to last - 1 are evaluated; they share
   no output. Functions return 0, or 1 if there is no memory for their scratch. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")
#define UNROLL _Pragma("GCC unroll 16")

/* What REAL stands for, for the preprocessor. */
#define JOIN(a, b) a##b
#define BYTES_OF(real) JOIN(BYTES_OF_, real)
#define BYTES_OF_float 4
#define BYTES_OF_double 8
#define REAL_BYTES BYTES_OF(REAL)
#if REAL_BYTES == 4
#define INTEGER int32_t
#else
#define INTEGER int64_t
#endif

/* Lanes of two vectors; gcc before 12 has a function of its own for that. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (MASK){__VA_ARGS__})
#endif

enum { S_RIGHT, S_DOWN, RIGHT_LEFT, DOWN_UP, DOWN_LEFT, RIGHT_UP, M_LEFT, M_UP, NUM_GATES };

/* Rows and most columns of a sweep, and bytes that what is packed begins at a multiple of. */
#ifndef ROWS
#define ROWS 8
#endif
enum { LINE = 64, WIDE = LINE / sizeof(REAL), HALF = WIDE / 2 };

typedef struct {
    ptrdiff_t width, height, orientations, heads, key_width, value_width;
} Shape;

/* One sweep: packed operands of its rows and columns, gates of its orientation, and its scratch. */
typedef struct {
    ptrdiff_t width, height;
    int against_first, against_second;
    ptrdiff_t band, bands; /* lines whose states are kept together, and how often that many lines are begun */
    const REAL *query, *key, *value, *grad, *gates;
    REAL *out, *grad_query, *grad_key, *grad_value, *grad_gates, *states;
} Sweep;

#if defined(__AVX512F__)
#define WIDE_BYTES 64
#define WIDE_PARTS 1
#elif defined(__AVX__)
#define WIDE_BYTES 32
#define WIDE_PARTS 2
#else
#define WIDE_BYTES 16
#define WIDE_PARTS 4
#endif

#define NAME(x) wide_##x
#define VECTOR_BYTES WIDE_BYTES
#define PARTS WIDE_PARTS
#include "grid2d_sweep.h"

#define NAME(x) half_##x
#define VECTOR_BYTES (WIDE_BYTES < 32 ? WIDE_BYTES : 32)
#define PARTS (32 / VECTOR_BYTES)
#include "grid2d_sweep.h"

/* What the functions below are called with; gradients and outputs are those of the tensors before them. */
typedef struct {
    const Shape *shape;
    const REAL *const *gates;
    REAL *together;
} Gather;

typedef struct {
    const Shape *shape;
    const REAL *together;
    REAL *const *gates;
} Scatter;

typedef struct {
    const Shape *shape;
    const unsigned char *flips;
    const REAL *query, *key, *value, *gates, *direct;
    REAL *out;
} Forward;

typedef struct {
    const Shape *shape;
    const unsigned char *flips;
    const REAL *grad, *query, *key, *value, *gates, *direct;
    REAL *grad_query, *grad_key, *grad_value, *grad_gates, *grad_direct;
} Backward;

/* The gates of lines of nodes, [B, X], side by side. */
int gather(int64_t first, int64_t last, const Gather *a) {
    const ptrdiff_t nx = a->shape->width, ny = a->shape->height, all = a->shape->heads * a->shape->orientations;
    for (ptrdiff_t line = first; line < last; line++)
        for (ptrdiff_t o = 0; o < a->shape->orientations; o++)
            for (ptrdiff_t h = 0; h < a->shape->heads; h++) {
                const ptrdiff_t unit = (line / nx * a->shape->heads + h) * a->shape->orientations + o;
                const ptrdiff_t from = line * ny * all + o * a->shape->heads + h;
                REAL *to = a->together + (unit * nx + line % nx) * ny * NUM_GATES;
                for (ptrdiff_t y = 0; y < ny; y++)
                    for (int g = 0; g < NUM_GATES; g++) to[y * NUM_GATES + g] = a->gates[g][from + y * all];
            }
    return 0;
}

/* The other way round. */
int scatter(int64_t first, int64_t last, const Scatter *a) {
    const ptrdiff_t nx = a->shape->width, ny = a->shape->height, all = a->shape->heads * a->shape->orientations;
    for (ptrdiff_t line = first; line < last; line++)
        for (ptrdiff_t o = 0; o < a->shape->orientations; o++)
            for (ptrdiff_t h = 0; h < a->shape->heads; h++) {
                const ptrdiff_t unit = (line / nx * a->shape->heads + h) * a->shape->orientations + o;
                const ptrdiff_t to = line * ny * all + o * a->shape->heads + h;
                const REAL *from = a->together + (unit * nx + line % nx) * ny * NUM_GATES;
                for (ptrdiff_t y = 0; y < ny; y++)
                    for (int g = 0; g < NUM_GATES; g++) a->gates[g][to + y * all] = from[y * NUM_GATES + g];
            }
    return 0;
}

/* Sizes of what is packed: blocks of rows, and columns, of all nodes of a unit; and how many numbers the columns of all
   nodes take, in whole cache lines, so that what is packed behind them begins at one. */
typedef struct {
    ptrdiff_t nodes, blocks, columns, of_columns;
} Pack;

INLINE Pack pack_of(const Shape *s) {
    const ptrdiff_t wide = s->value_width / WIDE, rest = s->value_width % WIDE;
    const ptrdiff_t columns = wide * WIDE + (rest == 0 ? 0 : rest <= HALF ? HALF : WIDE);
    const ptrdiff_t nodes = s->width * s->height, lines = (nodes * columns + WIDE - 1) / WIDE;
    return (Pack){nodes, (s->key_width + ROWS - 1) / ROWS, columns, lines * WIDE};
}

/* Columns of the sweep that begins at a column. */
INLINE ptrdiff_t columns_at(const Pack *p, ptrdiff_t column) { return p->columns - column < WIDE ? HALF : WIDE; }

/* Where a unit's features of a node are, in units of their width. */
INLINE ptrdiff_t node_at(const Shape *s, ptrdiff_t unit, ptrdiff_t node) {
    return (unit / s->heads * s->width * s->height + node) * s->heads + unit % s->heads;
}

/* Copies the first `own` of `size` numbers; a length that the compiler knows, for most are whole, is much faster. */
INLINE void copy(REAL *to, const REAL *from, ptrdiff_t own, ptrdiff_t size) {
    if (own == size) memcpy(to, from, (size_t)size * sizeof(REAL));
    else memcpy(to, from, (size_t)own * sizeof(REAL));
}

/* Features of a unit, n numbers of each node, in blocks of `size` numbers, each with all nodes; `all` numbers in all,
   the last block may have fewer. Missing numbers are 0. */
INLINE void pack(const Shape *s, ptrdiff_t unit, const REAL *from, ptrdiff_t n, ptrdiff_t all, ptrdiff_t size,
                 REAL *to) {
    const ptrdiff_t nodes = s->width * s->height, stride = s->heads * n;
    from += node_at(s, unit, 0) * n;
    for (ptrdiff_t begin = 0; begin < all; begin += size) {
        const ptrdiff_t here = all - begin < size ? all - begin : size, own = n - begin < here ? n - begin : here;
        REAL *block = to + begin * nodes;
        if (own < here) memset(block, 0, (size_t)(nodes * here) * sizeof(REAL));
        for (ptrdiff_t node = 0; node < nodes; node++) copy(block + node * here, from + node * stride + begin, own, size);
    }
}

/* The other way round. */
INLINE void unpack(const Shape *s, ptrdiff_t unit, const REAL *from, ptrdiff_t n, ptrdiff_t all, ptrdiff_t size,
                   REAL *to) {
    const ptrdiff_t nodes = s->width * s->height, stride = s->heads * n;
    to += node_at(s, unit, 0) * n;
    for (ptrdiff_t begin = 0; begin < all; begin += size) {
        const ptrdiff_t here = all - begin < size ? all - begin : size, own = n - begin < here ? n - begin : here;
        const REAL *block = from + begin * nodes;
        for (ptrdiff_t node = 0; node < nodes; node++) copy(to + node * stride + begin, block + node * here, own, size);
    }
}

INLINE REAL dot(const REAL *a, const REAL *b, ptrdiff_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (ptrdiff_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

/* Memory that begins at a cache line. */
static REAL *room(ptrdiff_t numbers) {
    const size_t bytes = (size_t)numbers * sizeof(REAL);
    return aligned_alloc(LINE, (bytes / LINE + 1) * LINE);
}

int forward(int64_t first, int64_t last, const Forward *a) {
    const Shape *shape = a->shape;
    const Pack p = pack_of(shape);
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, rows = p.blocks * ROWS;
    REAL *query = room(2 * p.nodes * rows + 2 * p.of_columns + shape->height * ROWS * WIDE);
    if (!query) return 1;
    REAL *key = query + p.nodes * rows, *value = key + p.nodes * rows, *out = value + p.of_columns;
    for (ptrdiff_t unit = first; unit < last; unit++) {
        pack(shape, unit, a->query, nk, rows, ROWS, query);
        pack(shape, unit, a->key, nk, rows, ROWS, key);
        pack(shape, unit, a->value, nv, p.columns, WIDE, value);
        memset(out, 0, (size_t)p.of_columns * sizeof(REAL));
        for (ptrdiff_t column = 0; column < p.columns; column += WIDE)
            for (ptrdiff_t block = 0; block < p.blocks; block++)
                for (ptrdiff_t o = 0; o < shape->orientations; o++) {
                    const Sweep s = {
                        .width = shape->width, .height = shape->height,
                        .against_first = a->flips[2 * o], .against_second = a->flips[2 * o + 1],
                        .query = query + p.nodes * block * ROWS, .key = key + p.nodes * block * ROWS,
                        .value = value + p.nodes * column, .out = out + p.nodes * column,
                        .gates = a->gates + (unit * shape->orientations + o) * p.nodes * NUM_GATES,
                        .states = out + p.of_columns,
                    };
                    if (columns_at(&p, column) == WIDE) wide_sweep(&s);
                    else half_sweep(&s);
                }
        unpack(shape, unit, out, nv, p.columns, WIDE, a->out);
        for (ptrdiff_t node = 0; node < p.nodes; node++) {
            const ptrdiff_t at = node_at(shape, unit, node);
            const REAL weight = a->direct[at] * dot(a->query + at * nk, a->key + at * nk, nk);
            REAL *own = a->out + at * nv;
            SIMD for (ptrdiff_t j = 0; j < nv; j++) own[j] += weight * a->value[at * nv + j];
        }
    }
    free(query);
    return 0;
}

/* Numbers in the states of a band of lines, so that they fit into the cache of a core. */
enum { BAND = 1 << 17 };

int backward(int64_t first, int64_t last, const Backward *a) {
    const Shape *shape = a->shape;
    const Pack p = pack_of(shape);
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, rows = p.blocks * ROWS;
    const ptrdiff_t full = shape->height * ROWS * WIDE;
    /* States that enter the first line of every band are kept, those inside a band computed anew: as many lines as fit
       into the cache, or as many as take the least memory. */
    ptrdiff_t band = full > 0 && BAND / (2 * full) > 1 ? BAND / (2 * full) : 1;
    while (2 * band * band < shape->width) band++;
    if (band > shape->width) band = shape->width;
    const ptrdiff_t bands = band ? (shape->width + band - 1) / band : 0;
    const ptrdiff_t of_rows = p.nodes * rows, of_columns = p.of_columns;
    REAL *query = room(4 * of_rows + 3 * of_columns + (1 + bands + 2 * (band + 1)) * full);
    if (!query) return 1;
    REAL *key = query + of_rows, *grad_query = key + of_rows, *grad_key = grad_query + of_rows;
    REAL *value = grad_key + of_rows, *grad = value + of_columns, *grad_value = grad + of_columns;
    for (ptrdiff_t unit = first; unit < last; unit++) {
        REAL *own_gates = a->grad_gates + unit * shape->orientations * p.nodes * NUM_GATES;
        pack(shape, unit, a->query, nk, rows, ROWS, query);
        pack(shape, unit, a->key, nk, rows, ROWS, key);
        pack(shape, unit, a->value, nv, p.columns, WIDE, value);
        pack(shape, unit, a->grad, nv, p.columns, WIDE, grad);
        memset(grad_query, 0, (size_t)(2 * of_rows) * sizeof(REAL));
        memset(grad_value, 0, (size_t)of_columns * sizeof(REAL));
        memset(own_gates, 0, (size_t)(shape->orientations * p.nodes * NUM_GATES) * sizeof(REAL));
        for (ptrdiff_t column = 0; column < p.columns; column += WIDE)
            for (ptrdiff_t block = 0; block < p.blocks; block++)
                for (ptrdiff_t o = 0; o < shape->orientations; o++) {
                    const ptrdiff_t row = p.nodes * block * ROWS, at = p.nodes * column, gate = o * p.nodes * NUM_GATES;
                    const Sweep s = {
                        .width = shape->width, .height = shape->height,
                        .against_first = a->flips[2 * o], .against_second = a->flips[2 * o + 1],
                        .band = band, .bands = bands,
                        .query = query + row, .key = key + row, .value = value + at, .grad = grad + at,
                        .gates = a->gates + unit * shape->orientations * p.nodes * NUM_GATES + gate,
                        .grad_query = grad_query + row, .grad_key = grad_key + row, .grad_value = grad_value + at,
                        .grad_gates = own_gates + gate, .states = grad_value + of_columns,
                    };
                    if (columns_at(&p, column) == WIDE) wide_sweep_back(&s);
                    else half_sweep_back(&s);
                }
        unpack(shape, unit, grad_query, nk, rows, ROWS, a->grad_query);
        unpack(shape, unit, grad_key, nk, rows, ROWS, a->grad_key);
        unpack(shape, unit, grad_value, nv, p.columns, WIDE, a->grad_value);
        for (ptrdiff_t node = 0; node < p.nodes; node++) {
            const ptrdiff_t at = node_at(shape, unit, node);
            const REAL *q = a->query + at * nk, *k = a->key + at * nk, *v = a->value + at * nv, *g = a->grad + at * nv;
            const REAL score = dot(q, k, nk), weight = dot(g, v, nv);
            a->grad_direct[unit * p.nodes + node] = score * weight;
            const REAL of_score = a->direct[at] * weight, of_weight = a->direct[at] * score;
            REAL *of_q = a->grad_query + at * nk, *of_k = a->grad_key + at * nk, *of_v = a->grad_value + at * nv;
            SIMD for (ptrdiff_t i = 0; i < nk; i++) of_q[i] += of_score * k[i];
            SIMD for (ptrdiff_t i = 0; i < nk; i++) of_k[i] += of_score * q[i];
            SIMD for (ptrdiff_t j = 0; j < nv; j++) of_v[j] += of_weight * g[j];
        }
    }
    free(query);
    return 0;
}
