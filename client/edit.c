#include "edit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "name.h"
#include "width.h"

struct edit {
    char text[EDIT_MAX_BYTES + 1];
    size_t len, cursor;              /* bytes; the cursor is never within a character */
    char killed[EDIT_MAX_BYTES + 1]; /* what EDIT_YANK brings */
    bool killing;                    /* the last key was a kill: the next one adds to it */
    char *history[EDIT_HISTORY_MAX]; /* oldest first */
    size_t n_history, at;            /* which of them is shown; n_history: the line that is being typed */
    char *draft;                     /* that line while an older one is shown, else NULL */
};

struct edit *edit_create(void)
{
    return need(calloc(1, sizeof(struct edit)));
}

void edit_destroy(struct edit *edit)
{
    if (!edit)
        return;
    for (size_t i = 0; i < edit->n_history; i++)
        free(edit->history[i]);
    free(edit->draft);
    free(edit);
}

/* The text ----------------------------------------------------------------------------------------------- */

static void set_text(struct edit *edit, const char *text)
{
    edit->len = edit->cursor = strlen(text);
    memcpy(edit->text, text, edit->len + 1);
}

static void remove_bytes(struct edit *edit, size_t from, size_t to)
{
    memmove(edit->text + from, edit->text + to, edit->len - to + 1);
    edit->len -= to - from;
    edit->cursor = from;
}

/* The caller has seen to it that there is room. */
static void insert_bytes(struct edit *edit, const char *text, size_t len)
{
    memmove(edit->text + edit->cursor + len, edit->text + edit->cursor, edit->len - edit->cursor + 1);
    memcpy(edit->text + edit->cursor, text, len);
    edit->len += len;
    edit->cursor += len;
}

/* What met at the cursor may be one character now, as a letter and a mark: the cursor goes behind it. */
static void leave_character(struct edit *edit)
{
    size_t at = 0;

    while (at < edit->cursor)
        at += cluster_len(edit->text + at, edit->len - at);
    edit->cursor = at;
}

/* `c` may be the first byte of a character. */
static bool is_kept(const char *text, size_t left)
{
    unsigned char c = (unsigned char)text[0];

    if (c < ' ')
        return c == '\n' || c == '\t';
    return c != 0x7f && !(c == 0xc2 && left > 1 && (unsigned char)text[1] < 0xa0); /* U+0080 to U+009F */
}

bool edit_insert(struct edit *edit, const char *text, size_t len)
{
    char *clean;
    size_t n = 0;

    edit->killing = false;
    if (len > EDIT_MAX_BYTES * 2 || (len > 0 && !text_is_utf8(text, len)))
        return false;
    clean = need(malloc(len + 1));
    for (size_t i = 0; i < len; i++) {
        if (is_kept(text + i, len - i))
            clean[n++] = (char)(text[i] == '\t' ? ' ' : text[i]);
        else if ((unsigned char)text[i] == 0xc2)
            i++;
    }
    if (n > EDIT_MAX_BYTES - edit->len) {
        free(clean);
        return false;
    }
    insert_bytes(edit, clean, n);
    leave_character(edit);
    free(clean);
    return true;
}

const char *edit_text(const struct edit *edit, size_t *cursor)
{
    if (cursor)
        *cursor = edit->cursor;
    return edit->text;
}

void edit_replace(struct edit *edit, size_t len, const char *by)
{
    edit->killing = false;
    if (len > edit->cursor || strlen(by) > EDIT_MAX_BYTES - (edit->len - len))
        return;
    remove_bytes(edit, edit->cursor - len, edit->cursor);
    insert_bytes(edit, by, strlen(by));
    leave_character(edit);
}

/* Moves -------------------------------------------------------------------------------------------------- */

static size_t before(const struct edit *edit, size_t at)
{
    return cluster_before(edit->text, at);
}

static size_t behind(const struct edit *edit, size_t at)
{
    return at + cluster_len(edit->text + at, edit->len - at);
}

static bool is_word(const struct edit *edit, size_t at)
{
    return name_span(edit->text + at) > 0;
}

static size_t word_before(const struct edit *edit)
{
    size_t at = edit->cursor;

    while (at > 0 && !is_word(edit, before(edit, at)))
        at = before(edit, at);
    while (at > 0 && is_word(edit, before(edit, at)))
        at = before(edit, at);
    return at;
}

static size_t word_behind(const struct edit *edit)
{
    size_t at = edit->cursor;

    while (at < edit->len && !is_word(edit, at))
        at = behind(edit, at);
    while (at < edit->len && is_word(edit, at))
        at = behind(edit, at);
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n';
}

static size_t blank_before(const struct edit *edit)
{
    size_t at = edit->cursor;

    while (at > 0 && is_blank(edit->text[at - 1]))
        at--;
    while (at > 0 && !is_blank(edit->text[at - 1]))
        at--;
    return at;
}

/* Kills and the like ------------------------------------------------------------------------------------- */

/* Removes from the text; what went away before the cursor goes before what was killed just now, else behind
 * it. */
