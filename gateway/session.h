#ifndef HUBBUB_SESSION_H
#define HUBBUB_SESSION_H

/*
 * session: one client's state machine, and the set of all of them.
 *
 *     new --LOGIN--> logging in --> active --LOGOUT, end of file, SIGTERM--> logging out --> closed
 *      ^                 |            |                                                        ^
 *      +---- refused ----+            +--- broken, timeout, replaced, ... ---------------------+
 *
 * While something that needs Redis is under way (`doing`) the session's input waits, so that answers come in
 * the order of the requests.  Chats alone do not wait: any number may be in flight, and their acks follow the
 * room's order.
 *
 * session.c has the state machine, requests.c the table of verbs, chat.c what becomes of a chat, sessions.c
 * the set, and what the bus, the hub, presence and conns tell it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "conn.h"
#include "dialect.h"
#include "event.h"
#include "hub.h"
#include "presence.h"
#include "seldom.h"

struct address;
struct bus;
struct history;
struct settings;

#define DIGEST_MAX_BYTES 33 /* BLAKE2b-128 in hex, with NUL */
#define ACCOUNT_MAX_BYTES 21
#define HOLDER_MAX_BYTES (SESSION_MAX_BYTES + 2) /* of a name: "a:ACCOUNT", a key's digest or a session */
#define SESSION_ROOMS_MAX 100
#define ERRORS_MAX 10
#define CHATS_MAX 1024 /* of one session without an ack; then it is not read */

enum session_state { SESSION_NEW, SESSION_LOGGING_IN, SESSION_ACTIVE, SESSION_LOGGING_OUT, SESSION_CLOSED };

/* What is under way, and keeps the input waiting. */
enum doing {
    DOING_NOTHING,
    DOING_LOGIN,  /* the password, if there is one; the room; then the name */
    DOING_JOIN,   /* the room, then presence */
    DOING_MOVE,   /* the room; then DOING_LEAVE of the old one; then presence */
    DOING_LEAVE,  /* the answers to the chats in the room, then presence */
    DOING_LOGOUT, /* the answers to all chats, then the name's release */
    DOING_WHO,
    DOING_ROOMS,
    DOING_REGISTER, /* the store's answer */
    DOING_HISTORY,  /* what the log and the store have */
    DOING_READ,     /* the store's answer */
    DOING_CHAT,     /* the lane has too many publishes without an answer */
    DOING_DIRECT,   /* whether there is such a user, or was when this was sent before */
};

/* A message or a direct without its ack.  Enters when it is said; leaves when it was acknowledged or refused,
 * or with its session. */
struct chat {
    uint64_t token;
    struct session *session;
    struct member *member; /* where it is said; NULL: a direct */
    event_id id;           /* 0: not answered yet; else it waits for the member's position */
    char *ref;             /* or NULL */
    const char *word;
    struct chat *prev, *next; /* the session's, in the order in which they were said */
    UT_hash_handle hh;
};

/* What is published next, when its lane has room. */
struct draft {
    struct chat *chat;
    char *body;
    unsigned lane;
    char chain[CHAIN_MAX_BYTES];
    char digest[DIGEST_MAX_BYTES];
};

/* A direct whose recipient is being looked for. */
struct direct {
    char name[NAME_MAX_BYTES]; /* folded */
    char *to, *text;
};

/* What is to be known of a session while something is under way; lives from session_begin to session_done. */
struct task {
    enum verb verb;    /* of the request; VERBS: nobody asked for it */
    char *ref;         /* of the request, or NULL */
    const char *word;  /* the same */
    char *wanted;      /* the room or name that the answer names; of DOING_LOGIN, the room to be held once the
                          password was verified */
    struct room *room; /* being entered: held */
    event_id since;    /* to go on from there */
    bool is_ahead;     /* `since` is above what the room knew: its newest id was read again */
    struct room *inbox_room; /* the same at log-in, for the inbox */
    event_id inbox_since;
    long unread; /* directs, at log-in */
    struct member *leaving;
    struct history *history; /* DOING_HISTORY */
    struct direct *direct;   /* DOING_DIRECT */
    bool asked;              /* presence was asked for the last step */
    enum error_code last; /* what is said at the end of a log-out, ERROR_NONE: goodbye if it was asked for */
};

