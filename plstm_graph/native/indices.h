/* What every source checks of the indices that it is given, before it uses one. */

#ifndef PLSTM_INDICES
#define PLSTM_INDICES

#include <stdint.h>

/* Whether any of n numbers is no index below a bound; without branches, to cost little beside what reads them. */
static int outside(const int64_t *index, int64_t n, int64_t bound) {
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (uint64_t)index[i] >= (uint64_t)bound;
    return bad;
}

#endif
