/*
 * The machine.  All else here (rooms, chats, marks) waits for CONNECTED, and go_on() is where it goes on.
 *
 *                 session_start               opened                   welcome
 *     DISCONNECTED -----------> CONNECTING ----------> AUTHENTICATING ---------> CONNECTED
 *       ^     ^                  |     ^                 |       |                |     |
 *       |     |                  |     | after           |       |                |     |
 *       |     |             lost |     | a pause         | lost  |           lost |     |
 *       |     |                  v     |                 |       |                |     |
 *       |     |                 RECONNECTING <-----------+-----  |  --------------+     |
 *       |     |                                                  |                      |
 *       |     +------------------------------ refused for good --+----------------------+
 *       |
 *       +-- logged out, lost, or after 3 s -- DISCONNECTING <-- session_leave, from all the others
 */
#include "session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <utlist.h>

#include "heap.h"
#include "name.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 30000
#define CALM_MS 10000      /* a connection that has lasted so long was a good one */
#define WELCOME_FAILURES 2 /* one that brought a welcome at least is followed by a pause of 2 s at most */
#define TAKEN_MS 20000     /* a gateway that has died keeps the name for 15 s */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MAX_MS 5000
#define QUIET_MS 60000 /* then the server is asked whether it is there */
#define ANSWER_MS 20000
#define REPLY_MS 60000 /* a server that has not answered a chat or a join by then will not */
#define LEAVE_MS 3000
#define NEVER INT64_MAX
#define FOREVER INT64_MAX
#define SECRET_MAX_BYTES 33 /* 128 bits in hex, with NUL */
#define REF_MAX_BYTES 64
#define DIRECTS_MAX 1000
#define MARKS_MAX 1000
#define MARK_MS 1000 /* between two of them: each costs as much of the rate as four chats */
#define MARKS_AT_END 5
#define BIT(state) (1u << (state))

/* A room where one is or wants to be.  Enters by session_create, session_enter or a welcome, leaves when it
 * was exited or refused.  The log-in names the first one, the others are entered one after the other. */
struct room {
    char *name; /* folded, if that can be */
    event_id since;
    bool entered; /* on this connection */
    struct room *prev, *next;
};

/* A chat without a fate.  Enters at the end by session_say; only the first is ever under way. */
struct chat {
    uint64_t number;
    char ref[REF_MAX_BYTES];
    char *room;       /* folded; NULL: a direct, or no room's name */
    char *line;       /* as it is sent, each time */
    bool under_way;   /* it was sent on this connection, and not answered yet */
    bool doubtful;    /* it was sent on one that was lost: it may have been said */
    bool stale;       /* session_decide() is waited for */
    int64_t first_at; /* when the first sending was whose answer is not known */
    int64_t sent_at;  /* on this connection */
    struct chat *prev, *next;
};

/* How far the directs from somebody were read, and the server has not been told.  Enters by session_read,
 * unless there is one of that person already; only the first is ever under way. */
struct mark {
    char *with;
    event_id id;
    event_id told; /* what was sent on this connection and not answered yet, or 0 */
    struct mark *prev, *next;
};

/* What only the person knows. */
enum want { WANT_NOTHING, WANT_NAME, WANT_PASSWORD };

struct session {
    const struct session_ops *ops;
    void *ctx;
    char *name, *password; /* password: NULL or empty: none */
    char *registering;     /* the password of a register that was not answered yet, or NULL */
    bool echo;
    char key[SECRET_MAX_BYTES], tag[SECRET_MAX_BYTES]; /* tag: what this session's refs begin with */
    uint64_t last_number;                              /* of a ref */

    enum session_state state;
    int64_t until;     /* the state lasts no longer: then its time_up is called; NEVER */
    int64_t again_at;  /* what the server could not do is asked for again, and nothing before; NEVER: nothing
                          waits */
    int64_t woken_at;  /* ops->wake was called for then; NEVER: it was not */
    unsigned refusals; /* of that, in a row */
    unsigned failures; /* connections that did not last, in a row */
    enum want want;    /* what the person is asked for */
    bool had_name;     /* the name was this session's */
    bool pinged;       /* the server was asked whether it is there */
    bool leaving;      /* when all chats have a fate */
    int64_t connected_at;
    int64_t taken_since; /* somebody else seems to have the name; NEVER: not so */

