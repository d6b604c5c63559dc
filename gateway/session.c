#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "settings.h"

#define REQUESTS_A_TURN 32
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

void session_error(struct session *session, enum verb verb, const char *ref, const char *word,
                   enum error_code code, const char *text)
{
    session_reply(session, &(struct reply){.kind = REPLY_ERROR,
                                           .verb = verb,
                                           .ref = ref,
                                           .word = word,
                                           .error = code,
                                           .text = text ? text : error_sentence(code)});
}

/* The request under way ends with an error. */
static void refuse(struct session *session, enum error_code code, const char *text)
{
    session_error(session, session->verb, session->ref, session->word, code, text);
    session_done(session);
}

void session_done(struct session *session)
{
    session->doing = DOING_NOTHING;
    session->asked = false;
    session->leaving = NULL;
    free(session->ref);
    free(session->listed);
    session->ref = session->listed = NULL;
    session->word = NULL;
    if (session->room)
        hub_let_go(session->room);
    if (session->inbox_room)
        hub_let_go(session->inbox_room);
    session->room = session->inbox_room = NULL;
    if (session->direct) {
        free(session->direct->to);
        free(session->direct->text);
        free(session->direct);
    }
    session->direct = NULL;
    if (session->state == SESSION_CLOSED)
        return;
    if (session->sessions->draining && session->state == SESSION_NEW)
        session_close(session, ERROR_SHUTTING_DOWN, "shutting-down", false);
    else if (session->sessions->draining && session->state == SESSION_ACTIVE)
        session_log_out(session, ERROR_SHUTTING_DOWN);
    else
        conn_again(session->conn);
}

static void begin(struct session *session, enum doing doing, const struct request *request)
{
    session->doing = doing;
    session->verb = request->verb;
    session->word = request->word;
    session->ref = request->ref ? strdup(request->ref) : NULL;
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
    if (session->inbox)
        hub_leave(session->inbox);
    session->inbox = NULL;
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
    if (session->last == ERROR_NONE && session->verb == VERB_LOGOUT)
        session_reply(session, &(struct reply){.kind = REPLY_GOODBYE,
                                               .verb = VERB_LOGOUT,
                                               .ref = session->ref,
                                               .word = session->word});
    session_close(session, session->last, session->last ? error_name(session->last) : "logout", false);
}

/* Gives the name back once all chats are answered, or there is no more time. */
static void release(struct session *session)
{
    struct member *member;

    if (session->asked)
        return;
    session->asked = true;
    DL_FOREACH2(session->members, member, own_next)
    chat_acknowledge(session, member, true);
    leave_rooms(session);
    presence_release(session->sessions->presence, session->name, session->id, session->serial);
}

void session_log_out(struct session *session, enum error_code last)
{
    session->doing = DOING_LOGOUT;
    session->last = last;
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

/* Holds the room of the request under way, and goes on when it can be entered. */
static void hold_room(struct session *session, const char *room)
{
    bool live;

    session->room = hub_hold(session->sessions->hub, room, session->serial, &live);
    if (!session->room)
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
                                   .room = hub_room_name(session->room),
                                   .record = record},
                   session->serial);
    free(record);
}

void session_room_ready(struct session *session, bool good)
{
    if (session->doing != DOING_LOGIN && session->doing != DOING_JOIN && session->doing != DOING_MOVE)
        return;
    if (good && session->since && id_lane(session->since) != hub_room_lane(session->room)) {
        if (session->doing == DOING_LOGIN)
            set_state(session, SESSION_NEW);
        refuse(session, ERROR_BAD_REQUEST, "\"since\" is an id of another room.");
        return;
    }
    if (!good || !bus_lane_is_up(session->sessions->bus, 0)) {
        if (session->doing == DOING_LOGIN)
            set_state(session, SESSION_NEW);
        refuse(session, ERROR_UNAVAILABLE, NULL);
        return;
    }
    if (session->doing == DOING_LOGIN && !session->inbox_room) {
        session->inbox_room = hub_hold_inbox(session->sessions->hub, session->name, session->serial);
        if (!session->inbox_room)
            session_room_ready(session, false);
    } else if (session->doing == DOING_LOGIN) {
        session->inbox_since = hub_newest(session->inbox_room);
        claim(session);
    } else {
        presence_enter(session->sessions->presence, session->name, session->shown, session->id,
                       hub_room_name(session->room), session->serial);
    }
}

