#ifndef HUBBUB_OBJECTS_H
#define HUBBUB_OBJECTS_H

/*
 * objects: a stream of JSON objects, each of them a request; what json and command share.
 *
 * A dialect says by tables which words, keys and values it knows.
 */

#include <jansson.h>

#include "dialect.h"

enum objects_kind {
    OBJECTS_STRING,
    OBJECTS_KEY,      /* a string of at most KEY_MAX_BYTES; an empty one, which all would share, is none */
    OBJECTS_PASSWORD, /* a string; an empty one is none */
    OBJECTS_FLAG,     /* true or false */
    OBJECTS_NUMBER,   /* a whole one from 1 on */
};

/* A value that a request can hold. */
struct objects_value {
    const char *key;
    enum objects_kind kind;
    size_t offset;     /* where it goes in struct request */
    const char *wrong; /* the sentence if it is of another kind */
};

/* What a word means; the first row counts whose word it is, and whose `with` (if any) is there. */
struct objects_form {
    const char *word, *with;
    enum verb verb;
    unsigned needed, optional; /* values: bit n is the n-th of the table */
    const char *missing;       /* the sentence if one that is needed is not there */
};

struct objects_grammar {
    const char *key;     /* whose value is the word */
    const char *no_word; /* the sentence if there is none */
    const struct objects_value *values;
    size_t n_values;
    const struct objects_form *forms;
    size_t n_forms;
};

/* For struct dialect. */
struct codec *objects_create(void);
void objects_destroy(struct codec *codec);

/* The dialect's decode, with the tables to do it by.  request->word is that of the form, or, if it is in no
 * form, the client's own. */
enum decoded objects_decode(struct codec *codec, const struct objects_grammar *grammar, const char *bytes,
                            size_t len, size_t *used, struct request *request);

/* Appends `json` (taken; NULL, if there was no memory, is nothing) as one line. */
void objects_put(struct evbuffer *out, json_t *json);

/* The names of a reply as a list, ["Alice", ...]; and as rooms, [{"room":"lobby","users":3}, ...]. */
json_t *objects_names(const struct reply *reply);
json_t *objects_rooms(const struct reply *reply);

/* The events of a reply as a list, each made by `pack`. */
json_t *objects_list(const struct reply *reply, json_t *(*pack)(const struct event *event));

#endif
