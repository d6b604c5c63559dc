#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>
#include <utlist.h>

#include "bus.h"
#include "dialect.h"
#include "log.h"
#include "proxy_header.h"
#include "seldom.h"
#include "settings.h"

#define BACKLOG 4096
#define LISTENERS_MAX 32
#define IDLE_MAX 86400
/* A dead peer is noticed within two minutes.  The last must be more than CONN_SLOW_SECONDS: Linux applies it
 * also to a peer that lives and does not read. */
#define KEEPALIVE_IDLE 60
#define KEEPALIVE_INTERVAL 15
#define KEEPALIVE_COUNT 4
#define USER_TIMEOUT_MS 90000
#define HEADER_SECONDS 5

struct listener {
    struct listeners *set;
    struct evconnlistener *socket;
    int dialect;
    long idle_seconds;
    bool proxy; /* who connects is a proxy, and says first for whom */
};

/*
 * A connection whose PROXY header is not complete.  Enters when it is accepted; leaves, and is freed, when
 * the header is there, wrong or late, when the peer is gone, and with the listeners.
 */
struct waiting {
    struct listener *listener;
    int fd;
    char peer[ADDRESS_MAX_BYTES];
    char *begun; /* the part of the header that has come, NULL: nothing yet, as usual */
    size_t begun_len;
    struct event *readable, *timer;
    struct waiting *prev, *next;
};

struct listeners {
    struct event_base *base;
    const struct listener_ops *ops;
    void *ctx;
    struct event *retry;
    struct waiting *waiting;
    size_t n_waiting;
    struct seldom headerless;
    bool exhausted; /* no descriptors were left, and nobody was accepted since: accepting pauses */
    size_t count;
    struct listener all[LISTENERS_MAX];
};

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        log_debug("setsockopt_failed", "option=%d error=%s", option, strerror(errno));
}

/* PROXY headers ------------------------------------------------------------------------------------------ */

/* Forgets `waiting`; its socket goes on or is closed by the caller. */
static void waiting_free(struct waiting *waiting)
{
    struct listeners *listeners = waiting->listener->set;

    DL_DELETE(listeners->waiting, waiting);
    listeners->n_waiting--;
    event_free(waiting->readable);
    event_free(waiting->timer);
    free(waiting->begun);
    free(waiting);
}

static void waiting_close(struct waiting *waiting, const char *reason)
{
    unsigned long more;
    unsigned count = seldom_count(&waiting->listener->set->headerless, monotonic_ms(), &more);
    int fd;

    log_write(count == 1 ? LOG_INFO : LOG_DEBUG, "proxy_header_refused",
              "address=%s dialect=%s reason=%s more=%lu", waiting->peer,
              dialects[waiting->listener->dialect]->name, reason, more);
    fd = waiting->fd;
    waiting_free(waiting);
    close(fd);
}

/* Looks at what has come.  What does not belong to the header stays in the socket: it is the client's. */
static void on_header(evutil_socket_t fd, short what, void *arg)
{
    struct waiting *waiting = arg;
    struct listener *listener = waiting->listener;
    char bytes[PROXY_HEADER_MAX], address[ADDRESS_MAX_BYTES];
    size_t begun = waiting->begun_len, used;
    enum proxy_header found;
    ssize_t n;

    if (begun > 0)
        memcpy(bytes, waiting->begun, begun);
    n = recv(fd, bytes + begun, sizeof bytes - begun, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        waiting_close(waiting, n == 0 ? "eof" : "gone");
        return;
    }
    found = proxy_header_read(bytes, begun + (size_t)n, &used, address);
    if (found == PROXY_HEADER_MORE)
        used = begun + (size_t)n;
    if (found == PROXY_HEADER_BAD || recv(fd, bytes + begun, used - begun, 0) != (ssize_t)(used - begun)) {
        waiting_close(waiting, "malformed");
    } else if (found == PROXY_HEADER_MORE) {
        waiting->begun = realloc(waiting->begun, used);
        if (!waiting->begun)
            abort();
        memcpy(waiting->begun, bytes, used);
        waiting->begun_len = used;
    } else {
        if (!address[0])
            strcpy(address, waiting->peer);
        waiting_free(waiting);
        listener->set->ops->accept(listener->set->ctx, fd, listener->dialect, listener->idle_seconds,
                                   address);
    }
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    waiting_close(arg, "late");
}

