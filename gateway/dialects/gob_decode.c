#include "gob_decode.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "dialect.h"

#define TYPES_MAX 100
#define TYPES_BYTES_MAX 16384
#define FIELDS_MAX 256
#define NESTING_MAX 64
#define UINT_BYTES_MAX 9

/* The types that need no definition; the ids below FIRST_DEFINED are Go's own. */
enum { BOOL = 1, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE, FIRST_DEFINED = 64 };

/* What a definition can make, numbered as in Go's wireType. */
enum kind { ARRAY, SLICE, STRUCT, MAP, GOB_ENCODER, BINARY_MARSHALER, TEXT_MARSHALER, KINDS };

/* What a struct's field is to the chat. */
enum role { ROLE_OTHER, ROLE_TYPE, ROLE_SENDER, ROLE_CONTENT, ROLES };

static const char *const role_names[ROLES] = {
    [ROLE_TYPE] = "Type", [ROLE_SENDER] = "Sender", [ROLE_CONTENT] = "Content"};

struct field {
    int32_t id; /* of its type */
    enum role role;
};

/* A type that the client has defined. */
struct gob_type {
    struct gob_type *next;
    int32_t id;
    enum kind kind;
    int32_t inner[2];     /* types of what is inside: the elements, or a map's keys and elements */
    struct field *fields; /* of a struct */
    size_t n_fields;
    const char *no_message; /* why the struct is no Message, or NULL */
    size_t definition_len;
    unsigned char definition[]; /* as it came */
};

/*
 * Reads values one after the other.  What fails makes all that follows fail, too: reading then returns 0, and
 * nothing is left to be read.
 */
struct reader {
    const unsigned char *at, *end;      /* what is left of the gob's current message */
    const unsigned char *start, *limit; /* of all that has arrived */
    enum gob_found failure;             /* GOB_MESSAGE: none */
    const char *reason;
    size_t wanted; /* with GOB_MORE: bytes from `start` */
};

static void fail(struct reader *reader, enum gob_found failure, const char *reason)
{
    if (reader->failure == GOB_MESSAGE) {
        reader->failure = failure;
        reader->reason = reason;
    }
    reader->at = reader->end;
}

static void malformed(struct reader *reader, const char *reason)
{
    fail(reader, GOB_MALFORMED, reason);
}

