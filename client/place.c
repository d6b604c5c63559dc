#include "place.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "conversation.h"
#include "heap.h"
#include "name.h"

struct place *place_find(struct place *places, const char *room)
{
    struct place *place;
    char folded[ROOM_MAX_BYTES];

    if (!room || !room_fold(room, folded))
        return NULL;
    DL_FOREACH (places, place)
        if (strcmp(place->room, folded) == 0)
            return place;
    return NULL;
}

struct place *place_open(struct place **places, const char *room, const char *self)
{
    struct place *place = place_find(*places, room);
    char folded[ROOM_MAX_BYTES];
    size_t len;

    if (place || !room || !room_fold(room, folded))
        return place;
    len = strlen(folded);
    place = need(calloc(1, sizeof *place + len + 1));
    memcpy(place->room, folded, len + 1);
    place->users = -1;
    place->conversation = conversation_create(self);
    DL_APPEND(*places, place);
    return place;
}

void place_close(struct place **places, struct place *place)
{
    DL_DELETE(*places, place);
    place_remove_all(place);
    conversation_destroy(place->conversation);
    free(place);
}

void place_read(struct place *place)
{
    place->unread = 0;
    place->mentioned = false;
}

/* NULL: nobody of this folded name is there. */
static struct human *human_find(struct place *place, const char *folded)
{
    struct human *human;

    HASH_FIND_STR(place->people, folded, human);
    return human;
}

static void human_remove(struct place *place, struct human *human)
{
    HASH_DEL(place->people, human);
    free(human->name);
    free(human);
}

void place_add(struct place *place, const char *name)
{
    char folded[NAME_MAX_BYTES];
    struct human *human;
    size_t len;

    if (!name_fold(name, folded) || human_find(place, folded) ||
        HASH_COUNT(place->people) >= PLACE_PEOPLE_MAX)
        return;
    len = strlen(folded);
    human = need(calloc(1, sizeof *human + len + 1));
    human->name = need(strdup(name));
    memcpy(human->folded, folded, len + 1);
    HASH_ADD_KEYPTR(hh, place->people, human->folded, len, human);
}

void place_remove(struct place *place, const char *name)
{
    char folded[NAME_MAX_BYTES];
    struct human *human;

    if (name_fold(name, folded) && (human = human_find(place, folded)))
        human_remove(place, human);
}

void place_remove_all(struct place *place)
{
    struct human *human, *next;

    HASH_ITER (hh, place->people, human, next)
        human_remove(place, human);
}