    struct room *rooms;
    size_t n_rooms;
    struct room *entering; /* a join is under way; NULL: none */
    char entering_ref[REF_MAX_BYTES];
    int64_t entering_at;
    struct chat *chats; /* oldest first */
    size_t n_chats;
    event_id directs[DIRECTS_MAX]; /* a ring of those that were heard: an account's come again until they are
                                      read */
    size_t n_directs;
    struct mark *marks;
    size_t n_marks;
    int64_t mark_at; /* no mark is sent before */
    char mark_ref[REF_MAX_BYTES];
};

static void connect_again(struct session *session);
static void end_silence(struct session *session);
static void give_up_answer(struct session *session);
static void end_leaving(struct session *session);

/* The machine: which state may follow which, and what happens when one has lasted until session->until. */
static const struct {
    const char *name;
    unsigned next;
    void (*time_up)(struct session *session);
} states[] = {
    [SESSION_DISCONNECTED] = {"disconnected", BIT(SESSION_CONNECTING), NULL},
    [SESSION_CONNECTING] = {"connecting",
                            BIT(SESSION_AUTHENTICATING) | BIT(SESSION_RECONNECTING) |
                                BIT(SESSION_DISCONNECTING),
                            NULL},
    [SESSION_AUTHENTICATING] = {"authenticating",
                                BIT(SESSION_CONNECTED) | BIT(SESSION_RECONNECTING) |
                                    BIT(SESSION_DISCONNECTED) | BIT(SESSION_DISCONNECTING),
                                give_up_answer},
    [SESSION_CONNECTED] = {"connected",
                           BIT(SESSION_RECONNECTING) | BIT(SESSION_DISCONNECTED) | BIT(SESSION_DISCONNECTING),
                           end_silence},
    [SESSION_RECONNECTING] = {"reconnecting", BIT(SESSION_CONNECTING) | BIT(SESSION_DISCONNECTING),
                              connect_again},
    [SESSION_DISCONNECTING] = {"disconnecting", BIT(SESSION_DISCONNECTED), end_leaving},
};

/* Small things ------------------------------------------------------------------------------------------- */

static int64_t now_ms(const struct session *session)
{
    return session->ops->now(session->ctx);
}

/* From 0 to `max`. */
static int64_t random_upto(int64_t max)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        abort(); /* Linux gives 8 bytes always */
    return (int64_t)(number % ((uint64_t)max + 1));
}

static void make_secret(char secret[SECRET_MAX_BYTES])
{
    for (int i = 0; i < SECRET_MAX_BYTES - 1; i++)
        secret[i] = "0123456789abcdef"[random_upto(15)];
    secret[SECRET_MAX_BYTES - 1] = '\0';
}

/* The pause number `n` (from 0): doubling from `first` to `max`, by chance anywhere in its upper half. */
static int64_t pause_ms(unsigned n, int64_t first, int64_t max)
{
    int64_t pause = first;

    while (n-- > 0 && pause < max)
        pause *= 2;
    if (pause > max)
        pause = max;
    return pause / 2 + random_upto(pause - pause / 2);
}

/* Puts a copy of `text` (NULL: nothing) into *string, instead of what it held. */
static void replace(char **string, const char *text)
{
    char *copy = text ? need(strdup(text)) : NULL;

    wipe(*string);
    *string = copy;
}

/* The only place where the state changes.  It lasts for `lasts` ms at most.  What ops->changed calls may
 * change it again: whoever goes on behind this looks. */