static bool failed(const struct reader *reader)
{
    return reader->failure != GOB_MESSAGE;
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The parts of which all is made ------------------------------------------------------------------------- */

/* How many bytes a number has that begins with this one. */
static size_t uint_size(unsigned char first)
{
    return first < 128 ? 1 : 1 + (256 - (size_t)first);
}

static uint64_t get_uint(struct reader *reader)
{
    size_t size = left(reader) ? uint_size(*reader->at) : SIZE_MAX;
    uint64_t value = 0;

    if (size > UINT_BYTES_MAX || size > left(reader)) {
        malformed(reader, "That is not a gob: a number is cut off.");
        return 0;
    }
    if (size == 1)
        return *reader->at++;
    reader->at++;
    while (--size > 0)
        value = value << 8 | *reader->at++;
    return value;
}

static int64_t get_int(struct reader *reader)
{
    uint64_t value = get_uint(reader);
    int64_t half = (int64_t)(value >> 1);

    return value & 1 ? ~half : half;
}

/* A type's id; negative where it is defined. */
static int32_t get_id(struct reader *reader)
{
    int64_t id = get_int(reader);

    if (id >= -INT32_MAX && id <= INT32_MAX)
        return (int32_t)id;
    malformed(reader, "That is not a gob: no type has such an id.");
    return 0;
}

static struct gob_string get_string(struct reader *reader)
{
    uint64_t len = get_uint(reader);
    struct gob_string string = {.bytes = (const char *)reader->at, .len = (size_t)len};

    if (len > left(reader)) {
        malformed(reader, "That is not a gob: something is longer than its message.");
        return (struct gob_string){.bytes = ""};
    }
    reader->at += len;
    return string;
}

/* How many elements follow; each has a byte at least. */
static size_t get_count(struct reader *reader)
{
    uint64_t count = get_uint(reader);

    if (count <= left(reader))
        return (size_t)count;
    malformed(reader, "That is not a gob: it counts more than there is.");
    return 0;
}

/* Which of a struct's `n` fields comes next, behind this one (-1: none yet).  -1: no more. */
static int next_field(struct reader *reader, int field, size_t n)
{
    uint64_t delta = get_uint(reader);

    if (delta == 0 || failed(reader))
        return -1;
    if (delta >= n - (size_t)field)
        malformed(reader, "That is not a gob: a struct has no such field.");
    return failed(reader) ? -1 : field + (int)delta;
}

/* Goes on to the next message, behind the end of the current one. */
static void next_message(struct reader *reader)
{
    struct reader prefix = {.at = reader->end, .end = reader->limit, .failure = GOB_MESSAGE};
    size_t before = (size_t)(reader->end - reader->start);
    size_t size = left(&prefix) ? uint_size(*prefix.at) : 1;
    uint64_t len;

    if (failed(reader))
        return;
    reader->wanted = before + size;
    if (size > UINT_BYTES_MAX) {
        malformed(reader, "That is not a gob: it begins with no length.");
    } else if (left(&prefix) > 0 && reader->wanted > REQUEST_MAX_BYTES) {
        fail(reader, GOB_TOO_LONG, "A gob may have 16384 bytes at most.");
    } else if (left(&prefix) < size) {
        fail(reader, GOB_MORE, NULL);
    } else if ((len = get_uint(&prefix)) == 0) {
        malformed(reader, "That is not a gob: a message is empty.");
    } else if (len > REQUEST_MAX_BYTES - reader->wanted) {
        fail(reader, GOB_TOO_LONG, "A gob may have 16384 bytes at most.");
    } else if (len > left(&prefix)) {
        reader->wanted += len;
        fail(reader, GOB_MORE, NULL);
    } else {
        reader->at = prefix.at;
        reader->end = prefix.at + len;
    }
}

/* Definitions -------------------------------------------------------------------------------------------- */

static void type_free(struct gob_type *type)
{
    if (!type)
        return;
    free(type->fields);
    free(type);
}

void gob_stream_finish(struct gob_stream *stream)
{
    struct gob_type *type, *next;

    LL_FOREACH_SAFE (stream->types, type, next)
        type_free(type);
    *stream = (struct gob_stream){0};
}

static struct gob_type *type_find(const struct gob_stream *stream, int32_t id)
{
    struct gob_type *type;

    LL_SEARCH_SCALAR(stream->types, type, id, id);
    return type;
}

static enum role role_find(struct gob_string name)
{
    for (int i = ROLE_TYPE; i < ROLES; i++) {
        if (strlen(role_names[i]) == name.len && memcmp(role_names[i], name.bytes, name.len) == 0)
            return (enum role)i;
    }
    return ROLE_OTHER;
}

/* fieldType: Name, Id. */
static struct field get_field(struct reader *reader)
{
    struct field field = {0};

    for (int part = -1; (part = next_field(reader, part, 2)) >= 0;) {
        if (part == 0)
            field.role = role_find(get_string(reader));
        else
            field.id = get_id(reader);
    }
    return field;
}

/* CommonType: Name, Id.  Neither is needed. */
static void get_common(struct reader *reader)
{
    for (int part = -1; (part = next_field(reader, part, 2)) >= 0;) {
        if (part == 0)
            get_string(reader);
        else
            get_int(reader);
    }
}

/* Why a struct with these fields is no Message, or NULL. */
static const char *no_message(const struct gob_type *type)
{
    size_t known = 0;

    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];

        known += field->role != ROLE_OTHER;
        if (field->role == ROLE_TYPE && field->id != INT && field->id != UINT)
            return "A Message's Type must be an integer.";
        if ((field->role == ROLE_SENDER || field->role == ROLE_CONTENT) && field->id != STRING)
            return "A Message's Sender and Content must be strings.";
    }
    return known ? NULL : "Only a Message with Type, Sender and Content is expected here.";
}

static void get_fields(struct reader *reader, struct gob_type *type)
{
    size_t n = get_count(reader);

    if (n > FIELDS_MAX) {
        malformed(reader, "A struct may have 256 fields at most.");
        return;
    }
    type->fields = n ? calloc(n, sizeof *type->fields) : NULL;
    if (n && !type->fields)
        abort();
    for (type->n_fields = 0; type->n_fields < n && !failed(reader); type->n_fields++)
        type->fields[type->n_fields] = get_field(reader);
}

/* What a wireType says of its kind: CommonType, then what is inside. */
static void get_kind(struct reader *reader, struct gob_type *type)
{
    static const size_t n_parts[KINDS] = {
        [ARRAY] = 3,         [SLICE] = 2, [STRUCT] = 2, [MAP] = 3, [GOB_ENCODER] = 1, [BINARY_MARSHALER] = 1,
        [TEXT_MARSHALER] = 1};

    for (int part = -1; (part = next_field(reader, part, n_parts[type->kind])) >= 0;) {
        if (part == 0)
            get_common(reader);
        else if (type->kind == STRUCT)
            get_fields(reader, type);
        else if (type->kind == ARRAY && part == 2)
            get_int(reader); /* its length, which each value says again */
        else
            type->inner[part - 1] = get_id(reader);
    }
}

