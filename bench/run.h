#ifndef BENCH_RUN_H
#define BENCH_RUN_H

/*
 * run: lets the clients chat, and counts.
 *
 * Closed loop: each room keeps `window` chats under way.  Open loop: chats are said on a schedule, however
 * slow the answers are, and latency counts from when a chat was due, so a server that stalls does not hide
 * it.  In a turn all that came is read first; then each room says what it has room for, one write for each of
 * its senders.
 *
 * A warm-up comes first.  Then nothing is said until everything has arrived, the processes are read, and the
 * counted part begins; it ends when its last chat has arrived.  So exactly its chats are in the readings.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "clients.h"
#include "histogram.h"
#include "proc.h"

#define WATCHED_MAX 16

/* A process whose use of the machine is of interest. */
struct watched {
    const char *name;
    pid_t pid;
};

struct run {
    /* what is wanted */
    uint32_t window; /* chats under way in each room; 0: open loop */
    double rate;     /* chats a second in all rooms together */
    double seconds;
    uint64_t chats_max; /* 0: seconds count; else this many chats are said, however long that takes */
    double warm_up;     /* seconds */
    uint32_t senders;   /* in each room */
    size_t bytes;
    bool polls; /* looks every POLL_NS instead of sleeping until something comes: whoever writes to one that
                   sleeps pays for waking it, and the faster the load is the more often it sleeps */
    bool acked; /* chats are acknowledged, and have left the window then, not when all have them */
    const struct watched *watched;
    size_t watched_count;
    /* what came of it */
    double took; /* seconds, from the first chat to the last reception */
    uint64_t chats, deliveries, acks;
    uint64_t missing;                                     /* receptions that did not happen */
    uint64_t strange;                                     /* what was received twice, or was never said */
    struct histogram latency;                             /* of deliveries, in ns */
    struct usage before[WATCHED_MAX], after[WATCHED_MAX]; /* of those watched, around the counted part */
};

/* Does what is wanted, and writes down what came of it.  The clients have joined, and stay. */
void run_run(struct run *run, struct clients *clients);

#endif