struct session {
    struct sessions *sessions;
    uint64_t serial;
    char *id, *address;
    struct address *counted; /* one of how many from there; NULL: it was refused, or has left */
    struct conn *conn;
    const struct dialect *dialect;
    struct codec *codec;
    long idle_seconds;
    int dialect_number;
    enum session_state state;
    enum doing doing;
    unsigned errors;  /* mistakes in a row */
    bool eof, heard;  /* nothing more comes; something has come */
    bool refused;     /* the request at hand was answered with an error */
    bool held;        /* presence named it; see held() in sessions.c */
    bool echo;        /* it wants its own chats back */
    bool unsaid;      /* in line to tell the store what was read */
    uint16_t n_chats; /* at most CHATS_MAX */
    struct chat *chats;
    struct draft *stalled; /* DOING_CHAT */
    struct task *task;     /* more about what is under way; NULL: DOING_NOTHING, or a chat */

    char *shown, *name;     /* as given, folded; NULL before the first log-in */
    char *key;              /* its digest, or NULL */
    char *account;          /* its number; NULL: a guest */
    struct member *members; /* the rooms it is in */
    size_t n_members;
    struct member *current;    /* where its chats go; NULL: it left that */
    struct member *inbox;      /* what is sent to it alone; NULL: not logged in, or see handover */
    struct handover *handover; /* of an account's unread directs; NULL: it is over, or never was */
    event_id sent, told;       /* directs up to there were sent to who reads what is sent; the store knows */
    event_id telling;          /* it is being told of those up to there; 0: it is not */
    struct session *unsaid_prev, *unsaid_next;

    double tokens; /* of the rate limit */
    uint64_t tokens_at;

    UT_hash_handle hh;
    struct session *free_next; /* closed in this turn */
};

struct sessions {
    const struct settings *settings;
    struct bus *bus;
    struct hub *hub;
    struct presence *presence;
    struct conns *conns;
    struct storelink *storelink;
    struct session *by_serial;
    struct chat *chats;
    struct session *closed; /* to be freed at the end of the turn */
    struct session *unsaid; /* in line to tell the store what was read; leave when it is their turn */
    unsigned telling;       /* how many are telling it */
    uint64_t tell_after;    /* it could not take that just now */
    uint64_t next_serial, next_token;
    struct address *addresses; /* of clients, counted; only while there is a limit for them */
    struct seldom refused;     /* because the server is full */
    bool draining;
};

/* sessions.c --------------------------------------------------------------------------------------------- */

extern const struct conn_ops sessions_conn_ops;
extern const struct hub_ops sessions_hub_ops;           /* ctx: struct sessions */
extern const struct presence_ops sessions_presence_ops; /* ctx: struct sessions */

void sessions_init(struct sessions *sessions, const struct settings *settings);
void sessions_finish(struct sessions *sessions);

/* True if nobody more is taken, with `waiting` connections that are on their way to sessions_accept(). */
bool sessions_full(const struct sessions *sessions, size_t waiting);

/*
 * Takes the connected socket `fd` of a client at `address` that speaks dialect number `dialect`; `waiting` as
 * above.  Who is over a limit is told so and closed.
 */
void sessions_accept(struct sessions *sessions, int fd, int dialect, long idle_seconds, const char *address,
                     size_t waiting);

/* The session is over: from its address another one may come. */
void sessions_uncount(struct session *session);

/* To be called at the end of each loop turn: frees what was closed. */
void sessions_end_turn(struct sessions *sessions);

/* From the bus. */
void sessions_published(struct sessions *sessions, uint64_t token, bool good, event_id id);
void sessions_roomy(struct sessions *sessions, unsigned lane);

/* Logs everybody out, telling them that the gateway shuts down.  Done when sessions_count() is 0. */
void sessions_drain(struct sessions *sessions);

/* Tells and closes those that are still there. */
void sessions_abandon(struct sessions *sessions);

size_t sessions_count(const struct sessions *sessions);

struct session *session_by_serial(struct sessions *sessions, uint64_t serial);

/* The session of this id if it is one of this gateway's, else NULL. */
struct session *session_by_id(struct sessions *sessions, const char *id);

/* session.c ---------------------------------------------------------------------------------------------- */

/*
 * The one way out: tells the client `tell` unless that is ERROR_NONE, leaves its rooms, releases its name if
 * `holds_name`, and closes.  `reason` is for the log.
 */
void session_close(struct session *session, enum error_code tell, const char *reason, bool holds_name);

/* Starts a log-out at whose end the client is told `last`. */
void session_log_out(struct session *session, enum error_code last);

/* Answers the request `verb` with an error; `text` may be NULL for the usual sentence. */
void session_error(struct session *session, enum verb verb, const char *ref, const char *word,
                   enum error_code code, const char *text);

void session_reply(struct session *session, const struct reply *reply);

/* Puts a copy of `text` (NULL: nothing) into one of the session's strings, instead of what it held. */
void session_set(char **string, const char *text);