/* Reads the definition in `type`, which is made already.  False if there is none. */
static bool get_wire_type(struct reader *reader, struct gob_type *type)
{
    size_t n = 0;

    for (int part = -1; (part = next_field(reader, part, KINDS)) >= 0; n++) {
        if (n == 1) {
            malformed(reader, "That is not a gob: a type is two at once.");
            return false;
        }
        type->kind = (enum kind)part;
        get_kind(reader, type);
    }
    if (n == 0)
        malformed(reader, "That is not a gob: a type is defined as nothing.");
    if (type->kind == STRUCT)
        type->no_message = no_message(type);
    return !failed(reader);
}

/* How much memory a type takes: more than its definition, where that is many fields of a byte each. */
static size_t type_bytes(const struct gob_type *type)
{
    return sizeof *type + type->n_fields * sizeof *type->fields + type->definition_len;
}

/* Keeps a type, unless it is known; takes it. */
static void keep(struct gob_stream *stream, struct reader *reader, struct gob_type *type)
{
    struct gob_type *known = type_find(stream, type->id);

    if (known) {
        if (known->definition_len != type->definition_len ||
            memcmp(known->definition, type->definition, type->definition_len) != 0)
            malformed(reader, "A type was defined again, and not as before.");
        type_free(type);
    } else if (stream->n_types == TYPES_MAX || type_bytes(type) > TYPES_BYTES_MAX - stream->types_bytes) {
        malformed(reader, "No connection may define so many types.");
        type_free(type);
    } else {
        stream->n_types++;
        stream->types_bytes += type_bytes(type);
        LL_PREPEND(stream->types, type);
    }
}

/* Takes in the definition of a type. */
static void define(struct gob_stream *stream, struct reader *reader, int32_t id)
{
    const unsigned char *start = reader->at;
    struct gob_type *type;
    size_t len = 0;
    struct gob_type read = {.id = id};

    if (failed(reader))
        return;
    if (id < FIRST_DEFINED) {
        malformed(reader, "Go's own types cannot be defined.");
        return;
    }
    if (get_wire_type(reader, &read))
        len = (size_t)(reader->at - start);
    type = len ? malloc(sizeof *type + len) : NULL;
    if (!type) {
        if (len)
            abort();
        free(read.fields);
        return;
    }
    *type = read;
    type->definition_len = len;
    memcpy(type->definition, start, len);
    keep(stream, reader, type);
}

/* Values ------------------------------------------------------------------------------------------------- */

static void skip_value(struct gob_stream *stream, struct reader *reader, int32_t id, unsigned depth);

/* The same for a value that is not inside of another: unless it is a struct, a zero comes first. */
static void skip_whole_value(struct gob_stream *stream, struct reader *reader, int32_t id, unsigned depth)
{
    const struct gob_type *type = type_find(stream, id);

    if ((!type || type->kind != STRUCT) && get_uint(reader) != 0)
        malformed(reader, "That is not a gob: a value does not begin with zero.");
    skip_value(stream, reader, id, depth);
}

/*
 * An interface's value: the name of a type ("" alone is nil), its id, a length, the value.  Types may be
 * defined before the id; then the gob goes on in a further message, or behind a further length.
 */
static void skip_interface(struct gob_stream *stream, struct reader *reader, unsigned depth)
{
    int32_t id;

    if (get_string(reader).len == 0)
        return;
    for (;;) {
        if (left(reader) == 0)
            next_message(reader);
        id = get_id(reader);
        if (failed(reader) || id >= 0)
            break;
        define(stream, reader, -id);
        if (left(reader) > 0)
            get_uint(reader);
    }
    get_count(reader);
    skip_whole_value(stream, reader, id, depth + 1);
}

static void skip_defined(struct gob_stream *stream, struct reader *reader, const struct gob_type *type,
                         unsigned depth)
{
    switch (type->kind) {
    case STRUCT:
        for (int i = -1; (i = next_field(reader, i, type->n_fields)) >= 0;)
            skip_value(stream, reader, type->fields[i].id, depth + 1);
        break;
    case ARRAY:
    case SLICE:
    case MAP:
        for (size_t n = get_count(reader); n > 0 && !failed(reader); n--) {
            skip_value(stream, reader, type->inner[0], depth + 1);
            if (type->kind == MAP)
                skip_value(stream, reader, type->inner[1], depth + 1);
        }
        break;
    case GOB_ENCODER:
    case BINARY_MARSHALER:
    case TEXT_MARSHALER:
    case KINDS:
        get_string(reader);
        break;
    }
}

