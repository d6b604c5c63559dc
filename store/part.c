#include "part.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "quarantine.h"
#include "records.h"

/* The statement, but for what is there already: the two that end it differ in that. */
#define INSERT                                                                                               \
    "with moved as (update cursors set position = $2 where lane = $1 and position = $3 returning 1),"        \
    " stored as (insert into messages (id, prev, room_id, recipient_id, sender_id, text, recipient_holder,"  \
    " sender_holder)"                                                                                        \
    " select id, prev, nullif(room, 0), nullif(recipient, 0), nullif(sender, 0), text, nullif(whom, ''),"    \
    " nullif(by, '')"                                                                                        \
    " from unnest($4, $5, $6, $7, $8, $9, $10, $11) as b(id, prev, room, recipient, sender, text, whom, by)" \
    " where exists (select 1 from moved)"

static const char insert_sql[] = INSERT " on conflict do nothing returning 1)"
                                        " select (select count(*) from moved), (select count(*) from stored)";
const char part_insert_new_sql[] = INSERT ") select count(*) from moved";

/* The same arguments; those of the batch that are there with another content. */
static const char compare_sql[] =
    "select m.id from unnest($4, $5, $6, $7, $8, $9) as b(id, prev, room, recipient, sender, text)"
    " join messages m on m.id = b.id where m.text <> b.text or m.sender_id <> b.sender"
    " or m.room_id is distinct from nullif(b.room, 0) or m.recipient_id is distinct from nullif(b.recipient, "
    "0)";

bool part_recall_names(struct part *part)
{
    const struct names *users = part->history->users, *rooms = part->history->rooms;
    bool all = true;

    for (size_t i = 0; i < part->n; i++) {
        struct entry *entry = &part->entries[i];

        if (entry_is_event(entry) || entry->kind == ENTRY_OPEN)
            all &= (entry->sender = names_id(users, entry->sender_key)) != 0;
        if (entry->kind == ENTRY_DIRECT)
            all &= (entry->recipient = names_id(users, entry->recipient_key)) != 0;
        if (entry->kind == ENTRY_MESSAGE)
            all &= (entry->room = names_id(rooms, entry->event->place)) != 0;
    }
    return all;
}

enum answer part_resolve_names(struct part *part)
{
    struct names *users = part->history->users, *rooms = part->history->rooms;
    enum answer answer;

    for (size_t i = 0; i < part->n; i++) {
        const struct entry *entry = &part->entries[i];

        if (entry_is_event(entry) || entry->kind == ENTRY_OPEN)
            names_want(users, entry->sender_key, entry_sender(entry));
        if (entry_is_event(entry) && entry->kind == ENTRY_DIRECT)
            names_want(users, entry->recipient_key, entry->event->place);
        if (entry_is_event(entry) && entry->kind == ENTRY_MESSAGE)
            names_want(rooms, entry->event->place, "");
    }
    answer = names_resolve(users, part->history->database);
    if (answer == ANSWER_OK)
        answer = names_resolve(rooms, part->history->database);
    if (answer == ANSWER_OK)
        part_recall_names(part);
    return answer;
}

/*
 * Makes the months that are needed.  What is not beyond the cursor was stored once; if its month is older
 * than all that are kept, it was dropped on purpose and does not come back because the log still has it.
 * `changed`: a month was made, or an entry dropped, so that what was refused may be taken now.
 */
static enum answer make_months(struct part *part, bool *changed)
{
    struct months *months = &part->history->months;
    enum answer answer = ANSWER_OK;

    *changed = false;
    for (size_t i = 0; i < part->n && answer == ANSWER_OK; i++) {
        struct entry *entry = &part->entries[i];
        bool is_new = false, was_stored = entry->has_id && entry->id <= part->lane->cursor;

        if (!entry_is_event(entry))
            continue;
        if (was_stored && !months_known(months, entry->id))
            answer = months_look(months, part->history->database);
        if (answer != ANSWER_OK)
            break;
        if (was_stored && entry->id < months->oldest) {
            entry->is_dropped = *changed = true;
            continue;
        }
        answer = months_make(months, part->history->database, entry->id, &is_new);
        *changed |= is_new;
    }
    return answer;
}

event_id part_last(const struct part *part)
{
    event_id last = part->lane->cursor;

    for (size_t i = 0; i < part->n; i++)
        if (part->entries[i].has_id && part->entries[i].id > last)
            last = part->entries[i].id;
    return last;
}

void part_fill(struct part *part)
{
    struct arguments *arguments = &part->arguments;
    int ids, prevs, rooms, recipients, senders, texts, whoms, bys;

    arguments_init(arguments);
    arguments_number(arguments, part->lane->number);
    arguments_number(arguments, (int64_t)part_last(part));
    arguments_number(arguments, (int64_t)part->lane->cursor);
    ids = arguments_numbers(arguments);
    prevs = arguments_numbers(arguments);
    rooms = arguments_numbers(arguments);
    recipients = arguments_numbers(arguments);
    senders = arguments_numbers(arguments);
    texts = arguments_texts(arguments);
    whoms = arguments_texts(arguments);
    bys = arguments_texts(arguments);
    part->has_records = false;
    for (size_t i = 0; i < part->n; i++) {
        const struct entry *entry = &part->entries[i];

        part->has_records |= entry->kind == ENTRY_OPEN || entry->kind == ENTRY_CLOSE;
        if (!entry_is_event(entry))
            continue;
        arguments_add_number(arguments, ids, (int64_t)entry->id);
        arguments_add_number(arguments, prevs, (int64_t)entry->event->prev);
        arguments_add_number(arguments, rooms, entry->room);
        arguments_add_number(arguments, recipients, entry->recipient);
        arguments_add_number(arguments, senders, entry->sender);
        arguments_add_text(arguments, texts, entry->event->text);
        arguments_add_text(arguments, whoms, entry->event->direct ? entry->event->whom : "");
        arguments_add_text(arguments, bys, entry->event->direct ? entry->event->by : "");
    }
    part->rows = arguments_length(arguments, ids);
}

