/*
 * clock: linked into a client, makes the clock that goes on while a machine sleeps as many microseconds ahead
 * as the file CLOCK_FILE says: eight bytes that may change at any time.  The others stay as they are, as they
 * do in a sleep.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *slept;

__attribute__((constructor)) static void map_slept(void)
{
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *slept, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (mapped == MAP_FAILED)
        abort();
    slept = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t us;

    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if (clock != CLOCK_BOOTTIME || !slept) /* a sanitizer asks before there are constructors */
        return 0;
    us = (int64_t)now->tv_sec * 1000000 + now->tv_nsec / 1000 + *slept;
    now->tv_sec = us / 1000000;
    now->tv_nsec = us % 1000000 * 1000;
    return 0;
}
