#ifndef HUBBUB_STORE_COMMAND_H
#define HUBBUB_STORE_COMMAND_H

/*
 * command: what a person does to accounts, by hubbub-store passwd NAME and hubbub-store forget NAME.  Stores
 * may run meanwhile.
 */

#include <stdbool.h>

#include "settings.h"

/* True if the first argument is one of the two. */
bool command_is(int argc, char **argv);

/* Then: -1 if there are as many as it takes; else it says the use, and returns the exit status. */
int command_arguments(int argc);

/* Does it; the exit status.  Says on the standard output or error what came of it. */
int command_run(char **argv, const struct settings *settings);

#endif
