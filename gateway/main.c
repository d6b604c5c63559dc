/*
 * hubbub-gateway: takes chat clients over TCP, publishes what they say to Redis and fans out what comes back.
 *
 * This file knows the order of start and stop, and which module hears what the bus says.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <sodium.h>

#include "bus.h"
#include "conn.h"
#include "hub.h"
#include "listener.h"
#include "log.h"
#include "metrics.h"
#include "presence.h"
#include "session.h"
#include "settings.h"
#include "storelink.h"

struct gateway {
    struct settings settings;
    struct event_base *base;
    struct evdns_base *dns;
    struct event *on_term, *on_int, *drain_timer;
    struct bus *bus;
    struct storelink *storelink;
    struct hub *hub;
    struct presence *presence;
    struct conns *conns;
    struct sessions sessions;
    struct listeners *listeners;
    struct metrics *metrics;
    enum { RUNNING, DRAINING, RETIRING, FLUSHING, DONE } stage;
};

/* What the bus says -------------------------------------------------------------------------------------- */

static void on_published(void *ctx, uint64_t token, enum bus_result result, event_id id)
{
    struct gateway *gateway = ctx;

    sessions_published(&gateway->sessions, token, result == BUS_OK, id);
}

static void on_roomy(void *ctx, unsigned lane)
{
    struct gateway *gateway = ctx;

    sessions_roomy(&gateway->sessions, lane);
}

static void on_lane_up(void *ctx, unsigned lane)
{
    struct gateway *gateway = ctx;

    log_debug("lane_up", "lane=%u", lane);
    if (bus_is_up(gateway->bus) && gateway->stage == RUNNING)
        log_info("ready", "gateway=%s", gateway->settings.gateway);
    if (lane == 0)
        presence_lane_up(gateway->presence);
    hub_lane_up(gateway->hub, lane);
}

static void on_lane_down(void *ctx, unsigned lane)
{
    struct gateway *gateway = ctx;

    log_debug("lane_down", "lane=%u", lane);
    if (lane == 0)
        presence_lane_down(gateway->presence);
    hub_lane_down(gateway->hub, lane);
    sessions_roomy(&gateway->sessions, lane); /* chats that waited for room are refused now */
}

static void on_reincarnated(void *ctx)
{
    struct gateway *gateway = ctx;

    presence_reincarnated(gateway->presence);
}

static void on_subscribed(void *ctx, const char *channel)
{
    struct gateway *gateway = ctx;

    hub_subscribed(gateway->hub, channel);
}

static void on_message(void *ctx, const char *channel, const char *payload, size_t len)
{
    struct gateway *gateway = ctx;

    if (strncmp(channel, "hubbub:gateway:", 15) == 0)
        presence_message(gateway->presence, payload);
    else
        hub_message(gateway->hub, channel, payload, len);
}

static void on_beats(void *ctx, const struct redisReply *counts)
{
    struct gateway *gateway = ctx;

    presence_beats(gateway->presence, counts);
}

static const struct bus_ops bus_ops = {on_published,    on_roomy,      on_lane_up, on_lane_down,
                                       on_reincarnated, on_subscribed, on_message, on_beats};

/* Start and stop ----------------------------------------------------------------------------------------- */

static void on_client(void *ctx, int fd, int dialect, long idle_seconds, const char *address)
{
    struct gateway *gateway = ctx;

    sessions_accept(&gateway->sessions, fd, dialect, idle_seconds, address,
                    listeners_waiting(gateway->listeners));
}

static bool on_full(void *ctx)
{
    struct gateway *gateway = ctx;

    return sessions_full(&gateway->sessions, listeners_waiting(gateway->listeners));
}

static const struct listener_ops listener_ops = {on_full, on_client};

static bool is_ready(void *ctx, const char **why)
{
    struct gateway *gateway = ctx;

    if (gateway->stage != RUNNING)
        *why = "shutting down";
    else if (!bus_is_up(gateway->bus))
        *why = "Redis is not up";
    else
        return true;
    return false;
}

/*
 * The end, in stages: everybody is logged out and told (DRAINING), this gateway leaves the list of gateways
 * (RETIRING), what was said last leaves the buffers (FLUSHING).
 */
static void drain_further(struct gateway *gateway)
{
    if (gateway->stage == DRAINING && sessions_count(&gateway->sessions) == 0 &&
        presence_unanswered(gateway->presence) == 0) {
        gateway->stage = RETIRING;
        bus_retire(gateway->bus);
        presence_retire(gateway->presence);
    }
    if (gateway->stage == RETIRING && presence_unanswered(gateway->presence) == 0)
        gateway->stage = FLUSHING;
    if (gateway->stage == FLUSHING && conns_idle(gateway->conns))
        gateway->stage = DONE;
}

static void on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
    struct gateway *gateway = arg;
    struct timeval rest = {.tv_sec = gateway->settings.drain > 1 ? 1 : 0,
                           .tv_usec = gateway->settings.drain > 1 ? 0 : 400000};

    if (gateway->stage == FLUSHING) {
        gateway->stage = DONE;
        return;
    }
    log_warn("drain_incomplete", "sessions=%zu calls=%zu", sessions_count(&gateway->sessions),
             presence_unanswered(gateway->presence));
    sessions_abandon(&gateway->sessions);
    gateway->stage = FLUSHING;
    event_add(gateway->drain_timer, &rest);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct gateway *gateway = arg;
    struct timeval most = {.tv_sec = gateway->settings.drain > 1 ? gateway->settings.drain - 1 : 0,
                           .tv_usec = gateway->settings.drain > 1 ? 0 : 500000};

    if (gateway->stage != RUNNING)
        return;
    log_info("draining", "signal=%s sessions=%zu", strsignal((int)number),
             sessions_count(&gateway->sessions));
    gateway->stage = DRAINING;
    listeners_destroy(gateway->listeners);
    gateway->listeners = NULL;
    event_add(gateway->drain_timer, &most);
    sessions_drain(&gateway->sessions);
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("file_limit_not_raised", "error=%s", strerror(errno));
}

