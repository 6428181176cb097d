/* How a DAG is walked through node by node, and lists of what meets at each node. */

#ifndef PLSTM_PLAN
#define PLSTM_PLAN

#include <stdint.h>

typedef struct {
    int64_t *order;              /* nodes, each behind its predecessors */
    int64_t *in_ptr, *in_edge;   /* edges that enter each node */
    int64_t *out_ptr, *out_edge; /* edges that leave it */
    int64_t *pair_ptr, *pair;    /* pairs that lead to each edge */
    const int64_t *pair_in;      /* the edge that each pair comes from */
} Plan;

#endif