static void move(struct session *session, enum session_state to, int64_t lasts, const char *why)
{
    enum session_state from = session->state;
    bool pauses = to == SESSION_RECONNECTING && lasts != FOREVER;

    assert(states[from].next & BIT(to));
    session->state = to;
    session->until = lasts == FOREVER ? NEVER : now_ms(session) + lasts;
    if (to == SESSION_DISCONNECTED)
        session->leaving = false;
    session->ops->changed(session->ctx, from, to, why, pauses ? lasts : 0);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When it has taken too long to answer what is under way. */
static int64_t reply_until(const struct session *session)
{
    int64_t at = NEVER;

    if (session->state != SESSION_CONNECTED)
        return NEVER;
    if (session->chats && session->chats->under_way)
        at = session->chats->sent_at + REPLY_MS;
    if (session->entering)
        at = earlier(at, session->entering_at + REPLY_MS);
    return at;
}

/* When the next mark may be sent. */
static int64_t next_mark_at(const struct session *session)
{
    if (session->state != SESSION_CONNECTED || session->again_at != NEVER || !session->marks ||
        session->marks->told)
        return NEVER;
    return session->mark_at;
}

/* To be called at the end of all that others call: sees to it that session_tick() is called in time. */
static void arrange(struct session *session)
{
    int64_t at = earlier(earlier(session->until, session->again_at),
                         earlier(reply_until(session), next_mark_at(session)));

    if (at == session->woken_at)
        return;
    session->woken_at = at;
    session->ops->wake(session->ctx, at == NEVER ? 0 : at);
}

/* Sends a line and frees it; it may hold a password.  False: there is none. */
static bool send_line(struct session *session, char *line)
{
    if (!line)
        return false;
    session->ops->send(session->ctx, line, strlen(line));
    wipe(line);
    return true;
}

/* Asks for something; false if that cannot be now. */
static bool ask(struct session *session, const char *type, const struct wire_member *members, size_t n)
{
    return session->state == SESSION_CONNECTED && send_line(session, wire_request(type, members, n));
}

static void make_ref(struct session *session, char ref[REF_MAX_BYTES])
{
    snprintf(ref, REF_MAX_BYTES, "%s-%llu", session->tag, (unsigned long long)++session->last_number);
}

/* Rooms -------------------------------------------------------------------------------------------------- */

/* NULL: no memory. */
static struct room *room_create(struct session *session, const char *name, event_id since)
{
    struct room *room = calloc(1, sizeof *room);
    char folded[ROOM_MAX_BYTES];

    if (!room || !(room->name = strdup(room_fold(name, folded) ? folded : name))) {
        free(room);
        return NULL;
    }
    room->since = since;
    DL_APPEND(session->rooms, room);
    session->n_rooms++;
    return room;
}

static void room_destroy(struct session *session, struct room *room)
{
    if (session->entering == room)
        session->entering = NULL;
    DL_DELETE(session->rooms, room);
    session->n_rooms--;
    free(room->name);
    free(room);
}

/* NULL: one is not there, nor wants to be. */
static struct room *room_find(const struct session *session, const char *name)
{
    char folded[ROOM_MAX_BYTES];
    struct room *room;

    if (room_fold(name, folded))
        name = folded;
    DL_FOREACH (session->rooms, room)
        if (strcmp(room->name, name) == 0)
            return room;
    return NULL;
}

/* What comes behind `id` has not been seen. */
static void room_reach(struct room *room, event_id id)
{
    if (room && id > room->since)
        room->since = id;
}

/* One stands at `id` in it, which is less than what one knew if the server's data were destroyed. */
static void room_enter(struct room *room, event_id id)
{
    if (room->entered)
        room_reach(room, id);
    else if (id)
        room->since = id;
    room->entered = true;
}

/* Chats -------------------------------------------------------------------------------------------------- */

static void log_out(struct session *session);

static void chat_destroy(struct chat *chat)
{
    free(chat->room);
    free(chat->line);
    free(chat);
}

/* Tells the fate of the first chat, the last that there is of it. */
static void settle(struct session *session, enum session_fate fate, event_id id, const char *why)
{
    struct chat *chat = session->chats;

    DL_DELETE(session->chats, chat);
    session->n_chats--;
    session->ops->fate(session->ctx, chat->number, fate, id, why);
    chat_destroy(chat);
    if (session->leaving && !session->chats)
        log_out(session);
}

static void say_next(struct session *session)
{
    struct chat *chat = session->chats;
    const struct room *room = chat && chat->room ? room_find(session, chat->room) : NULL;
    int64_t now = now_ms(session);

    if (session->state != SESSION_CONNECTED || session->again_at != NEVER || !chat || chat->under_way ||
        chat->stale || (room && !room->entered))
        return;
    if (chat->doubtful && now - chat->first_at > SESSION_RETRY_MS) {
        chat->stale = true;
        session->ops->fate(
            session->ctx, chat->number, FATE_STALE, 0,
            "The connection was lost before this was answered, too long ago to say it again safely.");
        return;
    }
    if (!chat->doubtful)
        chat->first_at = now;
    chat->under_way = true;
    chat->sent_at = now;
    session->ops->send(session->ctx, chat->line, strlen(chat->line));
}

/* Enters the next room that one is not in.  One at a time: each costs as much of the rate as four chats. */
static void enter_next(struct session *session)
{
    struct room *room;
    char since[ID_TEXT_MAX];

    if (session->state != SESSION_CONNECTED || session->again_at != NEVER || session->entering)
        return;
    DL_SEARCH_SCALAR(session->rooms, room, entered, false);
    if (!room)
        return;
    session->entering = room;
    session->entering_at = now_ms(session);
    make_ref(session, session->entering_ref);
    ask(session, "join",
        (struct wire_member[]){{"room", room->name, false},
                               {"since", room->since ? id_to_decimal(room->since, since) : NULL, false},
                               {"ref", session->entering_ref, false}},
        3);
}

static void mark_destroy(struct session *session, struct mark *mark)
{
    DL_DELETE(session->marks, mark);
    session->n_marks--;
    free(mark->with);
    free(mark);
}

static void send_mark(struct session *session, struct mark *mark)
{
    char id[ID_TEXT_MAX];

    make_ref(session, session->mark_ref);
    mark->told = mark->id;
    ask(session, "read",
        (struct wire_member[]){{"with", mark->with, false},
                               {"id", id_to_decimal(mark->id, id), false},
                               {"ref", session->mark_ref, false}},
        3);
}

static void mark_next(struct session *session)
{
    int64_t now = now_ms(session);

    if (now < next_mark_at(session))
        return;
    session->mark_at = now + MARK_MS;
    send_mark(session, session->marks);
}

static void go_on(struct session *session)
{
    enter_next(session);
    say_next(session);
    mark_next(session);
}

/* The server could not do something now. */
static void wait_a_bit(struct session *session)
{
    session->again_at = now_ms(session) + pause_ms(session->refusals++, AGAIN_FIRST_MS, AGAIN_MAX_MS);
}

/* Connections -------------------------------------------------------------------------------------------- */

/* What was under way on the connection may have arrived, or not. */
static void forget_connection(struct session *session)
{
    struct room *room;

    DL_FOREACH (session->rooms, room)
        room->entered = false;
    session->entering = NULL;
    if (session->chats && session->chats->under_way) {
        session->chats->under_way = false;
        session->chats->doubtful = true;
    }
    if (session->marks)
        session->marks->told = 0;
    replace(&session->registering, NULL);
    session->pinged = false;
    session->again_at = NEVER;
    session->refusals = 0;
}

/* The connection is gone. */
static void lose(struct session *session, const char *why)
{
    if (session->state == SESSION_CONNECTED) {
        if (now_ms(session) - session->connected_at >= CALM_MS)
            session->failures = 0;
        else if (session->failures > WELCOME_FAILURES)
            session->failures = WELCOME_FAILURES;
    }
    forget_connection(session);
    if (session->state == SESSION_DISCONNECTING)
        move(session, SESSION_DISCONNECTED, FOREVER, NULL);
    else if (session->want)
        move(session, SESSION_RECONNECTING, FOREVER, why);
    else
        move(session, SESSION_RECONNECTING, pause_ms(session->failures++, BACKOFF_FIRST_MS, BACKOFF_MAX_MS),
             why);
}

/* Closes it, to make another one. */
static void drop(struct session *session, const char *why)
{
    session->ops->close(session->ctx);
    lose(session, why);
}

/* Closes it for good. */
static void end(struct session *session, const char *why)
{
    session->ops->close(session->ctx);
    forget_connection(session);
    move(session, SESSION_DISCONNECTED, FOREVER, why);
}

static void connect_again(struct session *session)
{
    session->want = WANT_NOTHING;
    move(session, SESSION_CONNECTING, FOREVER, NULL);
    if (session->state == SESSION_CONNECTING)
        session->ops->open(session->ctx);
}

static void give_up_answer(struct session *session)
{
    drop(session, "The server does not answer.");
}

static void end_silence(struct session *session)
{
    if (session->pinged) {
        give_up_answer(session);
        return;
    }
    session->pinged = true;
    session->until = now_ms(session) + ANSWER_MS;
    ask(session, "ping", NULL, 0);
}

static void end_leaving(struct session *session)
{
    end(session, NULL);
}

/* Who leaves has read what was shown. */
static void mark_some(struct session *session)
{
    struct mark *mark;
    int n = 0;

    DL_FOREACH (session->marks, mark)
        if (mark->id != mark->told && n++ < MARKS_AT_END)
            send_mark(session, mark);
}

static void log_out(struct session *session)
{
    switch (session->state) {
    case SESSION_DISCONNECTED:
    case SESSION_DISCONNECTING:
        return;
    case SESSION_CONNECTED:
        mark_some(session);
        ask(session, "leave", NULL, 0);
        move(session, SESSION_DISCONNECTING, LEAVE_MS, NULL);
        return;
    case SESSION_CONNECTING:
    case SESSION_AUTHENTICATING:
        session->ops->close(session->ctx);
        break;
    case SESSION_RECONNECTING:
        break;
    }
    forget_connection(session);
    move(session, SESSION_DISCONNECTING, FOREVER, NULL);
    move(session, SESSION_DISCONNECTED, FOREVER, NULL);
}

static void log_in(struct session *session)
{
    const struct room *room = session->rooms;
    const char *password = session->password && *session->password ? session->password : NULL;
    char since[ID_TEXT_MAX];
    const struct wire_member members[] = {
        {"data", session->name, false},
        {"password", password, false},
        {"key", session->key, false},
        {"room", room ? room->name : NULL, false},
        {"since", room && room->since ? id_to_decimal(room->since, since) : NULL, false},
        {"echo", session->echo ? "true" : NULL, true},
    };

    session->want = WANT_NOTHING;
    session->until = now_ms(session) + ANSWER_MS;
    if (!send_line(session, wire_request("join", members, sizeof members / sizeof *members)))
        end(session, "The name, the password or the room is not UTF-8.");
}

/* What is told ------------------------------------------------------------------------------------------- */

/* Each returns true if the person shall hear it. */

static bool take_welcome(struct session *session, const struct told *told)
{
    struct room *room = room_find(session, told->room);

    if (session->state != SESSION_AUTHENTICATING)
        return false;
    if (!room && session->n_rooms < SESSION_ROOMS_MAX) /* there was none: it is the lobby */
        room = room_create(session, told->room, 0);
    if (room)
        room_enter(room, told->id);
    replace(&session->name, told->name);
    session->had_name = true;
    session->want = WANT_NOTHING;
    session->taken_since = NEVER;
    session->connected_at = now_ms(session);
    move(session, SESSION_CONNECTED, QUIET_MS, NULL);
    return true;
}

static bool take_message(struct session *session, const struct told *told)
{
    struct room *room = room_find(session, told->room);

    if (!room || told->id <= room->since)
        return false;
    room_reach(room, told->id);
    return true;
}

static bool take_direct(struct session *session, const struct told *told)
{
    for (size_t i = 0; i < DIRECTS_MAX && i < session->n_directs; i++)
        if (session->directs[i] == told->id)
            return false;
    session->directs[session->n_directs++ % DIRECTS_MAX] = told->id;
    return true;
}

/* The chat that `ref` is of, if it is under way; else NULL. */
static struct chat *chat_under_way(const struct session *session, const char *ref)
{
    struct chat *chat = session->chats;

    return chat && chat->under_way && ref && strcmp(chat->ref, ref) == 0 ? chat : NULL;
}

static bool take_ack(struct session *session, const struct told *told)
{
    struct chat *chat = chat_under_way(session, told->ref);

    if (!chat)
        return false;
    if (chat->room)
        room_reach(room_find(session, chat->room), told->id);
    session->refusals = 0;
    settle(session, FATE_ACCEPTED, told->id, NULL);
    return false;
}

static bool take_entered(struct session *session, const struct told *told)
{
    struct room *room = room_find(session, told->room);

    if (!room)
        return false;
    if (session->entering == room) {
        session->entering = NULL;
        session->refusals = 0;
    }
    room_enter(room, told->id);
    return true;
}

static bool take_exited(struct session *session, const struct told *told)
{
    struct room *room = told->room ? room_find(session, told->room) : NULL;

    if (room)
        room_destroy(session, room);
    if (!told->room && session->state == SESSION_DISCONNECTING)
        end(session, NULL);
    return told->room != NULL;
}

/* The mark that `ref` is of, if it is under way; else NULL. */
static struct mark *mark_under_way(const struct session *session, const char *ref)
{
    struct mark *mark = session->marks;

    return mark && mark->told && ref && strcmp(session->mark_ref, ref) == 0 ? mark : NULL;
}

static bool take_read(struct session *session, const struct told *told)
{
    struct mark *mark = mark_under_way(session, told->ref);

    if (!mark)
        return false;
    if (mark->id == mark->told) {
        mark_destroy(session, mark);
        return false;
    }
    mark->told = 0; /* more was read meanwhile */
    DL_DELETE(session->marks, mark);
    DL_APPEND(session->marks, mark);
    return false;
}

static bool take_registered(struct session *session, const struct told *told)
{
    if (session->registering)
        replace(&session->password, session->registering);
    replace(&session->registering, NULL);
    return true;
}

/* What an error means: to the connection, and as the answer to a log-in. */
enum meaning {
    MEANS_ELSE, /* what was asked for is refused, and that is all; of a log-in: no log-in will do */
    MEANS_LATER,
    MEANS_END,
    MEANS_OTHER_NAME,
    MEANS_PASSWORD,
};

static const struct {
    const char *code;
    enum meaning always, at_login;
} errors[] = {
    {"server-full", MEANS_LATER, MEANS_LATER},          {"shutting-down", MEANS_LATER, MEANS_LATER},
    {"slow-consumer", MEANS_LATER, MEANS_LATER},        {"idle-timeout", MEANS_LATER, MEANS_LATER},
    {"login-timeout", MEANS_LATER, MEANS_LATER},        {"replaced", MEANS_END, MEANS_END},
    {"username-taken", MEANS_LATER, MEANS_OTHER_NAME}, /* later: it was lost while Redis was away */
    {"username-invalid", MEANS_ELSE, MEANS_OTHER_NAME}, {"password-required", MEANS_ELSE, MEANS_PASSWORD},
    {"auth-failed", MEANS_ELSE, MEANS_PASSWORD},        {"unavailable", MEANS_ELSE, MEANS_LATER},
    {"rate-limited", MEANS_ELSE, MEANS_LATER},
};

static enum meaning meaning_of(const char *code, bool at_login)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(code, errors[i].code) == 0)
            return at_login ? errors[i].at_login : errors[i].always;
    return at_login ? MEANS_END : MEANS_ELSE;
}

