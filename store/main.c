/*
 * hubbub-store: writes every event from the log in Redis into PostgreSQL.
 *
 * main knows the order of start and stop, and the settings; the work is done in ingest.c.
 */

#include <stdio.h>

#include <libpq-fe.h>

#include "ingest.h"
#include "log.h"
#include "settings.h"
#include "wait.h"

extern char **environ;

int main(int argc, char **argv)
{
    struct settings settings;
    enum log_level level;
    char error[512], *wrong = NULL;
    PQconninfoOption *uri;
    int status;

    status = settings_arguments(PROGRAM_STORE, argc, argv);
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
    status = 1;
    if (wait_init()) {
        log_info("started", "version=%s", HUBBUB_VERSION);
        status = ingest_run(&settings);
        log_info("ended", "status=%d", status);
    }
    settings_finish(&settings);
    return status;
}
