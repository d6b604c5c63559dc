#include "worker.h"

#include <stdlib.h>

#include "log.h"

/* An answer that comes after the gateway has given up is of no use: the server need not go on either. */
static const char set_up[] = "set statement_timeout = '5s'";

json_t *ask_error(const char *code)
{
    json_t *answer = json_pack("{s:s}", "error", code);

    if (!answer)
        abort();
    return answer;
}

bool worker_init(struct worker *worker, const struct settings *settings, struct accounts *accounts)
{
    struct redis_address addresses[REDIS_SERVERS_MAX];

    *worker =
        (struct worker){.settings = settings,
                        .database = database_create(settings->postgres_url, settings->postgres_password),
                        .accounts = accounts};
    redis_addresses(settings->redis_url, addresses); /* lane 0 lives on the first */
    worker->link.address = addresses[0];
    return worker->database != NULL;
}

void worker_finish(struct worker *worker)
{
    link_close(&worker->link);
    database_destroy(worker->database);
}

bool worker_reach_database(struct worker *worker)
{
    struct database *database = worker->database;

    if (database_is_up(database) && database_look(database))
        return true;
    if (wait_now() < worker->backoff.due)
        return false;
    if (database_connect(database) && database_run(database, set_up, NULL, NULL) == ANSWER_OK) {
        backoff_clear(&worker->backoff);
        return true;
    }
    database_close(database);
    if (backoff_fail(&worker->backoff))
        log_debug("worker_without_postgres", "error=%s",
                  database_error(database)); /* ingest says it louder */
    return false;
}

bool worker_reach_redis(struct worker *worker)
{
    if (link_look(&worker->link))
        return true;
    return wait_now() >= worker->link.backoff.due &&
           link_join(&worker->link, worker->settings->redis_password);
}
