#ifndef HUBBUB_DIALECT_H
#define HUBBUB_DIALECT_H

/*
 * dialect: a wire protocol, as bytes in and requests out, events in and bytes out.
 *
 * A dialect knows no sockets, no rooms and no Redis; docs/PROTOCOLS.md has its bytes.  To add one, write
 * dialects/NAME.c and put it into the table in dialect.c: no logic asks which dialect a client speaks.  The
 * default of HUBBUB_LISTEN and the lists of what is built, fuzzed and tested name them all, too.
 *
 *     bytes from the client -> decode -> request ...
 *     ... reply, event or notice -> encode_* -> bytes, the same for all -> frame -> bytes to one client
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct evbuffer;

#define REQUEST_MAX_BYTES 16384
#define REF_MAX_BYTES 64
#define KEY_MAX_BYTES 64
#define JSON_NESTING_MAX 64

/* What can be answered instead of yes; error_name() is what goes over the wire. */
enum error_code {
    ERROR_NONE,
    ERROR_USERNAME_TAKEN,
    ERROR_USERNAME_INVALID,
    ERROR_LOGIN_REQUIRED,
    ERROR_ALREADY_LOGGED_IN,
    ERROR_PASSWORD_REQUIRED,
    ERROR_AUTH_FAILED,
    ERROR_BAD_REQUEST,
    ERROR_UNKNOWN_COMMAND,
    ERROR_TOO_LONG,
    ERROR_RATE_LIMITED,
    ERROR_NO_SUCH_USER,
    ERROR_ROOM_INVALID,
    ERROR_NOT_IN_ROOM,
    ERROR_UNAVAILABLE,
    ERROR_IDLE_TIMEOUT,
    ERROR_LOGIN_TIMEOUT,
    ERROR_SERVER_FULL,
    ERROR_SLOW_CONSUMER,
    ERROR_REPLACED,
    ERROR_SHUTTING_DOWN,
};

/* "username-taken" for ERROR_USERNAME_TAKEN, and so on. */
const char *error_name(enum error_code code);

/* A sentence for a person, "That name is taken." */
const char *error_sentence(enum error_code code);

/* What clients can ask for.  requests.c has the table of who may when, and what it costs. */
enum verb {
    VERB_LOGIN,  /* name; optional password, key, room, since, echo */
    VERB_CHAT,   /* text; optional room */
    VERB_DIRECT, /* to, text */
    VERB_JOIN,   /* room; optional since: enter one more room */
    VERB_MOVE,   /* room: enter it and leave the one where chats went so far */
    VERB_LEAVE,  /* room */
    VERB_LOGOUT,
    VERB_REGISTER, /* password; optional old */
    VERB_HISTORY,  /* optional room or with; before or since; limit */
    VERB_READ,     /* with, id: directs from there up to that were read */
    VERB_WHO,      /* optional room */
    VERB_ROOMS,
    VERB_PING,
    VERB_HELP, /* what the dialect understands */
    VERBS
};

/* One request.  The strings belong to the codec and last until its next call; NULL: not given. */
struct request {
    enum verb verb;        /* with DECODED_ERROR: what was meant, or VERBS */
    enum error_code error; /* with DECODED_ERROR: what is wrong */
    const char *reason;    /* with DECODED_ERROR: a better sentence than error_sentence()'s, or NULL */
    const char *name, *password, *old, *key, *room, *to, *text, *since, *before, *with, *id;
    long limit;       /* 0: not given */
    const char *word; /* what the client calls the verb, for dialects that say it again; a constant, but
                         with DECODED_ERROR it belongs to the codec, too */
    const char *ref;  /* also with DECODED_ERROR, if it could be read */
    bool echo;        /* wants its own chats back */
};

enum decoded {
    DECODED_MORE,    /* no whole request yet */
    DECODED_REQUEST, /* `request` holds one */
    DECODED_ERROR,   /* the bytes used were no request: request->error; the connection goes on */
    DECODED_FATAL,   /* the same, but nothing that follows can be understood: close */
};

/* Makes an error of `request`, but for its verb; `reason` may be NULL.  Returns DECODED_ERROR. */
enum decoded request_refuse(struct request *request, enum error_code error, const char *reason);

