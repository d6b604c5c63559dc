#include "bus.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <sodium.h>
#include <uthash.h>
#include <utlist.h>

#include "functions.h"
#include "log.h"
#include "redis.h"
#include "settings.h"

#define TICK_MS 250
#define BEAT_MS 2000
#define PATIENCE_MS 5000 /* a connect, open_link or beat that takes longer drops the links */
#define CLOSED_MS 500    /* how often a closed lane is tried */
#define RETRY_MAX_MS 3000
#define REFUSED_MS 10000 /* how often it is said that Redis refuses to write */
#define ARGS_MAX 24
#define SUBSCRIBE_BATCH 500

enum server_state { SERVER_DOWN, SERVER_CONNECTING, SERVER_OPENING, SERVER_OPEN };

static const char *const state_names[] = {"down", "connecting", "opening", "open"};

/* One publish without an answer; its place is seq % PUBLISHES_MAX. */
struct publish {
    uint64_t seq, token;
    bool waiting;
};

struct lane {
    unsigned number;
    char key[LANE_KEY_MAX];
    struct server *server;
    bool open;     /* open_link answered OK on this link */
    bool was_open; /* under its server's incarnation */
    bool up;
    uint64_t seq; /* of the last publish */
    unsigned unanswered;
    bool full; /* bus_lane_is_full() was true since ops->roomy */
    event_id floor, seen;
    struct publish publishes[PUBLISHES_MAX];
};

/* One call without an answer; enters when sent, leaves with its reply or the link. */
struct call {
    bus_reply_fn *reply;
    bus_ref_fn *found; /* instead of reply: the answer is an id of `lane` */
    unsigned lane;
    void *ctx;
    uint64_t token;
    struct call *prev, *next;
};

struct server {
    struct bus *bus;
    unsigned number;
    enum server_state state;
    struct redis *commands, *messages;
    bool commands_ready, messages_ready, listening; /* listening: our own channel is subscribed */
    char incarnation[INCARNATION_MAX_BYTES];        /* under which the link is opened */
    unsigned long link;
    char link_text[24];
    unsigned awaited;  /* answers to open_link */
    bool fenced;       /* one of them was FENCED */
    uint64_t deadline; /* of the state, or of the beat that is out; 0: none */
    uint64_t retry_at, retry_ms, beat_at, closed_at;
    bool beating;        /* a beat came back on this link */
    bool complained;     /* about this episode */
    uint64_t refused_at; /* when it was said last that it refuses to write; 0: never */
    struct call *calls;
};

/* A room's channel that is wanted. */
struct subscription {
    UT_hash_handle hh;
    uint8_t lane;
    bool confirmed; /* on the connection that is there now */
    char channel[];
};

struct bus {
    struct event_base *base;
    struct event *tick;
    const struct bus_ops *ops;
    void *ctx;
    char gateway[64], incarnation[INCARNATION_MAX_BYTES], own_channel[INCARNATION_MAX_BYTES + 16];
    struct redis_address addresses[REDIS_SERVERS_MAX];
    struct server servers[REDIS_SERVERS_MAX];
    size_t n_servers;
    bool retiring;
    struct lane lanes[LANES];
    struct subscription *subscriptions;
};

uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const char *bus_answer(const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->str)
        return reply->element[0]->str;
    return "";
}

static const char *text_at(const struct redisReply *reply, size_t i)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements && reply->element[i]->str
               ? reply->element[i]->str
               : "";
}

static bool id_at(const struct redisReply *reply, size_t i, unsigned lane, event_id *id)
{
    const char *text = text_at(reply, i);

    return id_from_stream(text, strlen(text), lane, id);
}

/* Incarnations ------------------------------------------------------------------------------------------- */

static void take_incarnation(struct bus *bus)
{
    snprintf(bus->incarnation, sizeof bus->incarnation, "%.32s-%08x", bus->gateway, randombytes_random());
    snprintf(bus->own_channel, sizeof bus->own_channel, "hubbub:gateway:%s", bus->incarnation);
}

/* Lanes -------------------------------------------------------------------------------------------------- */

static void judge_lane(struct lane *lane)
{
    struct bus *bus = lane->server->bus;
    bool up = lane->open && lane->server->beating && lane->server->state == SERVER_OPEN;

    if (up == lane->up)
        return;
    lane->up = up;
    if (up)
        bus->ops->lane_up(bus->ctx, lane->number);
    else
        bus->ops->lane_down(bus->ctx, lane->number);
}

