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
/* A store that is behind waits with its answer, and others must not wait behind that. */
#define TELLING_MAX 2
#define TELL_AGAIN_MS 1000

/* The pages that an account is being handed. */
struct handover {
    struct room *room; /* held */
    event_id after, until;
    bool asked;
};

/* What was read ------------------------------------------------------------------------------------------ */

/* Gets in line, if there is something to tell. */
static void get_in_line(struct session *session)
{
    if (session->unsaid || session->telling || session->sent <= session->told)
        return;
    session->unsaid = true;
    DL_APPEND2(session->sessions->unsaid, session, unsaid_prev, unsaid_next);
}

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

static void on_told(void *ctx, uint64_t token, const json_t *answer)
{
    struct sessions *sessions = ctx;
    struct session *session = session_by_serial(sessions, token);
    bool good = json_is_true(json_object_get(answer, "ok"));

    sessions->telling--;
    if (!good)
        sessions->tell_after = monotonic_ms() + TELL_AGAIN_MS;
    if (!session)
        return;
    if (good)
        session->told = session->telling;
    session->telling = 0;
    get_in_line(session);
}

/* Only what has left the gateway was read. */
void inbox_end_turn(struct sessions *sessions)
{
    struct session *session, *next;

    if (!sessions->unsaid || !storelink_is_up(sessions->storelink) || monotonic_ms() < sessions->tell_after)
        return;
    for (session = sessions->unsaid; session && sessions->telling < TELLING_MAX; session = next) {
        next = session->unsaid_next;
        if (!conn_is_flushed(session->conn))
            continue;
        leave_line(session);
        session->telling = session->sent;
        if (storelink_ask(sessions->storelink, STORELINK_READ, read_request(session, NULL, session->sent),
                          on_told, sessions, session->serial)) {
            sessions->telling++;
        } else {
            session->telling = 0;
            get_in_line(session);
            return;
        }
    }
}

/* Directs up to `id` were sent to the client. */
static void note_sent(struct session *session, event_id id)
{
    if (!session->account || session->dialect->says_read || id <= session->sent)
        return;
    session->sent = id;
    get_in_line(session);
}

void inbox_watch(struct session *session)
{
    if (session->inbox && session->account && !session->dialect->says_read)
        session->inbox->watched = true;
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
                                  .ref = session->task->ref,
                                  .word = session->task->word,
                                  .name = session->task->wanted,
                                  .count = (long)json_integer_value(json_object_get(answer, "unread"))});
    session_done(session);
}

void inbox_read(struct session *session, const char *from, event_id until)
{
    if (!storelink_ask(session->sessions->storelink, STORELINK_READ, read_request(session, from, until),
                       on_read, session->sessions, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

/* What is handed over ------------------------------------------------------------------------------------ */

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
    inbox_watch(session);
    handover_end(session);
    hub_resume(session->inbox);
}

/* No store has the rest just now: it stays unread, and comes at the next log-in. */
static void break_off(struct session *session)
{
    log_warn("handover_failed", "session=%s", session->id);
    session_reply(session, &(struct reply){.kind = REPLY_GAP,
                                           .verb = VERBS,
                                           .after = session->handover->after,
                                           .until = session->handover->until});
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
        break_off(session);
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
    handover->asked = storelink_ask_patiently(session->sessions->storelink, request, on_unread,
                                              session->sessions, session->serial);
    if (!handover->asked)
        break_off(session);
}

void inbox_open(struct session *session)
{
    session->handover = calloc(1, sizeof *session->handover);
    if (!session->handover)
        abort();
    *session->handover =
        (struct handover){.room = session->task->inbox_room, .until = session->task->inbox_since};
    session->task->inbox_room = NULL;
    if (session->task->unread > 0)
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
