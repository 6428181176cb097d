/* One sweep through a grid: a few rows and columns of the states, in one orientation. Included by grid2d.c for each
   width: before, NAME(x) says how functions of this width are called, VECTOR_BYTES how large its vectors are, and
   PARTS how many vectors make the columns of a sweep. All numbers but gates lie packed as Pack in grid2d.c says. */

#define VEC NAME(Vector)
#define VEC_LANES (VECTOR_BYTES / (int)sizeof(REAL))
#define BLOCK (ROWS * PARTS)

typedef REAL VEC __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef INTEGER NAME(Mask) __attribute__((vector_size(VECTOR_BYTES)));

/* Sums of neighbouring lanes: those of a, then those of b. */
INLINE VEC NAME(pair_sums)(VEC a, VEC b) {
#define MASK NAME(Mask)
#if VECTOR_BYTES / REAL_BYTES == 16
    return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif VECTOR_BYTES / REAL_BYTES == 8
    return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14) + SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#elif VECTOR_BYTES / REAL_BYTES == 4
    return SHUFFLE(a, b, 0, 2, 4, 6) + SHUFFLE(a, b, 1, 3, 5, 7);
#else
    return SHUFFLE(a, b, 0, 2) + SHUFFLE(a, b, 1, 3);
#endif
#undef MASK
}

/* The sum over the lanes of each of n vectors, a power of two and no more than they have lanes; they are overwritten. */
INLINE void NAME(lane_sums)(VEC *x, int n, REAL *sums) {
    for (int left = n; left > 1; left /= 2)
        for (int i = 0; i < left / 2; i++) x[i] = NAME(pair_sums)(x[2 * i], x[2 * i + 1]);
    for (int each = n; each < VEC_LANES; each *= 2) x[0] = NAME(pair_sums)(x[0], x[0]);
    memcpy(sums, x, (size_t)n * sizeof(REAL));
}

/* One node: the states that leave it, from those that enter it; `right` and `down` may be `left` and `up`. If it reads,
   what it reads is added to its output. In a flat grid, of one node in each line, nothing comes from above. */
INLINE void NAME(advance)(const REAL *g, const REAL *q, const REAL *k, const VEC *v, const VEC *left, const VEC *up,
                          VEC *right, VEC *down, VEC *out, int reads, int flat) {
    for (int p = 0; p < PARTS; p++) {
        const VEC to_right = g[S_RIGHT] * v[p], to_down = g[S_DOWN] * v[p];
        VEC from_left = {0}, from_up = {0};
        UNROLL for (int i = 0; i < ROWS; i++) {
            const int at = i * PARTS + p;
            const VEC l = left[at];
            if (reads) from_left += q[i] * l;
            if (flat) {
                right[at] = g[RIGHT_LEFT] * l + k[i] * to_right;
            } else {
                const VEC u = up[at];
                if (reads) from_up += q[i] * u;
                right[at] = g[RIGHT_LEFT] * l + (g[RIGHT_UP] * u + k[i] * to_right);
                down[at] = g[DOWN_UP] * u + (g[DOWN_LEFT] * l + k[i] * to_down);
            }
        }
        if (reads) out[p] += g[M_LEFT] * from_left + g[M_UP] * from_up;
    }
}

/* One node of the backward pass: takes the gradients of the states that leave it, replaces them by those of the states
   that enter it, and adds to the gradients of the node. */