static void judge_lanes(struct server *server)
{
    struct bus *bus = server->bus;

    for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers)
        judge_lane(&bus->lanes[i]);
}

static void decide(struct lane *lane, struct publish *publish, enum bus_result result, event_id id)
{
    struct bus *bus = lane->server->bus;

    publish->waiting = false;
    lane->unanswered--;
    if (result == BUS_OK && id > lane->seen)
        lane->seen = id;
    bus->ops->published(bus->ctx, publish->token, result, id);
    if (lane->full && lane->unanswered < PUBLISHES_MAX / 2) {
        lane->full = false;
        bus->ops->roomy(bus->ctx, lane->number);
    }
}

/* Decides the publishes of earlier links: those that `sent` ("seq id", ...) lists are in the log, the others
 * not. */
static void settle(struct lane *lane, const struct redisReply *sent)
{
    for (size_t i = 0; sent && i < sent->elements; i++) {
        const char *text = sent->element[i]->str, *space = text ? strchr(text, ' ') : NULL;
        struct publish *publish;
        uint64_t seq;
        event_id id;

        if (!space || !id_from_stream(space + 1, strlen(space + 1), lane->number, &id))
            continue;
        seq = strtoull(text, NULL, 10);
        publish = &lane->publishes[seq % PUBLISHES_MAX];
        if (publish->waiting && publish->seq == seq)
            decide(lane, publish, BUS_OK, id);
    }
    for (uint64_t seq = lane->seq < PUBLISHES_MAX ? 1 : lane->seq - PUBLISHES_MAX + 1;
         lane->unanswered > 0 && seq <= lane->seq; seq++) {
        struct publish *publish = &lane->publishes[seq % PUBLISHES_MAX];

        if (publish->waiting)
            decide(lane, publish, BUS_UNAVAILABLE, 0);
    }
}

/* Servers ------------------------------------------------------------------------------------------------ */

static void set_state(struct server *server, enum server_state state)
{
    log_debug("server_state", "server=%u from=%s to=%s", server->number, state_names[server->state],
              state_names[state]);
    server->state = state;
    server->deadline =
        state == SERVER_CONNECTING || state == SERVER_OPENING ? monotonic_ms() + PATIENCE_MS : 0;
}

/* Hands the answer on, and frees `call`. */
static void answer_call(struct call *call, enum bus_status status, const struct redisReply *reply)
{
    event_id id = 0;

    if (call->found) {
        if (reply && reply->type == REDIS_REPLY_STRING &&
            !id_from_stream(reply->str, reply->len, call->lane, &id))
            id = 0;
        call->found(call->ctx, call->token, status == BUS_ANSWERED, id);
    } else {
        call->reply(call->ctx, call->token, status, reply);
    }
    free(call);
}

/* Drops both links; what was unanswered is lost (calls) or decided by the next open_link (publishes). */
static void drop(struct server *server, const char *why)
{
    struct bus *bus = server->bus;
    struct call *calls = server->calls, *call;
    struct subscription *subscription, *next;

    if (server->state == SERVER_DOWN)
        return;
    if (!server->complained) {
        const struct redis_address *address = &bus->addresses[server->number];

        log_warn("redis_lost", "server=%u address=%s:%u reason=%s", server->number, address->host,
                 address->port, why);
        server->complained = true;
    }
    redis_disconnect(server->commands);
    redis_disconnect(server->messages);
    set_state(server, SERVER_DOWN);
    server->commands_ready = server->messages_ready = server->listening = server->beating = false;
    for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers)
        bus->lanes[i].open = false;
    HASH_ITER (hh, bus->subscriptions, subscription, next)
        if (subscription->lane % bus->n_servers == server->number)
            subscription->confirmed = false;
    server->retry_at =
        monotonic_ms() + server->retry_ms / 2 + randombytes_uniform((uint32_t)server->retry_ms / 2);
    server->retry_ms = server->retry_ms * 2 < RETRY_MAX_MS ? server->retry_ms * 2 : RETRY_MAX_MS;
    server->calls = NULL;
    judge_lanes(server);
    while ((call = calls)) {
        DL_DELETE(calls, call);
        answer_call(call, BUS_LOST, NULL);
    }
}

