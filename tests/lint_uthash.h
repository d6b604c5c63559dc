#ifndef HUBBUB_LINT_UTHASH_H
#define HUBBUB_LINT_UTHASH_H

/*
 * lint_uthash: what the static analyzer sees of uthash and utlist; never compiled into anything.
 *
 * The analyzer cannot know that an element without neighbours is the last one, and then reports a use after
 * free for every loop that empties a table or a list.  Here a removal tells it only that the head may be
 * another one.
 */

#include <uthash.h>
#include <utlist.h>

void *lint_removed(void *head, void *element);

#undef HASH_DELETE_HH
#define HASH_DELETE_HH(hh, head, element) ((head) = lint_removed((head), (element)))

#undef DL_DELETE2
#define DL_DELETE2(head, element, prev, next) ((head) = lint_removed((head), (element)))

#undef LL_DELETE2
#define LL_DELETE2(head, element, next) ((head) = lint_removed((head), (element)))

#endif
