#ifndef HUBBUB_FLAT_H
#define HUBBUB_FLAT_H

/*
 * flat: JSON objects that hold strings alone, like {"from":"Alice","text":"hi"}.
 *
 * Nearly all that is said is such an object, on its way in, in Redis and on its way out.  A library for JSON
 * makes a tree of it, with a hash table, and takes many times as many instructions.  What is not
 * flat is left to the library.
 */

#include <stdbool.h>
#include <stddef.h>

#define FLAT_MEMBERS_MAX 8

/* A member of an object that is to be written.  The key needs no escapes; without a value (NULL) it is left
 * out. */
struct flat_member {
    const char *key, *value;
};

/* How many bytes flat_write() will write; without members, 2. */
size_t flat_size(const struct flat_member *members, size_t n);

/* Writes the object, in the order of `members` and without white space, and returns its end; there is no NUL
 * behind it.  Byte for byte what jansson's JSON_COMPACT makes of strings that are UTF-8. */
char *flat_write(const struct flat_member *members, size_t n, char *to);

/* A string of an object that was read, where it stands. */
struct flat_string {
    const char *at; /* NULL: there is none */
    size_t len;     /* what it stands for is not longer */
    bool escaped;   /* there are escapes in it, */
    bool unicode;   /* also \uXXXX */
};

struct flat_pair {
    struct flat_string key, value;
};

/*
 * Reads the object that `bytes` begin with: returns how many bytes it takes, and sets *n to how many pairs it
 * has.  0: it is no flat object of 1 to FLAT_MEMBERS_MAX members, or not all of it is there, or there is
 * something in it for the library (a key with \uXXXX).  What is read is JSON, and UTF-8 without NUL.
 */
size_t flat_read(const char *bytes, size_t len, struct flat_pair pairs[FLAT_MEMBERS_MAX], size_t *n);

/* True if `string` is `text`, which is not empty and needs no escapes. */
bool flat_equals(const struct flat_string *string, const char *text);

/* Writes what `string` stands for and a NUL, len + 1 bytes at most; returns the end, behind the NUL. */
char *flat_copy(const struct flat_string *string, char *to);

#endif