/* It is full, read-only, ...: clients hear "unavailable", whoever runs it reads this. */
static void complain_refused(struct server *server, const char *error)
{
    uint64_t now = monotonic_ms();

    if (server->refused_at && now - server->refused_at < REFUSED_MS)
        return;
    server->refused_at = now;
    log_error("redis_refused", "server=%u error=%s", server->number, error);
}

static void send_command(struct redis *redis, redis_reply_fn *reply, uint64_t token, int argc,
                         const char **argv)
{
    redis_send(redis, reply, token, argc, argv, NULL);
}

static void send_open_link(struct server *server, struct lane *lane);

static void open_links(struct server *server, unsigned long link)
{
    struct bus *bus = server->bus;

    server->link = link;
    snprintf(server->link_text, sizeof server->link_text, "%lu", link);
    server->fenced = false;
    server->awaited = 0;
    for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers) {
        bus->lanes[i].open = false;
        send_open_link(server, &bus->lanes[i]);
    }
}

static void listen_to_own_channel(struct server *server)
{
    const char *argv[] = {"SUBSCRIBE", server->bus->own_channel};

    server->listening = false;
    send_command(server->messages, NULL, 0, 2, argv);
}

/*
 * This server knows our incarnation no more, or another one had us take a new one.  Publishes of the old one
 * were settled by the open_links just answered.
 */
static void start_anew(struct server *server)
{
    struct bus *bus = server->bus;
    const char *argv[] = {"UNSUBSCRIBE", bus->own_channel};

    if (strcmp(server->incarnation, bus->incarnation) == 0) {
        if (server->listening)
            send_command(server->messages, NULL, 0, 2, argv);
        take_incarnation(bus);
        log_info("incarnation", "incarnation=%s", bus->incarnation);
        bus->ops->reincarnated(bus->ctx);
        for (size_t i = 0; i < bus->n_servers; i++)
            if (&bus->servers[i] != server)
                drop(&bus->servers[i], "new incarnation");
        listen_to_own_channel(server);
    }
    strcpy(server->incarnation, bus->incarnation);
    for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers)
        bus->lanes[i].was_open = false;
    open_links(server, 1);
}

static void send_beat(struct server *server);

static void links_opened(struct server *server)
{
    struct bus *bus = server->bus;

    if (server->fenced && bus->retiring) {
        drop(server, "retired");
        return;
    }
    if (server->fenced || strcmp(server->incarnation, bus->incarnation) != 0) {
        for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers)
            settle(&bus->lanes[i], NULL); /* of lanes that are closed: their data is gone */
        start_anew(server);
        return;
    }
    set_state(server, SERVER_OPEN);
    server->closed_at = monotonic_ms() + CLOSED_MS;
    if (server->listening)
        send_beat(server);
    else
        server->deadline = monotonic_ms() + PATIENCE_MS; /* of the subscription that beats need */
}

/* Takes note of the floor and the newest id that open_link tells. */
static void learn_ids(struct lane *lane, const struct redisReply *reply)
{
    event_id top;

    if (!id_at(reply, 1, lane->number, &lane->floor) || !id_at(reply, 2, lane->number, &top))
        return;
    if (top < lane->seen) /* its file was cut off, or it was a replica that had not got everything */
        log_warn("tail_forgotten", "lane=%u newest=%llu seen=%llu", lane->number, (unsigned long long)top,
                 (unsigned long long)lane->seen);
    else
        lane->seen = top;
}

static void on_open_link(void *owner, uint64_t token, const struct redisReply *reply)
{
    struct server *server = owner;
    struct lane *lane = &server->bus->lanes[token];
    const char *word = bus_answer(reply);

    if (reply->type == REDIS_REPLY_ERROR) {
        drop(server, reply->str);
        return;
    }
    if (strcmp(word, "CLOSED") != 0) {
        learn_ids(lane, reply);
        settle(lane, reply->elements > 3 ? reply->element[3] : NULL);
        lane->open = lane->was_open = strcmp(word, "OK") == 0;
        if (!lane->open)
            server->fenced = true;
    }
    if (server->state == SERVER_OPEN) { /* a closed lane that was tried again */
        if (server->fenced)
            drop(server, "fenced");
        else if (lane->open && !server->beating && server->listening)
            send_beat(server);
        else
            judge_lane(lane);
        return;
    }
    if (--server->awaited == 0)
        links_opened(server);
}