/* The name is not to be had.  One that was this session's may be held by what is left of it. */
static void refuse_name(struct session *session, const struct told *told)
{
    int64_t now = now_ms(session);

    if (session->had_name && strcmp(told->code, "username-taken") == 0) {
        if (session->taken_since == NEVER)
            session->taken_since = now;
        if (now - session->taken_since < TAKEN_MS) {
            drop(session, told->data);
            return;
        }
    }
    if (!session->ops->refused_name) {
        end(session, told->data);
        return;
    }
    session->want = WANT_NAME;
    session->until = NEVER;
    session->ops->refused_name(session->ctx, told->data);
}

static void refuse_password(struct session *session, const struct told *told)
{
    if (!session->ops->want_password) {
        end(session, told->data);
        return;
    }
    session->want = WANT_PASSWORD;
    session->until = NEVER;
    session->ops->want_password(session->ctx, told->data);
}

static bool is_temporary(const struct told *told)
{
    return strcmp(told->code, "unavailable") == 0 || strcmp(told->code, "rate-limited") == 0;
}

/* The room that is being entered is not to be had. */
static void refuse_room(struct session *session, struct told *told)
{
    char name[ROOM_MAX_BYTES];

    snprintf(name, sizeof name, "%s", session->entering->name);
    room_destroy(session, session->entering);
    told->room = name;
    session->ops->heard(session->ctx, told);
    told->room = NULL;
}

