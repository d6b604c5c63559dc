#include "server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "functions.h"
#include "log.h"
#include "opening.h"
#include "quarantine.h"

#define LOOK_MS 1000
#define OVERDUE_MS 4000
#define READ_COUNT BATCH_MAX

/* What a look at a lane finds. */
struct sight {
    bool is_open, is_foreign;
    event_id trimmed, newest;
};

bool server_connect(struct server *server, const char *password)
{
    if (server->link.context)
        return true;
    if (wait_now() < server->link.backoff.due || !link_connect(&server->link, password))
        return false;
    log_info("redis_connected", "server=%s:%d", server->link.address.host, server->link.address.port);
    for (size_t i = 0; i < server->lane_count; i++)
        lane_become(server->lanes[i], LANE_UNKNOWN);
    server->was_looked_at = server->is_asked = server->told_trim = server->told_foreign = false;
    server->look_due = 0;
    server->forgotten = 0;
    return true;
}

/* Error replies at places where only a Redis that is not in order gives them. */
static bool is_trouble(struct server *server, const redisReply *reply)
{
    char why[256];

    if (!reply)
        return true;
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    snprintf(why, sizeof why, "%s", reply->str);
    link_drop(&server->link, why);
    return true;
}

static void read_sight(const struct lane *lane, const redisReply *keys, const redisReply *last,
                       struct sight *sight)
{
    *sight = (struct sight){0};
    if (keys->type == REDIS_REPLY_ARRAY && keys->elements == 2) {
        const redisReply *open = keys->element[0], *trimmed = keys->element[1];

        sight->is_open = open->type == REDIS_REPLY_STRING;
        sight->is_foreign = sight->is_open && strcmp(open->str, KEY_VERSION) != 0;
        if (trimmed->type == REDIS_REPLY_STRING &&
            !id_from_stream(trimmed->str, trimmed->len, lane->number, &sight->trimmed))
            sight->trimmed = 0;
    }
    if (last->type == REDIS_REPLY_ARRAY && last->elements == 1) {
        const redisReply *id = last->element[0]->element[0];

        if (!id_from_stream(id->str, id->len, lane->number, &sight->newest))
            sight->newest = 0;
    }
}

/* Looks at all lanes of the server in one round trip. */
static bool see(struct server *server, struct sight *sights, uint64_t *clock)
{
    struct link *link = &server->link;
    redisReply *time, *keys, *last;

    if (!link_send(link, "TIME"))
        return false;
    for (size_t i = 0; i < server->lane_count; i++) {
        unsigned n = server->lanes[i]->number;

        if (!link_send(link, "MGET " LANE_KEY_FORMAT ":open " LANE_KEY_FORMAT ":trimmed", n, n) ||
            !link_send(link, "XREVRANGE " LANE_KEY_FORMAT ":log + - COUNT 1", n))
            return false;
    }
    time = link_receive(link);
    if (is_trouble(server, time) || time->elements != 2) {
        freeReplyObject(time);
        return false;
    }
    *clock =
        strtoull(time->element[0]->str, NULL, 10) * 1000 + strtoull(time->element[1]->str, NULL, 10) / 1000;
    freeReplyObject(time);
    for (size_t i = 0; i < server->lane_count && link->context; i++) {
        keys = link_receive(link);
        last = keys ? link_receive(link) : NULL;
        if (!is_trouble(server, keys) && !is_trouble(server, last))
            read_sight(server->lanes[i], keys, last, &sights[i]);
        freeReplyObject(keys);
        freeReplyObject(last);
    }
    return link->context != NULL;
}

/* Begins a lane at its first entry; what was trimmed before it was stored is a hole. */
static void start(struct history *history, struct lane *lane, event_id cursor, event_id trimmed)
{
    lane_start(lane, cursor);
    if (trimmed <= cursor)
        return;
    log_error("hole", "lane=%u stored=%llu trimmed=%llu", lane->number, (unsigned long long)cursor,
              (unsigned long long)trimmed);
    if (quarantine_hole(history->database, lane->number, cursor, trimmed) != ANSWER_OK)
        database_close(history->database);
}

