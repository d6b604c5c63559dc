#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

/*
 * clients: the connections of all members of all rooms.
 *
 * They are connected and joined here.  Once joined, a client's input is nothing but numbers to count
 * (carry.h), which run.c does; what it says is gathered in `out` and goes out in one write.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carry.h"
#include "speech.h"

#define TARGETS_MAX 16
#define INPUT_MAX (256 * 1024)

struct client {
    int fd;
    uint32_t room, member;
    uint8_t step; /* of the log-in; see clients.c */
    bool writing; /* waits for room in its socket */
    struct carry carry;
    char *out; /* what it says and has not written yet */
    size_t out_len, out_size;
};

struct clients {
    const struct speech *speech;
    const char *prefix;
    struct sockaddr_in targets[TARGETS_MAX];
    size_t target_count;
    uint32_t rooms, members;
    size_t joining_max; /* so many are on their way at once */
    /* from here on: clients_join's */
    int epoll;          /* `data.ptr` is the client */
    struct client *all; /* by room, then by member */
    size_t count;
    char *input; /* INPUT_MAX bytes, behind CARRY_MAX free ones */
};

/* A name is at most this long, its NUL included. */
#define CLIENT_NAME_MAX 96
void clients_room_name(const struct clients *clients, uint32_t room, char name[CLIENT_NAME_MAX]);
void clients_name(const struct clients *clients, const struct client *client, char name[CLIENT_NAME_MAX]);

/* Connects and joins all; returns the seconds that took.  Whatever goes wrong ends the program. */
double clients_join(struct clients *clients);
void clients_finish(struct clients *clients);

/* Adds to what the client says. */
void client_say(struct client *client, const char *bytes, size_t len);

/* Writes what can be written of it now, and the rest when there is room: call it again on EPOLLOUT. */
void client_flush(struct clients *clients, struct client *client);

/* Reads at most INPUT_MAX bytes to `clients->input`; 0: there is nothing. */
size_t client_read(struct clients *clients, struct client *client);

/* Says on stderr what is wrong, and ends the program with status 2. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Monotonic, in ns. */
uint64_t now_ns(void);

#endif
