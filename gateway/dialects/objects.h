#ifndef HUBBUB_OBJECTS_H
#define HUBBUB_OBJECTS_H

/*
 * objects: a stream of JSON objects, each of them a request; what json and command share.
 *
 * A dialect says by tables which words, keys and values it knows.
 */

#include <jansson.h>

#include "dialect.h"
#include "flat.h"

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

/* The same for an object of strings, of which there is one for each chat or more. */
void objects_put_flat(struct evbuffer *out, const struct flat_member *members, size_t n);

/* The names of a reply as a list, ["Alice", ...]; and as rooms, [{"room":"lobby","users":3}, ...]. */
json_t *objects_names(const struct reply *reply);
json_t *objects_rooms(const struct reply *reply);

#define OBJECTS_EVENT_MEMBERS 6

/* How a dialect shows an event: an object of strings.  Its members point into the event and into this. */
struct objects_event {
    char id[ID_TEXT_MAX], at[ID_TEXT_MAX];
    struct flat_member members[OBJECTS_EVENT_MEMBERS];
};

typedef void objects_show_fn(const struct event *event, struct objects_event *shown);

void objects_put_event(struct evbuffer *out, const struct event *event, objects_show_fn *show);

/* The events of a reply as a list. */
json_t *objects_list(const struct reply *reply, objects_show_fn *show);

#endif
