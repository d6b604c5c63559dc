#include "proc.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reads a file of /proc as a string; false if it cannot be read. */
static bool slurp(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    FILE *file;
    size_t len;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return len > 0;
}

/* The number behind `name` in text of the form "name: number". */
static bool number_after(const char *text, const char *name, uint64_t *number)
{
    unsigned long long value;
    const char *found = strstr(text, name);

    if (found == NULL || sscanf(found + strlen(name), "%llu", &value) != 1) /* NOLINT(cert-err34-c) */
        return false;
    *number = value;
    return true;
}

bool proc_usage(pid_t pid, struct usage *usage)
{
    char text[8192];
    const char *behind; /* the name of the program, which may hold anything */
    unsigned long long user, system;
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return false;
    usage->cpu_ns = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
    if (!slurp(pid, "stat", text, sizeof text) || (behind = strrchr(text, ')')) == NULL)
        return false;
    if (sscanf(behind, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return false;
    usage->user = user;
    usage->system = system;
    return slurp(pid, "io", text, sizeof text) && number_after(text, "syscw: ", &usage->writes) &&
           slurp(pid, "status", text, sizeof text) &&
           number_after(text, "\nvoluntary_ctxt_switches:", &usage->sleeps);
}

bool proc_memory(pid_t pid, struct memory *memory)
{
    char text[8192];

    return slurp(pid, "status", text, sizeof text) && number_after(text, "VmRSS:", &memory->rss) &&
           slurp(pid, "io", text, sizeof text) && number_after(text, "wchar: ", &memory->written);
}

void usage_between(const struct usage *from, const struct usage *to, double *user, double *system)
{
    double all = (double)(to->cpu_ns - from->cpu_ns) / 1000;
    double ticks = (double)(to->user - from->user + to->system - from->system);

    *user = ticks > 0 ? all * (double)(to->user - from->user) / ticks : all;
    *system = all - *user;
}
