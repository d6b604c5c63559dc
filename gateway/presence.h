#ifndef HUBBUB_PRESENCE_H
#define HUBBUB_PRESENCE_H

/*
 * presence: who holds which name, across all gateways.
 *
 * What was asked and not answered when a link broke is asked again after the next one is open, in the same
 * order; all of it is idempotent by session.  Gateways watch each other's beats, and whoever sees one stand
 * still frees its names.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

struct bus;
struct presence;
struct redisReply;
struct settings;

/* What a session holds, and by what right.  Strings are borrowed. */
struct claim {
    const char *name;  /* folded */
    const char *shown; /* as given */
    const char *session;
    const char *key;     /* its digest, or NULL */
    const char *account; /* the number of the account whose password was verified, or NULL */
    const char *room;    /* the first one; "": none */
    const char *record;  /* see session_open_record() */
    bool with_names;     /* the answer is to name who is in the room */
};

enum presence_result {
    PRESENCE_OK,
    PRESENCE_TAKEN,       /* claim: somebody else has the name */
    PRESENCE_ACCOUNT,     /* claim: the name needs a password */
    PRESENCE_GONE,        /* enter, leave, release: the name is not this session's (any more) */
    PRESENCE_UNAVAILABLE, /* Redis did not do it */
};

struct presence_ops {
    /* The answer to presence_claim, _enter, _leave or _release.  Of the first two: how many are in the room,
     * and, if they were asked for, some of their names as shown. */
    void (*answered)(void *ctx, uint64_t token, enum presence_result result, long count,
                     const char *const *names, size_t n_names);
    /* The answer to presence_who and presence_rooms (then with counts).  `names` is NULL if it is not to be
     * had. */
    void (*listed)(void *ctx, uint64_t token, long count, const char **names, const long *counts,
                   size_t n_names);
    /* The answer to presence_find: "a:NUMBER" of an account, wherever its user is; of a guest the digest of
     * the key with which the name is held, or the session that holds it without one; NULL: nobody does.
     * `known` is false if that is not to be had. */
    void (*found)(void *ctx, uint64_t token, bool known, const char *holder);
    /* A session lost its name: to one with the same key (`replaced`), or to a stranger while Redis had
     * forgotten us. */
    void (*lost)(void *ctx, const char *session, bool replaced);
    /* Calls presence_reclaim for each session that holds a name: Redis may know nothing of them. */
    void (*reclaim)(void *ctx);
    /*
     * What Redis says that this gateway holds: sessions[i] has the name names[i].  A session that is not
     * among them has lost its name; a name whose session is not here is to be released.
     */
    void (*held)(void *ctx, const char *const *names, const char *const *sessions, size_t n);
};

/* NULL: no memory. */
struct presence *presence_create(struct bus *bus, const struct settings *settings,
                                 const struct presence_ops *ops, void *ctx);
void presence_destroy(struct presence *presence);

/* Each is answered by ops->answered with `token`, however long it takes. */
void presence_claim(struct presence *presence, const struct claim *claim, uint64_t token);
void presence_enter(struct presence *presence, const char *name, const char *shown, const char *session,
                    const char *room, bool with_names, uint64_t token);
void presence_leave(struct presence *presence, const char *name, const char *shown, const char *session,
                    const char *room, uint64_t token);
void presence_release(struct presence *presence, const char *name, const char *session, uint64_t token);

/* For ops->reclaim: claims again what `claim` says, and enters `rooms`; what is lost is told by ops->lost. */
void presence_reclaim(struct presence *presence, const struct claim *claim, const char *const *rooms,
                      size_t n_rooms);

/* Answered by ops->listed; false: not to be had now. */
bool presence_who(struct presence *presence, const char *room, uint64_t token);
bool presence_rooms(struct presence *presence, uint64_t token);

/* Asks who, on whatever gateway, holds the (folded) name.  Answered by ops->found; false: not to be had now.
 */
bool presence_find(struct presence *presence, const char *name, uint64_t token);

/* How many calls are without an answer. */
size_t presence_unanswered(const struct presence *presence);

/* Takes this gateway off the list: all names were released.  Ends when presence_unanswered is 0. */
void presence_retire(struct presence *presence);

/* From the bus. */
void presence_lane_up(struct presence *presence);
void presence_lane_down(struct presence *presence);
void presence_reincarnated(struct presence *presence);
void presence_message(struct presence *presence, const char *payload);
void presence_beats(struct presence *presence, const struct redisReply *counts);

#endif
