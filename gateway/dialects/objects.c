/*
 * A scanner finds where an object ends by counting brackets outside strings; the JSON library sees whole
 * objects only.  The scanner keeps its place between calls, so an object that comes byte by byte costs no
 * more than one that comes at once, and it knows the nesting before anything recurses.
 */

#include "objects.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

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

struct codec *objects_create(void)
{
    return calloc(1, sizeof(struct codec));
}

void objects_destroy(struct codec *codec)
{
    if (!codec)
        return;
    json_decref(codec->held);
    free(codec);
}

/* An object as a request --------------------------------------------------------------------------------- */

static const struct objects_form *form_find(const struct objects_grammar *grammar, const char *word,
                                            const json_t *object)
{
    for (size_t i = 0; i < grammar->n_forms; i++) {
        const struct objects_form *form = &grammar->forms[i];

        if (strcmp(form->word, word) == 0 && (!form->with || json_object_get(object, form->with)))
            return form;
    }
    return NULL;
}

/* Puts `json` where `value` belongs.  False if it is of another kind. */
static bool read_value(const struct objects_value *value, const json_t *json, struct request *request)
{
    char *place = (char *)request + value->offset;

    if (value->kind == OBJECTS_FLAG) {
        *(bool *)place = json_is_true(json);
        return json_is_boolean(json);
    }
    if (value->kind == OBJECTS_NUMBER) {
        *(long *)place = (long)json_integer_value(json);
        return json_integer_value(json) > 0; /* of what is no number, 0 */
    }
    if (!json_is_string(json) || (value->kind == OBJECTS_KEY && json_string_length(json) > KEY_MAX_BYTES))
        return false;
    if (value->kind == OBJECTS_STRING || json_string_length(json) > 0)
        *(const char **)place = json_string_value(json);
    return true;
}

/* Reads the values that `form` knows.  NULL, or what is wrong. */
static const char *read_values(const struct objects_grammar *grammar, const struct objects_form *form,
                               const json_t *object, struct request *request)
{
    for (size_t i = 0; i < grammar->n_values; i++) {
        const struct objects_value *value = &grammar->values[i];
        const json_t *json;

        if (!((form->needed | form->optional) >> i & 1))
            continue;
        json = json_object_get(object, value->key);
        if (!json && (form->needed >> i & 1))
            return form->missing;
        if (json && !read_value(value, json, request))
            return value->wrong;
    }
    return NULL;
}

static enum decoded read_object(const struct objects_grammar *grammar, const json_t *object,
                                struct request *request)
{
    const json_t *ref = json_object_get(object, "ref");
    const struct objects_form *form;
    const char *wrong;

    request->word = json_string_value(json_object_get(object, grammar->key));
    form = request->word ? form_find(grammar, request->word, object) : NULL;
    if (form) {
        request->verb = form->verb;
        request->word = form->word;
    }
    if (ref && (!json_is_string(ref) || json_string_length(ref) > REF_MAX_BYTES))
        return request_refuse(request, ERROR_BAD_REQUEST, "\"ref\" must be a string of at most 64 bytes.");
    request->ref = json_string_value(ref);
    if (!request->word)
        return request_refuse(request, ERROR_BAD_REQUEST, grammar->no_word);
    if (!form)
        return request_refuse(request, ERROR_UNKNOWN_COMMAND, NULL);
    wrong = read_values(grammar, form, object, request);
    return wrong ? request_refuse(request, ERROR_BAD_REQUEST, wrong) : DECODED_REQUEST;
}

/* The stream --------------------------------------------------------------------------------------------- */

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
static enum decoded finish(struct codec *codec, const struct objects_grammar *grammar, const char *bytes,
                           size_t len, struct request *request)
{
    bool deep = codec->deep;

    *codec = (struct codec){.place = BETWEEN};
    if (deep)
        return request_refuse(request, ERROR_BAD_REQUEST, "JSON may be nested 64 deep at most.");
    codec->held = json_loadb(bytes, len, 0, NULL);
    if (!codec->held)
        return request_refuse(request, ERROR_BAD_REQUEST, "That is not valid JSON.");
    return read_object(grammar, codec->held, request);
}

enum decoded objects_decode(struct codec *codec, const struct objects_grammar *grammar, const char *bytes,
                            size_t len, size_t *used, struct request *request)
{
    bool junk = false;
    size_t start = 0;

    json_decref(codec->held);
    codec->held = NULL;
    if (codec->place == BETWEEN || codec->place == JUNK)
        start = skip(codec, bytes, len, &junk);
    *used = start;
    if (junk)
        return request_refuse(request, ERROR_BAD_REQUEST, "Only JSON objects are expected here.");
    while (codec->place != BETWEEN && codec->place != JUNK && start + codec->scanned < len) {
        if (codec->scanned == REQUEST_MAX_BYTES) {
            *used = len;
            request_refuse(request, ERROR_TOO_LONG, "A request may have 16384 bytes at most.");
            return DECODED_FATAL;
        }
        if (scan(codec, bytes[start + codec->scanned++])) {
            *used = start + codec->scanned;
            return finish(codec, grammar, bytes + start, codec->scanned, request);
        }
    }
    return DECODED_MORE;
}

/* The answers -------------------------------------------------------------------------------------------- */

void objects_put(struct evbuffer *out, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    if (text)
        evbuffer_add_printf(out, "%s\n", text);
    free(text);
    json_decref(json);
}

json_t *objects_names(const struct reply *reply)
{
    json_t *names = json_array();

    for (size_t i = 0; i < reply->n_names; i++)
        json_array_append_new(names, json_string(reply->names[i]));
    return names;
}

json_t *objects_rooms(const struct reply *reply)
{
    json_t *rooms = json_array();

    for (size_t i = 0; i < reply->n_names; i++)
        json_array_append_new(
            rooms, json_pack("{s:s, s:I}", "room", reply->names[i], "users", (json_int_t)reply->counts[i]));
    return rooms;
}

json_t *objects_list(const struct reply *reply, json_t *(*pack)(const struct event *event))
{
    json_t *list = json_array();

    for (size_t i = 0; i < reply->n_events; i++)
        json_array_append_new(list, pack(reply->events[i]));
    return list;
}
