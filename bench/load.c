/*
 * bench-load: many clients that chat with each other through a server, and what that costs it.
 *
 * It connects rooms x members clients, lets the first of each room say things, waits for each chat at each
 * receiver, and tells in one JSON object what the processes that it watches have used meanwhile.  See usage()
 * for the options.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define WINDOWS_MAX 32

enum moment { BEFORE, JOINED, END, MOMENTS };

static const char usage_text[] =
    "usage: bench-load --dialect json|line|irc|nats|raw --connect ADDRESS:PORT[,ADDRESS:PORT...]\n"
    "    --rooms 1 --members 100    so many clients in each room\n"
    "    --senders 1                so many of them say something\n"
    "    --bytes 64                 length of a text\n"
    "    --windows 1,8,64           closed loop: a run for each, with so many chats under way in each room\n"
    "    --rate N                   open loop instead: so many chats a second in all\n"
    "    --seconds 2                of a run; 0: joins only\n"
    "    --chats N                  a run ends after so many chats instead\n"
    "    --warm-up 0.3              seconds before a run\n"
    "    --complete delivered       when a chat makes place in the window for the next one; or `acked` "
    "(json)\n"
    "    --name b                   what the names of clients and rooms begin with\n"
    "    --joining 200              so many clients connect and join at once\n"
    "    --poll                     look for what has come every 50 us: no server pays for waking us\n"
    "    --watch NAME=PID,...       processes whose CPU time and memory are of interest\n";

struct options {
    struct clients clients;
    struct run run; /* what all runs have in common */
    uint32_t windows[WINDOWS_MAX];
    size_t window_count;
    struct watched watched[WATCHED_MAX];
    struct memory memory[WATCHED_MAX][MOMENTS];
};

static _Noreturn void usage(void)
{
    fputs(usage_text, stderr);
    exit(2);
}

static double number(const char *option, const char *value, double min, double max)
{
    char *end;
    double parsed = strtod(value, &end);

    if (end == value || *end != '\0' || !(parsed >= min && parsed <= max))
        give_up("--%s %s: give a number from %g to %g", option, value, min, max);
    return parsed;
}

static void add_target(struct options *options, char *value)
{
    struct clients *clients = &options->clients;
    struct sockaddr_in *target = &clients->targets[clients->target_count];
    char *colon = strchr(value, ':');

    if (clients->target_count == TARGETS_MAX)
        give_up("--connect: give at most %d", TARGETS_MAX);
    if (colon != NULL)
        *colon = '\0';
    target->sin_family = AF_INET;
    if (colon == NULL || inet_pton(AF_INET, value, &target->sin_addr) != 1)
        give_up("--connect: give numeric addresses, as in 127.0.0.1:7000");
    target->sin_port = htons((uint16_t)number("connect", colon + 1, 1, 65535));
    clients->target_count++;
}

static void add_window(struct options *options, char *value)
{
    if (options->window_count == WINDOWS_MAX)
        give_up("--windows: give at most %d", WINDOWS_MAX);
    options->windows[options->window_count++] = (uint32_t)number("windows", value, 1, 65536);
}

static void add_watched(struct options *options, char *value)
{
    struct watched *watched = &options->watched[options->run.watched_count];
    char *equals = strchr(value, '=');

    if (equals == NULL || options->run.watched_count == WATCHED_MAX - 1)
        give_up("--watch: give at most %d as NAME=PID", WATCHED_MAX - 1);
    *equals = '\0';
    watched->name = value;
    watched->pid = (pid_t)number("watch", equals + 1, 1, 1 << 30);
    options->run.watched_count++;
}

