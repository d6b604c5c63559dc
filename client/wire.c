#include "wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <utf8proc.h>

#include "name.h"

#define REPLACEMENT 0xfffd

/* What was read lies in blocks, one for each thing; the newest is the first of the list. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

/* Returns `size` zeros that live as long as what `memory` is of. */
static void *allocate(struct block **memory, size_t size)
{
    struct block *block = calloc(1, sizeof *block + size);

    if (!block)
        abort();
    block->next = *memory;
    *memory = block;
    return block->bytes;
}

/* Cleaning ----------------------------------------------------------------------------------------------- */

static bool may_be_shown(utf8proc_int32_t c, bool lines)
{
    if (c == '\n' || c == '\t')
        return lines;
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029)
        return false;
    /* Embeddings, overrides and isolates: what follows one of them stands elsewhere than it was said. */
    return !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x206f);
}

void wire_clean(const char *text, bool lines, char *clean, size_t size)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    size_t len = 0;

    assert(size > 0);
    while (*at) {
        utf8proc_uint8_t bytes[4];
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(at, -1, &c);

        at += n > 0 ? n : 1;
        n = utf8proc_encode_char(n > 0 && may_be_shown(c, lines) ? c : REPLACEMENT, bytes);
        if (len + (size_t)n >= size)
            break;
        memcpy(clean + len, bytes, (size_t)n);
        len += (size_t)n;
    }
    clean[len] = '\0';
}

/* Reading ------------------------------------------------------------------------------------------------ */

enum { NAME, ROOM, WORD, TEXT };

/* The strings, one bit each in what a kind needs. */
enum { FROM, TO, WITH, IN_ROOM, NAMED, DATA, CODE, REF, STRINGS, HAS_ID = STRINGS };
#define BIT(string) (1u << (string))

static const struct {
    const char *key;
    int is;
    size_t offset;
} strings[STRINGS] = {
    [FROM] = {"from", NAME, offsetof(struct told, from)},
    [TO] = {"to", NAME, offsetof(struct told, to)},
    [WITH] = {"with", NAME, offsetof(struct told, with)},
    [IN_ROOM] = {"room", ROOM, offsetof(struct told, room)},
    [NAMED] = {"name", NAME, offsetof(struct told, name)},
    [DATA] = {"data", TEXT, offsetof(struct told, data)},
    [CODE] = {"code", WORD, offsetof(struct told, code)},
    [REF] = {"ref", WORD, offsetof(struct told, ref)},
};

/* How long each is at most, with the NUL. */
static const size_t sizes[] = {
    [NAME] = NAME_MAX_BYTES, [ROOM] = ROOM_MAX_BYTES, [WORD] = NAME_MAX_BYTES, [TEXT] = WIRE_TEXT_MAX};

static const struct {
    const char *type;
    enum told_kind kind;
    unsigned needs;
} kinds[] = {
    {"welcome", TOLD_WELCOME, BIT(NAMED) | BIT(IN_ROOM)},
    {"message", TOLD_MESSAGE, BIT(FROM) | BIT(IN_ROOM) | BIT(DATA) | BIT(HAS_ID)},
    {"direct", TOLD_DIRECT, BIT(FROM) | BIT(TO) | BIT(DATA) | BIT(HAS_ID)},
    {"joined", TOLD_JOINED, BIT(FROM) | BIT(IN_ROOM)},
    {"left", TOLD_LEFT, BIT(FROM) | BIT(IN_ROOM)},
    {"ack", TOLD_ACK, BIT(REF) | BIT(HAS_ID)},
    {"entered", TOLD_ENTERED, BIT(IN_ROOM)},
    {"exited", TOLD_EXITED, 0},
    {"who", TOLD_WHO, BIT(IN_ROOM)},
    {"rooms", TOLD_ROOMS, 0},
    {"history", TOLD_HISTORY, 0},
    {"registered", TOLD_REGISTERED, BIT(NAMED)},
    {"read", TOLD_READ, BIT(WITH)},
    {"pong", TOLD_PONG, 0},
    {"gap", TOLD_GAP, 0},
    {"error", TOLD_ERROR, BIT(CODE) | BIT(DATA)},
};

/* NULL: `value` is no string. */
static const char *read_string(struct block **memory, const json_t *value, int is)
{
    char clean[WIRE_TEXT_MAX];
    const char *text = json_string_value(value);

    if (!text)
        return NULL;
    wire_clean(text, is == TEXT, clean, sizes[is]);
    return strcpy(allocate(memory, strlen(clean) + 1), clean);
}

static event_id read_id(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    event_id id;

    return text && id_from_decimal(text, &id) ? id : 0;
}

static long read_count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) && json_integer_value(value) >= 0 ? (long)json_integer_value(value) : -1;
}