enum reply_kind {
    REPLY_WELCOME,    /* name, room, id, count, names, gateway, unread */
    REPLY_ACK,        /* id, and ref if the request had one */
    REPLY_ENTERED,    /* room, id, count, names: JOIN or MOVE was done */
    REPLY_EXITED,     /* room: LEAVE was done */
    REPLY_GOODBYE,    /* LOGOUT was done; the connection closes */
    REPLY_WHO,        /* room, count, names */
    REPLY_ROOMS,      /* count, names and counts: rooms and their members */
    REPLY_REGISTERED, /* name */
    REPLY_HISTORY,    /* room, or name: whom the directs are with; events, more */
    REPLY_READ,       /* name: whose directs were read; count: how many are not yet, of all */
    REPLY_PONG,
    REPLY_HELP,
    REPLY_ERROR, /* error, text: the sentence */
    REPLY_GAP,   /* room (NULL: of directs), after, until: what lies between is not to be had; unasked */
};

/* What one client is told, mostly in answer to a request.  Borrows everything. */
struct reply {
    enum reply_kind kind;
    enum verb verb;         /* what it answers; VERBS: nothing that is known */
    const char *ref, *word; /* of the request, or NULL */
    const char *name, *room, *text, *gateway;
    event_id id, after, until;
    enum error_code error;
    const char *const *names;
    const long *counts;
    size_t n_names;
    long count, unread;
    struct event *const *events; /* oldest first */
    size_t n_events;
    bool more; /* there are events beyond these */
};

/* Somebody joined or left: true now, never replayed. */
struct notice {
    bool joined;
    const char *session; /* whose doing it is: not told */
    const char *name;    /* as shown */
    const char *room;
    uint64_t ms;
};

struct codec; /* what a dialect remembers of one connection */

struct dialect {
    const char *name;
    long idle_seconds;    /* closes clients that send nothing for so long, unless the listener says otherwise;
                             0: never */
    long quiet_ms;        /* see quiet */
    const char *greeting; /* said to who connects; NULL: nothing */
    bool tells_names;     /* who enters a room is told who is there */
    bool says_read;       /* clients say what they have read: else they have read what was sent to them */

    /* NULL: no memory. */
    struct codec *(*codec_create)(void);
    void (*codec_destroy)(struct codec *codec); /* takes NULL */

    /*
     * Looks for a request at the start of `bytes`, which are all that has arrived and was not used yet: after
     * DECODED_MORE the next call brings the unused bytes again, with more behind them, and the codec does
     * not scan them twice.  Sets *used to how many bytes are done with (also with DECODED_MORE).  `request`
     * comes empty, with the verb VERBS.
     */
    enum decoded (*decode)(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request);

    /* The client has logged in.  NULL: that makes no difference to the dialect. */
    void (*logged_in)(struct codec *codec);

    /* A log-in was refused.  NULL: as above. */
    void (*refused)(struct codec *codec, enum error_code error);

    /* Nothing has come for quiet_ms: what was not used is all that there is for now, and is decoded again.
     * NULL: that makes no difference. */
    void (*quiet)(struct codec *codec);

    /* Each appends to `out`; nothing, if the dialect does not say such things. */
    void (*encode_reply)(const struct reply *reply, struct evbuffer *out);
    void (*encode_event)(const struct event *event, struct evbuffer *out);
    void (*encode_notice)(const struct notice *notice, struct evbuffer *out);

    /*
     * Makes what goes to one client of what was encoded for all of the dialect: takes the first message from
     * `bytes`, appends it to `out` and returns how many bytes it took (0: there are no more).  *alone: it
     * must reach the client in a write of its own.  NULL: what was encoded goes as it is.
     */
    size_t (*frame)(struct codec *codec, const char *bytes, size_t len, struct evbuffer *out, bool *alone);
};

#define DIALECTS_MAX 8

/* The dialects, ended by NULL; a dialect's place in it is its number. */
extern const struct dialect *const dialects[DIALECTS_MAX];

/* The number of the dialect of this name, or -1. */
int dialect_find(const char *name, size_t len);

#endif
