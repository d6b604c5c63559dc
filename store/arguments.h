#ifndef HUBBUB_STORE_ARGUMENTS_H
#define HUBBUB_STORE_ARGUMENTS_H

/*
 * arguments: what goes with a statement, in PostgreSQL's binary form: numbers, texts, and arrays of them.
 *
 * An array grows by one element at a time.  No memory is fatal here: the store ends, is started again, and
 * reads again.
 */

#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS_MAX 12

struct arguments {
    int count;
    unsigned types[ARGUMENTS_MAX];
    struct argument {
        char *bytes;
        size_t len, size;
    } values[ARGUMENTS_MAX];
};

/* Makes it empty. */
void arguments_init(struct arguments *arguments);

/* Frees what it holds; it may then be initialised again. */
void arguments_finish(struct arguments *arguments);

/* Each adds one argument: a bigint, a text, an empty bigint[], an empty text[]; returns its index. */
int arguments_number(struct arguments *arguments, int64_t value);
int arguments_text(struct arguments *arguments, const char *value);
int arguments_numbers(struct arguments *arguments);
int arguments_texts(struct arguments *arguments);

/* Changes the bigint with that index. */
void arguments_set_number(struct arguments *arguments, int index, int64_t value);

/* Each adds one element to the array with that index; the text is copied. */
void arguments_add_number(struct arguments *arguments, int index, int64_t value);
void arguments_add_text(struct arguments *arguments, int index, const char *value);

/* How many elements the array has. */
size_t arguments_length(const struct arguments *arguments, int index);

#endif
