#ifndef BENCH_CHATS_H
#define BENCH_CHATS_H

/*
 * chats: those that were said and have not reached everybody yet.
 *
 * A chat's number is its slot in the lower bits and, above, how often the slot was used: so a number is found
 * without searching, and one that comes after its chat was complete is not taken for another's.  The slot
 * that was free last is used first, which keeps those in use in the cache.  Who has received a chat is one
 * bit each.
 */

#include <stddef.h>
#include <stdint.h>

struct chat {
    uint32_t number;
    uint32_t room;
    uint32_t sender; /* its number in the room */
    uint32_t left;   /* how often it must still be received; 0: it is not under way */
    uint64_t due;    /* when it should have been said, in ns */
    uint64_t seen[]; /* by whom */
};

struct chats;

/* For rooms of `members`, and `count` chats at once, or fewer if that took more than 256 MiB.  NULL: no
 * memory. */
struct chats *chats_create(size_t members, size_t count);
void chats_destroy(struct chats *chats);

/* A new one, to be received `left` times (not 0).  NULL: as many as can be are under way. */
struct chat *chats_begin(struct chats *chats, uint32_t room, uint32_t sender, uint32_t left, uint64_t due);

/*
 * The chat that `member` of `room` has received now, for the first time; at its last reception it has ended,
 * and is good until the next one begins.  NULL: there is no such chat in the room, or he had it already.
 */
struct chat *chats_receive(struct chats *chats, uint32_t number, uint32_t room, uint32_t member);

/* How many receptions those under way lack. */
uint64_t chats_lacking(const struct chats *chats);

#endif
