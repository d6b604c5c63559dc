#include "quarantine.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"

static const char insert[] = "insert into quarantine (lane, position, entry, error)"
                             " select $1, * from unnest($2, $3, $4) as q on conflict do nothing";

struct rows {
    struct arguments arguments;
    int positions, entries, errors;
};

static void rows_init(struct rows *rows, unsigned lane)
{
    arguments_init(&rows->arguments);
    arguments_number(&rows->arguments, lane);
    rows->positions = arguments_numbers(&rows->arguments);
    rows->entries = arguments_texts(&rows->arguments);
    rows->errors = arguments_texts(&rows->arguments);
}

static void rows_add(struct rows *rows, event_id position, const char *entry, const char *error)
{
    arguments_add_number(&rows->arguments, rows->positions, (int64_t)position);
    arguments_add_text(&rows->arguments, rows->entries, entry);
    arguments_add_text(&rows->arguments, rows->errors, error);
}

/* Quarantine is the last resort: what even it refuses is tried again, as if the database had failed. */
static enum answer rows_insert(struct rows *rows, struct database *database, unsigned lane)
{
    enum answer answer = ANSWER_OK;
    PGresult *result;

    if (arguments_length(&rows->arguments, rows->positions) > 0) {
        answer = database_run(database, insert, &rows->arguments, &result);
        if (answer == ANSWER_OK) {
            if (PQcmdTuples(result)[0] != '0')
                log_error("quarantined", "lane=%u entries=%s", lane, PQcmdTuples(result));
            PQclear(result);
        }
    }
    arguments_finish(&rows->arguments);
    return answer == ANSWER_REFUSED ? ANSWER_FAILED : answer;
}

enum answer quarantine_entries(struct database *database, unsigned lane, struct entry *entries, size_t n)
{
    struct rows rows;

    rows_init(&rows, lane);
    for (size_t i = 0; i < n; i++) {
        char *text;

        if (entries[i].kind != ENTRY_REFUSED)
            continue;
        text = entry_text(&entries[i]);
        rows_add(&rows, entries[i].id, text, entries[i].why);
        free(text);
    }
    return rows_insert(&rows, database, lane);
}

enum answer quarantine_hole(struct database *database, unsigned lane, event_id cursor, event_id trimmed)
{
    char error[128], from[ID_TEXT_MAX], to[ID_TEXT_MAX];
    struct rows rows;

    snprintf(error, sizeof error, "a hole: stored up to %s, but the log was trimmed up to %s",
             id_to_stream(cursor, from), id_to_stream(trimmed, to));
    rows_init(&rows, lane);
    rows_add(&rows, cursor, "", error);
    return rows_insert(&rows, database, lane);
}
