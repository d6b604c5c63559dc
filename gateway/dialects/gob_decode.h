#ifndef HUBBUB_GOB_DECODE_H
#define HUBBUB_GOB_DECODE_H

/*
 * gob_decode: reads Go's encoding/gob, and in it the one struct that is chatted with:
 *
 *     type Message struct { Type int; Sender string; Content string }
 *
 * A stream of gobs defines its types before it uses them.  A gob_stream keeps what one client has defined,
 * within limits; by that it finds a value's fields by their names, and knows how long everything else is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gob_type;

struct gob_stream {
    struct gob_type *types;
    size_t n_types, types_bytes; /* how many, and the memory that they take */
    size_t wanted;               /* how many unused bytes there must be before it makes sense to look again */
    bool defined, repeated;      /* types were defined since the last value; one of them was known */
};

/* These bytes, which need not end with NUL. */
struct gob_string {
    const char *bytes;
    size_t len;
};

/* A value that has come. */
struct gob_message {
    const char *reason; /* with GOB_OTHER, GOB_TOO_LONG and GOB_MALFORMED: a sentence */
    int64_t type;       /* INT64_MAX also stands for what is larger */
    struct gob_string sender, content;
    bool has_unsigned_type; /* the sender's Type is no int but a uint */
    bool defined, repeated; /* its type was defined just before it; that had been done before, too */
};

enum gob_found {
    GOB_MORE,      /* no whole value yet */
    GOB_MESSAGE,   /* a Message */
    GOB_OTHER,     /* a value that is no Message */
    GOB_TOO_LONG,  /* more than REQUEST_MAX_BYTES for one gob: the stream cannot be read any further */
    GOB_MALFORMED, /* no gob: the same */
};

/* A stream begins as one that is all zero.  Frees what it keeps. */
void gob_stream_finish(struct gob_stream *stream);

/*
 * Reads the next value from `bytes`, and the definitions before it.  *used: how many bytes are done with,
 * also with GOB_MORE.  The strings of `message` point into `bytes`.
 */
enum gob_found gob_read(struct gob_stream *stream, const char *bytes, size_t len, size_t *used,
                        struct gob_message *message);

#endif
