/* The order in which a DAG is walked through node by node, and lists of what meets at each node. */

#ifndef PLSTM_PLAN
#define PLSTM_PLAN

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../graph/indices.h"

typedef struct {
    int64_t *order;              /* nodes, each behind its predecessors */
    int64_t *in_ptr, *in_edge;   /* edges that enter each node */
    int64_t *out_ptr, *out_edge; /* edges that leave it */
    int64_t *pair_ptr, *pair;    /* pairs that lead to each edge */
    const int64_t *pair_in;      /* the edge that each pair comes from */
} Plan;

static void group(const int64_t *row, int64_t items, int64_t rows, int64_t *ptr, int64_t *item) {
    memset(ptr, 0, (size_t)(rows + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < items; i++) ptr[row[i] + 1]++;
    for (int64_t r = 0; r < rows; r++) ptr[r + 1] += ptr[r];
    for (int64_t i = 0; i < items; i++) item[ptr[row[i]]++] = i;
    for (int64_t r = rows; r > 0; r--) ptr[r] = ptr[r - 1];
    ptr[0] = 0;
}

/* Fills a plan; 1 if there is no memory, 2 if the graph has a cycle, 3 if an index is outside its range, 4 if a pair
   does not meet at a node: its second edge could come before its first. */
int make_plan(int64_t nodes, int64_t edges, int64_t pairs, const Plan *t, const int64_t *start, const int64_t *end,
              const int64_t *pair_out) {
    if (outside(start, edges, nodes) || outside(end, edges, nodes)) return 3;
    if (outside(t->pair_in, pairs, edges) || outside(pair_out, pairs, edges)) return 3;
    int apart = 0;
    for (int64_t p = 0; p < pairs; p++) apart |= end[t->pair_in[p]] != start[pair_out[p]];
    if (apart) return 4;
    int64_t *waiting = malloc((size_t)(2 * nodes + 1) * sizeof(int64_t));
    if (!waiting) return 1;
    int64_t *stack = waiting + nodes, height = 0, done = 0;
    group(end, edges, nodes, t->in_ptr, t->in_edge);
    group(start, edges, nodes, t->out_ptr, t->out_edge);
    group(pair_out, pairs, edges, t->pair_ptr, t->pair);
    for (int64_t node = nodes - 1; node >= 0; node--) {
        waiting[node] = t->in_ptr[node + 1] - t->in_ptr[node];
        if (waiting[node] == 0) stack[height++] = node;
    }
    while (height > 0) {
        const int64_t node = stack[--height];
        t->order[done++] = node;
        for (int64_t i = t->out_ptr[node]; i < t->out_ptr[node + 1]; i++)
            if (--waiting[end[t->out_edge[i]]] == 0) stack[height++] = end[t->out_edge[i]];
    }
    free(waiting);
    return done == nodes ? 0 : 2;
}

/* Whether rows of items do not begin at 0, one where the last one ends, and end with the last item. */
static int broken(const int64_t *ptr, int64_t rows, int64_t items) {
    int bad = ptr[0] != 0 || ptr[rows] != items;
    for (int64_t r = 0; r < rows; r++) bad |= ptr[r] > ptr[r + 1];
    return bad;
}

/* Whether a plan that was kept can be walked through without leaving any array: 0, or 3 if it cannot. */
int check_plan(int64_t nodes, int64_t edges, int64_t pairs, const Plan *t) {
    if (outside(t->order, nodes, nodes) || outside(t->in_edge, edges, edges) || outside(t->out_edge, edges, edges))
        return 3;
    if (outside(t->pair, pairs, pairs) || outside(t->pair_in, pairs, edges)) return 3;
    return broken(t->in_ptr, nodes, edges) || broken(t->out_ptr, nodes, edges) || broken(t->pair_ptr, edges, pairs) ? 3 : 0;
}

#endif
