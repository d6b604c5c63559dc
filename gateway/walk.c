#include "walk.h"

#include <stdio.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "event.h"
#include "functions.h"

bool walk_send(struct bus *bus, const char *chain, event_id from, event_id until, int n, bool entries,
               bus_reply_fn *reply, void *ctx, uint64_t token)
{
    char key[LANE_KEY_MAX], from_text[ID_TEXT_MAX], until_text[ID_TEXT_MAX], n_text[16];
    unsigned lane = chain_lane(chain);
    const char *argv[] = {"FCALL_RO", FUNCTION("walk"),           "1", key, chain, from_text, until_text,
                          n_text,     entries ? "entries" : "ids"};

    snprintf(key, sizeof key, LANE_KEY_FORMAT, lane);
    snprintf(n_text, sizeof n_text, "%d", n);
    id_to_stream(from, from_text);
    id_to_stream(until, until_text);
    return bus_read(bus, lane, 9, argv, reply, ctx, token);
}

static const struct redisReply *element(const struct redisReply *reply, size_t i)
{
    static const struct redisReply nothing = {.type = REDIS_REPLY_NIL};

    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : &nothing;
}

static bool read_id(const struct redisReply *reply, unsigned lane, event_id *id)
{
    return reply->str && id_from_stream(reply->str, reply->len, lane, id);
}

bool walk_read(struct walk *walk, const char *chain, bool entries, const struct redisReply *reply)
{
    const struct redisReply *word = element(reply, 3);

    *walk = (struct walk){.lane = chain_lane(chain), .entries = entries, .list = element(reply, 1)};
    walk->count = walk->list->elements / (entries ? 3 : 1);
    if (!word->str || !read_id(element(reply, 2), walk->lane, &walk->next))
        return false;
    walk->end = strcmp(word->str, "END") == 0    ? WALK_END
                : strcmp(word->str, "MORE") == 0 ? WALK_MORE
                                                 : WALK_TRIMMED;
    return true;
}

bool walk_id(const struct walk *walk, size_t i, event_id *id)
{
    return read_id(walk->list->element[i * (walk->entries ? 3 : 1)], walk->lane, id);
}

bool walk_entry(const struct walk *walk, size_t i, event_id *id, event_id *prev,
                const struct redisReply **body)
{
    *body = walk->list->element[3 * i + 2];
    return walk_id(walk, i, id) && read_id(walk->list->element[3 * i + 1], walk->lane, prev) && (*body)->str;
}
