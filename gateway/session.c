#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "settings.h"

#define LOGOUT_SECONDS 1 /* who leaves waits no longer */
#define BIT(state) (1u << (state))

static const char *const state_names[] = {"new", "logging-in", "active", "logging-out", "closed"};

/* Which states may follow. */
static const unsigned edges[] = {
    [SESSION_NEW] = BIT(SESSION_LOGGING_IN) | BIT(SESSION_CLOSED),
    [SESSION_LOGGING_IN] = BIT(SESSION_NEW) | BIT(SESSION_ACTIVE) | BIT(SESSION_CLOSED),
    [SESSION_ACTIVE] = BIT(SESSION_LOGGING_OUT) | BIT(SESSION_CLOSED),
    [SESSION_LOGGING_OUT] = BIT(SESSION_CLOSED),
    [SESSION_CLOSED] = 0,
};

static void set_state(struct session *session, enum session_state state)
{
    if (!(edges[session->state] & BIT(state)))
        abort();
    log_debug("session_state", "session=%s from=%s to=%s", session->id, state_names[session->state],
              state_names[state]);
    session->state = state;
}

/* Replies ------------------------------------------------------------------------------------------------ */

void session_set(char **string, const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        abort();
    free(*string);
    *string = copy;
}

void session_reply(struct session *session, const struct reply *reply)
{
    struct evbuffer *out;

    if (session->state == SESSION_CLOSED)
        return;
    out = evbuffer_new();
    if (!out)
        abort();
    session->dialect->encode_reply(reply, out);
    session_send(session, evbuffer_pullup(out, -1), evbuffer_get_length(out));
    evbuffer_free(out);
}

void session_send_event(struct session *session, const struct event *event)
{
    struct evbuffer *out = evbuffer_new();

    if (!out)
        abort();
    session->dialect->encode_event(event, out);
    session_send(session, evbuffer_pullup(out, -1), evbuffer_get_length(out));
    evbuffer_free(out);
}

/* Sends the messages in `bytes` in the form that this one client needs. */
static void send_framed(struct session *session, const char *bytes, size_t len)
{
    struct evbuffer *out = evbuffer_new();
    bool alone = false;
    size_t used;

    if (!out)
        abort();
    while ((used = session->dialect->frame(session->codec, bytes, len, out, &alone)) > 0) {
        size_t framed = evbuffer_get_length(out);

        if (alone)
            conn_send_alone(session->conn, evbuffer_pullup(out, -1), framed);
        else
            conn_send(session->conn, evbuffer_pullup(out, -1), framed);
        evbuffer_drain(out, framed);
        bytes += used;
        len -= used;
    }
    evbuffer_free(out);
}

void session_send(struct session *session, const void *bytes, size_t len)
{
    if (session->dialect->frame)
        send_framed(session, bytes, len);
    else
        conn_send(session->conn, bytes, len);
}

/* Of these, too many in a row close the connection. */
static bool is_mistake(enum error_code code)
{
    return code == ERROR_BAD_REQUEST || code == ERROR_UNKNOWN_COMMAND || code == ERROR_TOO_LONG ||
           code == ERROR_USERNAME_INVALID || code == ERROR_ROOM_INVALID || code == ERROR_AUTH_FAILED;
}

void session_error(struct session *session, enum verb verb, const char *ref, const char *word,
                   enum error_code code, const char *text)
{
    session->refused = true;
    if (is_mistake(code))
        session->errors++;
    session_reply(session, &(struct reply){.kind = REPLY_ERROR,
                                           .verb = verb,
                                           .ref = ref,
                                           .word = word,
                                           .error = code,
                                           .text = text ? text : error_sentence(code)});
}

void session_refuse(struct session *session, enum error_code code, const char *text)
{
    session_error(session, session->task->verb, session->task->ref, session->task->word, code, text);
    session_done(session);
}

void session_refuse_login(struct session *session, enum error_code code, const char *text)
{
    set_state(session, SESSION_NEW);
    if (session->dialect->refused)
        session->dialect->refused(session->codec, code);
    session_refuse(session, code, text);
}

static void task_destroy(struct task *task)
{
    if (!task)
        return;
    if (task->room)
        hub_let_go(task->room);
    if (task->inbox_room)
        hub_let_go(task->inbox_room);
    history_destroy(task->history);
    if (task->direct) {
        free(task->direct->to);
        free(task->direct->text);
        free(task->direct);
    }
    free(task->ref);
    free(task->wanted);
    free(task);
}

