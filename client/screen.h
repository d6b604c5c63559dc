#ifndef HUBBUB_CLIENT_SCREEN_H
#define HUBBUB_CLIENT_SCREEN_H

/*
 * screen: the terminal, by ncursesw.  A conversation, a status line, and the line that is typed; drawn at the
 * end of a loop turn if something has changed.
 *
 *     12:01 Ann: hello                           <- conversation_line(), scrolled by PageUp and PageDown
 *     12:02 Bob: ...
 *     [lobby]  12 here  connected       dev:3    <- status
 *     > hel_                                     <- edit
 *
 * There is one terminal, so there is one screen at a time.
 */

#include <stdbool.h>
#include <stddef.h>

#define SCREEN_PASTE_MAX (64 * 1024) /* more than may be said: what is pasted is cut there */

struct conversation;
struct edit;
struct event_base;
struct screen;

struct screen_ops {
    void (*entered)(void *ctx);  /* Enter: the line, which may be empty, is in edit_text(); clear it */
    void (*complete)(void *ctx); /* Tab, also where a password is typed */
    void (*top)(void *ctx);      /* scrolled to where nothing older is: ask for it */
    /* Of several lines, also where a password is typed; of one it is inserted.  Line ends are LF, those at
     * its end are gone; the rest is as it came. */
    void (*pasted)(void *ctx, const char *text, size_t len);
    void (*answered)(void *ctx, bool yes); /* the question of screen_ask */
    void (*next_room)(void *ctx, int by);  /* Ctrl-N, Ctrl-P: 1, -1 */
    void (*quit)(void *ctx);               /* Ctrl-C, Ctrl-D on an empty line, or the terminal went away */
};

/*
 * Takes the terminal.  NULL: it cannot show this (TERM is dumb or unknown, or it is none); *why is said, a
 * literal.  Sets LC_CTYPE as the environment says, or UTF-8 where that says nothing.  A signal that would end
 * the program gives the terminal back first; those that have a handler already are left alone.
 */
struct screen *screen_create(struct event_base *base, bool colours, const struct screen_ops *ops, void *ctx,
                             const char **why);

/* Gives the terminal back as it was; also to be called before exit by whatever way.  Takes NULL.  Not from an
 * op. */
void screen_destroy(struct screen *screen);

/* What is seen and typed from now on, at the newest line.  Both are borrowed, until they are replaced; NULL:
 * nothing. */
void screen_show(struct screen *screen, struct conversation *conversation, struct edit *edit);

/* Copied.  `brief` is what must be seen of `left` where there is no room for all; `hidden`: what is typed
 * behind the prompt is a password. */
void screen_set_status(struct screen *screen, const char *left, const char *brief, const char *right);
void screen_set_prompt(struct screen *screen, const char *prompt, bool hidden);

/*
 * Asks something that is answered by y or n, instead of the prompt; copied; empty: nothing is asked any more.
 * No key counts as an answer before the question was drawn; nor, if it is not `expected` (it does not come
 * from what was just done), while one types on as if it were not there, which goes into the line.
 */
void screen_ask(struct screen *screen, const char *question, bool expected);

void screen_changed(struct screen *screen); /* draw at the end of this turn */
void screen_bell(struct screen *screen);

#endif
