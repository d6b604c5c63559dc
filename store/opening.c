#include "opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "log.h"
#include "records.h"
#include "roster.h"

/* Shared with make_month, which uses number 100 there, and with roster.c (101). */
#define LOCK_SPACE "1752523362"

/* Runs `format` with the lane's number; false (and the database closed) if that did not work. */
static bool run(struct history *history, const char *format, unsigned lane)
{
    char sql[256];

    snprintf(sql, sizeof sql, format, lane);
    if (database_run(history->database, sql, NULL, NULL) == ANSWER_OK)
        return true;
    log_warn("opening_failed", "lane=%u error=%s", lane, database_error(history->database));
    database_close(history->database);
    return false;
}

static bool answers(struct link *link, redisReply *reply, const char *what)
{
    char why[256];
    bool good = reply && reply->type != REDIS_REPLY_ERROR;

    if (reply && !good) {
        snprintf(why, sizeof why, "%s: %s", what, reply->str);
        link_drop(link, why);
    }
    freeReplyObject(reply);
    return good;
}

/* Whether the lane is still closed; false if it is not, or if Redis does not say: then *failed. */
static bool is_closed(struct link *link, unsigned lane, bool *failed)
{
    redisReply *reply = link_call(link, "EXISTS " LANE_KEY_FORMAT ":open", lane);
    bool closed = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0;

    *failed = !reply || reply->type != REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    return closed;
}

/* The larger of the cursor and Redis' clock. */
static bool choose_floor(struct history *history, struct link *link, unsigned lane, event_id *id)
{
    event_id cursors[LANES] = {0};
    redisReply *reply;
    bool good;

    if (history_cursors(history, cursors) != ANSWER_OK) {
        database_close(history->database);
        return false;
    }
    reply = link_call(link, "TIME");
    good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
    if (good) {
        uint64_t ms = strtoull(reply->element[0]->str, NULL, 10) * 1000 +
                      strtoull(reply->element[1]->str, NULL, 10) / 1000;

        *id = id_make(ms, lane, 0);
        if (*id < cursors[lane])
            *id = cursors[lane];
    }
    freeReplyObject(reply);
    return good;
}

static bool note(struct history *history, unsigned lane, event_id id)
{
    struct arguments arguments;
    enum answer answer;

    arguments_init(&arguments);
    arguments_number(&arguments, lane);
    arguments_number(&arguments, (int64_t)id);
    answer = database_run(history->database,
                          "insert into openings (lane, id) values ($1, $2) on conflict do nothing",
                          &arguments, NULL);
    arguments_finish(&arguments);
    if (answer == ANSWER_OK && lane == 0)
        answer = records_close_all(history->database, id);
    if (answer != ANSWER_OK)
        database_close(history->database);
    return answer == ANSWER_OK;
}

/* Under the lock, which the transaction holds. */
static bool open_lane(struct history *history, struct link *link, unsigned lane)
{
    char stream[ID_TEXT_MAX];
    event_id id;

    if (lane == 0 && !roster_make(history->database, link))
        return false; /* the list comes first: no guest may take an account's name */
    if (!choose_floor(history, link, lane, &id) || !note(history, lane, id))
        return false;
    /* In one message, so that the lock passes from one transaction to the next without a gap; see opening.h.
     */
    if (!run(history,
             "select pg_advisory_lock(" LOCK_SPACE ", %1$u); commit; begin;"
             "select pg_advisory_xact_lock(" LOCK_SPACE ", %1$u); select pg_advisory_unlock(" LOCK_SPACE
             ", %1$u)",
             lane))
        return false;
    if (!answers(link,
                 link_call(link, "FCALL %s 1 " LANE_KEY_FORMAT " %s %s", FUNCTION("open"), lane,
                           id_to_stream(id, stream), KEY_VERSION),
                 "open"))
        return false;
    log_info("lane_opened", "lane=%u floor=%s", lane, stream);
    return true;
}

enum opening opening_make(struct history *history, struct link *link, struct lane *lane)
{
    bool failed, opened = false;

    if (!link_load_functions(link) || !run(history, "begin", lane->number))
        return OPENING_FAILED;
    if (run(history, "select pg_advisory_xact_lock(" LOCK_SPACE ", %u)", lane->number)) {
        if (is_closed(link, lane->number, &failed))
            opened = open_lane(history, link, lane->number);
        else
            opened = !failed;
    }
    if (database_is_up(history->database))
        run(history, opened ? "commit" : "rollback", lane->number);
    return opened ? OPENING_DONE : OPENING_FAILED;
}