static void each(struct options *options, char *list, void (*add)(struct options *options, char *value))
{
    char *rest = list, *value;

    while ((value = strsep(&rest, ",")) != NULL)
        add(options, value);
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"dialect", required_argument, NULL, 'd'},
        {"connect", required_argument, NULL, 'c'},
        {"rooms", required_argument, NULL, 'r'},
        {"members", required_argument, NULL, 'm'},
        {"senders", required_argument, NULL, 's'},
        {"bytes", required_argument, NULL, 'b'},
        {"windows", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'R'},
        {"seconds", required_argument, NULL, 't'},
        {"chats", required_argument, NULL, 'n'},
        {"warm-up", required_argument, NULL, 'u'},
        {"complete", required_argument, NULL, 'C'},
        {"name", required_argument, NULL, 'N'},
        {"watch", required_argument, NULL, 'W'},
        {"joining", required_argument, NULL, 'j'},
        {"poll", no_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    struct clients *clients = &options->clients;
    struct run *run = &options->run;
    int index, option;

    while ((option = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = option == '?' ? "" : known[index].name;

        switch (option) {
        case 'd':
            clients->speech = speech_find(optarg);
            break;
        case 'c':
            each(options, optarg, add_target);
            break;
        case 'r':
            clients->rooms = (uint32_t)number(name, optarg, 1, 1000000);
            break;
        case 'm':
            clients->members = (uint32_t)number(name, optarg, 1, 1000000);
            break;
        case 's':
            run->senders = (uint32_t)number(name, optarg, 1, 1000000);
            break;
        case 'b':
            run->bytes = (size_t)number(name, optarg, NUMBER_LEN, 65536);
            break;
        case 'w':
            each(options, optarg, add_window);
            break;
        case 'R':
            run->rate = number(name, optarg, 0.001, 1e9);
            break;
        case 't':
            run->seconds = number(name, optarg, 0, 86400);
            break;
        case 'n':
            run->chats_max = (uint64_t)number(name, optarg, 1, 1e15);
            break;
        case 'u':
            run->warm_up = number(name, optarg, 0, 3600);
            break;
        case 'C':
            run->acked = strcmp(optarg, "acked") == 0;
            if (!run->acked && strcmp(optarg, "delivered") != 0)
                usage();
            break;
        case 'N':
            clients->prefix = optarg;
            break;
        case 'j':
            clients->joining_max = (size_t)number(name, optarg, 1, 1000000);
            break;
        case 'p':
            run->polls = true;
            break;
        case 'W':
            each(options, optarg, add_watched);
            break;
        default:
            usage();
        }
    }
    if (optind < argc)
        usage();
}

static void check(struct options *options)
{
    struct clients *clients = &options->clients;
    struct run *run = &options->run;

    if (clients->speech == NULL || clients->target_count == 0)
        usage();
    if (run->acked && clients->speech->acked_chat == NULL)
        give_up("--complete acked: there are no acknowledgements in %s", clients->speech->name);
    if (run->senders > clients->members)
        give_up("--senders %u: there are %u members", run->senders, clients->members);
    if (clients->members == 1 && !run->acked && run->seconds > 0)
        give_up("--members 1: nobody would hear a chat");
    if (strchr(clients->prefix, '~') != NULL || strlen(clients->prefix) > 32)
        give_up("--name: at most 32 characters, no ~");
    if (run->rate > 0 && options->window_count > 0)
        give_up("--rate and --windows: give one of them");
    if (run->rate == 0 && options->window_count == 0) {
        static const uint32_t windows[] = {1, 8, 64};

        memcpy(options->windows, windows, sizeof windows);
        options->window_count = 3;
    }
    options->watched[run->watched_count].name = "load";
    options->watched[run->watched_count++].pid = getpid();
    run->watched = options->watched;
}

static void look_at_memory(struct options *options, enum moment moment)
{
    for (size_t i = 0; i < options->run.watched_count; i++)
        if (!proc_memory(options->watched[i].pid, &options->memory[i][moment]))
            give_up("%s: nothing is known of the process %d", options->watched[i].name,
                    (int)options->watched[i].pid);
}

static void print_cpu(const struct run *run)
{
    printf("\"cpu\":{");
    for (size_t i = 0; i < run->watched_count; i++) {
        double user, system;

        usage_between(&run->before[i], &run->after[i], &user, &system);
        printf("%s\"%s\":{\"user\":%.0f,\"system\":%.0f,\"writes\":%llu,\"sleeps\":%llu}", i == 0 ? "" : ",",
               run->watched[i].name, user, system,
               (unsigned long long)(run->after[i].writes - run->before[i].writes),
               (unsigned long long)(run->after[i].sleeps - run->before[i].sleeps));
    }
    printf("}");
}

static void print_run(const struct run *run)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

    if (run->window > 0)
        printf("{\"window\":%u,\"rate\":null,", run->window);
    else
        printf("{\"window\":null,\"rate\":%g,", run->rate);
    printf("\"seconds\":%.6f,\"chats\":%llu,\"deliveries\":%llu,\"acks\":%llu,\"missing\":%llu,\"strange\":%"
           "llu,",
           run->took, (unsigned long long)run->chats, (unsigned long long)run->deliveries,
           (unsigned long long)run->acks, (unsigned long long)run->missing, (unsigned long long)run->strange);
    print_cpu(run);
    printf(",\"latency_us\":{");
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        printf("%s\"%s\":%.1f", i == 0 ? "" : ",", shares[i].name,
               (double)histogram_value(&run->latency, shares[i].share) / 1000);
    printf("}}");
}