/* Brings one lane into the state that it should have. */
static void settle(struct server *server, struct history *history, struct lane *lane,
                   const struct sight *sight, const event_id cursors[LANES])
{
    event_id cursor = cursors[lane->number];

    if (sight->is_foreign) {
        if (!server->told_foreign)
            log_error("foreign_keys", "lane=%u known=%s remedy=%s", lane->number, KEY_VERSION,
                      "another version of hubbub uses this Redis; run its store");
        server->told_foreign = true;
        lane_become(lane, LANE_FOREIGN);
        return;
    }
    if (!sight->is_open) {
        lane_become(lane, LANE_CLOSED);
        if (opening_make(history, &server->link, lane) == OPENING_DONE)
            start(history, lane, cursor, 0);
        return;
    }
    if (lane->state == LANE_ACTIVE)
        return;
    if (lane->state == LANE_STANDBY) {
        if (!lane_is_deserted(lane, cursor, sight->newest, wait_now()))
            return;
        log_info("takeover", "lane=%u", lane->number);
    }
    start(history, lane, cursor, sight->trimmed);
}

/* Trims one lane up to `id`; a Redis that refuses is told of once, and goes on being read. */
static bool trim_to(struct server *server, struct lane *lane, event_id id)
{
    char stream[ID_TEXT_MAX];
    redisReply *reply;
    bool done;

    reply = link_call(&server->link, "FCALL %s 1 " LANE_KEY_FORMAT " %s", FUNCTION("trim"), lane->number,
                      id_to_stream(id, stream));
    if (!reply)
        return false;
    done = reply->type != REDIS_REPLY_ERROR;
    if (done) {
        lane_trimmed(lane, id);
    } else if (strncmp(reply->str, "READONLY", 8) == 0) {
        link_drop(&server->link, reply->str);
    } else if (strstr(reply->str, "unction not found")) {
        link_load_functions(&server->link);
    } else if (!server->told_trim) {
        log_warn("trim_refused", "lane=%u error=%s", lane->number, reply->str);
        server->told_trim = true;
    }
    freeReplyObject(reply);
    return done;
}

static void trim(struct server *server, struct lane *lane, uint64_t clock)
{
    event_id id;

    if (lane->state == LANE_ACTIVE && lane_trim_point(lane, clock, &id))
        trim_to(server, lane, id);
}

/* Takes out of a lane's log what is stored up to `until`.  True if nothing is left up to there. */
static bool forget_in(struct server *server, struct lane *lane, event_id until, event_id cursor)
{
    char stream[ID_TEXT_MAX];
    redisReply *reply;
    bool done;

    if (lane->state != LANE_ACTIVE && lane->state != LANE_STANDBY)
        return false;
    if (cursor > 0 && !trim_to(server, lane, cursor < until ? cursor : until))
        return false;
    reply = link_call(&server->link, "XRANGE " LANE_KEY_FORMAT ":log - %s COUNT 1", lane->number,
                      id_to_stream(until, stream));
    done = !is_trouble(server, reply) && reply->type == REDIS_REPLY_ARRAY && reply->elements == 0;
    freeReplyObject(reply);
    return done;
}

/* Empties the logs up to `forget`.  The cursors are PostgreSQL's: another store may ingest the lanes. */
static void forget(struct server *server, struct history *history)
{
    event_id cursors[LANES] = {0};
    bool done = true;

    if (server->forget <= server->forgotten)
        return;
    if (history_cursors(history, cursors) != ANSWER_OK) {
        database_close(history->database);
        return;
    }
    for (size_t i = 0; i < server->lane_count && done; i++)
        done = forget_in(server, server->lanes[i], server->forget, cursors[server->lanes[i]->number]);
    if (done)
        server->forgotten = server->forget;
}

