#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "id.h"

#define LINE_MAX_BYTES 2048

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static enum log_level least = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    least = level;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void put(struct line *line, char c)
{
    if (line->len < sizeof line->text - 2) /* the newline always fits */
        line->text[line->len++] = c;
}

static void put_text(struct line *line, const char *text)
{
    while (*text)
        put(line, *text++);
}

/* Bytes above 0x7f are escaped too: a terminal takes some of them for controls, and logs are for ASCII tools.
 */
static void put_value(struct line *line, const char *value)
{
    bool plain = *value != '\0';

    for (const unsigned char *at = (const unsigned char *)value; *at; at++)
        if (*at <= ' ' || *at == '"' || *at == '\\' || *at == '=' || *at >= 0x7f)
            plain = false;
    if (plain) {
        put_text(line, value);
        return;
    }
    put(line, '"');
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        char escape[8];

        if (*at == '"' || *at == '\\')
            put(line, '\\');
        if (*at < ' ' || *at >= 0x7f) {
            snprintf(escape, sizeof escape, "\\x%02x", *at);
            put_text(line, escape);
        } else {
            put(line, (char)*at);
        }
    }
    put(line, '"');
}

/* Formats the conversion that starts behind the '%' at `at` into `value`; returns the byte after it. */
static const char *convert(const char *at, char *value, size_t size, va_list *args)
{
    int longs = 0;
    bool size_type = false;

    for (; *at == 'l'; at++)
        longs++;
    if (*at == 'z') {
        size_type = true;
        at++;
    }
    switch (*at) {
    case 's': {
        const char *text = va_arg(*args, const char *);
        snprintf(value, size, "%s", text ? text : "-");
        break;
    }
    case 'd': {
        long long number = longs == 2   ? va_arg(*args, long long)
                           : longs == 1 ? va_arg(*args, long)
                                        : va_arg(*args, int);
        snprintf(value, size, "%lld", number);
        break;
    }
    case 'u': {
        unsigned long long number = size_type    ? va_arg(*args, size_t)
                                    : longs == 2 ? va_arg(*args, unsigned long long)
                                    : longs == 1 ? va_arg(*args, unsigned long)
                                                 : va_arg(*args, unsigned);
        snprintf(value, size, "%llu", number);
        break;
    }
    case 'c':
        snprintf(value, size, "%c", va_arg(*args, int));
        break;
    default:
        snprintf(value, size, "%c", *at);
    }
    return *at ? at + 1 : at;
}

void log_write(enum log_level level, const char *event, const char *fields, ...)
{
    struct line line = {.len = 0};
    char value[LINE_MAX_BYTES], stamp[ID_TEXT_MAX];
    struct timespec now;
    va_list args;

    if (level < least)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    put_text(&line, "time=");
    put_text(&line, time_text((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, stamp));
    put_text(&line, " level=");
    put_text(&line, level_names[level]);
    put_text(&line, " event=");
    put_text(&line, event);
    if (*fields)
        put(&line, ' ');
    va_start(args, fields);
    for (const char *at = fields; *at;) {
        size_t len = 0;

        if (*at == ' ' || *at == '=') { /* between keys and values */
            put(&line, *at);
            if (*at++ == ' ')
                continue;
            while (*at &&
                   *at != ' ') { /* one value: text and conversions; each takes its argument, room or not */
                if (*at == '%') {
                    at = convert(at + 1, value + len, sizeof value - len, &args);
                    len += strlen(value + len);
                } else if (len < sizeof value - 1) {
                    value[len++] = *at++;
                } else {
                    at++;
                }
            }
            value[len] = '\0';
            put_value(&line, value);
        } else {
            put(&line, *at++);
        }
    }
    va_end(args);
    line.text[line.len++] = '\n';
    if (write(STDERR_FILENO, line.text, line.len) < 0)
        return; /* nowhere left to say so */
}
