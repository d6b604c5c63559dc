#ifndef HUBBUB_LINT_UTHASH_H
#define HUBBUB_LINT_UTHASH_H

/*
 * lint_uthash: what the static analyzer sees of uthash; never compiled into anything.
 *
 * The analyzer cannot know that an element without neighbours is the table's last one, and then reports a use
 * after free for every loop that empties a table.  Here a removal tells it only that the head may be another
 * one.
 */

#include <uthash.h>

void *lint_removed(void *head, void *element_handle);

#undef HASH_DELETE_HH
#define HASH_DELETE_HH(hh, head, element_handle) ((head) = lint_removed((head), (element_handle)))

#endif
