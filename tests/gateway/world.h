#ifndef HUBBUB_TESTS_WORLD_H
#define HUBBUB_TESTS_WORLD_H

/*
 * world: a hub on a fake bus, and the people in its rooms.
 *
 * Two fake dialects write down what a person is told.  In dialect 0 an event is its text (its number in the
 * room), a notice "+", and a gap "gap", each with a space after it: "1 2 gap 5 ".  In dialect 1 an event is
 * "=ID " and a gap "AFTER-UNTIL ".
 */

#include <stdbool.h>
#include <stdint.h>

#include "fake_bus.h"
#include "hub.h"

struct person {
    uint64_t serial;
    struct member *member;
    bool ready;
    bool stranger; /* no direct is for this one */
    long budget;   /* becomes not ready after so many events; below 0: never */
    char *told;
    size_t size, room;
    bool leaves;      /* when its position moves */
    unsigned sends;   /* how often it was handed something */
    unsigned reached; /* how often it was told that its position has moved */
    event_id start;   /* where it stood when it entered */
    char where[32];   /* the room */
    struct person *prev, *next;
};

struct world {
    struct event_base *base;
    struct bus *bus;
    struct hub *hub;
    struct person *people;
    unsigned encoded[2];                           /* calls of encode_event per dialect */
    unsigned good, bad;                            /* rooms that could be entered, and not */
    void (*room_ready)(uint64_t token, bool good); /* told of these, too; NULL: nobody */
};

extern struct world world;

/* What person_check has seen in all worlds so far, and what it is to call the present one when it fails. */
struct checks {
    const char *run;
    unsigned long events, gaps;
};

extern struct checks checks;

/* Test set-up and tear-down.  The second checks that no walk is left. */
int world_create(void **state);
int world_destroy(void **state);

/* Frees all as it is, once everybody has left, but for the event base: the next world takes that. */
void world_abandon(void);

#define world_test(f) cmocka_unit_test_setup_teardown(f, world_create, world_destroy)

/* What to enter a room with; all may be left out. */
struct how {
    event_id since;
    uint64_t serial; /* 0: a number of one's own */
    int dialect;
    bool echo;
};

/* Holds the room, lets everything settle, enters, lets go, and is fed as far as what the gateway has at hand.
 */
struct person *person_enter(const char *room, struct how how);
#define enter(room, ...) person_enter(room, (struct how){__VA_ARGS__})

/* Enters a room (called `name` in the fake bus) that is held and ready, lets go, and is fed. */
struct person *person_go_in(struct room *room, const char *name, struct how how);

/* The same as person_enter for a room that is live, without settling.  NULL if it is not; then it is asked
 * for. */
struct person *person_try(const char *room, struct how how);

void person_leave(struct person *person);

/*
 * Fails unless the person (of dialect 1) was told each event after where it began, but its own, exactly once,
 * in the order of ids, up to its position, but for what a gap covers.  Returns the last id that it was told,
 * or where it began.
 */
event_id person_check(const struct person *person);

/* It reads again. */
void person_resume(struct person *person);

/* What it was told since the last call. */
const char *told(struct person *person);

/* `seconds` pass, with a tick each, and everything settles after each. */
void pass(unsigned seconds);

/* Says `n` chats in `room`, by nobody here.  Returns the id of the last. */
event_id say(const char *room, unsigned n);

#endif
