/*
 * line: one command a line in, one fact a line out.
 *
 * A codec remembers how much of an unfinished line it has looked at, or that it is skipping the rest of one
 * that was too long.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "dialect.h"
#include "phrase.h"

#define IDLE_SECONDS 60

struct codec {
    char *held;       /* the line that was handed out last: the request's strings are in there */
    uint16_t scanned; /* bytes of the unused ones that hold no newline */
    bool skipping;    /* the line was too long: go on behind the next newline */
};

static struct codec *codec_create(void)
{
    return calloc(1, sizeof(struct codec));
}

static void codec_destroy(struct codec *codec)
{
    if (!codec)
        return;
    free(codec->held);
    free(codec);
}

static const struct phrase phrases[] = {
    {.word = "MSG",
     .verb = VERB_CHAT,
     .rest = true,
     .least = 1,
     .most = 1,
     .offsets = {offsetof(struct request, text)},
     .usage = "Say MSG and the text."},
    {.word = "DM",
     .verb = VERB_DIRECT,
     .rest = true,
     .least = 2,
     .most = 2,
     .offsets = {offsetof(struct request, to), offsetof(struct request, text)},
     .usage = "Say DM, a name and the text."},
    {.word = "LOGIN",
     .verb = VERB_LOGIN,
     .least = 1,
     .most = 2,
     .offsets = {offsetof(struct request, name), offsetof(struct request, password)},
     .usage = "Say LOGIN and a name; a password may follow."},
    {.word = "WHO", .verb = VERB_WHO, .usage = "Say WHO alone."},
    {.word = "JOIN",
     .verb = VERB_MOVE,
     .least = 1,
     .most = 1,
     .offsets = {offsetof(struct request, room)},
     .usage = "Say JOIN and a room."},
    {.word = "LEAVE",
     .verb = VERB_MOVE,
     .usage = "Say LEAVE alone: it goes back to the lobby.",
     .room = LOBBY},
    {.word = "HISTORY",
     .verb = VERB_HISTORY,
     .number = true,
     .most = 1,
     .usage = "Say HISTORY; how many messages may follow."},
    {.word = "REGISTER",
     .verb = VERB_REGISTER,
     .least = 1,
     .most = 2,
     .offsets = {offsetof(struct request, password), offsetof(struct request, old)},
     .usage = "Say REGISTER and a password; to change it, the old one follows."},
    {.word = "PING", .verb = VERB_PING, .usage = "Say PING alone."},
    {.word = "QUIT", .verb = VERB_LOGOUT, .usage = "Say QUIT alone."},
};

/* Reads the line `text`, which is not empty, in place. */
static enum decoded read_line(char *text, struct request *request)
{
    char *arguments = text + strspn(text, " \t");
    const char *word = strsep(&arguments, " \t");
    const struct phrase *phrase = phrase_find(phrases, sizeof phrases / sizeof *phrases, word);

    if (phrase)
        return phrase_read(phrase, arguments, request);
    return request_refuse(
        request, ERROR_UNKNOWN_COMMAND,
        "LOGIN, MSG, DM, WHO, JOIN, LEAVE, HISTORY, REGISTER, PING and QUIT are what there is.");
}

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 0;
}

/* The next line that is not blank, or, with another answer than DECODED_REQUEST, why there is none. */
static enum decoded next_line(struct codec *codec, const char *bytes, size_t len, size_t *used,
                              const char **line, size_t *line_len)
{
    for (*used = 0; *used < len;) {
        size_t seen = codec->skipping ? 0 : codec->scanned;
        size_t end = len - *used;
        const char *newline;

        *line = bytes + *used;
        if (!codec->skipping && end > REQUEST_MAX_BYTES + 1)
            end = REQUEST_MAX_BYTES + 1;
        newline = memchr(*line + seen, '\n', end - seen);
        codec->scanned = 0;
        if (newline) {
            bool skipped = codec->skipping;

            *line_len = (size_t)(newline - *line);
            *used += *line_len + 1;
            codec->skipping = false;
            *line_len -= *line_len > 0 && newline[-1] == '\r';
            if (!skipped && !is_blank(*line, *line_len))
                return DECODED_REQUEST;
        } else if (codec->skipping) {
            *used = len;
        } else if (end > REQUEST_MAX_BYTES) {
            codec->skipping = true;
            *used += end;
            return DECODED_ERROR;
        } else {
            codec->scanned = (uint16_t)end;
            return DECODED_MORE;
        }
    }
    return DECODED_MORE;
}

