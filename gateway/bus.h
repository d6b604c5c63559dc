#ifndef HUBBUB_BUS_H
#define HUBBUB_BUS_H

/*
 * bus: the gateway's links to Redis.
 *
 * Each Redis server has two connections: one for commands, one for subscriptions.  They live and die
 * together.  A new pair takes the next link number and begins with open_link, which closes all earlier links
 * of this incarnation and tells which of their publishes arrived; so the fate of every publish becomes known,
 * however a link ended.
 *
 *     down --> connecting --> opening --> open (lanes are up once the first beat came back)
 *       ^          |             |          |
 *       +----------+-------------+----------+   lost, 5 s without an answer, READONLY, FENCED, CLOSED in
 * mid-life
 *
 * FENCED says that the incarnation is known no more (reaped, wiped, failed over): then the gateway takes a
 * new one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

struct bus;
struct event_base;
struct evdns_base;
struct redisReply;
struct settings;

#define INCARNATION_MAX_BYTES 48
#define PUBLISHES_MAX 4096 /* unanswered in a lane */

enum bus_result { BUS_OK, BUS_UNAVAILABLE };

struct bus_ops {
    /* A publish was decided.  With BUS_OK it is in the log under `id`. */
    void (*published)(void *ctx, uint64_t token, enum bus_result result, event_id id);
    /* A lane that was full can take publishes again. */
    void (*roomy)(void *ctx, unsigned lane);
    void (*lane_up)(void *ctx, unsigned lane);
    void (*lane_down)(void *ctx, unsigned lane);
    /* The gateway goes by a new incarnation; lanes are down and will come up. */
    void (*reincarnated)(void *ctx);
    /* A subscription was confirmed, for the first time or anew. */
    void (*subscribed)(void *ctx, const char *channel);
    /* Something was published on a channel, the gateway's own included. */
    void (*message)(void *ctx, const char *channel, const char *payload, size_t len);
    /* A beat of lane 0 was answered: incarnations and counts, in turn. */
    void (*beats)(void *ctx, const struct redisReply *counts);
};

/* What became of a call. */
enum bus_status {
    BUS_ANSWERED, /* `reply` is the answer */
    BUS_REFUSED,  /* Redis did not execute it (full, read-only, loading, ...); nothing changed */
    BUS_LOST,     /* nobody knows, or the link was fenced off: ask again when the lane is up */
};

/* The answer to bus_call or bus_read.  `reply` is NULL unless BUS_ANSWERED. */
typedef void bus_reply_fn(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply);

/* NULL: no memory. */
struct bus *bus_create(struct event_base *base, struct evdns_base *dns, const struct settings *settings,
                       const struct bus_ops *ops, void *ctx);
void bus_destroy(struct bus *bus);

/* Starts to connect. */
void bus_start(struct bus *bus);

/* This gateway is about to leave for good: it beats no more, and takes no new incarnation when Redis has
 * forgotten this one. */
void bus_retire(struct bus *bus);

/* To be called at the end of each loop turn: sends what was asked in it. */
void bus_end_turn(struct bus *bus);

/* Who this gateway is now. */
const char *bus_incarnation(const struct bus *bus);

/* True while open_link has answered and the beat came back. */
bool bus_lane_is_up(const struct bus *bus, unsigned lane);
bool bus_is_up(const struct bus *bus); /* all lanes */

/* True while PUBLISHES_MAX publishes are unanswered in the lane: then bus_publish must not be called. */
bool bus_lane_is_full(const struct bus *bus, unsigned lane);

/* Where chains that Redis does not know start; as of the last open_link. */
event_id bus_floor(const struct bus *bus, unsigned lane);

/* The highest id seen in the lane; bus_saw tells of one more. */
event_id bus_seen(const struct bus *bus, unsigned lane);
void bus_saw(struct bus *bus, event_id id);

/*
 * Publishes `body` as the next event of `chain`, whose lane is `lane`; ops->published follows.  `digest` is
 * that of the client's ref, or "". False: the lane is not up, nothing was done.
 */
bool bus_publish(struct bus *bus, unsigned lane, const char *chain, const char *digest, const char *body,
                 uint64_t token);

/* The answer to bus_find_ref: the id that was given to what had the ref, 0 if there was nothing.  `known` is
 * false if that is not to be had. */
typedef void bus_ref_fn(void *ctx, uint64_t token, bool known, event_id id);

/* Asks which event of the lane was published with the ref of this digest.  False: the lane is closed to us
 * now, `found` hears nothing. */
bool bus_find_ref(struct bus *bus, unsigned lane, const char *digest, bus_ref_fn *found, void *ctx,
                  uint64_t token);

/* Subscribes to or leaves a room's channel. */
void bus_subscribe(struct bus *bus, unsigned lane, const char *channel);
void bus_unsubscribe(struct bus *bus, const char *channel);

/* True if the subscription was confirmed on the connection that is there now. */
bool bus_is_subscribed(const struct bus *bus, const char *channel);

/*
 * Calls a function that changes something (FUNCTION("claim"), ...); the lane's key, incarnation and link are
 * put before `argv`.  False if the lane is closed to us now: nothing was sent, `reply` hears nothing.
 */
bool bus_call(struct bus *bus, unsigned lane, const char *function, int argc, const char **argv,
              bus_reply_fn *reply, void *ctx, uint64_t token);

/* Sends a command that only reads to the lane's server.  As above. */
bool bus_read(struct bus *bus, unsigned lane, int argc, const char **argv, bus_reply_fn *reply, void *ctx,
              uint64_t token);

/* The first element of a function's answer, "" if it has none. */
const char *bus_answer(const struct redisReply *reply);

/* Milliseconds of a clock that only goes forward. */
uint64_t monotonic_ms(void);

#endif
