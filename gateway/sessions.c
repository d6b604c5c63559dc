/*
 * sessions: the set of all sessions of this gateway, and what conns, the hub, presence and the bus tell it.
 *
 * Sessions are named by number to the outside: an answer for a number that is not here any more is for
 * somebody who left, and is dropped.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "proxy_header.h"
#include "session.h"
#include "settings.h"

#define EOF_SECONDS 5 /* who has sent all is answered for so long */
#define TOLD_MAX 100  /* hear in a second that the server is full: each keeps a descriptor for a while */

/* How many sessions come from one address; there are no zeros. */
struct address {
    char text[ADDRESS_MAX_BYTES];
    long count;
    UT_hash_handle hh;
};

void sessions_init(struct sessions *sessions, const struct settings *settings)
{
    memset(sessions, 0, sizeof *sessions);
    sessions->settings = settings;
    sessions->next_serial = sessions->next_token = 1;
}

static void session_destroy(struct session *session)
{
    session->dialect->codec_destroy(session->codec);
    free(session->id);
    free(session->address);
    free(session->shown);
    free(session->name);
    free(session->key);
    free(session->account);
    free(session);
}

void sessions_end_turn(struct sessions *sessions)
{
    struct session *session;

    inbox_end_turn(sessions);
    while ((session = sessions->closed)) {
        sessions->closed = session->free_next;
        session_destroy(session);
    }
}

void sessions_finish(struct sessions *sessions)
{
    sessions_abandon(sessions);
    sessions_end_turn(sessions);
}

size_t sessions_count(const struct sessions *sessions)
{
    return HASH_COUNT(sessions->by_serial);
}

struct session *session_by_serial(struct sessions *sessions, uint64_t serial)
{
    struct session *session;

    HASH_FIND(hh, sessions->by_serial, &serial, sizeof serial, session);
    return session;
}

struct session *session_by_id(struct sessions *sessions, const char *id)
{
    const char *number = strrchr(id, '-');
    struct session *session = number ? session_by_serial(sessions, strtoull(number + 1, NULL, 10)) : NULL;

    return session && strcmp(session->id, id) == 0 ? session : NULL;
}

/* Limits ------------------------------------------------------------------------------------------------- */

static struct address *address_find(const struct sessions *sessions, const char *text)
{
    struct address *address;

    HASH_FIND_STR(sessions->addresses, text, address);
    return address;
}

static void count_address(struct session *session)
{
    struct sessions *sessions = session->sessions;
    struct address *address = address_find(sessions, session->address);

    if (sessions->settings->max_per_address == 0)
        return;
    if (!address) {
        address = calloc(1, sizeof *address);
        if (!address)
            abort();
        snprintf(address->text, sizeof address->text, "%s", session->address);
        HASH_ADD_STR(sessions->addresses, text, address);
    }
    address->count++;
    session->counted = address;
}

void sessions_uncount(struct session *session)
{
    struct address *address = session->counted;

    session->counted = NULL;
    if (!address || --address->count > 0)
        return;
    HASH_DEL(session->sessions->addresses, address);
    free(address);
}

bool sessions_full(const struct sessions *sessions, size_t waiting)
{
    long most = sessions->settings->max_clients;

    return most > 0 && sessions_count(sessions) + waiting >= (size_t)most;
}

/* Which limit keeps a client from `address` out, or NULL. */
static const char *limit_reached(const struct sessions *sessions, const char *address, size_t waiting)
{
    const struct address *known = address_find(sessions, address);

    if (sessions_full(sessions, waiting))
        return "HUBBUB_MAX_CLIENTS";
    if (known && known->count >= sessions->settings->max_per_address)
        return "HUBBUB_MAX_PER_ADDRESS";
    return NULL;
}

/* Notes that somebody was kept out.  False: these are too many to tell each. */
static bool note_refusal(struct sessions *sessions, const char *address, const char *limit)
{
    unsigned long more;
    unsigned count = seldom_count(&sessions->refused, monotonic_ms(), &more);

    log_write(count == 1 ? LOG_INFO : LOG_DEBUG, "client_refused", "address=%s limit=%s more=%lu", address,
              limit, more);
    return count <= TOLD_MAX;
}

static struct session *session_create(struct sessions *sessions, int fd, int dialect, const char *address)
{
    struct session *session = calloc(1, sizeof *session);
    struct conn *conn = conn_create(sessions->conns, fd); /* closes fd if there is no memory */
    char id[SESSION_MAX_BYTES];