/* The one statement.  `stored`: how many rows were new. */
static enum answer move_and_insert(struct part *part, size_t *stored)
{
    PGresult *rows;
    enum answer answer = database_run(part->history->database, insert_sql, &part->arguments, &rows);

    if (answer != ANSWER_OK)
        return answer;
    part->moved = PQgetvalue(rows, 0, 0)[0] != '0';
    *stored = strtoul(PQgetvalue(rows, 0, 1), NULL, 10);
    PQclear(rows);
    return ANSWER_OK;
}

/* The one statement and the session records, in one transaction. */
static enum answer move_with_records(struct part *part, size_t *stored)
{
    struct database *database = part->history->database;
    enum answer answer = database_run(database, "begin", NULL, NULL), undone;

    if (answer == ANSWER_OK)
        answer = move_and_insert(part, stored);
    if (answer == ANSWER_OK && part->moved)
        answer = records_store(database, part->entries, part->n);
    if (answer == ANSWER_OK && part->moved)
        return database_run(database, "commit", NULL, NULL);
    if (answer == ANSWER_LOST)
        return answer;
    undone = database_run(database, "rollback", NULL,
                          NULL); /* keeps what the refusal was: only errors are noted */
    return undone == ANSWER_OK ? answer : undone;
}

/* Sets those that are there with another content aside. */
static enum answer compare(struct part *part)
{
    struct database *database = part->history->database;
    PGresult *rows;
    enum answer answer = database_run(database, compare_sql, &part->arguments, &rows);

    if (answer != ANSWER_OK)
        return answer;
    for (int r = 0; r < PQntuples(rows) && answer == ANSWER_OK; r++) {
        event_id id = strtoull(PQgetvalue(rows, r, 0), NULL, 10);

        for (size_t i = 0; i < part->n && answer == ANSWER_OK; i++) {
            struct entry copy = part->entries[i];

            if (!entry_is_event(&copy) || copy.id != id)
                continue;
            copy.kind = ENTRY_REFUSED;
            copy.why = "another event has this id";
            answer = quarantine_entries(database, part->lane->number, &copy, 1);
        }
    }
    PQclear(rows);
    return answer;
}

/* Tries to store the part once; its months are there. */
static enum answer try_once(struct part *part)
{
    enum answer answer = part_resolve_names(part);
    size_t stored = 0;

    if (answer != ANSWER_OK)
        return answer;
    part_fill(part);
    part->lane->attempt = part_last(part);
    answer = part->has_records ? move_with_records(part, &stored) : move_and_insert(part, &stored);
    if (answer == ANSWER_OK && part->moved) {
        part->lane->cursor = part->lane->attempt;
        if (stored < part->rows)
            answer = compare(part);
    }
    arguments_finish(&part->arguments);
    return answer;
}

/* A month may have gone since it was seen (23514 says that, and other things): then it is made, or what it
 * had is left out, and all is tried again. */
static enum answer try_part(struct part *part)
{
    bool changed;
    enum answer answer = make_months(part, &changed), again;

    if (answer == ANSWER_OK)
        answer = try_once(part);
    if (answer != ANSWER_REFUSED || strcmp(database_state(part->history->database), "23514") != 0)
        return answer;
    again = months_init(&part->history->months, part->history->database);
    if (again == ANSWER_OK)
        again = make_months(part, &changed);
    if (again != ANSWER_OK)
        return again;
    return changed ? try_once(part) : answer;
}

/* Halves what was refused until what is refused stands alone, and goes to quarantine. */
static enum fate store(struct part part)
{
    enum answer answer = try_part(&part);
    enum fate fate;
    struct part half = part;

    if (answer == ANSWER_REFUSED && part.n == 1) {
        char *why = strdup(database_error(part.history->database));

        part.entries->kind = ENTRY_REFUSED;
        part.entries->why = why ? why : "refused";
        answer = quarantine_entries(part.history->database, part.lane->number, part.entries, 1);
        if (answer == ANSWER_OK)
            answer = try_part(&part);
        part.entries->why = "refused";
        free(why);
    } else if (answer == ANSWER_REFUSED) {
        half.n = part.n / 2;
        fate = store(half);
        if (fate != FATE_STORED)
            return fate;
        half.entries = part.entries + half.n;
        half.n = part.n - half.n;
        return store(half);
    }
    if (answer == ANSWER_OK)
        return part.moved ? FATE_STORED : FATE_MOVED;
    if (answer == ANSWER_REFUSED)
        log_error("refused", "lane=%u error=%s", part.lane->number, database_error(part.history->database));
    database_close(part.history->database);
    return FATE_LOST;
}

enum fate part_store(const struct part *part)
{
    return store(
        (struct part){.history = part->history, .lane = part->lane, .entries = part->entries, .n = part->n});
}
