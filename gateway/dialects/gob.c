/*
 * gob: Go's encoding/gob, for programs that send and receive one struct, Message (see gob_decode.h).
 *
 * Go programs have two habits.  One makes an Encoder and a Decoder for the connection: a type must be defined
 * to that Decoder once and never again.  The other makes new ones for every message: a type must be defined
 * each time, and what comes with the message may be lost.  So each message to a client defines its type,
 * under an id of its own, and goes alone, until the client has shown that it has the first habit by sending a
 * message without a definition before it.
 *
 * What is encoded for all clients is records: a length and a Message's value; frame() makes one client's
 * messages from them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "dialect.h"
#include "gob_decode.h"
#include "gob_encode.h"
#include "slash.h"

#define SERVER "server"

enum message_type { TYPE_TEXT, TYPE_JOIN, TYPE_LEAVE };

struct codec {
    struct gob_stream stream;
    char *held;             /* the strings of the request that was handed out last */
    int32_t id;             /* the last that Message was defined to the client with; 0: it was not */
    bool has_said_anything; /* a value has come */
    bool is_long_lived;     /* the client has the first habit */
    bool wants_unsigned;    /* its Type is no int but a uint, and Go does not make one from the other */
    bool has_unsigned;      /* so was it defined to the client last */
};

static struct codec *codec_create(void)
{
    return calloc(1, sizeof(struct codec));
}

static void codec_destroy(struct codec *codec)
{
    if (!codec)
        return;
    gob_stream_finish(&codec->stream);
    free(codec->held);
    free(codec);
}

static enum decoded refuse_all(struct request *request, enum error_code error, const char *reason)
{
    request_refuse(request, error, reason);
    return DECODED_FATAL;
}

/* Learns from a value how to talk to the client. */
static void learn(struct codec *codec, const struct gob_message *message)
{
    if (message->repeated)
        codec->is_long_lived = false;
    else if (codec->has_said_anything && !message->defined)
        codec->is_long_lived = true;
    codec->has_said_anything = true;
}

/* Keeps a copy of `string` for the request.  False: no memory. */
static bool hold(struct codec *codec, struct gob_string string)
{
    codec->held = strndup(string.bytes, string.len);
    return codec->held != NULL;
}

/* A name, and in Content a password. */
static enum decoded read_join(struct codec *codec, const struct gob_message *message, struct request *request)
{
    size_t name_size = message->sender.len + 1;

    codec->held = calloc(1, name_size + message->content.len + 1);
    if (!codec->held)
        return request_refuse(request, ERROR_UNAVAILABLE, NULL);
    memcpy(codec->held, message->sender.bytes, message->sender.len);
    memcpy(codec->held + name_size, message->content.bytes, message->content.len);
    request->verb = VERB_LOGIN;
    request->name = codec->held;
    request->password = message->content.len > 0 ? codec->held + name_size : NULL;
    return DECODED_REQUEST;
}

static enum decoded read_message(struct codec *codec, const struct gob_message *message,
                                 struct request *request)
{
    codec->wants_unsigned = message->has_unsigned_type;
    if (memchr(message->sender.bytes, '\0', message->sender.len) ||
        memchr(message->content.bytes, '\0', message->content.len))
        return request_refuse(request, ERROR_BAD_REQUEST, "Sender and Content may not hold NUL bytes.");
    switch (message->type) {
    case TYPE_TEXT:
        return hold(codec, message->content) ? slash_read(codec->held, request)
                                             : request_refuse(request, ERROR_UNAVAILABLE, NULL);
    case TYPE_JOIN:
        return read_join(codec, message, request);
    case TYPE_LEAVE:
        request->verb = VERB_LOGOUT;
        return DECODED_REQUEST;
    default:
        return request_refuse(request, ERROR_BAD_REQUEST,
                              "Type is 0 for a text, 1 for joining or 2 for leaving.");
    }
}

static enum decoded decode(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request)
{
    struct gob_message message;
    enum gob_found found;

    free(codec->held);
    codec->held = NULL;
    found = gob_read(&codec->stream, bytes, len, used, &message);
    switch (found) {
    case GOB_MORE:
        return DECODED_MORE;
    case GOB_TOO_LONG:
        return refuse_all(request, ERROR_TOO_LONG, message.reason);
    case GOB_MALFORMED:
        return refuse_all(request, ERROR_BAD_REQUEST, message.reason);
    case GOB_OTHER:
    case GOB_MESSAGE:
        break;
    }
    learn(codec, &message);
    if (found == GOB_OTHER)
        return request_refuse(request, ERROR_BAD_REQUEST, message.reason);
    return read_message(codec, &message, request);
}

static void put(enum message_type type, const char *sender, const char *content, struct evbuffer *out)
{
    struct evbuffer *value = evbuffer_new();
    size_t len;

    if (!value)
        abort();
    gob_put_value(type, sender, content, value);
    len = evbuffer_get_length(value);
    evbuffer_add(out, &len, sizeof len);
    evbuffer_add_buffer(out, value);
    evbuffer_free(value);
}

/* What the server says, if it is anything. */
static void put_sentence(const struct reply *reply, struct evbuffer *out)
{
    struct evbuffer *sentence = evbuffer_new();

    if (!sentence)
        abort();
    if (reply->kind == REPLY_ERROR)
        evbuffer_add_printf(sentence, "error: %s", error_name(reply->error));
    else
        slash_encode_reply(reply, sentence);
    if (evbuffer_get_length(sentence) > 0) {
        evbuffer_add(sentence, "", 1);
        put(TYPE_TEXT, SERVER, (const char *)evbuffer_pullup(sentence, -1), out);
    }
    evbuffer_free(sentence);
}

static void encode_reply(const struct reply *reply, struct evbuffer *out)
{
    if (reply->kind != REPLY_GOODBYE)
        put_sentence(reply, out);
}

/* No name has a space in it: nobody can look like a direct. */
static void encode_event(const struct event *event, struct evbuffer *out)
{
    char from[sizeof "[direct] " + NAME_MAX_BYTES];

    snprintf(from, sizeof from, "%s%s", event->direct ? "[direct] " : "", event->from);
    put(TYPE_TEXT, from, event->text, out);
}

static void encode_notice(const struct notice *notice, struct evbuffer *out)
{
    put(notice->joined ? TYPE_JOIN : TYPE_LEAVE, notice->name, "", out);
}

/* Whether the client must be told again what a Message is.  It is not when no more ids are left, which takes
 * it more memory than anybody has. */
static bool must_define(const struct codec *codec)
{
    if (codec->id == 0 || codec->has_unsigned != codec->wants_unsigned)
        return codec->id < GOB_LAST_ID;
    return !codec->is_long_lived && codec->id < GOB_LAST_ID;
}

static size_t frame(struct codec *codec, const char *bytes, size_t len, struct evbuffer *out, bool *alone)
{
    size_t value_len;

    if (len == 0)
        return 0;
    memcpy(&value_len, bytes, sizeof value_len);
    if (must_define(codec)) {
        codec->id = codec->id ? codec->id + 1 : GOB_FIRST_ID;
        codec->has_unsigned = codec->wants_unsigned;
        gob_put_definition(codec->id, codec->has_unsigned, out);
    }
    gob_put_message(codec->id, codec->has_unsigned, bytes + sizeof value_len, value_len, out);
    *alone = !codec->is_long_lived;
    return sizeof value_len + value_len;
}

extern const struct dialect dialect_gob;
const struct dialect dialect_gob = {
    .name = "gob",
    .tells_names = true,
    .codec_create = codec_create,
    .codec_destroy = codec_destroy,
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
    .frame = frame,
};
