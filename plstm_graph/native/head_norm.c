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

INLINE REAL dot(const REAL *restrict a, const REAL *restrict b, int64_t n) {
    REAL total = 0;
    _Pragma("omp simd reduction(+ : total)") for (int64_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

/* out = w x f, and the size r of each head; f = 1 / r or log(1 + r) / r. */
INLINE void scale_rows(const Sizes *z, REAL eps, int64_t first, int64_t last, const REAL *restrict x,
                       const REAL *restrict weight, REAL *restrict out, REAL *restrict size, int64_t width) {
    for (int64_t row = first; row < last; row++) {
        for (int64_t h = 0; h < z->heads; h++) {
            const int64_t head = row * z->heads + h;
            const REAL *y = x + head * width, *w = weight + h * width;
            const REAL r = sqrt(dot(y, y, width) / (REAL)width + eps);
            const REAL factor = (z->kind == LOG ? log1p(r) : (REAL)1) / r;
            REAL *scaled = out + head * width;
            EACH(v, width) scaled[v] = factor * y[v] * w[v];
            size[head] = r;
        }
    }
}

/* Gradients of x and of the weight, the latter added to what is there. With s = sum g w x, the gradient of x is
   f g w + f'(r) s x / (V r). */
INLINE void scale_rows_backward(const Sizes *z, int64_t first, int64_t last, const REAL *restrict grad,
                                const REAL *restrict x, const REAL *restrict weight, const REAL *restrict size,
                                REAL *restrict grad_x, REAL *restrict grad_weight, int64_t width) {
    for (int64_t row = first; row < last; row++) {
        for (int64_t h = 0; h < z->heads; h++) {
            const int64_t head = row * z->heads + h;
            const REAL *y = x + head * width, *w = weight + h * width, *g = grad + head * width, r = size[head];
            REAL *out = grad_x + head * width, *sum = grad_weight + h * width, along = 0;
            const REAL factor = (z->kind == LOG ? log1p(r) : (REAL)1) / r;
            const REAL slope = ((z->kind == LOG ? 1 / (1 + r) : (REAL)0) - factor) / r;
            _Pragma("omp simd reduction(+ : along)") for (int64_t v = 0; v < width; v++) along += g[v] * w[v] * y[v];
            const REAL back = slope * along / ((REAL)width * r);
            EACH(v, width) {
                out[v] = factor * g[v] * w[v] + back * y[v];
                sum[v] += factor * g[v] * y[v];
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
    const int64_t from = a->z->rows * first / a->z->parts, to = a->z->rows * last / a->z->parts;
#define SCALE(width) scale_rows(a->z, (REAL)*a->eps, from, to, a->x, a->weight, a->out, a->size, width)
    FOR_WIDTH(a->z->width, SCALE);
    return 0;
}

/* Parts first to last - 1: gradients of rows [R, H, V], and of the weight from each part [parts, H, V]. */
int backward(int64_t first, int64_t last, const Backward *a) {
    const Sizes *z = a->z;
    for (int64_t part = first; part < last; part++) {
        const int64_t from = z->rows * part / z->parts, to = z->rows * (part + 1) / z->parts;
        REAL *sum = a->grad_weight + part * z->heads * z->width;
        memset(sum, 0, (size_t)(z->heads * z->width) * sizeof(REAL));
#define SCALE_BACKWARD(width)                                                                               \
    scale_rows_backward(z, from, to, a->grad, a->x, a->weight, a->size, a->grad_x, sum, width)
        FOR_WIDTH(z->width, SCALE_BACKWARD);
    }
    return 0;
}