static void send_open_link(struct server *server, struct lane *lane)
{
    const char *argv[] = {"FCALL",   FUNCTION("open_link"), "1",
                          lane->key, server->incarnation,   server->link_text};

    server->awaited++;
    send_command(server->commands, on_open_link, lane->number, 6, argv);
}

/* Beats -------------------------------------------------------------------------------------------------- */

static void on_beat(void *owner, uint64_t token, const struct redisReply *reply)
{
    struct server *server = owner;
    struct bus *bus = server->bus;
    const char *word = bus_answer(reply);

    if (reply->type == REDIS_REPLY_ERROR) {
        drop(server, reply->str);
    } else if (strcmp(word, "CLOSED") == 0 && !bus->lanes[server->number].open) {
        server->deadline = 0; /* not opened yet: nothing is wrong with the link */
    } else if (strcmp(word, "OK") != 0) {
        drop(server, word);
    } else if (server->number == 0 && reply->elements > 2) {
        bus->ops->beats(bus->ctx, reply->element[2]);
    }
}

static void send_beat(struct server *server)
{
    const char *argv[] = {
        "FCALL",          FUNCTION("beat"), "1", server->bus->lanes[server->number].key, server->incarnation,
        server->link_text};

    server->beat_at = monotonic_ms() + BEAT_MS;
    if (server->bus->retiring)
        return;
    if (!server->deadline)
        server->deadline = monotonic_ms() + PATIENCE_MS;
    send_command(server->commands, on_beat, 0, 6, argv);
}

static void beat_came_back(struct server *server)
{
    if (server->state != SERVER_OPEN)
        return;
    server->deadline = 0;
    if (server->beating)
        return;
    server->beating = true;
    server->retry_ms = TICK_MS;
    if (server->complained)
        log_info("redis_back", "server=%u", server->number);
    server->complained = false;
    judge_lanes(server);
}

/* Connections -------------------------------------------------------------------------------------------- */

static void subscribe_many(struct server *server)
{
    struct bus *bus = server->bus;
    const char *argv[SUBSCRIBE_BATCH + 1] = {"SUBSCRIBE"};
    int argc = 1;
    struct subscription *subscription, *next;

    HASH_ITER (hh, bus->subscriptions, subscription, next) {
        if (subscription->lane % bus->n_servers != server->number && server->number != 0)
            continue;
        argv[argc++] = subscription->channel;
        if (argc == SUBSCRIBE_BATCH + 1) {
            send_command(server->messages, NULL, 0, argc, argv);
            argc = 1;
        }
    }
    if (argc > 1)
        send_command(server->messages, NULL, 0, argc, argv);
}

static void on_library(void *owner, uint64_t token, const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR && !strstr(reply->str, "already exists"))
        log_write(((struct server *)owner)->complained ? LOG_DEBUG : LOG_WARN, "functions_not_loaded",
                  "error=%s", reply->str); /* they may be there; open_link will tell */
}

static void both_connected(struct server *server)
{
    const char *argv[] = {"FUNCTION", "LOAD", FUNCTIONS_LUA};

    set_state(server, SERVER_OPENING);
    listen_to_own_channel(server);
    subscribe_many(server);
    send_command(server->commands, on_library, 0, 3, argv);
    if (!server->incarnation[0])
        strcpy(server->incarnation, server->bus->incarnation);
    /* A number is only used up by a link that some lane knows of. */
    bool was_open = false;
    for (unsigned i = server->number; i < LANES; i += (unsigned)server->bus->n_servers)
        was_open |= server->bus->lanes[i].was_open;
    open_links(server, was_open ? server->link + 1 : 1);
}

static void on_commands_connected(void *owner)
{
    struct server *server = owner;

    server->commands_ready = true;
    if (server->messages_ready)
        both_connected(server);
}

static void on_messages_connected(void *owner)
{
    struct server *server = owner;

    server->messages_ready = true;
    if (server->commands_ready)
        both_connected(server);
}

static void on_lost(void *owner, const char *why)
{
    drop(owner, why);
}

static void on_own_message(struct server *server, const char *payload, size_t len)
{
    struct bus *bus = server->bus;

    if (strncmp(payload, "beat ", 5) == 0)
        beat_came_back(server);
    else
        bus->ops->message(bus->ctx, bus->own_channel, payload, len);
}

