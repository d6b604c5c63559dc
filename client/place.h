#ifndef HUBBUB_CLIENT_PLACE_H
#define HUBBUB_CLIENT_PLACE_H

/*
 * place: a room that a person has open: its conversation, who is there, and what was not looked at yet.
 * Places are a list, in the order in which they were opened.  Without memory all of this ends the program.
 */

#include <stdbool.h>
#include <uthash.h>

#define PLACE_PEOPLE_MAX 5000 /* are known of a place */

struct conversation;

/* Somebody who is in a room. */
struct human {
    UT_hash_handle hh; /* in place.people, in the order in which they were added */
    char *name;
    char folded[];
};

struct place {
    struct conversation *conversation;
    struct human *people; /* of those who are there, some: for completion */
    long users;           /* how many there are; -1: not known, one is not there */
    unsigned unread;
    bool mentioned;   /* one of the unread mentions the person */
    bool older_asked; /* a page of the history is under way */
    bool older_none;  /* there is nothing older */
    struct place *prev, *next;
    char room[]; /* folded */
};

/* NULL: there is none of this name, or it is no room's. */
struct place *place_find(struct place *places, const char *room);

/* The one that is there, or a new one at the end; `self`: whose mentions its conversation looks for.  NULL:
 * `room` is no room's name. */
struct place *place_open(struct place **places, const char *room, const char *self);

/* Takes it out of the list, and frees it. */
void place_close(struct place **places, struct place *place);

/* It was looked at. */
void place_read(struct place *place);

/* Names compare folded.  What is no name is not added, nor who would be one too many; who is there already
 * stays as they are. */
void place_add(struct place *place, const char *name);
void place_remove(struct place *place, const char *name);
void place_remove_all(struct place *place);

#endif
