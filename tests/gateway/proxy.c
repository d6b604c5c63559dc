#include "proxy.h"

#include "unit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <utlist.h>

struct pair {
    struct proxy *proxy;
    enum line line;
    struct bufferevent *ends[WAYS]; /* what comes from ends[way] goes that way; ends[TO_REDIS] is the bus */
    bool abandoned;
    struct pair *prev, *next;
};

struct proxy {
    struct event_base *base;
    struct evconnlistener *listener;
    unsigned connections;
    bool held[LINES][WAYS];
    struct pair *pairs;
};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void pair_destroy(struct pair *pair)
{
    DL_DELETE(pair->proxy->pairs, pair);
    for (int way = 0; way < WAYS; way++)
        if (pair->ends[way])
            bufferevent_free(pair->ends[way]);
    free(pair);
}

static void pump(struct pair *pair, enum way way)
{
    struct bufferevent *from = pair->ends[way], *to = pair->ends[!way];

    if (from && to && !pair->proxy->held[pair->line][way])
        bufferevent_write_buffer(to, bufferevent_get_input(from));
}

static void on_read(struct bufferevent *end, void *arg)
{
    struct pair *pair = arg;

    pump(pair, end == pair->ends[TO_REDIS] ? TO_REDIS : FROM_REDIS);
}

static void on_event(struct bufferevent *end, short what, void *arg)
{
    struct pair *pair = arg;

    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) || pair->abandoned)
        return;
    pair_destroy(pair);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len,
                      void *arg)
{
    struct proxy *proxy = arg;
    struct pair *pair = calloc(1, sizeof *pair);
    const char *port = getenv("TEST_REDIS_PORT");
    struct sockaddr_in address = loopback(port ? atoi(port) : 0);

    assert_non_null(pair);
    pair->proxy = proxy;
    pair->line = proxy->connections++ % LINES;
    pair->ends[TO_REDIS] = bufferevent_socket_new(proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
    pair->ends[FROM_REDIS] = bufferevent_socket_new(proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
    DL_APPEND(proxy->pairs, pair);
    for (int way = 0; way < WAYS; way++) {
        assert_non_null(pair->ends[way]);
        bufferevent_setcb(pair->ends[way], on_read, NULL, on_event, pair);
        bufferevent_enable(pair->ends[way], EV_READ | EV_WRITE);
    }
    bufferevent_socket_connect(pair->ends[FROM_REDIS], (struct sockaddr *)&address, sizeof address);
}

struct proxy *proxy_create(struct event_base *base)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    struct sockaddr_in address = loopback(0);

    assert_non_null(proxy);
    proxy->base = base;
    proxy->listener =
        evconnlistener_new_bind(base, on_accept, proxy, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
                                (struct sockaddr *)&address, sizeof address);
    assert_non_null(proxy->listener);
    return proxy;
}

void proxy_destroy(struct proxy *proxy)
{
    proxy_cut(proxy);
    evconnlistener_free(proxy->listener);
    free(proxy);
}

int proxy_port(const struct proxy *proxy)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;

    assert_int_equal(getsockname(evconnlistener_get_fd(proxy->listener), (struct sockaddr *)&address, &len),
                     0);
    return ntohs(address.sin_port);
}

void proxy_hold(struct proxy *proxy, enum line line, enum way way, bool held)
{
    struct pair *pair;

    proxy->held[line][way] = held;
    DL_FOREACH (proxy->pairs, pair)
        if (pair->line == line && !pair->abandoned)
            pump(pair, way);
}

void proxy_cut(struct proxy *proxy)
{
    while (proxy->pairs)
        pair_destroy(proxy->pairs);
}

void proxy_abandon(struct proxy *proxy)
{
    struct pair *pair;

    DL_FOREACH (proxy->pairs, pair) {
        if (pair->abandoned)
            continue;
        pair->abandoned = true;
        /* What was held moves to where it waits, without being sent. */
        bufferevent_disable(pair->ends[FROM_REDIS], EV_WRITE);
        bufferevent_write_buffer(pair->ends[FROM_REDIS], bufferevent_get_input(pair->ends[TO_REDIS]));
        bufferevent_free(pair->ends[TO_REDIS]);
        pair->ends[TO_REDIS] = NULL;
    }
}

void proxy_haunt(struct proxy *proxy)
{
    struct pair *pair;

    DL_FOREACH (proxy->pairs, pair)
        if (pair->abandoned)
            bufferevent_enable(pair->ends[FROM_REDIS], EV_WRITE);
}

unsigned proxy_connections(const struct proxy *proxy)
{
    return proxy->connections;
}
