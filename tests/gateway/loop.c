#include "loop.h"

#include "../functions/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/dns.h>
#include <sodium.h>

#include "event.h"
#include "presence.h"
#include "settings.h"

struct loop loop;

struct settings loop_settings;
static struct evdns_base *dns;
static char url[128];

static void on_published(void *ctx, uint64_t token, enum bus_result result, event_id id)
{
    assert_true(token < TOKENS);
    loop.fates[token].answers++;
    loop.fates[token].result = result;
    loop.fates[token].id = id;
    loop.answered++;
}

static void on_roomy(void *ctx, unsigned lane)
{
    loop.roomy++;
}

static void on_lane_up(void *ctx, unsigned lane)
{
    loop.ups[lane]++;
    if (loop.presence && lane == 0)
        presence_lane_up(loop.presence);
}

static void on_lane_down(void *ctx, unsigned lane)
{
    loop.downs[lane]++;
    if (loop.presence && lane == 0)
        presence_lane_down(loop.presence);
}

static void on_reincarnated(void *ctx)
{
    loop.reincarnated++;
    if (loop.presence)
        presence_reincarnated(loop.presence);
}

static void on_subscribed(void *ctx, const char *channel)
{
    snprintf(loop.subscribed, sizeof loop.subscribed, "%s", channel);
}

static void on_message(void *ctx, const char *channel, const char *payload, size_t len)
{
    snprintf(loop.message, sizeof loop.message, "%s %s", channel, payload);
    if (loop.presence && strncmp(channel, "hubbub:gateway:", 15) == 0)
        presence_message(loop.presence, payload);
}

static void on_beats(void *ctx, const struct redisReply *counts)
{
    loop.beats++;
    if (loop.presence)
        presence_beats(loop.presence, counts);
}

static const struct bus_ops ops = {on_published,    on_roomy,      on_lane_up, on_lane_down,
                                   on_reincarnated, on_subscribed, on_message, on_beats};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
}

uint64_t now_ms(void)
{
    return monotonic_ms();
}

void loop_once(void)
{
    event_base_loop(loop.base, EVLOOP_ONCE);
    bus_end_turn(loop.bus);
}

void loop_create(unsigned servers)
{
    struct timeval often = {.tv_usec = 2000};

    assert_true(sodium_init() >= 0);
    memset(&loop, 0, sizeof loop);
    loop.base = event_base_new();
    dns = evdns_base_new(loop.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    for (unsigned i = 0; i < servers; i++)
        loop.proxies[i] = proxy_create(loop.base);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", proxy_port(loop.proxies[0]));
    if (servers > 1)
        snprintf(url + strlen(url), sizeof url - strlen(url), ",redis://127.0.0.1:%d",
                 proxy_port(loop.proxies[1]));
    loop_settings =
        (struct settings){.gateway = "g1", .redis_url = url, .redis_password = "", .notice_max = 200};
    loop.bus = bus_create(loop.base, dns, &loop_settings, &ops, NULL);
    loop.tick = event_new(loop.base, -1, EV_PERSIST, on_tick, NULL);
    assert_true(loop.bus && loop.tick && event_add(loop.tick, &often) == 0);
}

int loop_one(void **state)
{
    freeReplyObject(command("CONFIG SET maxmemory 0")); /* a test before may have failed */
    freeReplyObject(command("REPLICAOF NO ONE"));
    fresh_redis(state);
    loop_create(1);
    return 0;
}

int loop_two(void **state)
{
    freeReplyObject(command("CONFIG SET maxmemory 0")); /* a test before may have failed */
    freeReplyObject(command("REPLICAOF NO ONE"));
    fresh_redis(state);
    loop_create(2);
    return 0;
}

int loop_destroy(void **state)
{
    bus_destroy(loop.bus);
    for (int i = 0; i < 2; i++)
        if (loop.proxies[i])
            proxy_destroy(loop.proxies[i]);
    event_free(loop.tick);
    evdns_base_free(dns, 0);
    event_base_free(loop.base);
    return 0;
}

void loop_start(void)
{
    bus_start(loop.bus);
    until(bus_is_up(loop.bus));
}

bool publish(const char *room, uint64_t token)
{
    char chain[80];
    char *body = event_body("alice", "g1-a-1", room, "hello");
    bool done;

    snprintf(chain, sizeof chain, "r:%s", room);
    done = bus_publish(loop.bus, lane_of(room), chain, "", body, token);
    free(body);
    return done;
}

long log_length(unsigned lane)
{
    return strtol(text_of(command("XLEN hubbub:{%u}:log", lane)), NULL, 10);
}

long functions_called(void)
{
    const char *found = strstr(text_of(command("INFO commandstats")), "cmdstat_fcall:calls=");

    return found ? strtol(strchr(found, '=') + 1, NULL, 10) : 0;
}