/* A request was refused. */
static bool take_refusal(struct session *session, struct told *told)
{
    struct chat *chat = chat_under_way(session, told->ref);
    struct mark *mark = mark_under_way(session, told->ref);

    if (mark) {
        mark->told = 0;
        session->mark_at = now_ms(session) + AGAIN_MAX_MS;
        if (!is_temporary(told))
            mark_destroy(session, mark);
        return false;
    }
    if (chat) {
        chat->under_way = false;
        if (is_temporary(told))
            wait_a_bit(session);
        else
            settle(session, FATE_REFUSED, 0, told->data);
        return false;
    }
    if (session->entering && told->ref && strcmp(told->ref, session->entering_ref) == 0) {
        if (is_temporary(told)) {
            session->entering = NULL;
            wait_a_bit(session);
            return false;
        }
        refuse_room(session, told);
        return false;
    }
    return true;
}

static bool take_error(struct session *session, struct told *told)
{
    switch (meaning_of(told->code, session->state == SESSION_AUTHENTICATING)) {
    case MEANS_LATER:
        drop(session, told->data);
        return false;
    case MEANS_END:
        end(session, told->data);
        return false;
    case MEANS_OTHER_NAME:
        refuse_name(session, told);
        return false;
    case MEANS_PASSWORD:
        refuse_password(session, told);
        return false;
    case MEANS_ELSE:
        break;
    }
    return take_refusal(session, told);
}

