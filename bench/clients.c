#include "clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * Clients from one address.  It has 28,000 ports to each that it connects to, but from about half of that on
 * the kernel searches long for one that is free.
 */
#define PER_SOURCE 10000

#define JOIN_DEADLINE UINT64_C(30000000000) /* ns in which nobody joins, and it is given up */
#define DONE UINT8_MAX                      /* the step of who has joined */
#define EVENTS_MAX 1024

void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("bench-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void clients_room_name(const struct clients *clients, uint32_t room, char name[CLIENT_NAME_MAX])
{
    snprintf(name, CLIENT_NAME_MAX, "%sroom-%u", clients->prefix, room);
}

void clients_name(const struct clients *clients, const struct client *client, char name[CLIENT_NAME_MAX])
{
    snprintf(name, CLIENT_NAME_MAX, "%s%u-%u", clients->prefix, client->room, client->member);
}

static _Noreturn void give_up_on(const struct clients *clients, const struct client *client, const char *what)
{
    char name[CLIENT_NAME_MAX];

    clients_name(clients, client, name);
    give_up("%s: %s", name, what);
}

void client_say(struct client *client, const char *bytes, size_t len)
{
    if (client->out == NULL || client->out_size - client->out_len < len) {
        client->out_size = 2 * (client->out_len + len);
        client->out = realloc(client->out, client->out_size);
        if (client->out == NULL)
            give_up("no memory");
    }
    memcpy(client->out + client->out_len, bytes, len);
    client->out_len += len;
}

static void wait_for_room(struct clients *clients, struct client *client, bool wait)
{
    struct epoll_event event = {.events = wait ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = client};

    if (wait != client->writing && epoll_ctl(clients->epoll, EPOLL_CTL_MOD, client->fd, &event) < 0)
        give_up("epoll: %s", strerror(errno));
    client->writing = wait;
}

void client_flush(struct clients *clients, struct client *client)
{
    ssize_t len = send(client->fd, client->out, client->out_len, MSG_NOSIGNAL);

    if (len < 0 && errno != EAGAIN)
        give_up_on(clients, client, strerror(errno));
    if (len > 0) {
        client->out_len -= (size_t)len;
        memmove(client->out, client->out + len, client->out_len);
    }
    wait_for_room(clients, client, client->out_len > 0);
}

size_t client_read(struct clients *clients, struct client *client)
{
    ssize_t len = recv(client->fd, clients->input, INPUT_MAX, 0);

    if (len == 0)
        give_up_on(clients, client, "the server closed the connection");
    if (len < 0 && errno != EAGAIN)
        give_up_on(clients, client, strerror(errno));
    return len < 0 ? 0 : (size_t)len;
}

/*
 * The address that the client connects from, if it connects within this machine.  Each process has some of
 * its own, as the ports that an earlier one used are not free for a minute.
 */
static struct sockaddr_in source_of(const struct clients *clients, const struct client *client)
{
    uint32_t process = (uint32_t)getpid() & 0x7fff, number = (uint32_t)(client - clients->all) / PER_SOURCE;

    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(UINT32_C(0x7f800001) + (process << 8) + number)};
}

