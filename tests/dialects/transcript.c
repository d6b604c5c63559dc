#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

static const char *const verbs[VERBS] = {
    [VERB_LOGIN] = "LOGIN",     [VERB_CHAT] = "CHAT",     [VERB_JOIN] = "JOIN", [VERB_MOVE] = "MOVE",
    [VERB_LEAVE] = "LEAVE",     [VERB_LOGOUT] = "LOGOUT", [VERB_WHO] = "WHO",   [VERB_ROOMS] = "ROOMS",
    [VERB_PING] = "PING",       [VERB_DIRECT] = "DIRECT", [VERB_HELP] = "HELP", [VERB_REGISTER] = "REGISTER",
    [VERB_HISTORY] = "HISTORY", [VERB_READ] = "READ",
};

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

size_t random_below(uint64_t *state, size_t bound)
{
    return (size_t)((random_next(state) >> 16) % bound);
}

static void write_value(FILE *out, const char *key, const char *value)
{
    if (value)
        fprintf(out, " %s=[%s]", key, value);
}

static void write_request(FILE *out, const struct request *request)
{
    assert_true((unsigned)request->verb < VERBS);
    assert_int_equal(request->error, ERROR_NONE);
    fputs(verbs[request->verb], out);
    write_value(out, "name", request->name);
    write_value(out, "password", request->password);
    write_value(out, "old", request->old);
    write_value(out, "key", request->key);
    write_value(out, "room", request->room);
    write_value(out, "to", request->to);
    write_value(out, "text", request->text);
    write_value(out, "since", request->since);
    write_value(out, "before", request->before);
    write_value(out, "with", request->with);
    write_value(out, "id", request->id);
    if (request->limit)
        fprintf(out, " limit=%ld", request->limit);
    if (request->echo)
        fputs(" echo", out);
    write_value(out, "ref", request->ref);
    fputc('\n', out);
}

static void write_error(FILE *out, const char *word, const struct request *request)
{
    assert_int_not_equal(request->error, ERROR_NONE);
    assert_true(request->reason ||
                request->error == ERROR_UNKNOWN_COMMAND); /* a bare "bad request" helps nobody */
    fprintf(out, "%s %s", word, error_name(request->error));
    write_value(out, "ref", request->ref);
    fputc('\n', out);
}

/* Feeds bytes[*start .. end) until the decoder wants more.  False if it can go on no more. */
static bool feed(const struct dialect *dialect, struct codec *codec, const char *bytes, size_t *start,
                 size_t end, FILE *out)
{
    enum decoded decoded;

    do {
        size_t len = end - *start, used = SIZE_MAX;
        char *copy = malloc(len ? len : 1);
        struct request request = {.verb = VERBS};

        assert_non_null(copy);
        memcpy(copy, bytes + *start, len);
        decoded = dialect->decode(codec, copy, len, &used, &request);
        free(copy);
        assert_true(used <= len);
        assert_true(used > 0 || decoded == DECODED_MORE);
        *start += used;
        if (decoded == DECODED_REQUEST)
            write_request(out, &request);
        else if (decoded == DECODED_ERROR || decoded == DECODED_FATAL)
            write_error(out, decoded == DECODED_FATAL ? "FATAL" : "ERROR", &request);
    } while (decoded == DECODED_REQUEST || decoded == DECODED_ERROR);
    if (decoded == DECODED_MORE)
        assert_true(end - *start <= REQUEST_MAX_BYTES);
    return decoded == DECODED_MORE;
}

char *transcript(const struct dialect *dialect, const char *bytes, size_t len, struct cut cut)
{
    struct codec *codec = dialect->codec_create();
    char *text = NULL;
    size_t size, start = 0, end = 0;
    FILE *out = open_memstream(&text, &size);
    bool more = true;

    assert_non_null(codec);
    assert_non_null(out);
    while (more && end < len) {
        size_t piece = cut.seed ? 1 + random_below(&cut.seed, cut.most) : cut.most;

        end = piece > len - end ? len : end + piece;
        more = feed(dialect, codec, bytes, &start, end, out);
    }
    dialect->codec_destroy(codec);
    fclose(out);
    return text;
}

static void assert_cut_understood(const struct dialect *dialect, const char *bytes, size_t len,
                                  const char *expected, struct cut cut)
{
    char *text = transcript(dialect, bytes, len, cut);

    assert_string_equal(text, expected);
    free(text);
}

void assert_understood(const struct dialect *dialect, const char *bytes, size_t len, const char *expected)
{
    assert_cut_understood(dialect, bytes, len, expected, ALL_AT_ONCE);
    assert_cut_understood(dialect, bytes, len, expected, BYTE_BY_BYTE);
    assert_cut_understood(dialect, bytes, len, expected, (struct cut){.most = 7, .seed = 7});
    assert_cut_understood(dialect, bytes, len, expected, (struct cut){.most = 4096, .seed = 11});
}

/* Takes `buffer`. */
static char *buffer_text(struct evbuffer *buffer)
{
    size_t len = evbuffer_get_length(buffer);
    char *text = calloc(1, len + 1);

    assert_non_null(text);
    evbuffer_remove(buffer, text, len);
    evbuffer_free(buffer);
    return text;
}

char *reply_text(const struct dialect *dialect, const struct reply *reply)
{
    struct evbuffer *buffer = evbuffer_new();

    dialect->encode_reply(reply, buffer);
    return buffer_text(buffer);
}

char *event_text(const struct dialect *dialect, const struct event *event)
{
    struct evbuffer *buffer = evbuffer_new();

    dialect->encode_event(event, buffer);
    return buffer_text(buffer);
}

char *notice_text(const struct dialect *dialect, const struct notice *notice)
{
    struct evbuffer *buffer = evbuffer_new();

    dialect->encode_notice(notice, buffer);
    return buffer_text(buffer);
}

const struct dialect *dialect_named(const char *name)
{
    int number = dialect_find(name, strlen(name));

    assert_true(number >= 0);
    return dialects[number];
}