static void wait_for_header(struct listener *listener, int fd, const char *peer)
{
    struct waiting *waiting = calloc(1, sizeof *waiting);
    struct timeval most = {.tv_sec = HEADER_SECONDS};
    struct listeners *listeners = listener->set;

    if (!waiting)
        abort();
    waiting->listener = listener;
    waiting->fd = fd;
    strcpy(waiting->peer, peer);
    waiting->readable = event_new(listeners->base, fd, EV_READ | EV_PERSIST, on_header, waiting);
    waiting->timer = event_new(listeners->base, -1, 0, on_late, waiting);
    if (!waiting->readable || !waiting->timer)
        abort();
    event_add(waiting->readable, NULL);
    event_add(waiting->timer, &most);
    DL_APPEND(listeners->waiting, waiting);
    listeners->n_waiting++;
}

/* Accepting ---------------------------------------------------------------------------------------------- */

static void show_peer(const struct sockaddr *peer, char address[ADDRESS_MAX_BYTES])
{
    if (peer->sa_family == AF_INET6)
        address_show(AF_INET6, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, address);
    else if (peer->sa_family == AF_INET)
        address_show(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, address);
    else
        address[0] = '\0';
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *peer, int len,
                      void *arg)
{
    struct listener *listener = arg;
    struct listeners *listeners = listener->set;
    char address[ADDRESS_MAX_BYTES];

    listeners->exhausted = false;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
    show_peer(peer, address);
    if (listener->proxy && !listeners->ops->full(listeners->ctx))
        wait_for_header(listener, fd, address);
    else
        listeners->ops->accept(listeners->ctx, fd, listener->dialect, listener->idle_seconds, address);
}

static void on_error(struct evconnlistener *socket, void *arg)
{
    struct listeners *listeners = ((struct listener *)arg)->set;
    struct timeval second = {.tv_sec = 1};
    int error = EVUTIL_SOCKET_ERROR();

    if (error != EMFILE && error != ENFILE && error != ENOMEM && error != ENOBUFS)
        return;
    if (!listeners->exhausted)
        log_error("accept_paused", "error=%s remedy=%s", strerror(error),
                  "raise the limit of open files (ulimit -n)");
    listeners->exhausted = true;
    for (size_t i = 0; i < listeners->count; i++)
        evconnlistener_disable(listeners->all[i].socket);
    event_add(listeners->retry, &second);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct listeners *listeners = arg;

    for (size_t i = 0; i < listeners->count; i++)
        evconnlistener_enable(listeners->all[i].socket);
}

/* What a listener is asked to be ------------------------------------------------------------------------- */

static const char no_dialect[] = "begin with one of";

/* Reads the options behind the "?".  NULL or what would do instead. */
static const char *parse_options(struct listener *listener, const char *at, const char *end)
{
    for (; at <= end; at++) {
        size_t len = strcspn(at, "&");
        char *rest;

        if (len > (size_t)(end - at))
            len = (size_t)(end - at);
        if (len == 7 && memcmp(at, "proxy=1", len) == 0) {
            listener->proxy = true;
        } else if (len > 5 && memcmp(at, "idle=", 5) == 0) {
            listener->idle_seconds = strtol(at + 5, &rest, 10);
            if (at[5] < '0' || at[5] > '9' || rest != at + len || listener->idle_seconds > IDLE_MAX)
                return "use idle= with 0 to 86400 seconds";
        } else {
            return "only ?idle=SECONDS and ?proxy=1 may follow the port, both as in ?proxy=1&idle=60";
        }
        at += len;
    }
    return NULL;
}

