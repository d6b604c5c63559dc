#include "ingest.h"

#include <assert.h>
#include <stdlib.h>

#include "health.h"
#include "log.h"
#include "retention.h"
#include "roster.h"
#include "server.h"
#include "wait.h"

#define ROSTER_RETRY_MS 5000
#define ROSTER_EACH_MS 60000

struct ingest {
    const struct settings *settings;
    struct history history;
    struct backoff backoff; /* of the database */
    struct lane lanes[LANES];
    struct server servers[REDIS_SERVERS_MAX];
    size_t server_count;
    struct health health;
    struct retention retention;
    bool is_ready;      /* and was logged */
    int64_t roster_due; /* when Redis' list of accounts is looked at again */
};

static bool init(struct ingest *ingest, const struct settings *settings)
{
    struct redis_address addresses[REDIS_SERVERS_MAX];

    *ingest = (struct ingest){.settings = settings};
    health_init(&ingest->health, settings->health_file);
    retention_init(&ingest->retention, settings->retention_days);
    ingest->server_count = redis_addresses(settings->redis_url, addresses);
    assert(ingest->server_count > 0); /* settings_init has seen to it */
    for (size_t i = 0; i < ingest->server_count; i++)
        ingest->servers[i].link.address = addresses[i];
    for (unsigned n = 0; n < LANES; n++) {
        struct server *server = &ingest->servers[n % ingest->server_count];

        if (!lane_init(&ingest->lanes[n], n))
            return false;
        server->lanes[server->lane_count++] = &ingest->lanes[n];
    }
    return history_init(&ingest->history, settings->postgres_url, settings->postgres_password);
}

static void finish(struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->server_count; i++)
        if (ingest->servers[i].link.context)
            redisFree(ingest->servers[i].link.context);
    for (unsigned n = 0; n < LANES; n++)
        lane_finish(&ingest->lanes[n]);
    history_finish(&ingest->history);
}

/* Connects the database if it is not.  HISTORY_DOWN: not now. */
static enum history_start keep_database(struct ingest *ingest)
{
    event_id cursors[LANES] = {0};
    enum history_start start;

    if (database_is_up(ingest->history.database))
        return HISTORY_UP;
    start = history_connect(&ingest->history, cursors);
    if (start == HISTORY_UP) {
        log_info("postgres_connected", "schema=%d", SCHEMA_VERSION);
        ingest->roster_due = wait_now();
        for (size_t i = 0; i < ingest->server_count; i++)
            server_resume(&ingest->servers[i], cursors);
    }
    return start;
}

/* Sets the time of the next attempt; why it is away is logged once per trouble. */
static void note_loss(struct ingest *ingest)
{
    if (backoff_fail(&ingest->backoff))
        log_warn("postgres_lost", "error=%s", database_error(ingest->history.database));
}

/*
 * Waits until a server answers, or until something is due.  A server is too late if its time was over before
 * it was looked at and nothing is there: storing what another one answered may take long, and is not its
 * fault.
 */
static void wait_for_servers(struct ingest *ingest)
{
    struct pollfd fds[REDIS_SERVERS_MAX];
    struct server *asked[REDIS_SERVERS_MAX];
    int64_t now = wait_now(), until = now + 1000;
    unsigned n = 0;

    for (size_t i = 0; i < ingest->server_count; i++) {
        struct server *server = &ingest->servers[i];
        int64_t due = server->link.context ? server->is_asked ? server->asked_until : server->look_due
                                           : server->link.backoff.due;

        if (due < until)
            until = due;
        if (!server->link.context || !server->is_asked)
            continue;
        fds[n] = (struct pollfd){.fd = server->link.context->fd, .events = POLLIN};
        asked[n++] = server;
    }
    if (!wait_poll(fds, n, until > now ? until : now + 1))
        return; /* it has not looked */
    for (unsigned i = 0; i < n && database_is_up(ingest->history.database) && !wait_stopping(); i++) {
        if (fds[i].revents) {
            server_take(asked[i], &ingest->history);
        } else if (now > asked[i]->asked_until) {
            asked[i]->is_asked = false;
            link_drop(&asked[i]->link, "XREAD was not answered in time");
        }
    }
}

static bool is_ready(const struct ingest *ingest)
{
    for (size_t i = 0; i < ingest->server_count; i++)
        if (!ingest->servers[i].link.context || !ingest->servers[i].was_looked_at)
            return false;
    return true;
}

/*
 * Makes Redis' list of accounts equal to PostgreSQL's: after either was connected again, when a worker has
 * found that it is not or does not know what became of a registration, and each minute, for others may have
 * died.  It must not keep the store from ingesting: what fails is tried again later.
 */
static void keep_roster(struct ingest *ingest, struct server *server)
{
    struct history *history = &ingest->history;
    bool made;

    if (roster_wanted())
        ingest->roster_due = wait_now();
    if (wait_now() < ingest->roster_due || !server->link.context || !database_is_up(history->database))
        return;
    made = roster_renew(history->database, &server->link);
    ingest->roster_due = wait_now() + (made ? ROSTER_EACH_MS : ROSTER_RETRY_MS);
}

/* One turn with the database up. */
static void turn(struct ingest *ingest)
{
    struct database *database = ingest->history.database;

    history_make_months(&ingest->history);
    for (size_t i = 0; i < ingest->server_count && database_is_up(database); i++) {
        struct server *server = &ingest->servers[i];
        bool was_connected = server->link.context != NULL;

        if (!server_connect(server, ingest->settings->redis_password) || server->is_asked)
            continue;
        if (i == 0 && !was_connected)
            ingest->roster_due = wait_now();
        if (wait_now() >= server->look_due)
            server_look(server, &ingest->history);
        if (i == 0) /* lane 0's */
            keep_roster(ingest, server);
        if (database_is_up(database) && server->link.context && !wait_stopping())
            server_ask(server);
    }
    if (database_is_up(database) && is_ready(ingest))
        health_note(&ingest->health, database);
    if (database_is_up(database) && is_ready(ingest))
        retention_run(&ingest->retention, &ingest->history, ingest->servers, ingest->server_count);
    if (!ingest->is_ready && database_is_up(database) && is_ready(ingest)) {
        log_info("ready", "servers=%zu lanes=%d", ingest->server_count, LANES);
        ingest->is_ready = true;
    }
    if (database_is_up(database) && !wait_stopping())
        wait_for_servers(ingest);
}

int ingest_run(const struct settings *settings)
{
    static struct ingest ingest;
    enum history_start start;
    int status = 0;

    if (!init(&ingest, settings)) {
        log_error("no_memory", "lanes=%d", LANES);
        finish(&ingest);
        return 1;
    }
    while (!wait_stopping()) {
        if (wait_now() < ingest.backoff.due && !database_is_up(ingest.history.database)) {
            wait_poll(NULL, 0, ingest.backoff.due);
            continue;
        }
        start = keep_database(&ingest);
        if (start == HISTORY_WRONG) {
            status = 1;
            break;
        }
        if (start == HISTORY_UP)
            turn(&ingest);
        if (!database_is_up(ingest.history.database))
            note_loss(&ingest);
    }
    finish(&ingest);
    return status;
}
