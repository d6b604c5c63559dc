#include "carry.h"

#include <string.h>

char *carry_put(struct carry *carry, char *data)
{
    char *start = data - carry->len;

    memcpy(start, carry->bytes, carry->len);
    carry->len = 0;
    return start;
}

void carry_keep(struct carry *carry, const char *at, const char *end)
{
    size_t len = (size_t)(end - at);

    if (len > CARRY_MAX) {
        at = end - CARRY_MAX;
        len = CARRY_MAX;
    }
    memcpy(carry->bytes, at, len);
    carry->len = (uint8_t)len;
}

/* The value of a hex digit as this program writes them; 16 and more: it is none. */
static unsigned digit(char c)
{
    unsigned value = (unsigned char)c - (unsigned)'0';

    return value <= 9 ? value : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

bool number_next(const char **at, const char *end, uint32_t *number)
{
    const char *mark = memchr(*at, '~', (size_t)(end - *at));
    unsigned wrong = 0;

    if (mark == NULL || end - mark < NUMBER_LEN) {
        *at = mark == NULL ? end : mark;
        return false;
    }
    *number = 0;
    for (int i = 1; i < NUMBER_LEN; i++) {
        unsigned value = digit(mark[i]);

        wrong |= value & 16;
        *number = *number << 4 | (value & 15);
    }
    if (wrong != 0)
        *number = NUMBER_NONE;
    *at = wrong != 0 ? mark + 1 : mark + NUMBER_LEN;
    return true;
}

void hex_write(uint64_t value, size_t digits, char *to)
{
    while (digits > 0) {
        to[--digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

void number_write(uint32_t number, char *to)
{
    *to = '~';
    hex_write(number, NUMBER_LEN - 1, to + 1);
}
