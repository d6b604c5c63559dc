#include "chats.h"

#include <stdlib.h>
#include <string.h>

#include "carry.h"

#define MEMORY_MAX ((size_t)256 << 20)

struct chats {
    char *slots;
    size_t stride;  /* bytes from one slot to the next */
    size_t words;   /* of 64 members each, in `seen` */
    uint32_t count; /* of slots, a power of two */
    uint32_t *free_slots;
    uint32_t free_count;
};

static struct chat *slot_at(const struct chats *chats, uint32_t slot)
{
    return (struct chat *)(void *)(chats->slots + slot * chats->stride);
}

struct chats *chats_create(size_t members, size_t count)
{
    struct chats *chats = calloc(1, sizeof *chats);

    if (chats == NULL)
        return NULL;
    chats->words = (members + 63) / 64;
    chats->stride = sizeof(struct chat) + chats->words * sizeof(uint64_t);
    for (chats->count = 1; chats->count < count && chats->count * 2 * chats->stride <= MEMORY_MAX;)
        chats->count *= 2;
    chats->slots = calloc(chats->count, chats->stride);
    chats->free_slots = calloc(chats->count, sizeof *chats->free_slots);
    if (chats->slots == NULL || chats->free_slots == NULL) {
        chats_destroy(chats);
        return NULL;
    }
    chats->free_count = chats->count;
    for (uint32_t i = 0; i < chats->count; i++) {
        slot_at(chats, i)->number = i;
        chats->free_slots[i] = chats->count - 1 - i;
    }
    return chats;
}

void chats_destroy(struct chats *chats)
{
    if (chats == NULL)
        return;
    free(chats->slots);
    free(chats->free_slots);
    free(chats);
}

struct chat *chats_begin(struct chats *chats, uint32_t room, uint32_t sender, uint32_t left, uint64_t due)
{
    struct chat *chat;

    if (chats->free_count == 0)
        return NULL;
    chat = slot_at(chats, chats->free_slots[--chats->free_count]);
    do
        chat->number += chats->count;
    while (chat->number == NUMBER_NONE);
    chat->room = room;
    chat->sender = sender;
    chat->left = left;
    chat->due = due;
    memset(chat->seen, 0, chats->words * sizeof *chat->seen);
    return chat;
}

struct chat *chats_receive(struct chats *chats, uint32_t number, uint32_t room, uint32_t member)
{
    uint32_t slot = number & (chats->count - 1);
    struct chat *chat = slot_at(chats, slot);
    uint64_t bit = UINT64_C(1) << (member & 63);

    if (chat->number != number || chat->left == 0 || chat->room != room ||
        (chat->seen[member / 64] & bit) != 0)
        return NULL;
    chat->seen[member / 64] |= bit;
    if (--chat->left == 0)
        chats->free_slots[chats->free_count++] = slot;
    return chat;
}

uint64_t chats_lacking(const struct chats *chats)
{
    uint64_t lacking = 0;

    for (uint32_t i = 0; i < chats->count; i++)
        lacking += slot_at(chats, i)->left;
    return lacking;
}
