/*
 * history: pages of the past, for a client that asks.
 *
 * The log has what was said a moment ago, the store all that is older; a page is joined from both.
 *
 * - A room's newest, or what came before an id: a walk along the log from there, and only what that lacks is
 *   asked of the store.  So recent history needs no store.
 * - What followed an id, and directs with one user: the store's page, and the *tail*: what the log has beyond
 *   where the store was when it answered.  Without a store the tail is all, if the log goes back far enough.
 */

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "bus.h"
#include "functions.h"
#include "session.h"
#include "stored.h"
#include "storelink.h"
#include "walk.h"

#define PAGE_BYTES (64 * 1024)
#define ENVELOPE_BYTES                                                                         \
    64                  /* about what each line of a text costs besides, in some dialects; see \
                           also LINE_PREFIX_BYTES in fanout.c */
#define ENTRIES_STEP 25 /* so many bodies always fit into an answer of a walk */
#define STEPS_MAX 80    /* of a page; a store that is further behind than they go is as good as away */

struct history {
    unsigned limit;
    event_id before, since;    /* 0: not given */
    bool with;                 /* directs, else a room */
    char name[NAME_MAX_BYTES]; /* whom the directs are with, folded */
    char chains[2][CHAIN_MAX_BYTES];
    unsigned n_chains, at; /* the chain whose tail is being read */
    event_id newest, from; /* of the room; of the walk under way */
    unsigned steps;
    bool found;            /* the log has `before` itself, or it was searched for */
    event_id until[2];     /* where the tails end */
    bool tail;             /* the walk is along a tail */
    bool has_store;        /* it has answered */
    struct event **events; /* in no order until the end */
    size_t n, room;
    bool more;
};

void history_destroy(struct history *history)
{
    if (!history)
        return;
    for (size_t i = 0; i < history->n; i++)
        event_drop(history->events[i]);
    free(history->events);
    free(history);
}

/* The page ----------------------------------------------------------------------------------------------- */

/* Newest pages begin at the end. */
static bool is_newest(const struct history *history)
{
    return history->since == 0;
}

/* True if the session may see what was for, or by, `holder`.  An account sees nothing from before it was one.
 */
static bool may_see(const struct session *session, const char *holder)
{
    char own[HOLDER_MAX_BYTES];

    return session->account ? strcmp(holder, session_holder(session, own)) == 0 : session_is(session, holder);
}

/* True if the event is one that was asked for; of directs, one between the two that is the session's own. */
static bool is_wanted(const struct session *session, const struct event *event)
{
    const struct history *history = session->task->history;
    char folded[NAME_MAX_BYTES];

    if ((history->before && event->id >= history->before) || event->id <= history->since)
        return false;
    if (!history->with)
        return true;
    if (!event->direct || !name_fold(event->from, folded))
        return false;
    if (strcmp(folded, history->name) == 0 && may_see(session, event->whom))
        return name_fold(event->place, folded) && strcmp(folded, session->name) == 0;
    return strcmp(folded, session->name) == 0 && may_see(session, event->by) &&
           name_fold(event->place, folded) && strcmp(folded, history->name) == 0;
}

/* Takes the event if it is wanted. */
static void add(struct session *session, struct event *event)
{
    struct history *history = session->task->history;

    if (!is_wanted(session, event))
        return;
    if (history->n == history->room) {
        history->room = history->room ? history->room * 2 : 32;
        history->events = realloc(history->events, history->room * sizeof(struct event *));
        if (!history->events)
            abort();
    }
    history->events[history->n++] = event_hold(event);
}

static int compare(const void *a, const void *b)
{
    event_id left = (*(struct event *const *)a)->id, right = (*(struct event *const *)b)->id;

    return left < right ? -1 : left > right;
}

/* Puts the events in order; what both the log and the store had is there once. */
static void sort(struct history *history)
{
    size_t n = 0;

    if (history->n > 0)
        qsort(history->events, history->n, sizeof(struct event *), compare);
    for (size_t i = 0; i < history->n; i++) {
        if (n > 0 && history->events[n - 1]->id == history->events[i]->id)
            event_drop(history->events[i]);
        else
            history->events[n++] = history->events[i];
    }
    history->n = n;
}

/* How many events, from the end that counts, are a page. */
static size_t page_size(const struct history *history)
{
    size_t bytes = 0, n = 0;

    while (n < history->n && n < history->limit) {
        const struct event *event = history->events[is_newest(history) ? history->n - 1 - n : n];

        bytes += strlen(event->text) + ENVELOPE_BYTES * text_lines(event->text);
        if (bytes > PAGE_BYTES && n > 0)
            break;
        n++;
    }
    return n;
}

