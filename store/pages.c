#include "pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "log.h"

#define LIMIT_MAX 500
#define TEXTS_MAX 65536 /* bytes in one answer */
#define HOLDERS_MAX 3
#define HOLDER_MAX_BYTES 80
#define READ_MAX 1000 /* rows that one statement marks */

/*
 * Naming messages where the statement is parsed keeps a month from being dropped between the moment that the
 * rows are of and the reading of them: whatever is missing is older than `oldest`.
 */
static const char page_sql[] =
    "with known as materialized (select l.position as stored, w.position as stored_with, oldest_month() as "
    "oldest,"
    " case $1 when 'room' then (select id from rooms where name = $4)"
    " else (select id from users where name_key = $4) end as key,"
    " (select id from users where name_key = $5) as other, exists (select from messages where id < 0)"
    " from cursors l, cursors w where l.lane = $2 and w.lane = $3)"
    " select k.stored, k.stored_with, k.oldest, e.id, e.prev,"
    " (select name from users where id = e.sender_id), e.text,"
    " (select name from users where id = e.recipient_id), e.recipient_holder, e.sender_holder"
    " from known k left join lateral page($1, k.key, k.other, $6, $7, $8, $9 = 1, $10, $11) e on true";

enum column {
    COLUMN_STORED,
    COLUMN_STORED_WITH,
    COLUMN_OLDEST,
    COLUMN_ID,
    COLUMN_PREV,
    COLUMN_FROM,
    COLUMN_TEXT,
    COLUMN_TO,
    COLUMN_FOR,
    COLUMN_BY,
};

/* What is asked for: see the function page() in migrations/. */
struct range {
    const char *kind, *name, *with; /* `with`: "" unless it is a pair */
    const char *holders[HOLDERS_MAX];
    size_t n_holders;
    event_id after, until;
    size_t limit;
    bool newest;
};

static json_t *made(json_t *json)
{
    if (!json)
        abort();
    return json;
}

/* A failing allocation aborts; what is not UTF-8 does not get into PostgreSQL. */
static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, made(value)) < 0)
        abort();
}

static bool is_folded_name(const char *name)
{
    char folded[NAME_MAX_BYTES];

    return name_fold(name, folded) && strcmp(folded, name) == 0;
}

static bool is_folded_room(const char *room)
{
    char folded[ROOM_MAX_BYTES];

    return room_fold(room, folded) && strcmp(folded, room) == 0;
}

static bool read_id(const json_t *request, const char *member, event_id *id)
{
    const char *text = json_string_value(json_object_get(request, member));

    return text && id_from_decimal(text, id);
}

/* Reads the members that all pages have.  False if one is missing, or not what it should be. */
static bool read_range(const json_t *request, struct range *range)
{
    const json_t *limit = json_object_get(request, "limit"), *newest = json_object_get(request, "newest");

    if (!read_id(request, "after", &range->after) || !read_id(request, "until", &range->until) ||
        !json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > LIMIT_MAX ||
        (newest && !json_is_boolean(newest)))
        return false;
    range->limit = (size_t)json_integer_value(limit);
    range->newest = json_is_true(newest);
    return true;
}

/* Reads whose directs are meant: "name" and "account". */
static bool read_account(const json_t *request, const char **name, char holder[HOLDER_MAX_BYTES])
{
    const char *account = json_string_value(json_object_get(request, "account"));
    event_id number;

    *name = json_string_value(json_object_get(request, "name"));
    if (!*name || !is_folded_name(*name) || !account || !id_from_decimal(account, &number))
        return false;
    snprintf(holder, HOLDER_MAX_BYTES, "a:%" PRIu64, number);
    return true;
}

static enum answer run(struct worker *worker, const struct range *range, PGresult **rows)
{
    struct arguments arguments;
    enum answer answer;
    int holders;

    arguments_init(&arguments);
    arguments_text(&arguments, range->kind);
    arguments_number(&arguments, lane_of(range->name));
    arguments_number(&arguments, lane_of(*range->with ? range->with : range->name));
    arguments_text(&arguments, range->name);
    arguments_text(&arguments, range->with);
    holders = arguments_texts(&arguments);
    for (size_t i = 0; i < range->n_holders; i++)
        arguments_add_text(&arguments, holders, range->holders[i]);
    arguments_number(&arguments, (int64_t)range->after);
    arguments_number(&arguments, (int64_t)range->until);
    arguments_number(&arguments, range->newest);
    arguments_number(&arguments, (int64_t)range->limit + 1); /* one more tells whether there are more */
    arguments_number(&arguments, TEXTS_MAX);
    answer = database_run(worker->database, page_sql, &arguments, rows);
    arguments_finish(&arguments);
    return answer;
}

