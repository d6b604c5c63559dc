#ifndef HUBBUB_ID_H
#define HUBBUB_ID_H

/*
 * id: what an event is called.
 *
 * A 63-bit integer, (ms << 20) | (lane << 14) | seq: it grows with time, is unique for ever, and says when.
 * On the wire it is a decimal string.  Inside Redis it is the stream id "ms-seq" of the lane's log, because a
 * Lua number cannot hold the 63-bit form; only C converts, and only C knows that the lane belongs in between.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 8           /* a constant of the key version: see docs/FUNCTIONS.md */
#define ID_SEQ_MAX 16383u /* 14 bits */
#define ID_TEXT_MAX 32    /* room for either form and its NUL */

typedef uint64_t event_id;

static inline event_id id_make(uint64_t ms, unsigned lane, unsigned seq)
{
    return (ms << 20) | ((uint64_t)lane << 14) | seq;
}

static inline uint64_t id_ms(event_id id)
{
    return id >> 20;
}

static inline unsigned id_lane(event_id id)
{
    return (unsigned)(id >> 14) & 63u;
}

static inline unsigned id_seq(event_id id)
{
    return (unsigned)id & ID_SEQ_MAX;
}

/* Reads the Redis form "ms-seq" (`len` bytes) of an event in `lane`.  False if it is not one. */
bool id_from_stream(const char *text, size_t len, unsigned lane, event_id *id);

/* Writes the Redis form into `text` (ID_TEXT_MAX bytes) and returns it. */
const char *id_to_stream(event_id id, char *text);

/* Reads the decimal form that clients use.  False if it is not a number of 1 to 19 digits below 2^63. */
bool id_from_decimal(const char *text, event_id *id);

/* Writes the decimal form into `text` (ID_TEXT_MAX bytes) and returns it. */
const char *id_to_decimal(event_id id, char *text);

/* Writes when the event happened, RFC 3339 in UTC with milliseconds, into `text` (ID_TEXT_MAX bytes); returns
 * it. */
const char *id_to_time(event_id id, char *text);

/* The same for milliseconds since 1970. */
const char *time_text(uint64_t ms, char *text);

#endif
