#include "arguments.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Types of PostgreSQL, fixed for ever in its catalog. */
#define TYPE_INT8 20
#define TYPE_TEXT 25
#define TYPE_INT8_ARRAY 1016
#define TYPE_TEXT_ARRAY 1009

/* An array begins: dimensions, has nulls, element type, length, lower bound. */
#define ARRAY_HEADER 20
#define LENGTH_OFFSET 12

static void append(struct argument *value, const void *bytes, size_t len)
{
    if (value->len + len > value->size) {
        value->size = (value->len + len) * 2 + 64;
        value->bytes = realloc(value->bytes, value->size);
        if (!value->bytes)
            abort();
    }
    if (len)
        memcpy(value->bytes + value->len, bytes, len);
    value->len += len;
}

static void append_32(struct argument *value, uint32_t number)
{
    number = htonl(number);
    append(value, &number, sizeof number);
}

static void append_64(struct argument *value, int64_t number)
{
    uint64_t bytes = htobe64((uint64_t)number);

    append(value, &bytes, sizeof bytes);
}

static struct argument *add(struct arguments *arguments, unsigned type)
{
    assert(arguments->count < ARGUMENTS_MAX);
    arguments->types[arguments->count] = type;
    return &arguments->values[arguments->count++];
}

void arguments_init(struct arguments *arguments)
{
    *arguments = (struct arguments){.count = 0};
}

void arguments_finish(struct arguments *arguments)
{
    for (int i = 0; i < arguments->count; i++)
        free(arguments->values[i].bytes);
    arguments_init(arguments);
}

int arguments_number(struct arguments *arguments, int64_t value)
{
    append_64(add(arguments, TYPE_INT8), value);
    return arguments->count - 1;
}

void arguments_set_number(struct arguments *arguments, int index, int64_t value)
{
    assert(arguments->types[index] == TYPE_INT8);
    arguments->values[index].len = 0;
    append_64(&arguments->values[index], value);
}

int arguments_text(struct arguments *arguments, const char *value)
{
    struct argument *argument = add(arguments, TYPE_TEXT);

    append(argument, value,
           strlen(value) + 1); /* room for an empty one too: NULL bytes would be SQL's null */
    argument->len--;
    return arguments->count - 1;
}

static int add_array(struct arguments *arguments, unsigned type, unsigned element)
{
    struct argument *value = add(arguments, type);

    append_32(value, 1);
    append_32(value, 0);
    append_32(value, element);
    append_32(value, 0);
    append_32(value, 1);
    return arguments->count - 1;
}

int arguments_numbers(struct arguments *arguments)
{
    return add_array(arguments, TYPE_INT8_ARRAY, TYPE_INT8);
}

int arguments_texts(struct arguments *arguments)
{
    return add_array(arguments, TYPE_TEXT_ARRAY, TYPE_TEXT);
}

size_t arguments_length(const struct arguments *arguments, int index)
{
    uint32_t length;

    memcpy(&length, arguments->values[index].bytes + LENGTH_OFFSET, sizeof length);
    return ntohl(length);
}

static void add_element(struct arguments *arguments, int index, size_t len)
{
    struct argument *value = &arguments->values[index];
    uint32_t length = htonl((uint32_t)arguments_length(arguments, index) + 1);

    assert(value->len >= ARRAY_HEADER);
    memcpy(value->bytes + LENGTH_OFFSET, &length, sizeof length);
    append_32(value, (uint32_t)len);
}

void arguments_add_number(struct arguments *arguments, int index, int64_t value)
{
    assert(arguments->types[index] == TYPE_INT8_ARRAY);
    add_element(arguments, index, sizeof value);
    append_64(&arguments->values[index], value);
}

void arguments_add_text(struct arguments *arguments, int index, const char *value)
{
    size_t len = strlen(value);

    assert(arguments->types[index] == TYPE_TEXT_ARRAY);
    add_element(arguments, index, len);
    append(&arguments->values[index], value, len);
}