/* The column as a string; null where SQL's is, if there may be one. */
static json_t *value(const PGresult *rows, int row, enum column column)
{
    return PQgetisnull(rows, row, (int)column) ? json_null()
                                               : json_string(PQgetvalue(rows, row, (int)column));
}

static json_t *make_event(const PGresult *rows, int row)
{
    json_t *event = made(json_object());

    set(event, "id", value(rows, row, COLUMN_ID));
    set(event, "prev", value(rows, row, COLUMN_PREV));
    set(event, "from", value(rows, row, COLUMN_FROM));
    set(event, "text", value(rows, row, COLUMN_TEXT));
    if (!PQgetisnull(rows, row, COLUMN_TO)) {
        set(event, "to", value(rows, row, COLUMN_TO));
        set(event, "for", value(rows, row, COLUMN_FOR));
        set(event, "by", value(rows, row, COLUMN_BY));
    }
    return event;
}

/* How many of the rows go into the answer: as many as were asked for, and fit; one at least. */
static int count_fitting(const PGresult *rows, size_t limit)
{
    size_t bytes = 0;
    int n = 0;

    while (n < PQntuples(rows) && n < (int)limit && !PQgetisnull(rows, n, COLUMN_ID)) {
        bytes += (size_t)PQgetlength(rows, n, COLUMN_TEXT);
        if (n > 0 && bytes > TEXTS_MAX)
            break;
        n++;
    }
    return n;
}

/* The answer of these rows, which are newest first if that was asked for. */
static json_t *make_page(const PGresult *rows, const struct range *range)
{
    json_t *page = made(json_object()), *events = made(json_array());
    int n = count_fitting(rows, range->limit);

    for (int i = 0; i < n; i++)
        if (json_array_append_new(events, make_event(rows, range->newest ? n - 1 - i : i)) < 0)
            abort();
    set(page, "ok", json_true());
    set(page, "events", events);
    if (n < PQntuples(rows) && !PQgetisnull(rows, n, COLUMN_ID))
        set(page, "more", json_true());
    set(page, "stored", value(rows, 0, COLUMN_STORED));
    if (*range->with)
        set(page, "stored_with", value(rows, 0, COLUMN_STORED_WITH));
    set(page, "oldest", value(rows, 0, COLUMN_OLDEST));
    return page;
}

static json_t *fail(const struct worker *worker, enum answer answer, const char *what)
{
    if (answer == ANSWER_REFUSED || answer == ANSWER_FAILED)
        log_warn("ask_failed", "ask=%s error=%s", what, database_error(worker->database));
    return ask_error("unavailable");
}

static json_t *answer_range(struct worker *worker, const struct range *range)
{
    PGresult *rows;
    json_t *page;
    enum answer answer = run(worker, range, &rows);

    if (answer != ANSWER_OK)
        return fail(worker, answer, range->kind);
    if (PQntuples(rows) == 0) { /* a row of cursors is missing */
        PQclear(rows);
        return ask_error("unavailable");
    }
    page = make_page(rows, range);
    PQclear(rows);
    return page;
}

json_t *pages_events(struct worker *worker, const json_t *request)
{
    const char *chain = json_string_value(json_object_get(request, "chain"));
    struct range range = {.with = ""};

    if (!chain || !read_range(request, &range))
        return ask_error("bad-request");
    if (strncmp(chain, "r:", 2) == 0 && is_folded_room(chain + 2))
        range.kind = "room";
    else if (strncmp(chain, "u:", 2) == 0 && is_folded_name(chain + 2))
        range.kind = "recipient";
    else
        return ask_error("bad-request");
    range.name = chain + 2;
    return answer_range(worker, &range);
}

static bool read_holders(const json_t *request, struct range *range)
{
    const json_t *holders = json_object_get(request, "holders");

    range->n_holders = json_array_size(holders);
    if (range->n_holders < 1 || range->n_holders > HOLDERS_MAX)
        return false;
    for (size_t i = 0; i < range->n_holders; i++) {
        range->holders[i] = json_string_value(json_array_get(holders, i));
        if (!range->holders[i])
            return false;
    }
    return true;
}