static void finish(struct session *session)
{
    struct history *history = session->task->history;
    size_t n;

    sort(history);
    n = page_size(history);
    session_reply(session,
                  &(struct reply){.kind = REPLY_HISTORY,
                                  .verb = VERB_HISTORY,
                                  .ref = session->task->ref,
                                  .word = session->task->word,
                                  .room = history->with ? NULL : session->task->wanted,
                                  .name = history->with ? session->task->wanted : NULL,
                                  .events = history->events + (is_newest(history) ? history->n - n : 0),
                                  .n_events = n,
                                  .more = history->more || n < history->n});
    session_done(session);
}

static void fail(struct session *session)
{
    session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

static struct session *find(void *ctx, uint64_t token)
{
    struct session *session = session_by_serial(ctx, token);

    return session && session->doing == DOING_HISTORY ? session : NULL;
}

/* The log ------------------------------------------------------------------------------------------------ */

static void on_walk(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply);

static void step(struct session *session)
{
    struct history *history = session->task->history;

    if (!walk_send(session->sessions->bus, history->chains[history->at], history->from,
                   history->until[history->at], ENTRIES_STEP, true, on_walk, session->sessions,
                   session->serial))
        fail(session);
}

static void on_last(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply);

/* Reads the next tail, or ends. */
static void next_tail(struct session *session)
{
    struct history *history = session->task->history;
    const char *argv[] = {"HGET", NULL, history->chains[history->at]};
    char key[LANE_KEY_MAX + 8];
    unsigned lane;

    history->tail = true;
    if (history->at == history->n_chains) {
        finish(session);
        return;
    }
    lane = chain_lane(history->chains[history->at]);
    snprintf(key, sizeof key, LANE_KEY_FORMAT ":last", lane);
    argv[1] = key;
    if (!bus_read(session->sessions->bus, lane, 3, argv, on_last, session->sessions, session->serial))
        fail(session);
}

/* The newest id of a chain. */
static void on_last(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct session *session = find(ctx, token);
    struct history *history = session ? session->task->history : NULL;

    if (!history)
        return;
    if (status != BUS_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        fail(session);
    } else if (reply->type == REDIS_REPLY_STRING &&
               id_from_stream(reply->str, reply->len, chain_lane(history->chains[history->at]),
                              &history->from) &&
               history->from > history->until[history->at]) {
        step(session);
    } else { /* the log has nothing of it that the store had not */
        history->at++;
        next_tail(session);
    }
}

static void ask_store(struct session *session, event_id until);

/* The walk along the log has ended, and `next` is where it would go on. */
static void walked(struct session *session, const struct walk *walk)
{
    struct history *history = session->task->history;

    if (!history->tail) {
        if (history->n > history->limit)
            finish(session);
        else
            ask_store(session, walk->next);
    } else if (walk->end == WALK_TRIMMED && !history->has_store) {
        fail(session);
    } else {
        history->at++;
        next_tail(session);
    }
}

static void on_walk(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct session *session = find(ctx, token);
    struct history *history = session ? session->task->history : NULL;
    const struct redisReply *body;
    event_id id, prev;
    struct walk walk;

    if (!history)
        return;
    if (status != BUS_ANSWERED || !walk_read(&walk, history->chains[history->at], true, reply)) {
        fail(session);
        return;
    }
    for (size_t i = 0; i < walk.count; i++) {
        struct event *event =
            walk_entry(&walk, i, &id, &prev, &body) ? event_from_body(id, prev, body->str, body->len) : NULL;

        if (event)
            add(session, event);
        history->found |= event && event->id == history->before;
        event_drop(event);
    }
    history->from = walk.next;
    if (walk.end != WALK_MORE || (!history->tail && history->n > history->limit))
        walked(session, &walk);
    else if (++history->steps == STEPS_MAX)
        fail(session);
    else
        step(session);
}

/* The store ---------------------------------------------------------------------------------------------- */

static void take_page(struct session *session, const json_t *answer)
{
    struct history *history = session->task->history;

    for (size_t i = 0; i < stored_count(answer); i++) {
        struct event *event = stored_event(answer, i, history->chains[0]);

        if (event)
            add(session, event);
        event_drop(event);
    }
    history->more = json_is_true(json_object_get(answer, "more"));
}

/* `before` is no id of the room, and not so old that the store could have all below it: then what is below is
 * found from the newest on. */
static bool must_search(const struct session *session, event_id stored)
{
    const struct history *history = session->task->history;

    return !history->tail && history->before > stored && !history->found &&
           history->before > bus_floor(session->sessions->bus, chain_lane(history->chains[0]));
}

static void on_page(void *ctx, uint64_t token, const json_t *answer)
{
    struct session *session = find(ctx, token);
    struct history *history = session ? session->task->history : NULL;
    event_id stored[2] = {0};
    bool good = json_is_true(json_object_get(answer, "ok")) && stored_id(answer, "stored", &stored[0]);

    if (!history)
        return;
    if (good && history->with)
        good = stored_id(answer, "stored_with", &stored[1]);
    if (good && must_search(session, stored[0])) {
        history->found = true; /* as near as can be */
        history->from = history->newest;
        step(session);
        return;
    }
    if (good)
        take_page(session, answer);
    if (!history->tail) {
        history->more = history->more || !good;
        if (good || history->n > 0)
            finish(session);
        else
            fail(session);
        return;
    }
    if (good && !is_newest(history) && history->more) {
        finish(session); /* the tails are beyond the page */
        return;
    }
    history->has_store = good;
    for (unsigned i = 0; good && i < history->n_chains; i++)
        if (stored[i] > history->until[i])
            history->until[i] = stored[i];
    next_tail(session);
}

static void pack_bounds(json_t *request, const struct history *history, event_id until)
{
    char after[ID_TEXT_MAX], until_text[ID_TEXT_MAX];

    if (json_object_set_new(request, "after", json_string(id_to_decimal(history->since, after))) < 0 ||
        json_object_set_new(request, "until", json_string(id_to_decimal(until, until_text))) < 0 ||
        json_object_set_new(request, "limit", json_integer(history->limit)) < 0 ||
        json_object_set_new(request, "newest", json_boolean(is_newest(history))) < 0)
        abort();
}

/* By what rights the session may see directs. */
static json_t *pack_holders(const struct session *session)
{
    json_t *holders = json_array();
    char holder[HOLDER_MAX_BYTES];

    json_array_append_new(holders, json_string(session_holder(session, holder)));
    if (!session->account && strcmp(holder, session->id) != 0)
        json_array_append_new(holders, json_string(session->id));
    return holders;
}

/* Asks for what is not above `until`. */
static void ask_store(struct session *session, event_id until)
{
    const struct history *history = session->task->history;
    json_t *request = history->with
                          ? json_pack("{s:s, s:s, s:s, s:o}", "ask", "conversation", "name", session->name,
                                      "with", history->name, "holders", pack_holders(session))
                          : json_pack("{s:s, s:s}", "ask", "events", "chain", history->chains[0]);

    if (!request)
        abort();
    if (history->before && until >= history->before)
        until = history->before - 1;
    pack_bounds(request, history, until);
    if (!storelink_ask(session->sessions->storelink, STORELINK_PAGE, request, on_page, session->sessions,
                       session->serial))
        on_page(session->sessions, session->serial, NULL);
}

/* The beginning ------------------------------------------------------------------------------------------ */

static struct history *begin(struct session *session, unsigned limit, event_id before, event_id since)
{
    struct history *history = calloc(1, sizeof *history);

    if (!history)
        abort();
    *history = (struct history){.limit = limit, .before = before, .since = since};
    session->task->history = history;
    return history;
}

/* Down to where the lane began, or to where the page begins. */
static void set_chain(struct session *session, unsigned i, char kind, const char *name)
{
    struct history *history = session->task->history;
    event_id floor;

    chain_name(kind, name, history->chains[i]);
    floor = bus_floor(session->sessions->bus, chain_lane(history->chains[i]));
    history->until[i] = floor > history->since ? floor : history->since;
    history->n_chains = i + 1;
}

void history_of_room(struct session *session, const struct member *member, unsigned limit, event_id before,
                     event_id since)
{
    struct history *history = begin(session, limit, before, since);

    set_chain(session, 0, 'r', hub_room_name(member->room));
    session_set(&session->task->wanted, hub_room_name(member->room));
    history->tail = since > 0;
    history->newest = hub_newest(member->room);
    history->from = before ? before : history->newest;
    if (history->tail)
        ask_store(session, INT64_MAX);
    else
        step(session);
}

void history_with(struct session *session, const char *shown, const char *name, unsigned limit,
                  event_id before, event_id since)
{
    struct history *history = begin(session, limit, before, since);

    history->with = history->tail = true;
    snprintf(history->name, sizeof history->name, "%s", name);
    set_chain(session, 0, 'u', session->name);
    set_chain(session, 1, 'u', name);
    session_set(&session->task->wanted, shown);
    ask_store(session, INT64_MAX);
}