static void on_pushed(void *owner, const struct redisReply *reply)
{
    struct server *server = owner;
    struct bus *bus = server->bus;
    struct subscription *subscription;
    const char *kind = text_at(reply, 0), *channel = text_at(reply, 1);

    if (reply->type == REDIS_REPLY_ERROR) {
        drop(server, reply->str);
        return;
    }
    HASH_FIND_STR(bus->subscriptions, channel, subscription);
    if (strcmp(kind, "message") == 0 && reply->elements == 3 && reply->element[2]->str) {
        if (strcmp(channel, bus->own_channel) == 0)
            on_own_message(server, reply->element[2]->str, reply->element[2]->len);
        else if (subscription)
            bus->ops->message(bus->ctx, channel, reply->element[2]->str, reply->element[2]->len);
    } else if (strcmp(kind, "subscribe") == 0) {
        if (strcmp(channel, bus->own_channel) == 0) {
            server->listening = true;
            if (server->state == SERVER_OPEN) {
                server->deadline = 0;
                send_beat(server);
            }
        } else if (subscription && subscription->lane % bus->n_servers == server->number) {
            subscription->confirmed = true;
            bus->ops->subscribed(bus->ctx, channel);
        }
    }
}

static const struct redis_ops commands_ops = {on_commands_connected, on_lost, on_pushed};
static const struct redis_ops messages_ops = {on_messages_connected, on_lost, on_pushed};

static void try_closed_lanes(struct server *server, uint64_t now)
{
    struct bus *bus = server->bus;

    if (now < server->closed_at)
        return;
    server->closed_at = now + CLOSED_MS;
    for (unsigned i = server->number; i < LANES; i += (unsigned)bus->n_servers)
        if (!bus->lanes[i].open)
            send_open_link(server, &bus->lanes[i]);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct bus *bus = arg;
    uint64_t now = monotonic_ms();

    for (size_t i = 0; i < bus->n_servers; i++) {
        struct server *server = &bus->servers[i];

        if (server->state == SERVER_DOWN && now >= server->retry_at) {
            set_state(server, SERVER_CONNECTING);
            redis_connect(server->commands);
            if (server->state == SERVER_CONNECTING)
                redis_connect(server->messages);
        } else if (server->deadline && now >= server->deadline) {
            drop(server, "no answer for 5 s");
        } else if (server->state == SERVER_OPEN) {
            try_closed_lanes(server, now);
            if (server->listening && now >= server->beat_at)
                send_beat(server);
        }
    }
}

/* The interface ------------------------------------------------------------------------------------------ */

struct bus *bus_create(struct event_base *base, struct evdns_base *dns, const struct settings *settings,
                       const struct bus_ops *ops, void *ctx)
{
    struct bus *bus = calloc(1, sizeof *bus);
    size_t n;

    if (!bus)
        return NULL;
    bus->base = base;
    bus->ops = ops;
    bus->ctx = ctx;
    snprintf(bus->gateway, sizeof bus->gateway, "%s", settings->gateway);
    n = redis_addresses(settings->redis_url, bus->addresses);
    assert(n > 0); /* the settings were checked */
    bus->n_servers = n;
    take_incarnation(bus);
    bus->tick = event_new(base, -1, EV_PERSIST, on_tick, bus);
    for (size_t i = 0; i < n; i++) {
        struct server *server = &bus->servers[i];

        server->bus = bus;
        server->number = (unsigned)i;
        server->retry_ms = TICK_MS;
        server->commands =
            redis_create(base, dns, &bus->addresses[i], settings->redis_password, &commands_ops, server);
        server->messages =
            redis_create(base, dns, &bus->addresses[i], settings->redis_password, &messages_ops, server);
        if (!server->commands || !server->messages)
            goto bad;
    }
    for (unsigned i = 0; i < LANES; i++) {
        bus->lanes[i].number = i;
        snprintf(bus->lanes[i].key, sizeof bus->lanes[i].key, LANE_KEY_FORMAT, i);
        bus->lanes[i].server = &bus->servers[i % n];
    }
    if (bus->tick)
        return bus;
bad:
    bus_destroy(bus);
    return NULL;
}

