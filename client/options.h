#ifndef HUBBUB_CLIENT_OPTIONS_H
#define HUBBUB_CLIENT_OPTIONS_H

/*
 * options: what the person wants, from the command line, else the environment, else the settings file
 * ($XDG_CONFIG_HOME/hubbub/client.conf, without that variable ~/.config/hubbub/client.conf), else built in.
 * One table (options.c), from which --help is made, too.
 */

#include <stdbool.h>
#include <stdio.h>

#include "id.h"

#define SERVER_DEFAULT "localhost"
#define SERVER_PORT 7000
#define PASSWORD_MAX_BYTES 128

/* Strings are owned by the struct. */
struct options {
    char *name;     /* may be NULL: nobody said one, and the login name is none */
    char *room;     /* the lobby, if nobody said one */
    char *host;     /* a name or an address, which of IPv6 without brackets */
    char *port;     /* a number */
    char *password; /* NULL: none was given */
    event_id since; /* go on behind that; 0: from now on */
    bool tail;      /* print events instead of talking */
    bool json;      /* print them as JSON */
    bool bell;      /* may ring when the person is named */
    bool colours;   /* NO_COLOR is not set */
};

/*
 * Reads it all.  Returns -1 if the program shall run; else its exit status, and `options` needs no
 * options_finish: --help or --version was written to `out`, or what is wrong, in one line, to `errors`.
 */
int options_read(struct options *options, int argc, char **argv, FILE *out, FILE *errors);

/* Frees the values; of the password nothing stays in memory. */
void options_finish(struct options *options);

#endif
