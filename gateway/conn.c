#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <utlist.h>

#define READ_BYTES 16384      /* at most so much a turn from one client */
#define INPUT_MAX (64 * 1024) /* more than this is not buffered: the kernel holds it */
#define LINGER_SECONDS 5      /* a closing conn may flush so long */
#define DISCARD_MAX (1 << 22) /* and bring so much that is thrown away */
#define CLOSING_MAX 256       /* more do not wait for their peers to close: they hold descriptors */

struct conn {
    /* What fan-out needs of each comes first: two cache lines of a thousand conns count. */
    struct conns *conns;
    void *owner;
    int fd;
    bool slow, closing, broken, eof, paused, shut, pausing, timeout_by_input;
    bool reading;            /* `readable` is added */
    bool in_flush, in_again; /* on the lists below */
    const char *lent;        /* goes before `output`; see conn_lend() */
    size_t lent_len;
    struct evbuffer *output; /* NULL: nothing waits */
    struct conn *flush_prev, *flush_next, *again_prev, *again_next;
    struct conn *prev, *next; /* among all */

    char *input; /* what has arrived and is not used yet, but see conns->arrived; NULL: nothing */
    size_t input_used, input_len; /* it lies between */
    struct evbuffer *pieces; /* lengths (size_t) of what `output` begins with and goes in writes of its own;
                                NULL: there never was any */
    size_t pieces_bytes;     /* their sum */
    size_t discarded;
    long timeout; /* seconds; see conn_set_timeout() */
    struct event readable, timer;
    /* NULL: not needed so far; the first two also, once they are not any more. */
    struct event *writable, *slow_timer, *quiet_timer;
    struct event *alone_timer; /* of the pause behind a piece */
};

struct conns {
    struct event_base *base;
    const struct conn_ops *ops;
    struct conn *all;
    struct conn
        *flush; /* those with output that was not tried yet, or to be freed; leave at the end of the turn */
    struct conn *again; /* those whose owner stopped at its budget; leave at the end of the turn */
    size_t open, closing;
    /* What was just read from `reader`; it is copied only if some of it is left. */
    struct conn *reader;
    const char *arrived;
    size_t arrived_len;
};

static void watch(struct conn *conn)
{
    bool want = !conn->broken && (conn->closing ? conn->shut
                                                : conn->owner && !conn->paused && !conn->slow && !conn->eof &&
                                                      conn->input_len - conn->input_used < INPUT_MAX);

    if (want == conn->reading)
        return;
    conn->reading = want;
    if (want)
        event_add(&conn->readable, NULL);
    else
        event_del(&conn->readable);
}

static void queue_flush(struct conn *conn)
{
    if (conn->in_flush)
        return;
    conn->in_flush = true;
    DL_APPEND2(conn->conns->flush, conn, flush_prev, flush_next);
}

static size_t output_len(const struct conn *conn)
{
    return conn->lent_len + (conn->output ? evbuffer_get_length(conn->output) : 0);
}

static void start_timer(struct conn *conn, struct event *timer, long seconds)
{
    struct timeval tv = {.tv_sec = seconds};
    const struct timeval *common = event_base_init_common_timeout(conn->conns->base, &tv);

    event_add(timer, common ? common : &tv);
}

static void discard(struct conn *conn)
{
    static char sink[READ_BYTES];
    ssize_t n = recv(conn->fd, sink, sizeof sink, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && (conn->discarded += (size_t)n) < DISCARD_MAX)
        return;
    conn->broken = true;
    queue_flush(conn);
}

/* Copies `bytes` behind what is held already. */
static void hold(struct conn *conn, const char *bytes, size_t len)
{
    size_t held = conn->input_len - conn->input_used;
    char *input;

    if (len == 0)
        return;
    if (conn->input_used > 0)
        memmove(conn->input, conn->input + conn->input_used, held);
    input = realloc(conn->input, held + len);
    if (!input)
        abort();
    memcpy(input + held, bytes, len);
    conn->input = input;
    conn->input_used = 0;
    conn->input_len = held + len;
}