void bus_destroy(struct bus *bus)
{
    struct subscription *subscription, *next;

    if (!bus)
        return;
    for (size_t i = 0; i < bus->n_servers; i++) {
        struct call *call, *after;

        redis_destroy(bus->servers[i].commands);
        redis_destroy(bus->servers[i].messages);
        DL_FOREACH_SAFE (bus->servers[i].calls, call, after)
            free(call);
    }
    HASH_ITER (hh, bus->subscriptions, subscription, next) {
        HASH_DEL(bus->subscriptions, subscription);
        free(subscription);
    }
    if (bus->tick)
        event_free(bus->tick);
    free(bus);
}

void bus_start(struct bus *bus)
{
    struct timeval interval = {.tv_usec = TICK_MS * 1000};

    log_info("incarnation", "incarnation=%s", bus->incarnation);
    event_add(bus->tick, &interval);
    event_active(bus->tick, EV_TIMEOUT, 0);
}

void bus_end_turn(struct bus *bus)
{
    for (size_t i = 0; i < bus->n_servers; i++) {
        redis_flush(bus->servers[i].commands);
        redis_flush(bus->servers[i].messages);
    }
}

void bus_retire(struct bus *bus)
{
    bus->retiring = true;
}

const char *bus_incarnation(const struct bus *bus)
{
    return bus->incarnation;
}

bool bus_lane_is_up(const struct bus *bus, unsigned lane)
{
    return bus->lanes[lane].up;
}

bool bus_is_up(const struct bus *bus)
{
    for (unsigned i = 0; i < LANES; i++)
        if (!bus->lanes[i].up)
            return false;
    return true;
}

bool bus_lane_is_full(const struct bus *bus, unsigned lane)
{
    return bus->lanes[lane].unanswered >= PUBLISHES_MAX;
}

event_id bus_floor(const struct bus *bus, unsigned lane)
{
    return bus->lanes[lane].floor;
}

event_id bus_seen(const struct bus *bus, unsigned lane)
{
    return bus->lanes[lane].seen;
}

void bus_saw(struct bus *bus, event_id id)
{
    struct lane *lane = &bus->lanes[id_lane(id) % LANES];

    if (id > lane->seen)
        lane->seen = id;
}

static void on_published(void *owner, uint64_t token, const struct redisReply *reply)
{
    struct server *server = owner;
    struct lane *lane = &server->bus->lanes[token % LANES];
    struct publish *publish = &lane->publishes[token / LANES % PUBLISHES_MAX];
    const char *word = bus_answer(reply);
    event_id id;

    if ((strcmp(word, "OK") == 0 || strcmp(word, "AGAIN") == 0) && id_at(reply, 1, lane->number, &id)) {
        decide(lane, publish, BUS_OK, id);
        return;
    }
    decide(lane, publish, BUS_UNAVAILABLE, 0);
    if (reply->type == REDIS_REPLY_ERROR) {
        complain_refused(server, reply->str);
        if (strncmp(reply->str, "READONLY", 8) == 0)
            drop(server, reply->str);
    } else if (strcmp(word, "FENCED") == 0 || strcmp(word, "CLOSED") == 0) {
        drop(server, word);
    }
}

bool bus_publish(struct bus *bus, unsigned lane_number, const char *chain, const char *digest,
                 const char *body, uint64_t token)
{
    struct lane *lane = &bus->lanes[lane_number];
    char seq[24], seen[ID_TEXT_MAX], clock[24];
    const char *argv[] = {"FCALL",
                          FUNCTION("publish"),
                          "1",
                          lane->key,
                          lane->server->incarnation,
                          lane->server->link_text,
                          seq,
                          seen,
                          clock,
                          chain,
                          digest,
                          body};

    if (!lane->up)
        return false;
    lane->seq++;
    lane->publishes[lane->seq % PUBLISHES_MAX] = (struct publish){lane->seq, token, true};
    if (++lane->unanswered == PUBLISHES_MAX)
        lane->full = true;
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)lane->seq);
    snprintf(clock, sizeof clock, "%llu", (unsigned long long)clock_ms());
    id_to_stream(lane->seen, seen);
    send_command(lane->server->commands, on_published, lane->seq * LANES + lane_number, 12, argv);
    return true;
}

