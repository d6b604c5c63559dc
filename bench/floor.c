/*
 * bench-floor ADDRESS:PORT: the least that a chat server can cost on this machine.
 *
 * A bare broadcaster: the first line that a client sends names its room, and is answered with "joined".
 * Whatever it sends after that goes, as it is, to every other client of the room.  All that arrived in one
 * turn of the loop is joined into one write per client.  No parsing, no broker, no history, no queues: a
 * client whose socket is full is closed, with a line on stderr, and the measurement is void.
 */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CLIENTS_MAX 65536
#define ROOMS_MAX 4096
#define EVENTS_MAX 1024 /* in a turn; no more than IOV_MAX */
#define READ_MAX 65536  /* of a client in a turn */

static struct room {
    char name[64];
    int first;                     /* of its members */
    int spoken;                    /* so often something was said in this turn: */
    struct iovec said[EVENTS_MAX]; /* what, */
    int speakers[EVENTS_MAX];      /* and by whom */
} rooms[ROOMS_MAX], *heard[EVENTS_MAX];
static int room_count; /* those from here on are free; of the others, those without a name */

static struct { /* by descriptor; 0 is none, as it is no client's */
    struct room *room;
    int next, previous; /* members of the room */
} clients[CLIENTS_MAX];

static int heard_count;                  /* rooms in which something was said in this turn */
static char text[EVENTS_MAX * READ_MAX]; /* what that was */
static size_t text_len;

static void leave(int client, const char *why)
{
    int next = clients[client].next, previous = clients[client].previous;

    if (why != NULL)
        fprintf(stderr, "bench-floor: closed a client: %s\n", why);
    if (clients[client].room != NULL)
        *(previous != 0 ? &clients[previous].next : &clients[client].room->first) = next;
    clients[next].previous = previous;
    if (clients[client].room != NULL && clients[client].room->first == 0)
        clients[client].room->name[0] = '\0';
    while (room_count > 0 && rooms[room_count - 1].name[0] == '\0')
        room_count--;
    memset(&clients[client], 0, sizeof clients[client]);
    close(client);
}

/* The room of that name, or one that is free. */
static struct room *find_room(const char *name)
{
    struct room *free_one = NULL;

    for (struct room *room = rooms; room < rooms + room_count; room++) {
        if (strcmp(room->name, name) == 0)
            return room;
        if (room->name[0] == '\0')
            free_one = room;
    }
    if (free_one != NULL)
        return free_one;
    if (room_count == ROOMS_MAX) {
        fprintf(stderr, "bench-floor: there are %d rooms already\n", ROOMS_MAX);
        exit(1);
    }
    return &rooms[room_count++];
}

static void join(int client)
{
    char name[sizeof rooms->name] = "";
    ssize_t len = read(client, name, sizeof name - 1);
    struct room *room;

    if (len <= 0 || name[len - 1] != '\n') {
        leave(client, len <= 0 ? NULL : "it did not begin with the name of a room");
        return;
    }
    room = find_room(name);
    memcpy(room->name, name, sizeof name);
    clients[client].room = room;
    clients[client].next = room->first;
    clients[room->first].previous = client;
    room->first = client;
    if (write(client, "joined\n", 7) != 7)
        leave(client, "its socket is full");
}

static void hear(int client)
{
    struct room *room = clients[client].room;
    ssize_t len;

    if (room == NULL) {
        join(client);
        return;
    }
    len = read(client, text + text_len, READ_MAX);
    if (len <= 0) {
        leave(client, NULL);
        return;
    }
    if (room->spoken == 0)
        heard[heard_count++] = room;
    room->speakers[room->spoken] = client;
    room->said[room->spoken++] = (struct iovec){text + text_len, (size_t)len};
    text_len += (size_t)len;
}

/* Tells a client what others said, in one write; what lies side by side is one part of it. */
static bool tell(const struct room *room, int client)
{
    struct iovec parts[EVENTS_MAX];
    const char *end = NULL;
    ssize_t len = 0;
    int count = 0;

    for (int i = 0; i < room->spoken; i++) {
        if (room->speakers[i] == client)
            continue;
        if (count > 0 && room->said[i].iov_base == end)
            parts[count - 1].iov_len += room->said[i].iov_len;
        else
            parts[count++] = room->said[i];
        end = (const char *)room->said[i].iov_base + room->said[i].iov_len;
        len += (ssize_t)room->said[i].iov_len;
    }
    if (count == 1) /* a little cheaper */
        return write(client, parts[0].iov_base, parts[0].iov_len) == len;
    return count == 0 || writev(client, parts, count) == len;
}

static void tell_all(struct room *room)
{
    for (int client = room->first, next; client != 0; client = next) {
        next = clients[client].next;
        if (!tell(room, client))
            leave(client, "its socket is full");
    }
    room->spoken = 0;
}

static int listen_on(const char *where)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    unsigned short port = 0;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (sscanf(where, "%15[0-9.]:%hu", host, &port) != 2 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fputs("usage: bench-floor ADDRESS:PORT\n", stderr);
        exit(2);
    }
    address.sin_port = htons(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* those it accepts inherit it */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
        perror("bench-floor");
        exit(2);
    }
    return fd;
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc == 2 ? argv[1] : ""), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN, .data.fd = listener};
    struct rlimit files;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < CLIENTS_MAX ? files.rlim_max : CLIENTS_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                hear(events[i].data.fd);
                continue;
            }
            event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        }
        for (text_len = 0; heard_count > 0;)
            tell_all(heard[--heard_count]);
    }
}