static bool take(struct session *session, struct told *told)
{
    switch (told->kind) {
    case TOLD_WELCOME:
        return take_welcome(session, told);
    case TOLD_MESSAGE:
        return take_message(session, told);
    case TOLD_DIRECT:
        return take_direct(session, told);
    case TOLD_ACK:
        return take_ack(session, told);
    case TOLD_ENTERED:
        return take_entered(session, told);
    case TOLD_EXITED:
        return take_exited(session, told);
    case TOLD_REGISTERED:
        return take_registered(session, told);
    case TOLD_READ:
        return take_read(session, told);
    case TOLD_ERROR:
        return take_error(session, told);
    case TOLD_OTHER:
    case TOLD_PONG:
        return false;
    case TOLD_JOINED:
    case TOLD_LEFT:
    case TOLD_WHO:
    case TOLD_ROOMS:
    case TOLD_HISTORY:
    case TOLD_GAP:
        break;
    }
    return true;
}

/* From outside ------------------------------------------------------------------------------------------- */

struct session *session_create(const struct session_wish *wish, const struct session_ops *ops, void *ctx)
{
    struct session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->ops = ops;
    session->ctx = ctx;
    session->echo = wish->echo;
    session->until = session->again_at = session->woken_at = session->taken_since = NEVER;
    make_secret(session->key);
    make_secret(session->tag);
    session->name = strdup(wish->name);
    session->password = wish->password ? strdup(wish->password) : NULL;
    if (!session->name || (wish->password && !session->password) ||
        !room_create(session, wish->room ? wish->room : LOBBY, wish->since)) {
        session_destroy(session);
        return NULL;
    }
    return session;
}

