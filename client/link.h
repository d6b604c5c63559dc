#ifndef HUBBUB_CLIENT_LINK_H
#define HUBBUB_CLIENT_LINK_H

/*
 * link: a TCP connection that brings lines.  One at a time; names are looked up without waiting, and of the
 * addresses of a name each is tried.  Nothing is called back from within a call of this.  The program ignores
 * SIGPIPE.
 */

#include <stddef.h>

struct event_base;
struct link;

struct link_ops {
    void (*opened)(void *ctx);
    /* The connection could not be made (`why` begins with the address then), or has ended; `why` is for a
     * person.  Comes once; not after link_close. */
    void (*lost)(void *ctx, const char *why);
    void (*line)(void *ctx, const char *line, size_t len); /* without its LF; may close the link */
};

/* NULL: no memory.  `host` and `port` are copied. */
struct link *link_create(struct event_base *base, const char *host, const char *port,
                         const struct link_ops *ops, void *ctx);

/* Takes NULL.  The loop must not run any more: libevent 2.1 would touch what is gone of a look-up that was
 * cancelled. */
void link_destroy(struct link *link);

void link_open(struct link *link);  /* gives up after 10 s */
void link_close(struct link *link); /* what was sent still goes out, as far as the kernel takes it */
/* If the server leaves too much unread the connection is lost, and nothing more is sent on it. */
void link_send(struct link *link, const char *bytes, size_t len);

#endif
