#ifndef HUBBUB_CLIENT_EDIT_H
#define HUBBUB_CLIENT_EDIT_H

/*
 * edit: the line that a person types, and those typed before.  Moves by what a person sees as one character
 * (see width.h), so that combining marks and emoji are one.  Knows no terminal.
 */

#include <stdbool.h>
#include <stddef.h>

#define EDIT_MAX_BYTES 8192
#define EDIT_HISTORY_MAX 500

enum edit_key {
    EDIT_LEFT,
    EDIT_RIGHT,
    EDIT_WORD_LEFT, /* a word: letters, digits and what else may stand in a name */
    EDIT_WORD_RIGHT,
    EDIT_HOME,
    EDIT_END,
    EDIT_BACKSPACE,
    EDIT_DELETE,
    EDIT_KILL_WORD, /* before the cursor; a word: what is between blanks */
    EDIT_KILL_TO_START,
    EDIT_KILL_TO_END,
    EDIT_YANK, /* inserts what was killed last; kills that follow one another are one */
    EDIT_TRANSPOSE,
    EDIT_OLDER, /* through the history; what was being typed comes back at its end */
    EDIT_NEWER,
};

struct edit;

/* Without memory these end the program. */
struct edit *edit_create(void);
void edit_destroy(struct edit *edit); /* takes NULL */

void edit_key(struct edit *edit, enum edit_key key);

/*
 * Inserts UTF-8 at the cursor.  Control characters are left out, but LF stays (a paste) and tab becomes a
 * blank.  False, and nothing is inserted, if it was too much or is not UTF-8.
 */
bool edit_insert(struct edit *edit, const char *text, size_t len);

/* The line, NUL-terminated, and where the cursor is in it, in bytes (if not NULL).  Good until the next call.
 */
const char *edit_text(const struct edit *edit, size_t *cursor);

/* Replaces the `len` bytes before the cursor (completion). */
void edit_replace(struct edit *edit, size_t len, const char *by);

/* Empties the line; `keep`: it goes into the history (not if it is empty or the newest there). */
void edit_clear(struct edit *edit, bool keep);

/*
 * What of the line is seen in `width` columns (at least 3), some of which the cursor takes: *from and *to in
 * bytes, *column of the cursor.  LF counts as one column.
 */
void edit_window(const struct edit *edit, unsigned width, size_t *from, size_t *to, unsigned *column);

#endif
