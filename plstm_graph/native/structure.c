/* Which edges of a DAG reach which, and which nodes therefore read which: what ancestry.py and links.py list with
   torch, without a pass over memory per level; and the plan by which forms in C walk through a DAG. Names are theirs; indices are 64-bit, tensors contiguous. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "indices.h"
#include "plan.h"

enum { DONE = 0, MORE_ROOM = 1, TOO_MANY = 2, OUT_OF_ORDER = 3 };

typedef struct {
    int64_t edges, pairs;
    int64_t max_entries;               /* the most entries, and steps, that may be listed */
    int64_t entry_room, step_room;     /* of the lists that grow */
    int64_t edge, pair, entries, steps; /* done so far */
} State;

static int ascending(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The end of the level that an edge is the first of, whose edges come from those before it; arriving: the steps to them.
   0 if a pair is not in the order of the edges. */
static int64_t end_of_level(const State *s, const int64_t *pair_in, const int64_t *pair_out, const int64_t *first,
                            int64_t *arriving) {
    int64_t edge = s->edge, pair = s->pair;
    for (*arriving = 0; edge < s->edges; edge++) {
        int64_t steps = 0;
        for (; pair < s->pairs && pair_out[pair] == edge; pair++) {
            if (pair_in[pair] < 0 || pair_in[pair] >= edge) return 0;
            if (pair_in[pair] >= s->edge) return edge;
            steps += first[pair_in[pair] + 1] - first[pair_in[pair]];
        }
        *arriving += steps;
    }
    return edge;
}

/* Entries and steps of edge after edge in storage order, from where the last call stopped for lack of room.
   first [E + 1] and step_first [E + 1]: where those of each edge begin; seen [E], -1 at first, and place [E] are
   scratch. */
int64_t list_ancestors(State *s, const int64_t *pair_in, const int64_t *pair_out, const int64_t *pair_order,
                       int64_t *from_edge, int64_t *to_edge, int64_t *own, int64_t *step_from, int64_t *step_to,
                       int64_t *step_pair, int64_t *first, int64_t *step_first, int64_t *seen, int64_t *place) {
    int64_t level_end = s->edge;
    for (; s->edge < s->edges; s->edge++) {
        if (s->edge == level_end) {
            /* Whatever is too much is known before a whole level is listed in vain. */
            int64_t arriving;
            level_end = end_of_level(s, pair_in, pair_out, first, &arriving);
            if (level_end == 0) return OUT_OF_ORDER;
            if (s->steps + arriving > s->max_entries) return TOO_MANY;
        }
        const int64_t edge = s->edge, begin = s->pair;
        int64_t end = begin, arriving = 0;
        for (; end < s->pairs && pair_out[end] == edge; end++) {
            /* Only of the edges before this one is it known yet what reaches them. */
            if (pair_in[end] < 0 || pair_in[end] >= edge) return OUT_OF_ORDER;
            arriving += first[pair_in[end] + 1] - first[pair_in[end]];
        }
        if (s->steps + arriving > s->max_entries) return TOO_MANY;
        if (s->entries + arriving + 1 > s->entry_room || s->steps + arriving > s->step_room) return MORE_ROOM;

        /* The union of what reaches the in-edges, sorted as each of them is; then where each of it stands. */
        int64_t *here = from_edge + s->entries, count = 0;
        if (end - begin == 2) {
            const int64_t *one = from_edge + first[pair_in[begin]], *two = from_edge + first[pair_in[begin + 1]];
            const int64_t *one_end = from_edge + first[pair_in[begin] + 1];
            const int64_t *two_end = from_edge + first[pair_in[begin + 1] + 1];
            while (one < one_end || two < two_end) {
                const int64_t next = two == two_end || (one < one_end && *one <= *two) ? *one : *two;
                one += one < one_end && *one == next;
                two += two < two_end && *two == next;
                here[count++] = next;
            }
        } else {
            for (int64_t pair = begin; pair < end; pair++)
                for (int64_t entry = first[pair_in[pair]]; entry < first[pair_in[pair] + 1]; entry++)
                    if (seen[from_edge[entry]] != edge) {
                        seen[from_edge[entry]] = edge;
                        here[count++] = from_edge[entry];
                    }
            if (end - begin > 2) qsort(here, (size_t)count, sizeof(int64_t), ascending);
        }
        for (int64_t i = 0; i < count; i++) place[here[i]] = s->entries + i;
        for (int64_t pair = begin; pair < end; pair++)
            for (int64_t entry = first[pair_in[pair]]; entry < first[pair_in[pair] + 1]; entry++) {
                step_from[s->steps] = entry;
                step_to[s->steps] = place[from_edge[entry]];
                step_pair[s->steps++] = pair_order[pair];
            }
        /* Whatever reaches an edge is stored before it. */
        here[count] = edge;
        own[edge] = s->entries + count;
        for (int64_t i = 0; i <= count; i++) to_edge[s->entries + i] = edge;
        s->entries += count + 1;
        if (s->entries > s->max_entries) return TOO_MANY;
        s->pair = end;
        first[edge + 1] = s->entries;
        step_first[edge + 1] = s->steps;
    }
    return s->pair == s->pairs ? DONE : OUT_OF_ORDER;
}

/* Sort items by a key of few values, stably: order [n] becomes sorted [n]; start [values + 1] is scratch. */
static void sort_by(const int64_t *key, int64_t values, const int64_t *order, int64_t n, int64_t *sorted,
                    int64_t *start) {
    memset(start, 0, (size_t)(values + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) start[key[i] + 1]++;
    for (int64_t value = 0; value < values; value++) start[value + 1] += start[value];
    for (int64_t i = 0; i < n; i++) sorted[start[key[order[i]]]++] = order[i];
}

/* Number of different (reader, read) among n, in the order of both: link_reader, link_read [n], of which that many are
   filled; which [n]: the link of each; a, b [n] and start [max(readers, reads) + 1] are scratch. -1 if a reader or
   read is outside its range. */
int64_t unique_links(int64_t n, int64_t readers, int64_t reads, const int64_t *reader, const int64_t *read,
                     int64_t *link_reader, int64_t *link_read, int64_t *which, int64_t *a, int64_t *b,
                     int64_t *start) {
    if (outside(reader, n, readers) || outside(read, n, reads)) return -1;
    for (int64_t i = 0; i < n; i++) a[i] = i;
    sort_by(read, reads, a, n, b, start);
    sort_by(reader, readers, b, n, a, start);
    int64_t links = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t item = a[i];
        if (links == 0 || link_reader[links - 1] != reader[item] || link_read[links - 1] != read[item]) {
            link_reader[links] = reader[item];
            link_read[links++] = read[item];
        }
        which[item] = links - 1;
    }
    return links;
}

/* Stable order [n] of items by a key in 0 .. values - 1; identity [n] and start [values + 1] are scratch. 1 if a key
   is outside its range, else 0. */
int stable_order(int64_t n, int64_t values, const int64_t *key, int64_t *order, int64_t *identity, int64_t *start) {
    if (outside(key, n, values)) return 1;
    for (int64_t i = 0; i < n; i++) identity[i] = i;
    sort_by(key, values, identity, n, order, start);
    return 0;
}

static void group(const int64_t *row, int64_t items, int64_t rows, int64_t *ptr, int64_t *item) {
    memset(ptr, 0, (size_t)(rows + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < items; i++) ptr[row[i] + 1]++;
    for (int64_t r = 0; r < rows; r++) ptr[r + 1] += ptr[r];
    for (int64_t i = 0; i < items; i++) item[ptr[row[i]]++] = i;
    for (int64_t r = rows; r > 0; r--) ptr[r] = ptr[r - 1];
    ptr[0] = 0;
}

/* Puts what leaves each node, and what leads to each edge, side by side in the order of the walk; place [max(edges,
   pairs)] is scratch, where each edge of the caller's stands at first. */
static void lay_out(int64_t nodes, const Plan *t, const int64_t *in_ptr, const int64_t *in_edge, const int64_t *out_ptr,
                    const int64_t *out_edge, const int64_t *pair_ptr, const int64_t *pair, const int64_t *pair_in,
                    int64_t *place) {
    int64_t edges = 0, entering = 0, pairs = 0;
    for (int64_t n = 0; n < nodes; n++) {
        const int64_t node = t->order[n];
        t->out_ptr[n] = edges;
        t->in_ptr[n] = entering;
        for (int64_t i = in_ptr[node]; i < in_ptr[node + 1]; i++) t->in_edge[entering++] = place[in_edge[i]];
        for (int64_t i = out_ptr[node]; i < out_ptr[node + 1]; i++) {
            const int64_t edge = out_edge[i];
            place[edge] = edges;
            t->edge_at[edges] = edge;
            t->pair_ptr[edges++] = pairs;
            for (int64_t p = pair_ptr[edge]; p < pair_ptr[edge + 1]; p++) {
                t->pair_at[pairs] = pair[p];
                t->pair_in[pairs++] = place[pair_in[pair[p]]];
            }
        }
    }
    t->out_ptr[nodes] = edges;
    t->in_ptr[nodes] = entering;
    t->pair_ptr[edges] = pairs;
    group(t->pair_in, pairs, edges, t->next_ptr, t->next_pair);
    for (int64_t edge = 0; edge < edges; edge++)
        for (int64_t p = t->pair_ptr[edge]; p < t->pair_ptr[edge + 1]; p++) place[p] = edge;
    for (int64_t i = 0; i < pairs; i++) t->next_edge[i] = place[t->next_pair[i]];
}

/* Slots of edges and segments of the walk; vacant [edges] is scratch. What leaves a node takes slots before what enters it
   gives its own up: states that enter are read while those that leave are written. */
static void share_slots(int64_t nodes, const Plan *t, int64_t *vacant) {
    int64_t height = 0, under_way = 0, begin = 0;
    memset(t->sizes, 0, PLAN_SIZES * sizeof(int64_t));
    for (int64_t n = 0; n < nodes; n++) {
        for (int64_t edge = t->out_ptr[n]; edge < t->out_ptr[n + 1]; edge++)
            t->slot[edge] = height > 0 ? vacant[--height] : t->sizes[SLOTS]++;
        for (int64_t i = t->in_ptr[n]; i < t->in_ptr[n + 1]; i++) vacant[height++] = t->slot[t->in_edge[i]];
        under_way += t->out_ptr[n + 1] - t->out_ptr[n] - (t->in_ptr[n + 1] - t->in_ptr[n]);
        if (under_way == 0) {
            const int64_t length = t->out_ptr[n + 1] - t->out_ptr[begin];
            if (length > t->sizes[LONGEST]) t->sizes[LONGEST] = length;
            t->segment[t->sizes[SEGMENTS]++] = begin;
            begin = n + 1;
        }
    }
    for (int64_t s = t->sizes[SEGMENTS]; s <= nodes; s++) t->segment[s] = nodes;
}

/* Fills a plan; 1 if there is no memory, 2 if the graph has a cycle, 3 if an index is outside its range, 4 if a pair
   does not meet at a node: its second edge could come before its first. */
int make_plan(int64_t nodes, int64_t edges, int64_t pairs, const Plan *t, const int64_t *start, const int64_t *end,
              const int64_t *pair_in, const int64_t *pair_out) {
    if (outside(start, edges, nodes) || outside(end, edges, nodes)) return 3;
    if (outside(pair_in, pairs, edges) || outside(pair_out, pairs, edges)) return 3;
    int apart = 0;
    for (int64_t p = 0; p < pairs; p++) apart |= end[pair_in[p]] != start[pair_out[p]];
    if (apart) return 4;
    const int64_t room = edges > pairs ? edges : pairs;
    int64_t *memory = malloc((size_t)(4 * nodes + 3 * edges + pairs + room + 3) * sizeof(int64_t));
    if (!memory) return 1;
    int64_t *waiting = memory, *stack = waiting + nodes, height = 0, done = 0;
    int64_t *in_ptr = stack + nodes, *in_edge = in_ptr + nodes + 1, *out_ptr = in_edge + edges;
    int64_t *out_edge = out_ptr + nodes + 1, *pair_ptr = out_edge + edges, *pair = pair_ptr + edges + 1;
    int64_t *place = pair + pairs;
    group(end, edges, nodes, in_ptr, in_edge);
    group(start, edges, nodes, out_ptr, out_edge);
    group(pair_out, pairs, edges, pair_ptr, pair);
    for (int64_t node = nodes - 1; node >= 0; node--) {
        waiting[node] = in_ptr[node + 1] - in_ptr[node];
        if (waiting[node] == 0) stack[height++] = node;
    }
    while (height > 0) {
        const int64_t node = stack[--height];
        t->order[done++] = node;
        for (int64_t i = out_ptr[node]; i < out_ptr[node + 1]; i++)
            if (--waiting[end[out_edge[i]]] == 0) stack[height++] = end[out_edge[i]];
    }
    if (done == nodes) {
        lay_out(nodes, t, in_ptr, in_edge, out_ptr, out_edge, pair_ptr, pair, pair_in, place);
        share_slots(nodes, t, place);
    }
    free(memory);
    return done == nodes ? 0 : 2;
}

/* Whether rows of items do not begin at 0, one where the last one ends, and end with the last item. */
static int broken(const int64_t *ptr, int64_t rows, int64_t items) {
    int bad = ptr[0] != 0 || ptr[rows] != items;
    for (int64_t r = 0; r < rows; r++) bad |= ptr[r] > ptr[r + 1];
    return bad;
}

/* Whether any of the indices first to last - 1 is not in a range. */
static int strays(const int64_t *index, int64_t first, int64_t last, int64_t least, int64_t bound) {
    int bad = 0;
    for (int64_t i = first; i < last; i++) bad |= index[i] < least || index[i] >= bound;
    return bad;
}

/* Whether a plan that was kept can be walked through without leaving any array: 0, or 3 if it cannot. It promises no more:
   a plan of another graph may give wrong numbers. */
int check_plan(int64_t nodes, int64_t edges, int64_t pairs, const Plan *t) {
    const int64_t segments = t->sizes[SEGMENTS], slots = t->sizes[SLOTS], longest = t->sizes[LONGEST];
    if (segments < 0 || segments > nodes || slots < 0 || slots > edges || longest < 0 || longest > edges) return 3;
    if (broken(t->in_ptr, nodes, edges) || broken(t->out_ptr, nodes, edges) || broken(t->pair_ptr, edges, pairs))
        return 3;
    if (outside(t->order, nodes, nodes) || outside(t->edge_at, edges, edges) || outside(t->pair_at, pairs, pairs))
        return 3;
    if (broken(t->next_ptr, edges, pairs) || outside(t->next_pair, pairs, pairs)) return 3;
    if (outside(t->slot, edges, slots) || broken(t->segment, nodes, nodes) || t->segment[segments] != nodes) return 3;
    for (int64_t s = 0; s < segments; s++) {
        const int64_t begin = t->segment[s], end = t->segment[s + 1];
        const int64_t first = t->out_ptr[begin], last = t->out_ptr[end];
        if (last - first > longest || strays(t->in_edge, t->in_ptr[begin], t->in_ptr[end], first, last)) return 3;
        if (strays(t->pair_in, t->pair_ptr[first], t->pair_ptr[last], first, last)) return 3;
        if (strays(t->next_edge, t->next_ptr[first], t->next_ptr[last], first, last)) return 3;
    }
    return 0;
}