static bool start(struct gateway *gateway, char *error, size_t size)
{
    gateway->base = event_base_new();
    if (!gateway->base)
        return false;
    gateway->dns =
        evdns_base_new(gateway->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!gateway->dns) { /* no name server is configured: addresses and /etc/hosts still do */
        gateway->dns = evdns_base_new(gateway->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (!gateway->dns)
            return false;
        evdns_base_load_hosts(gateway->dns, "/etc/hosts");
    }
    sessions_init(&gateway->sessions, &gateway->settings);
    gateway->bus = bus_create(gateway->base, gateway->dns, &gateway->settings, &bus_ops, gateway);
    gateway->storelink = storelink_create(gateway->base, gateway->dns, &gateway->settings);
    gateway->hub =
        hub_create(gateway->base, gateway->bus, gateway->storelink, &sessions_hub_ops, &gateway->sessions);
    gateway->presence =
        presence_create(gateway->bus, &gateway->settings, &sessions_presence_ops, &gateway->sessions);
    gateway->conns = conns_create(gateway->base, &sessions_conn_ops);
    gateway->on_term = evsignal_new(gateway->base, SIGTERM, on_signal, gateway);
    gateway->on_int = evsignal_new(gateway->base, SIGINT, on_signal, gateway);
    gateway->drain_timer = evtimer_new(gateway->base, on_drain_timer, gateway);
    if (!gateway->bus || !gateway->storelink || !gateway->hub || !gateway->presence || !gateway->conns ||
        !gateway->on_term || !gateway->on_int || !gateway->drain_timer)
        return false;
    gateway->sessions.bus = gateway->bus;
    gateway->sessions.storelink = gateway->storelink;
    gateway->sessions.hub = gateway->hub;
    gateway->sessions.presence = gateway->presence;
    gateway->sessions.conns = gateway->conns;
    event_add(gateway->on_term, NULL);
    event_add(gateway->on_int, NULL);
    gateway->metrics =
        metrics_create(gateway->base, gateway->settings.http_listen, is_ready, gateway, error, size);
    if (!gateway->metrics)
        return false;
    gateway->listeners =
        listeners_create(gateway->base, gateway->settings.listen, &listener_ops, gateway, error, size);
    return gateway->listeners != NULL;
}

/* Once more told to end, it goes on ending: libevent would hand the signals back, and they would kill. */
static void ignore_signals(void)
{
    sigset_t both;

    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    sigprocmask(SIG_BLOCK, &both, NULL);
}

static void finish(struct gateway *gateway)
{
    listeners_destroy(gateway->listeners);
    metrics_destroy(gateway->metrics);
    if (gateway->conns && gateway->presence)
        sessions_finish(&gateway->sessions);
    storelink_destroy(gateway->storelink);
    hub_destroy(gateway->hub);
    presence_destroy(gateway->presence);
    bus_destroy(gateway->bus);
    conns_destroy(gateway->conns);
    if (gateway->on_term)
        event_free(gateway->on_term);
    if (gateway->on_int)
        event_free(gateway->on_int);
    if (gateway->drain_timer)
        event_free(gateway->drain_timer);
    if (gateway->base) /* look-ups that bus_destroy has called off free themselves in a turn of the loop */
        event_base_loop(gateway->base, EVLOOP_NONBLOCK);
    if (gateway->dns)
        evdns_base_free(gateway->dns, 0);
    if (gateway->base)
        event_base_free(gateway->base);
    settings_finish(&gateway->settings);
}

static void run(struct gateway *gateway)
{
    bool more = false;

    bus_start(gateway->bus);
    storelink_start(gateway->storelink);
    while (gateway->stage != DONE) {
        if (event_base_loop(gateway->base, more ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE) < 0)
            break;
        hub_end_turn(gateway->hub);
        more = conns_end_turn(gateway->conns);
        sessions_end_turn(&gateway->sessions);
        if (gateway->stage != RUNNING)
            drain_further(gateway);
        bus_end_turn(gateway->bus); /* last: all of these may have something for Redis */
    }
}

int main(int argc, char **argv)
{
    static struct gateway gateway;
    char error[1024] = "out of memory";
    int status = settings_arguments(PROGRAM_GATEWAY, argc, argv);
    enum log_level level = LOG_INFO;
    bool good;

    if (status >= 0)
        return status;
    if (!settings_init(&gateway.settings, environ, error, sizeof error)) {
        fprintf(stderr, "hubbub-gateway: %s\n", error);
        return 2;
    }
    log_level_parse(gateway.settings.log_level, &level);
    log_set_level(level);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    good = sodium_init() >= 0 && start(&gateway, error, sizeof error);
    if (good) {
        log_info("started", "gateway=%s listen=%s", gateway.settings.gateway, gateway.settings.listen);
        run(&gateway);
        ignore_signals();
        log_info("stopped", "gateway=%s", gateway.settings.gateway);
    } else {
        fprintf(stderr, "hubbub-gateway: %s\n", error);
    }
    finish(&gateway);
    return good ? 0 : 2; /* 2: a setting is to be changed; hubbub-store says it the same way */
}
