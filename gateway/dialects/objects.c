/*
 * A scanner finds where an object ends by counting brackets outside strings; the JSON library sees whole
 * objects only.  The scanner keeps its place between calls, so an object that comes byte by byte costs no
 * more than one that comes at once, and it knows the nesting before anything recurses.  A flat object that
 * has come whole, as nearly all are and do, needs neither.
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
    json_t *held;     /* the request that was handed out last: its strings are in there, */
    char *strings;    /* or, if it was a flat object, in here */
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
    free(codec->strings);
    free(codec);
}

/* An object as a request --------------------------------------------------------------------------------- */

/* An object that has come: as the library has read it, or flat. */
struct object {
    const json_t *json; /* NULL: it is flat */
    struct member {
        struct flat_string key;
        const char *value;
        size_t len;
    } members[FLAT_MEMBERS_MAX];
    size_t n_members;
};

/* The member of a flat object; of those with the same key the last, as in the library.  NULL: there is none.
 */
static const struct member *find_member(const struct object *object, const char *key)
{
    for (size_t i = object->n_members; i-- > 0;)
        if (flat_equals(&object->members[i].key, key))
            return &object->members[i];
    return NULL;
}

static bool has(const struct object *object, const char *key)
{
    return object->json ? json_object_get(object->json, key) != NULL : find_member(object, key) != NULL;
}

/* The string that a member of the object is.  NULL: it is none. */
static const char *string_of(const struct object *object, const char *key, size_t *len)
{
    const struct member *member;
    const json_t *json;

    if (object->json) {
        json = json_object_get(object->json, key);
        *len = json_string_length(json);
        return json_string_value(json);
    }
    member = find_member(object, key);
    *len = member ? member->len : 0;
    return member ? member->value : NULL;
}

static const struct objects_form *form_find(const struct objects_grammar *grammar, const char *word,
                                            const struct object *object)
{
    for (size_t i = 0; i < grammar->n_forms; i++) {
        const struct objects_form *form = &grammar->forms[i];

        if (strcmp(form->word, word) == 0 && (!form->with || has(object, form->with)))
            return form;
    }
    return NULL;
}

/* Puts the value that is in `object` where it belongs.  False if it is of another kind. */
static bool read_value(const struct objects_value *value, const struct object *object,
                       struct request *request)
{
    const json_t *json = json_object_get(object->json, value->key); /* NULL in a flat one: of another kind */
    char *place = (char *)request + value->offset;
    const char *string;
    size_t len;

    if (value->kind == OBJECTS_FLAG) {
        *(bool *)place = json_is_true(json);
        return json_is_boolean(json);
    }
    if (value->kind == OBJECTS_NUMBER) {
        *(long *)place = (long)json_integer_value(json);
        return json_integer_value(json) > 0; /* of what is no number, 0 */
    }
    string = string_of(object, value->key, &len);
    if (!string || (value->kind == OBJECTS_KEY && len > KEY_MAX_BYTES))
        return false;
    if (value->kind == OBJECTS_STRING || len > 0)
        *(const char **)place = string;
    return true;
}

/* Reads the values that `form` knows.  NULL, or what is wrong. */
static const char *read_values(const struct objects_grammar *grammar, const struct objects_form *form,
                               const struct object *object, struct request *request)
{
    for (size_t i = 0; i < grammar->n_values; i++) {
        const struct objects_value *value = &grammar->values[i];

        if (!((form->needed | form->optional) >> i & 1))
            continue;
        if (has(object, value->key)) {
            if (!read_value(value, object, request))
                return value->wrong;
        } else if (form->needed >> i & 1) {
            return form->missing;
        }
    }
    return NULL;
}

static enum decoded read_object(const struct objects_grammar *grammar, const struct object *object,
                                struct request *request)
{
    const struct objects_form *form;
    const char *wrong;
    size_t len;

    request->word = string_of(object, grammar->key, &len);
    form = request->word ? form_find(grammar, request->word, object) : NULL;
    if (form) {
        request->verb = form->verb;
        request->word = form->word;
    }
    request->ref = string_of(object, "ref", &len);
    if (len > REF_MAX_BYTES || (!request->ref && has(object, "ref"))) {
        request->ref = NULL;
        return request_refuse(request, ERROR_BAD_REQUEST, "\"ref\" must be a string of at most 64 bytes.");
    }
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
    return read_object(grammar, &(struct object){.json = codec->held}, request);
}

/* A flat object of `len` bytes. */
static enum decoded finish_flat(struct codec *codec, const struct objects_grammar *grammar,
                                const struct flat_pair *pairs, size_t n, size_t len, struct request *request)
{
    struct object object = {.n_members = n};
    char *to;

    codec->place = BETWEEN;
    to = codec->strings = malloc(len); /* each string was between quotes, and now has a NUL behind it */
    if (!to)
        return request_refuse(request, ERROR_UNAVAILABLE, NULL);
    for (size_t i = 0; i < n; i++) {
        object.members[i].key = pairs[i].key;
        object.members[i].value = to;
        to = flat_copy(&pairs[i].value, to);
        object.members[i].len = (size_t)(to - object.members[i].value) - 1;
    }
    return read_object(grammar, &object, request);
}

enum decoded objects_decode(struct codec *codec, const struct objects_grammar *grammar, const char *bytes,
                            size_t len, size_t *used, struct request *request)
{
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    bool junk = false;
    size_t start = 0, n, size;

    json_decref(codec->held);
    codec->held = NULL;
    free(codec->strings);
    codec->strings = NULL;
    if (codec->place == BETWEEN || codec->place == JUNK)
        start = skip(codec, bytes, len, &junk);
    *used = start;
    if (junk)
        return request_refuse(request, ERROR_BAD_REQUEST, "Only JSON objects are expected here.");
    if (codec->place == INSIDE && codec->scanned == 0) {
        size = flat_read(bytes + start, len - start < REQUEST_MAX_BYTES ? len - start : REQUEST_MAX_BYTES,
                         pairs, &n);
        if (size > 0) {
            *used = start + size;
            return finish_flat(codec, grammar, pairs, n, size, request);
        }
    }
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

void objects_put_flat(struct evbuffer *out, const struct flat_member *members, size_t n)
{
    size_t size = flat_size(members, n) + 1;
    struct evbuffer_iovec space;

    if (evbuffer_reserve_space(out, (ev_ssize_t)size, &space, 1) < 1)
        abort(); /* who is sent nothing would count as told */
    *flat_write(members, n, space.iov_base) = '\n';
    space.iov_len = size;
    evbuffer_commit_space(out, &space, 1);
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

void objects_put_event(struct evbuffer *out, const struct event *event, objects_show_fn *show)
{
    struct objects_event shown;

    show(event, &shown);
    objects_put_flat(out, shown.members, OBJECTS_EVENT_MEMBERS);
}

json_t *objects_list(const struct reply *reply, objects_show_fn *show)
{
    json_t *list = json_array();

    for (size_t i = 0; i < reply->n_events; i++) {
        json_t *object = json_object();
        struct objects_event shown;

        show(reply->events[i], &shown);
        for (int member = 0; member < OBJECTS_EVENT_MEMBERS; member++)
            json_object_set_new(object, shown.members[member].key, json_string(shown.members[member].value));
        json_array_append_new(list, object);
    }
    return list;
}
