#ifndef HUBBUB_TESTS_STORE_HARNESS_H
#define HUBBUB_TESTS_STORE_HARNESS_H

/*
 * harness: the servers that with_servers.py started, stores that run beside the test, and waiting for
 * conditions.
 *
 * Everything that goes wrong here fails the test and shows the stores' logs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "id.h"

#define STORES 2
#define LOBBY_LANE 6u /* of the room lobby; also of the XADDs of these tests */

/* What is known of the tests' command line: hubbub-store and the directory migrations. */
extern const char *store_path, *migrations_path;

/* Reads the command line. */
void harness_arguments(int argc, char **argv);

/* A test that begins with an empty Redis and an empty history, and ends its stores, whose status must be 0.
 */
#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, harness_setup, harness_teardown)
int harness_setup(void **state);
int harness_teardown(void **state);

/* How often the next store is told the Redis server: it takes each for another one. */
extern int redis_addresses_used;

/* Starts store `n` and waits until it is ready. */
void store_start(int n);
/* The same without waiting. */
void store_launch(int n);
/* Gives the stores that are started as `n` in this test a port to ask on; the same as store `m` has. */
void store_listen(int n, int port);
void store_listen_as(int n, int m);
/* Sends a signal; after SIGKILL the store is gone when this returns. */
void store_signal(int n, int number);
/* Waits until it has ended; its exit status. */
int store_wait(int n);
/* True if a line of its log holds `text`. */
bool store_logged(int n, const char *text);
/* How often its log holds `text`. */
int store_count(int n, const char *text);
void await_log(int n, const char *text);

/* The first value of a query as the superuser, "" for null; valid until the next call. */
const char *sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Waits until the query says true, at most `seconds`. */
void await_sql(int seconds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The SQLSTATE of a query on another connection; "00000" if it works. */
const char *sql_state(const char *url, const char *query);

/* A Redis command that must not fail; the caller frees the reply. */
redisReply *redis(const char *format, ...);
/* The same for one whose answer does not matter, or is a number. */
long long redis_number(const char *format, ...);
void redis_reconnect(void);

/* XADDs an entry with a given stream id ("*": Redis' choice) to a lane. */
void add(unsigned lane, const char *id, const char *chain, const char *prev, const char *body);
/* Publishes a chat of `sender` in the room lobby as a gateway does; gives up at the deadline. */
void publish(const char *sender, const char *text);
/* The 63-bit form of a stream id of a lane. */
int64_t id_of(unsigned lane, uint64_t ms, unsigned seq);

/* The pid that a file named by the environment holds now. */
pid_t pid_from(const char *variable);

/* Milliseconds of the monotonic clock; a short pause between two looks at a condition. */
int64_t clock_now(void);
void pause_briefly(void);
/* Fails the test, showing the logs. */
void give_up(const char *why) __attribute__((noreturn));

#endif