void session_done(struct session *session)
{
    if (!session->refused)
        session->errors = 0;
    session->doing = DOING_NOTHING;
    task_destroy(session->task);
    session->task = NULL;
    if (session->state == SESSION_CLOSED)
        return;
    if (session->sessions->draining && session->state == SESSION_NEW)
        session_close(session, ERROR_SHUTTING_DOWN, "shutting-down", false);
    else if (session->sessions->draining && session->state == SESSION_ACTIVE)
        session_log_out(session, ERROR_SHUTTING_DOWN);
    else
        conn_again(session->conn);
}

void session_begin(struct session *session, enum doing doing, const struct request *request)
{
    session->doing = doing;
    session->task = calloc(1, sizeof *session->task);
    if (!session->task)
        abort();
    session->task->verb = request->verb;
    session->task->word = request->word;
    session_set(&session->task->ref, request->ref);
    if (doing == DOING_LOGIN)
        set_state(session, SESSION_LOGGING_IN);
}

/* Closing ------------------------------------------------------------------------------------------------ */

static void leave_rooms(struct session *session)
{
    struct member *member, *next;

    chat_forget(session);
    DL_FOREACH_SAFE2(session->members, member, next, own_next)
    {
        DL_DELETE2(session->members, member, own_prev, own_next);
        hub_leave(member);
    }
    session->n_members = 0;
    session->current = NULL;
    inbox_close(session);
}

void session_close(struct session *session, enum error_code tell, const char *reason, bool holds_name)
{
    struct sessions *sessions = session->sessions;

    if (session->state == SESSION_CLOSED)
        return;
    if (tell)
        session_error(session, VERBS, NULL, NULL, tell, NULL);
    if (holds_name && session->state != SESSION_NEW)
        presence_release(sessions->presence, session->name, session->id, 0);
    leave_rooms(session);
    log_write(session->state == SESSION_NEW ? LOG_DEBUG : LOG_INFO, "client_closed",
              "session=%s address=%s dialect=%s reason=%s", session->id, session->address,
              session->dialect->name, reason);
    set_state(session, SESSION_CLOSED);
    session_done(session);
    conn_close(session->conn);
    session->conn = NULL;
    HASH_DEL(sessions->by_serial, session);
    sessions_uncount(session);
    session->free_next = sessions->closed;
    sessions->closed = session;
}

static void end_log_out(struct session *session)
{
    if (session->task->last == ERROR_NONE && session->task->verb == VERB_LOGOUT)
        session_reply(session, &(struct reply){.kind = REPLY_GOODBYE,
                                               .verb = VERB_LOGOUT,
                                               .ref = session->task->ref,
                                               .word = session->task->word});
    session_close(session, session->task->last,
                  session->task->last ? error_name(session->task->last) : "logout", false);
}

/* Gives the name back once all chats are answered, or there is no more time. */
static void release(struct session *session)
{
    if (session->task->asked)
        return;
    session->task->asked = true;
    leave_rooms(session);
    presence_release(session->sessions->presence, session->name, session->id, session->serial);
}

void session_log_out(struct session *session, enum error_code last)
{
    if (!session->task)
        session_begin(session, DOING_LOGOUT, &(struct request){.verb = VERBS});
    session->task->last = last;
    if (session->state == SESSION_NEW) {
        end_log_out(session);
        return;
    }
    set_state(session, SESSION_LOGGING_OUT);
    if (!session->sessions->draining) /* then main.c has the clock */
        conn_set_timeout(session->conn, LOGOUT_SECONDS, false);
    session_go_on(session);
}

void session_timeout(struct session *session)
{
    switch (session->state) {
    case SESSION_NEW:
    case SESSION_LOGGING_IN:
        session_close(session, ERROR_LOGIN_TIMEOUT, "login-timeout", true);
        break;
    case SESSION_ACTIVE:
        if (session->eof)
            session_close(session, ERROR_NONE, "eof", true);
        else
            session_close(session, ERROR_IDLE_TIMEOUT, "idle-timeout", true);
        break;
    case SESSION_LOGGING_OUT:
        release(session); /* its answer finds nobody any more */
        end_log_out(session);
        break;
    case SESSION_CLOSED:
        break;
    }
}

/* Entering and leaving ----------------------------------------------------------------------------------- */

void session_hold_room(struct session *session, const char *room)
{
    bool live;

    session->task->room = hub_hold(session->sessions->hub, room, session->serial, &live);
    if (!session->task->room)
        session_room_ready(session, false);
    else if (live)
        session_room_ready(session, true);
}

