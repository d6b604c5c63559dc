#ifndef BENCH_SPEECH_H
#define BENCH_SPEECH_H

/*
 * speech: what each dialect needs to log in, to know that it has joined, and to say something.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * Behind the number that is to come back is a place for so many more digits: no two chats may have the same,
 * or the server takes the second for a retry of the first.
 */
#define UNIQUE_LEN 16

#define STEPS_MAX 2
#define AWAITED_MAX 15 /* bytes; see carry.h */

/* $n stands for the client's name, $r for its room's, $t for the text and $l for its length. */
struct speech {
    const char *name;
    struct {
        const char *say;
        const char *await;  /* this in the answer, and the step is done */
    } steps[STEPS_MAX + 1]; /* up to the first that says nothing */
    const char *refused;    /* this in the answer, and there is no point in going on; NULL: nothing */
    const char *chat;       /* says the text in the room */
    const char *acked_chat; /* the same, and its number comes back to the sender; NULL: there is no such */
};

/* NULL: there is no such dialect. */
const struct speech *speech_find(const char *name);

/* What a client says in a step; to be freed by the caller. */
char *speech_step(const struct speech *speech, unsigned step, const char *name, const char *room);

/* What says a text of `bytes` in `room`, to be freed by the caller.  It has a place for the number at each
 * `~`. */
char *speech_chat(const struct speech *speech, bool acked, const char *room, size_t bytes);

#endif
