#ifndef HUBBUB_TESTS_STORE_ASKER_H
#define HUBBUB_TESTS_STORE_ASKER_H

/*
 * asker: a gateway's side of the store's port, a line at a time.
 *
 * Whatever does not come within 10 s fails the test.
 */

#include <jansson.h>

#include "harness.h"

struct asker {
    int fd;
    size_t len;
    char bytes[1 << 16];
};

/* Starts store `n` with a port to ask on. */
void asker_start_store(int n);

/* Connects to store `n`, and says nothing yet. */
void asker_connect(struct asker *asker, int n);
/* The same, and says hello. */
void asker_open(struct asker *asker, int n);
void asker_close(struct asker *asker);

/* Sends a line. */
void asker_send(struct asker *asker, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next line that the store sends, without its end; valid until the next call. */
const char *asker_line(struct asker *asker);

/* Sends a line and takes the next one. */
const char *asker_ask(struct asker *asker, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True if the store has sent nothing that was not taken. */
bool asker_is_silent(const struct asker *asker);

/* Waits until the store has closed the connection; what it sends before is skipped. */
void asker_await_end(struct asker *asker);

#endif
