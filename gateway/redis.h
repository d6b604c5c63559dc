#ifndef HUBBUB_REDIS_H
#define HUBBUB_REDIS_H

/*
 * redis: one connection to a Redis server.
 *
 * hiredis parses the replies; libevent does the rest.  hiredis' own asynchronous context is not used:
 * it resolves names synchronously, runs every callback once more when it is freed, and its table of
 * subscriptions differs from release to release.  Here a callback runs only with a real reply; who loses the
 * connection knows what it had asked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct evdns_base;
struct redis_address;
struct redisReply;
struct redis;

/* Called with the reply to one command; `token` is what the command was sent with.  Borrows `reply`. */
typedef void redis_reply_fn(void *owner, uint64_t token, const struct redisReply *reply);

struct redis_ops {
    void (*connected)(void *owner);             /* commands may be sent */
    void (*lost)(void *owner, const char *why); /* it broke; redis_disconnect() was done already */
    void (*pushed)(void *owner, const struct redisReply *message); /* what no command asked for: pub/sub */
};

/* Makes a connection that is not connected.  Borrows `address` and `password` (may be "").  NULL: no memory.
 */
struct redis *redis_create(struct event_base *base, struct evdns_base *dns,
                           const struct redis_address *address, const char *password,
                           const struct redis_ops *ops, void *owner);

/* Disconnects and frees.  Takes NULL. */
void redis_destroy(struct redis *redis);

/* Starts to connect; ops->connected or ops->lost follows, the latter perhaps at once. */
void redis_connect(struct redis *redis);

/* Drops the connection and forgets all unanswered commands, without a call of ops->lost. */
void redis_disconnect(struct redis *redis);

/*
 * Queues one command for redis_flush().  With `reply` NULL no answer is expected
 * (SUBSCRIBE and UNSUBSCRIBE, whose answers are pushed).  Does nothing while not connected.
 */
void redis_send(struct redis *redis, redis_reply_fn *reply, uint64_t token, int argc, const char **argv,
                const size_t *lengths);

/* Sends what is queued, in one write; to be called at the end of each loop turn.  What a full socket does not
 * take follows by itself. */
void redis_flush(struct redis *redis);

#endif
