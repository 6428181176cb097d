/* The operator on grids, node by node, with the states of two lines at most in the cache; REAL is float or double.

   A unit is one head of one grid. All tensors are contiguous: features [B, X, Y, H, K or V], the eight gates in the
   order of GATES in grid2d.py [B, H, O, X, Y, 8], so that a unit finds its own side by side, direct [B, X, Y, H].
   Orientation o runs against the first axis if flips[2 o], against the second if flips[2 o + 1]. Units first to
   last - 1 are evaluated; they share no output. Functions return 0, or 1 if there is no memory for their scratch. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")

enum { S_RIGHT, S_DOWN, RIGHT_LEFT, DOWN_UP, DOWN_LEFT, RIGHT_UP, M_LEFT, M_UP, NUM_GATES };

typedef struct {
    ptrdiff_t width, height, orientations, heads, key_width, value_width;
} Shape;


INLINE REAL dot(const REAL *a, const REAL *b, ptrdiff_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (ptrdiff_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

INLINE REAL sum(const REAL *a, ptrdiff_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (ptrdiff_t i = 0; i < n; i++) total += a[i];
    return total;
}

/* One node: reads the states that enter it and replaces them by those that leave it. */
INLINE void advance(const REAL *restrict g, const REAL *restrict q, const REAL *restrict k, const REAL *restrict v,
                    REAL *restrict right, REAL *restrict down, REAL *restrict out, ptrdiff_t nk, ptrdiff_t nv) {
    for (ptrdiff_t i = 0; i < nk; i++) {
        const REAL to_right = g[S_RIGHT] * k[i], to_down = g[S_DOWN] * k[i];
        const REAL from_left = g[M_LEFT] * q[i], from_up = g[M_UP] * q[i];
        REAL *restrict r = right + i * nv, *restrict d = down + i * nv;
        SIMD for (ptrdiff_t j = 0; j < nv; j++) {
            const REAL left = r[j], up = d[j];
            out[j] += from_left * left + from_up * up;
            r[j] = g[RIGHT_LEFT] * left + g[RIGHT_UP] * up + to_right * v[j];
            d[j] = g[DOWN_LEFT] * left + g[DOWN_UP] * up + to_down * v[j];
        }
    }
}

/* The state that leaves a node downwards, from those that enter it. */
INLINE void advance_down(const REAL *restrict g, const REAL *restrict k, const REAL *restrict v,
                         const REAL *restrict left, const REAL *restrict up, REAL *restrict down, ptrdiff_t nk,
                         ptrdiff_t nv) {
    for (ptrdiff_t i = 0; i < nk; i++) {
        const REAL to_down = g[S_DOWN] * k[i];
        const REAL *restrict l = left + i * nv, *restrict u = up + i * nv;
        REAL *restrict d = down + i * nv;
        SIMD for (ptrdiff_t j = 0; j < nv; j++) d[j] = g[DOWN_LEFT] * l[j] + g[DOWN_UP] * u[j] + to_down * v[j];
    }
}

/* One node of the backward pass: takes the gradients of the states that leave it, replaces them by those of the states
   that enter it, and adds to the gradients of the node. */
