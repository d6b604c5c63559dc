#ifndef HUBBUB_STORE_DATABASE_H
#define HUBBUB_STORE_DATABASE_H

/*
 * database: one connection to PostgreSQL, on which no statement takes for ever.
 *
 * A statement that has no answer in time (a frozen server, a cut network) ends the connection: its outcome is
 * unknown, and whoever sent it must find out after the next database_connect.
 */

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "arguments.h"

struct database;

enum answer {
    ANSWER_OK,
    ANSWER_REFUSED, /* the data's fault: SQLSTATE 22, 23, 54 */
    ANSWER_FAILED,  /* not the data's fault, and the connection lives: a lock, a full disk, a missing right */
    ANSWER_LOST,    /* the connection is gone */
};

/* Makes one that is not connected.  `password` may be empty; both strings are copied. */
struct database *database_create(const char *url, const char *password);

/* Closes and frees.  Takes NULL. */
void database_destroy(struct database *database);

/* Connects.  False if that did not work: see database_error. */
bool database_connect(struct database *database);

/* Closes the connection, if there is one. */
void database_close(struct database *database);

/* From now on nothing waits beyond `until` (of wait_now); 0: only as long as a statement may take. */
void database_limit(struct database *database, int64_t until);

/* True if it is connected, as far as can be seen without asking.  Not to be called within a transaction. */
bool database_look(struct database *database);

/* True if it was connected when last used. */
bool database_is_up(const struct database *database);

/*
 * Runs one statement with `arguments` (NULL: none, and then `sql` may be several statements).  On ANSWER_OK
 * the rows, in text form, are in *result if `result` is not NULL, and the caller clears them.
 */
enum answer database_run(struct database *database, const char *sql, const struct arguments *arguments,
                         PGresult **result);

/*
 * The same in two steps, for who has other work meanwhile: sends the statement, whole, and later takes its
 * answer.  Nothing else may be run in between.  If it could not be sent, the answer is ANSWER_LOST.
 */
void database_send(struct database *database, const char *sql, const struct arguments *arguments);
enum answer database_receive(struct database *database, PGresult **result);

/* The SQLSTATE of what was refused or failed last; "" if there is none. */
const char *database_state(const struct database *database);

/* What PostgreSQL said to that, on one line. */
const char *database_error(const struct database *database);

#endif
