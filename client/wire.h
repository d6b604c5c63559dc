#ifndef HUBBUB_CLIENT_WIRE_H
#define HUBBUB_CLIENT_WIRE_H

/*
 * wire: what is said to a server and what it tells, in the dialect `json` (docs/PROTOCOLS.md).
 *
 * No server is trusted.  Whatever wire_read returns can be shown on a terminal: it is UTF-8 without control
 * characters (a text may have LF and tab) and without characters that turn the direction of others, and no
 * string is longer than WIRE_TEXT_MAX bytes, of names NAME_MAX_BYTES, of rooms ROOM_MAX_BYTES, the NUL
 * included.  What was taken out stands there as U+FFFD.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

#define WIRE_LINE_MAX (1024 * 1024) /* of the server; one that is longer is no hubbub */
#define WIRE_TEXT_MAX 8192

enum told_kind {
    TOLD_OTHER, /* a type that this client does not know: nothing to do */
    TOLD_WELCOME,
    TOLD_MESSAGE,
    TOLD_DIRECT,
    TOLD_JOINED,
    TOLD_LEFT,
    TOLD_ACK,
    TOLD_ENTERED,
    TOLD_EXITED, /* without room: logged out */
    TOLD_WHO,
    TOLD_ROOMS,
    TOLD_HISTORY,
    TOLD_REGISTERED,
    TOLD_READ,
    TOLD_PONG,
    TOLD_GAP,
    TOLD_ERROR,
};

/* One of `rooms`. */
struct told_room {
    const char *room;
    long users;
};

/*
 * What a server has told.  Strings are NULL if they were missing, ids 0, times 0, counts -1.  What a kind
 * always has is there:
 *
 *     WELCOME      name, room
 *     MESSAGE      from, room, data, id
 *     DIRECT       from, to, data, id
 *     JOINED, LEFT from, room
 *     ACK          ref, id
 *     ENTERED, WHO room
 *     HISTORY      room or with
 *     REGISTERED   name
 *     READ         with
 *     ERROR        code, data
 *
 * One that lacks any of it is TOLD_OTHER.
 */
struct told {
    enum told_kind kind;
    const char *from, *to, *with, *room, *name, *data, *code, *ref;
    event_id id, after, until;
    int64_t at_ms; /* since 1970 */
    long users, unread, count;
    bool more;
    struct told *messages; /* TOLD_HISTORY: n_messages of TOLD_MESSAGE or TOLD_DIRECT, oldest first */
    size_t n_messages;
    const char **people; /* TOLD_WHO: n_people names */
    size_t n_people;
    struct told_room *rooms; /* TOLD_ROOMS: n_rooms */
    size_t n_rooms;
    void *memory; /* wire.c's own: all that is above lies in it */
};

/* Reads one line of a server.  NULL: it is no JSON object with a "type", which no hubbub says.  The caller
 * frees it by told_destroy. */
struct told *wire_read(const char *line, size_t len);

/* Takes NULL. */
void told_destroy(struct told *told);

/* A member of a request (value NULL: it is left out). */
struct wire_member {
    const char *key, *value;
    bool bare; /* a number, true or false: not a string */
};

/* The line that asks for `type`, with LF and NUL; the caller frees it.  NULL: a value is not UTF-8, or no
 * memory. */
char *wire_request(const char *type, const struct wire_member *members, size_t n);

/* Copies `text` into `clean` (`size` bytes, with the NUL) as said above, as much of it as there is room for;
 * `lines`: LF and tab may stay.  Bytes that are not UTF-8 are taken out, too. */
void wire_clean(const char *text, bool lines, char *clean, size_t size);

#endif