void session_destroy(struct session *session)
{
    struct chat *chat;

    if (!session)
        return;
    while ((chat = session->chats)) {
        DL_DELETE(session->chats, chat);
        chat_destroy(chat);
    }
    while (session->rooms)
        room_destroy(session, session->rooms);
    while (session->marks)
        mark_destroy(session, session->marks);
    free(session->name);
    wipe(session->password);
    wipe(session->registering);
    free(session);
}

void session_start(struct session *session)
{
    if (session->state != SESSION_DISCONNECTED)
        return;
    session->failures = 0;
    session->taken_since = NEVER;
    connect_again(session);
    arrange(session);
}

void session_leave(struct session *session, bool at_once)
{
    if (session->state == SESSION_DISCONNECTED || session->state == SESSION_DISCONNECTING)
        return;
    session->leaving = true;
    if (at_once || !session->chats)
        log_out(session);
    arrange(session);
}

void session_opened(struct session *session)
{
    if (session->state != SESSION_CONNECTING)
        return;
    move(session, SESSION_AUTHENTICATING, ANSWER_MS, NULL);
    if (session->state == SESSION_AUTHENTICATING)
        log_in(session);
    arrange(session);
}

void session_lost(struct session *session, const char *why)
{
    if (session->state == SESSION_DISCONNECTED || session->state == SESSION_RECONNECTING)
        return;
    lose(session, why);
    arrange(session);
}

static void hear(struct session *session, const char *line, size_t len)
{
    static const char foreign[] = "What answers there is no hubbub server, or not its port for json.";
    struct told *told = wire_read(line, len);

    if (told && take(session, told))
        session->ops->heard(session->ctx, told);
    else if (!told && session->had_name)
        drop(session, foreign);
    else if (!told)
        end(session, foreign);
    told_destroy(told);
}

void session_line(struct session *session, const char *line, size_t len)
{
    if (session->state != SESSION_AUTHENTICATING && session->state != SESSION_CONNECTED &&
        session->state != SESSION_DISCONNECTING)
        return;
    if (session->state == SESSION_CONNECTED) {
        session->until = now_ms(session) + QUIET_MS;
        session->pinged = false;
    }
    hear(session, line, len);
    go_on(session);
    arrange(session);
}

void session_tick(struct session *session)
{
    int64_t now = now_ms(session);

    session->woken_at = NEVER;
    if (now >= session->until)
        states[session->state].time_up(session);
    else if (now >= reply_until(session))
        give_up_answer(session);
    if (now >= session->again_at)
        session->again_at = NEVER;
    go_on(session);
    arrange(session);
}

/* The person has answered: goes on where that was waited for. */
static void answered(struct session *session, enum want what)
{
    if (session->want != what)
        return;
    if (session->state == SESSION_AUTHENTICATING)
        log_in(session);
    else if (session->state == SESSION_RECONNECTING)
        connect_again(session);
    arrange(session);
}

void session_set_name(struct session *session, const char *name)
{
    replace(&session->name, name);
    replace(&session->password, NULL);
    session->had_name = false;
    session->taken_since = NEVER;
    while (session->marks)
        mark_destroy(session, session->marks);
    answered(session, WANT_NAME);
}

void session_set_password(struct session *session, const char *password)
{
    replace(&session->password, password);
    answered(session, WANT_PASSWORD);
}