static void claim(struct session *session)
{
    char *record = session_open_record(session->id, session->shown, session->sessions->settings->gateway,
                                       session->dialect->name, session->address);

    if (!record)
        abort();
    presence_claim(session->sessions->presence,
                   &(struct claim){.name = session->name,
                                   .shown = session->shown,
                                   .session = session->id,
                                   .key = session->key,
                                   .account = session->account,
                                   .room = hub_room_name(session->task->room),
                                   .record = record,
                                   .with_names = session->dialect->tells_names},
                   session->serial);
    free(record);
}

static void ask_to_enter(struct session *session)
{
    presence_enter(session->sessions->presence, session->name, session->shown, session->id,
                   hub_room_name(session->task->room), session->dialect->tells_names, session->serial);
}

static void refuse_room(struct session *session, enum error_code code, const char *text)
{
    if (session->doing == DOING_LOGIN)
        session_refuse_login(session, code, text);
    else
        session_refuse(session, code, text);
}

void session_room_ready(struct session *session, bool good)
{
    if (session->doing != DOING_LOGIN && session->doing != DOING_JOIN && session->doing != DOING_MOVE)
        return;
    if (good && session->task->since && id_lane(session->task->since) != hub_room_lane(session->task->room)) {
        refuse_room(session, ERROR_BAD_REQUEST, "\"since\" is an id of another room.");
        return;
    }
    if (!good || !bus_lane_is_up(session->sessions->bus, 0)) {
        refuse_room(session, ERROR_UNAVAILABLE, NULL);
        return;
    }
    if (session->task->since > hub_newest(session->task->room) && !session->task->is_ahead) {
        session->task->is_ahead = true; /* another gateway told it something that has not come here yet */
        hub_read_newest(session->task->room, session->serial);
        return;
    }
    if (session->doing == DOING_LOGIN && !session->task->inbox_room) {
        bool live = false;

        session->task->inbox_room =
            hub_hold_inbox(session->sessions->hub, session->name, session->serial, &live);
        if (!session->task->inbox_room)
            session_room_ready(session, false);
        else if (live) /* what this user was told on another gateway may not have come here yet */
            hub_read_newest(session->task->inbox_room, session->serial);
    } else if (session->doing == DOING_LOGIN) {
        if (!session->account)
            session->task->inbox_since = hub_newest(session->task->inbox_room);
        claim(session);
    } else if (session->doing == DOING_MOVE && session->current &&
               strcmp(hub_room_name(session->current->room), hub_room_name(session->task->room)) != 0) {
        session->doing = DOING_LEAVE;
        session->task->leaving = session->current;
        session_go_on(session);
    } else {
        ask_to_enter(session);
    }
}

struct member *session_find_member(const struct session *session, const char *room)
{
    struct member *member;

    DL_FOREACH2(session->members, member, own_next)
    if (strcmp(hub_room_name(member->room), room) == 0)
        return member;
    return NULL;
}

/* Enters the room that is held, in the hub.  Enters once: a room that it is in stays as it is. */
static struct member *enter(struct session *session)
{
    struct member *member = session_find_member(session, hub_room_name(session->task->room));

    if (member)
        return member;
    if (session->task->since > hub_newest(session->task->room)) /* counts as the newest */
        session->task->since = hub_newest(session->task->room);
    member = hub_enter(session->task->room, session, session->serial, session->dialect_number, session->echo,
                       session->task->since);
    if (!member)
        abort();
    DL_APPEND2(session->members, member, own_prev, own_next);
    session->n_members++;
    return member;
}

static void logged_in(struct session *session, long count, const char *const *names, size_t n_names)
{
    struct member *member;

    set_state(session, SESSION_ACTIVE);
    conn_set_timeout(session->conn, session->idle_seconds, true);
    member = session->current = enter(session);
    if (session->dialect->logged_in)
        session->dialect->logged_in(session->codec);
    log_info("client_logged_in", "session=%s name=%s room=%s address=%s dialect=%s", session->id,
             session->shown, hub_room_name(member->room), session->address, session->dialect->name);
    session_reply(session, &(struct reply){.kind = REPLY_WELCOME,
                                           .verb = VERB_LOGIN,
                                           .ref = session->task->ref,
                                           .word = session->task->word,
                                           .name = session->shown,
                                           .room = hub_room_name(member->room),
                                           .gateway = session->sessions->settings->gateway,
                                           .unread = session->task->unread,
                                           .id = member->position,
                                           .count = count,
                                           .names = names,
                                           .n_names = n_names});
    hub_resume(member);
    inbox_open(session);
    session_done(session);
}

static void log_in_refused(struct session *session, enum presence_result result)
{
    char text[NAME_MAX_BYTES + 32];

    if (result == PRESENCE_TAKEN) {
        snprintf(text, sizeof text, "The name %s is taken.", session->shown);
        session_refuse_login(session, ERROR_USERNAME_TAKEN, text);
    } else if (result == PRESENCE_ACCOUNT) { /* with a password: the account went since it was verified */
        session_refuse_login(session, session->account ? ERROR_AUTH_FAILED : ERROR_PASSWORD_REQUIRED, NULL);
    } else {
        session_refuse_login(session, ERROR_UNAVAILABLE, NULL);
    }
}

