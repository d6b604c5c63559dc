#ifndef HUBBUB_STORELINK_H
#define HUBBUB_STORELINK_H

/*
 * storelink: what the gateway asks a store; docs/REQUESTS.md has the bytes.
 *
 * There is one connection at a time, to any of the stores.  When it breaks, or a request is not answered in
 * time, another store is tried; what is under way is answered with nothing at once, but for what is patient:
 * that is asked again.
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

/* Each kind has a share of what may be under way, so that neither a crowd that logs in, nor what was read and
 * is not stored yet, holds up the past. */
enum storelink_kind { STORELINK_PASSWORD, STORELINK_PAGE, STORELINK_READ, STORELINK_KINDS };

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
bool storelink_ask(struct storelink *storelink, enum storelink_kind kind, json_t *request,
                   storelink_fn *answered, void *ctx, uint64_t token);

/*
 * The same for a page that must not be missed: the answer is one with "ok", and may take as long as stores
 * answer at all; NULL once none has for 5 s.  False: there are no stores, or too much waits.
 */
bool storelink_ask_patiently(struct storelink *storelink, json_t *request, storelink_fn *answered, void *ctx,
                             uint64_t token);

#endif
