#ifndef HUBBUB_CLIENT_TALK_H
#define HUBBUB_CLIENT_TALK_H

/* talk: hubbub for a person: what is typed and heard, in rooms, on a screen or, on a terminal that cannot
 * show one, line by line. */

struct options;

/* Until the person quits: 0; 1 after one line on standard error that says why it could not be. */
int talk(const struct options *options);

#endif
