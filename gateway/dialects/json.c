/*
 * json: a stream of JSON objects in, one object a line out.
 *
 * A scanner finds where an object ends by counting brackets outside strings; the JSON library sees whole
 * objects only.  The scanner keeps its place between calls, so an object that comes byte by byte costs no
 * more than one that comes at once, and it knows the nesting before anything recurses.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "dialect.h"

enum place {
    BETWEEN, /* outside of any object: nothing unused is remembered */
    JUNK,    /* the same, but what comes is skipped up to the next newline */
    INSIDE,  /* the unused bytes begin with an object's bracket */
    STRING,  /* the same, and the next byte belongs to a string */
    ESCAPED, /* the same, behind a backslash */
};

struct codec {
    json_t *held;     /* the request that was handed out last: its strings are in there */
    uint16_t scanned; /* bytes of the object that the scanner has seen */
    uint16_t depth;   /* brackets open after them */
    uint8_t place;    /* enum place */
    bool deep;        /* the nesting went beyond JSON_NESTING_MAX */
};

static struct codec *codec_create(void)
{
    return calloc(1, sizeof(struct codec));
}

static void codec_destroy(struct codec *codec)
{
    if (!codec)
        return;
    json_decref(codec->held);
    free(codec);
}

/* The members of a request that hold strings, and where they go. */
enum member { NAME, TEXT, ROOM, TO, PASSWORD, KEY, SINCE, MEMBERS };
#define BIT(member) (1u << (member))

static const struct {
    const char *key;
    size_t offset;
    const char *wrong;
} members[MEMBERS] = {
    [NAME] = {"data", offsetof(struct request, name), "\"data\", the name, must be a string."},
    [TEXT] = {"data", offsetof(struct request, text), "\"data\", the text, must be a string."},
    [ROOM] = {"room", offsetof(struct request, room), "\"room\" must be a string."},
    [TO] = {"to", offsetof(struct request, to), "\"to\" must be a string: a name."},
    [PASSWORD] = {"password", offsetof(struct request, password), "\"password\" must be a string."},
    [KEY] = {"key", offsetof(struct request, key), "\"key\" must be a string of at most 64 bytes."},
    [SINCE] = {"since", offsetof(struct request, since), "\"since\" must be a string: an id."},
};

/* What a type means; the first row counts whose type it is, and whose `with` (if any) is there. */
static const struct form {
    const char *type, *with;
    enum verb verb;
    unsigned needed, optional; /* BITs */
    const char *missing;
} forms[] = {
    {"join", "data", VERB_LOGIN, BIT(NAME), BIT(PASSWORD) | BIT(KEY) | BIT(ROOM) | BIT(SINCE), NULL},
    {"join", NULL, VERB_JOIN, BIT(ROOM), BIT(SINCE), "\"join\" needs \"data\", a name, or \"room\"."},
    {"chat", NULL, VERB_CHAT, BIT(TEXT), BIT(ROOM), "\"chat\" needs \"data\", the text."},
    {"direct", NULL, VERB_DIRECT, BIT(TO) | BIT(TEXT), 0,
     "\"direct\" needs \"to\", a name, and \"data\", the text."},
    {"leave", "room", VERB_LEAVE, BIT(ROOM), 0, NULL},
    {"leave", NULL, VERB_LOGOUT, 0, 0, NULL},
    {"who", NULL, VERB_WHO, 0, BIT(ROOM), NULL},
    {"rooms", NULL, VERB_ROOMS, 0, 0, NULL},
    {"ping", NULL, VERB_PING, 0, 0, NULL},
};

static const struct form *form_find(const char *type, const json_t *object)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].type, type) == 0 && (!forms[i].with || json_object_get(object, forms[i].with)))
            return &forms[i];
    }
    return NULL;
}

static enum decoded refuse(struct request *request, enum error_code error, const char *reason)
{
    request->error = error;
    request->reason = reason;
    return DECODED_ERROR;
}

/* Copies the pointers to the strings that `form` knows.  NULL, or what is wrong. */
static const char *read_members(const struct form *form, const json_t *object, struct request *request)
{
    for (int i = 0; i < MEMBERS; i++) {
        const json_t *value;

        if (!((form->needed | form->optional) & BIT(i)))
            continue;
        value = json_object_get(object, members[i].key);
        if (!value && (form->needed & BIT(i)))
            return form->missing;
        if (!value)
            continue;
        if (!json_is_string(value) || (i == KEY && json_string_length(value) > KEY_MAX_BYTES))
            return members[i].wrong;
        if (i != KEY || json_string_length(value) > 0) /* an empty key would be one that everybody has */
            *(const char **)((char *)request + members[i].offset) = json_string_value(value);
    }
    return NULL;
}

