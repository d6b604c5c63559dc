/* json: a stream of JSON objects in, one object a line out: the native dialect. */

#include "objects.h"

enum { NAME, TEXT, ROOM, TO, PASSWORD, NEW, OLD, KEY, SINCE, BEFORE, WITH, ID, LIMIT, ECHO, VALUES };
#define BIT(value) (1u << (value))

static const struct objects_value values[VALUES] = {
    [NAME] = {"data", OBJECTS_STRING, offsetof(struct request, name),
              "\"data\", the name, must be a string."},
    [TEXT] = {"data", OBJECTS_STRING, offsetof(struct request, text),
              "\"data\", the text, must be a string."},
    [ROOM] = {"room", OBJECTS_STRING, offsetof(struct request, room), "\"room\" must be a string."},
    [TO] = {"to", OBJECTS_STRING, offsetof(struct request, to), "\"to\" must be a string: a name."},
    [PASSWORD] = {"password", OBJECTS_PASSWORD, offsetof(struct request, password),
                  "\"password\" must be a string."},
    [NEW] = {"password", OBJECTS_STRING, offsetof(struct request, password),
             "\"password\" must be a string."},
    [OLD] = {"old", OBJECTS_PASSWORD, offsetof(struct request, old), "\"old\" must be a string."},
    [BEFORE] = {"before", OBJECTS_STRING, offsetof(struct request, before),
                "\"before\" must be a string: an id."},
    [WITH] = {"with", OBJECTS_STRING, offsetof(struct request, with), "\"with\" must be a string: a name."},
    [ID] = {"id", OBJECTS_STRING, offsetof(struct request, id), "\"id\" must be a string: an id."},
    [LIMIT] = {"limit", OBJECTS_NUMBER, offsetof(struct request, limit),
               "\"limit\" must be a whole number from 1 on."},
    [KEY] = {"key", OBJECTS_KEY, offsetof(struct request, key),
             "\"key\" must be a string of at most 64 bytes."},
    [SINCE] = {"since", OBJECTS_STRING, offsetof(struct request, since),
               "\"since\" must be a string: an id."},
    [ECHO] = {"echo", OBJECTS_FLAG, offsetof(struct request, echo), "\"echo\" must be true or false."},
};

static const struct objects_form forms[] = {
    {"join", "data", VERB_LOGIN, BIT(NAME), BIT(PASSWORD) | BIT(KEY) | BIT(ROOM) | BIT(SINCE) | BIT(ECHO),
     NULL},
    {"join", NULL, VERB_JOIN, BIT(ROOM), BIT(SINCE), "\"join\" needs \"data\", a name, or \"room\"."},
    {"chat", NULL, VERB_CHAT, BIT(TEXT), BIT(ROOM), "\"chat\" needs \"data\", the text."},
    {"direct", NULL, VERB_DIRECT, BIT(TO) | BIT(TEXT), 0,
     "\"direct\" needs \"to\", a name, and \"data\", the text."},
    {"leave", "room", VERB_LEAVE, BIT(ROOM), 0, NULL},
    {"leave", NULL, VERB_LOGOUT, 0, 0, NULL},
    {"history", "with", VERB_HISTORY, BIT(WITH), BIT(BEFORE) | BIT(SINCE) | BIT(LIMIT), NULL},
    {"history", NULL, VERB_HISTORY, 0, BIT(ROOM) | BIT(BEFORE) | BIT(SINCE) | BIT(LIMIT), NULL},
    {"register", NULL, VERB_REGISTER, BIT(NEW), BIT(OLD), "\"register\" needs \"password\"."},
    {"read", NULL, VERB_READ, BIT(WITH) | BIT(ID), 0, "\"read\" needs \"with\", a name, and \"id\"."},
    {"who", NULL, VERB_WHO, 0, BIT(ROOM), NULL},
    {"rooms", NULL, VERB_ROOMS, 0, 0, NULL},
    {"ping", NULL, VERB_PING, 0, 0, NULL},
};

static const struct objects_grammar grammar = {
    .key = "type",
    .no_word = "\"type\" is missing or not a string.",
    .values = values,
    .n_values = VALUES,
    .forms = forms,
    .n_forms = sizeof forms / sizeof *forms,
};

static enum decoded decode(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request)
{
    return objects_decode(codec, &grammar, bytes, len, used, request);
}

