#include "records.h"

/* Several openings of one session in a batch: it is connected since the first, the rest is the newest's. */
static const char open_sql[] =
    "insert into sessions (session, opened_id, user_id, gateway, dialect, ip_address, connected_at)"
    " select distinct on (session) session, id, user_id, gateway, dialect, nullif(address, '')::inet,"
    " id_time(min(id) over (partition by session))"
    " from unnest($1, $2, $3, $4, $5, $6) as o(id, session, user_id, gateway, dialect, address)"
    " order by session, id desc"
    " on conflict (session) do update set opened_id = excluded.opened_id, gateway = excluded.gateway,"
    " dialect = excluded.dialect, ip_address = excluded.ip_address, disconnected_at = null"
    " where sessions.opened_id < excluded.opened_id";

/* Who logs in is shown as he wrote himself last. */
static const char user_sql[] =
    "update users u set name = o.name, last_login_at = id_time(o.id) from"
    " (select distinct on (user_id) user_id, name, id from unnest($1, $2, $3) as l(id, user_id, name)"
    " order by user_id, id desc) o"
    " where u.id = o.user_id and (u.last_login_at is null or u.last_login_at < id_time(o.id))";

static const char close_sql[] =
    "update sessions s set disconnected_at = id_time(c.id) from"
    " (select session, max(id) as id from unnest($1, $2) as c(id, session) group by session) c"
    " where s.session = c.session and s.opened_id < c.id and s.disconnected_at is null";

static enum answer store_opens(struct database *database, const struct entry *entries, size_t n)
{
    struct arguments arguments;
    enum answer answer = ANSWER_OK;
    int ids, sessions, users, gateways, dialects, addresses;

    arguments_init(&arguments);
    ids = arguments_numbers(&arguments);
    sessions = arguments_texts(&arguments);
    users = arguments_numbers(&arguments);
    gateways = arguments_texts(&arguments);
    dialects = arguments_texts(&arguments);
    addresses = arguments_texts(&arguments);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].kind != ENTRY_OPEN)
            continue;
        arguments_add_number(&arguments, ids, (int64_t)entries[i].id);
        arguments_add_text(&arguments, sessions, entries[i].session);
        arguments_add_number(&arguments, users, entries[i].sender);
        arguments_add_text(&arguments, gateways, entries[i].gateway);
        arguments_add_text(&arguments, dialects, entries[i].dialect);
        arguments_add_text(&arguments, addresses, entries[i].address);
    }
    if (arguments_length(&arguments, ids) > 0)
        answer = database_run(database, open_sql, &arguments, NULL);
    arguments_finish(&arguments);
    return answer;
}

static enum answer store_log_ins(struct database *database, const struct entry *entries, size_t n)
{
    struct arguments arguments;
    enum answer answer = ANSWER_OK;
    int ids, users, names;

    arguments_init(&arguments);
    ids = arguments_numbers(&arguments);
    users = arguments_numbers(&arguments);
    names = arguments_texts(&arguments);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].kind != ENTRY_OPEN)
            continue;
        arguments_add_number(&arguments, ids, (int64_t)entries[i].id);
        arguments_add_number(&arguments, users, entries[i].sender);
        arguments_add_text(&arguments, names, entries[i].name);
    }
    if (arguments_length(&arguments, ids) > 0)
        answer = database_run(database, user_sql, &arguments, NULL);
    arguments_finish(&arguments);
    return answer;
}

static enum answer store_closes(struct database *database, const struct entry *entries, size_t n)
{
    struct arguments arguments;
    enum answer answer = ANSWER_OK;
    int ids, sessions;

    arguments_init(&arguments);
    ids = arguments_numbers(&arguments);
    sessions = arguments_texts(&arguments);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].kind != ENTRY_CLOSE)
            continue;
        arguments_add_number(&arguments, ids, (int64_t)entries[i].id);
        arguments_add_text(&arguments, sessions, entries[i].session);
    }
    if (arguments_length(&arguments, ids) > 0)
        answer = database_run(database, close_sql, &arguments, NULL);
    arguments_finish(&arguments);
    return answer;
}

enum answer records_store(struct database *database, const struct entry *entries, size_t n)
{
    enum answer answer = store_opens(database, entries, n);

    if (answer == ANSWER_OK)
        answer = store_log_ins(database, entries, n);
    if (answer == ANSWER_OK)
        answer = store_closes(database, entries, n);
    return answer;
}

enum answer records_close_all(struct database *database, event_id id)
{
    struct arguments arguments;
    enum answer answer;

    arguments_init(&arguments);
    arguments_number(&arguments, (int64_t)id);
    answer = database_run(database,
                          "update sessions set disconnected_at = id_time($1)"
                          " where disconnected_at is null and opened_id <= $1",
                          &arguments, NULL);
    arguments_finish(&arguments);
    return answer;
}