/* Sends what the session's dialect has encoded. */
void session_send(struct session *session, const void *bytes, size_t len);

/* Sends an event to this session alone. */
void session_send_event(struct session *session, const struct event *event);

/* What was under way goes on: the room can be entered, presence has answered, a chat was answered, ... */
void session_room_ready(struct session *session, bool good);
void session_presence(struct session *session, enum presence_result result, long count,
                      const char *const *names, size_t n_names);
void session_listed(struct session *session, long count, const char **names, const long *counts,
                    size_t n_names);
void session_found(struct session *session, bool known, const char *holder);
void session_go_on(struct session *session);
void session_timeout(struct session *session);

/* A request is under way; log-in has begun, if it is that. */
void session_begin(struct session *session, enum doing doing, const struct request *request);

/* It is done, or ends with an error (`text` as above): the input goes on. */
void session_done(struct session *session);
void session_refuse(struct session *session, enum error_code code, const char *text);

/* The same for a log-in: the session is new again. */
void session_refuse_login(struct session *session, enum error_code code, const char *text);

/* Holds the room of the request under way, which goes on when it can be entered. */
void session_hold_room(struct session *session, const char *room);

/* The session in this (folded) room; NULL: it is not there. */
struct member *session_find_member(const struct session *session, const char *room);

/* By what right the session has its name: what directs to it, and from it, carry. */
const char *session_holder(const struct session *session, char holder[HOLDER_MAX_BYTES]);

/* True if what is for `holder` is for the session. */
bool session_is(const struct session *session, const char *holder);

/* account.c ---------------------------------------------------------------------------------------------- */

/* Asks the store whether this is the password of session->name; the log-in goes on with session->wanted. */
void account_verify(struct session *session, const char *password);

/* Asks the store to make session->name an account, or, with `old` (may be NULL), to change its password. */
void account_register(struct session *session, const char *password, const char *old);

/* inbox.c ------------------------------------------------------------------------------------------------ */

/* The session has logged in and holds its inbox (session->inbox_room): hands it what an account has not read,
 * then what comes. */
void inbox_open(struct session *session);

/* The session is not slow any more. */
void inbox_go_on(struct session *session);

/* Leaves the inbox, if it was entered. */
void inbox_close(struct session *session);

/* The session has become an account's. */
void inbox_watch(struct session *session);

/* The position of session->inbox has moved. */
void inbox_reached(struct session *session);

/* To be called at the end of each loop turn, behind conns: tells the store what was read. */
void inbox_end_turn(struct sessions *sessions);

/* Marks the directs from `from` (folded) up to `until` as read, for the request under way. */
void inbox_read(struct session *session, const char *from, event_id until);

/* history.c ---------------------------------------------------------------------------------------------- */

/*
 * Answers the request under way with a page of at most `limit` events: those before the id `before` (0: the
 * newest), or those after `since` (0: not that).
 */
void history_of_room(struct session *session, const struct member *member, unsigned limit, event_id before,
                     event_id since);

/* The same for the session's directs with the user `shown`, folded `name`. */
void history_with(struct session *session, const char *shown, const char *name, unsigned limit,
                  event_id before, event_id since);

/* Frees what a request has collected.  Takes NULL. */
void history_destroy(struct history *history);

/* requests.c --------------------------------------------------------------------------------------------- */

/* Handles what has arrived, up to a budget. */
void session_read(struct session *session);

/* chat.c ------------------------------------------------------------------------------------------------- */

/* Says `text` in the member's room; the ack or an error follows. */
void chat_say(struct session *session, struct member *member, const char *text, const char *ref,
              const char *word);

/* The same to `holder` of the name in session->direct, for the request under way. */
void chat_send_direct(struct session *session, const char *holder);

/* The user is not there: if session->direct is a retry of one that was sent it is acknowledged, else the
 * answer is no-such-user. */
void chat_find_direct(struct session *session);

/* Publishes what waited for the lane.  False: it is full again. */
bool chat_unstall(struct session *session);

/* Redis has answered, or the chat is known not to have arrived. */
void chat_published(struct chat *chat, bool good, event_id id);

/* The member's position has moved: acknowledges what it has reached.  A log-out that waited for that goes on,
 * and the member with it. */
void chat_acknowledge(struct session *session, struct member *member);

/* True if chats of the session (in the member's room, unless NULL) are neither acknowledged nor refused. */
bool chat_is_unanswered(const struct session *session, const struct member *member);

/* Forgets all chats of the session. */
void chat_forget(struct session *session);

/* The digest of a secret that the client chose, in hex. */
void digest_key(const char *key, char digest[DIGEST_MAX_BYTES]);

#endif
