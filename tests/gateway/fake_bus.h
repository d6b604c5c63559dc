#ifndef HUBBUB_TESTS_FAKE_BUS_H
#define HUBBUB_TESTS_FAKE_BUS_H

/*
 * fake_bus: what the hub needs of bus.h, with a small model of Redis behind it.
 *
 * Nothing happens by itself.  Each step is one of the functions below: Redis executes what was sent, an
 * answer or a message arrives, something gets lost.  So a test decides the order of everything, and the
 * clock.
 *
 *     hub -- SUBSCRIBE --> sent --fake_execute_subscription--> wire --fake_deliver--> hub_subscribed,
 * hub_message hub -- HMGET, walk --> asked --fake_execute_read--> answered --fake_answer--> the hub's
 * callback
 */

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "hub.h"

/* What monotonic_ms() says. */
extern uint64_t fake_now;

/* A bus whose lanes are up; their chains start at floor. */
struct bus *fake_bus_create(void);
void fake_bus_destroy(struct bus *bus);

/* Says whom it tells what arrives. */
void fake_bus_attach(struct bus *bus, struct hub *hub);

/* What a user's inbox is called where a room's name is asked for: INBOX "alice". */
#define INBOX "u:"

/* Redis: a chat of session number `serial` in `room`; its text is its number in the room, from 1.  Returns
 * its id. */
event_id fake_say(struct bus *bus, const char *room, uint64_t serial);

/* Redis: a chat whose body nobody can read. */
event_id fake_say_garbage(struct bus *bus, const char *room);

/* Redis: session number `serial` joins `room`. */
void fake_notice(struct bus *bus, const char *room, uint64_t serial);

/* Redis: takes the entries of `room` up to `id` out of the log. */
void fake_trim(struct bus *bus, const char *room, event_id id);

/* Redis: everything is gone, and all lanes are opened again at a higher floor. */
void fake_wipe(struct bus *bus);

/* False, as at the start: each thing that arrives is a turn of the loop.  Else the test calls hub_end_turn.
 */
extern bool fake_long_turns;

/* The steps.  Each returns false if there is nothing to do. */
bool fake_execute_subscription(struct bus *bus);
bool fake_deliver(struct bus *bus); /* the next message or confirmation arrives */
bool fake_swallow(struct bus *bus); /* the next message is lost; no confirmation is */
bool fake_execute_read(struct bus *bus);
bool fake_answer(struct bus *bus); /* the next answer arrives; only what was executed */
bool fake_refuse(struct bus *bus); /* the next read is refused (LOADING, BUSY, ...), wherever it stands */

/* Which of the steps have something to do. */
struct fake_pending {
    bool subscription, delivery, read, answer;
    bool message; /* what is delivered next is no confirmation: it can be swallowed */
};
struct fake_pending fake_pending(const struct bus *bus);

/* Redis: a walk is answered with at most `n` ids or entries, as one that met a limit of its own. */
void fake_page(struct bus *bus, size_t n);

/* All of it, until nothing is left to do. */
void fake_settle(struct bus *bus);

/* The link breaks, and is there again; what was under way is lost. */
void fake_cut(struct bus *bus);
void fake_heal(struct bus *bus);

/* Redis forgets this subscription without a word. */
void fake_deafen(struct bus *bus, const char *room);

/* What is under way. */
size_t fake_reads(const struct bus *bus);
size_t fake_walks(const struct bus *bus);
bool fake_is_wanted(const struct bus *bus, const char *room);

/* All that was ever said in a room: its ids in order. */
const event_id *fake_history(const struct bus *bus, const char *room, size_t *count);
uint64_t fake_author(const struct bus *bus, const char *room, event_id id);
bool fake_is_in_log(const struct bus *bus, const char *room, event_id id);
event_id fake_floor(const struct bus *bus, const char *room);

#endif