/* Hands the owner what was just read, and keeps what that does not use. */
static void take_input(struct conn *conn, const char *bytes, size_t len)
{
    struct conns *conns = conn->conns;

    if (conn->input_len > 0) {
        hold(conn, bytes, len);
        conns->ops->input(conn->owner);
        return;
    }
    conns->reader = conn;
    conns->arrived = bytes;
    conns->arrived_len = len;
    conns->ops->input(conn->owner);
    conns->reader = NULL;
    if (!conn->closing)
        hold(conn, conns->arrived, conns->arrived_len);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static char bytes[READ_BYTES];
    struct conn *conn = arg;
    ssize_t n;

    if (conn->closing) {
        discard(conn);
        return;
    }
    n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        if (conn->timeout_by_input && conn->timeout)
            start_timer(conn, &conn->timer, conn->timeout);
        take_input(conn, bytes, (size_t)n);
    } else if (n == 0) {
        conn->eof = true;
        conn->conns->ops->eof(conn->owner);
    } else {
        conn->broken = true;
        conn->conns->ops->gone(conn->owner);
    }
    watch(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    queue_flush(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    if (conn->closing) {
        conn->broken = true;
        queue_flush(conn);
    } else {
        conn->conns->ops->timeout(conn->owner);
    }
}

static void on_slow_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    if (!conn->closing)
        conn->conns->ops->stuck(conn->owner);
}

static void on_quiet_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    if (conn->closing)
        return;
    conn->conns->ops->quiet(conn->owner);
    watch(conn);
}

struct conns *conns_create(struct event_base *base, const struct conn_ops *ops)
{
    struct conns *conns = calloc(1, sizeof *conns);

    if (!conns)
        return NULL;
    conns->base = base;
    conns->ops = ops;
    return conns;
}

/* Events that few conns need, and not for long. */
static struct event *need_event(struct conn *conn, struct event **event, int fd, short what,
                                event_callback_fn callback)
{
    if (!*event && !(*event = event_new(conn->conns->base, fd, what, callback, conn)))
        abort();
    return *event;
}

