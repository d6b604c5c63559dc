#include "link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>

#include "wire.h"

#ifndef LINK_OPEN_SECONDS
#define LINK_OPEN_SECONDS 10
#endif
#ifndef LINK_ADDRESS_SECONDS
#define LINK_ADDRESS_SECONDS 3 /* then the next address is tried, if there is one */
#endif
#ifndef LINK_RESOLV_CONF
#define LINK_RESOLV_CONF "/etc/resolv.conf"
#endif
#define WHY_MAX_BYTES 512
#define NO_ANSWER "The server does not answer."

#define LINK_UNSENT_MAX (1024 * 1024) /* a server that leaves more unread is given up */

struct link {
    struct event_base *base;
    struct evdns_base *dns;
    const struct link_ops *ops;
    void *ctx;
    char *host, *port;
    struct evdns_getaddrinfo_request *lookup;   /* NULL: none is under way */
    struct evutil_addrinfo *found, *next_found; /* all addresses; the next that is tried */
    struct bufferevent *stream;                 /* NULL: no connection, nor is one being made */
    struct event *failing;                      /* tells, when it is time to, `why` nothing was opened */
    const char *why;
};

void link_close(struct link *link)
{
    if (link->lookup)
        evdns_getaddrinfo_cancel(link->lookup);
    link->lookup = NULL;
    if (link->found)
        evutil_freeaddrinfo(link->found);
    link->found = link->next_found = NULL;
    if (link->stream) {
        struct evbuffer *output = bufferevent_get_output(link->stream);

        evbuffer_unfreeze(output,
                          1); /* else only the bufferevent itself may take from it, which has no more turns */
        evbuffer_write(output, bufferevent_getfd(link->stream));
        bufferevent_free(link->stream);
    }
    link->stream = NULL;
    evtimer_del(link->failing);
}

static void lose(struct link *link, const char *why)
{
    link_close(link);
    link->ops->lost(link->ctx, why);
}

static void on_failing(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;
    char why[WHY_MAX_BYTES];

    snprintf(why, sizeof why, strchr(link->host, ':') ? "[%s]:%s: %s" : "%s:%s: %s", link->host, link->port,
             link->why);
    lose(link, why);
}

/* Tells `why` after so many seconds, if the link is not open by then. */
static void fail_in(struct link *link, int seconds, const char *why)
{
    link->why = why;
    evtimer_add(link->failing, &(struct timeval){.tv_sec = seconds});
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct link *link = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    char *line;
    size_t len;

    while ((line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF))) {
        link->ops->line(link->ctx, line, len);
        free(line);
        if (link->stream != stream)
            return;
    }
    if (evbuffer_get_length(input) > WIRE_LINE_MAX)
        lose(link, "The server sends a line that is too long.");
}

static void try_next(struct link *link, const char *why);

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct link *link = arg;
    int on = 1;

    if (what & BEV_EVENT_CONNECTED) {
        setsockopt(bufferevent_getfd(stream), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        evutil_freeaddrinfo(link->found);
        link->found = link->next_found = NULL;
        evtimer_del(link->failing);
        bufferevent_set_timeouts(stream, NULL, NULL);
        link->ops->opened(link->ctx);
    } else if (what & BEV_EVENT_TIMEOUT) {
        try_next(link, link->why);
    } else if (link->found) {
        try_next(link, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    } else if ((what & BEV_EVENT_EOF) || EVUTIL_SOCKET_ERROR() == ECONNRESET ||
               EVUTIL_SOCKET_ERROR() == EPIPE) {
        /* Which of these it is depends on what was under way, and means nothing to a person. */
        lose(link, "The server has closed the connection.");
    } else {
        lose(link, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    }
}

/* Connects to the next address; `why`: the one before would not do. */
static void try_next(struct link *link, const char *why)
{
    const struct evutil_addrinfo *address = link->next_found;

    if (link->stream)
        bufferevent_free(link->stream);
    link->stream = NULL;
    if (!address) {
        fail_in(link, 0, why);
        return;
    }
    link->next_found = address->ai_next;
    link->stream = bufferevent_socket_new(link->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!link->stream)
        abort();
    bufferevent_setcb(link->stream, on_read, NULL, on_event, link);
    bufferevent_setwatermark(link->stream, EV_READ, 0, WIRE_LINE_MAX + 1);
    bufferevent_enable(link->stream, EV_READ | EV_WRITE);
    if (link->next_found)
        bufferevent_set_timeouts(link->stream, NULL, &(struct timeval){.tv_sec = LINK_ADDRESS_SECONDS});
    /* A failure that is known at once (no route, no IPv6) does not come through on_event. */
    if (bufferevent_socket_connect(link->stream, address->ai_addr, (int)address->ai_addrlen) != 0)
        try_next(link, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

static void on_found(int error, struct evutil_addrinfo *found, void *arg)
{
    struct link *link = arg;

    if (error == EVUTIL_EAI_CANCEL) /* by link_close(), and `link` may be gone */
        return;
    link->lookup = NULL;
    link->found = link->next_found = found;
    link->why = NO_ANSWER;
    if (error)
        fail_in(link, 0,
                error == EVUTIL_EAI_NONAME ? "There is no host of that name." : evutil_gai_strerror(error));
    else
        try_next(link, NULL);
}

/* Who has carried the machine elsewhere has other name servers there. */
static void find_name_servers(struct evdns_base *dns)
{
    evdns_base_clear_nameservers_and_suspend(dns);
    evdns_base_resolv_conf_parse(dns, DNS_OPTION_NAMESERVERS | DNS_OPTION_SEARCH | DNS_OPTION_MISC,
                                 LINK_RESOLV_CONF);
    evdns_base_resume(dns);
}

void link_open(struct link *link)
{
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *lookup;

    link_close(link);
    find_name_servers(link->dns);
    fail_in(link, LINK_OPEN_SECONDS, "No name server answers.");
    lookup = evdns_getaddrinfo(link->dns, link->host, link->port, &hints, on_found, link);
    if (lookup) /* else on_found was called already */
        link->lookup = lookup;
}

void link_send(struct link *link, const char *bytes, size_t len)
{
    if (!link->stream)
        return;
    if (evbuffer_get_length(bufferevent_get_output(link->stream)) + len > LINK_UNSENT_MAX)
        fail_in(link, 0, "The server does not read.");
    else
        bufferevent_write(link->stream, bytes, len);
}

/* Libevent would print what it thinks of name servers, into a conversation, or behind the line of a script
 * that says why. */
static void say_nothing(int severity, const char *message)
{
}

static struct evdns_base *create_dns(struct event_base *base)
{
    struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);

    if (dns)
        evdns_base_load_hosts(dns, "/etc/hosts"); /* which does without a name server */
    return dns;
}

struct link *link_create(struct event_base *base, const char *host, const char *port,
                         const struct link_ops *ops, void *ctx)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    event_set_log_callback(say_nothing);
    link->base = base;
    link->ops = ops;
    link->ctx = ctx;
    link->host = strdup(host);
    link->port = strdup(port);
    link->failing = evtimer_new(base, on_failing, link);
    link->dns = create_dns(base);
    if (!link->host || !link->port || !link->failing || !link->dns) {
        link_destroy(link);
        return NULL;
    }
    return link;
}

void link_destroy(struct link *link)
{
    if (!link)
        return;
    if (link->failing) {
        link_close(link);
        event_free(link->failing);
    }
    if (link->dns)
        evdns_base_free(link->dns, 0);
    free(link->host);
    free(link->port);
    free(link);
}
