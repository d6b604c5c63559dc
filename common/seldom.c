#include "seldom.h"

unsigned seldom_count(struct seldom *seldom, uint64_t now, unsigned long *more)
{
    *more = 0;
    if (seldom->count == 0 || now - seldom->since >= 1000) {
        *more = seldom->unsaid;
        *seldom = (struct seldom){.since = now, .count = 1};
        return 1;
    }
    seldom->unsaid++;
    return ++seldom->count;
}
