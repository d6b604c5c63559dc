#ifndef HUBBUB_LISTENER_H
#define HUBBUB_LISTENER_H

/*
 * listener: the sockets on which clients are taken, and the PROXY headers before what clients say.
 *
 * On a listener with `?proxy=1` a connection waits here until its header is complete, a few seconds at most.
 */

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct listeners;

struct listener_ops {
    /* True if nobody more is taken now: who comes is handed on at once, to be told. */
    bool (*full)(void *ctx);

    /* Takes the connected, non-blocking socket `fd` of a client at `address`. */
    void (*accept)(void *ctx, int fd, int dialect, long idle_seconds, const char *address);
};

/*
 * Listens where `listen` (HUBBUB_LISTEN) says.  On failure writes one line that names what is wrong and the
 * remedy into `error` and returns NULL.
 */
struct listeners *listeners_create(struct event_base *base, const char *listen,
                                   const struct listener_ops *ops, void *ctx, char *error, size_t size);

/* How many connections wait for their PROXY header. */
size_t listeners_waiting(const struct listeners *listeners);

/* Closes the sockets, those of waiting connections too, and frees.  Takes NULL. */
void listeners_destroy(struct listeners *listeners);

#endif
