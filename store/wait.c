#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 1000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 3000
#define SAME_TROUBLE_MS 10000

static int waker[2] = {-1, -1};
static atomic_bool stopping;
static _Atomic int64_t stop_until; /* 0 until somebody noticed */

static void on_signal(int number)
{
    int saved = errno;

    stopping = true;
    if (write(waker[1], "", 1) < 0)
        errno = 0; /* full: it wakes already */
    errno = saved;
}

bool wait_init(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    if (pipe2(waker, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    srandom((unsigned)(getpid() ^ time(NULL)));
    return true;
}

void wait_stop(void)
{
    on_signal(0);
}

bool wait_stopping(void)
{
    return stopping;
}

int64_t wait_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When the grace ends; the first to ask decides. */
static int64_t grace_end(int64_t now)
{
    int64_t until = 0;

    return atomic_compare_exchange_strong(&stop_until, &until, now + GRACE_MS) ? now + GRACE_MS : until;
}

bool wait_poll(struct pollfd *fds, unsigned count, int64_t until)
{
    struct pollfd all[WAIT_FDS_MAX + 1];
    nfds_t n = count;
    int64_t now = wait_now(), grace;
    bool ending = stopping;

    if (ending && until > (grace = grace_end(now)))
        until = grace;
    if (now >= until)
        return false;
    if (count)
        memcpy(all, fds, count * sizeof *fds);
    if (!ending && waker[0] >= 0)
        all[n++] = (struct pollfd){.fd = waker[0], .events = POLLIN};
    if (poll(all, n, (int)(until - now)) < 0)
        for (unsigned i = 0; i < count; i++)
            all[i].revents = 0;
    if (count)
        memcpy(fds, all, count * sizeof *fds);
    return true;
}

bool backoff_fail(struct backoff *backoff)
{
    int64_t now = wait_now(), delay = BACKOFF_FIRST_MS;
    bool is_new;

    if (backoff->failures && now - backoff->failed > SAME_TROUBLE_MS)
        backoff->failures = 0;
    is_new = backoff->failures++ == 0;
    backoff->failed = now;
    for (unsigned i = 1; i < backoff->failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    backoff->due = now + delay / 2 + random() % (delay / 2 + 1);
    return is_new;
}

void backoff_clear(struct backoff *backoff)
{
    *backoff = (struct backoff){0};
}