/* NULL: no memory, or it is not UTF-8. */
static struct chat *chat_create(struct session *session, const char *room, const char *to, const char *text)
{
    struct chat *chat = calloc(1, sizeof *chat);
    char folded[ROOM_MAX_BYTES];

    if (!chat)
        return NULL;
    make_ref(session, chat->ref);
    chat->number = session->last_number;
    chat->line = wire_request(to ? "direct" : "chat",
                              (struct wire_member[]){{"to", to, false},
                                                     {"room", to ? NULL : room, false},
                                                     {"data", text, false},
                                                     {"ref", chat->ref, false}},
                              4);
    if (!chat->line || (!to && room_fold(room, folded) && !(chat->room = strdup(folded)))) {
        chat_destroy(chat);
        return NULL;
    }
    return chat;
}

uint64_t session_say(struct session *session, const char *room, const char *to, const char *text)
{
    struct chat *chat = NULL;

    assert(!room != !to);
    if (session->n_chats < SESSION_QUEUE_MAX)
        chat = chat_create(session, room, to, text);
    if (!chat)
        return 0;
    DL_APPEND(session->chats, chat);
    session->n_chats++;
    say_next(session);
    arrange(session);
    return chat->number;
}

void session_decide(struct session *session, uint64_t number, bool say_again)
{
    struct chat *chat = session->chats;

    if (!chat || !chat->stale || chat->number != number)
        return;
    chat->stale = chat->doubtful = false;
    if (!say_again)
        settle(session, FATE_REFUSED, 0, "It was not said again.");
    go_on(session);
    arrange(session);
}

bool session_enter(struct session *session, const char *name)
{
    char folded[ROOM_MAX_BYTES];

    if (session->state != SESSION_CONNECTED)
        return false;
    if (room_find(session, name) || session->n_rooms == SESSION_ROOMS_MAX || !room_fold(name, folded))
        return ask(session, "join", (struct wire_member[]){{"room", name, false}}, 1);
    if (!room_create(session, name, 0))
        return false;
    enter_next(session);
    arrange(session);
    return true;
}

bool session_exit(struct session *session, const char *name)
{
    struct room *room = room_find(session, name);

    if (session->state != SESSION_CONNECTED)
        return false;
    if (!room || room->entered || session->entering == room)
        return ask(session, "leave", (struct wire_member[]){{"room", name, false}}, 1);
    room_destroy(session, room); /* it is still waiting to be entered again */
    session->ops->heard(session->ctx, &(struct told){.kind = TOLD_EXITED, .room = name});
    return true;
}

bool session_who(struct session *session, const char *room, const char *ref)
{
    return ask(session, "who", (struct wire_member[]){{"room", room, false}, {"ref", ref, false}}, 2);
}

bool session_rooms(struct session *session, const char *ref)
{
    return ask(session, "rooms", (struct wire_member[]){{"ref", ref, false}}, 1);
}

bool session_history(struct session *session, const char *room, const char *with, event_id before, int limit,
                     const char *ref)
{
    char id[ID_TEXT_MAX], number[ID_TEXT_MAX];

    snprintf(number, sizeof number, "%d", limit);
    return ask(session, "history",
               (struct wire_member[]){{"room", room, false},
                                      {"with", with, false},
                                      {"before", before ? id_to_decimal(before, id) : NULL, false},
                                      {"limit", number, true},
                                      {"ref", ref, false}},
               5);
}

bool session_register(struct session *session, const char *password, const char *old)
{
    if (!ask(session, "register", (struct wire_member[]){{"password", password, false}, {"old", old, false}},
             2))
        return false;
    replace(&session->registering, password); /* from now on the name needs it */
    return true;
}

void session_read(struct session *session, const char *with, event_id id)
{
    struct mark *mark;

    DL_FOREACH (session->marks, mark)
        if (strcmp(mark->with, with) == 0)
            break;
    if (!mark) {
        if (session->n_marks == MARKS_MAX) /* what is not marked comes again at the next log-in */
            return;
        mark = need(calloc(1, sizeof *mark));
        mark->with = need(strdup(with));
        DL_APPEND(session->marks, mark);
        session->n_marks++;
    }
    if (id > mark->id)
        mark->id = id;
    mark_next(session);
    arrange(session);
}

enum session_state session_state(const struct session *session)
{
    return session->state;
}

const char *session_state_name(enum session_state state)
{
    return states[state].name;
}

const char *session_name(const struct session *session)
{
    return session->name;
}

size_t session_waiting(const struct session *session)
{
    return session->n_chats;
}