static enum decoded read_object(const json_t *object, struct request *request)
{
    const json_t *ref = json_object_get(object, "ref");
    const json_t *echo = json_object_get(object, "echo");
    const char *type = json_string_value(json_object_get(object, "type"));
    const struct form *form;
    const char *wrong;

    if (ref && (!json_is_string(ref) || json_string_length(ref) > REF_MAX_BYTES))
        return refuse(request, ERROR_BAD_REQUEST, "\"ref\" must be a string of at most 64 bytes.");
    request->ref = json_string_value(ref);
    if (!type)
        return refuse(request, ERROR_BAD_REQUEST, "\"type\" is missing or not a string.");
    form = form_find(type, object);
    if (!form)
        return refuse(request, ERROR_UNKNOWN_COMMAND, NULL);
    wrong = read_members(form, object, request);
    if (wrong)
        return refuse(request, ERROR_BAD_REQUEST, wrong);
    if (form->verb == VERB_LOGIN && echo) {
        if (!json_is_boolean(echo))
            return refuse(request, ERROR_BAD_REQUEST, "\"echo\" must be true or false.");
        request->echo = json_is_true(echo);
    }
    request->verb = form->verb;
    return DECODED_REQUEST;
}

/* Takes in one byte of an object.  True if the object ends with it. */
static bool scan(struct codec *codec, char byte)
{
    if (codec->place == ESCAPED) {
        codec->place = STRING;
    } else if (codec->place == STRING) {
        if (byte == '\\')
            codec->place = ESCAPED;
        else if (byte == '"')
            codec->place = INSIDE;
    } else if (byte == '"') {
        codec->place = STRING;
    } else if (byte == '{' || byte == '[') {
        codec->depth++;
        codec->deep |= codec->depth > JSON_NESTING_MAX;
    } else if (byte == '}' || byte == ']') {
        codec->depth--;
    }
    return codec->depth == 0;
}

/* Goes over what is between objects.  Returns how many bytes are done with: where an object begins, or `len`,
 * or the byte behind the one that does not belong there (then *junk). */
static size_t skip(struct codec *codec, const char *bytes, size_t len, bool *junk)
{
    for (size_t at = 0; at < len; at++) {
        if (codec->place == JUNK) {
            const char *newline = memchr(bytes + at, '\n', len - at);

            if (!newline)
                return len;
            at = (size_t)(newline - bytes);
            codec->place = BETWEEN;
        } else if (bytes[at] == '{') {
            codec->place = INSIDE;
            return at;
        } else if (!bytes[at] || !strchr(" \t\r\n", bytes[at])) {
            codec->place = JUNK;
            *junk = true;
            return at + 1;
        }
    }
    return len;
}

/* The end of an object of `len` bytes: hands it to the library, unless it is too deep for that. */
static enum decoded finish(struct codec *codec, const char *bytes, size_t len, struct request *request)
{
    bool deep = codec->deep;

    *codec = (struct codec){.place = BETWEEN};
    if (deep)
        return refuse(request, ERROR_BAD_REQUEST, "JSON may be nested 64 deep at most.");
    codec->held = json_loadb(bytes, len, 0, NULL);
    if (!codec->held)
        return refuse(request, ERROR_BAD_REQUEST, "That is not valid JSON.");
    return read_object(codec->held, request);
}

static enum decoded decode(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request)
{
    bool junk = false;
    size_t start = 0;

    json_decref(codec->held);
    codec->held = NULL;
    if (codec->place == BETWEEN || codec->place == JUNK)
        start = skip(codec, bytes, len, &junk);
    *used = start;
    if (junk)
        return refuse(request, ERROR_BAD_REQUEST, "Only JSON objects are expected here.");
    while (codec->place != BETWEEN && codec->place != JUNK && start + codec->scanned < len) {
        if (codec->scanned == REQUEST_MAX_BYTES) {
            *used = len;
            refuse(request, ERROR_TOO_LONG, "A request may have 16384 bytes at most.");
            return DECODED_FATAL;
        }
        if (scan(codec, bytes[start + codec->scanned++])) {
            *used = start + codec->scanned;
            return finish(codec, bytes + start, codec->scanned, request);
        }
    }
    return DECODED_MORE;
}

/* Appends `json` (taken; NULL, if there was no memory, is nothing) as one line. */
static void put(struct evbuffer *out, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    if (text)
        evbuffer_add_printf(out, "%s\n", text);
    free(text);
    json_decref(json);
}

