#include "id.h"

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

/* Writes decimal digits, and returns their end. */
static char *write_number(uint64_t value, char *to)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
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
    char *end = write_number(id_ms(id), text);

    *end++ = '-';
    *write_number(id_seq(id), end) = '\0';
    return text;
}

bool id_from_decimal(const char *text, event_id *id)
{
    const char *end = text + strlen(text);

    return end - text <= 19 && read_number(&text, end, INT64_MAX, id) && text == end;
}

const char *id_to_decimal(event_id id, char *text)
{
    *write_number(id, text) = '\0';
    return text;
}

const char *id_to_time(event_id id, char *text)
{
    return time_text(id_ms(id), text);
}

const char *time_text(uint64_t ms, char *text)
{
    /* Most calls are for the same second as the one before. */
    static _Thread_local struct {
        time_t seconds;
        size_t len; /* of the text; 0: there is none */
        char text[ID_TEXT_MAX];
    } last;
    time_t seconds = (time_t)(ms / 1000);
    unsigned rest = (unsigned)(ms % 1000);
    struct tm tm;
    char *end;

    if (last.len == 0 || last.seconds != seconds) {
        last.seconds = seconds;
        last.len = gmtime_r(&seconds, &tm) ? strftime(last.text, ID_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    }
    if (last.len == 0 || last.len + sizeof ".000Z" > ID_TEXT_MAX)
        return strcpy(text, "-");
    end = mempcpy(text, last.text, last.len);
    *end++ = '.';
    *end++ = (char)('0' + rest / 100);
    *end++ = (char)('0' + rest / 10 % 10);
    *end++ = (char)('0' + rest % 10);
    strcpy(end, "Z");
    return text;
}
