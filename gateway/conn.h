#ifndef HUBBUB_CONN_H
#define HUBBUB_CONN_H

/*
 * conn: one client's socket, with its buffers, caps and timers.  Knows nothing of what the bytes mean.
 *
 * Output is lent to the conn or appended to its buffer, and the conn is put on the flush list; at the end of
 * the loop turn each is written once.  Only a socket that is full is watched for writability.
 *
 *     open --(output passes CONN_OUTPUT_MAX)--> slow --(a quarter of it is left)--> open
 *       |                                         |
 *       +------------- conn_close ----------------+--> closing: flush, shut down, discard input, free
 *
 * While slow nothing is read, and after CONN_SLOW_SECONDS the owner is told.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct conns;
struct event_base;

#define CONN_OUTPUT_MAX (1024 * 1024)
#define CONN_SLOW_SECONDS 60
#define CONN_ALONE_MS 20 /* between two that go alone: the peer reads the first meanwhile */

/* What the owner hears.  Each may close the conn. */
struct conn_ops {
    void (*input)(void *owner);   /* there is something new in conn_input(), or conn_again() asked for this */
    void (*eof)(void *owner);     /* the peer sends nothing more; comes once */
    void (*gone)(void *owner);    /* the connection broke: nothing can be sent any more */
    void (*drained)(void *owner); /* no longer slow */
    void (*stuck)(void *owner);   /* slow for CONN_SLOW_SECONDS */
    void (*timeout)(void *owner); /* the time of conn_set_timeout() is over */
    void (*quiet)(void *owner);   /* the time of conn_set_quiet() is over */
};

/* All conns of a loop.  NULL: no memory. */
struct conns *conns_create(struct event_base *base, const struct conn_ops *ops);

/* Frees all conns, closing their sockets at once, and the set. */
void conns_destroy(struct conns *conns);

/*
 * To be called at the end of each loop turn: writes what was queued, frees what was closed.  True if there is
 * more to do at once, so that the next turn must not wait.
 */
bool conns_end_turn(struct conns *conns);

/* How many are open, those that are closing not counted. */
size_t conns_count(const struct conns *conns);

/* True if there are none, closing ones included. */
bool conns_idle(const struct conns *conns);

/* Takes the connected, non-blocking socket `fd`.  NULL: no memory; then `fd` is closed. */
struct conn *conn_create(struct conns *conns, int fd);

/* Says who is told.  Nothing is read before. */
void conn_set_owner(struct conn *conn, void *owner);

/* The bytes that arrived and were not used yet; never NULL.  They stay where they are until conn_use() or the
 * end of the callback. */
const char *conn_input(const struct conn *conn, size_t *len);

/* The owner is done with the first `n` of them. */
void conn_use(struct conn *conn, size_t n);

/* Stops or goes on reading; what is buffered already stays.  Nests not. */
void conn_pause(struct conn *conn, bool paused);

/* Asks for ops->input again in the next turn, because the owner has stopped at its budget. */
void conn_again(struct conn *conn);

/* Appends a copy of `data`; never fails, but see conn_is_slow(). */
void conn_send(struct conn *conn, const void *data, size_t len);

/* The same, but `data` stays where it is until conns_end_turn() has returned, and is not copied if it can be
 * written at once: for what goes to many. */
void conn_lend(struct conn *conn, const void *data, size_t len);

/*
 * The same, but `data` gets a write of its own, and nothing is written for CONN_ALONE_MS after it: for peers
 * that lose what has come when they have read one message.  Who is closing does not wait.
 */
void conn_send_alone(struct conn *conn, const void *data, size_t len);

/* True if all that was appended was written to the socket. */
bool conn_is_flushed(const struct conn *conn);

/* True if nothing more should be appended now: ops->drained will come. */
bool conn_is_slow(const struct conn *conn);

/* Calls ops->timeout once in `seconds`, unless it is set anew; each byte that arrives starts it anew if
 * `by_input`. */
void conn_set_timeout(struct conn *conn, long seconds, bool by_input);

/* Calls ops->quiet once in `ms`, unless it is set anew; 0: never. */
void conn_set_quiet(struct conn *conn, long ms);

/* Closes: the owner hears nothing more, what was appended is still flushed (for a few seconds at most). */
void conn_close(struct conn *conn);

#endif