json_t *pages_conversation(struct worker *worker, const json_t *request)
{
    struct range range = {.kind = "pair"};

    range.name = json_string_value(json_object_get(request, "name"));
    range.with = json_string_value(json_object_get(request, "with"));
    if (!range.name || !range.with || !is_folded_name(range.name) || !is_folded_name(range.with) ||
        !read_range(request, &range) || !read_holders(request, &range))
        return ask_error("bad-request");
    return answer_range(worker, &range);
}

json_t *pages_unread(struct worker *worker, const json_t *request)
{
    struct range range = {.kind = "unread", .with = ""};
    char holder[HOLDER_MAX_BYTES];

    if (!read_range(request, &range) || range.newest || !read_account(request, &range.name, holder))
        return ask_error("bad-request");
    range.holders[0] = holder;
    range.n_holders = 1;
    return answer_range(worker, &range);
}

/* Whether the lane is stored up to `until`. */
static enum answer look_stored(struct worker *worker, unsigned lane, event_id until, bool *stored)
{
    struct arguments arguments;
    PGresult *rows;
    enum answer answer;

    arguments_init(&arguments);
    arguments_number(&arguments, lane);
    arguments_number(&arguments, (int64_t)until);
    answer = database_run(worker->database, "select position >= $2 from cursors where lane = $1", &arguments,
                          &rows);
    arguments_finish(&arguments);
    if (answer != ANSWER_OK)
        return answer;
    *stored = PQntuples(rows) > 0 && PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    return ANSWER_OK;
}

/*
 * Marks what there is, `from` this sender ("": whoever it is), some at a time, so that no statement holds its
 * locks for long.
 */
static enum answer mark(struct worker *worker, const char *holder, const char *from, event_id until)
{
    static const char sql[] = "with due as materialized (select id, sender_id from page('unread', null, "
                              "null, $1, $2, $3, false, $4,"
                              " $5)), marked as (update messages m set is_read = true from due where m.id = "
                              "due.id and not m.is_read"
                              " and ($6 = '' or due.sender_id = (select id from users where name_key = $6)))"
                              " select count(*), coalesce(max(id), 0) from due";
    event_id after = 0;
    enum answer answer;
    unsigned long seen;

    do {
        struct arguments arguments;
        PGresult *rows;

        arguments_init(&arguments);
        arguments_add_text(&arguments, arguments_texts(&arguments), holder);
        arguments_number(&arguments, (int64_t)after);
        arguments_number(&arguments, (int64_t)until);
        arguments_number(&arguments, READ_MAX);
        arguments_number(&arguments, INT32_MAX);
        arguments_text(&arguments, from);
        answer = database_run(worker->database, sql, &arguments, &rows);
        arguments_finish(&arguments);
        if (answer != ANSWER_OK)
            return answer;
        seen = strtoul(PQgetvalue(rows, 0, 0), NULL, 10);
        after = strtoull(PQgetvalue(rows, 0, 1), NULL, 10);
        PQclear(rows);
    } while (seen == READ_MAX);
    return ANSWER_OK;
}

static enum answer count_unread(struct worker *worker, const char *holder, json_int_t *count)
{
    struct arguments arguments;
    PGresult *rows;
    enum answer answer;

    arguments_init(&arguments);
    arguments_text(&arguments, holder);
    answer = database_run(worker->database, "select unread($1)", &arguments, &rows);
    arguments_finish(&arguments);
    if (answer != ANSWER_OK)
        return answer;
    *count = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return ANSWER_OK;
}

json_t *pages_read(struct worker *worker, const json_t *request)
{
    char holder[HOLDER_MAX_BYTES];
    const json_t *sender = json_object_get(request, "from");
    const char *name, *from = sender ? json_string_value(sender) : "";
    event_id until;
    json_int_t count = 0;
    bool stored = false;
    enum answer answer;

    if (!read_account(request, &name, holder) || !read_id(request, "until", &until) || !from)
        return ask_error("bad-request");
    answer = look_stored(worker, lane_of(name), until, &stored);
    if (answer == ANSWER_OK && !stored)
        return ASK_AGAIN;
    if (answer == ANSWER_OK)
        answer = mark(worker, holder, from, until);
    if (answer == ANSWER_OK)
        answer = count_unread(worker, holder, &count);
    if (answer != ANSWER_OK)
        return fail(worker, answer, "read");
    return made(json_pack("{s:b, s:I}", "ok", 1, "unread", count));
}