static json_t *pack_welcome(const struct reply *reply)
{
    char id[ID_TEXT_MAX];

    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:s*, s:s*}", "type", "welcome", "from",
                     "server", "data", json_sprintf("Welcome, %s.", reply->name), "name", reply->name, "room",
                     reply->room, "id", id_to_decimal(reply->id, id), "users", (json_int_t)reply->count,
                     "unread", (json_int_t)reply->unread, "gateway", reply->gateway, "ref", reply->ref);
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
                     reply->room ? json_sprintf("Some messages in %s are missing here.", reply->room)
                                 : json_string("Some directs to you are missing here."),
                     "room", reply->room, "after", id_to_decimal(reply->after, after), "until",
                     id_to_decimal(reply->until, until));
}

static void show_event(const struct event *event, struct objects_event *shown)
{
    const struct flat_member text = {"data", event->text},
                             place = {event->direct ? "to" : "room", event->place};

    id_to_decimal(event->id, shown->id);
    id_to_time(event->id, shown->at);
    shown->members[0] = (struct flat_member){"type", event->direct ? "direct" : "message"};
    shown->members[1] = (struct flat_member){"from", event->from};
    shown->members[2] = event->direct ? place : text;
    shown->members[3] = event->direct ? text : place;
    shown->members[4] = (struct flat_member){"id", shown->id};
    shown->members[5] = (struct flat_member){"at", shown->at};
}

static json_t *pack_history(const struct reply *reply)
{
    return json_pack("{s:s, s:s*, s:s*, s:o, s:b, s:s*}", "type", "history", "room", reply->room, "with",
                     reply->name, "messages", objects_list(reply, show_event), "more", reply->more, "ref",
                     reply->ref);
}

static json_t *pack_reply(const struct reply *reply)
{
    switch (reply->kind) {
    case REPLY_WELCOME:
        return pack_welcome(reply);
    case REPLY_ENTERED:
        return pack_entered(reply);
    case REPLY_EXITED:
        return json_pack("{s:s, s:s, s:s*}", "type", "exited", "room", reply->room, "ref", reply->ref);
    case REPLY_GOODBYE:
        return json_pack("{s:s, s:s*}", "type", "exited", "ref", reply->ref);
    case REPLY_WHO:
        return json_pack("{s:s, s:s*, s:o, s:I, s:s*}", "type", "who", "room", reply->room, "users",
                         objects_names(reply), "count", (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_ROOMS:
        return json_pack("{s:s, s:o, s:I, s:s*}", "type", "rooms", "rooms", objects_rooms(reply), "count",
                         (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_HISTORY:
        return pack_history(reply);
    case REPLY_REGISTERED:
        return json_pack("{s:s, s:s, s:s*}", "type", "registered", "name", reply->name, "ref", reply->ref);
    case REPLY_READ:
        return json_pack("{s:s, s:s, s:I, s:s*}", "type", "read", "with", reply->name, "unread",
                         (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_PONG:
        return json_pack("{s:s, s:s*}", "type", "pong", "ref", reply->ref);
    case REPLY_ERROR:
        return pack_error(reply);
    case REPLY_GAP:
        return pack_gap(reply);
    case REPLY_ACK:
    case REPLY_HELP:
        break;
    }
    return NULL;
}

static void put_ack(const struct reply *reply, struct evbuffer *out)
{
    char id[ID_TEXT_MAX];
    const struct flat_member members[] = {
        {"type", "ack"}, {"ref", reply->ref}, {"id", id_to_decimal(reply->id, id)}};

    if (reply->ref)
        objects_put_flat(out, members, sizeof members / sizeof *members);
}

static void encode_reply(const struct reply *reply, struct evbuffer *out)
{
    if (reply->kind == REPLY_ACK)
        put_ack(reply, out);
    else
        objects_put(out, pack_reply(reply));
}

static void encode_event(const struct event *event, struct evbuffer *out)
{
    objects_put_event(out, event, show_event);
}

static void encode_notice(const struct notice *notice, struct evbuffer *out)
{
    const char *what = notice->joined ? "joined" : "left";
    char at[ID_TEXT_MAX];

    objects_put(out, json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", what, "from", notice->name, "data",
                               json_sprintf("%s %s.", notice->name, what), "room", notice->room, "at",
                               time_text(notice->ms, at)));
}

extern const struct dialect dialect_json;
const struct dialect dialect_json = {
    .name = "json",
    .says_read = true,
    .codec_create = objects_create,
    .codec_destroy = objects_destroy,
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
};