static void reply_entered(struct session *session, const struct member *member, long count,
                          const char *const *names, size_t n_names)
{
    session_reply(session, &(struct reply){.kind = REPLY_ENTERED,
                                           .verb = session->task->verb,
                                           .ref = session->task->ref,
                                           .word = session->task->word,
                                           .room = hub_room_name(member->room),
                                           .id = member->position,
                                           .count = count,
                                           .names = names,
                                           .n_names = n_names});
}

static void entered(struct session *session, long count, const char *const *names, size_t n_names)
{
    struct member *member = enter(session);

    if (session->doing == DOING_MOVE)
        session->current = member;
    reply_entered(session, member, count, names, n_names);
    hub_resume(member);
    session_done(session);
}

static void left(struct session *session)
{
    struct member *member = session->task->leaving;
    char room[ROOM_MAX_BYTES];

    strcpy(room, hub_room_name(member->room));
    if (session->current == member)
        session->current = NULL;
    DL_DELETE2(session->members, member, own_prev, own_next);
    session->n_members--;
    hub_leave(member);
    if (session->task->verb == VERB_MOVE) {
        session->doing = DOING_MOVE;
        session->task->leaving = NULL;
        session->task->asked = false;
        ask_to_enter(session);
        return;
    }
    session_reply(session, &(struct reply){.kind = REPLY_EXITED,
                                           .verb = session->task->verb,
                                           .ref = session->task->ref,
                                           .word = session->task->word,
                                           .room = room});
    session_done(session);
}

void session_presence(struct session *session, enum presence_result result, long count,
                      const char *const *names, size_t n_names)
{
    if (!session->task)
        return;
    if (session->doing == DOING_LOGIN) {
        if (result == PRESENCE_OK)
            logged_in(session, count, names, n_names);
        else
            log_in_refused(session, result);
    } else if (session->doing == DOING_LOGOUT) {
        if (session->task->asked)
            end_log_out(session);
    } else if (result !=
               PRESENCE_OK) { /* full; or the name is lost, and the session is about to hear of it */
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
    } else if (session->doing == DOING_LEAVE) {
        left(session);
    } else {
        entered(session, count, names, n_names);
    }
}

void session_go_on(struct session *session)
{
    struct sessions *sessions = session->sessions;

    if (session->state == SESSION_CLOSED || !session->task || session->task->asked)
        return;
    if (session->doing == DOING_LOGOUT && !chat_is_unanswered(session, NULL)) {
        release(session);
    } else if (session->doing == DOING_LEAVE && !chat_is_unanswered(session, session->task->leaving)) {
        session->task->asked = true;
        presence_leave(sessions->presence, session->name, session->shown, session->id,
                       hub_room_name(session->task->leaving->room), session->serial);
    }
}

void session_listed(struct session *session, long count, const char **names, const long *counts,
                    size_t n_names)
{
    if (session->doing != DOING_WHO && session->doing != DOING_ROOMS)
        return;
    if (!names) {
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
        return;
    }
    session_reply(session, &(struct reply){.kind = session->doing == DOING_WHO ? REPLY_WHO : REPLY_ROOMS,
                                           .verb = session->task->verb,
                                           .ref = session->task->ref,
                                           .word = session->task->word,
                                           .room = session->task->wanted,
                                           .count = count,
                                           .names = names,
                                           .counts = counts,
                                           .n_names = n_names});
    session_done(session);
}

const char *session_holder(const struct session *session, char holder[HOLDER_MAX_BYTES])
{
    if (session->account)
        snprintf(holder, HOLDER_MAX_BYTES, "a:%s", session->account);
    else
        snprintf(holder, HOLDER_MAX_BYTES, "%s", session->key ? session->key : session->id);
    return holder;
}

/* Who has registered in this session is whom it was for before, too. */
bool session_is(const struct session *session, const char *holder)
{
    if (strcmp(holder, session->id) == 0 || (session->key && strcmp(holder, session->key) == 0))
        return true;
    return session->account && strncmp(holder, "a:", 2) == 0 && strcmp(holder + 2, session->account) == 0;
}

void session_found(struct session *session, bool known, const char *holder)
{
    if (session->doing != DOING_DIRECT)
        return;
    if (!known)
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
    else if (holder)
        chat_send_direct(session, holder);
    else
        chat_find_direct(session);
}