void server_look(struct server *server, struct history *history)
{
    struct sight sights[LANES] = {0};
    event_id cursors[LANES] = {0};
    uint64_t clock;
    bool all_active = true;

    server->look_due = wait_now() + LOOK_MS;
    if (!see(server, sights, &clock))
        return;
    backoff_clear(&server->link.backoff);
    for (size_t i = 0; i < server->lane_count; i++)
        all_active &= server->lanes[i]->state == LANE_ACTIVE && sights[i].is_open;
    if (!all_active && history_cursors(history, cursors) != ANSWER_OK)
        database_close(history->database);
    for (size_t i = 0; i < server->lane_count; i++) {
        if (!server->link.context || !database_is_up(history->database) || wait_stopping())
            return;
        settle(server, history, server->lanes[i], &sights[i], cursors);
        trim(server, server->lanes[i], clock);
    }
    forget(server, history);
    server->was_looked_at = true;
}

/*
 * Asks for what comes after what was read.  `block`: how many milliseconds Redis may wait for something; 0:
 * it does not.  The command is built by hand, because it has as many arguments as there are active lanes.
 */
static void ask(struct server *server, int64_t block)
{
    char numbers[2][24], keys[LANES][32];
    const char *argv[6 + 2 * LANES] = {"XREAD", "COUNT", numbers[0]};
    int argc = 3;
    size_t active = 0;

    for (size_t i = 0; i < server->lane_count; i++)
        if (server->lanes[i]->state == LANE_ACTIVE)
            snprintf(keys[active++], sizeof keys[0], LANE_KEY_FORMAT ":log", server->lanes[i]->number);
    if (active == 0)
        return;
    snprintf(numbers[0], sizeof numbers[0], "%d", READ_COUNT);
    if (block > 0) {
        snprintf(numbers[1], sizeof numbers[1], "%" PRId64, block);
        argv[argc++] = "BLOCK";
        argv[argc++] = numbers[1];
    }
    argv[argc++] = "STREAMS";
    for (size_t i = 0; i < active; i++)
        argv[argc++] = keys[i];
    for (size_t i = 0; i < server->lane_count; i++) {
        if (server->lanes[i]->state != LANE_ACTIVE)
            continue;
        strcpy(server->lanes[i]->asked, server->lanes[i]->read);
        argv[argc++] = server->lanes[i]->asked;
    }
    if (redisAppendCommandArgv(server->link.context, argc, argv, NULL) != REDIS_OK) {
        link_drop(&server->link, server->link.context->errstr);
        return;
    }
    server->is_asked = link_flush(&server->link);
    server->asked_until = wait_now() + block + OVERDUE_MS;
}

void server_ask(struct server *server)
{
    int64_t block = server->look_due - wait_now();

    ask(server, block < 1 ? 1 : block);
}

static struct lane *find_lane(struct server *server, const char *key)
{
    char name[32];

    for (size_t i = 0; i < server->lane_count; i++) {
        snprintf(name, sizeof name, LANE_KEY_FORMAT ":log", server->lanes[i]->number);
        if (strcmp(key, name) == 0)
            return server->lanes[i];
    }
    return NULL;
}

/* Entries that were read of one lane. */
struct stretch {
    struct lane *lane;
    redisReply *const *entries;
    size_t n;
};

/*
 * Receives what was asked for.  The lanes of which something came, and count as read now, are in `stretches`;
 * *full: of one there may be more at once.  NULL: nothing came.  The caller frees it.
 */
