#include "entry.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define BODY_MAX_BYTES 131072 /* a gateway's largest is a fifth of it */
#define SHOWN_MAX_BYTES 65536

static bool refuse(struct entry *entry, const char *why)
{
    entry->kind = ENTRY_REFUSED;
    entry->why = why;
    return false;
}

/* The value of the entry's field `name`; NULL if there is none. */
static const redisReply *field(const redisReply *raw, const char *name)
{
    const redisReply *fields = raw->element[1];

    if (fields->type != REDIS_REPLY_ARRAY)
        return NULL;
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (fields->element[i]->len == strlen(name) &&
            memcmp(fields->element[i]->str, name, fields->element[i]->len) == 0)
            return fields->element[i + 1];
    return NULL;
}

static bool read_sender(struct entry *entry, const char *shown)
{
    if (!name_fold(shown, entry->sender_key))
        return refuse(entry, "the sender's name is not one");
    return true;
}

/* The chain, the body and the lane must say the same. */
static bool check_message(struct entry *entry, unsigned lane, const char *chain)
{
    char folded[ROOM_MAX_BYTES];

    if (!room_fold(entry->event->place, folded) || strcmp(folded, entry->event->place) != 0)
        return refuse(entry, "the room's name is not one");
    if (strcmp(folded, chain) != 0)
        return refuse(entry, "the chain is not the room's");
    if (lane_of(folded) != lane)
        return refuse(entry, "the room belongs to another lane");
    entry->kind = ENTRY_MESSAGE;
    return true;
}

static bool check_direct(struct entry *entry, unsigned lane, const char *chain)
{
    if (!name_fold(entry->event->place, entry->recipient_key))
        return refuse(entry, "the recipient's name is not one");
    if (strcmp(entry->recipient_key, chain) != 0)
        return refuse(entry, "the chain is not the recipient's");
    if (lane_of(entry->recipient_key) != lane)
        return refuse(entry, "the recipient belongs to another lane");
    if (strlen(entry->event->whom) > SESSION_MAX_BYTES || strlen(entry->event->by) > SESSION_MAX_BYTES)
        return refuse(entry, "a holder's name is too long");
    entry->kind = ENTRY_DIRECT;
    return true;
}

static bool read_event(struct entry *entry, unsigned lane, const redisReply *chain, const redisReply *prev,
                       const redisReply *body)
{
    event_id prev_id;

    if (!id_from_stream(prev->str, prev->len, lane, &prev_id))
        return refuse(entry, "p is not an id");
    if (prev_id >= entry->id)
        return refuse(entry, "p is not before the entry");
    entry->event = event_from_body(entry->id, prev_id, body->str, body->len);
    if (!entry->event)
        return refuse(entry, "e is not an event");
    if (!text_is_utf8(entry->event->text, strlen(entry->event->text)))
        return refuse(entry, "the text is not UTF-8");
    if (strlen(chain->str) != chain->len || chain->len < 2 ||
        strncmp(chain->str, entry->event->direct ? "u:" : "r:", 2) != 0)
        return refuse(entry, "the chain is not the body's");
    return read_sender(entry, entry->event->from) &&
           (entry->event->direct ? check_direct(entry, lane, chain->str + 2)
                                 : check_message(entry, lane, chain->str + 2));
}

/* An address that is none (a gateway behind a socket file, a zone) is no reason to lose the session. */
static void read_address(struct entry *entry, const char *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    snprintf(entry->address, sizeof entry->address, "%s", address);
    entry->address[strcspn(entry->address, "%")] = '\0';
    if (inet_pton(AF_INET, entry->address, bytes) != 1 && inet_pton(AF_INET6, entry->address, bytes) != 1)
        entry->address[0] = '\0';
}

static bool read_record(struct entry *entry, unsigned lane, const redisReply *body)
{
    const char *address = "";

    if (lane != 0)
        return refuse(entry, "a session record outside lane 0");
    entry->record = json_loadb(body->str, body->len, 0, NULL);
    if (!entry->record)
        return refuse(entry, "e is not a session record");
    if (json_unpack(entry->record, "{s:s}", "close", &entry->session) == 0)
        entry->kind = ENTRY_CLOSE;
    else if (json_unpack(entry->record, "{s:{s:s, s:s, s:s, s:s, s?s}}", "open", "session", &entry->session,
                         "name", &entry->name, "gateway", &entry->gateway, "dialect", &entry->dialect,
                         "address", &address) == 0)
        entry->kind = ENTRY_OPEN;
    else
        return refuse(entry, "e is not a session record");
    if (strlen(entry->session) > SESSION_MAX_BYTES)
        return refuse(entry, "the session's name is too long");
    if (entry->kind == ENTRY_CLOSE)
        return true;
    read_address(entry, address);
    return read_sender(entry, entry->name);
}

/* hiredis ends every string with a NUL that its length does not count. */
void entry_init(struct entry *entry, unsigned lane, const redisReply *raw)
{
    const redisReply *chain, *prev, *body;

    memset(entry, 0, sizeof *entry);
    entry->raw = raw;
    entry->has_id = id_from_stream(raw->element[0]->str, raw->element[0]->len, lane, &entry->id);
    chain = field(raw, "c");
    prev = field(raw, "p");
    body = field(raw, "e");
    if (!entry->has_id)
        refuse(entry, "its id has no 63-bit form");
    else if (!chain || !prev || !body)
        refuse(entry, "a field is missing");
    else if (body->len > BODY_MAX_BYTES)
        refuse(entry, "the body is too long");
    else if (chain->len == 1 && chain->str[0] == '-')
        read_record(entry, lane, body);
    else
        read_event(entry, lane, chain, prev, body);
}

void entry_finish(struct entry *entry)
{
    event_drop(entry->event);
    json_decref(entry->record);
}

bool entry_is_event(const struct entry *entry)
{
    return !entry->is_dropped && (entry->kind == ENTRY_MESSAGE || entry->kind == ENTRY_DIRECT);
}

const char *entry_sender(const struct entry *entry)
{
    return entry->event ? entry->event->from : entry->name;
}

size_t entry_size(const struct entry *entry)
{
    const redisReply *fields = entry->raw->element[1];
    size_t size = 0;

    if (fields->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < fields->elements; i++)
            size += fields->element[i]->len;
    return size;
}

/* Writes `bytes` behind *len of `text`, which has room for 4 bytes per byte, up to the cap. */
static void show(char *text, size_t *len, const char *bytes, size_t n)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)bytes, *end = at + n;

    while (at < end && *len < SHOWN_MAX_BYTES) {
        utf8proc_int32_t c;
        utf8proc_ssize_t width = utf8proc_iterate(at, end - at, &c);

        if (width <= 0 || c == 0) {
            *len += (size_t)sprintf(text + *len, "\\x%02x", *at);
            width = 1;
        } else {
            memcpy(text + *len, at, (size_t)width);
            *len += (size_t)width;
        }
        at += width;
    }
}

char *entry_text(const struct entry *entry)
{
    const redisReply *id = entry->raw->element[0], *fields = entry->raw->element[1];
    char *text = malloc(SHOWN_MAX_BYTES + 8);
    size_t len = 0;

    if (!text)
        abort();
    if (!entry->has_id)
        show(text, &len, id->str, id->len);
    if (fields->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < fields->elements && len < SHOWN_MAX_BYTES; i++) {
            if (len > 0)
                text[len++] = ' ';
            show(text, &len, fields->element[i]->str, fields->element[i]->len);
        }
    }
    text[len] = '\0';
    return text;
}