/* Goes over a value of this type, `depth` deep in others. */
static void skip_value(struct gob_stream *stream, struct reader *reader, int32_t id, unsigned depth)
{
    const struct gob_type *type;

    if (failed(reader))
        return;
    if (depth > NESTING_MAX) {
        malformed(reader, "A gob may be nested 64 deep at most.");
        return;
    }
    switch (id) {
    case COMPLEX:
        get_uint(reader);
        /* fall through */
    case BOOL:
    case INT:
    case UINT:
    case FLOAT:
        get_uint(reader);
        return;
    case BYTES:
    case STRING:
        get_string(reader);
        return;
    case INTERFACE:
        skip_interface(stream, reader, depth);
        return;
    default:
        type = type_find(stream, id);
        if (type)
            skip_defined(stream, reader, type, depth);
        else
            malformed(reader, "That is not a gob: a type is used that was not defined.");
    }
}

static void get_type(struct reader *reader, int32_t id, struct gob_message *message)
{
    uint64_t type;

    if (id == INT) {
        message->type = get_int(reader);
        return;
    }
    type = get_uint(reader);
    message->type = type < INT64_MAX ? (int64_t)type : INT64_MAX;
}

static void get_message(struct gob_stream *stream, struct reader *reader, const struct gob_type *type,
                        struct gob_message *message)
{
    for (size_t i = 0; i < type->n_fields; i++)
        message->has_unsigned_type |= type->fields[i].role == ROLE_TYPE && type->fields[i].id == UINT;
    for (int i = -1; (i = next_field(reader, i, type->n_fields)) >= 0;) {
        const struct field *field = &type->fields[i];

        if (field->role == ROLE_TYPE)
            get_type(reader, field->id, message);
        else if (field->role == ROLE_SENDER)
            message->sender = get_string(reader);
        else if (field->role == ROLE_CONTENT)
            message->content = get_string(reader);
        else
            skip_value(stream, reader, field->id, 1);
    }
}

/* Reads a value, whose type's id was read: all of its message, and of what follows if it goes on there. */
static void get_whole_value(struct gob_stream *stream, struct reader *reader, int32_t id,
                            struct gob_message *message)
{
    const struct gob_type *type = type_find(stream, id);

    if (type && type->kind == STRUCT && !type->no_message) {
        get_message(stream, reader, type, message);
    } else {
        message->reason = type && type->no_message ? type->no_message : "Only a Message is expected here.";
        skip_whole_value(stream, reader, id, 0);
    }
    if (left(reader) > 0)
        malformed(reader, "That is not a gob: something is behind its end.");
}

enum gob_found gob_read(struct gob_stream *stream, const char *bytes, size_t len, size_t *used,
                        struct gob_message *message)
{
    struct reader reader = {.failure = GOB_MESSAGE};

    *message = (struct gob_message){.sender = {.bytes = ""}, .content = {.bytes = ""}};
    *used = 0;
    if (len < stream->wanted)
        return GOB_MORE;
    for (int32_t id = -1; id < 0; *used = (size_t)((const char *)reader.end - bytes)) {
        reader.start = reader.at = reader.end = (const unsigned char *)bytes + *used;
        reader.limit = (const unsigned char *)bytes + len;
        next_message(&reader);
        id = get_id(&reader);
        if (!failed(&reader) && id >= 0) {
            get_whole_value(stream, &reader, id, message);
        } else if (!failed(&reader)) {
            stream->repeated |= type_find(stream, -id) != NULL;
            stream->defined = true;
            define(stream, &reader, -id);
            if (left(&reader) > 0)
                malformed(&reader, "That is not a gob: something is behind its end.");
        }
        stream->wanted = reader.failure == GOB_MORE ? reader.wanted : 0;
        if (reader.failure == GOB_MORE)
            return GOB_MORE;
        if (failed(&reader)) {
            *used = len;
            message->reason = reader.reason;
            return reader.failure;
        }
    }
    message->defined = stream->defined;
    message->repeated = stream->repeated;
    stream->defined = stream->repeated = false;
    return message->reason ? GOB_OTHER : GOB_MESSAGE;
}