/* Reads "dialect://host:port?idle=60&proxy=1" (`len` bytes).  NULL or what would do instead. */
static const char *parse(struct listener *listener, const char *text, size_t len, char *host, size_t size,
                         unsigned short *port)
{
    const char *end = text + len, *colon = memmem(text, len, "://", 3), *query;

    listener->dialect = colon ? dialect_find(text, (size_t)(colon - text)) : -1;
    if (listener->dialect < 0)
        return no_dialect;
    query = memchr(colon, '?', (size_t)(end - colon));
    if (!address_parse(colon + 3, (size_t)((query ? query : end) - colon - 3), host, size, port))
        return "name an address and a port, as in 0.0.0.0:7000 or [::]:7000";
    listener->idle_seconds = dialects[listener->dialect]->idle_seconds;
    listener->proxy = false;
    return query ? parse_options(listener, query + 1, end) : NULL;
}

/* "HUBBUB_LISTEN with http://x: begin with one of json:// line://" */
static void explain(char *error, size_t size, const char *text, size_t len, const char *wrong)
{
    size_t at = (size_t)snprintf(error, size, "HUBBUB_LISTEN with %.*s: %s", (int)len, text, wrong);

    for (int i = 0; wrong == no_dialect && i < DIALECTS_MAX && dialects[i] && at < size; i++)
        at += (size_t)snprintf(error + at, size - at, " %s://", dialects[i]->name);
}

/* Binds one socket.  NULL, or why not. */
static const char *bind_to(struct listener *listener, const char *host, unsigned short port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *info;
    char service[8];
    int error;

    snprintf(service, sizeof service, "%u", port);
    error = getaddrinfo(host, service, &hints, &info); /* at the start only, so it may wait */
    if (error)
        return gai_strerror(error);
    listener->socket =
        evconnlistener_new_bind(listener->set->base, on_accept, listener,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
                                info->ai_addr, (int)info->ai_addrlen);
    error = errno;
    freeaddrinfo(info);
    if (!listener->socket)
        return error == EADDRINUSE ? "something listens there already; use another port" : strerror(error);
    evconnlistener_set_error_cb(listener->socket, on_error);
    return NULL;
}

struct listeners *listeners_create(struct event_base *base, const char *listen,
                                   const struct listener_ops *ops, void *ctx, char *error, size_t size)
{
    struct listeners *listeners = calloc(1, sizeof *listeners);

    if (!listeners)
        abort();
    listeners->base = base;
    listeners->ops = ops;
    listeners->ctx = ctx;
    listeners->retry = event_new(base, -1, 0, on_retry, listeners);
    for (const char *at = listen;; at++) {
        struct listener *listener = &listeners->all[listeners->count];
        size_t len = strcspn(at, ",");
        char host[256];
        unsigned short port;
        const char *wrong;

        listener->set = listeners;
        wrong = listeners->count == LISTENERS_MAX ? "that is more than 32"
                                                  : parse(listener, at, len, host, sizeof host, &port);
        if (!wrong)
            wrong = bind_to(listener, host, port);
        if (wrong) {
            explain(error, size, at, len, wrong);
            listeners_destroy(listeners);
            return NULL;
        }
        listeners->count++;
        at += len;
        if (*at == '\0')
            return listeners;
    }
}

size_t listeners_waiting(const struct listeners *listeners)
{
    return listeners->n_waiting;
}

void listeners_destroy(struct listeners *listeners)
{
    if (!listeners)
        return;
    while (listeners->waiting) {
        int fd = listeners->waiting->fd;

        waiting_free(listeners->waiting);
        close(fd);
    }
    for (size_t i = 0; i < listeners->count; i++)
        evconnlistener_free(listeners->all[i].socket);
    event_free(listeners->retry);
    free(listeners);
}
