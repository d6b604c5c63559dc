#ifndef HUBBUB_EXAMPLE_H
#define HUBBUB_EXAMPLE_H

/*
 * example: rows of a table of tests, each a test of its own with a name that says its property.
 *
 * A file that includes this defines DIALECT, the name of the dialect that it is about.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "transcript.h"

struct example {
    const char *bytes;
    size_t len;
    const char *expected;
    struct reply reply;
    struct event event;
    struct notice notice;
};

static inline void check_understood(void **state)
{
    const struct example *example = *state;

    assert_understood(dialect_named(DIALECT), example->bytes, example->len, example->expected);
}

static inline void check_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static inline void check_reply(void **state)
{
    const struct example *example = *state;

    check_text(reply_text(dialect_named(DIALECT), &example->reply), example->expected);
}

static inline void check_event(void **state)
{
    const struct example *example = *state;

    check_text(event_text(dialect_named(DIALECT), &example->event), example->expected);
}

static inline void check_notice(void **state)
{
    const struct example *example = *state;

    check_text(notice_text(dialect_named(DIALECT), &example->notice), example->expected);
}

/* These bytes (a literal, which may hold NUL) are understood as `text`. */
#define UNDERSTOOD(name, literal, text)                                        \
    {                                                                          \
        name, check_understood, NULL, NULL, &(struct example)                  \
        {                                                                      \
            .bytes = (literal), .len = sizeof(literal) - 1, .expected = (text) \
        }                                                                      \
    }

/* Initializers of a reply: a page of these events, each {...}. */
#define EVENTS(...)                                 \
    .events = (struct event *const[]){__VA_ARGS__}, \
    .n_events = sizeof((struct event *const[]){__VA_ARGS__}) / sizeof(struct event *)
#define ONE(...)    \
    &(struct event) \
    {               \
        __VA_ARGS__ \
    }

/* What is given behind `text` as initializers of the struct is encoded as `text`. */
#define REPLY(name, text, ...)                           \
    {                                                    \
        name, check_reply, NULL, NULL, &(struct example) \
        {                                                \
            .expected = (text), .reply = { __VA_ARGS__ } \
        }                                                \
    }
#define EVENT(name, text, ...)                           \
    {                                                    \
        name, check_event, NULL, NULL, &(struct example) \
        {                                                \
            .expected = (text), .event = { __VA_ARGS__ } \
        }                                                \
    }
#define NOTICE(name, text, ...)                           \
    {                                                     \
        name, check_notice, NULL, NULL, &(struct example) \
        {                                                 \
            .expected = (text), .notice = { __VA_ARGS__ } \
        }                                                 \
    }

#endif
