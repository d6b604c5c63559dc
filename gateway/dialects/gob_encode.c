#include "gob_encode.h"

#include <string.h>

#include <event2/buffer.h>

#define UINT_BYTES_MAX 9
#define DEFINITION_BYTES_MAX 128

/* The ids of Go's own types. */
enum { INT = 2, UINT = 3, STRING = 6 };

/* Writes a number; returns how many bytes that are. */
static size_t write_uint(unsigned char *bytes, uint64_t value)
{
    size_t n = 0;

    if (value < 128) {
        bytes[0] = (unsigned char)value;
        return 1;
    }
    for (uint64_t rest = value; rest > 0; rest >>= 8)
        n++;
    bytes[0] = (unsigned char)(256 - n);
    for (size_t i = n; i > 0; i--, value >>= 8)
        bytes[i] = (unsigned char)value;
    return n + 1;
}

static size_t write_int(unsigned char *bytes, int64_t value)
{
    uint64_t twice = (uint64_t)value << 1;

    return write_uint(bytes, value < 0 ? ~twice : twice);
}

static size_t write_string(unsigned char *bytes, const char *string)
{
    size_t n = write_uint(bytes, strlen(string));

    while (*string)
        bytes[n++] = (unsigned char)*string++;
    return n;
}

static void put_uint(uint64_t value, struct evbuffer *out)
{
    unsigned char bytes[UINT_BYTES_MAX];

    evbuffer_add(out, bytes, write_uint(bytes, value));
}

/* Appends field `field` of a struct, unless it is empty; returns the number of the last field that is there.
 */
static int put_text(int last, int field, const char *text, struct evbuffer *out)
{
    size_t len = strlen(text);

    if (len == 0)
        return last;
    put_uint((uint64_t)(field - last), out);
    put_uint(len, out);
    evbuffer_add(out, text, len);
    return field;
}

void gob_put_value(int type, const char *sender, const char *content, struct evbuffer *out)
{
    unsigned char bytes[1 + UINT_BYTES_MAX] = {1};
    int last = -1;

    if (type != 0) {
        evbuffer_add(out, bytes, 1 + write_int(bytes + 1, type));
        last = 0;
    }
    last = put_text(last, 1, sender, out);
    put_text(last, 2, content, out);
    put_uint(0, out);
}

/* Writes one fieldType. */
static size_t write_field(unsigned char *bytes, const char *name, int32_t type)
{
    size_t n = 0;

    bytes[n++] = 1;
    n += write_string(bytes + n, name);
    bytes[n++] = 1;
    n += write_int(bytes + n, type);
    bytes[n++] = 0;
    return n;
}

void gob_put_definition(int32_t id, bool has_unsigned_type, struct evbuffer *out)
{
    unsigned char bytes[DEFINITION_BYTES_MAX];
    size_t n = write_int(bytes, -(int64_t)id);

    bytes[n++] = 3; /* StructT */
    bytes[n++] = 1; /* CommonType */
    bytes[n++] = 1;
    n += write_string(bytes + n, "Message");
    bytes[n++] = 1;
    n += write_int(bytes + n, id);
    bytes[n++] = 0;
    bytes[n++] = 1; /* Field */
    bytes[n++] = 3; /* of them */
    n += write_field(bytes + n, "Type", has_unsigned_type ? UINT : INT);
    n += write_field(bytes + n, "Sender", STRING);
    n += write_field(bytes + n, "Content", STRING);
    bytes[n++] = 0; /* the end of the structType */
    bytes[n++] = 0; /* the end of the wireType */
    put_uint(n, out);
    evbuffer_add(out, bytes, n);
}

void gob_put_message(int32_t id, bool has_unsigned_type, const char *value, size_t len, struct evbuffer *out)
{
    unsigned char bytes[UINT_BYTES_MAX];
    size_t n = write_int(bytes, id);

    put_uint(n + len, out);
    evbuffer_add(out, bytes, n);
    if (has_unsigned_type && len > 2 && value[0] == 1) { /* Type comes first, and an int is written doubled */
        bytes[0] = 1;
        bytes[1] = (unsigned char)value[1] / 2;
        evbuffer_add(out, bytes, 2);
        value += 2;
        len -= 2;
    }
    evbuffer_add(out, value, len);
}
