/*
 * clock: linked into a store, makes its clock as many seconds ahead as the environment variable CLOCK_AHEAD
 * says.
 */

#include <stdlib.h>
#include <time.h>

time_t time(time_t *at)
{
    const char *ahead = getenv("CLOCK_AHEAD");
    struct timespec real;

    clock_gettime(CLOCK_REALTIME, &real);
    real.tv_sec += ahead ? atol(ahead) : 0;
    if (at)
        *at = real.tv_sec;
    return real.tv_sec;
}
