/*
 * fanout: what goes to the members of a room, and when its bytes are let go.  hub.c keeps the order.
 *
 * A batch begins with the first event that a room accepts in a turn of the loop, and is handed out at the
 * turn's end, or before something that must come behind it.  It is encoded once per dialect, and the members'
 * conns write from there: the bytes are lent.  What a socket does not take a conn copies when it is flushed,
 * behind the end of the turn; so a batch is freed at the end of the next one.
 */

#include "room.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <utlist.h>

#include "event.h"

#define LINE_PREFIX_BYTES                                                          \
    16 /* and the name: dialects may put them before each line of a text; see also \
          ENVELOPE_BYTES in history.c */

/* The events of a batch in one dialect, one behind the other. */
struct encoding {
    struct evbuffer *buffer;
    const char *bytes;         /* in there */
    size_t ends[BATCH_EVENTS]; /* where each event's end */
};

/*
 * What a room has accepted in this turn and those at its head have not heard yet.  Made with the first event;
 * goes out at the end of the turn, or before something that must come behind it; freed at the end of the
 * next turn, for until then its bytes are lent.
 */
struct batch {
    struct room *room; /* NULL: it went out */
    struct batch *prev, *next;
    size_t count, size; /* size: about what will be sent */
    struct event *events[BATCH_EVENTS];
    uint64_t origins[BATCH_EVENTS];           /* number of the session here that said it, or 0 */
    struct encoding *encodings[DIALECTS_MAX]; /* NULL: not needed so far */
};

/* Encoding, once per dialect ----------------------------------------------------------------------------- */

void fanout_begin(struct hub *hub)
{
    for (int i = 0; i < DIALECTS_MAX; i++)
        if (hub->encoded[i])
            evbuffer_drain(hub->encoded[i], evbuffer_get_length(hub->encoded[i]));
}

/* Where the encoded bytes of a dialect go; empty if nothing was encoded yet. */
static struct evbuffer *encoded(struct hub *hub, int dialect)
{
    if (!hub->encoded[dialect] && !(hub->encoded[dialect] = evbuffer_new()))
        abort();
    return hub->encoded[dialect];
}

static void send_encoded(struct hub *hub, struct member *member, struct evbuffer *bytes)
{
    size_t len = evbuffer_get_length(bytes);

    if (len)
        hub->ops->send(member->owner, evbuffer_pullup(bytes, -1), len);
}

/* Members ------------------------------------------------------------------------------------------------ */

static void moved(struct member *member)
{
    if (member->waiting || member->watched)
        member->room->hub->ops->reached(member->owner, member);
}

void fanout_deliver(struct room *room, struct member *member, const struct event *event, uint64_t origin)
{
    if (event->direct ? room->hub->ops->is_for(member->owner, event)
                      : member->serial != origin || member->echo) {
        struct evbuffer *bytes = encoded(room->hub, member->dialect);

        if (evbuffer_get_length(bytes) == 0)
            dialects[member->dialect]->encode_event(event, bytes);
        send_encoded(room->hub, member, bytes);
    }
    member->position = event->id;
    moved(member);
}

void member_skip(struct member *member, event_id until)
{
    struct room *room = member->room;
    struct reply reply = {.kind = REPLY_GAP,
                          .verb = VERBS,
                          .room = *room->chain == 'r' ? hub_room_name(room) : NULL,
                          .after = member->position,
                          .until = until};
    struct evbuffer *bytes = encoded(room->hub, member->dialect);

    fanout_begin(room->hub);
    dialects[member->dialect]->encode_reply(&reply, bytes);
    send_encoded(room->hub, member, bytes);
    member->robbed = true;
    member->position = until;
    moved(member);
}

/* Batches ------------------------------------------------------------------------------------------------ */

static struct encoding *batch_encode(struct batch *batch, int dialect)
{
    struct encoding *encoding = batch->encodings[dialect];

    if (encoding)
        return encoding;
    encoding = batch->encodings[dialect] = malloc(sizeof *encoding);
    if (!encoding || !(encoding->buffer = evbuffer_new()))
        abort();
    for (size_t i = 0; i < batch->count; i++) {
        dialects[dialect]->encode_event(batch->events[i], encoding->buffer);
        encoding->ends[i] = evbuffer_get_length(encoding->buffer);
    }
    encoding->bytes = (const char *)evbuffer_pullup(encoding->buffer, -1);
    return encoding;
}