/* RFC 3339 in UTC with milliseconds, as id_to_time() writes it; 0: it is not. */
static int64_t read_time(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    struct tm tm = {0};
    const char *end;

    if (!text || !(end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)))
        return 0;
    if (end[0] != '.' || strspn(end + 1, "0123456789") != 3 || strcmp(end + 4, "Z") != 0)
        return 0;
    return (int64_t)timegm(&tm) * 1000 + strtol(end + 1, NULL, 10);
}

static unsigned read_strings(struct block **memory, const json_t *object, struct told *told)
{
    unsigned has = 0;

    for (int i = 0; i < STRINGS; i++) {
        const char *string = read_string(memory, json_object_get(object, strings[i].key), strings[i].is);

        memcpy((char *)told + strings[i].offset, &string, sizeof string);
        has |= string ? BIT(i) : 0;
    }
    return has;
}

static enum told_kind kind_of(const char *type, unsigned has)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].type) == 0)
            return (kinds[i].needs & ~has) == 0 ? kinds[i].kind : TOLD_OTHER;
    return TOLD_OTHER;
}

/* Reads what is not a list.  False: it has no type. */
static bool read_plain(struct block **memory, const json_t *object, struct told *told)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    unsigned has;

    if (!type)
        return false;
    has = read_strings(memory, object, told);
    told->id = read_id(object, "id");
    told->after = read_id(object, "after");
    told->until = read_id(object, "until");
    told->at_ms = read_time(object, "at");
    told->users = read_count(object, "users");
    told->unread = read_count(object, "unread");
    told->count = read_count(object, "count");
    told->more = json_is_true(json_object_get(object, "more"));
    told->kind = kind_of(type, has | (told->id ? BIT(HAS_ID) : 0));
    return true;
}

static void read_people(struct block **memory, const json_t *list, struct told *told)
{
    told->people = allocate(memory, json_array_size(list) * sizeof *told->people);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = read_string(memory, json_array_get(list, i), NAME);

        if (name)
            told->people[told->n_people++] = name;
    }
}

static void read_rooms(struct block **memory, const json_t *list, struct told *told)
{
    told->rooms = allocate(memory, json_array_size(list) * sizeof *told->rooms);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        struct told_room room = {.room = read_string(memory, json_object_get(object, "room"), ROOM),
                                 .users = read_count(object, "users")};

        if (room.room)
            told->rooms[told->n_rooms++] = room;
    }
}

static void read_messages(struct block **memory, const json_t *list, struct told *told)
{
    told->messages = allocate(memory, json_array_size(list) * sizeof *told->messages);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct told message = {0};

        if (read_plain(memory, json_array_get(list, i), &message) &&
            (message.kind == TOLD_MESSAGE || message.kind == TOLD_DIRECT))
            told->messages[told->n_messages++] = message;
    }
}

static void read_lists(struct block **memory, const json_t *object, struct told *told)
{
    if (told->kind == TOLD_WHO)
        read_people(memory, json_object_get(object, "users"), told);
    else if (told->kind == TOLD_ROOMS)
        read_rooms(memory, json_object_get(object, "rooms"), told);
    else if (told->kind == TOLD_HISTORY && !told->room && !told->with)
        told->kind = TOLD_OTHER;
    else if (told->kind == TOLD_HISTORY)
        read_messages(memory, json_object_get(object, "messages"), told);
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
}

struct told *wire_read(const char *line, size_t len)
{
    json_t *object = json_loadb(line, len, 0, NULL);
    struct block *memory = NULL;
    struct told *told = allocate(&memory, sizeof *told);
    bool good = json_is_object(object) && read_plain(&memory, object, told);

    if (good) {
        read_lists(&memory, object, told);
        told->memory = memory;
    } else {
        free_blocks(memory);
    }
    json_decref(object);
    return good ? told : NULL;
}

void told_destroy(struct told *told)
{
    if (told)
        free_blocks(told->memory); /* `told` is in the last of them */
}

/* Asking ------------------------------------------------------------------------------------------------- */

static bool add(json_t *object, const struct wire_member *member)
{
    json_t *value =
        member->bare ? json_loads(member->value, JSON_DECODE_ANY, NULL) : json_string(member->value);

    return json_object_set_new(object, member->key, value) == 0; /* not so if there is no value */
}

char *wire_request(const char *type, const struct wire_member *members, size_t n)
{
    json_t *object = json_object();
    bool good = object && add(object, &(struct wire_member){"type", type, false});
    size_t len;
    char *line = NULL;

    for (size_t i = 0; good && i < n; i++)
        good = !members[i].value || add(object, &members[i]);
    if (good && (len = json_dumpb(object, NULL, 0, JSON_COMPACT)) > 0 && (line = malloc(len + 2))) {
        json_dumpb(object, line, len, JSON_COMPACT);
        strcpy(line + len, "\n");
    }
    json_decref(object);
    return line;
}