static json_t *pack_names(const struct reply *reply)
{
    json_t *names = json_array();

    for (size_t i = 0; i < reply->n_names; i++)
        json_array_append_new(names, json_string(reply->names[i]));
    return names;
}

static json_t *pack_rooms(const struct reply *reply)
{
    json_t *rooms = json_array();

    for (size_t i = 0; i < reply->n_names; i++)
        json_array_append_new(
            rooms, json_pack("{s:s, s:I}", "room", reply->names[i], "users", (json_int_t)reply->counts[i]));
    return rooms;
}

static json_t *pack_welcome(const struct reply *reply)
{
    char id[ID_TEXT_MAX];

    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:i, s:s*, s:s*}", "type", "welcome", "from",
                     "server", "data", json_sprintf("Welcome, %s.", reply->name), "name", reply->name, "room",
                     reply->room, "id", id_to_decimal(reply->id, id), "users", (json_int_t)reply->count,
                     "unread", 0, "gateway", reply->gateway, "ref", reply->ref);
}

static json_t *pack_entered(const struct reply *reply)
{
    char id[ID_TEXT_MAX];

    return json_pack("{s:s, s:s, s:s, s:I, s:s*}", "type", "entered", "room", reply->room, "id",
                     id_to_decimal(reply->id, id), "users", (json_int_t)reply->count, "ref", reply->ref);
}

static json_t *pack_error(const struct reply *reply)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s*}", "type", "error", "from", "server", "code",
                     error_name(reply->error), "data",
                     reply->text ? reply->text : error_sentence(reply->error), "ref", reply->ref);
}

static json_t *pack_gap(const struct reply *reply)
{
    char after[ID_TEXT_MAX], until[ID_TEXT_MAX];

    return json_pack("{s:s, s:s, s:o, s:s*, s:s, s:s}", "type", "gap", "from", "server", "data",
                     reply->room ? json_sprintf("Some messages in %s are no longer to be had.", reply->room)
                                 : json_string("Some directs to you are no longer to be had."),
                     "room", reply->room, "after", id_to_decimal(reply->after, after), "until",
                     id_to_decimal(reply->until, until));
}

static json_t *pack_reply(const struct reply *reply)
{
    char id[ID_TEXT_MAX];

    switch (reply->kind) {
    case REPLY_WELCOME:
        return pack_welcome(reply);
    case REPLY_ACK:
        return !reply->ref ? NULL
                           : json_pack("{s:s, s:s, s:s}", "type", "ack", "ref", reply->ref, "id",
                                       id_to_decimal(reply->id, id));
    case REPLY_ENTERED:
        return pack_entered(reply);
    case REPLY_EXITED:
        return json_pack("{s:s, s:s, s:s*}", "type", "exited", "room", reply->room, "ref", reply->ref);
    case REPLY_GOODBYE:
        return json_pack("{s:s, s:s*}", "type", "exited", "ref", reply->ref);
    case REPLY_WHO:
        return json_pack("{s:s, s:s*, s:o, s:I, s:s*}", "type", "who", "room", reply->room, "users",
                         pack_names(reply), "count", (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_ROOMS:
        return json_pack("{s:s, s:o, s:I, s:s*}", "type", "rooms", "rooms", pack_rooms(reply), "count",
                         (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_PONG:
        return json_pack("{s:s, s:s*}", "type", "pong", "ref", reply->ref);
    case REPLY_ERROR:
        return pack_error(reply);
    case REPLY_GAP:
        return pack_gap(reply);
    case REPLY_HELP:
        break;
    }
    return NULL;
}

static void encode_reply(const struct reply *reply, struct evbuffer *out)
{
    put(out, pack_reply(reply));
}

static void encode_event(const struct event *event, struct evbuffer *out)
{
    char id[ID_TEXT_MAX], at[ID_TEXT_MAX];

    id_to_decimal(event->id, id);
    id_to_time(event->id, at);
    if (event->direct)
        put(out, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "direct", "from", event->from, "to",
                           event->place, "data", event->text, "id", id, "at", at));
    else
        put(out, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "message", "from", event->from, "data",
                           event->text, "room", event->place, "id", id, "at", at));
}

static void encode_notice(const struct notice *notice, struct evbuffer *out)
{
    const char *what = notice->joined ? "joined" : "left";
    char at[ID_TEXT_MAX];

    put(out, json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", what, "from", notice->name, "data",
                       json_sprintf("%s %s.", notice->name, what), "room", notice->room, "at",
                       time_text(notice->ms, at)));
}

extern const struct dialect dialect_json;
const struct dialect dialect_json = {
    .name = "json",
    .codec_create = codec_create,
    .codec_destroy = codec_destroy,
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
};