static struct member *find_member(const struct session *session, const char *room)
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
    struct member *member = find_member(session, hub_room_name(session->room));

    if (member)
        return member;
    member = hub_enter(session->room, session, session->serial, session->dialect_number, session->echo,
                       session->since);
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
    session->inbox = hub_enter(session->inbox_room, session, session->serial, session->dialect_number, true,
                               session->inbox_since);
    if (!session->inbox)
        abort();
    if (session->dialect->logged_in)
        session->dialect->logged_in(session->codec);
    log_info("client_logged_in", "session=%s name=%s room=%s address=%s dialect=%s", session->id,
             session->shown, hub_room_name(member->room), session->address, session->dialect->name);
    session_reply(session, &(struct reply){.kind = REPLY_WELCOME,
                                           .verb = VERB_LOGIN,
                                           .ref = session->ref,
                                           .word = session->word,
                                           .name = session->shown,
                                           .room = hub_room_name(member->room),
                                           .gateway = session->sessions->settings->gateway,
                                           .id = member->position,
                                           .count = count,
                                           .names = names,
                                           .n_names = n_names});
    hub_resume(member);
    hub_resume(session->inbox);
    session_done(session);
}

static void log_in_refused(struct session *session, enum presence_result result)
{
    char text[NAME_MAX_BYTES + 32];

    set_state(session, SESSION_NEW);
    if (result == PRESENCE_TAKEN) {
        snprintf(text, sizeof text, "The name %s is taken.", session->shown);
        refuse(session, ERROR_USERNAME_TAKEN, text);
    } else if (result == PRESENCE_ACCOUNT) {
        refuse(session, ERROR_PASSWORD_REQUIRED, NULL);
    } else {
        refuse(session, ERROR_UNAVAILABLE, NULL);
    }
}

static void reply_entered(struct session *session, const struct member *member, long count,
                          const char *const *names, size_t n_names)
{
    session_reply(session, &(struct reply){.kind = REPLY_ENTERED,
                                           .verb = session->verb,
                                           .ref = session->ref,
                                           .word = session->word,
                                           .room = hub_room_name(member->room),
                                           .id = member->position,
                                           .count = count,
                                           .names = names,
                                           .n_names = n_names});
}

static void entered(struct session *session, long count, const char *const *names, size_t n_names)
{
    struct member *member = enter(session);

    if (session->doing == DOING_MOVE) {
        session->leaving = session->current;
        session->current = member;
        session->entered_count = count;
        if (session->leaving && session->leaving != member) {
            session->doing = DOING_LEAVE;
            session_go_on(session);
            hub_resume(member);
            return;
        }
    }
    reply_entered(session, member, count, names, n_names);
    hub_resume(member);
    session_done(session);
}

static void left(struct session *session)
{
    struct member *member = session->leaving;
    char room[ROOM_MAX_BYTES];

    strcpy(room, hub_room_name(member->room));
    if (session->current == member)
        session->current = NULL;
    chat_acknowledge(session, member, true);
    DL_DELETE2(session->members, member, own_prev, own_next);
    session->n_members--;
    hub_leave(member);
    if (session->verb == VERB_MOVE)
        reply_entered(session, session->current, session->entered_count, NULL, 0);
    else
        session_reply(session, &(struct reply){.kind = REPLY_EXITED,
                                               .verb = session->verb,
                                               .ref = session->ref,
                                               .word = session->word,
                                               .room = room});
    session_done(session);
}

