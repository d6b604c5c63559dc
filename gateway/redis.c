#include "redis.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "log.h"
#include "settings.h"

struct asked {
    redis_reply_fn *reply;
    uint64_t token;
};

struct redis {
    struct event_base *base;
    struct evdns_base *dns;
    const struct redis_address *address;
    const char *password;
    const struct redis_ops *ops;
    void *owner;
    struct evdns_getaddrinfo_request *lookup; /* of the address, under way */
    struct bufferevent *stream;               /* NULL: not connected */
    redisReader *reader;
    bool ready;
    unsigned attempts;
    unsigned generation; /* counts connections, so that a callback that drops one is noticed */
    /* Unanswered commands, oldest first: a ring that grows.  One enters when it is sent and leaves with its
     * reply. */
    struct asked *asked;
    size_t first, count, room;
};

struct redis *redis_create(struct event_base *base, struct evdns_base *dns,
                           const struct redis_address *address, const char *password,
                           const struct redis_ops *ops, void *owner)
{
    struct redis *redis = calloc(1, sizeof *redis);

    if (!redis)
        return NULL;
    redis->base = base;
    redis->dns = dns;
    redis->address = address;
    redis->password = password;
    redis->ops = ops;
    redis->owner = owner;
    return redis;
}

void redis_destroy(struct redis *redis)
{
    if (!redis)
        return;
    redis_disconnect(redis);
    free(redis->asked);
    free(redis);
}

void redis_disconnect(struct redis *redis)
{
    redis->generation++;
    redis->ready = false;
    redis->first = redis->count = 0;
    if (redis->lookup)
        evdns_getaddrinfo_cancel(redis->lookup);
    redis->lookup = NULL;
    if (redis->stream)
        bufferevent_free(redis->stream);
    redis->stream = NULL;
    if (redis->reader)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
}

static void lose(struct redis *redis, const char *why)
{
    redis_disconnect(redis);
    redis->ops->lost(redis->owner, why);
}

static void take_reply(struct redis *redis, redisReply *reply)
{
    if (redis->count > 0) {
        struct asked asked = redis->asked[redis->first];

        redis->first = (redis->first + 1) % redis->room;
        redis->count--;
        asked.reply(redis->owner, asked.token, reply);
    } else {
        redis->ops->pushed(redis->owner, reply);
    }
    freeReplyObject(reply);
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct redis *redis = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    unsigned generation = redis->generation;

    while (evbuffer_get_length(input) > 0) {
        size_t len = evbuffer_get_contiguous_space(input);
        void *reply = NULL;

        if (redisReaderFeed(redis->reader, (char *)evbuffer_pullup(input, (ev_ssize_t)len), len) !=
            REDIS_OK) {
            lose(redis, "out of memory");
            return;
        }
        evbuffer_drain(input, len);
        for (;;) {
            if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
                lose(redis, "protocol error");
                return;
            }
            if (!reply)
                break;
            take_reply(redis, reply);
            if (redis->generation != generation)
                return; /* the callback dropped this connection */
        }
    }
}

static void on_password(void *owner, uint64_t token, const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) /* the commands that follow will fail, and say so again */
        log_error("redis_password_refused", "error=%s setting=HUBBUB_REDIS_PASSWORD", reply->str);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct redis *redis = arg;
    int one = 1, fd = bufferevent_getfd(stream);

    if (!(what & BEV_EVENT_CONNECTED)) {
        lose(redis, (what & BEV_EVENT_EOF) ? "closed by Redis"
                                           : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    redis->ready = true;
    redis->attempts--; /* this family works: the next connection begins with it */
    if (redis->password[0]) {
        const char *argv[] = {"AUTH", redis->password};

        redis_send(redis, on_password, 0, 2, argv, NULL);
    }
    redis->ops->connected(redis->owner);
}

static void on_address(int error, struct evutil_addrinfo *found, void *arg)
{
    struct redis *redis = arg;

    if (error == EVUTIL_EAI_CANCEL) /* by redis_disconnect(), and `redis` may be gone */
        return;
    redis->lookup = NULL;
    if (error) {
        lose(redis, evutil_gai_strerror(error));
        return;
    }
    /* A failure comes through on_event, also one that is known at once. */
    bufferevent_socket_connect(redis->stream, found->ai_addr, (int)found->ai_addrlen);
    evutil_freeaddrinfo(found);
}

/* Only the first address that a name has is tried, so the families take turns. */
static int next_family(struct redis *redis)
{
    const char *host = redis->address->host;
    int family = redis->attempts++ % 2 ? AF_INET6 : AF_INET;

    if (strchr(host, ':'))
        return AF_INET6;
    return host[strspn(host, "0123456789.")] ? family : AF_INET;
}

void redis_connect(struct redis *redis)
{
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *lookup;
    char port[8];

    redis_disconnect(redis);
    redis->reader = redisReaderCreate();
    redis->stream = bufferevent_socket_new(redis->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!redis->reader || !redis->stream) {
        lose(redis, "out of memory");
        return;
    }
    bufferevent_setcb(redis->stream, on_read, NULL, on_event, redis);
    bufferevent_set_max_single_read(redis->stream, 256 * 1024); /* read eagerly: Redis drops who lags */
    bufferevent_set_max_single_write(redis->stream, 1024 * 1024);
    bufferevent_enable(redis->stream, EV_READ | EV_WRITE);
    hints.ai_family = next_family(redis);
    snprintf(port, sizeof port, "%u", redis->address->port);
    /* Not bufferevent_socket_connect_hostname(): what it looks up cannot be called off. */
    lookup = evdns_getaddrinfo(redis->dns, redis->address->host, port, &hints, on_address, redis);
    if (lookup) /* else on_address was called already */
        redis->lookup = lookup;
}

static bool expect(struct redis *redis, redis_reply_fn *reply, uint64_t token)
{
    if (redis->count == redis->room) {
        size_t room = redis->room ? redis->room * 2 : 64;
        struct asked *asked = malloc(room * sizeof *asked);

        if (!asked)
            return false;
        for (size_t i = 0; i < redis->count; i++)
            asked[i] = redis->asked[(redis->first + i) % redis->room];
        free(redis->asked);
        redis->asked = asked;
        redis->first = 0;
        redis->room = room;
    }
    redis->asked[(redis->first + redis->count++) % redis->room] = (struct asked){reply, token};
    return true;
}

void redis_send(struct redis *redis, redis_reply_fn *reply, uint64_t token, int argc, const char **argv,
                const size_t *lengths)
{
    struct evbuffer *output;

    if (!redis->ready)
        return;
    if (reply && !expect(redis, reply, token))
        abort(); /* a reply without its place in the row would answer the wrong question */
    output = bufferevent_get_output(redis->stream);
    evbuffer_add_printf(output, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        size_t len = lengths ? lengths[i] : strlen(argv[i]);

        evbuffer_add_printf(output, "$%zu\r\n", len);
        evbuffer_add(output, argv[i], len);
        evbuffer_add(output, "\r\n", 2);
    }
}
