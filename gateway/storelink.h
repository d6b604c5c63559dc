#ifndef HUBBUB_STORELINK_H
#define HUBBUB_STORELINK_H

/*
 * storelink: what the gateway asks a store; docs/REQUESTS.md has the bytes.
 *
 * There is one connection at a time, to any of the stores.  When it breaks, or a request is not answered in
 * time, all that is under way is answered with nothing at once, and another store is tried.
 *
 *     down --> connecting --> greeting --> up
 *       ^          |              |         |
 *       +----------+--------------+---------+   refused, lost, 5 s without an answer
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct event_base;
struct evdns_base;
struct settings;
struct storelink;

/* The answer to what was asked with `token`, borrowed: an object with "ok", or with "error" and its code.
 * NULL: there is none; whether the store has done it is not known. */
typedef void storelink_fn(void *ctx, uint64_t token, const json_t *answer);

/* NULL: no memory. */
struct storelink *storelink_create(struct event_base *base, struct evdns_base *dns,
                                   const struct settings *settings);

/* Frees it; what is under way hears nothing.  Takes NULL. */
void storelink_destroy(struct storelink *storelink);

/* Starts to connect; does nothing if no store is set. */
void storelink_start(struct storelink *storelink);

bool storelink_is_up(const struct storelink *storelink);

/*
 * Asks `request` (an object without "id"; the reference is taken), which is answered within 5 s, but never
 * before this returns.  False: there is no store now, or too much waits for it; `answered` hears nothing.
 */
bool storelink_ask(struct storelink *storelink, json_t *request, storelink_fn *answered, void *ctx,
                   uint64_t token);

#endif