INLINE void NAME(retreat)(const REAL *g, const REAL *q, const REAL *k, const VEC *v, const VEC *grad, const VEC *left,
                          const VEC *up, VEC *restrict grad_right, VEC *restrict grad_down, REAL *restrict grad_g,
                          REAL *restrict grad_q, REAL *restrict grad_k, VEC *restrict grad_v, int flat) {
    /* Of each row's query and key, and of each gate: sums over columns are taken last, many at once. */
    enum { SUMS = 2 * ROWS + NUM_GATES, LEFT = SUMS % VEC_LANES };
    VEC of[SUMS], *of_g = of + 2 * ROWS;
    for (int p = 0; p < PARTS; p++) {
        const VEC from_left = g[M_LEFT] * grad[p], from_up = g[M_UP] * grad[p];
        VEC right_left = {0}, down_up = {0}, down_left = {0}, right_up = {0};
        VEC put_right = {0}, put_down = {0}, read_left = {0}, read_up = {0};
        UNROLL for (int i = 0; i < ROWS; i++) {
            const int at = i * PARTS + p;
            const VEC l = left[at], right = grad_right[at];
            VEC of_q = from_left * l, of_k = g[S_RIGHT] * right;
            right_left += right * l;
            put_right += k[i] * right;
            read_left += q[i] * l;
            grad_right[at] = g[RIGHT_LEFT] * right + q[i] * from_left;
            if (!flat) {
                const VEC u = up[at], down = grad_down[at];
                of_q += from_up * u, of_k += g[S_DOWN] * down;
                down_up += down * u, down_left += down * l, right_up += right * u;
                put_down += k[i] * down;
                read_up += q[i] * u;
                grad_right[at] += g[DOWN_LEFT] * down;
                grad_down[at] = g[DOWN_UP] * down + (g[RIGHT_UP] * right + q[i] * from_up);
            }
            if (p == 0) of[i] = of_q, of[ROWS + i] = v[p] * of_k;
            else of[i] += of_q, of[ROWS + i] += v[p] * of_k;
        }
        grad_v[p] += g[S_RIGHT] * put_right + g[S_DOWN] * put_down;
        const VEC own[NUM_GATES] = {put_right * v[p], put_down * v[p], right_left, down_up,
                                    down_left, right_up, read_left * grad[p], read_up * grad[p]};
        for (int i = 0; i < NUM_GATES; i++) {
            if (p == 0) of_g[i] = own[i];
            else of_g[i] += own[i];
        }
    }
    REAL sums[SUMS];
    for (int i = 0; i + VEC_LANES <= SUMS; i += VEC_LANES) NAME(lane_sums)(of + i, VEC_LANES, sums + i);
    if (LEFT) NAME(lane_sums)(of + SUMS - LEFT, LEFT, sums + SUMS - LEFT);
    SIMD for (int i = 0; i < ROWS; i++) grad_q[i] += sums[i];
    SIMD for (int i = 0; i < ROWS; i++) grad_k[i] += sums[ROWS + i];
    SIMD for (int i = 0; i < NUM_GATES; i++) grad_g[i] += sums[2 * ROWS + i];
}

/* Where a node of a line is on the second axis, and in the grid. */
#define NODE(line) ((s->against_second ? s->height - 1 - (line) : (line)) + s->height * x)

/* A line of nodes: replaces the states that enter it, in its own order, by those that leave it. */
INLINE void NAME(advance_line)(const Sweep *s, ptrdiff_t step, VEC *right, int reads, int flat) {
    const ptrdiff_t x = s->against_first ? s->width - 1 - step : step;
    VEC down[BLOCK] = {{0}};
    for (ptrdiff_t line = 0; line < s->height; line++) {
        const ptrdiff_t node = NODE(line);
        VEC *r = right + line * BLOCK;
        NAME(advance)(s->gates + node * NUM_GATES, s->query + node * ROWS, s->key + node * ROWS,
                      (const VEC *)s->value + node * PARTS, r, down, r, down, (VEC *)s->out + (reads ? node * PARTS : 0),
                      reads, flat);
    }
}

