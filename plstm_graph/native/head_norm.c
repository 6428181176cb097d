/* Norms of what each head reads, and their gradients; REAL is float or double.

   All tensors are contiguous. A row is what all heads of a node read, [H, V]. Rows are divided into parts, each of which
   has a gradient of the weight of its own, so that parts may be evaluated side by side. */

#include <stdint.h>
#include <string.h>
#include <tgmath.h>

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n) _Pragma("omp simd") for (int64_t i = 0; i < n; i++)

/* What becomes of the size r of a head: one, or its logarithm log(1 + r). */
enum { RMS, LOG };

typedef struct {
    int64_t rows, heads, width, parts, kind;
} Sizes;

/* Sums of products are kept in as many places as a register of most processors has for floats, and these added in
   pairs: compilers may not do so by themselves, and one sum after the other is slow. */
enum { LANES = 8 };

INLINE REAL total(const REAL *lane) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Sum of squares. */
INLINE REAL square(const REAL *restrict y, int64_t n) {
    REAL lane[LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) EACH(l, LANES) lane[l] += y[i + l] * y[i + l];
    for (; i < n; i++) rest += y[i] * y[i];
    return total(lane) + rest;
}

/* Sum of products of three. */
INLINE REAL product(const REAL *restrict g, const REAL *restrict w, const REAL *restrict y, int64_t n) {
    REAL lane[LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) EACH(l, LANES) lane[l] += g[i + l] * w[i + l] * y[i + l];
    for (; i < n; i++) rest += g[i] * w[i] * y[i];
    return total(lane) + rest;
}

/* Heads whose factors are computed together: roots and quotients of several cost what those of one do. */
enum { TOGETHER = 16 };

/* f = 1 / r or log(1 + r) / r of some heads. */
INLINE void factors(const REAL *restrict size, REAL *restrict factor, int64_t heads, int64_t kind) {
    EACH(i, heads) factor[i] = 1 / size[i];
    if (kind == LOG)
        for (int64_t i = 0; i < heads; i++) factor[i] *= log1p(size[i]);
}

/* out = w x f, and the size r of each head, for heads first to last - 1 of all rows. */
INLINE void scale_heads(const Sizes *z, REAL eps, int64_t first, int64_t last, const REAL *restrict x,
                        const REAL *restrict weight, REAL *restrict out, REAL *restrict size, int64_t width) {
    REAL factor[TOGETHER];
    for (int64_t start = first, h = 0; start < last; start += TOGETHER) {
        const int64_t n = last - start < TOGETHER ? last - start : TOGETHER;
        REAL *r = size + start;
        for (int64_t i = 0; i < n; i++) r[i] = square(x + (start + i) * width, width);
        EACH(i, n) r[i] = sqrt(r[i] / (REAL)width + eps);
        factors(r, factor, n, z->kind);
        for (int64_t i = 0; i < n; i++, h = h + 1 < z->heads ? h + 1 : 0) {
            const REAL *y = x + (start + i) * width, *w = weight + h * width;
            REAL *scaled = out + (start + i) * width;
            EACH(v, width) scaled[v] = factor[i] * y[v] * w[v];
        }
    }
}

/* Gradients of x and of the weight, the latter added to what is there. With s = sum g w x, the gradient of x is
   f g w + f'(r) s x / (V r). */
INLINE void scale_heads_backward(const Sizes *z, int64_t first, int64_t last, const REAL *restrict grad,
                                 const REAL *restrict x, const REAL *restrict weight, const REAL *restrict size,
                                 REAL *restrict grad_x, REAL *restrict grad_weight, int64_t width) {
    REAL factor[TOGETHER], back[TOGETHER];
    for (int64_t start = first, of_first = 0; start < last; start += TOGETHER) {
        const int64_t n = last - start < TOGETHER ? last - start : TOGETHER;
        const REAL *r = size + start;
        for (int64_t i = 0, h = of_first; i < n; i++, h = h + 1 < z->heads ? h + 1 : 0) {
            const REAL *y = x + (start + i) * width, *g = grad + (start + i) * width, *w = weight + h * width;
            back[i] = product(g, w, y, width);
        }
        factors(r, factor, n, z->kind);
        EACH(i, n) {
            const REAL slope = ((z->kind == LOG ? 1 / (1 + r[i]) : (REAL)0) - factor[i]) / r[i];
            back[i] *= slope / ((REAL)width * r[i]);
        }
        for (int64_t i = 0; i < n; i++, of_first = of_first + 1 < z->heads ? of_first + 1 : 0) {
            const REAL *y = x + (start + i) * width, *g = grad + (start + i) * width, *w = weight + of_first * width;
            REAL *grad_y = grad_x + (start + i) * width, *sum = grad_weight + of_first * width;
            EACH(v, width) {
                grad_y[v] = factor[i] * g[v] * w[v] + back[i] * y[v];
                sum[v] += factor[i] * g[v] * y[v];
            }
        }
    }
}

/* Widths that compilers know are faster. */
#define FOR_WIDTH(width, CALL)             \
    do {                                   \
        if ((width) == 8) CALL(8);         \
        else if ((width) == 16) CALL(16);  \
        else if ((width) == 24) CALL(24);  \
        else if ((width) == 32) CALL(32);  \
        else CALL(width);                  \
    } while (0)

typedef struct {
    const Sizes *z;
    const double *eps;
    const REAL *x, *weight;
    REAL *out, *size;
} Forward;

typedef struct {
    const Sizes *z;
    const REAL *grad, *x, *weight, *size;
    REAL *grad_x, *grad_weight;
} Backward;

/* Parts first to last - 1: normed rows [R, H, V], and the size of each head [R, H]. */
int forward(int64_t first, int64_t last, const Forward *a) {
    const Sizes *z = a->z;
    const int64_t from = z->rows * first / z->parts * z->heads, to = z->rows * last / z->parts * z->heads;
#define SCALE(width) scale_heads(z, (REAL)*a->eps, from, to, a->x, a->weight, a->out, a->size, width)
    FOR_WIDTH(z->width, SCALE);
    return 0;
}

/* Parts first to last - 1: gradients of rows [R, H, V], and of the weight from each part [parts, H, V]. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const Sizes *z = a->z;
    for (int64_t part = first; part < last; part++) {
        const int64_t from = z->rows * part / z->parts * z->heads, to = z->rows * (part + 1) / z->parts * z->heads;
        REAL *sum = a->grad_weight + part * z->heads * z->width;
        memset(sum, 0, (size_t)(z->heads * z->width) * sizeof(REAL));
#define SCALE_BACKWARD(width)                                                                               \
    scale_heads_backward(z, from, to, a->grad, a->x, a->weight, a->size, a->grad_x, sum, width)
        FOR_WIDTH(z->width, SCALE_BACKWARD);
    }
    return 0;
}
