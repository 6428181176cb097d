/* How a DAG is walked through node by node.

   Nodes, edges and pairs are counted in the order in which a walk meets them, which is their place: so all that leaves a
   node, and all that leads to an edge, lies side by side. A segment of the walk shares no edge with what lies outside of
   it, as the graphs of a batch do. Each edge has a slot from the node where it starts to the node where it ends, and
   edges that are on their way at the same time have different ones. */

#ifndef PLSTM_PLAN
#define PLSTM_PLAN

#include <stdint.h>

enum { SEGMENTS, SLOTS, LONGEST, PLAN_SIZES };

typedef struct {
    int64_t *sizes;             /* numbers of segments and of slots, and the most edges of a segment */
    int64_t *order;             /* caller's node at each place: each behind its predecessors */
    int64_t *in_ptr, *in_edge;  /* places of the edges that enter each node */
    int64_t *out_ptr;           /* the first edge that leaves each node */
    int64_t *pair_ptr, *pair_in; /* the first pair that leads to each edge; the edge that each pair comes from */
    int64_t *next_ptr, *next_pair, *next_edge; /* pairs that lead from each edge, and the edge that each leads to */
    int64_t *edge_at, *pair_at; /* caller's edge and pair at each place */
    int64_t *slot;              /* of each edge */
    int64_t *segment;           /* the first node of each segment, and the end of the last one */
} Plan;

#endif