INLINE void retreat(const REAL *restrict g, const REAL *restrict q, const REAL *restrict k, const REAL *restrict v,
                    const REAL *restrict left, const REAL *restrict up, const REAL *restrict grad,
                    REAL *restrict grad_right, REAL *restrict grad_down, REAL *restrict grad_g, REAL *restrict grad_q,
                    REAL *restrict grad_k, REAL *restrict grad_v, REAL *restrict sums, ptrdiff_t nk, ptrdiff_t nv) {
    /* Sums over the key width, for each column of the states; the last sum over columns is taken at the end. */
    memset(sums, 0, (size_t)(8 * nv) * sizeof(REAL));
    REAL *restrict right_left = sums, *restrict down_up = sums + nv, *restrict down_left = sums + 2 * nv;
    REAL *restrict right_up = sums + 3 * nv, *restrict put_right = sums + 4 * nv, *restrict put_down = sums + 5 * nv;
    REAL *restrict read_left = sums + 6 * nv, *restrict read_up = sums + 7 * nv;
    for (ptrdiff_t i = 0; i < nk; i++) {
        const REAL *restrict l = left + i * nv, *restrict u = up + i * nv;
        REAL *restrict gr = grad_right + i * nv, *restrict gd = grad_down + i * nv;
        const REAL from_left = g[M_LEFT] * q[i], from_up = g[M_UP] * q[i];
        REAL of_q = 0, of_k = 0;
        _Pragma("omp simd reduction(+ : of_q, of_k)") for (ptrdiff_t j = 0; j < nv; j++) {
            const REAL right = gr[j], down = gd[j];
            of_q += grad[j] * (g[M_LEFT] * l[j] + g[M_UP] * u[j]);
            of_k += v[j] * (g[S_RIGHT] * right + g[S_DOWN] * down);
            right_left[j] += right * l[j];
            down_up[j] += down * u[j];
            down_left[j] += down * l[j];
            right_up[j] += right * u[j];
            put_right[j] += k[i] * right;
            put_down[j] += k[i] * down;
            read_left[j] += q[i] * l[j];
            read_up[j] += q[i] * u[j];
            gr[j] = g[RIGHT_LEFT] * right + g[DOWN_LEFT] * down + from_left * grad[j];
            gd[j] = g[RIGHT_UP] * right + g[DOWN_UP] * down + from_up * grad[j];
        }
        grad_q[i] += of_q;
        grad_k[i] += of_k;
    }
    SIMD for (ptrdiff_t j = 0; j < nv; j++) grad_v[j] += g[S_RIGHT] * put_right[j] + g[S_DOWN] * put_down[j];
    grad_g[S_RIGHT] = dot(put_right, v, nv), grad_g[S_DOWN] = dot(put_down, v, nv);
    grad_g[RIGHT_LEFT] = sum(right_left, nv), grad_g[DOWN_UP] = sum(down_up, nv);
    grad_g[DOWN_LEFT] = sum(down_left, nv), grad_g[RIGHT_UP] = sum(right_up, nv);
    grad_g[M_LEFT] = dot(read_left, grad, nv), grad_g[M_UP] = dot(read_up, grad, nv);
}

/* Widths that are usual are known to the compiler. */
#define FOR_WIDTH(call)                                                                                                \
    switch (nv) {                                                                                                      \
        case 8: { enum { WIDTH = 8 }; call; break; }                                                                   \
        case 16: { enum { WIDTH = 16 }; call; break; }                                                                 \
        case 32: { enum { WIDTH = 32 }; call; break; }                                                                 \
        case 64: { enum { WIDTH = 64 }; call; break; }                                                                 \
        default: { const ptrdiff_t WIDTH = nv; call; }                                                                 \
    }

/* Arguments that both passes share. */
typedef struct {
    Shape shape;
    const unsigned char *flips;
    const REAL *query, *key, *value, *gates, *direct;
} Problem;

/* Position of the gates of a node. */
INLINE ptrdiff_t gates_at(const Problem *p, ptrdiff_t unit, ptrdiff_t o, ptrdiff_t x, ptrdiff_t y) {
    const ptrdiff_t lines = (unit * p->shape.orientations + o) * p->shape.width + x;
    return (lines * p->shape.height + y) * NUM_GATES;
}

/* Position of a node's features and direct gate, in units of their width. */
INLINE ptrdiff_t node_at(const Problem *p, ptrdiff_t unit, ptrdiff_t x, ptrdiff_t y) {
    const ptrdiff_t grid = unit / p->shape.heads, head = unit % p->shape.heads;
    return ((grid * p->shape.width + x) * p->shape.height + y) * p->shape.heads + head;
}

/* Where on the first axis an orientation is at a step. */
INLINE ptrdiff_t place(const Problem *p, ptrdiff_t o, ptrdiff_t step) {
    return p->flips[2 * o] ? p->shape.width - 1 - step : step;
}

