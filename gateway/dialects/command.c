/* command: JSON commands in, each answered by an ACK or an ERROR that names it. */

#include "objects.h"

enum { USERNAME, TEXT, ROOM, TO, PASSWORD, NEW, OLD, KEY, SINCE, BEFORE, WITH, ID, LIMIT, VALUES };
#define BIT(value) (1u << (value))

static const struct objects_value values[VALUES] = {
    [USERNAME] = {"username", OBJECTS_STRING, offsetof(struct request, name),
                  "\"username\" must be a string."},
    [TEXT] = {"text", OBJECTS_STRING, offsetof(struct request, text), "\"text\" must be a string."},
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
};

static const struct objects_form forms[] = {
    {"CONNECT", NULL, VERB_LOGIN, BIT(USERNAME), BIT(PASSWORD) | BIT(KEY) | BIT(ROOM) | BIT(SINCE),
     "CONNECT needs \"username\"."},
    {"MSG", "to", VERB_DIRECT, BIT(TO) | BIT(TEXT), 0, "MSG needs \"text\"."},
    {"MSG", NULL, VERB_CHAT, BIT(TEXT), BIT(ROOM), "MSG needs \"text\"."},
    {"MESSAGE", "to", VERB_DIRECT, BIT(TO) | BIT(TEXT), 0, "MESSAGE needs \"text\"."},
    {"MESSAGE", NULL, VERB_CHAT, BIT(TEXT), BIT(ROOM), "MESSAGE needs \"text\"."},
    {"USERS", NULL, VERB_WHO, 0, BIT(ROOM), NULL},
    {"ROOMS", NULL, VERB_ROOMS, 0, 0, NULL},
    {"JOIN", NULL, VERB_JOIN, BIT(ROOM), BIT(SINCE), "JOIN needs \"room\"."},
    {"LEAVE", "room", VERB_LEAVE, BIT(ROOM), 0, NULL},
    {"LEAVE", NULL, VERB_LOGOUT, 0, 0, NULL},
    {"HISTORY", "with", VERB_HISTORY, BIT(WITH), BIT(BEFORE) | BIT(SINCE) | BIT(LIMIT), NULL},
    {"HISTORY", NULL, VERB_HISTORY, 0, BIT(ROOM) | BIT(BEFORE) | BIT(SINCE) | BIT(LIMIT), NULL},
    {"REGISTER", NULL, VERB_REGISTER, BIT(NEW), BIT(OLD), "REGISTER needs \"password\"."},
    {"READ", NULL, VERB_READ, BIT(WITH) | BIT(ID), 0, "READ needs \"with\", a name, and \"id\"."},
    {"PING", NULL, VERB_PING, 0, 0, NULL},
    {"DISCONNECT", NULL, VERB_LOGOUT, 0, 0, NULL},
};

static const struct objects_grammar grammar = {
    .key = "command",
    .no_word = "\"command\" is missing or not a string.",
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

    return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:o, s:I, s:I, s:s*}", "command", "ACK", "of", reply->word,
                     "username", reply->name, "room", reply->room, "id", id_to_decimal(reply->id, id),
                     "users", objects_names(reply), "count", (json_int_t)reply->count, "unread",
                     (json_int_t)reply->unread, "ref", reply->ref);
}

static json_t *pack_entered(const struct reply *reply)
{
    char id[ID_TEXT_MAX];

    return json_pack("{s:s, s:s?, s:s, s:s, s:o, s:I, s:s*}", "command", "ACK", "of", reply->word, "room",
                     reply->room, "id", id_to_decimal(reply->id, id), "users", objects_names(reply), "count",
                     (json_int_t)reply->count, "ref", reply->ref);
}

static json_t *pack_error(const struct reply *reply)
{
    return json_pack("{s:s, s:s?, s:s, s:s, s:s*}", "command", "ERROR", "of", reply->word, "code",
                     error_name(reply->error), "error",
                     reply->text ? reply->text : error_sentence(reply->error), "ref", reply->ref);
}

