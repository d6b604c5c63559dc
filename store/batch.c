#include "batch.h"

#include <stdlib.h>

#include "quarantine.h"

void batch_init(struct batch *batch, struct history *history, struct lane *lane, redisReply *const *entries,
                size_t n)
{
    struct part *part = &batch->part;
    size_t bytes = 0;

    *part = (struct part){.history = history, .lane = lane, .entries = batch->entries};
    batch->has_refused = batch->is_filled = batch->is_under_way = false;
    batch->spent = NULL;
    names_bound(history->users);
    names_bound(history->rooms);
    while (part->n < n && part->n < BATCH_MAX && bytes < BATCH_MAX_BYTES) {
        struct entry *entry = &batch->entries[part->n];

        entry_init(entry, lane->number, entries[part->n++]);
        bytes += entry_size(entry);
        batch->has_refused |= entry->kind == ENTRY_REFUSED;
    }
    if (part_recall_names(part)) {
        part_fill(part);
        batch->is_filled = true;
    }
}

void batch_finish(struct batch *batch)
{
    for (size_t i = 0; i < batch->part.n; i++)
        entry_finish(&batch->entries[i]);
    batch->part.n = 0;
    arguments_finish(&batch->part.arguments);
    freeReplyObject(batch->spent);
    batch->spent = NULL;
}

/* True if all of it is new, and of months that are there: then one statement is all that it takes. */
static bool is_plain(const struct part *part)
{
    for (size_t i = 0; i < part->n; i++) {
        const struct entry *entry = &part->entries[i];

        if (entry->has_id && entry->id <= part->lane->cursor)
            return false;
        if (entry_is_event(entry) && !months_known(&part->history->months, entry->id))
            return false;
    }
    return !part->has_records;
}

static enum fate lose(struct part *part)
{
    database_close(part->history->database);
    return FATE_LOST;
}

void batch_begin(struct batch *batch)
{
    struct part *part = &batch->part;
    struct database *database = part->history->database;

    if (batch->has_refused &&
        quarantine_entries(database, part->lane->number, part->entries, part->n) != ANSWER_OK) {
        batch->fate = lose(part);
        return;
    }
    if (!batch->is_filled && part_resolve_names(part) == ANSWER_OK) { /* else part_store sees why not */
        part_fill(part);
        batch->is_filled = true;
    }
    if (!batch->is_filled || !is_plain(part)) {
        batch->fate = part_store(part);
        return;
    }
    part->lane->attempt = part_last(part);
    arguments_set_number(&part->arguments, PART_NEW_CURSOR, (int64_t)part->lane->attempt);
    arguments_set_number(&part->arguments, PART_OLD_CURSOR, (int64_t)part->lane->cursor);
    database_send(database, part_insert_new_sql, &part->arguments);
    batch->is_under_way = true;
}

enum fate batch_end(struct batch *batch)
{
    struct part *part = &batch->part;
    enum answer answer;
    PGresult *rows;

    if (!batch->is_under_way)
        return batch->fate;
    batch->is_under_way = false;
    answer = database_receive(part->history->database, &rows);
    if (answer == ANSWER_REFUSED) /* it is there after all, or not as it should be */
        return batch->fate = part_store(part);
    if (answer != ANSWER_OK)
        return batch->fate = lose(part);
    part->moved = PQgetvalue(rows, 0, 0)[0] != '0';
    PQclear(rows);
    if (part->moved)
        part->lane->cursor = part->lane->attempt;
    return batch->fate = part->moved ? FATE_STORED : FATE_MOVED;
}
