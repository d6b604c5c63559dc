#ifndef HUBBUB_STORE_NAMES_H
#define HUBBUB_STORE_NAMES_H

/*
 * names: the rows of users and rooms that a batch needs, found or made, and remembered.
 *
 * Rows are made before the batch and in a statement of their own, sorted by key, so that two stores cannot
 * lock each other out.  What is remembered is dropped at each reconnection: the database may be another one
 * by then.
 */

#include <stddef.h>
#include <stdint.h>

#include "database.h"

struct names;

/* The statements of one kind of name. */
extern const char names_find_users[], names_make_users[], names_find_rooms[], names_make_rooms[];

/*
 * Makes an empty memory of names.  `find` answers (key, id) for an array of keys; `make` makes the rows of
 * arrays of keys and of shown forms that are not there.
 */
struct names *names_create(const char *find, const char *make);

/* Frees.  Takes NULL. */
void names_destroy(struct names *names);

/* Forgets everything. */
void names_clear(struct names *names);

/*
 * Forgets everything if that is too much.  For when a batch is made, before its names are looked for: the
 * one that is under way meanwhile has its ids already.
 */
void names_bound(struct names *names);

/* Notes that the row of `key` (copied; shown as `shown`) is needed by the next names_resolve. */
void names_want(struct names *names, const char *key, const char *shown);

/* Finds and makes what is wanted. */
enum answer names_resolve(struct names *names, struct database *database);

/* The id of the row of `key`; 0 if it was not resolved. */
int64_t names_id(const struct names *names, const char *key);

#endif
