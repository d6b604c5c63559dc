#include "stay.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "link.h"
#include "options.h"

static void session_open(void *ctx)
{
    struct stay *stay = ctx;

    link_open(stay->link);
}

static void session_close(void *ctx)
{
    struct stay *stay = ctx;

    link_close(stay->link);
}

static void session_send(void *ctx, const char *bytes, size_t len)
{
    struct stay *stay = ctx;

    link_send(stay->link, bytes, len);
}

/* Time goes on while a laptop sleeps: what is overdue then must be found out. */
static int64_t session_now(void *ctx)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void session_wake(void *ctx, int64_t at)
{
    struct stay *stay = ctx;
    int64_t left = at - session_now(stay);
    struct itimerspec alarm = {0}; /* that is none */

    if (at != 0)
        alarm.it_value = left > 0 ? (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000}
                                  : (struct timespec){.tv_nsec = 1};
    timerfd_settime(stay->clock, 0, &alarm, NULL);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct stay *stay = arg;
    uint64_t times;

    if (read(fd, &times, sizeof times) != sizeof times) /* it was put off in this turn */
        return;
    session_tick(stay->session);
}

static void link_is_open(void *ctx)
{
    struct stay *stay = ctx;

    session_opened(stay->session);
}

static void link_is_lost(void *ctx, const char *why)
{
    struct stay *stay = ctx;

    session_lost(stay->session, why);
}

static void link_line(void *ctx, const char *line, size_t len)
{
    struct stay *stay = ctx;

    session_line(stay->session, line, len);
}

static const struct link_ops link_ops = {link_is_open, link_is_lost, link_line};

/* Standard input may be a file, which epoll does not take. */
static struct event_base *base_create(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config && event_config_require_features(config, EV_FEATURE_FDS) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    return base;
}

bool stay_init(struct stay *stay, const struct options *options, const char *name,
               const struct session_ops *ops, void *owner)
{
    struct session_wish wish = {.name = options->name ? options->name : name,
                                .room = options->room,
                                .password = options->password,
                                .since = options->since,
                                .echo = options->tail};

    *stay = (struct stay){.owner = owner, .ops = *ops};
    stay->clock =
        timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC); /* libevent's timers sleep, too */
    stay->ops.open = session_open;
    stay->ops.close = session_close;
    stay->ops.send = session_send;
    stay->ops.wake = session_wake;
    stay->ops.now = session_now;
    stay->base = base_create();
    if (stay->base) {
        stay->alarm = event_new(stay->base, stay->clock, EV_READ | EV_PERSIST, on_alarm, stay);
        stay->link = link_create(stay->base, options->host, options->port, &link_ops, stay);
        stay->session = session_create(&wish, &stay->ops, stay);
    }
    if (stay->alarm && event_add(stay->alarm, NULL) == 0 && stay->link && stay->session)
        return true;
    stay_finish(stay);
    return false;
}

void stay_finish(struct stay *stay)
{
    session_destroy(stay->session);
    link_destroy(stay->link);
    if (stay->alarm)
        event_free(stay->alarm);
    if (stay->clock >= 0)
        close(stay->clock);
    if (stay->base)
        event_base_free(stay->base);
    *stay = (struct stay){.clock = -1};
}

/* Not event_base_loopbreak(): callbacks of a connection that was closed in this turn wait in it, and hold
 * what they are for, which would never be freed. */
void stay_end(struct stay *stay)
{
    event_base_loopexit(stay->base, NULL);
}

int64_t stay_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
