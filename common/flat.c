#include "flat.h"

#include <ctype.h>
#include <string.h>

#include <utf8proc.h>

#include "name.h"

/* Bytes that stand in a string as they are; NUL is none. */
static const bool plain[256] = {[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... 255] = true};

static bool is_plain(char c)
{
    return plain[(unsigned char)c];
}

/* Writing ------------------------------------------------------------------------------------------------ */

/* What stands behind the backslash for `c`, which is not plain; 'u': four digits follow. */
static char escape_of(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 'u';
    }
}

/* Where the first byte is that is not plain: the NUL at the latest. */
static const char *skip_plain(const char *text)
{
    while (is_plain(*text))
        text++;
    return text;
}

static size_t value_size(const char *value)
{
    size_t escapes = 0;
    const char *end;

    for (end = skip_plain(value); *end; end = skip_plain(end + 1))
        escapes += escape_of(*end) == 'u' ? strlen("u0000") : 1;
    return (size_t)(end - value) + escapes;
}

static char *write_value(const char *value, char *to)
{
    static const char digits[] = "0123456789ABCDEF";

    for (;;) {
        const char *end = skip_plain(value);

        to = mempcpy(to, value, (size_t)(end - value));
        if (!*end)
            return to;
        *to++ = '\\';
        *to++ = escape_of(*end);
        if (to[-1] == 'u') {
            to = mempcpy(to, "00", 2);
            *to++ = digits[*end >> 4];
            *to++ = digits[*end & 15];
        }
        value = end + 1;
    }
}

size_t flat_size(const struct flat_member *members, size_t n)
{
    size_t size = 2;

    for (size_t i = 0; i < n; i++)
        if (members[i].value)
            size += (size > 2) + strlen("\"\":\"\"") + strlen(members[i].key) + value_size(members[i].value);
    return size;
}

char *flat_write(const struct flat_member *members, size_t n, char *to)
{
    const char *start = to;

    *to++ = '{';
    for (size_t i = 0; i < n; i++) {
        if (!members[i].value)
            continue;
        if (to > start + 1)
            *to++ = ',';
        *to++ = '"';
        to = stpcpy(to, members[i].key);
        to = mempcpy(to, "\":\"", 3);
        to = write_value(members[i].value, to);
        *to++ = '"';
    }
    *to++ = '}';
    return to;
}

/* Reading ------------------------------------------------------------------------------------------------ */

/* What an escape with `c` behind the backslash stands for; NUL: none, or one for the library. */
static char meaning_of(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

/* Moves *at behind white space and `c`.  False if it is not there. */
static bool take(const char **at, const char *end, char c)
{
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r'))
        (*at)++;
    if (*at == end || **at != c)
        return false;
    (*at)++;
    return true;
}

/* Reads four hex digits.  0: they are none, or NUL's. */
static utf8proc_int32_t read_unit(const char *at, const char *end)
{
    utf8proc_int32_t unit = 0;

    for (int i = 0; i < 4; i++, at++) {
        if (at == end || !isxdigit((unsigned char)*at))
            return 0;
        unit = unit * 16 + (*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
    }
    return unit;
}

/* Reads what stands behind "\u": one unit of UTF-16, or two with another "\u" between.  Returns how many
 * bytes it takes; 0: it is no character. */
static size_t read_unicode(const char *at, const char *end, utf8proc_int32_t *c)
{
    utf8proc_int32_t second;

    *c = read_unit(at, end);
    if (*c < 0xd800 || *c > 0xdfff)
        return *c ? 4 : 0;
    if (*c > 0xdbff || end - at < 6 || at[4] != '\\' || at[5] != 'u')
        return 0;
    second = read_unit(at + 6, end);
    if (second < 0xdc00 || second > 0xdfff)
        return 0;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (second - 0xdc00);
    return 10;
}

static bool read_string(const char **at, const char *end, struct flat_string *string)
{
    utf8proc_int32_t meant;
    size_t n;

    if (!take(at, end, '"'))
        return false;
    *string = (struct flat_string){.at = *at};
    for (const char *c = *at; c < end; c++) {
        if (is_plain(*c))
            continue;
        if (*c == '"') {
            string->len = (size_t)(c - *at);
            *at = c + 1;
            return true;
        }
        string->escaped = true;
        if (*c != '\\' || ++c == end)
            return false;
        if (*c == 'u') {
            n = read_unicode(c + 1, end, &meant);
            if (n == 0)
                return false;
            string->unicode = true;
            c += n;
        } else if (!meaning_of(*c)) {
            return false;
        }
    }
    return false;
}

size_t flat_read(const char *bytes, size_t len, struct flat_pair pairs[FLAT_MEMBERS_MAX], size_t *n)
{
    const char *at = bytes, *end = bytes + len;

    *n = 0;
    if (!take(&at, end, '{'))
        return 0;
    do {
        struct flat_pair *pair = &pairs[*n];

        if (*n == FLAT_MEMBERS_MAX || !read_string(&at, end, &pair->key) || pair->key.unicode ||
            !take(&at, end, ':') || !read_string(&at, end, &pair->value))
            return 0;
        (*n)++;
    } while (take(&at, end, ','));
    if (!take(&at, end, '}') || !text_is_utf8(bytes, (size_t)(at - bytes)))
        return 0;
    return (size_t)(at - bytes);
}

bool flat_equals(const struct flat_string *string, const char *text)
{
    /* Behind the string there is a quote at least. */
    return *string->at == *text && strncmp(string->at, text, string->len) == 0 && !text[string->len];
}

char *flat_copy(const struct flat_string *string, char *to)
{
    const char *end = string->at + string->len;

    if (!string->escaped) {
        to = mempcpy(to, string->at, string->len);
    } else {
        for (const char *at = string->at; at < end; at++) {
            utf8proc_int32_t c;

            if (*at != '\\') {
                *to++ = *at;
            } else if (*++at != 'u') {
                *to++ = meaning_of(*at);
            } else {
                at += read_unicode(at + 1, end, &c);
                to += utf8proc_encode_char(c, (utf8proc_uint8_t *)to);
            }
        }
    }
    *to++ = '\0';
    return to;
}
