#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "dialect.h"
#include "log.h"
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

struct listener {
    struct listeners *set;
    struct evconnlistener *socket;
    int dialect;
    long idle_seconds;
};

struct listeners {
    struct event_base *base;
    listener_accept_fn *accept;
    void *ctx;
    struct event *retry;
    bool exhausted; /* no descriptors were left, and nobody was accepted since: accepting pauses */
    size_t count;
    struct listener all[LISTENERS_MAX];
};

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        log_debug("setsockopt_failed", "option=%d error=%s", option, strerror(errno));
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *peer, int len,
                      void *arg)
{
    struct listener *listener = arg;
    char address[64];

    listener->set->exhausted = false;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
    if (getnameinfo(peer, (socklen_t)len, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0)
        address[0] = '\0';
    address[strcspn(address, "%")] = '\0'; /* the scope of a link-local address is no part of an inet */
    listener->set->accept(listener->set->ctx, fd, listener->dialect, listener->idle_seconds, address);
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

/* Reads "dialect://host:port?idle=60" (`len` bytes).  NULL or what would do instead. */
static const char *parse(struct listener *listener, const char *text, size_t len, char *host, size_t size,
                         unsigned short *port)
{
    const char *end = text + len, *colon = memmem(text, len, "://", 3), *query;
    char *rest;

    listener->dialect = colon ? dialect_find(text, (size_t)(colon - text)) : -1;
    if (listener->dialect < 0)
        return "begin with json:// or line://";
    query = memchr(colon, '?', (size_t)(end - colon));
    if (!address_parse(colon + 3, (size_t)((query ? query : end) - colon - 3), host, size, port))
        return "name an address and a port, as in 0.0.0.0:7000 or [::]:7000";
    listener->idle_seconds = dialects[listener->dialect]->idle_seconds;
    if (!query)
        return NULL;
    if (strncmp(query, "?idle=", 6) != 0)
        return "only ?idle=SECONDS may follow the port";
    listener->idle_seconds = strtol(query + 6, &rest, 10);
    if (rest != end || rest == query + 6 || listener->idle_seconds < 0 || listener->idle_seconds > IDLE_MAX)
        return "use ?idle= with 0 to 86400 seconds";
    return NULL;
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

struct listeners *listeners_create(struct event_base *base, const char *listen, listener_accept_fn *accept,
                                   void *ctx, char *error, size_t size)
{
    struct listeners *listeners = calloc(1, sizeof *listeners);

    if (!listeners)
        abort();
    listeners->base = base;
    listeners->accept = accept;
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
            snprintf(error, size, "HUBBUB_LISTEN with %.*s: %s", (int)len, at, wrong);
            listeners_destroy(listeners);
            return NULL;
        }
        listeners->count++;
        at += len;
        if (*at == '\0')
            return listeners;
    }
}

void listeners_destroy(struct listeners *listeners)
{
    if (!listeners)
        return;
    for (size_t i = 0; i < listeners->count; i++)
        evconnlistener_free(listeners->all[i].socket);
    event_free(listeners->retry);
    free(listeners);
}
