/*
 * requests: what a client asks for, read from its input and begun; session.c has how it goes on.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "bus.h"
#include "session.h"
#include "settings.h"

#define REQUESTS_A_TURN 32
#define HISTORY_DEFAULT 20
#define HISTORY_MAX 500
#define BIT(state) (1u << (state))

/* Refusals ----------------------------------------------------------------------------------------------- */

/* An error in the answer to a request that was not begun. */
static void reject(struct session *session, const struct request *request, enum error_code code,
                   const char *text)
{
    session_error(session, request->verb, request->ref, request->word, code, text);
}

/* The same for a log-in: the dialect may ask for something else now. */
static void reject_login(struct session *session, const struct request *request, enum error_code code,
                         const char *text)
{
    if (session->dialect->refused)
        session->dialect->refused(session->codec, code);
    reject(session, request, code, text);
}

/* Reads the room and since (0: not given) of a request.  False: it was answered with an error. */
static bool read_room(struct session *session, const struct request *request, const char *fallback,
                      char *room, event_id *since)
{
    *since = 0;
    if (!room_fold(request->room ? request->room : fallback, room)) {
        reject(session, request, ERROR_ROOM_INVALID, NULL);
        return false;
    }
    if (request->since && !id_from_decimal(request->since, since)) {
        reject(session, request, ERROR_BAD_REQUEST, "\"since\" is no id.");
        return false;
    }
    return true;
}

/* The verbs.  The dispatcher has checked state and rate. ------------------------------------------------- */

static void do_login(struct session *session, const struct request *request)
{
    char name[NAME_MAX_BYTES], room[ROOM_MAX_BYTES], digest[DIGEST_MAX_BYTES];
    event_id since;

    if (!name_fold(request->name, name)) {
        reject(session, request, ERROR_USERNAME_INVALID, NULL);
        return;
    }
    if (!request->password && strcmp(session->sessions->settings->guests, "deny") == 0) {
        reject_login(session, request, ERROR_PASSWORD_REQUIRED, "Only accounts may log in here.");
        return;
    }
    if (!read_room(session, request, LOBBY, room, &since))
        return;
    if (request->key)
        digest_key(request->key, digest);
    session_set(&session->name, name);
    session_set(&session->shown, request->name);
    session_set(&session->key, request->key ? digest : NULL);
    session_set(&session->account, NULL);
    session->echo = request->echo;
    session_begin(session, DOING_LOGIN, request);
    session->task->since = since;
    if (request->password) {
        session_set(&session->task->wanted, room);
        account_verify(session, request->password);
    } else {
        session_hold_room(session, room);
    }
}

static void do_register(struct session *session, const struct request *request)
{
    session_begin(session, DOING_REGISTER, request);
    account_register(session, request->password, request->old);
}

/* Reads the text of a request.  False: it was answered with an error. */
static bool read_text(struct session *session, const struct request *request,
                      char text[REQUEST_MAX_BYTES + 1])
{
    snprintf(text, REQUEST_MAX_BYTES + 1, "%s", request->text);
    if (text_clean(text) && text_lines(text) <= TEXT_MAX_LINES)
        return true;
    reject(session, request, ERROR_BAD_REQUEST,
           "A text is 1 to 4096 bytes of UTF-8 in at most 100 lines, without control characters.");
    return false;
}

/* The room of a request, or else the one where chats go.  NULL: it was answered with an error. */
static struct member *read_member(struct session *session, const struct request *request)
{
    struct member *member = session->current;
    char room[ROOM_MAX_BYTES];

    if (request->room) {
        if (!room_fold(request->room, room)) {
            reject(session, request, ERROR_ROOM_INVALID, NULL);
            return NULL;
        }
        member = session_find_member(session, room);
    }
    if (!member)
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
    return member;
}

