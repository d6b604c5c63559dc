#include "thread.h"

#include <signal.h>
#include <time.h>

#include "wait.h"

bool thread_start(pthread_t *id, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(id, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool thread_join(pthread_t id, int64_t until)
{
    int64_t left = until - wait_now();
    struct timespec at;

    if (left < 0)
        left = 0;
    clock_gettime(CLOCK_REALTIME, &at); /* the only clock that this call knows */
    at.tv_sec += (time_t)(left / 1000);
    at.tv_nsec += (long)(left % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return pthread_timedjoin_np(id, NULL, &at) == 0;
}