void session_presence(struct session *session, enum presence_result result, long count,
                      const char *const *names, size_t n_names)
{
    if (session->doing == DOING_NOTHING)
        return;
    if (session->doing == DOING_LOGIN) {
        if (result == PRESENCE_OK)
            logged_in(session, count, names, n_names);
        else
            log_in_refused(session, result);
    } else if (session->doing == DOING_LOGOUT) {
        if (session->asked)
            end_log_out(session);
    } else if (result !=
               PRESENCE_OK) { /* full; or the name is lost, and the session is about to hear of it */
        refuse(session, ERROR_UNAVAILABLE, NULL);
    } else if (session->doing == DOING_LEAVE) {
        left(session);
    } else {
        entered(session, count, names, n_names);
    }
}

void session_go_on(struct session *session)
{
    struct sessions *sessions = session->sessions;

    if (session->state == SESSION_CLOSED || session->asked)
        return;
    if (session->doing == DOING_LOGOUT && !chat_is_unanswered(session, NULL)) {
        release(session);
    } else if (session->doing == DOING_LEAVE && !chat_is_unanswered(session, session->leaving)) {
        session->asked = true;
        presence_leave(sessions->presence, session->name, session->shown, session->id,
                       hub_room_name(session->leaving->room), session->serial);
    }
}

void session_listed(struct session *session, long count, const char **names, const long *counts,
                    size_t n_names)
{
    struct reply reply = {.kind = session->doing == DOING_WHO ? REPLY_WHO : REPLY_ROOMS,
                          .verb = session->verb,
                          .ref = session->ref,
                          .word = session->word,
                          .room = session->listed,
                          .count = count,
                          .names = names,
                          .counts = counts,
                          .n_names = n_names};

    if (session->doing != DOING_WHO && session->doing != DOING_ROOMS)
        return;
    if (!names) {
        refuse(session, ERROR_UNAVAILABLE, NULL);
        return;
    }
    session_reply(session, &reply);
    session_done(session);
}

void session_found(struct session *session, bool known, bool held)
{
    if (session->doing != DOING_DIRECT)
        return;
    if (!known)
        refuse(session, ERROR_UNAVAILABLE, NULL);
    else if (held)
        chat_send_direct(session);
    else
        chat_find_direct(session);
}

/* The verbs.  The dispatcher has checked state and rate. ------------------------------------------------- */

/* Of these, too many in a row close the connection. */
static bool is_mistake(enum error_code code)
{
    return code == ERROR_BAD_REQUEST || code == ERROR_UNKNOWN_COMMAND || code == ERROR_TOO_LONG ||
           code == ERROR_USERNAME_INVALID || code == ERROR_ROOM_INVALID || code == ERROR_AUTH_FAILED;
}

/* An error in the answer to a request that was not begun. */
static void reject(struct session *session, const struct request *request, enum error_code code,
                   const char *text)
{
    session->rejected = true;
    if (is_mistake(code))
        session->errors++;
    session_error(session, request->verb, request->ref, request->word, code, text);
}

/* Reads the room and since of a request.  False: it was answered with an error. */
static bool read_room(struct session *session, const struct request *request, const char *fallback,
                      char *room)
{
    session->since = 0;
    if (!room_fold(request->room ? request->room : fallback, room)) {
        reject(session, request, ERROR_ROOM_INVALID, NULL);
        return false;
    }
    if (request->since && !id_from_decimal(request->since, &session->since)) {
        reject(session, request, ERROR_BAD_REQUEST, "\"since\" is no id.");
        return false;
    }
    return true;
}

static void do_login(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];

    if (!name_fold(request->name, session->name)) {
        reject(session, request, ERROR_USERNAME_INVALID, NULL);
        return;
    }
    if (request->password) {
        reject(session, request, ERROR_UNAVAILABLE,
               "There are no accounts here yet: log in without a password.");
        return;
    }
    if (!read_room(session, request, LOBBY, room))
        return;
    strcpy(session->shown, request->name);
    strcpy(session->key, "-");
    if (request->key)
        digest_key(request->key, session->key);
    session->echo = request->echo;
    begin(session, DOING_LOGIN, request);
    set_state(session, SESSION_LOGGING_IN);
    hold_room(session, room);
}

