#ifndef HUBBUB_STORE_WAIT_H
#define HUBBUB_STORE_WAIT_H

/*
 * wait: the one place where the store sleeps.
 *
 * SIGTERM and SIGINT wake whoever waits.  From then on nothing waits longer than a grace of one second in
 * all, so that a batch under way can end, and a frozen server does not keep the store from ending.  All
 * threads may wait here.
 */

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define WAIT_FDS_MAX 8

/* Takes the signals over.  False if there are no descriptors for it. */
bool wait_init(void);

/* Tells the store to end, as those signals do. */
void wait_stop(void);

/* True once the store was told to end. */
bool wait_stopping(void);

/* Milliseconds of the monotonic clock. */
int64_t wait_now(void);

/*
 * Waits until one of the `count` descriptors is ready, `until` (of wait_now) has come, or the signal to end
 * arrives; callers loop on their own condition.  False once `until` has passed, or the grace has.
 */
bool wait_poll(struct pollfd *fds, unsigned count, int64_t until);

/* How long to wait between attempts: 50 ms, doubling, with jitter, at most 3 s. */
struct backoff {
    unsigned failures;
    int64_t due;    /* try again then; 0: now */
    int64_t failed; /* when it last failed */
};

/* Notes a failure.  Failures more than 10 s apart are not the same trouble.  True if it begins a new one. */
bool backoff_fail(struct backoff *backoff);

/* Notes that it works again. */
void backoff_clear(struct backoff *backoff);

#endif
