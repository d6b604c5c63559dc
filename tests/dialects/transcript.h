#ifndef HUBBUB_TRANSCRIPT_H
#define HUBBUB_TRANSCRIPT_H

/*
 * transcript: what a dialect understands of a stream of bytes, written down as text.
 *
 * One line a request: its verb and what it holds ("LOGIN name=[Alice] ref=[r1]"), or "ERROR bad-request", or
 * "FATAL too-long" (the last line then).  While it feeds the decoder it asserts what every dialect promises:
 * progress with each answer, nothing read behind the bytes given (each piece has an allocation of its own, so
 * that ASan sees it), nothing in a request that still points into them, never more kept unused than a
 * request.
 */

#include <stddef.h>
#include <stdint.h>

#include "dialect.h"

/* How a stream is cut: every piece has `most` bytes, or 1 to `most` if there is a seed. */
struct cut {
    size_t most;
    uint64_t seed;
};

#define ALL_AT_ONCE ((struct cut){.most = SIZE_MAX})
#define BYTE_BY_BYTE ((struct cut){.most = 1})

/* The transcript of `len` bytes.  The caller frees it. */
char *transcript(const struct dialect *dialect, const char *bytes, size_t len, struct cut cut);

/* Fails the test unless the transcript is `expected`, however the stream is cut. */
void assert_understood(const struct dialect *dialect, const char *bytes, size_t len, const char *expected);

/* What a reply, event or notice looks like on the wire.  The caller frees it. */
char *reply_text(const struct dialect *dialect, const struct reply *reply);
char *event_text(const struct dialect *dialect, const struct event *event);
char *notice_text(const struct dialect *dialect, const struct notice *notice);

/* The dialect of this name; fails the test if there is none. */
const struct dialect *dialect_named(const char *name);

/* The next of a series of numbers that look random; `state` must not be 0. */
uint64_t random_next(uint64_t *state);

/* A number below `bound`. */
size_t random_below(uint64_t *state, size_t bound);

#endif
