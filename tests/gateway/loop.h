#ifndef HUBBUB_TESTS_LOOP_H
#define HUBBUB_TESTS_LOOP_H

/*
 * loop: a real bus on the private Redis, behind proxies, and what it said.
 */

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "proxy.h"

#define TOKENS 8192

/* What became of a publish. */
struct fate {
    unsigned answers;
    enum bus_result result;
    event_id id;
};

struct loop {
    struct event_base *base;
    struct bus *bus;
    struct proxy *proxies[2];
    struct event *tick;
    struct fate fates[TOKENS];
    unsigned answered; /* publishes */
    unsigned reincarnated, roomy, beats;
    unsigned ups[8], downs[8];          /* of each lane */
    struct presence *presence;          /* NULL, or it hears what the bus says */
    char subscribed[128], message[256]; /* the last ones */
};

extern struct loop loop;
extern struct settings loop_settings;

/* Set-up: fresh_redis, and a bus with `servers` proxies (all lead to the one Redis) that is not started. */
void loop_create(unsigned servers);
int loop_one(void **state);
int loop_two(void **state);
int loop_destroy(void **state);

uint64_t now_ms(void);
void loop_once(void);

#define PATIENCE_MS 20000

/* Runs the loop until `condition`. */
#define until(condition)                                          \
    for (uint64_t late = now_ms() + PATIENCE_MS; !(condition);) { \
        if (now_ms() > late)                                      \
            fail_msg("this did not come: %s", #condition);        \
        loop_once();                                              \
    }

/* Starts the bus and waits until all its lanes are up. */
void loop_start(void);

/* Publishes to `room`; the fate will be in loop.fates[token]. */
bool publish(const char *room, uint64_t token);

/* The number of entries in the lane's log. */
long log_length(unsigned lane);

/* How many functions Redis has called, its own refusals included. */
long functions_called(void);

#endif
