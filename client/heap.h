#ifndef HUBBUB_CLIENT_HEAP_H
#define HUBBUB_CLIENT_HEAP_H

/* heap: memory that must be had, and memory of which nothing must stay. */

#include <stdlib.h>
#include <string.h>

/* What an allocation has returned.  Without memory there is nothing useful left to do: the program ends. */
static inline void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* Frees a secret, and leaves no copy where it was.  Takes NULL. */
static inline void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

#endif
