#include "months.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define DAY_MS (24ull * 3600 * 1000)
#define CLOCKS_MAX_MS (3600 * 1000) /* how far two clocks may be apart; more is worth a warning */

static unsigned month_of(event_id id)
{
    time_t seconds = (time_t)(id_ms(id) / 1000);
    struct tm tm;
    int month;

    if (!gmtime_r(&seconds, &tm))
        return 0;
    month = (tm.tm_year - 70) * 12 + tm.tm_mon;
    return month >= 0 && month < MONTHS_MAX ? (unsigned)month : 0;
}

enum answer months_look(struct months *months, struct database *database)
{
    PGresult *rows;
    enum answer answer;

    answer = database_run(database, "select oldest_month()", NULL, &rows);
    if (answer != ANSWER_OK)
        return answer;
    months->oldest = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return ANSWER_OK;
}

enum answer months_init(struct months *months, struct database *database)
{
    memset(months->known, 0, sizeof months->known);
    months->from = months->until = 0;
    return months_look(months, database);
}

/* The first id of a month. */
static event_id first_of(unsigned month)
{
    struct tm tm = {.tm_year = 70 + (int)month / 12, .tm_mon = (int)month % 12, .tm_mday = 1};

    return id_make((uint64_t)timegm(&tm) * 1000, 0, 0);
}

bool months_known(struct months *months, event_id id)
{
    unsigned month;

    if (id >= months->from && id < months->until)
        return true;
    month = month_of(id);
    if (!months->known[month])
        return false;
    months->from = first_of(month);
    months->until = first_of(month + 1);
    return true;
}

event_id months_next(event_id id)
{
    return first_of(month_of(id) + 1);
}

static void tell(const char *event, event_id id)
{
    char month[ID_TEXT_MAX];

    id_to_time(id, month);
    month[strlen("2025-01")] = '\0';
    log_info(event, "month=%s", month);
}

/*
 * Tells once when the two clocks disagree.  `now` is PostgreSQL's, which decides: this one is used for
 * nothing.
 */
static void compare_clocks(struct months *months, event_id now)
{
    int64_t ahead = (int64_t)time(NULL) * 1000 - (int64_t)id_ms(now);
    bool differs = ahead > CLOCKS_MAX_MS || ahead < -CLOCKS_MAX_MS;

    if (differs && !months->clock_differs)
        log_warn("clock_differs", "store_ahead_s=%lld months_by=postgresql", (long long)(ahead / 1000));
    months->clock_differs = differs;
}

/* Runs a function of the schema that takes `n` numbers and says whether it did something. */
static enum answer call(struct database *database, const char *sql, const int64_t *numbers, size_t n,
                        bool *done)
{
    struct arguments arguments;
    PGresult *rows;
    enum answer answer;

    arguments_init(&arguments);
    for (size_t i = 0; i < n; i++)
        arguments_number(&arguments, numbers[i]);
    answer = database_run(database, sql, &arguments, &rows);
    arguments_finish(&arguments);
    if (answer != ANSWER_OK)
        return answer;
    *done = PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    return ANSWER_OK;
}

enum answer months_make(struct months *months, struct database *database, event_id id, bool *made)
{
    enum answer answer;
    bool is_new;

    if (made)
        *made = false;
    if (months_known(months, id))
        return ANSWER_OK;
    answer = call(database, "select make_month($1)", (int64_t[]){(int64_t)id}, 1, &is_new);
    if (answer != ANSWER_OK)
        return answer;
    months->known[month_of(id)] = true;
    if (made)
        *made = is_new;
    if (!is_new)
        return ANSWER_OK;
    tell("month_made", id);
    return months_look(months, database);
}

enum answer months_due(struct months *months, struct database *database, long days, event_id *last)
{
    struct arguments arguments;
    PGresult *rows;
    enum answer answer;

    arguments_init(&arguments);
    arguments_number(&arguments, days);
    answer = database_run(database, "select id_at(now()), id, is_due(id, $1) from oldest_month() id",
                          &arguments, &rows);
    arguments_finish(&arguments);
    if (answer != ANSWER_OK)
        return answer;
    compare_clocks(months, strtoull(PQgetvalue(rows, 0, 0), NULL, 10));
    months->oldest = strtoull(PQgetvalue(rows, 0, 1), NULL, 10);
    *last = PQgetvalue(rows, 0, 2)[0] == 't' ? months_next(months->oldest) - 1 : 0;
    PQclear(rows);
    return ANSWER_OK;
}

enum answer months_drop(struct months *months, struct database *database, event_id id, long days,
                        bool *dropped)
{
    enum answer answer =
        call(database, "select drop_month($1, $2)", (int64_t[]){(int64_t)id, days}, 2, dropped);

    if (answer != ANSWER_OK)
        return answer;
    months->known[month_of(id)] = false;
    months->from = months->until = 0;
    if (*dropped)
        tell("month_dropped", id);
    return months_look(months, database);
}

enum answer months_make_ahead(struct months *months, struct database *database)
{
    static const uint64_t days[] = {0, 20, 40,
                                    62}; /* steps shorter than any month, up to the second one ahead */
    PGresult *rows;
    event_id now;
    enum answer answer = database_run(database, "select id_at(now())", NULL, &rows);

    if (answer != ANSWER_OK)
        return answer;
    now = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    compare_clocks(months, now);
    for (size_t i = 0; i < sizeof days / sizeof *days && answer == ANSWER_OK; i++)
        answer = months_make(months, database, id_make(id_ms(now) + days[i] * DAY_MS, 0, 0), NULL);
    return answer;
}
