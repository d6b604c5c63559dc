#ifndef HUBBUB_CLIENT_WIDTH_H
#define HUBBUB_CLIENT_WIDTH_H

/*
 * width: text as a person sees it, in characters (grapheme clusters), and the columns that each takes on a
 * terminal.
 *
 * Terminals do not agree about emoji that are made of several: some draw them as one of 2 columns, others
 * each part for itself.  A screen on which program and terminal count differently is torn, so such a cluster
 * is drawn in a form that all of them measure alike: its parts beside each other, without joiners, variation
 * selectors and skin tones.
 */

#include <stddef.h>
#include <stdint.h>

#define CLUSTER_SHOWN_MAX 16 /* marks behind these are not drawn */

struct cluster {
    size_t len;                       /* bytes */
    unsigned width;                   /* columns; 0: nothing of it is drawn */
    int32_t shown[CLUSTER_SHOWN_MAX]; /* code points to be drawn */
    size_t n;
};

/*
 * Reads the first cluster of `text` (`len` bytes, not 0).  A control character is one of its own, drawn as
 * U+FFFD, but LF as U+21B5 and tab as a blank; so is a byte that is not UTF-8.
 */
void cluster_read(const char *text, size_t len, struct cluster *cluster);

/* How many bytes the first cluster of `text` has; 0 at its end. */
size_t cluster_len(const char *text, size_t len);

/* Where the last cluster before `at` begins; 0 at the start. */
size_t cluster_before(const char *text, size_t at);

/* How many columns this text takes. */
unsigned text_width(const char *text, size_t len);

/* How many columns one code point takes, on its own or behind others. */
unsigned char_width(int32_t c);

#endif
