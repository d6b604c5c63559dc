#ifndef HUBBUB_CLIENT_CONVERSATION_H
#define HUBBUB_CLIENT_CONVERSATION_H

/*
 * conversation: what is to be seen of one room, as entries, and as the lines that these make on a screen of
 * some width.
 *
 * Entries are in the order in which they came; older ones from the history are put before.  Joins and leaves
 * that follow one another are folded into one entry ("3 joined (Ann, Bob, Cid), 1 left (Dan)").  At most
 * CONVERSATION_MAX are kept.  Knows no terminal: a line is a list of spans, each of text and a style.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

#define CONVERSATION_MAX 5000

enum style {
    STYLE_PLAIN,
    STYLE_TIME,    /* dim */
    STYLE_NAME,    /* in the colour of span.colour */
    STYLE_OWN,     /* one's own name */
    STYLE_NOTICE,  /* joins and leaves, and what the client says: dim */
    STYLE_MENTION, /* a line that names the person */
    STYLE_DIRECT,  /* mark of a direct */
    STYLE_ERROR,
    STYLE_PENDING, /* said, not accepted yet: dim */
};

struct span {
    const char *text; /* in the entry; `len` bytes of it */
    size_t len;
    enum style style;
    unsigned colour; /* of STYLE_NAME: 0 to CONVERSATION_COLOURS - 1, the same for a name always */
};

#define CONVERSATION_COLOURS 12
#define LINE_SPANS_MAX 8

struct line {
    int64_t entry; /* of which it is a line, and which one: see conversation_back() */
    unsigned row;
    unsigned indent; /* columns left free before it */
    struct span spans[LINE_SPANS_MAX];
    size_t n;
};

struct conversation;

/* `self`: who looks at it, whose mentions are looked for; copied.  conversation_set_self counts for what
 * comes from then on.  Without memory all of this ends the program: there is nothing useful left to do. */
struct conversation *conversation_create(const char *self);
void conversation_destroy(struct conversation *conversation); /* takes NULL */
void conversation_set_self(struct conversation *conversation, const char *self);

struct saying {
    const char *from, *text;
    const char *to;  /* a direct to that person; NULL: to the room */
    event_id id;     /* 0: not accepted yet */
    int64_t at_ms;   /* since 1970 */
    uint64_t number; /* one's own, from session_say; else 0 */
};

/* Appends, if it is not there already (by id).  True if it mentions the person (who did not say it). */
bool conversation_say(struct conversation *conversation, const struct saying *saying);

/*
 * Puts a page of the history before everything that is there; oldest first.  What is there already (by id) is
 * left out, and so is the older part of what would be more than CONVERSATION_MAX.  Returns how many were put.
 */
size_t conversation_put_before(struct conversation *conversation, const struct saying *sayings, size_t n);

/* One's own saying was accepted (`id`; if an entry of this id came meanwhile there is one of them afterwards)
 * or refused (id 0; it stays, marked with `why`). */
void conversation_settle(struct conversation *conversation, uint64_t number, event_id id, const char *why);

/* The text of one's own saying, if it has no fate yet; else NULL.  Good until the conversation changes. */
const char *conversation_pending(const struct conversation *conversation, uint64_t number);

/* Somebody came or left. */
void conversation_notice(struct conversation *conversation, const char *name, bool joined, int64_t at_ms);

/* The client itself says something, `error` or not; may have several lines. */
void conversation_tell(struct conversation *conversation, const char *text, bool error, int64_t at_ms);

/* The oldest id that is there of what was said to the room, not to people; 0 if none is: where an older page
 * ends. */
event_id conversation_oldest(const struct conversation *conversation);

/*
 * The lines on a screen `width` columns wide (at least 20).  `back` counts from the end: 0 is the last line.
 * False if there are not so many.  What `line` borrows is good until the conversation changes.  Times are
 * local, HH:MM; a new day is a line of its own.
 */
bool conversation_line(struct conversation *conversation, unsigned width, size_t back, struct line *line);

/* How many lines there are at this width.  Measures what it has not measured at this width before. */
size_t conversation_lines(struct conversation *conversation, unsigned width);

/* Where `row` of `entry` is now, counted as above, whatever was added; of what is gone or shorter, what is
 * nearest. */
size_t conversation_back(struct conversation *conversation, unsigned width, int64_t entry, unsigned row);

#endif
