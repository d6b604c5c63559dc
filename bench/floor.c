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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS_MAX 1024 /* in a turn; no more than IOV_MAX */
#define READ_MAX 65536  /* of a client in a turn */

struct room {
    struct room *next, *next_heard;
    char name[64];
    int *members; /* their descriptors */
    size_t count;
    char *text; /* what was read in this turn */
    size_t len, size;
    struct iovec parts[EVENTS_MAX]; /* of it, and who said each: `iov_base` is an offset until all was read */
    int speakers[EVENTS_MAX];
    int spoken;
};

static struct {
    struct room *room;
    size_t place;        /* in the room's members */
    unsigned long spoke; /* the turn in which it was last heard */
} * clients;
static struct room *rooms, *heard; /* all; those of which something was read in this turn */
static unsigned long turn;

static void *need(void *memory)
{
    if (memory == NULL) {
        perror("bench-floor");
        exit(1);
    }
    return memory;
}

static void leave(int client, const char *why)
{
    struct room *room = clients[client].room;

    if (why != NULL)
        fprintf(stderr, "bench-floor: closed a client: %s\n", why);
    if (room != NULL) {
        int last = room->members[--room->count];

        room->members[clients[client].place] = last;
        clients[last].place = clients[client].place;
        clients[client].room = NULL;
    }
    close(client);
}

static void join(int client)
{
    char name[sizeof rooms->name] = "";
    ssize_t len = read(client, name, sizeof name - 1);
    struct room *room = rooms;

    if (len <= 0 || name[len - 1] != '\n') {
        leave(client, len <= 0 ? NULL : "its first segment is not the name of a room");
        return;
    }
    while (room != NULL && strcmp(room->name, name) != 0)
        room = room->next;
    if (room == NULL) {
        room = need(calloc(1, sizeof *room));
        memcpy(room->name, name, sizeof name);
        room->next = rooms;
        rooms = room;
    }
    if ((room->count & (room->count - 1)) == 0) /* full: double it */
        room->members = need(realloc(room->members, sizeof(int) * (room->count * 2 + 1)));
    clients[client].room = room;
    clients[client].place = room->count;
    room->members[room->count++] = client;
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
    if (room->size < room->len + READ_MAX) {
        room->size = 2 * (room->len + READ_MAX);
        room->text = need(realloc(room->text, room->size));
    }
    len = read(client, room->text + room->len, READ_MAX);
    if (len <= 0) {
        leave(client, NULL);
        return;
    }
    if (room->spoken == 0) {
        room->next_heard = heard;
        heard = room;
    }
    room->speakers[room->spoken] = client;
    room->parts[room->spoken++] = (struct iovec){(void *)room->len, (size_t)len};
    room->len += (size_t)len;
    clients[client].spoke = turn;
}

/* All of the turn to those who said nothing in it, to the others all but their own. */
static ssize_t tell(const struct room *room, int client, size_t *own)
{
    struct iovec parts[EVENTS_MAX];
    int count = 0;

    *own = 0;
    if (clients[client].spoke != turn)
        return write(client, room->text, room->len);
    for (int i = 0; i < room->spoken; i++) {
        if (room->speakers[i] == client)
            *own += room->parts[i].iov_len;
        else
            parts[count++] = room->parts[i];
    }
    return count == 0 ? 0 : writev(client, parts, count);
}

static void tell_all(struct room *room)
{
    size_t own;

    for (int i = 0; i < room->spoken; i++)
        room->parts[i].iov_base = room->text + (size_t)room->parts[i].iov_base;
    for (size_t i = room->count; i-- > 0;) { /* downwards: the last takes the place of one who leaves */
        int client = room->members[i];

        if (tell(room, client, &own) != (ssize_t)(room->len - own))
            leave(client, "its socket is full");
    }
    room->spoken = 0;
    room->len = 0;
}

static int listen_on(const char *where)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(where, ':');
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (colon != NULL && colon - where < (ptrdiff_t)sizeof host) {
        memcpy(host, where, (size_t)(colon - where));
        address.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fputs("usage: bench-floor ADDRESS:PORT\n", stderr);
        exit(2);
    }
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
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clients = need(calloc(files.rlim_cur, sizeof *clients));
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (turn = 1;; turn++) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                hear(events[i].data.fd);
                continue;
            }
            event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (event.data.fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
                leave(event.data.fd, "epoll does not take it");
        }
        for (; heard != NULL; heard = heard->next_heard)
            tell_all(heard);
    }
}
