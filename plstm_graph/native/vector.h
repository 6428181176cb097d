/* Rows of numbers by eights; REAL is float or double. Compilers lower a vector to the registers that there are. */

#ifndef PLSTM_VECTOR
#define PLSTM_VECTOR

#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

typedef REAL Vector __attribute__((vector_size(8 * sizeof(REAL))));
/* Anywhere in memory. */
typedef REAL Loose __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

INLINE Vector at(const REAL *p) { return *(const Loose *)p; }

INLINE void put(REAL *p, Vector x) { *(Loose *)p = x; }

/* The least number of numbers that fill whole vectors. */
INLINE int64_t whole_vectors(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_shufflevector)
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef __typeof__(_Generic((REAL)0, float: (int32_t)0, default: (int64_t)0)) Place;
typedef Place Places __attribute__((vector_size(8 * sizeof(REAL))));
#define PICK(a, b, ...) __builtin_shuffle(a, b, (Places){__VA_ARGS__})
#endif

/* Sums of eight vectors, one each: halves are added up three times, two vectors at a time. */
INLINE Vector sums(const Vector *x) {
    Vector two[4], four[2];
    for (int i = 0; i < 4; i++)
        two[i] = PICK(x[2 * i], x[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13) +
                 PICK(x[2 * i], x[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    for (int i = 0; i < 2; i++)
        four[i] = PICK(two[2 * i], two[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
                  PICK(two[2 * i], two[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    return PICK(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11) + PICK(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

INLINE REAL sum(Vector x) {
    x += PICK(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
    x += PICK(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
    return x[0] + x[1];
}

INLINE REAL dot(const REAL *a, const REAL *b, int64_t n) {
    Vector total = {0};
    REAL rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) total += at(a + i) * at(b + i);
    for (; i < n; i++) rest += a[i] * b[i];
    return sum(total) + rest;
}

#endif