void bus_subscribe(struct bus *bus, unsigned lane, const char *channel)
{
    struct subscription *subscription;
    const char *argv[] = {"SUBSCRIBE", channel};
    size_t len = strlen(channel);

    HASH_FIND(hh, bus->subscriptions, channel, len, subscription);
    if (!subscription) {
        subscription = malloc(offsetof(struct subscription, channel) + len + 1);
        if (!subscription)
            abort();
        subscription->lane = (uint8_t)lane;
        memcpy(subscription->channel, channel, len + 1);
        HASH_ADD(hh, bus->subscriptions, channel, len, subscription);
    }
    /* Sent also for one that is there: its confirmation is asked for again. */
    subscription->confirmed = false;
    send_command(bus->servers[lane % bus->n_servers].messages, NULL, 0, 2, argv);
    if (lane % bus->n_servers != 0)
        send_command(bus->servers[0].messages, NULL, 0, 2, argv); /* notices are published there */
}

bool bus_is_subscribed(const struct bus *bus, const char *channel)
{
    struct subscription *subscription;

    HASH_FIND_STR(bus->subscriptions, channel, subscription);
    return subscription && subscription->confirmed;
}

void bus_unsubscribe(struct bus *bus, const char *channel)
{
    struct subscription *subscription;
    const char *argv[] = {"UNSUBSCRIBE", channel};

    HASH_FIND_STR(bus->subscriptions, channel, subscription);
    if (!subscription)
        return;
    send_command(bus->servers[subscription->lane % bus->n_servers].messages, NULL, 0, 2, argv);
    if (subscription->lane % bus->n_servers != 0)
        send_command(bus->servers[0].messages, NULL, 0, 2, argv);
    HASH_DEL(bus->subscriptions, subscription);
    free(subscription);
}

static void on_call(void *owner, uint64_t token, const struct redisReply *reply)
{
    struct server *server = owner;
    struct call *call = server->calls; /* answers come in the order of the questions */
    const char *word = bus_answer(reply);
    enum bus_status status = BUS_ANSWERED;
    bool fenced = strcmp(word, "FENCED") == 0 || strcmp(word, "CLOSED") == 0;
    bool read_only = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "READONLY", 8) == 0;

    if (fenced || read_only)
        status = BUS_LOST;
    else if (reply->type == REDIS_REPLY_ERROR)
        status = BUS_REFUSED;
    if (status == BUS_REFUSED)
        complain_refused(server, reply->str);
    DL_DELETE(server->calls, call);
    answer_call(call, status, status == BUS_ANSWERED ? reply : NULL);
    if (fenced || read_only)
        drop(server, fenced ? word : reply->str);
}

/* Sends a command whose answer goes to a copy of `call`. */
static bool send_call(struct bus *bus, unsigned lane, int argc, const char **argv, const struct call *call)
{
    struct server *server = bus->lanes[lane].server;
    struct call *copy;

    if (!bus->lanes[lane].open || server->state != SERVER_OPEN)
        return false;
    copy = malloc(sizeof *copy);
    if (!copy)
        return false;
    *copy = *call;
    DL_APPEND(server->calls, copy);
    send_command(server->commands, on_call, 0, argc, argv);
    return true;
}

bool bus_read(struct bus *bus, unsigned lane, int argc, const char **argv, bus_reply_fn *reply, void *ctx,
              uint64_t token)
{
    return send_call(bus, lane, argc, argv, &(struct call){.reply = reply, .ctx = ctx, .token = token});
}

bool bus_find_ref(struct bus *bus, unsigned lane, const char *digest, bus_ref_fn *found, void *ctx,
                  uint64_t token)
{
    char key[LANE_KEY_MAX + 64];
    const char *argv[] = {"GET", key};

    snprintf(key, sizeof key, "%s:ref:%s", bus->lanes[lane].key, digest);
    return send_call(bus, lane, 2, argv,
                     &(struct call){.found = found, .lane = lane, .ctx = ctx, .token = token});
}

bool bus_call(struct bus *bus, unsigned lane, const char *function, int argc, const char **argv,
              bus_reply_fn *reply, void *ctx, uint64_t token)
{
    struct server *server = bus->lanes[lane].server;
    const char *all[ARGS_MAX] = {"FCALL",          function, "1", bus->lanes[lane].key, server->incarnation,
                                 server->link_text};

    for (int i = 0; i < argc; i++)
        all[6 + i] = argv[i];
    return bus_read(bus, lane, 6 + argc, all, reply, ctx, token);
}
