#ifndef HUBBUB_CLIENT_SCRIPT_H
#define HUBBUB_CLIENT_SCRIPT_H

/* script: hubbub for programs. */

struct options;

/*
 * Says each line of standard input, in order, and returns 0 when all are accepted.  At the first that cannot
 * be said, or of which nobody knows whether it was, it says nothing more and returns 1 after one line on
 * standard error.
 */
int script_say(const struct options *options);

/*
 * Prints what is heard, a line each (of a text of several lines, several) or a JSON object each, until it is
 * interrupted or nobody reads any more (0), or the server refuses (1, after one line on standard error).
 */
int script_tail(const struct options *options);

#endif
