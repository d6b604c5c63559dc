#ifndef HUBBUB_SELDOM_H
#define HUBBUB_SELDOM_H

/*
 * seldom: how often strangers may make us do something.  A flood of connections that are turned away fills no
 * disk and holds no descriptors: the log gets one line a second, which has the count.
 */

#include <stdint.h>

/* Begins as all zeros. */
struct seldom {
    uint64_t since; /* when this second began, in ms */
    unsigned count; /* in this second */
    unsigned long unsaid;
};

/*
 * Counts one more at the time `now` (monotonic, in ms).  Returns its number in this second: only the first is
 * worth a line, and *more is how many had none since the last line.
 */
unsigned seldom_count(struct seldom *seldom, uint64_t now, unsigned long *more);

#endif
