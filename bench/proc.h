#ifndef BENCH_PROC_H
#define BENCH_PROC_H

/*
 * proc: what a process has used so far, as the kernel tells it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct usage {
    uint64_t cpu_ns;       /* of all threads, those that have ended too; to the nanosecond */
    uint64_t user, system; /* the same in clock ticks of 10 ms: good for nothing but their ratio */
    uint64_t writes;       /* calls of write and writev; send and sendmsg are not counted by the kernel */
    uint64_t sleeps;       /* how often its first thread has waited for something */
};

struct memory {
    uint64_t rss;     /* KiB */
    uint64_t written; /* bytes, in all its calls of write and writev so far */
};

/* False: there is no such process, or it is not ours to look at. */
bool proc_usage(pid_t pid, struct usage *usage);
bool proc_memory(pid_t pid, struct memory *memory);

/* The microseconds of CPU between two readings, divided into user and system as the ticks are. */
void usage_between(const struct usage *from, const struct usage *to, double *user, double *system);

#endif