    if (!session || !conn)
        abort();
    session->sessions = sessions;
    session->serial = sessions->next_serial++;
    session->conn = conn;
    session->dialect = dialects[dialect];
    session->dialect_number = dialect;
    session->codec = session->dialect->codec_create();
    if (!session->codec)
        abort();
    session->tokens = (double)sessions->settings->burst;
    session->tokens_at = monotonic_ms();
    snprintf(id, sizeof id, "%s-%llu", bus_incarnation(sessions->bus), (unsigned long long)session->serial);
    session_set(&session->id, id);
    session_set(&session->address, address);
    HASH_ADD(hh, sessions->by_serial, serial, sizeof session->serial, session);
    return session;
}

void sessions_accept(struct sessions *sessions, int fd, int dialect, long idle_seconds, const char *address,
                     size_t waiting)
{
    const char *limit = limit_reached(sessions, address, waiting);
    struct session *session;

    if (limit && !note_refusal(sessions, address, limit)) {
        close(fd);
        return;
    }
    session = session_create(sessions, fd, dialect, address);
    if (limit) {
        session_close(session, ERROR_SERVER_FULL, "server-full", false);
        return;
    }
    count_address(session);
    session->idle_seconds = idle_seconds;
    conn_set_timeout(session->conn, sessions->settings->login_timeout, false);
    if (session->dialect->greeting)
        conn_send(session->conn, session->dialect->greeting, strlen(session->dialect->greeting));
    conn_set_owner(session->conn, session);
}

void sessions_drain(struct sessions *sessions)
{
    struct session *session, *next;

    sessions->draining = true;
    HASH_ITER (hh, sessions->by_serial, session, next) {
        conn_pause(session->conn, true);
        conn_set_timeout(session->conn, 0, false);
        if (session->doing == DOING_NOTHING)
            session_done(session); /* which logs it out */
        else if (session->doing == DOING_LOGIN && session->state == SESSION_LOGGING_IN)
            session_close(session, ERROR_SHUTTING_DOWN, "shutting-down", true);
    }
}

void sessions_abandon(struct sessions *sessions)
{
    struct session *session, *next;

    HASH_ITER (hh, sessions->by_serial, session, next)
        session_close(session, ERROR_SHUTTING_DOWN, "shutting-down", true);
}

/* From the bus ------------------------------------------------------------------------------------------- */

void sessions_published(struct sessions *sessions, uint64_t token, bool good, event_id id)
{
    struct chat *chat;

    HASH_FIND(hh, sessions->chats, &token, sizeof token, chat);
    if (chat)
        chat_published(chat, good, id);
}

void sessions_roomy(struct sessions *sessions, unsigned lane)
{
    struct session *session, *next;

    /* Rare enough to look at all: 4,096 publishes were under way. */
    HASH_ITER (hh, sessions->by_serial, session, next)
        if (session->stalled && session->stalled->lane == lane && !chat_unstall(session))
            return;
}

/* From conns --------------------------------------------------------------------------------------------- */

/* A header where none belongs: of a proxy that is set up wrongly, or of somebody who lies about it. */
static bool begins_with_proxy_header(struct session *session)
{
    const char *bytes;
    size_t len;

    if (session->heard)
        return false;
    session->heard = true;
    bytes = conn_input(session->conn, &len);
    return proxy_header_begins(bytes, len);
}

static void on_input(void *owner)
{
    struct session *session = owner;

    if (begins_with_proxy_header(session)) {
        session_error(session, VERBS, NULL, NULL, ERROR_BAD_REQUEST, "This port takes no PROXY header.");
        session_close(session, ERROR_NONE, "proxy-header", false);
    } else {
        session_read(session);
    }
}

static void on_eof(void *owner)
{
    struct session *session = owner;

    session->eof = true;
    if (session->state ==
        SESSION_ACTIVE) /* what is under way must not keep the descriptor through an outage */
        conn_set_timeout(session->conn, EOF_SECONDS, false);
    session_read(session);
}

static void on_gone(void *owner)
{
    session_close(owner, ERROR_NONE, "gone", true);
}

static void on_drained(void *owner)
{
    struct session *session = owner;
    struct member *member, *next;

    DL_FOREACH_SAFE2(session->members, member, next, own_next)
    {
        hub_resume(member);
        if (!session->members) /* its last chat was acknowledged, and with that it has left all its rooms */
            break;
    }
    if (session->inbox)
        hub_resume(session->inbox);
    inbox_go_on(session);
    conn_again(session->conn);
}

static void on_stuck(void *owner)
{
    session_close(owner, ERROR_SLOW_CONSUMER, "slow-consumer", true);
}

static void on_timeout(void *owner)
{
    session_timeout(owner);
}