/* True if event `i` of the batch is to be handed to the member. */
static bool hears(const struct member *member, const struct batch *batch, size_t i)
{
    const struct event *event = batch->events[i];

    if (event->id <= member->position) /* it entered behind that */
        return false;
    if (event->direct)
        return batch->room->hub->ops->is_for(member->owner, event);
    return batch->origins[i] != member->serial || member->echo;
}

/* In pieces, between which lies what it does not hear: its own, whose acks go between them, too.  With an ack
 * the member may leave. */
static void hand_batch(struct member *member, struct batch *batch)
{
    struct hub *hub = batch->room->hub;
    const struct encoding *encoding = batch_encode(batch, member->dialect);

    hub->handed = member;
    for (size_t i = 0; i < batch->count && hub->handed;) {
        size_t first = i, start = first > 0 ? encoding->ends[first - 1] : 0;

        while (i < batch->count && hears(member, batch, i))
            i++;
        if (i > first)
            hub->ops->lend(member->owner, encoding->bytes + start, encoding->ends[i - 1] - start);
        while (i < batch->count && !hears(member, batch, i))
            i++;
        member->position = batch->events[i - 1]->id;
        moved(member);
    }
}

void fanout_send(struct room *room)
{
    struct batch *batch = room->batch;
    struct member *member, *next;

    if (!batch)
        return;
    DL_FOREACH_SAFE (room->head, member, next) {
        if (!room->hub->ops->ready(member->owner))
            member_set_behind(member, true);
        else if (member->position < batch->events[batch->count - 1]->id)
            hand_batch(member, batch);
    }
    room->batch = NULL;
    batch->room = NULL;
}

void fanout_add(struct room *room, struct event *event)
{
    struct hub *hub = room->hub;
    struct batch *batch = room->batch;

    if (batch && (batch->count == BATCH_EVENTS || batch->size > BATCH_BYTES)) {
        fanout_send(room);
        batch = NULL;
    }
    if (!batch) {
        batch = malloc(sizeof *batch);
        if (!batch)
            abort();
        batch->room = room;
        batch->count = batch->size = 0;
        memset(batch->encodings, 0, sizeof batch->encodings);
        room->batch = batch;
        DL_APPEND(hub->batches, batch);
    }
    batch->origins[batch->count] = hub->ops->serial_of(hub->ctx, event->session);
    batch->events[batch->count++] = event_hold(event);
    batch->size += event->size + text_lines(event->text) * (strlen(event->from) + LINE_PREFIX_BYTES);
}

static void batch_destroy(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        event_drop(batch->events[i]);
    for (int i = 0; i < DIALECTS_MAX; i++) {
        if (batch->encodings[i])
            evbuffer_free(batch->encodings[i]->buffer);
        free(batch->encodings[i]);
    }
    free(batch);
}

static void forget_batches(struct batch **list)
{
    struct batch *batch;

    while ((batch = *list)) {
        DL_DELETE(*list, batch);
        batch_destroy(batch);
    }
}

/* For hub.c ---------------------------------------------------------------------------------------------- */

void fanout_notice(struct room *room, const struct notice *notice, uint64_t origin)
{
    struct hub *hub = room->hub;
    struct member *lists[2], *member;

    fanout_send(room); /* with which members may leave */
    lists[0] = room->head;
    lists[1] = room->behind;
    fanout_begin(hub);
    for (int i = 0; i < 2; i++) {
        DL_FOREACH (lists[i], member) {
            struct evbuffer *bytes = encoded(hub, member->dialect);

            if (member->serial == origin || !hub->ops->ready(member->owner))
                continue;
            if (evbuffer_get_length(bytes) == 0)
                dialects[member->dialect]->encode_notice(notice, bytes);
            send_encoded(hub, member, bytes);
        }
    }
}

void fanout_end_turn(struct hub *hub)
{
    struct batch *batch;

    forget_batches(&hub->lent);
    while ((batch = hub->batches)) {
        DL_DELETE(hub->batches, batch);
        DL_APPEND(hub->lent, batch);
        if (batch->room)
            fanout_send(batch->room);
    }
}

void fanout_forget_room(struct room *room)
{
    if (room->batch)
        room->batch->room = NULL;
}

void fanout_finish(struct hub *hub)
{
    forget_batches(&hub->batches);
    forget_batches(&hub->lent);
    for (int i = 0; i < DIALECTS_MAX; i++)
        if (hub->encoded[i])
            evbuffer_free(hub->encoded[i]);
}
