#ifndef HUBBUB_LISTENER_H
#define HUBBUB_LISTENER_H

/*
 * listener: the sockets on which clients are taken.
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct listeners;

/* Takes the connected, non-blocking socket `fd` of a client at `address`. */
typedef void listener_accept_fn(void *ctx, int fd, int dialect, long idle_seconds, const char *address);

/*
 * Listens where `listen` (HUBBUB_LISTEN) says.  On failure writes one line that names what is wrong and the
 * remedy into `error` and returns NULL.
 */
struct listeners *listeners_create(struct event_base *base, const char *listen, listener_accept_fn *accept,
                                   void *ctx, char *error, size_t size);

/* Closes the sockets and frees.  Takes NULL. */
void listeners_destroy(struct listeners *listeners);

#endif
