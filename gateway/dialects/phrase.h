#ifndef HUBBUB_PHRASE_H
#define HUBBUB_PHRASE_H

/*
 * phrase: a request in words, a verb and its arguments with spaces between, as people type it.
 *
 * A dialect has a table of the phrases that it understands.
 */

#include "dialect.h"

#define ARGUMENTS_MAX 2

struct phrase {
    const char *word;
    enum verb verb;
    bool rest;                     /* the last argument is all that follows, with its spaces */
    bool number;                   /* the argument is a number from 1 on: request->limit */
    unsigned least, most;          /* arguments */
    size_t offsets[ARGUMENTS_MAX]; /* where in struct request they go */
    const char *usage;             /* a sentence for who gets them wrong */
    const char *room;              /* the room, if no argument is, or NULL */
    const char *form, *purpose;    /* for a help text: what to type, and what for; NULL if there is none */
};

/* The phrase of `n` whose word this is, in any case; NULL: none. */
const struct phrase *phrase_find(const struct phrase *phrases, size_t n, const char *word);

/*
 * Reads what follows the word, or NULL if nothing does; it is cut in place and holds the request's strings.
 * Returns DECODED_REQUEST, or DECODED_ERROR if the arguments are too few or too many.
 */
enum decoded phrase_read(const struct phrase *phrase, char *arguments, struct request *request);

#endif