static void do_chat(struct session *session, const struct request *request)
{
    struct member *member = read_member(session, request);
    char text[REQUEST_MAX_BYTES + 1];

    if (member && read_text(session, request, text))
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
    session_begin(session, DOING_DIRECT, request);
    session->task->direct = direct;
    if (!name_fold(request->to, direct->name))
        session_refuse(session, ERROR_NO_SUCH_USER, NULL);
    else if (!presence_find(session->sessions->presence, direct->name, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

static void do_join(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];
    event_id since;

    if (!read_room(session, request, "", room, &since))
        return;
    if (session->n_members >= SESSION_ROOMS_MAX && !session_find_member(session, room)) {
        reject(session, request, ERROR_BAD_REQUEST, "Nobody is in more than 100 rooms at once.");
        return;
    }
    session_begin(session, request->verb == VERB_MOVE ? DOING_MOVE : DOING_JOIN, request);
    session->task->since = since;
    session_hold_room(session, room);
}

static void do_leave(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];
    event_id since;
    struct member *member;

    if (!read_room(session, request, "", room, &since))
        return;
    member = session_find_member(session, room);
    if (!member) {
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
        return;
    }
    session_begin(session, DOING_LEAVE, request);
    session->task->leaving = member;
    session_go_on(session);
}

static void do_logout(struct session *session, const struct request *request)
{
    session_begin(session, DOING_LOGOUT, request);
    session_log_out(session, ERROR_NONE);
}

static void do_who(struct session *session, const struct request *request)
{
    char room[ROOM_MAX_BYTES];
    event_id since;

    if (!request->room && !session->current) {
        reject(session, request, ERROR_NOT_IN_ROOM, NULL);
        return;
    }
    if (!read_room(session, request, session->current ? hub_room_name(session->current->room) : "", room,
                   &since))
        return;
    session_begin(session, DOING_WHO, request);
    session_set(&session->task->wanted, room);
    if (!presence_who(session->sessions->presence, room, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

static void do_rooms(struct session *session, const struct request *request)
{
    session_begin(session, DOING_ROOMS, request);
    if (!presence_rooms(session->sessions->presence, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

/* Reads an id of a request, if it is there.  False: it was answered with an error. */
static bool read_id(struct session *session, const struct request *request, const char *text,
                    const char *wrong, event_id *id)
{
    *id = 0;
    if (!text || id_from_decimal(text, id)) {
        if (text && *id == 0)
            *id = 1; /* which no event has either, and which says that it is there */
        if (*id == INT64_MAX)
            (*id)--; /* nor this: there is room for one more */
        return true;
    }
    reject(session, request, ERROR_BAD_REQUEST, wrong);
    return false;
}

/* Reads how much of the past is wanted.  False: it was answered with an error. */
static bool read_page(struct session *session, const struct request *request, unsigned *limit,
                      event_id *before, event_id *since)
{
    long wanted = request->limit ? request->limit : HISTORY_DEFAULT;

    *limit = wanted < HISTORY_MAX ? (unsigned)wanted : HISTORY_MAX;
    if (!read_id(session, request, request->before, "\"before\" is no id.", before) ||
        !read_id(session, request, request->since, "\"since\" is no id.", since))
        return false;
    if (!request->before || !request->since)
        return true;
    reject(session, request, ERROR_BAD_REQUEST, "Either \"before\" or \"since\", not both.");
    return false;
}

static void do_history_with(struct session *session, const struct request *request, unsigned limit,
                            event_id before, event_id since)
{
    char name[NAME_MAX_BYTES];

    if (!name_fold(request->with, name)) {
        reject(session, request, ERROR_NO_SUCH_USER, NULL);
        return;
    }
    session_begin(session, DOING_HISTORY, request);
    history_with(session, request->with, name, limit, before, since);
}

/* True if `id` may be one of the room's. */
static bool is_of(const struct member *member, event_id id)
{
    return id <= 1 || id_lane(id) == hub_room_lane(member->room);
}

static void do_history(struct session *session, const struct request *request)
{
    struct member *member;
    event_id before, since;
    unsigned limit;

    if (!read_page(session, request, &limit, &before, &since))
        return;
    if (request->with) {
        do_history_with(session, request, limit, before, since);
        return;
    }
    member = read_member(session, request);
    if (!member)
        return;
    if (!is_of(member, before) || !is_of(member, since)) {
        reject(session, request, ERROR_BAD_REQUEST, "That is an id of another room.");
    } else {
        session_begin(session, DOING_HISTORY, request);
        if (before > hub_newest(member->room)) /* is none, as it were */
            before = 0;
        history_of_room(session, member, limit, before, since);
    }
}

static void do_read(struct session *session, const struct request *request)
{
    char name[NAME_MAX_BYTES];
    event_id id;

    if (!read_id(session, request, request->id, "\"id\" is no id.", &id))
        return;
    if (!session->account) {
        reject(session, request, ERROR_BAD_REQUEST, "Only an account's directs wait until they are read.");
        return;
    }
    if (!name_fold(request->with, name)) {
        reject(session, request, ERROR_NO_SUCH_USER, NULL);
        return;
    }
    if (id_lane(id) != lane_of(session->name)) {
        reject(session, request, ERROR_BAD_REQUEST, "\"id\" is not of a direct to you.");
        return;
    }
    if (session->inbox && id > session->inbox->position) /* what was not handed over yet was not read */
        id = session->inbox->position;
    session_begin(session, DOING_READ, request);
    session_set(&session->task->wanted, request->with);
    inbox_read(session, name, id);
}

static void do_ping(struct session *session, const struct request *request)
{
    session_reply(
        session,
        &(struct reply){.kind = REPLY_PONG, .verb = VERB_PING, .ref = request->ref, .word = request->word});
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
    [VERB_REGISTER] = {BIT(SESSION_ACTIVE), 4, do_register},
    [VERB_HISTORY] = {BIT(SESSION_ACTIVE), 4, do_history},
    [VERB_READ] = {BIT(SESSION_ACTIVE), 4, do_read},
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
    session->refused = false;
    if (!within_rate(session, verbs[request->verb].cost))
        reject(session, request, ERROR_RATE_LIMITED, NULL);
    else if (verbs[request->verb].states & BIT(session->state))
        verbs[request->verb].handle(session, request);
    else
        reject(session, request,
               session->state == SESSION_NEW ? ERROR_LOGIN_REQUIRED : ERROR_ALREADY_LOGGED_IN, NULL);
    if (session->doing == DOING_NOTHING && !session->refused)
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
    enum decoded decoded = DECODED_REQUEST;
    bool at_end = false;

    for (int n = 0; session->state != SESSION_CLOSED && session->doing == DOING_NOTHING; n++) {
        struct request request = {.verb = VERBS};
        size_t used = 0, given;
        const char *bytes;

        if (session->errors >= ERRORS_MAX) {
            session_close(session, ERROR_NONE, "too-many-errors", true);
            return;
        }
        if (session->sessions->draining || conn_is_slow(session->conn) || session->n_chats >= CHATS_MAX)
            return;
        if (n == REQUESTS_A_TURN) {
            conn_again(session->conn);
            return;
        }
        bytes = conn_input(session->conn, &given);
        decoded = session->dialect->decode(session->codec, bytes, given, &used, &request);
        conn_use(session->conn, used);
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
    }
    if (session->state != SESSION_CLOSED && session->doing == DOING_NOTHING && session->eof)
        end_of_input(session);
}