static redisReply *receive(struct server *server, struct stretch stretches[LANES], size_t *n, bool *full)
{
    redisReply *reply = link_receive(&server->link);

    *n = 0;
    *full = server->is_asked = false;
    if (is_trouble(server, reply) || reply->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        return NULL;
    }
    for (size_t i = 0; i < reply->elements && *n < LANES; i++) {
        struct lane *lane = find_lane(server, reply->element[i]->element[0]->str);
        const redisReply *entries = reply->element[i]->element[1];

        if (!lane || lane->state != LANE_ACTIVE || strcmp(lane->asked, lane->read) != 0 ||
            entries->elements == 0)
            continue;
        *full |= entries->elements == READ_COUNT;
        stretches[(*n)++] =
            (struct stretch){.lane = lane, .entries = entries->element, .n = entries->elements};
        snprintf(lane->read, sizeof lane->read, "%s",
                 entries->element[entries->elements - 1]->element[0]->str);
    }
    return reply;
}

/* One batch is under way while the other is read; the entries of one are too large for the stack. */
struct flow {
    struct history *history;
    struct batch batches[2];
    struct batch *under_way; /* NULL: none */
};

static void note_stored(const struct part *part)
{
    const char *last = part->entries[part->n - 1].raw->element[0]->str;

    for (size_t i = 0; i < part->n; i++)
        if (part->entries[i].has_id)
            lane_remember(part->lane, part->entries[i].id);
    snprintf(part->lane->stored, sizeof part->lane->stored, "%s", last);
}

/*
 * Waits for the batch that is under way, if there is one, which is `landed` then and to be finished by the
 * caller; else NULL.  False if the database was lost.
 */
static bool land(struct flow *flow, struct batch **landed)
{
    struct batch *batch = *landed = flow->under_way;
    enum fate fate;

    if (!batch)
        return true;
    flow->under_way = NULL;
    fate = batch_end(batch);
    if (fate == FATE_STORED)
        note_stored(&batch->part);
    if (fate == FATE_MOVED) {
        log_info("standby", "lane=%u", batch->part.lane->number);
        lane_become(batch->part.lane, LANE_STANDBY);
    }
    return fate != FATE_LOST;
}

/* Stores a stretch, in batches that are not too large, the last of which stays under way. */
static bool store(struct flow *flow, const struct stretch *stretch)
{
    bool good = true;

    for (size_t first = 0; first < stretch->n && good && stretch->lane->state == LANE_ACTIVE;) {
        struct batch *batch = &flow->batches[flow->under_way == &flow->batches[0]], *landed;

        batch_init(batch, flow->history, stretch->lane, stretch->entries + first, stretch->n - first);
        first += batch->part.n;
        good = land(flow, &landed);
        if (good && stretch->lane->state == LANE_ACTIVE) { /* no other store has taken it over */
            batch_begin(batch);
            flow->under_way = batch;
        } else {
            batch_finish(batch);
        }
        if (landed) /* only now: PostgreSQL need not wait for it */
            batch_finish(landed);
    }
    return good;
}

/*
 * While there is more at once, the next answer is asked for before this one is stored: so Redis, PostgreSQL
 * and the store work at the same time.  It ends for the next look at the lanes, with nothing under way.
 */
void server_take(struct server *server, struct history *history)
{
    static struct flow flow;
    struct stretch stretches[LANES];
    struct batch *last;
    redisReply *reply;
    size_t n;
    bool full, good = true;

    flow.history = history;
    while (good && !wait_stopping() && (reply = receive(server, stretches, &n, &full)) != NULL) {
        if (full && wait_now() < server->look_due)
            ask(server, 0);
        for (size_t i = 0; i < n && good && !wait_stopping(); i++)
            good = store(&flow, &stretches[i]);
        if (flow.under_way && !flow.under_way->spent)
            flow.under_way->spent = reply; /* freed when the last batch that borrows from it has landed */
        else
            freeReplyObject(reply);
        if (!server->is_asked)
            break;
    }
    good &= land(&flow, &last);
    if (last)
        batch_finish(last);
    for (size_t i = 0; i < server->lane_count && !good; i++)
        lane_rewind(server->lanes[i]);
}

void server_resume(struct server *server, const event_id cursors[LANES])
{
    for (size_t i = 0; i < server->lane_count; i++)
        lane_resume(server->lanes[i], cursors[server->lanes[i]->number]);
}
