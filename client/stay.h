#ifndef HUBBUB_CLIENT_STAY_H
#define HUBBUB_CLIENT_STAY_H

/* stay: a session with its connection, its clock and the program's loop: what script.c and talk.c share. */

#include <stdbool.h>

#include "session.h"

struct event;
struct event_base;
struct link;
struct options;

struct stay {
    struct event_base *base; /* takes files, too */
    struct session *session;
    void *owner; /* of the callbacks */
    struct session_ops ops;
    struct link *link;
    int clock; /* a timer that goes on while the machine sleeps */
    struct event *alarm;
};

/*
 * `ops` has what concerns a person (changed, heard, fate, refused_name, want_password), which is called with
 * the stay; connection and clock are filled in here.  `name`: if the options have none.  False: no memory.
 */
bool stay_init(struct stay *stay, const struct options *options, const char *name,
               const struct session_ops *ops, void *owner);
void stay_finish(struct stay *stay);

/* The loop returns when its turn is over. */
void stay_end(struct stay *stay);

/* Milliseconds since 1970. */
int64_t stay_time(void);

#endif