static enum decoded decode(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request)
{
    const char *line;
    size_t line_len;
    enum decoded found;

    free(codec->held);
    codec->held = NULL;
    found = next_line(codec, bytes, len, used, &line, &line_len);
    if (found == DECODED_ERROR)
        return request_refuse(request, ERROR_TOO_LONG, "A line may have 16384 bytes at most.");
    if (found == DECODED_MORE)
        return DECODED_MORE;
    if (memchr(line, '\0', line_len))
        return request_refuse(request, ERROR_BAD_REQUEST, "A line may not hold NUL bytes.");
    codec->held = strndup(line, line_len);
    if (!codec->held)
        return request_refuse(request, ERROR_UNAVAILABLE, NULL);
    return read_line(codec->held, request);
}

/* Appends "VERB from text", once for each line of the text: nobody can forge a line of somebody else's. */
static void put_text(struct evbuffer *out, const char *verb, const char *from, const char *text)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        evbuffer_add_printf(out, "%s %s %.*s\n", verb, from, (int)(end - text), text);
    evbuffer_add_printf(out, "%s %s %s\n", verb, from, text);
}

/* The same, with id and time. */
static void put_past(struct evbuffer *out, const struct event *event)
{
    char prefix[2 * ID_TEXT_MAX + 8], id[ID_TEXT_MAX], at[ID_TEXT_MAX];

    snprintf(prefix, sizeof prefix, "HIST %s %s", id_to_decimal(event->id, id), id_to_time(event->id, at));
    put_text(out, prefix, event->from, event->text);
}

static void encode_reply(const struct reply *reply, struct evbuffer *out)
{
    switch (reply->kind) {
    case REPLY_HISTORY:
        for (size_t i = 0; i < reply->n_events; i++)
            put_past(out, reply->events[i]);
        evbuffer_add_printf(out, "OK\n");
        break;
    case REPLY_WELCOME:
    case REPLY_ENTERED:
    case REPLY_EXITED:
    case REPLY_REGISTERED:
        evbuffer_add_printf(out, "OK\n");
        break;
    case REPLY_WHO:
        for (size_t i = 0; i < reply->n_names; i++)
            evbuffer_add_printf(out, "USER %s\n", reply->names[i]);
        break;
    case REPLY_PONG:
        evbuffer_add_printf(out, "PONG\n");
        break;
    case REPLY_ERROR:
        evbuffer_add_printf(out, "ERR %s %s\n", error_name(reply->error),
                            reply->text ? reply->text : error_sentence(reply->error));
        break;
    case REPLY_GAP:
        evbuffer_add_printf(out, "INFO gap %s\n", reply->room ? reply->room : "of directs");
        break;
    case REPLY_ACK:
    case REPLY_READ:
    case REPLY_ROOMS:
    case REPLY_GOODBYE:
    case REPLY_HELP:
        break;
    }
}

static void encode_event(const struct event *event, struct evbuffer *out)
{
    put_text(out, event->direct ? "DM" : "MSG", event->from, event->text);
}

static void encode_notice(const struct notice *notice, struct evbuffer *out)
{
    evbuffer_add_printf(out, "INFO %s %s\n", notice->name, notice->joined ? "connected" : "disconnected");
}

extern const struct dialect dialect_line;
const struct dialect dialect_line = {
    .name = "line",
    .idle_seconds = IDLE_SECONDS,
    .codec_create = codec_create,
    .codec_destroy = codec_destroy,
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
};
