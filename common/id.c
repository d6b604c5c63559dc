#include "id.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reads decimal digits from *at up to `end`; false if there are none or the value passes `max`. */
static bool read_number(const char **at, const char *end, uint64_t max, uint64_t *value)
{
    const char *start = *at;

    *value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        unsigned digit = (unsigned)(**at - '0');

        if (*value > (max - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *at > start;
}

bool id_from_stream(const char *text, size_t len, unsigned lane, event_id *id)
{
    const char *at = text, *end = text + len;
    uint64_t ms, seq;

    if (!read_number(&at, end, INT64_MAX >> 20, &ms) || at == end || *at++ != '-' ||
        !read_number(&at, end, ID_SEQ_MAX, &seq) || at != end)
        return false;
    *id = id_make(ms, lane, (unsigned)seq);
    return true;
}

const char *id_to_stream(event_id id, char *text)
{
    snprintf(text, ID_TEXT_MAX, "%llu-%u", (unsigned long long)id_ms(id), id_seq(id));
    return text;
}

bool id_from_decimal(const char *text, event_id *id)
{
    const char *end = text + strlen(text);

    return end - text <= 19 && read_number(&text, end, INT64_MAX, id) && text == end;
}

const char *id_to_decimal(event_id id, char *text)
{
    snprintf(text, ID_TEXT_MAX, "%llu", (unsigned long long)id);
    return text;
}

const char *id_to_time(event_id id, char *text)
{
    return time_text(id_ms(id), text);
}

const char *time_text(uint64_t ms, char *text)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t len;

    if (!gmtime_r(&seconds, &tm) || (len = strftime(text, ID_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
        return strcpy(text, "-");
    snprintf(text + len, ID_TEXT_MAX - len, ".%03uZ", (unsigned)(ms % 1000));
    return text;
}
