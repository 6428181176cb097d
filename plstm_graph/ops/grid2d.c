/* The operator on grids, node by node, with the states of two lines at most in the cache; REAL is float or double.

   A unit is one head of one grid. All tensors are contiguous: features [B, X, Y, H, K or V], each of the eight gates
   [B, X, Y, O, H] in the order of GATES in grid2d.py, direct [B, X, Y, H]. Orientation o runs against the first axis
   if flips[2 o], against the second if flips[2 o + 1]. Units first to last - 1 are evaluated; they share no output.
   Functions return 0, or 1 if there is no memory for their scratch. */

#include <stddef.h>
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

INLINE void load_gates(const REAL *const *gates, ptrdiff_t at, REAL *g) {
    for (int i = 0; i < NUM_GATES; i++) g[i] = gates[i][at];
}

int forward(const Shape *shape, const unsigned char *flips, ptrdiff_t first, ptrdiff_t last, const REAL *query,
            const REAL *key, const REAL *value, const REAL *const *gates, const REAL *direct, REAL *out) {
    const ptrdiff_t nx = shape->width, ny = shape->height, no = shape->orientations, nh = shape->heads;
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, size = nk * nv;
    REAL *right = malloc((size_t)((ny + 1) * size) * sizeof(REAL));
    if (!right) return 1;
    REAL *down = right + ny * size;
    for (ptrdiff_t unit = first; unit < last; unit++) {
        const ptrdiff_t base = unit / nh * nx * ny, head = unit % nh;
        for (ptrdiff_t node = 0; node < nx * ny; node++) {
            const ptrdiff_t at = (base + node) * nh + head;
            const REAL weight = direct[at] * dot(query + at * nk, key + at * nk, nk);
            for (ptrdiff_t j = 0; j < nv; j++) out[at * nv + j] = weight * value[at * nv + j];
        }
        for (ptrdiff_t o = 0; o < no; o++) {
            memset(right, 0, (size_t)(ny * size) * sizeof(REAL));
            for (ptrdiff_t step = 0; step < nx; step++) {
                const ptrdiff_t x = flips[2 * o] ? nx - 1 - step : step;
                memset(down, 0, (size_t)size * sizeof(REAL));
                for (ptrdiff_t line = 0; line < ny; line++) {
                    const ptrdiff_t y = flips[2 * o + 1] ? ny - 1 - line : line, node = base + x * ny + y;
                    const ptrdiff_t at = node * nh + head;
                    REAL g[NUM_GATES];
                    load_gates(gates, (node * no + o) * nh + head, g);
                    FOR_WIDTH(advance(g, query + at * nk, key + at * nk, value + at * nv, right + y * size, down,
                                      out + at * nv, nk, WIDTH))
                }
            }
        }
    }
    free(right);
    return 0;
}

int backward(const Shape *shape, const unsigned char *flips, ptrdiff_t first, ptrdiff_t last, const REAL *grad,
             const REAL *query, const REAL *key, const REAL *value, const REAL *const *gates, const REAL *direct,
             REAL *grad_query, REAL *grad_key, REAL *grad_value, REAL *const *grad_gates, REAL *grad_direct) {
    const ptrdiff_t nx = shape->width, ny = shape->height, no = shape->orientations, nh = shape->heads;
    const ptrdiff_t nk = shape->key_width, nv = shape->value_width, size = nk * nv;
    /* States on the edges that enter each line, then of one line: states down, gradients; then sums of a node. */
    REAL *enter = malloc((size_t)((nx + 1) * ny * size + (ny + 1) * size + ny * size + size + 9 * nv) * sizeof(REAL));
    if (!enter) return 1;
    REAL *down = enter + (nx + 1) * ny * size, *grad_right = down + (ny + 1) * size;
    REAL *grad_down = grad_right + ny * size, *sums = grad_down + size, *unused = sums + 8 * nv;
    memset(unused, 0, (size_t)nv * sizeof(REAL));
    for (ptrdiff_t unit = first; unit < last; unit++) {
        const ptrdiff_t base = unit / nh * nx * ny, head = unit % nh;
        for (ptrdiff_t node = 0; node < nx * ny; node++) {
            const ptrdiff_t at = (base + node) * nh + head;
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
            memset(enter, 0, (size_t)(ny * size) * sizeof(REAL));
            for (ptrdiff_t step = 0; step + 1 < nx; step++) {
                const ptrdiff_t x = flips[2 * o] ? nx - 1 - step : step;
                memcpy(enter + (step + 1) * ny * size, enter + step * ny * size, (size_t)(ny * size) * sizeof(REAL));
                memset(down, 0, (size_t)size * sizeof(REAL));
                for (ptrdiff_t line = 0; line < ny; line++) {
                    const ptrdiff_t y = flips[2 * o + 1] ? ny - 1 - line : line, node = base + x * ny + y;
                    const ptrdiff_t at = node * nh + head;
                    REAL g[NUM_GATES];
                    load_gates(gates, (node * no + o) * nh + head, g);
                    FOR_WIDTH(advance(g, query + at * nk, key + at * nk, value + at * nv,
                                      enter + ((step + 1) * ny + y) * size, down, unused, nk, WIDTH))
                }
            }
            memset(grad_right, 0, (size_t)(ny * size) * sizeof(REAL));
            for (ptrdiff_t step = nx - 1; step >= 0; step--) {
                const ptrdiff_t x = flips[2 * o] ? nx - 1 - step : step;
                memset(down, 0, (size_t)size * sizeof(REAL));
                for (ptrdiff_t line = 0; line + 1 < ny; line++) {
                    const ptrdiff_t y = flips[2 * o + 1] ? ny - 1 - line : line, node = base + x * ny + y;
                    const ptrdiff_t at = node * nh + head;
                    REAL g[NUM_GATES];
                    load_gates(gates, (node * no + o) * nh + head, g);
                    FOR_WIDTH(advance_down(g, key + at * nk, value + at * nv, enter + (step * ny + y) * size,
                                           down + line * size, down + (line + 1) * size, nk, WIDTH))
                }
                memset(grad_down, 0, (size_t)size * sizeof(REAL));
                for (ptrdiff_t line = ny - 1; line >= 0; line--) {
                    const ptrdiff_t y = flips[2 * o + 1] ? ny - 1 - line : line, node = base + x * ny + y;
                    const ptrdiff_t at = node * nh + head, gate = (node * no + o) * nh + head;
                    REAL g[NUM_GATES], grad_g[NUM_GATES];
                    load_gates(gates, gate, g);
                    FOR_WIDTH(retreat(g, query + at * nk, key + at * nk, value + at * nv,
                                      enter + (step * ny + y) * size, down + line * size, grad + at * nv,
                                      grad_right + y * size, grad_down, grad_g, grad_query + at * nk,
                                      grad_key + at * nk, grad_value + at * nv, sums, nk, WIDTH))
                    for (int i = 0; i < NUM_GATES; i++) grad_gates[i][gate] = grad_g[i];
                }
            }
        }
    }
    free(enter);
    return 0;
}
