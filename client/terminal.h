#ifndef HUBBUB_CLIENT_TERMINAL_H
#define HUBBUB_CLIENT_TERMINAL_H

/*
 * terminal: what is around ncurses: whether there is a terminal that can show a screen, pastes in brackets,
 * the echo where there is no screen, and giving it back as it was, also when a signal ends the program.
 */

#include <stdbool.h>

/* What is in the way of a screen here, a literal; NULL: nothing. */
const char *terminal_unfit(void);

/*
 * Remembers how the terminal is.  From now on a signal that ends the program gives it back first; those that
 * have a handler already are left alone.  To be called before newterm(), which would put handlers of its own
 * where there are none.  False: the terminal could not be asked.
 */
bool terminal_keep(void);

/* ncurses has the terminal, or has it again. */
void terminal_take(void);

/* ncurses is about to leave the terminal: the opposite. */
void terminal_leave(void);

/*
 * What is typed is to be read from here, without ncurses; a file that the caller closes, -1: errno tells.
 * Where its keys make signals for us, reading does not wait: Ctrl-C and Ctrl-Z throw away what was typed,
 * also what poll() has just told of.
 */
int terminal_input(void);

/* Without ncurses: whether what is typed is shown; `on`: if it was when terminal_keep() was called. */
void terminal_echo(bool on);

/*
 * The program, which has its own handler of this signal, is to end by it in any case: when
 * TERMINAL_END_SECONDS have passed the signal kills it, and the terminal is given back as far as it takes
 * that.  One that takes nothing (Ctrl-S, a dead line) would keep whoever writes to it for ever.
 */
#define TERMINAL_END_SECONDS 5
bool terminal_bound_end(int number);

/* ncurses has left it: as terminal_keep() found it.  Does nothing if that was not called. */
void terminal_give_back(void);

#endif
