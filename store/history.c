#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "wait.h"

#define DAY_MS (20LL * 3600 * 1000) /* a little less: it may not drift over a month's end */
#define RETRY_MS 60000

bool history_init(struct history *history, const char *url, const char *password)
{
    *history = (struct history){.database = database_create(url, password),
                                .users = names_create(names_find_users, names_make_users),
                                .rooms = names_create(names_find_rooms, names_make_rooms)};
    return history->database && history->users && history->rooms;
}

void history_finish(struct history *history)
{
    names_destroy(history->rooms);
    names_destroy(history->users);
    database_destroy(history->database);
}

static enum history_start check_schema(struct history *history)
{
    PGresult *rows;
    enum answer answer;
    long found = 0;

    answer = database_run(history->database, "select coalesce(max(number), 0) from migrations", NULL, &rows);
    if (answer == ANSWER_OK) {
        found = strtol(PQgetvalue(rows, 0, 0), NULL, 10);
        PQclear(rows);
        if (found == SCHEMA_VERSION)
            return HISTORY_UP;
    } else if (strcmp(database_state(history->database), "42P01") !=
               0) { /* another thing than a missing table */
        return HISTORY_DOWN;
    }
    log_error(
        "schema_refused", "found=%ld known=%d remedy=%s", found, SCHEMA_VERSION,
        found > SCHEMA_VERSION
            ? "the database has a newer schema; run the hubbub-store that came with migrations/migrate.sh"
            : "run migrations/migrate.sh");
    return HISTORY_WRONG;
}

enum answer history_cursors(struct history *history, event_id cursors[LANES])
{
    PGresult *rows;
    enum answer answer;

    answer = database_run(history->database, "select lane, position from cursors", NULL, &rows);
    if (answer != ANSWER_OK)
        return answer;
    for (int i = 0; i < PQntuples(rows); i++) {
        unsigned long lane = strtoul(PQgetvalue(rows, i, 0), NULL, 10);

        if (lane < LANES)
            cursors[lane] = strtoull(PQgetvalue(rows, i, 1), NULL, 10);
    }
    PQclear(rows);
    return ANSWER_OK;
}

void history_make_months(struct history *history)
{
    enum answer answer;

    if (wait_now() < history->months_due)
        return;
    answer = months_init(&history->months, history->database);
    if (answer == ANSWER_OK)
        answer = months_make_ahead(&history->months, history->database);
    history->months_due = wait_now() + (answer == ANSWER_OK ? DAY_MS : RETRY_MS);
    if (answer != ANSWER_OK)
        log_warn("months_not_made", "error=%s", database_error(history->database));
}

enum history_start history_connect(struct history *history, event_id cursors[LANES])
{
    enum history_start start;

    names_clear(history->users);
    names_clear(history->rooms);
    if (!database_connect(history->database))
        return HISTORY_DOWN;
    start = check_schema(history);
    if (start == HISTORY_UP && history_cursors(history, cursors) != ANSWER_OK)
        start = HISTORY_DOWN;
    if (start != HISTORY_UP) {
        database_close(history->database);
        return start;
    }
    history->months_due = 0;
    history_make_months(history);
    return database_is_up(history->database) ? HISTORY_UP : HISTORY_DOWN;
}
