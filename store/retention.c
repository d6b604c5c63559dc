#include "retention.h"

#include "log.h"

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
    event_id last;

    if (months_due(&history->months, history->database, retention->days, &last) != ANSWER_OK) {
        retention->due = wait_now() + RETRY_MAX_MS;
        return;
    }
    if (!last) {
        retention->due = wait_now() + LOOK_MS;
        return;
    }
    retention->last = last;
    for (size_t i = 0; i < server_count; i++)
        servers[i].forget = retention->last;
}

static void drop(struct retention *retention, struct history *history)
{
    int64_t delay = RETRY_MS;
    bool dropped = false;

    if (months_drop(&history->months, history->database, retention->last, retention->days, &dropped) ==
        ANSWER_OK) {
        /* False: another store was first, and there may be more; or PostgreSQL's clock was put back. */
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
