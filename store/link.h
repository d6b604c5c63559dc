#ifndef HUBBUB_STORE_LINK_H
#define HUBBUB_STORE_LINK_H

/*
 * link: one connection to one Redis server, on which no command takes for ever.
 *
 * Commands are sent with link_send and answered in their order by link_receive, or one at a time with
 * link_call.  A command that has no answer in time, and every other trouble with the connection, drops the
 * link; what was sent on it may or may not have been done.
 */

#include <hiredis/hiredis.h>

#include "settings.h"
#include "wait.h"

struct link {
    struct redis_address address;
    redisContext *context; /* NULL: not connected */
    struct backoff backoff;
};

/* Connects, authenticates, loads the function library where it is missing, and warns of settings that lose
 * data.  False if that failed. */
bool link_connect(struct link *link, const char *password);

/* The same without the warnings. */
bool link_join(struct link *link, const char *password);

/* Closes the connection, if there is one, and is silent about it. */
void link_close(struct link *link);

/* True if it is connected, as far as can be seen without asking; nothing may be under way on it. */
bool link_look(struct link *link);

/* Closes the connection, if there is one, and sets the time of the next attempt; logs `why` once per trouble.
 */
void link_drop(struct link *link, const char *why);

/* Sends a command, in the format of redisCommand.  False if the link was dropped. */
bool link_send(struct link *link, const char *format, ...);

/* Writes what was appended to the context.  False if the link was dropped. */
bool link_flush(struct link *link);

/* The answer to the oldest command; errors are answers too.  The caller frees it.  NULL if the link was
 * dropped. */
redisReply *link_receive(struct link *link);

/* Both. */
redisReply *link_call(struct link *link, const char *format, ...);

/* Loads the function library, if it is missing.  False if the link was dropped. */
bool link_load_functions(struct link *link);

#endif
