#ifndef HUBBUB_METRICS_H
#define HUBBUB_METRICS_H

/*
 * metrics: what the outside may know of this gateway, over HTTP.
 *
 *     /healthz   200 while the loop turns
 *     /readyz    200 while log-ins and chats are accepted, else 503
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct metrics;

/* Says whether the gateway is ready, and if not, why. */
typedef bool metrics_ready_fn(void *ctx, const char **why);

/* Listens at `address` (HUBBUB_HTTP_LISTEN).  On failure writes one line into `error` and returns NULL. */
struct metrics *metrics_create(struct event_base *base, const char *address, metrics_ready_fn *ready,
                               void *ctx, char *error, size_t size);
void metrics_destroy(struct metrics *metrics);

#endif