/* Connects the client.  What it says goes out when there is room in its socket: when it is connected. */
static void client_connect(struct clients *clients, struct client *client)
{
    const struct sockaddr_in *target =
        &clients->targets[(size_t)(client - clients->all) % clients->target_count];
    struct sockaddr_in source = source_of(clients, client);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    int yes = 1;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        give_up_on(clients, client, strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (ntohl(target->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET) {
        /* Without a port: it is chosen when it connects, and may be in use to another target. */
        setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0)
            give_up_on(clients, client, strerror(errno));
    }
    if (connect(client->fd, (const struct sockaddr *)target, sizeof *target) < 0 && errno != EINPROGRESS)
        give_up_on(clients, client, strerror(errno));
    client->writing = true;
    if (epoll_ctl(clients->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        give_up("epoll: %s", strerror(errno));
}

/* Says what belongs to the client's step; false if there is nothing more to say: it has joined. */
static bool client_step(struct clients *clients, struct client *client)
{
    char name[CLIENT_NAME_MAX], room[CLIENT_NAME_MAX], *say;

    if (clients->speech->steps[client->step].say == NULL) {
        client->step = DONE;
        free(client->out);
        client->out = NULL;
        client->out_size = 0;
        return false;
    }
    clients_name(clients, client, name);
    clients_room_name(clients, client->room, room);
    say = speech_step(clients->speech, client->step, name, room);
    if (say == NULL)
        give_up("no memory");
    client_say(client, say, strlen(say));
    free(say);
    return true;
}

static void check_refusal(const struct clients *clients, const struct client *client, const char *at,
                          const char *end)
{
    const char *refused = clients->speech->refused, *found, *newline;
    char text[200];

    if (refused == NULL || (found = memmem(at, (size_t)(end - at), refused, strlen(refused))) == NULL)
        return;
    newline = memchr(found, '\n', (size_t)(end - found));
    snprintf(text, sizeof text, "%.*s", (int)((newline == NULL ? end : newline) - found), found);
    text[strcspn(text, "\r")] = '\0';
    give_up_on(clients, client, text);
}

/* True when the client has joined by what it reads now. */
static bool client_hear(struct clients *clients, struct client *client)
{
    size_t len = client_read(clients, client);
    const char *at = carry_put(&client->carry, clients->input), *end = clients->input + len, *found;

    check_refusal(clients, client, at, end);
    for (;;) {
        const char *await = clients->speech->steps[client->step].await;
        size_t await_len = strlen(await);

        found = memmem(at, (size_t)(end - at), await, await_len);
        if (found == NULL) {
            if ((size_t)(end - at) >= await_len)
                at = end - await_len + 1;
            carry_keep(&client->carry, at, end);
            return false;
        }
        at = found + await_len;
        client->step++;
        if (!client_step(clients, client))
            return true;
        client_flush(clients, client);
    }
}

static void raise_files(size_t count)
{
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    if (files.rlim_max < count + 16) { /* root may */
        files.rlim_cur = files.rlim_max = count + 16;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            give_up("%zu clients need as many open files: %s; see ulimit -Hn", count, strerror(errno));
    }
    setrlimit(RLIMIT_NOFILE, &files);
}

static void create(struct clients *clients)
{
    clients->count = (size_t)clients->rooms * clients->members;
    raise_files(clients->count);
    clients->epoll = epoll_create1(EPOLL_CLOEXEC);
    clients->all = calloc(clients->count, sizeof *clients->all);
    clients->input = malloc(CARRY_MAX + INPUT_MAX);
    if (clients->epoll < 0 || clients->all == NULL || clients->input == NULL)
        give_up("no memory");
    clients->input += CARRY_MAX;
    for (size_t i = 0; i < clients->count; i++) {
        clients->all[i].room = (uint32_t)(i / clients->members);
        clients->all[i].member = (uint32_t)(i % clients->members);
    }
}

/*
 * A client acknowledges what it reads when it reads it, which costs the client; unless its kernel takes the
 * connection for a dialogue, because it has answered something, as in a log-in of several steps: then
 * acknowledgements wait for more to come, and cost the server's core, where that arrives.  Clients of all
 * dialects only listen from here on.
 */
static void stop_dialogue(const struct client *client)
{
    int yes = 1;

    setsockopt(client->fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof yes);
}

double clients_join(struct clients *clients)
{
    struct epoll_event events[EVENTS_MAX];
    size_t begun = 0, joined = 0;
    uint64_t start, last;

    create(clients);
    start = last = now_ns();
    while (joined < clients->count) {
        size_t before = joined;
        int ready;

        for (; begun < clients->count && begun - joined < clients->joining_max; begun++) {
            client_connect(clients, &clients->all[begun]);
            client_step(clients, &clients->all[begun]);
        }
        ready = epoll_wait(clients->epoll, events, EVENTS_MAX, 1000);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;

            if (client->writing && (events[i].events & (EPOLLOUT | EPOLLERR)) != 0)
                client_flush(clients, client);
            if ((events[i].events & (EPOLLIN | EPOLLHUP)) == 0)
                continue;
            if (client->step == DONE) /* notices of others */
                client_read(clients, client);
            else
                joined += client_hear(clients, client) ? 1 : 0;
        }
        if (joined > before)
            last = now_ns();
        else if (now_ns() - last > JOIN_DEADLINE)
            give_up("%zu of %zu clients have joined, and no more do", joined, clients->count);
    }
    for (size_t i = 0; i < clients->count; i++)
        stop_dialogue(&clients->all[i]);
    return (double)(last - start) / 1e9;
}

void clients_finish(struct clients *clients)
{
    for (size_t i = 0; i < clients->count; i++) {
        close(clients->all[i].fd);
        free(clients->all[i].out);
    }
    close(clients->epoll);
    free(clients->all);
    free(clients->input - CARRY_MAX);
}
