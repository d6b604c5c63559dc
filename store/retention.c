#include "retention.h"

#include <time.h>

#include "log.h"

#define DAY_MS (24 * 3600 * 1000ull)
#define LOOK_MS (3600 * 1000)
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

void retention_init(struct retention *retention, long days)
{
    *retention = (struct retention){.days = days};
}

/* Looks for a month that is old enough; if there is one, tells the servers. */
static void begin(struct retention *retention, struct history *history, struct server *servers,
                  size_t server_count)
{
    uint64_t now = (uint64_t)time(NULL) * 1000, age = (uint64_t)retention->days * DAY_MS;
    event_id next;

    if (months_look(&history->months, history->database) != ANSWER_OK) {
        retention->due = wait_now() + RETRY_MAX_MS;
        return;
    }
    next = months_next(history->months.oldest);
    if (age > now || id_ms(next) > now - age) {
        retention->due = wait_now() + LOOK_MS;
        return;
    }
    retention->last = next - 1;
    for (size_t i = 0; i < server_count; i++)
        servers[i].forget = retention->last;
}

static void drop(struct retention *retention, struct history *history)
{
    int64_t delay = RETRY_MS;
    bool dropped = false;

    if (months_drop(&history->months, history->database, retention->last, &dropped) == ANSWER_OK) {
        /* False: another store was first, and there may be more; or this clock is ahead of PostgreSQL's. */
        retention->due = wait_now() + (dropped || history->months.oldest > retention->last ? 0 : LOOK_MS);
        retention->last = 0;
        retention->misses = 0;
        return;
    }
    for (unsigned i = 0; i < retention->misses && delay < RETRY_MAX_MS; i++)
        delay *= 2;
    retention->due = wait_now() + (delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS);
    if (retention->misses++ == 0)
        log_info("month_not_dropped", "error=%s", database_error(history->database));
}

void retention_run(struct retention *retention, struct history *history, struct server *servers,
                   size_t server_count)
{
    if (retention->days == 0 || wait_now() < retention->due)
        return;
    if (!retention->last)
        begin(retention, history, servers, server_count);
    if (!retention->last)
        return;
    for (size_t i = 0; i < server_count; i++)
        if (servers[i].forgotten < retention->last)
            return; /* its next look sees to it */
    drop(retention, history);
}
