#ifndef HUBBUB_TESTS_PROXY_H
#define HUBBUB_TESTS_PROXY_H

/*
 * proxy: stands between a bus and the private Redis, in the test's own loop, and holds back or cuts what the
 * test says.  A bus makes its connections in pairs, first the one for commands, then the one for messages.
 */

#include <stdbool.h>

struct event_base;
struct proxy;

enum line { COMMANDS, MESSAGES, LINES };
enum way { TO_REDIS, FROM_REDIS, WAYS };

/* Listens on a free port. */
struct proxy *proxy_create(struct event_base *base);
void proxy_destroy(struct proxy *proxy);
int proxy_port(const struct proxy *proxy);

/* Holds back what goes that way, or lets it go on. */
void proxy_hold(struct proxy *proxy, enum line line, enum way way, bool held);

/* Cuts all connections; what was held is lost. */
void proxy_cut(struct proxy *proxy);

/* Cuts all connections towards the bus.  What was held on its way to Redis arrives there with proxy_haunt().
 */
void proxy_abandon(struct proxy *proxy);
void proxy_haunt(struct proxy *proxy);

/* Connections made so far. */
unsigned proxy_connections(const struct proxy *proxy);

#endif