/* Reads the text of a request.  False: it was answered with an error. */
static bool read_text(struct session *session, const struct request *request, char text[REQUEST_MAX_BYTES + 1])
{
    snprintf(text, REQUEST_MAX_BYTES + 1, "%s", request->text);
    if (text_clean(text))
        return true;
    reject(session, request, ERROR_BAD_REQUEST,
           "A text is 1 to 4096 bytes of UTF-8 without control characters.");
    return false;
}

static void do_chat(struct session *session, const struct request *request)
{
    struct member *member = session->current;
    char text[REQUEST_MAX_BYTES + 1], room[ROOM_MAX_BYTES];

    if (request->room) {
        if (!room_fold(request->room, room)) {
            reject(session, request, ERROR_ROOM_INVALID, NULL);
            return;
        }
        member = find_member(session, room);
    }
    if (!member) {
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
        return;
    }
    if (read_text(session, request, text))
        chat_say(session, member, text, request->ref, request->word);
}

static void do_direct(struct session *session, const struct request *request)
{
    char text[REQUEST_MAX_BYTES + 1];
    struct direct *direct;

    if (!read_text(session, request, text))
        return;
    direct = calloc(1, sizeof *direct);
    if (!direct || !(direct->to = strdup(request->to)) || !(direct->text = strdup(text)))
        abort();
    begin(session, DOING_DIRECT, request);
    session->direct = direct;
    if (!name_fold(request->to, direct->name))
        refuse(session, ERROR_NO_SUCH_USER, NULL);
    else if (!presence_find(session->sessions->presence, direct->name, session->serial))
        refuse(session, ERROR_UNAVAILABLE, NULL);
}

static void do_join(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];

    if (!read_room(session, request, "", room))
        return;
    if (session->n_members >= SESSION_ROOMS_MAX && !find_member(session, room)) {
        reject(session, request, ERROR_BAD_REQUEST, "Nobody is in more than 100 rooms at once.");
        return;
    }
    begin(session, request->verb == VERB_MOVE ? DOING_MOVE : DOING_JOIN, request);
    hold_room(session, room);
}

static void do_leave(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];
    struct member *member;

    if (!read_room(session, request, "", room))
        return;
    member = find_member(session, room);
    if (!member) {
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
        return;
    }
    begin(session, DOING_LEAVE, request);
    session->leaving = member;
    session_go_on(session);
}

static void do_logout(struct session *session, const struct request *request)
{
    begin(session, DOING_LOGOUT, request);
    if (session->state == SESSION_NEW)
        end_log_out(session);
    else
        session_log_out(session, ERROR_NONE);
}

static void do_who(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];

    if (!request->room && !session->current) {
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
        return;
    }
    if (!read_room(session, request, session->current ? hub_room_name(session->current->room) : "", room))
        return;
    begin(session, DOING_WHO, request);
    session->listed = strdup(room);
    if (!presence_who(session->sessions->presence, room, session->serial))
        refuse(session, ERROR_UNAVAILABLE, NULL);
}

static void do_rooms(struct session *session, const struct request *request)
{
    begin(session, DOING_ROOMS, request);
    if (!presence_rooms(session->sessions->presence, session->serial))
        refuse(session, ERROR_UNAVAILABLE, NULL);
}

static void do_ping(struct session *session, const struct request *request)
{
    session_reply(session, &(struct reply){.kind = REPLY_PONG,
                                           .verb = VERB_PING,
                                           .ref = request->ref,
                                           .word = request->word});
}

static void do_help(struct session *session, const struct request *request)
{
    session_reply(session, &(struct reply){.kind = REPLY_HELP, .verb = VERB_HELP, .ref = request->ref});
}

