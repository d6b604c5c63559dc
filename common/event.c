#include "event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "flat.h"

/* What a body holds. */
enum part { FROM, SESSION, TEXT, ROOM, TO, WHOM, BY, PARTS };
static const char *const keys[PARTS] = {"from", "session", "text", "room", "to", "for", "by"};

/* True if `text` is one word: nothing in it could be taken for the end of a name, or of a line. */
static bool is_word(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at <= ' ' || *at == 0x7f)
            return false;
    return *text != '\0';
}

/* Finds the parts of what event_body() or event_direct_body() wrote.  False: something else did. */
static bool find_parts(const char *body, size_t len, struct flat_string parts[PARTS])
{
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n, size = flat_read(body, len, pairs, &n);

    if (size == 0 || size < len)
        return false;
    for (size_t i = 0; i < n; i++) {
        int part = 0;

        while (part < PARTS && !flat_equals(&pairs[i].key, keys[part]))
            part++;
        if (part < PARTS)
            parts[part] = pairs[i].value;
    }
    return true;
}

/* Finds the parts of any JSON; `parts` point into what is returned.  NULL: that is no event. */
static json_t *find_parts_of_json(const char *body, size_t len, struct flat_string parts[PARTS])
{
    json_t *json = json_loadb(body, len, 0, NULL);

    for (int part = 0; json && part < PARTS; part++) {
        const json_t *value = json_object_get(json, keys[part]);

        if (value && !json_is_string(value)) {
            json_decref(json);
            return NULL;
        }
        parts[part] = (struct flat_string){.at = json_string_value(value), .len = json_string_length(value)};
    }
    return json;
}

/* Copies a part to *at, moves *at behind it, and returns the copy; NULL if there is no such part. */
static const char *pack(char **at, const struct flat_string *part)
{
    char *copy = *at;

    if (!part->at)
        return NULL;
    *at = flat_copy(part, copy);
    return copy;
}

/* Makes an event of its parts.  NULL: it lacks some, or there is no memory. */
static struct event *assemble(event_id id, event_id prev, const struct flat_string parts[PARTS])
{
    const struct flat_string *place = &parts[parts[TO].at ? TO : ROOM];
    size_t size = sizeof(struct event);
    struct event *event;
    char *at;

    if (!parts[FROM].at || !parts[SESSION].at || !parts[TEXT].at || !parts[ROOM].at == !parts[TO].at ||
        !parts[TO].at != !parts[WHOM].at || !parts[TO].at != !parts[BY].at)
        return NULL;
    for (int part = 0; part < PARTS; part++)
        if (parts[part].at)
            size += parts[part].len + 1;
    event = malloc(size);
    if (!event)
        return NULL;
    at = (char *)(event + 1);
    *event = (struct event){.id = id, .prev = prev, .direct = parts[TO].at, .refs = 1, .size = size};
    event->from = pack(&at, &parts[FROM]);
    event->session = pack(&at, &parts[SESSION]);
    event->place = pack(&at, place);
    event->text = pack(&at, &parts[TEXT]);
    event->whom = pack(&at, &parts[WHOM]);
    event->by = pack(&at, &parts[BY]);
    return event;
}

struct event *event_from_body(event_id id, event_id prev, const char *body, size_t len)
{
    struct flat_string parts[PARTS] = {0};
    json_t *json = NULL;
    struct event *event = NULL;

    if (find_parts(body, len, parts) || (json = find_parts_of_json(body, len, parts)))
        event = assemble(id, prev, parts);
    json_decref(json);
    if (!event)
        return NULL;
    if (is_word(event->from) && is_word(event->session) && is_word(event->place) &&
        (!event->direct || (is_word(event->whom) && is_word(event->by))) &&
        text_clean((char *)event->text)) /* a copy, which is ours */
        return event;
    event_drop(event);
    return NULL;
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

/* Writes a body.  NULL: no memory, or something is not UTF-8. */
static char *write_body(const struct flat_member *members, size_t n)
{
    size_t size = flat_size(members, n);
    char *body = malloc(size + 1);

    if (!body)
        return NULL;
    *flat_write(members, n, body) = '\0';
    if (text_is_utf8(body, size))
        return body;
    free(body);
    return NULL;
}

char *event_body(const char *from, const char *session, const char *room, const char *text)
{
    const struct flat_member members[] = {
        {"from", from}, {"session", session}, {"room", room}, {"text", text}};

    return write_body(members, sizeof members / sizeof *members);
}

char *event_direct_body(const char *from, const char *session, const char *by, const char *to,
                        const char *whom, const char *text)
{
    const struct flat_member members[] = {{"from", from}, {"session", session}, {"by", by},
                                          {"to", to},     {"for", whom},        {"text", text}};

    return write_body(members, sizeof members / sizeof *members);
}

char *session_open_record(const char *session, const char *name, const char *gateway, const char *dialect,
                          const char *address)
{
    json_t *json = json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", "open", "session", session, "name", name,
                             "gateway", gateway, "dialect", dialect, "address", address);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
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
