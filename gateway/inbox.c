/*
 * inbox: what is sent to one user alone.
 *
 * A guest hears what comes from the log-in on.  An account is first handed what it has not read: the store
 * gives that in pages, up to where the lane was stored when the password was verified; from there on the
 * inbox goes on as a room does.  So nothing is missed in between, and nothing comes twice in a session.
 *
 * Clients whose dialect has no verb for it have read what was sent to them: then the store is told so.
 */

#include <stdlib.h>

#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "session.h"
#include "stored.h"
#include "storelink.h"

#define PAGE 100
#define TELLING_MAX 8

/* The pages that an account is being handed. */
struct handover {
    struct room *room; /* held */
    event_id after, until;
    bool asked;
};

/* What was read --------------------------------------------------------------------------------------------
 */

/* Gets in line, if there is something to tell. */
static void want_to_tell(struct session *session)
{
    if (session->unsaid || session->telling || session->read <= session->told)
        return;
    session->unsaid = true;
    DL_APPEND2(session->sessions->unsaid, session, unsaid_prev, unsaid_next);
}

/* Leaves the line. */
static void leave_line(struct session *session)
{
    if (!session->unsaid)
        return;
    session->unsaid = false;
    DL_DELETE2(session->sessions->unsaid, session, unsaid_prev, unsaid_next);
}

static json_t *read_request(const struct session *session, const char *from, event_id until)
{
    char id[ID_TEXT_MAX];

    return json_pack("{s:s, s:s, s:s, s:s, s:s*}", "ask", "read", "name", session->name, "account",
                     session->account, "until", id_to_decimal(until, id), "from", from);
}

static void tell_next(struct sessions *sessions);

/* What could not be marked stays unread, and is handed over again at the next log-in. */
static void on_told(void *ctx, uint64_t token, const json_t *answer)
{
    struct sessions *sessions = ctx;
    struct session *session = session_by_serial(sessions, token);

    sessions->telling--;
    if (session) {
        session->telling = false;
        if (answer)
            want_to_tell(session);
    }
    tell_next(sessions);
}

/* A few at a time: a store that is behind waits with its answer, and log-ins must not wait behind that. */
static void tell_next(struct sessions *sessions)
{
    while (sessions->unsaid && sessions->telling < TELLING_MAX) {
        struct session *session = sessions->unsaid;

        leave_line(session);
        session->telling = storelink_ask(sessions->storelink, read_request(session, NULL, session->read),
                                         on_told, sessions, session->serial);
        if (!session->telling)
            continue;
        session->told = session->read;
        sessions->telling++;
    }
}

/* Directs up to `id` were sent to the client. */
static void note_sent(struct session *session, event_id id)
{
    if (!*session->account || session->dialect->says_read || id <= session->read)
        return;
    session->read = id;
    want_to_tell(session);
    tell_next(session->sessions);
}

/* Behind a gap nothing counts as read by itself: to the store that would mean what is missing, too. */
void inbox_reached(struct session *session)
{
    if (!session->inbox->robbed)
        note_sent(session, session->inbox->position);
}

static void on_read(void *ctx, uint64_t token, const json_t *answer)
{
    struct session *session = session_by_serial(ctx, token);

    if (!session || session->doing != DOING_READ)
        return;
    if (!json_is_true(json_object_get(answer, "ok"))) {
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
        return;
    }
    session_reply(session,
                  &(struct reply){.kind = REPLY_READ,
                                  .verb = VERB_READ,
                                  .ref = session->ref,
                                  .word = session->word,
                                  .name = session->wanted,
                                  .count = (long)json_integer_value(json_object_get(answer, "unread"))});
    session_done(session);
}

void inbox_read(struct session *session, const char *from, event_id until)
{
    if (!storelink_ask(session->sessions->storelink, read_request(session, from, until), on_read,
                       session->sessions, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

/* What is handed over --------------------------------------------------------------------------------------
 */

static void handover_end(struct session *session)
{
    hub_let_go(session->handover->room);
    free(session->handover);
    session->handover = NULL;
}

/* `robbed`: not all was handed over. */
static void enter(struct session *session, bool robbed)
{
    session->inbox = hub_enter(session->handover->room, session, session->serial, session->dialect_number,
                               false, session->handover->until);
    if (!session->inbox)
        abort();
    session->inbox->robbed = robbed;
    if (*session->account && !session->dialect->says_read)
        session->inbox->waiting++; /* to hear of its position */
    handover_end(session);
    hub_resume(session->inbox);
}

/* What is left stays unread, and is handed over at the next log-in; until then it is told as missing. */
static void give_up(struct session *session)
{
    const struct handover *handover = session->handover;

    log_warn("handover_failed", "session=%s", session->id);
    session_reply(session,
                  &(struct reply){
                      .kind = REPLY_GAP, .verb = VERBS, .after = handover->after, .until = handover->until});
    enter(session, true);
}

static void on_unread(void *ctx, uint64_t token, const json_t *answer)
{
    struct session *session = session_by_serial(ctx, token);
    struct handover *handover = session ? session->handover : NULL;
    char chain[CHAIN_MAX_BYTES];
    size_t n = stored_count(answer);

    if (!handover)
        return;
    handover->asked = false;
    if (!json_is_true(json_object_get(answer, "ok"))) {
        give_up(session);
        return;
    }
    chain_name('u', session->name, chain);
    for (size_t i = 0; i < n; i++) {
        struct event *event = stored_event(answer, i, chain);

        if (!event)
            continue;
        session_send_event(session, event);
        handover->after = event->id;
        event_drop(event);
    }
    note_sent(session, handover->after);
    if (n > 0 && json_is_true(json_object_get(answer, "more")))
        inbox_go_on(session);
    else
        enter(session, false);
}

void inbox_go_on(struct session *session)
{
    struct handover *handover = session->handover;
    char after[ID_TEXT_MAX], until[ID_TEXT_MAX];
    json_t *request;

    if (!handover || handover->asked || conn_is_slow(session->conn))
        return;
    request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "ask", "unread", "name", session->name, "account",
                        session->account, "after", id_to_decimal(handover->after, after), "until",
                        id_to_decimal(handover->until, until), "limit", PAGE);
    handover->asked =
        storelink_ask(session->sessions->storelink, request, on_unread, session->sessions, session->serial);
    if (!handover->asked)
        give_up(session);
}

void inbox_open(struct session *session)
{
    session->handover = calloc(1, sizeof *session->handover);
    if (!session->handover)
        abort();
    *session->handover = (struct handover){.room = session->inbox_room, .until = session->inbox_since};
    session->inbox_room = NULL;
    if (session->unread > 0)
        inbox_go_on(session);
    else
        enter(session, false);
}

void inbox_close(struct session *session)
{
    leave_line(session);
    if (session->handover)
        handover_end(session);
    if (session->inbox)
        hub_leave(session->inbox);
    session->inbox = NULL;
}