static const struct {
    unsigned states;
    double cost; /* of the rate limit: what reads Redis costs 4 */
    void (*handle)(struct session *session, const struct request *request);
} verbs[VERBS] = {
    [VERB_LOGIN] = {BIT(SESSION_NEW), 4, do_login},
    [VERB_CHAT] = {BIT(SESSION_ACTIVE), 1, do_chat},
    [VERB_DIRECT] = {BIT(SESSION_ACTIVE), 1, do_direct},
    [VERB_JOIN] = {BIT(SESSION_ACTIVE), 4, do_join},
    [VERB_MOVE] = {BIT(SESSION_ACTIVE), 4, do_join},
    [VERB_LEAVE] = {BIT(SESSION_ACTIVE), 4, do_leave},
    [VERB_LOGOUT] = {BIT(SESSION_NEW) | BIT(SESSION_ACTIVE), 0, do_logout},
    [VERB_WHO] = {BIT(SESSION_ACTIVE), 4, do_who},
    [VERB_ROOMS] = {BIT(SESSION_ACTIVE), 4, do_rooms},
    [VERB_PING] = {BIT(SESSION_NEW) | BIT(SESSION_ACTIVE), 1, do_ping},
    [VERB_HELP] = {BIT(SESSION_NEW) | BIT(SESSION_ACTIVE), 1, do_help},
};

/* The input ---------------------------------------------------------------------------------------------- */

/* A bucket that holds `burst` and gets `rate` a second. */
static bool within_rate(struct session *session, double cost)
{
    const struct settings *settings = session->sessions->settings;
    uint64_t now;

    if (settings->rate == 0)
        return true;
    if (cost > (double)settings->burst)
        cost = (double)settings->burst; /* a small bucket makes it wait, not impossible */
    now = monotonic_ms();
    session->tokens += (double)(now - session->tokens_at) * (double)settings->rate / 1000;
    if (session->tokens > (double)settings->burst)
        session->tokens = (double)settings->burst;
    session->tokens_at = now;
    if (session->tokens < cost)
        return false;
    session->tokens -= cost;
    return true;
}

static void dispatch(struct session *session, const struct request *request)
{
    session->rejected = false;
    if (!within_rate(session, verbs[request->verb].cost))
        reject(session, request, ERROR_RATE_LIMITED, NULL);
    else if (verbs[request->verb].states & BIT(session->state))
        verbs[request->verb].handle(session, request);
    else
        reject(session, request,
               session->state == SESSION_NEW ? ERROR_LOGIN_REQUIRED : ERROR_ALREADY_LOGGED_IN, NULL);
    if (!session->rejected)
        session->errors = 0;
}

/* Nothing more will come, and what came is answered. */
static void end_of_input(struct session *session)
{
    if (session->state == SESSION_ACTIVE)
        session_log_out(session, ERROR_NONE);
    else
        session_close(session, ERROR_NONE, "eof", true);
}

void session_read(struct session *session)
{
    struct evbuffer *input = conn_input(session->conn);
    enum decoded decoded = DECODED_REQUEST;
    bool at_end = false;

    for (int n = 0; session->state != SESSION_CLOSED && session->doing == DOING_NOTHING; n++) {
        struct request request = {.verb = VERBS};
        size_t used = 0, given;
        const char *bytes;

        if (session->sessions->draining || conn_is_slow(session->conn) || session->n_chats >= CHATS_MAX)
            return;
        if (n == REQUESTS_A_TURN) {
            conn_again(session->conn);
            return;
        }
        given = evbuffer_get_length(input);
        bytes = given ? (const char *)evbuffer_pullup(input, -1) : ""; /* never NULL: decoders add to it */
        decoded = session->dialect->decode(session->codec, bytes, given, &used, &request);
        evbuffer_drain(input, used);
        if (decoded == DECODED_MORE) {
            if (!session->dialect->quiet || at_end)
                break;
            conn_set_quiet(session->conn, used < given ? session->dialect->quiet_ms : 0);
            if (!session->eof)
                break;
            at_end = true; /* it will be quiet from here on */
            session->dialect->quiet(session->codec);
            continue;
        }
        if (decoded == DECODED_REQUEST)
            dispatch(session, &request);
        else if (within_rate(session, 1))
            reject(session, &request, request.error, request.reason);
        else
            reject(session, &request, ERROR_RATE_LIMITED, NULL);
        if (decoded == DECODED_FATAL)
            session_close(session, ERROR_NONE, error_name(request.error), true);
        else if (session->errors >= ERRORS_MAX)
            session_close(session, ERROR_NONE, "too-many-errors", true);
    }
    if (session->state != SESSION_CLOSED && session->doing == DOING_NOTHING && session->eof)
        end_of_input(session);
}