static void free_event(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

static void destroy(struct conn *conn)
{
    struct conns *conns = conn->conns;

    if (conn->in_flush)
        DL_DELETE2(conns->flush, conn, flush_prev, flush_next);
    if (conn->in_again)
        DL_DELETE2(conns->again, conn, again_prev, again_next);
    DL_DELETE(conns->all, conn);
    if (conn->closing)
        conns->closing--;
    else
        conns->open--;
    event_del(&conn->readable);
    event_del(&conn->timer);
    free_event(&conn->writable);
    free_event(&conn->slow_timer);
    free_event(&conn->quiet_timer);
    free_event(&conn->alone_timer);
    close(conn->fd);
    free(conn->input);
    if (conn->output)
        evbuffer_free(conn->output);
    if (conn->pieces)
        evbuffer_free(conn->pieces);
    free(conn);
}

void conns_destroy(struct conns *conns)
{
    if (!conns)
        return;
    while (conns->all)
        destroy(conns->all);
    free(conns);
}

size_t conns_count(const struct conns *conns)
{
    return conns->open;
}

bool conns_idle(const struct conns *conns)
{
    return conns->open == 0 && conns->closing == 0;
}

struct conn *conn_create(struct conns *conns, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->conns = conns;
    conn->fd = fd;
    event_assign(&conn->readable, conns->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->timer, conns->base, -1, 0, on_timer, conn);
    DL_APPEND(conns->all, conn);
    conns->open++;
    return conn;
}

void conn_set_owner(struct conn *conn, void *owner)
{
    conn->owner = owner;
    watch(conn);
}

const char *conn_input(const struct conn *conn, size_t *len)
{
    bool just_read = conn->conns->reader == conn;

    *len = just_read ? conn->conns->arrived_len : conn->input_len - conn->input_used;
    if (*len == 0)
        return "";
    return just_read ? conn->conns->arrived : conn->input + conn->input_used;
}

void conn_use(struct conn *conn, size_t n)
{
    if (conn->conns->reader == conn) {
        conn->conns->arrived += n;
        conn->conns->arrived_len -= n;
        return;
    }
    conn->input_used += n;
    if (conn->input_used == conn->input_len) {
        free(conn->input);
        conn->input = NULL;
        conn->input_used = conn->input_len = 0;
    }
}

void conn_pause(struct conn *conn, bool paused)
{
    conn->paused = paused;
    watch(conn);
}

void conn_again(struct conn *conn)
{
    if (conn->in_again || conn->closing)
        return;
    conn->in_again = true;
    DL_APPEND2(conn->conns->again, conn, again_prev, again_next);
}

static void append(struct conn *conn, const void *data, size_t len)
{
    if (!conn->output && !(conn->output = evbuffer_new()))
        abort();
    evbuffer_add(conn->output, data, len);
}

/* Copies what was lent: it cannot be written as it is. */
static void keep_lent(struct conn *conn)
{
    if (conn->lent_len > 0)
        append(conn, conn->lent, conn->lent_len);
    conn->lent_len = 0;
}

/* Something was appended. */
static void appended(struct conn *conn)
{
    queue_flush(conn);
    if (!conn->slow && output_len(conn) > CONN_OUTPUT_MAX) {
        conn->slow = true;
        start_timer(conn, need_event(conn, &conn->slow_timer, -1, 0, on_slow_timer), CONN_SLOW_SECONDS);
        watch(conn);
    }
}

void conn_send(struct conn *conn, const void *data, size_t len)
{
    if (conn->closing || conn->broken || len == 0)
        return;
    keep_lent(conn);
    append(conn, data, len);
    appended(conn);
}

void conn_lend(struct conn *conn, const void *data, size_t len)
{
    if (conn->closing || conn->broken || len == 0)
        return;
    if (output_len(conn) > 0) {
        conn_send(conn, data, len);
        return;
    }
    conn->lent = data;
    conn->lent_len = len;
    appended(conn);
}

static void add_piece(struct conn *conn, size_t len)
{
    evbuffer_add(conn->pieces, &len, sizeof len);
    conn->pieces_bytes += len;
}

void conn_send_alone(struct conn *conn, const void *data, size_t len)
{
    size_t before = output_len(conn);

    if (conn->closing || conn->broken || len == 0)
        return;
    if (!conn->pieces && !(conn->pieces = evbuffer_new()))
        abort();
    if (before > conn->pieces_bytes)
        add_piece(conn, before - conn->pieces_bytes);
    conn_send(conn, data, len);
    add_piece(conn, len);
}

bool conn_is_flushed(const struct conn *conn)
{
    return output_len(conn) == 0;
}

bool conn_is_slow(const struct conn *conn)
{
    return conn->slow;
}

void conn_set_timeout(struct conn *conn, long seconds, bool by_input)
{
    conn->timeout = seconds;
    conn->timeout_by_input = by_input;
    event_del(&conn->timer);
    if (seconds > 0)
        start_timer(conn, &conn->timer, seconds);
}

void conn_set_quiet(struct conn *conn, long ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    if (ms > 0)
        event_add(need_event(conn, &conn->quiet_timer, -1, 0, on_quiet_timer), &tv);
    else if (conn->quiet_timer)
        event_del(conn->quiet_timer);
}

void conn_close(struct conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn->owner = NULL;
    conn->conns->open--;
    conn->conns->closing++;
    free_event(&conn->slow_timer);
    conn_set_quiet(conn, 0);
    start_timer(conn, &conn->timer, LINGER_SECONDS);
    watch(conn);
    queue_flush(conn);
}

/*
 * The second step of closing.  A socket that is closed with input unread resets the connection, and the peer
 * may lose what it was told last: so only our side is shut, and input is thrown away until the peer has
 * closed too.
 */
static void finish_closing(struct conn *conn)
{
    if (!conn->broken && !conn->shut && output_len(conn) == 0) {
        conn->shut = true;
        if (conn->eof || shutdown(conn->fd, SHUT_WR) < 0 || conn->conns->closing > CLOSING_MAX)
            conn->broken = true;
        watch(conn);
    }
    if (conn->broken)
        destroy(conn);
}

enum written { WRITTEN, WRITTEN_IN_PART, WRITE_FAILED };

/* Writes up to `len` bytes of the output, once. */
static enum written write_once(struct conn *conn, size_t len)
{
    int n = evbuffer_write_atmost(conn->output, conn->fd, (ev_ssize_t)len);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? WRITTEN_IN_PART : WRITE_FAILED;
    if (conn->pieces_bytes > 0) {
        evbuffer_drain(conn->pieces, sizeof len);
        conn->pieces_bytes -= (size_t)n;
        len -= (size_t)n;
        if (len > 0)
            evbuffer_prepend(conn->pieces, &len, sizeof len);
        return len > 0 ? WRITTEN_IN_PART : WRITTEN;
    }
    return output_len(conn) > 0 ? WRITTEN_IN_PART : WRITTEN;
}

/* Writes what was lent, once; what the socket does not take is copied. */
static enum written write_lent(struct conn *conn)
{
    ssize_t n = write(conn->fd, conn->lent, conn->lent_len);
    bool failed = n < 0 && errno != EAGAIN && errno != EINTR;

    if (n > 0) {
        conn->lent += n;
        conn->lent_len -= (size_t)n;
    }
    if (conn->lent_len == 0)
        return WRITTEN;
    keep_lent(conn);
    return failed ? WRITE_FAILED : WRITTEN_IN_PART;
}

static void on_alone_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    conn->pausing = false;
    queue_flush(conn);
}

