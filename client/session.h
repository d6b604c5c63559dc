#ifndef HUBBUB_CLIENT_SESSION_H
#define HUBBUB_CLIENT_SESSION_H

/*
 * session: one person on a server, through all the connections that it takes; the machine is drawn in
 * session.c.
 *
 * It takes its name back with its key, goes on in each room behind the last id that it has seen there
 * (`since`), and says what was typed meanwhile.  Chats are under way one at a time, in the order in which
 * they were typed, each with a ref of its own that it keeps for ever: one whose answer was lost is said again
 * with it, which the server knows for SESSION_RETRY_MS.  After that nobody can know whether it was said: it
 * is *stale*, and the person is asked.
 *
 * Knows no socket, no clock and no terminal: see struct session_ops.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"
#include "wire.h"

#define SESSION_RETRY_MS (9 * 60 * 1000) /* the server keeps refs for 10 minutes */
#define SESSION_QUEUE_MAX 1000           /* chats that wait; with more session_say fails */
#define SESSION_ROOMS_MAX 100

enum session_state {
    SESSION_DISCONNECTED,   /* before session_start, after session_leave, and when refused for good */
    SESSION_CONNECTING,     /* ops->open was called */
    SESSION_AUTHENTICATING, /* the log-in is not answered yet, or the person is asked for what it lacks */
    SESSION_CONNECTED,      /* logged in */
    SESSION_RECONNECTING,   /* lost; after a pause it connects */
    SESSION_DISCONNECTING,  /* logging out */
};

/* What became of a chat. */
enum session_fate {
    FATE_ACCEPTED, /* it has an id */
    FATE_REFUSED,  /* it was not said, and will not be: `why` */
    FATE_STALE,    /* it may have been said: session_decide() is asked for; those behind it wait */
};

struct session;

struct session_ops {
    /* Open a connection: session_opened() or session_lost() follows.  Close it; nothing follows. */
    void (*open)(void *ctx);
    void (*close)(void *ctx);
    /* Send on it. */
    void (*send)(void *ctx, const char *bytes, size_t len);
    /* Call session_tick() at that time (as `now`); a later call of this replaces an earlier one.  0: not any
     * more. */
    void (*wake)(void *ctx, int64_t at);
    /* Monotonic milliseconds, those of sleep included. */
    int64_t (*now)(void *ctx);
    /* The state has changed; `why`: a sentence for a person, or NULL.  `pause`: in so many ms it tries again,
     * or 0. */
    void (*changed)(void *ctx, enum session_state from, enum session_state to, const char *why,
                    int64_t pause);
    /* Something for the person to see.  Acks and pongs do not come, nor errors that session deals with.  The
     * welcome and what was entered come after each reconnection, too.  An error that refuses a room has its
     * name in `room`; that room is not entered again. */
    void (*heard)(void *ctx, const struct told *told);
    /* What became of the chat that session_say() gave this number. */
    void (*fate)(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why);
    /* The name was refused, or a password is wanted: session_set_name() or session_set_password() is asked
     * for.  If the connection is lost meanwhile it waits for that in RECONNECTING, without a pause.  NULL:
     * there is nobody to ask, and DISCONNECTED follows at once. */
    void (*refused_name)(void *ctx, const char *why);
    void (*want_password)(void *ctx, const char *why);
};

/* Who one is, where one goes.  Copied. */
struct session_wish {
    const char *name, *room; /* room: NULL: the lobby */
    const char *password;    /* or NULL */
    event_id since;          /* go on behind that in `room`; 0: from now on */
    bool echo;               /* hear one's own chats, too: for --tail */
};

/* NULL: no memory.  Destroy takes NULL, closes nothing politely, and must not be called by one of `ops`,
 * which may call all the others. */
struct session *session_create(const struct session_wish *wish, const struct session_ops *ops, void *ctx);
void session_destroy(struct session *session);

/* From DISCONNECTED, also again: chats that have no fate yet have waited for that. */
void session_start(struct session *session);

/* Logs out when what was said is answered, through as many connections as that takes (`at_once`: without
 * waiting for that).  DISCONNECTED follows. */
void session_leave(struct session *session, bool at_once);

/* From the connection and the clock. */
void session_opened(struct session *session);
void session_lost(struct session *session, const char *why);
void session_line(struct session *session, const char *line, size_t len);
void session_tick(struct session *session);

/* Answers to ops.  A new name has no password yet. */
void session_set_name(struct session *session, const char *name);
void session_set_password(struct session *session, const char *password);

/*
 * Says a text, as text_clean() leaves it, in a room (`to` NULL) or to a person (`room` NULL), now or when it
 * can be.  Returns its number (not 0); 0: too many wait, no memory, or it is not UTF-8.  ops->fate follows
 * for each, once; after FATE_STALE once more.
 */
uint64_t session_say(struct session *session, const char *room, const char *to, const char *text);

/* Of a stale chat: say it again (it may come twice), or forget it (it may be missing): FATE_REFUSED follows.
 */
void session_decide(struct session *session, uint64_t number, bool say_again);

/* Asks for something that is answered by ops->heard; false if not CONNECTED (nothing is sent).  The answer,
 * an error too, has the same `ref` (NULL: none).  A room that was entered is entered again after a loss,
 * until it is left. */
bool session_enter(struct session *session, const char *room);
bool session_exit(struct session *session, const char *room);
bool session_who(struct session *session, const char *room, const char *ref);
bool session_rooms(struct session *session, const char *ref);
bool session_history(struct session *session, const char *room, const char *with, event_id before, int limit,
                     const char *ref);
bool session_register(struct session *session, const char *password, const char *old);

/* The directs from `with` up to `id` were read.  The server is told a little later, of all that came
 * meanwhile at once. */
void session_read(struct session *session, const char *with, event_id id);

enum session_state session_state(const struct session *session);
const char *session_state_name(enum session_state state);
const char *session_name(const struct session *session); /* as the server shows it */
size_t session_waiting(const struct session *session);   /* chats without a fate */

#endif