static json_t *pack_gap(const struct reply *reply)
{
    char after[ID_TEXT_MAX], until[ID_TEXT_MAX];

    return json_pack("{s:s, s:s*, s:s, s:s}", "command", "GAP", "room", reply->room, "after",
                     id_to_decimal(reply->after, after), "until", id_to_decimal(reply->until, until));
}

static void show_event(const struct event *event, struct objects_event *shown)
{
    id_to_decimal(event->id, shown->id);
    id_to_time(event->id, shown->at);
    shown->members[0] = (struct flat_member){"command", "MESSAGE"};
    shown->members[1] = (struct flat_member){"from", event->from};
    shown->members[2] = (struct flat_member){"text", event->text};
    shown->members[3] = (struct flat_member){event->direct ? "to" : "room", event->place};
    shown->members[4] = (struct flat_member){"id", shown->id};
    shown->members[5] = (struct flat_member){"timestamp", shown->at};
}

static json_t *pack_history(const struct reply *reply)
{
    return json_pack("{s:s, s:s?, s:s*, s:s*, s:o, s:b, s:s*}", "command", "ACK", "of", reply->word, "room",
                     reply->room, "with", reply->name, "messages", objects_list(reply, show_event), "more",
                     reply->more, "ref", reply->ref);
}

static json_t *pack_reply(const struct reply *reply)
{
    switch (reply->kind) {
    case REPLY_WELCOME:
        return pack_welcome(reply);
    case REPLY_ENTERED:
        return pack_entered(reply);
    case REPLY_EXITED:
        return json_pack("{s:s, s:s?, s:s, s:s*}", "command", "ACK", "of", reply->word, "room", reply->room,
                         "ref", reply->ref);
    case REPLY_HISTORY:
        return pack_history(reply);
    case REPLY_REGISTERED:
        return json_pack("{s:s, s:s?, s:s, s:s*}", "command", "ACK", "of", reply->word, "username",
                         reply->name, "ref", reply->ref);
    case REPLY_READ:
        return json_pack("{s:s, s:s?, s:s, s:I, s:s*}", "command", "ACK", "of", reply->word, "with",
                         reply->name, "unread", (json_int_t)reply->count, "ref", reply->ref);
    case REPLY_GOODBYE:
    case REPLY_PONG:
        return json_pack("{s:s, s:s?, s:s*}", "command", "ACK", "of", reply->word, "ref", reply->ref);
    case REPLY_WHO:
        return json_pack("{s:s, s:s?, s:s*, s:o, s:I, s:s*}", "command", "ACK", "of", reply->word, "room",
                         reply->room, "users", objects_names(reply), "count", (json_int_t)reply->count, "ref",
                         reply->ref);
    case REPLY_ROOMS:
        return json_pack("{s:s, s:s?, s:o, s:I, s:s*}", "command", "ACK", "of", reply->word, "rooms",
                         objects_rooms(reply), "count", (json_int_t)reply->count, "ref", reply->ref);
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
    char id[ID_TEXT_MAX], at[ID_TEXT_MAX];
    const struct flat_member members[] = {{"command", "ACK"},
                                          {"of", reply->word},
                                          {"id", id_to_decimal(reply->id, id)},
                                          {"timestamp", id_to_time(reply->id, at)},
                                          {"ref", reply->ref}};

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
    char at[ID_TEXT_MAX];

    objects_put(out, json_pack("{s:s, s:s, s:s, s:s}", "command",
                               notice->joined ? "USER_JOINED" : "USER_LEFT", "username", notice->name, "room",
                               notice->room, "timestamp", time_text(notice->ms, at)));
}

extern const struct dialect dialect_command;
const struct dialect dialect_command = {
    .name = "command",
    .says_read = true,
    .tells_names = true,
    .codec_create = objects_create,
    .codec_destroy = objects_destroy,
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
};