static void kill_bytes(struct edit *edit, size_t from, size_t to, bool was_killing)
{
    size_t len = to - from, old = was_killing ? strlen(edit->killed) : 0;

    edit->killing = true;
    if (len == 0 && !was_killing)
        return;
    assert(len <= EDIT_MAX_BYTES - old); /* what is killed in a row was in the line at once */
    if (from < edit->cursor) {
        memmove(edit->killed + len, edit->killed, old);
        memcpy(edit->killed, edit->text + from, len);
    } else {
        memcpy(edit->killed + old, edit->text + from, len);
    }
    edit->killed[old + len] = '\0';
    remove_bytes(edit, from, to);
}

/* Swaps the characters on both sides of the cursor; at the end, the last two. */
static void transpose(struct edit *edit)
{
    size_t middle = edit->cursor < edit->len ? edit->cursor : before(edit, edit->len);
    size_t from, to, first;
    char *kept;

    if (middle == 0 || edit->len == 0)
        return;
    from = before(edit, middle);
    to = behind(edit, middle);
    first = middle - from;
    kept = need(strndup(edit->text + from, first));
    memmove(edit->text + from, edit->text + middle, to - middle);
    memcpy(edit->text + to - first, kept, first);
    free(kept);
    edit->cursor = to;
}

/* The history -------------------------------------------------------------------------------------------- */

static void show_history(struct edit *edit, size_t at)
{
    if (at == edit->at || at > edit->n_history)
        return;
    if (edit->at == edit->n_history)
        edit->draft = need(strdup(edit->text));
    edit->at = at;
    if (at < edit->n_history) {
        set_text(edit, edit->history[at]);
        return;
    }
    set_text(edit, edit->draft);
    free(edit->draft);
    edit->draft = NULL;
}

static void remember(struct edit *edit)
{
    if (edit->len == 0 ||
        (edit->n_history > 0 && strcmp(edit->history[edit->n_history - 1], edit->text) == 0))
        return;
    if (edit->n_history == EDIT_HISTORY_MAX) {
        free(edit->history[0]);
        memmove(edit->history, edit->history + 1, --edit->n_history * sizeof edit->history[0]);
    }
    edit->history[edit->n_history++] = need(strdup(edit->text));
}

void edit_clear(struct edit *edit, bool keep)
{
    if (keep)
        remember(edit);
    free(edit->draft);
    edit->draft = NULL;
    edit->at = edit->n_history;
    edit->killing = false;
    set_text(edit, "");
}

void edit_key(struct edit *edit, enum edit_key key)
{
    bool was_killing = edit->killing;

    edit->killing = false;
    switch (key) {
    case EDIT_LEFT:
        edit->cursor = before(edit, edit->cursor);
        break;
    case EDIT_RIGHT:
        edit->cursor = behind(edit, edit->cursor);
        break;
    case EDIT_WORD_LEFT:
        edit->cursor = word_before(edit);
        break;
    case EDIT_WORD_RIGHT:
        edit->cursor = word_behind(edit);
        break;
    case EDIT_HOME:
        edit->cursor = 0;
        break;
    case EDIT_END:
        edit->cursor = edit->len;
        break;
    case EDIT_BACKSPACE:
        remove_bytes(edit, before(edit, edit->cursor), edit->cursor);
        break;
    case EDIT_DELETE:
        remove_bytes(edit, edit->cursor, behind(edit, edit->cursor));
        break;
    case EDIT_KILL_WORD:
        kill_bytes(edit, blank_before(edit), edit->cursor, was_killing);
        break;
    case EDIT_KILL_TO_START:
        kill_bytes(edit, 0, edit->cursor, was_killing);
        break;
    case EDIT_KILL_TO_END:
        kill_bytes(edit, edit->cursor, edit->len, was_killing);
        break;
    case EDIT_YANK:
        if (strlen(edit->killed) <= EDIT_MAX_BYTES - edit->len)
            insert_bytes(edit, edit->killed, strlen(edit->killed));
        break;
    case EDIT_TRANSPOSE:
        transpose(edit);
        break;
    case EDIT_OLDER:
        if (edit->at > 0)
            show_history(edit, edit->at - 1);
        break;
    case EDIT_NEWER:
        show_history(edit, edit->at + 1);
        break;
    }
    leave_character(edit);
}

/* What is seen ------------------------------------------------------------------------------------------- */

/* The window moves by halves: so where it is depends on the cursor alone, and it stays while one types a
 * little. */
void edit_window(const struct edit *edit, unsigned width, size_t *from, size_t *to, unsigned *column)
{
    size_t len = cluster_len(edit->text + edit->cursor, edit->len - edit->cursor);
    unsigned under = text_width(edit->text + edit->cursor, len), used;

    if (under == 0)
        under = 1;
    *from = 0;
    *column = text_width(edit->text, edit->cursor);
    while (*column + under > width && *from < edit->cursor) {
        unsigned gone = 0;

        for (; gone * 2 < width && *from < edit->cursor; *from = behind(edit, *from))
            gone += text_width(edit->text + *from, behind(edit, *from) - *from);
        *column -= gone;
    }
    used = 0;
    for (*to = *from; *to < edit->len; *to = behind(edit, *to)) {
        used += text_width(edit->text + *to, behind(edit, *to) - *to);
        if (used > width)
            break;
    }
}