static void print_memory(const struct options *options)
{
    static const char *const moments[MOMENTS] = {"before", "joined", "end"};

    printf("\"memory\":{");
    for (size_t i = 0; i < options->run.watched_count; i++) {
        printf("%s\"%s\":{", i == 0 ? "" : ",", options->watched[i].name);
        for (int moment = BEFORE; moment < MOMENTS; moment++)
            printf("\"%s\":%llu,\"written_%s\":%llu%s", moments[moment],
                   (unsigned long long)options->memory[i][moment].rss, moments[moment],
                   (unsigned long long)options->memory[i][moment].written, moment + 1 < MOMENTS ? "," : "}");
    }
    printf("}");
}

static void print_head(const struct options *options, double join_seconds)
{
    const struct clients *clients = &options->clients;

    printf("{\"dialect\":\"%s\",\"rooms\":%u,\"members\":%u,\"clients\":%zu,\"join_seconds\":%.6f,",
           clients->speech->name, clients->rooms, clients->members, clients->count, join_seconds);
    print_memory(options);
    printf(",\"runs\":[");
}

int main(int argc, char **argv)
{
    static struct options options = {
        .clients = {.prefix = "b", .rooms = 1, .members = 100, .joining_max = 200},
        .run = {.senders = 1, .bytes = 64, .seconds = 2, .warm_up = 0.3},
    };
    static struct run runs[WINDOWS_MAX];
    size_t count;
    double join_seconds;
    bool good = true;

    parse(&options, argc, argv);
    check(&options);
    look_at_memory(&options, BEFORE);
    join_seconds = clients_join(&options.clients);
    look_at_memory(&options, JOINED);
    count = options.run.seconds == 0 && options.run.chats_max == 0 ? 0
            : options.run.rate > 0                                 ? 1
                                                                   : options.window_count;
    for (size_t i = 0; i < count && good; i++) {
        runs[i] = options.run;
        runs[i].window = options.windows[i];
        run_run(&runs[i], &options.clients);
        good = runs[i].missing == 0 && runs[i].strange == 0;
        if (!good) {
            fprintf(stderr, "bench-load: %llu receptions are missing, %llu are strange\n",
                    (unsigned long long)runs[i].missing, (unsigned long long)runs[i].strange);
            count = i + 1;
        }
    }
    look_at_memory(&options, END);
    print_head(&options, join_seconds);
    for (size_t i = 0; i < count; i++) {
        printf("%s", i == 0 ? "" : ",");
        print_run(&runs[i]);
    }
    puts("]}");
    clients_finish(&options.clients);
    return good ? 0 : 1;
}