static void pause_writing(struct conn *conn)
{
    struct timeval tv = {.tv_usec = CONN_ALONE_MS * 1000};

    conn->pausing = true;
    event_add(need_event(conn, &conn->alone_timer, -1, 0, on_alone_timer), &tv);
}

/* Writes all of the output, or the first of what goes alone: the rest follows behind the pause. */
static enum written write_output(struct conn *conn)
{
    enum written written = WRITTEN;
    size_t len;

    if (conn->lent_len > 0 && !conn->output && !conn->pausing)
        return write_lent(conn);
    keep_lent(conn);
    while (conn->pieces_bytes > 0 && written == WRITTEN && (!conn->pausing || conn->closing)) {
        evbuffer_copyout(conn->pieces, &len, sizeof len);
        written = write_once(conn, len);
        if (written == WRITTEN && !conn->closing)
            pause_writing(conn);
    }
    if (conn->pieces_bytes > 0 || written != WRITTEN || (conn->pausing && !conn->closing))
        return written;
    len = output_len(conn);
    return len > 0 ? write_once(conn, len) : WRITTEN;
}

/* What a full socket leaves waits for `writable`. */
static void flush(struct conn *conn)
{
    struct conns *conns = conn->conns;

    if (conn->broken) {
        conn->lent_len = 0;
    } else {
        enum written written = write_output(conn);

        if (conn->output && evbuffer_get_length(conn->output) == 0) {
            evbuffer_free(conn->output);
            conn->output = NULL;
            free_event(&conn->writable);
        }
        if (written == WRITTEN_IN_PART) {
            event_add(need_event(conn, &conn->writable, conn->fd, EV_WRITE, on_writable), NULL);
        } else if (written == WRITE_FAILED) {
            conn->broken = true;
            if (!conn->closing)
                conns->ops->gone(conn->owner);
        }
    }
    if (conn->closing) {
        finish_closing(conn);
    } else if (conn->slow && output_len(conn) < CONN_OUTPUT_MAX / 4) {
        conn->slow = false;
        free_event(&conn->slow_timer);
        watch(conn);
        conns->ops->drained(conn->owner);
    }
}

bool conns_end_turn(struct conns *conns)
{
    struct conn *list = conns->flush, *conn;

    /* Each conn of this turn is written once; what that sets off is for the next turn. */
    conns->flush = NULL;
    while ((conn = list)) {
        DL_DELETE2(list, conn, flush_prev, flush_next);
        conn->in_flush = false;
        flush(conn);
    }
    list = conns->again;
    conns->again = NULL;
    while ((conn = list)) {
        DL_DELETE2(list, conn, again_prev, again_next);
        conn->in_again = false;
        if (!conn->closing) {
            conns->ops->input(conn->owner);
            watch(conn);
        }
    }
    return conns->flush || conns->again;
}
