#include "redis.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "log.h"
#include "settings.h"

#define READ_BYTES (256 * 1024) /* at once: Redis drops who lags */
#define LENGTH_MAX_BYTES 24     /* of a line "$11\r\n" */

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
    int fd;                                   /* -1: not connected */
    struct event *readable, *writable; /* of fd; the second only while the socket is full, or connects */
    struct evbuffer *output;           /* what is to be sent */
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
    redis->output = evbuffer_new();
    if (!redis->output) {
        free(redis);
        return NULL;
    }
    redis->fd = -1;
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
    evbuffer_free(redis->output);
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
    if (redis->readable)
        event_free(redis->readable);
    if (redis->writable)
        event_free(redis->writable);
    redis->readable = redis->writable = NULL;
    if (redis->fd >= 0)
        close(redis->fd);
    redis->fd = -1;
    evbuffer_drain(redis->output, evbuffer_get_length(redis->output));
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

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static char bytes[READ_BYTES];
    struct redis *redis = arg;
    unsigned generation = redis->generation;
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    void *reply = NULL;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose(redis, n < 0 ? strerror(errno) : "closed by Redis");
        return;
    }
    if (redisReaderFeed(redis->reader, bytes, (size_t)n) != REDIS_OK) {
        lose(redis, "out of memory");
        return;
    }
    for (;;) {
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            lose(redis, "protocol error");
            return;
        }
        if (!reply)
            return;
        take_reply(redis, reply);
        if (redis->generation != generation)
            return; /* the callback dropped this connection */
    }
}

static void on_password(void *owner, uint64_t token, const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) /* the commands that follow will fail, and say so again */
        log_error("redis_password_refused", "error=%s setting=HUBBUB_REDIS_PASSWORD", reply->str);
}

static void on_connected(struct redis *redis)
{
    int one = 1;

    setsockopt(redis->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(redis->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    redis->ready = true;
    redis->attempts--; /* this family works: the next connection begins with it */
    if (redis->password[0]) {
        const char *argv[] = {"AUTH", redis->password};

        redis_send(redis, on_password, 0, 2, argv, NULL);
    }
    event_add(redis->readable, NULL);
    redis->ops->connected(redis->owner);
}

/* The connection is there, or failed; or the socket has room again. */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;
    int error = 0;
    socklen_t size = sizeof error;

    if (redis->ready) {
        redis_flush(redis);
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
        lose(redis, strerror(error ? error : errno));
    } else {
        on_connected(redis);
    }
}

/* Starts to connect to a numeric address.  Returns 0 or an errno. */
static int start_connecting(struct redis *redis, const struct evutil_addrinfo *address)
{
    redis->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (redis->fd < 0)
        return errno;
    redis->readable = event_new(redis->base, redis->fd, EV_READ | EV_PERSIST, on_readable, redis);
    redis->writable = event_new(redis->base, redis->fd, EV_WRITE, on_writable, redis);
    if (!redis->readable || !redis->writable)
        return ENOMEM;
    if (connect(redis->fd, address->ai_addr, (socklen_t)address->ai_addrlen) < 0 && errno != EINPROGRESS)
        return errno;
    return event_add(redis->writable, NULL) < 0 ? ENOMEM : 0; /* also when it is there already */
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
    error = start_connecting(redis, found);
    evutil_freeaddrinfo(found);
    if (error)
        lose(redis, strerror(error));
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
    if (!redis->reader) {
        lose(redis, "out of memory");
        return;
    }
    hints.ai_family = next_family(redis);
    snprintf(port, sizeof port, "%u", redis->address->port);
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

/* Writes the line "*3\r\n" or "$11\r\n"; returns where it ends. */
static char *put_length(char *at, char kind, size_t length)
{
    char digits[24], *first = digits + sizeof digits;

    do
        *--first = (char)('0' + length % 10);
    while ((length /= 10) > 0);
    *at++ = kind;
    at = mempcpy(at, first, (size_t)(digits + sizeof digits - first));
    return mempcpy(at, "\r\n", 2);
}

void redis_send(struct redis *redis, redis_reply_fn *reply, uint64_t token, int argc, const char **argv,
                const size_t *lengths)
{
    struct evbuffer_iovec space;
    size_t most = LENGTH_MAX_BYTES;
    char *at;

    if (!redis->ready)
        return;
    if (reply && !expect(redis, reply, token))
        abort(); /* a reply without its place in the row would answer the wrong question */
    for (int i = 0; i < argc; i++)
        most += LENGTH_MAX_BYTES + (lengths ? lengths[i] : strlen(argv[i])) + 2;
    if (evbuffer_reserve_space(redis->output, (ev_ssize_t)most, &space, 1) != 1)
        abort();
    at = put_length(space.iov_base, '*', (size_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t len = lengths ? lengths[i] : strlen(argv[i]);

        at = put_length(at, '$', len);
        at = mempcpy(at, argv[i], len);
        at = mempcpy(at, "\r\n", 2);
    }
    space.iov_len = (size_t)(at - (char *)space.iov_base);
    evbuffer_commit_space(redis->output, &space, 1);
}

void redis_flush(struct redis *redis)
{
    if (!redis->ready || evbuffer_get_length(redis->output) == 0 ||
        event_pending(redis->writable, EV_WRITE, NULL))
        return;
    /* That the connection broke is told by reading it. */
    if (evbuffer_write(redis->output, redis->fd) < 0 && errno != EAGAIN && errno != EINTR)
        return;
    if (evbuffer_get_length(redis->output) > 0)
        event_add(redis->writable, NULL);
}
