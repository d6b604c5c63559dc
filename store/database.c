#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wait.h"

#define CONNECT_MS 4000
#define STATEMENT_MS 10000

/* The server gives a statement up before the store does, so that an abandoned one does not keep its locks. */
static const char set_up[] = "set statement_timeout = '9s'; set idle_in_transaction_session_timeout = '5s';"
                             "set client_min_messages = warning; set search_path = public";

struct database {
    char *url, *password;
    PGconn *connection; /* NULL: closed */
    int64_t limit;      /* nothing waits beyond it; 0: there is none */
    char state[8];
    char error[512];
};

struct database *database_create(const char *url, const char *password)
{
    struct database *database = calloc(1, sizeof *database);

    if (!database)
        return NULL;
    database->url = strdup(url);
    database->password = strdup(password);
    if (database->url && database->password)
        return database;
    database_destroy(database);
    return NULL;
}

void database_destroy(struct database *database)
{
    if (!database)
        return;
    database_close(database);
    free(database->url);
    free(database->password);
    free(database);
}

void database_close(struct database *database)
{
    PQfinish(database->connection);
    database->connection = NULL;
}

bool database_is_up(const struct database *database)
{
    return database->connection != NULL;
}

const char *database_state(const struct database *database)
{
    return database->state;
}

const char *database_error(const struct database *database)
{
    return database->error;
}

void database_limit(struct database *database, int64_t until)
{
    database->limit = until;
}

static int64_t deadline(const struct database *database, int64_t patience)
{
    int64_t until = wait_now() + patience;

    return database->limit && until > database->limit ? database->limit : until;
}

bool database_look(struct database *database)
{
    struct pollfd fd = {.events = POLLIN};

    if (!database->connection)
        return false;
    fd.fd = PQsocket(database->connection);
    if (poll(&fd, 1, 0) != 0) /* something unasked: hardly ever another thing than a last word and the end */
        database_close(database);
    return database->connection != NULL;
}

/* Keeps the first line of what libpq or the server said: the rest repeats the statement. */
static void note(struct database *database, const char *state, const char *error)
{
    size_t len = strcspn(error, "\n");

    if (len >= sizeof database->error) {
        len = sizeof database->error - 1;
        while (len > 0 && ((unsigned char)error[len] & 0xc0) == 0x80) /* not in the middle of a character */
            len--;
    }
    snprintf(database->state, sizeof database->state, "%s", state ? state : "");
    memmove(database->error, error, len);
    database->error[len] = '\0';
}

static enum answer lose(struct database *database, const char *error)
{
    note(database, "", error);
    database_close(database);
    return ANSWER_LOST;
}

/* Brings the connection up, step by step as libpq asks for it; false if that failed or took too long. */
static bool shake_hands(struct database *database)
{
    int64_t until = deadline(database, CONNECT_MS);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;

    if (PQstatus(database->connection) == CONNECTION_BAD)
        step = PGRES_POLLING_FAILED;
    while (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING) {
        struct pollfd fd = {.fd = PQsocket(database->connection),
                            .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};

        if (!wait_poll(&fd, 1, until)) {
            lose(database, "the server does not answer");
            return false;
        }
        if (fd.revents)
            step = PQconnectPoll(database->connection);
    }
    if (step == PGRES_POLLING_OK && PQsetnonblocking(database->connection, 1) == 0)
        return true;
    lose(database, PQerrorMessage(database->connection));
    return false;
}

bool database_connect(struct database *database)
{
    /* What is given again later in the list wins over the URL; libpq takes an empty password for none. */
    const char *const names[] = {"dbname",           "password",   "application_name", "client_encoding",
                                 "tcp_user_timeout", "keepalives", "keepalives_idle",  "keepalives_interval",
                                 "keepalives_count", NULL};
    const char *const values[] = {database->url,
                                  database->password[0] ? database->password : NULL,
                                  "hubbub-store",
                                  "UTF8",
                                  "10000",
                                  "1",
                                  "5",
                                  "3",
                                  "3",
                                  NULL};

    database_close(database);
    database->connection = PQconnectStartParams(names, values, 1);
    if (!database->connection)
        abort();
    return shake_hands(database) && database_run(database, set_up, NULL, NULL) == ANSWER_OK;
}

/*
 * Sends what libpq holds back and, if `answered`, waits until an answer can be taken; false if the connection
 * is of no more use.
 */
static bool await(struct database *database, int64_t until, bool answered)
{
    for (;;) {
        struct pollfd fd = {.fd = PQsocket(database->connection), .events = POLLIN};
        int left = PQflush(database->connection);

        if (left == 0 && (!answered || !PQisBusy(database->connection)))
            return true;
        if (left > 0)
            fd.events |= POLLOUT;
        if (left < 0) {
            lose(database, PQerrorMessage(database->connection));
            return false;
        }
        if (!wait_poll(&fd, 1, until)) {
            lose(database, "a statement was not answered in time");
            return false;
        }
        if (fd.revents & (POLLIN | POLLERR | POLLHUP) && !PQconsumeInput(database->connection)) {
            lose(database, PQerrorMessage(database->connection));
            return false;
        }
    }
}

/* Takes all results of a statement; the last one, or the first error, counts.  NULL: the connection is lost.
 */
static PGresult *collect(struct database *database)
{
    int64_t until = deadline(database, STATEMENT_MS);
    PGresult *kept = NULL, *next;

    for (;;) {
        if (!await(database, until, true)) {
            PQclear(kept);
            return NULL;
        }
        next = PQgetResult(database->connection);
        if (!next)
            return kept;
        if (kept && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(next);
        } else {
            PQclear(kept);
            kept = next;
        }
    }
}

static bool is_data(const char *state)
{
    return strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 || strncmp(state, "54", 2) == 0;
}

static enum answer judge(struct database *database, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *state;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return ANSWER_OK;
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    note(database, state, PQresultErrorMessage(result));
    if (PQstatus(database->connection) == CONNECTION_BAD || !state) {
        database_close(database);
        return ANSWER_LOST;
    }
    return is_data(state) ? ANSWER_REFUSED : ANSWER_FAILED;
}

static int send_statement(struct database *database, const char *sql, const struct arguments *arguments)
{
    const char *values[ARGUMENTS_MAX];
    int lengths[ARGUMENTS_MAX], formats[ARGUMENTS_MAX];

    if (!arguments)
        return PQsendQuery(database->connection, sql);
    for (int i = 0; i < arguments->count; i++) {
        values[i] = arguments->values[i].bytes;
        lengths[i] = (int)arguments->values[i].len;
        formats[i] = 1;
    }
    return PQsendQueryParams(database->connection, sql, arguments->count, arguments->types, values, lengths,
                             formats, 0);
}

void database_send(struct database *database, const char *sql, const struct arguments *arguments)
{
    if (!database->connection)
        return;
    if (send_statement(database, sql, arguments))
        await(database, deadline(database, STATEMENT_MS), false);
    else
        lose(database, PQerrorMessage(database->connection));
}

enum answer database_receive(struct database *database, PGresult **result)
{
    PGresult *rows = database->connection ? collect(database) : NULL;
    enum answer answer;

    if (!rows)
        return ANSWER_LOST;
    answer = judge(database, rows);
    if (answer == ANSWER_OK && result)
        *result = rows;
    else
        PQclear(rows);
    return answer;
}

enum answer database_run(struct database *database, const char *sql, const struct arguments *arguments,
                         PGresult **result)
{
    database_send(database, sql, arguments);
    return database_receive(database, result);
}
