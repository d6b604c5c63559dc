#include "roster.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "log.h"

#define AT_ONCE 500
#define KEEP_MS 1000 /* a transaction that is idle for 5 s is ended */

/* Accounts as PostgreSQL has them, in the order of their bytes. */
struct roster {
    struct database *database;
    struct link *link;
    PGresult *rows;
    bool *found;    /* of each row: Redis has it, as it is */
    char **strange; /* names that Redis has and PostgreSQL has not */
    size_t strange_count, strange_size;
    size_t sent; /* commands whose answers were not read yet */
    int64_t keep_due;
};

static atomic_bool wanted;

void roster_want(void)
{
    wanted = true;
}

bool roster_wanted(void)
{
    return atomic_exchange(&wanted, false);
}

/* What the answer is must not be an error; takes it. */
static bool is_good(struct roster *roster, redisReply *reply)
{
    bool good = reply && reply->type != REDIS_REPLY_ERROR;

    if (reply && !good)
        log_warn("roster_refused", "error=%s", reply->str);
    freeReplyObject(reply);
    return good;
}

/* Reads the answers to what was sent, all of them even if one is bad. */
static bool settle(struct roster *roster)
{
    bool good = true;

    for (; roster->sent > 0 && roster->link->context; roster->sent--)
        good &= is_good(roster, link_receive(roster->link));
    return good && roster->link->context;
}

/* Between two steps: the transaction is not idle for too long. */
static bool keep(struct roster *roster)
{
    if (wait_now() < roster->keep_due)
        return true;
    roster->keep_due = wait_now() + KEEP_MS;
    return database_run(roster->database, "select 1", NULL, NULL) == ANSWER_OK;
}

/* After each command that was sent. */
static bool sent(struct roster *roster, bool did)
{
    if (!did)
        return false;
    roster->sent++;
    if (roster->sent < AT_ONCE)
        return true;
    return settle(roster) && keep(roster);
}

/* The row of `name`, or -1. */
static int find(const struct roster *roster, const char *name)
{
    int low = 0, high = PQntuples(roster->rows);

    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(name, PQgetvalue(roster->rows, middle, 0));

        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static void compare(struct roster *roster, const char *name, const char *account)
{
    int row = find(roster, name);

    if (row >= 0) {
        roster->found[row] = strcmp(account, PQgetvalue(roster->rows, row, 1)) == 0;
        return;
    }
    if (roster->strange_count == roster->strange_size) {
        roster->strange_size = roster->strange_size * 2 + 16;
        roster->strange = realloc(roster->strange, roster->strange_size * sizeof *roster->strange);
        if (!roster->strange)
            abort();
    }
    roster->strange[roster->strange_count] = strdup(name);
    if (!roster->strange[roster->strange_count++])
        abort();
}

/* Reads the whole list in Redis; what is in it all the while is seen at least once. */
static bool scan(struct roster *roster)
{
    char cursor[24] = "0";

    do {
        redisReply *reply = link_call(roster->link, "HSCAN " ROSTER_KEY " %s COUNT 1000", cursor);
        const redisReply *pairs;

        if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
            is_good(roster, reply);
            return false;
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        pairs = reply->element[1];
        for (size_t i = 0; i + 1 < pairs->elements; i += 2)
            compare(roster, pairs->element[i]->str, pairs->element[i + 1]->str);
        freeReplyObject(reply);
        if (!keep(roster))
            return false;
    } while (strcmp(cursor, "0") != 0);
    return true;
}

static bool repair(struct roster *roster)
{
    int missing = 0;

    for (int i = 0; i < PQntuples(roster->rows); i++) {
        if (roster->found[i])
            continue;
        missing++;
        if (!sent(roster, link_send(roster->link, "HSET " ROSTER_KEY " %s %s", PQgetvalue(roster->rows, i, 0),
                                    PQgetvalue(roster->rows, i, 1))))
            return false;
    }
    for (size_t i = 0; i < roster->strange_count; i++)
        if (!sent(roster, link_send(roster->link, "HDEL " ROSTER_KEY " %s", roster->strange[i])))
            return false;
    if (!settle(roster))
        return false;
    if (missing > 0 || roster->strange_count > 0)
        log_info("roster_repaired", "accounts=%d added=%d removed=%zu", PQntuples(roster->rows), missing,
                 roster->strange_count);
    return true;
}

static void finish(struct roster *roster)
{
    for (size_t i = 0; i < roster->strange_count; i++)
        free(roster->strange[i]);
    free(roster->strange);
    free(roster->found);
    PQclear(roster->rows);
}

/* Reads both lists. */
static bool read_lists(struct roster *roster)
{
    if (database_run(roster->database,
                     "select name_key, account from users where account is not null order by name_key", NULL,
                     &roster->rows) != ANSWER_OK) {
        log_warn("roster_failed", "error=%s", database_error(roster->database));
        return false;
    }
    roster->found = calloc((size_t)PQntuples(roster->rows) + 1, sizeof *roster->found);
    if (!roster->found)
        abort();
    return scan(roster);
}

bool roster_make(struct database *database, struct link *link)
{
    struct roster roster = {.database = database, .link = link, .keep_due = wait_now() + KEEP_MS};
    bool good;

    if (database_run(database, "select pg_advisory_xact_lock(" ROSTER_LOCK ")", NULL, NULL) != ANSWER_OK) {
        log_warn("roster_failed", "error=%s", database_error(database));
        return false;
    }
    good = read_lists(&roster) && repair(&roster);
    if (!good && roster.sent > 0 && link->context)
        link_drop(link, "the list of accounts cannot be made"); /* answers are on their way */
    finish(&roster);
    return good;
}

/* Without the lock: whether the lists are *equal.  Who is on the way into one of them is a difference. */
static bool look(struct database *database, struct link *link, bool *equal)
{
    struct roster roster = {.database = database, .link = link, .keep_due = wait_now() + KEEP_MS};
    bool good = read_lists(&roster);

    *equal = good && roster.strange_count == 0;
    for (int i = 0; *equal && i < PQntuples(roster.rows); i++)
        *equal = roster.found[i];
    finish(&roster);
    return good;
}

bool roster_renew(struct database *database, struct link *link)
{
    bool made = false, equal;

    if (!look(database, link, &equal))
        return false;
    if (equal)
        return true;
    if (database_run(database, "begin", NULL, NULL) == ANSWER_OK)
        made = roster_make(database, link);
    if (database_is_up(database) &&
        database_run(database, made ? "commit" : "rollback", NULL, NULL) != ANSWER_OK)
        database_close(database);
    return made;
}
