#include "event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Copies `text` to *at, moves *at behind it, and returns the copy. */
static const char *pack(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);

    *at += size;
    return copy;
}

/* True if `text` is one word: nothing in it could be taken for the end of a name, or of a line. */
static bool is_word(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at <= ' ' || *at == 0x7f)
            return false;
    return *text != '\0';
}

struct event *event_from_body(event_id id, event_id prev, const char *body, size_t len)
{
    const char *from, *session, *text, *room = NULL, *to = NULL, *whom = NULL, *by = NULL, *place;
    struct event *event = NULL;
    json_t *json;
    size_t size;
    char *at;

    json = json_loadb(body, len, 0, NULL);
    if (!json)
        return NULL;
    if (json_unpack(json, "{s:s, s:s, s:s, s?s, s?s, s?s, s?s}", "from", &from, "session", &session, "text",
                    &text, "room", &room, "to", &to, "for", &whom, "by", &by) < 0 ||
        !room == !to || !to != !whom || !to != !by)
        goto out;
    place = room ? room : to;
    if (!is_word(from) || !is_word(session) || !is_word(place) || (whom && !is_word(whom)) ||
        (by && !is_word(by)))
        goto out;
    size = sizeof *event + strlen(from) + strlen(session) + strlen(place) + strlen(text) + 4 +
           (whom ? strlen(whom) + 1 : 0) + (by ? strlen(by) + 1 : 0);
    event = malloc(size);
    if (!event)
        goto out;
    at = (char *)(event + 1);
    *event = (struct event){.id = id, .prev = prev, .direct = to != NULL, .refs = 1, .size = size};
    event->from = pack(&at, from);
    event->session = pack(&at, session);
    event->place = pack(&at, place);
    event->text = pack(&at, text);
    event->whom = whom ? pack(&at, whom) : NULL;
    event->by = by ? pack(&at, by) : NULL;
    if (!text_clean((char *)event->text)) { /* a copy, which is ours */
        event_drop(event);
        event = NULL;
    }
out:
    json_decref(json);
    return event;
}

struct event *event_from_live(unsigned lane, const char *live, size_t len)
{
    const char *end = live + len, *prev, *body;
    event_id id, prev_id;

    prev = memchr(live, ' ', len);
    body = prev ? memchr(prev + 1, ' ', (size_t)(end - prev - 1)) : NULL;
    if (!body || !id_from_stream(live, (size_t)(prev - live), lane, &id) ||
        !id_from_stream(prev + 1, (size_t)(body - prev - 1), lane, &prev_id))
        return NULL;
    return event_from_body(id, prev_id, body + 1, (size_t)(end - body - 1));
}

struct event *event_hold(struct event *event)
{
    event->refs++;
    return event;
}

void event_drop(struct event *event)
{
    if (event && --event->refs == 0)
        free(event);
}

/* Prints `json` (taken; may be NULL) in one line. */
static char *print(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

char *event_body(const char *from, const char *session, const char *room, const char *text)
{
    return print(
        json_pack("{s:s, s:s, s:s, s:s}", "from", from, "session", session, "room", room, "text", text));
}

char *event_direct_body(const char *from, const char *session, const char *by, const char *to,
                        const char *whom, const char *text)
{
    return print(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "from", from, "session", session, "by", by, "to",
                           to, "for", whom, "text", text));
}

char *session_open_record(const char *session, const char *name, const char *gateway, const char *dialect,
                          const char *address)
{
    return print(json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", "open", "session", session, "name", name,
                           "gateway", gateway, "dialect", dialect, "address", address));
}

void chain_name(char kind, const char *name, char chain[CHAIN_MAX_BYTES])
{
    snprintf(chain, CHAIN_MAX_BYTES, "%c:%s", kind, name);
}

unsigned chain_lane(const char *chain)
{
    return lane_of(chain + 2);
}

void chain_channel(const char *chain, char channel[CHANNEL_MAX_BYTES])
{
    snprintf(channel, CHANNEL_MAX_BYTES, "hubbub:{%u}:%s:%s", chain_lane(chain),
             *chain == 'r' ? "room" : "user", chain + 2);
}

bool channel_chain(const char *channel, char chain[CHAIN_MAX_BYTES])
{
    const char *kind = strchr(channel, '}');

    if (!kind || (strncmp(kind, "}:room:", 7) != 0 && strncmp(kind, "}:user:", 7) != 0) ||
        strlen(kind + 7) >= ROOM_MAX_BYTES)
        return false;
    chain_name(kind[2], kind + 7, chain);
    return true;
}