/* A line of nodes: replaces the states that enter it, of all its nodes, by those that leave it. */
INLINE void advance_line(const Problem *p, ptrdiff_t unit, ptrdiff_t o, ptrdiff_t step, REAL *restrict right,
                         REAL *restrict down, REAL *restrict out, ptrdiff_t stride) {
    const ptrdiff_t nk = p->shape.key_width, nv = p->shape.value_width, size = nk * nv, ny = p->shape.height;
    const ptrdiff_t x = place(p, o, step);
    memset(down, 0, (size_t)size * sizeof(REAL));
    for (ptrdiff_t line = 0; line < ny; line++) {
        const ptrdiff_t y = p->flips[2 * o + 1] ? ny - 1 - line : line, at = node_at(p, unit, x, y);
        const REAL *g = p->gates + gates_at(p, unit, o, x, y);
        FOR_WIDTH(advance(g, p->query + at * nk, p->key + at * nk, p->value + at * nv, right + y * size, down,
                          out + at * stride, nk, WIDTH))
    }
}

/* What the functions below are called with. */
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

int forward(int64_t first, int64_t last, const Forward *a) {
    const Shape *shape = a->shape;
    const REAL *query = a->query, *key = a->key, *value = a->value, *direct = a->direct;
    REAL *out = a->out;
    const Problem problem = {*shape, a->flips, query, key, value, a->gates, direct};
    const ptrdiff_t nx = shape->width, ny = shape->height, no = shape->orientations;
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, size = nk * nv;
    /* One number more: a request for nothing may be refused. */
    REAL *right = malloc((size_t)((ny + 1) * size + 1) * sizeof(REAL));
    if (!right) return 1;
    REAL *down = right + ny * size;
    for (ptrdiff_t unit = first; unit < last; unit++) {
        for (ptrdiff_t node = 0; node < nx * ny; node++) {
            const ptrdiff_t at = node_at(&problem, unit, 0, node);
            const REAL weight = direct[at] * dot(query + at * nk, key + at * nk, nk);
            for (ptrdiff_t j = 0; j < nv; j++) out[at * nv + j] = weight * value[at * nv + j];
        }
        for (ptrdiff_t o = 0; o < no; o++) {
            memset(right, 0, (size_t)(ny * size) * sizeof(REAL));
            for (ptrdiff_t step = 0; step < nx; step++)
                advance_line(&problem, unit, o, step, right, down, out, nv);
        }
    }
    free(right);
    return 0;
}

/* The backward pass of one line, given the states that enter it; gradients of the states that leave it are replaced by
   those of the states that enter it. */
INLINE void retreat_line(const Problem *p, ptrdiff_t unit, ptrdiff_t o, ptrdiff_t step, const REAL *restrict enter,
                         REAL *restrict down, REAL *restrict grad_right, REAL *restrict grad_down,
                         REAL *restrict sums, const REAL *grad, REAL *grad_query, REAL *grad_key, REAL *grad_value,
                         REAL *grad_gates) {
    const ptrdiff_t nk = p->shape.key_width, nv = p->shape.value_width, size = nk * nv, ny = p->shape.height;
    const ptrdiff_t x = place(p, o, step);
    memset(down, 0, (size_t)size * sizeof(REAL));
    for (ptrdiff_t line = 0; line + 1 < ny; line++) {
        const ptrdiff_t y = p->flips[2 * o + 1] ? ny - 1 - line : line, at = node_at(p, unit, x, y);
        const REAL *g = p->gates + gates_at(p, unit, o, x, y);
        FOR_WIDTH(advance_down(g, p->key + at * nk, p->value + at * nv, enter + y * size, down + line * size,
                               down + (line + 1) * size, nk, WIDTH))
    }
    memset(grad_down, 0, (size_t)size * sizeof(REAL));
    for (ptrdiff_t line = ny - 1; line >= 0; line--) {
        const ptrdiff_t y = p->flips[2 * o + 1] ? ny - 1 - line : line, at = node_at(p, unit, x, y);
        const ptrdiff_t gate = gates_at(p, unit, o, x, y);
        FOR_WIDTH(retreat(p->gates + gate, p->query + at * nk, p->key + at * nk, p->value + at * nv, enter + y * size,
                          down + line * size, grad + at * nv, grad_right + y * size, grad_down, grad_gates + gate,
                          grad_query + at * nk, grad_key + at * nk, grad_value + at * nv, sums, nk, WIDTH))
    }
}

