#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "wait.h"

#define NOTE_MS 1000

void health_init(struct health *health, const char *path)
{
    *health = (struct health){.path = path};
}

static bool touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool good = fd >= 0 && futimens(fd, NULL) == 0;
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return good;
}

void health_note(struct health *health, struct database *database)
{
    if (!health->path[0] || wait_now() < health->due)
        return;
    health->due = wait_now() + NOTE_MS;
    if (database_run(database, "select 1", NULL, NULL) != ANSWER_OK) {
        database_close(database);
        return;
    }
    if (touch(health->path)) {
        health->told = false;
    } else if (!health->told) {
        log_warn("health_file", "path=%s error=%s", health->path, strerror(errno));
        health->told = true;
    }
}
