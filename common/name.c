#include "name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

static bool allowed(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
        return true;
    default:
        return c == '_' || c == '-' || c == '.';
    }
}

/* True if `text` has 1 to `max` characters and all of them are allowed. */
static bool is_name(const char *text, int max)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    int chars = 0;

    while (*at) {
        utf8proc_int32_t c;
        utf8proc_ssize_t len = utf8proc_iterate(at, -1, &c);

        if (len <= 0 || !allowed(c) || ++chars > max)
            return false;
        at += len;
    }
    return chars > 0;
}

size_t name_span(const char *text)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t len;
    utf8proc_int32_t c;

    while (*at && (len = utf8proc_iterate(at, -1, &c)) > 0 && allowed(c))
        at += len;
    return (size_t)(at - (const utf8proc_uint8_t *)text);
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* Most names are of ASCII alone, where folding makes letters small.  False: it is not one of those. */
static bool fold_ascii(const char *given, size_t max, char *folded)
{
    size_t len = 0;

    while (is_capital(given[len]) || (given[len] >= 'a' && given[len] <= 'z') ||
           (given[len] >= '0' && given[len] <= '9') || (given[len] && strchr("_-.", given[len])))
        len++;
    if (given[len] || len == 0 || len > max)
        return false;
    for (size_t i = 0; i <= len; i++)
        folded[i] = is_capital(given[i]) ? (char)(given[i] - 'A' + 'a') : given[i];
    return true;
}

static bool fold(const char *given, int max, char *folded)
{
    utf8proc_uint8_t *form;
    bool good;

    if (fold_ascii(given, (size_t)max, folded))
        return true;
    if (!is_name(given, max))
        return false;
    form = utf8proc_NFKC_Casefold((const utf8proc_uint8_t *)given);
    good = form && is_name((const char *)form, max);
    if (good)
        strcpy(folded, (const char *)form); /* at most max characters of 4 bytes */
    free(form);
    return good;
}

bool name_fold(const char *given, char *folded)
{
    return fold(given, NAME_CHARS, folded) && strcmp(folded, "server") != 0;
}

bool room_fold(const char *given, char *folded)
{
    return fold(given, ROOM_CHARS, folded);
}

unsigned lane_of(const char *folded)
{
    uint16_t crc = 0;

    for (const unsigned char *at = (const unsigned char *)folded; *at; at++) {
        crc ^= (uint16_t)(*at << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc % 8;
}

static bool may_be_said(utf8proc_int32_t c)
{
    if (c == '\t' || c == '\n')
        return true;
    return c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && c != 0x2028 && c != 0x2029;
}

size_t text_lines(const char *text)
{
    size_t n = 1;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

bool text_clean(char *text)
{
    char *from = strchrnul(text, '\r'), *to = from;
    size_t len;

    while (*from) {
        if (from[0] == '\r' && from[1] == '\n')
            from++;
        *to++ = *from++;
    }
    while (to > text && (to[-1] == '\n' || to[-1] == '\r'))
        to--;
    *to = '\0';
    len = (size_t)(to - text);
    if (len == 0 || len > TEXT_MAX_BYTES)
        return false;
    for (from = text; from < to;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n;

        if (*from >= ' ' && *from < 0x7f) { /* as most are */
            from++;
            continue;
        }
        n = utf8proc_iterate((utf8proc_uint8_t *)from, to - from, &c);
        if (n <= 0 || !may_be_said(c))
            return false;
        from += n;
    }
    return true;
}

bool text_is_utf8(const char *text, size_t len)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)len;

    if (memchr(text, '\0', len))
        return false;
    while (left > 0) {
        utf8proc_ssize_t n = 8;
        utf8proc_int32_t c;
        uint64_t eight = UINT64_MAX;

        if (left >= n)
            memcpy(&eight, at, sizeof eight);
        if (eight & 0x8080808080808080) /* else all of them are ASCII */
            n = utf8proc_iterate(at, left, &c);
        if (n <= 0)
            return false;
        at += n;
        left -= n;
    }
    return true;
}
