#ifndef HUBBUB_CLIENT_COMMAND_H
#define HUBBUB_CLIENT_COMMAND_H

/*
 * command: what a person can type that begins with a slash, as one table; and its completion.
 */

#include <stdbool.h>
#include <stddef.h>

#define COMMAND_CHOICES_MAX 50

enum command_kind {
    COMMAND_SAY, /* no command: `text` ("//x" says "/x") */
    COMMAND_JOIN,
    COMMAND_LEAVE,
    COMMAND_WHO,
    COMMAND_ROOMS,
    COMMAND_MSG,
    COMMAND_HISTORY,
    COMMAND_REGISTER,
    COMMAND_HELP,
    COMMAND_QUIT,
    COMMAND_WRONG, /* `text` says why, for a person */
};

struct command {
    enum command_kind kind;
    char *name;       /* of a room or person; NULL: none was given */
    const char *text; /* of SAY and MSG (in the line), or what is wrong */
    char *memory;     /* command.c's own */
};

/* Reads a line (not empty).  The caller frees it by command_finish. */
void command_read(const char *line, struct command *command);
void command_finish(struct command *command);

/* One screen: what /help shows. */
const char *command_help(void);

/* Names that may be completed: calls `each` for people or rooms. */
struct completion_source {
    void (*people)(void *ctx, void (*each)(void *to, const char *name), void *to);
    void (*rooms)(void *ctx, void (*each)(void *to, const char *name), void *to);
    void *ctx;
};

/*
 * Completes what stands before `cursor` of `line`: a command, a room behind /join and /leave and /who, a
 * person elsewhere (at the start of the line with ": " behind).  Returns how many bytes before the cursor are
 * replaced, and what by in *by (the caller frees it); 0 and NULL: nothing fits.  If several fit, *by is as
 * far as they agree, and *choices a list of them (at most COMMAND_CHOICES_MAX, and how many more), separated
 * by spaces (the caller frees it; else NULL).  Compares as names are compared.
 */
size_t command_complete(const char *line, size_t cursor, const struct completion_source *source, char **by,
                        char **choices);

#endif