/* Numbers in the states of a band of lines, so that they fit into the cache of a core. */
enum { BAND = 1 << 17 };

int backward(int64_t first, int64_t last, const Backward *a) {
    const Shape *shape = a->shape;
    const REAL *grad = a->grad, *query = a->query, *key = a->key, *value = a->value, *direct = a->direct;
    REAL *grad_query = a->grad_query, *grad_key = a->grad_key, *grad_value = a->grad_value;
    REAL *grad_gates = a->grad_gates, *grad_direct = a->grad_direct;
    const Problem problem = {*shape, a->flips, query, key, value, a->gates, direct};
    const ptrdiff_t nx = shape->width, ny = shape->height, no = shape->orientations;
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, size = nk * nv, full = ny * size;
    /* States that enter the first line of every band are kept, those inside a band computed anew. */
    const ptrdiff_t band = full > 0 && BAND / full > 1 ? BAND / full : 1, bands = (nx + band - 1) / band;
    REAL *kept = malloc((size_t)((bands + 1 + band + 2) * full + 2 * size + 9 * nv) * sizeof(REAL));
    if (!kept) return 1;
    REAL *enter = kept + (bands + 1) * full, *grad_right = enter + band * full, *down = grad_right + full;
    REAL *grad_down = down + full + size, *sums = grad_down + size, *unused = sums + 8 * nv;
    memset(unused, 0, (size_t)nv * sizeof(REAL));
    for (ptrdiff_t unit = first; unit < last; unit++) {
        for (ptrdiff_t node = 0; node < nx * ny; node++) {
            const ptrdiff_t at = node_at(&problem, unit, 0, node);
            const REAL *q = query + at * nk, *k = key + at * nk, *v = value + at * nv, *g = grad + at * nv;
            const REAL score = dot(q, k, nk), weight = dot(g, v, nv);
            grad_direct[at] = score * weight;
            for (ptrdiff_t i = 0; i < nk; i++) {
                grad_query[at * nk + i] = direct[at] * weight * k[i];
                grad_key[at * nk + i] = direct[at] * weight * q[i];
            }
            for (ptrdiff_t j = 0; j < nv; j++) grad_value[at * nv + j] = direct[at] * score * g[j];
        }
        for (ptrdiff_t o = 0; o < no; o++) {
            memset(kept, 0, (size_t)full * sizeof(REAL));
            for (ptrdiff_t b = 0; b + 1 < bands; b++) {
                REAL *next = kept + (b + 1) * full;
                memcpy(next, next - full, (size_t)full * sizeof(REAL));
                for (ptrdiff_t step = b * band; step < (b + 1) * band; step++)
                    advance_line(&problem, unit, o, step, next, down, unused, 0);
            }
            memset(grad_right, 0, (size_t)full * sizeof(REAL));
            for (ptrdiff_t b = bands - 1; b >= 0; b--) {
                const ptrdiff_t begin = b * band, end = begin + band < nx ? begin + band : nx;
                memcpy(enter, kept + b * full, (size_t)full * sizeof(REAL));
                for (ptrdiff_t step = begin; step + 1 < end; step++) {
                    REAL *next = enter + (step + 1 - begin) * full;
                    memcpy(next, next - full, (size_t)full * sizeof(REAL));
                    advance_line(&problem, unit, o, step, next, down, unused, 0);
                }
                for (ptrdiff_t step = end - 1; step >= begin; step--)
                    retreat_line(&problem, unit, o, step, enter + (step - begin) * full, down, grad_right,
                                 grad_down, sums, grad, grad_query, grad_key, grad_value, grad_gates);
            }
        }
    }
    free(kept);
    return 0;
}
