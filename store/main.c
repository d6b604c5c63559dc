/*
 * hubbub-store: writes every event from the log in Redis into PostgreSQL, and answers what gateways ask.
 *
 * main knows the order of start and stop, and the settings; the work is done in ingest.c and, in threads of
 * their own, behind requests.c.
 */

#include <stdio.h>
#include <unistd.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <sodium.h>

#include "command.h"
#include "ingest.h"
#include "log.h"
#include "requests.h"
#include "settings.h"
#include "wait.h"

#define END_MS 1200 /* what is under way when it is told to end may take so long */

/* Runs everything until it is told to end; the exit status. */
static int run(const struct settings *settings)
{
    struct requests *requests = NULL;
    int status = 1;

    if (!wait_init())
        return 1;
    json_object_seed(0); /* now, while there is one thread */
    log_info("started", "version=%s", HUBBUB_VERSION);
    if (settings->store_listen[0])
        requests = requests_start(settings);
    if (requests || !settings->store_listen[0])
        status = ingest_run(settings);
    wait_stop(); /* the others, should it have ended by itself */
    if (!requests_stop(requests, wait_now() + END_MS)) {
        log_warn("ended", "status=%d reason=%s", status, "a thread was stuck");
        _exit(status);
    }
    log_info("ended", "status=%d", status);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings;
    enum log_level level;
    char error[512], *wrong = NULL;
    PQconninfoOption *uri;
    int status;

    status = command_is(argc, argv) ? command_arguments(argc) : settings_arguments(PROGRAM_STORE, argc, argv);
    if (status >= 0)
        return status;
    if (!settings_init(&settings, environ, error, sizeof error)) {
        fprintf(stderr, "hubbub-store: %s\n", error);
        return 2;
    }
    uri = PQconninfoParse(settings.postgres_url, &wrong);
    if (!uri) {
        fprintf(stderr, "hubbub-store: HUBBUB_POSTGRES_URL=%s: %s", settings.postgres_url,
                wrong ? wrong : "out of memory\n");
        PQfreemem(wrong);
        settings_finish(&settings);
        return 2;
    }
    PQconninfoFree(uri);
    if (log_level_parse(settings.log_level, &level))
        log_set_level(level);
    if (sodium_init() < 0)
        status = 1;
    else if (argc > 1)
        status = command_run(argv, &settings);
    else
        status = run(&settings);
    settings_finish(&settings);
    return status;
}