/* The same, where the states that enter each node are kept: from the left and from above, side by side. */
INLINE void NAME(fill_line)(const Sweep *s, ptrdiff_t step, VEC *enter, VEC *next, int flat) {
    const ptrdiff_t x = s->against_first ? s->width - 1 - step : step;
    VEC down[BLOCK] = {{0}};
    for (ptrdiff_t line = 0; line < s->height; line++) {
        const ptrdiff_t node = NODE(line);
        VEC *left = enter + line * 2 * BLOCK, *up = left + BLOCK;
        if (!flat) memcpy(up, down, sizeof down);
        NAME(advance)(s->gates + node * NUM_GATES, s->query + node * ROWS, s->key + node * ROWS,
                      (const VEC *)s->value + node * PARTS, left, down, next + line * 2 * BLOCK, down, NULL, 0, flat);
    }
}

INLINE void NAME(retreat_line)(const Sweep *s, ptrdiff_t step, const VEC *enter, VEC *grad_right, int flat) {
    const ptrdiff_t x = s->against_first ? s->width - 1 - step : step;
    VEC grad_down[BLOCK] = {{0}};
    for (ptrdiff_t line = s->height - 1; line >= 0; line--) {
        const ptrdiff_t node = NODE(line);
        const VEC *left = enter + line * 2 * BLOCK;
        NAME(retreat)(s->gates + node * NUM_GATES, s->query + node * ROWS, s->key + node * ROWS,
                      (const VEC *)s->value + node * PARTS, (const VEC *)s->grad + node * PARTS, left, left + BLOCK,
                      grad_right + line * BLOCK, grad_down, s->grad_gates + node * NUM_GATES,
                      s->grad_query + node * ROWS, s->grad_key + node * ROWS, (VEC *)s->grad_value + node * PARTS,
                      flat);
    }
}

INLINE void NAME(forward_sweep)(const Sweep *s, int flat) {
    VEC *right = (VEC *)s->states;
    memset(right, 0, (size_t)(s->height * BLOCK) * sizeof(VEC));
    for (ptrdiff_t step = 0; step < s->width; step++) NAME(advance_line)(s, step, right, 1, flat);
}

INLINE void NAME(backward_sweep)(const Sweep *s, int flat) {
    const ptrdiff_t line = s->height * BLOCK;
    /* Gradients; states that enter each band of lines; those that enter each node of a band, and of one line more. */
    VEC *grad_right = (VEC *)s->states, *kept = grad_right + line, *enter = kept + s->bands * line;
    memset(kept, 0, (size_t)line * sizeof(VEC));
    for (ptrdiff_t b = 0; b + 1 < s->bands; b++) {
        VEC *next = kept + (b + 1) * line;
        memcpy(next, next - line, (size_t)line * sizeof(VEC));
        for (ptrdiff_t step = b * s->band; step < (b + 1) * s->band; step++) NAME(advance_line)(s, step, next, 0, flat);
    }
    memset(grad_right, 0, (size_t)line * sizeof(VEC));
    for (ptrdiff_t b = s->bands - 1; b >= 0; b--) {
        const ptrdiff_t begin = b * s->band, end = begin + s->band < s->width ? begin + s->band : s->width;
        for (ptrdiff_t node = 0; node < s->height; node++)
            memcpy(enter + 2 * node * BLOCK, kept + b * line + node * BLOCK, BLOCK * sizeof(VEC));
        for (ptrdiff_t step = begin; step < end; step++)
            NAME(fill_line)(s, step, enter + (step - begin) * 2 * line, enter + (step - begin + 1) * 2 * line, flat);
        for (ptrdiff_t step = end - 1; step >= begin; step--)
            NAME(retreat_line)(s, step, enter + (step - begin) * 2 * line, grad_right, flat);
    }
}

static void NAME(sweep)(const Sweep *s) {
    if (s->height == 1) NAME(forward_sweep)(s, 1);
    else NAME(forward_sweep)(s, 0);
}

static void NAME(sweep_back)(const Sweep *s) {
    if (s->height == 1) NAME(backward_sweep)(s, 1);
    else NAME(backward_sweep)(s, 0);
}

#undef NODE
#undef BLOCK
#undef VEC_LANES
#undef VEC
#undef NAME
#undef VECTOR_BYTES
#undef PARTS
