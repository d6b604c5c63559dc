#ifndef HUBBUB_TESTS_FUNCTIONS_SUPPORT_H
#define HUBBUB_TESTS_FUNCTIONS_SUPPORT_H

/*
 * support: one connection that calls functions and one that hears every channel, both to the private Redis at
 * TEST_REDIS_PORT; and answers as texts, so that a test can say what it wants in one line.
 *
 * An answer's text is its elements with spaces between; an inner array stands in brackets, an error is "!"
 * and its message.  Texts are kept until the next test.
 */

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "functions.h"

#define FLOOR "1000-0" /* of all lanes, in a fresh Redis */

extern redisContext *redis;

/* A further connection, which the caller frees. */
redisContext *another_connection(void);

/* Group set-up and tear-down: connects, and loads the library. */
int connect_redis(void **state);
int disconnect_redis(void **state);

/* Test set-up: a Redis whose lanes are open and empty, with the gateways g1-a and g2-b linked by link 1. */
int fresh_redis(void **state);

/* Test set-up: a Redis without a key. */
int empty_redis(void **state);

#define functions_test(f) cmocka_unit_test_setup(f, fresh_redis)
#define run_functions_tests(tests) cmocka_run_group_tests(tests, connect_redis, disconnect_redis)

/* A command, or a function of the library in a lane; printf-like as hiredis has it.  The caller frees the
 * reply. */
redisReply *command(const char *format, ...);
redisReply *fcall(const char *function, unsigned lane, const char *format, ...);
redisReply *fcall_with(redisContext *context, const char *function, unsigned lane, const char *format, ...);
redisReply *vfcall(redisContext *context, const char *function, unsigned lane, const char *format,
                   va_list args);

/* The text of an answer.  Takes `reply`. */
const char *text_of(redisReply *reply);

/* Its first word; and its element at `index` (of the outer array). */
const char *word_of(redisReply *reply);
const char *element_of(redisReply *reply, size_t index);

#define expect(wanted, reply) assert_string_equal(text_of(reply), wanted)
#define expect_word(wanted, reply) assert_string_equal(word_of(reply), wanted)

/* A text made by printf, kept as the others. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What was published since the last call, a line "CHANNEL MESSAGE" each; times in notices are printed as
 * "MS". */
const char *heard(void);

/* The entries of a lane's log, a line "CHAIN PREV BODY" each. */
const char *log_of(unsigned lane);

/* Every key and its value, to compare.  The caller frees it. */
char *dataset(void);

/* Redis' clock in milliseconds. */
uint64_t redis_clock(void);

/* The order of two ids "ms-seq": below, at or above 0. */
int compare_ids(const char *a, const char *b);

/* The arguments of the functions of presence.  What is not given is g1-a, link 1, seen 0-0, the clock, name
 * alice (shown as it is), session g1-a-1, no key, no account, lobby, notices up to 200 members, 50 names. */
struct who {
    const char *incarnation, *link, *seen, *name, *shown, *session, *key, *account, *room, *notice_max,
        *names_max;
    uint64_t clock;
};

redisReply *claim_by(redisContext *context, struct who who);
redisReply *enter_by(struct who who);
redisReply *leave_by(struct who who);
redisReply *release_by(struct who who);

#define claim(...) claim_by(redis, (struct who){__VA_ARGS__})
#define enter(...) enter_by((struct who){__VA_ARGS__})
#define leave(...) leave_by((struct who){__VA_ARGS__})
#define release(...) release_by((struct who){__VA_ARGS__})

/* A message of g1-a, link 1, to `room` in `lane`; its ref digest may be "". */
redisReply *say(unsigned lane, unsigned seq, const char *room, const char *ref, const char *body);

#endif