static void on_quiet(void *owner)
{
    struct session *session = owner;

    session->dialect->quiet(session->codec);
    session_read(session);
    if (session->state != SESSION_CLOSED)
        conn_set_quiet(session->conn, 0); /* what is left waits for more, not for more silence */
}

const struct conn_ops sessions_conn_ops = {on_input, on_eof,     on_gone, on_drained,
                                           on_stuck, on_timeout, on_quiet};

/* From the hub ------------------------------------------------------------------------------------------- */

static void hub_send(void *owner, const void *data, size_t len)
{
    session_send(owner, data, len);
}

static void hub_lend(void *owner, const void *data, size_t len)
{
    struct session *session = owner;

    if (session->dialect->frame)
        session_send(session, data, len);
    else
        conn_lend(session->conn, data, len);
}

static bool hub_ready(void *owner)
{
    struct session *session = owner;

    return !conn_is_slow(session->conn);
}

static void hub_reached(void *owner, struct member *member)
{
    struct session *session = owner;

    if (member == session->inbox)
        inbox_reached(session);
    else
        chat_acknowledge(session, member);
}

static bool hub_is_for(void *owner, const struct event *event)
{
    return session_is(owner, event->whom);
}

static uint64_t hub_serial_of(void *ctx, const char *id)
{
    struct session *session = session_by_id(ctx, id);

    return session ? session->serial : 0;
}

static void hub_room_ready(void *ctx, uint64_t token, bool good)
{
    struct session *session = session_by_serial(ctx, token);

    if (session)
        session_room_ready(session, good);
}

const struct hub_ops sessions_hub_ops = {hub_send,   hub_lend,      hub_ready,     hub_reached,
                                         hub_is_for, hub_serial_of, hub_room_ready};

/* From presence ------------------------------------------------------------------------------------------ */

static void presence_answered(void *ctx, uint64_t token, enum presence_result result, long count,
                              const char *const *names, size_t n_names)
{
    struct session *session = session_by_serial(ctx, token);

    if (session)
        session_presence(session, result, count, names, n_names);
}

static void presence_listed(void *ctx, uint64_t token, long count, const char **names, const long *counts,
                            size_t n_names)
{
    struct session *session = session_by_serial(ctx, token);

    if (session)
        session_listed(session, count, names, counts, n_names);
}

static void presence_found(void *ctx, uint64_t token, bool known, const char *holder)
{
    struct session *session = session_by_serial(ctx, token);

    if (session)
        session_found(session, known, holder);
}

static void presence_lost(void *ctx, const char *id, bool replaced)
{
    struct session *session = session_by_id(ctx, id);

    /* One that is still logging in has a claim under way, which must not win the name back. */
    if (session)
        session_close(session, replaced ? ERROR_REPLACED : ERROR_USERNAME_TAKEN,
                      replaced ? "replaced" : "username-taken", session->state == SESSION_LOGGING_IN);
}

static void presence_reclaim_all(void *ctx)
{
    struct sessions *sessions = ctx;
    struct session *session, *next;

    HASH_ITER (hh, sessions->by_serial, session, next) {
        const char *rooms[SESSION_ROOMS_MAX + 2] = {""}; /* who is in no room claims the name alone */
        struct member *member;
        size_t n = 0;
        char *record;

        if (session->state != SESSION_ACTIVE)
            continue;
        DL_FOREACH2(session->members, member, own_next)
        rooms[n++] = hub_room_name(member->room);
        record = session_open_record(session->id, session->shown, sessions->settings->gateway,
                                     session->dialect->name, session->address);
        if (!record)
            abort();
        presence_reclaim(sessions->presence,
                         &(struct claim){.name = session->name,
                                         .shown = session->shown,
                                         .session = session->id,
                                         .key = session->key,
                                         .account = session->account,
                                         .room = rooms[0],
                                         .record = record},
                         rooms + 1, n > 0 ? n - 1 : 0);
        free(record);
    }
}

static void presence_held(void *ctx, const char *const *names, const char *const *ids, size_t n)
{
    struct sessions *sessions = ctx;
    struct session *session, *next;

    for (size_t i = 0; i < n; i++) {
        session = session_by_id(sessions, ids[i]);
        if (session && session->state != SESSION_NEW && strcmp(session->name, names[i]) == 0)
            session->held = true;
        else
            presence_release(sessions->presence, names[i], ids[i], 0);
    }
    HASH_ITER (hh, sessions->by_serial, session, next) {
        if (!session->held && session->state == SESSION_ACTIVE)
            session_close(session, ERROR_REPLACED, "replaced", false);
        session->held = false;
    }
}

const struct presence_ops sessions_presence_ops = {presence_answered, presence_listed,      presence_found,
                                                   presence_lost,     presence_reclaim_all, presence_held};
