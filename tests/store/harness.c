#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "functions.h"

#define READY_SECONDS 20

const char *store_path, *migrations_path;
int redis_addresses_used = 1;

static struct {
    pid_t pid;       /* 0: does not run */
    char listen[32]; /* HUBBUB_STORE_LISTEN: "", unless a test has set it */
    char log[64];
} stores[STORES];

static redisContext *redis_context;
static PGconn *connection;
static unsigned next_seq;

void harness_arguments(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s HUBBUB-STORE MIGRATIONS\n", argv[0]);
        exit(2);
    }
    store_path = argv[1];
    migrations_path = argv[2];
}

int64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static char *read_log(int n)
{
    static char text[1 << 20];
    FILE *file = stores[n].log[0] ? fopen(stores[n].log, "re") : NULL;
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;

    if (file)
        fclose(file);
    text[len] = '\0';
    return text;
}

void give_up(const char *why)
{
    for (int n = 0; n < STORES; n++)
        if (stores[n].log[0])
            fprintf(stderr, "--- store %d\n%s", n, read_log(n));
    fail_msg("%s", why);
    abort();
}

/* Servers
 * ------------------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        give_up(name);
    return value;
}

pid_t pid_from(const char *variable)
{
    FILE *file = fopen(environment(variable), "re");
    long pid = 0;

    if (!file || fscanf(file, "%ld", &pid) != 1)
        give_up(variable);
    fclose(file);
    return (pid_t)pid;
}

void redis_reconnect(void)
{
    int64_t until = clock_now() + 20000;

    for (;;) {
        redisReply *reply = NULL;

        if (redis_context)
            redisFree(redis_context);
        redis_context = redisConnect("127.0.0.1", atoi(environment("TEST_REDIS_PORT")));
        if (redis_context && !redis_context->err)
            reply = redisCommand(redis_context, "PING");
        if (reply && reply->type == REDIS_REPLY_STATUS) {
            freeReplyObject(reply);
            return;
        }
        freeReplyObject(reply);
        if (clock_now() > until)
            give_up("Redis does not answer");
        pause_briefly();
    }
}

static redisReply *redis_v(const char *format, va_list arguments)
{
    redisReply *reply;

    if (!redis_context)
        redis_reconnect();
    reply = redisvCommand(redis_context, format, arguments);
    if (!reply)
        give_up(redis_context->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        give_up(reply->str);
    return reply;
}

redisReply *redis(const char *format, ...)
{
    va_list arguments;
    redisReply *reply;

    va_start(arguments, format);
    reply = redis_v(format, arguments);
    va_end(arguments);
    return reply;
}

long long redis_number(const char *format, ...)
{
    va_list arguments;
    redisReply *reply;
    long long number;

    va_start(arguments, format);
    reply = redis_v(format, arguments);
    va_end(arguments);
    number = reply->integer;
    freeReplyObject(reply);
    return number;
}

/* Connects again if a test has killed the server, until the deadline. */
static PGresult *query(const char *text)
{
    int64_t until = clock_now() + 30000;

    for (;;) {
        PGresult *result;

        if (!connection || PQstatus(connection) != CONNECTION_OK) {
            PQfinish(connection);
            connection = PQconnectdb(environment("TEST_POSTGRES_URL"));
        }
        result = PQexec(connection, text);
        if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
            return result;
        if (PQstatus(connection) == CONNECTION_OK || clock_now() > until) {
            fprintf(stderr, "%s\n", text);
            give_up(PQerrorMessage(connection));
        }
        PQclear(result);
        pause_briefly();
    }
}

static const char *first_value(const char *text)
{
    static char value[4096];
    PGresult *result = query(text);

    snprintf(value, sizeof value, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

const char *sql(const char *format, ...)
{
    va_list arguments;
    char text[8192];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return first_value(text);
}

void await_sql(int seconds, const char *format, ...)
{
    int64_t until = clock_now() + seconds * 1000;
    va_list arguments;
    char text[8192];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    while (strcmp(first_value(text), "t") != 0) {
        if (clock_now() > until) {
            fprintf(stderr, "not true: %s\n", text);
            give_up("a condition did not come true");
        }
        pause_briefly();
    }
}

const char *sql_state(const char *url, const char *text)
{
    static char state[8];
    PGconn *other = PQconnectdb(environment(url));
    PGresult *result;

    if (PQstatus(other) != CONNECTION_OK)
        give_up(PQerrorMessage(other));
    result = PQexec(other, text);
    snprintf(state, sizeof state, "%s",
             PQresultStatus(result) == PGRES_FATAL_ERROR ? PQresultErrorField(result, PG_DIAG_SQLSTATE)
                                                         : "00000");
    PQclear(result);
    PQfinish(other);
    return state;
}

/* Stores
 * -------------------------------------------------------------------------------------------------------- */

void store_launch(int n)
{
    char redis_url[512];
    size_t len = 0;
    int log;

    strcpy(stores[n].log, "/tmp/hubbub-store-test-XXXXXX");
    log = mkstemp(stores[n].log);
    if (log < 0)
        give_up("mkstemp");
    for (int i = 0; i < redis_addresses_used; i++)
        len += (size_t)snprintf(redis_url + len, sizeof redis_url - len, "%sredis://127.0.0.1:%s",
                                i ? "," : "", environment("TEST_REDIS_PORT"));
    stores[n].pid = fork();
    if (stores[n].pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(log, STDERR_FILENO);
        close(log);
        setenv("HUBBUB_REDIS_URL", redis_url, 1);
        setenv("HUBBUB_POSTGRES_URL", environment("TEST_POSTGRES_STORE_URL"), 1);
        setenv("HUBBUB_LOG_LEVEL", "debug", 1);
        setenv("HUBBUB_STORE_LISTEN", stores[n].listen, 1);
        execl(store_path, store_path, (char *)NULL);
        _exit(127);
    }
    close(log);
    if (stores[n].pid < 0)
        give_up("fork");
}

void store_listen(int n, int port)
{
    snprintf(stores[n].listen, sizeof stores[n].listen, "127.0.0.1:%d", port);
}

void store_listen_as(int n, int m)
{
    strcpy(stores[n].listen, stores[m].listen);
}

void store_start(int n)
{
    store_launch(n);
    await_log(n, "event=ready");
}

bool store_logged(int n, const char *text)
{
    return strstr(read_log(n), text) != NULL;
}

int store_count(int n, const char *text)
{
    int count = 0;

    for (const char *at = strstr(read_log(n), text); at; at = strstr(at + 1, text))
        count++;
    return count;
}

void await_log(int n, const char *text)
{
    int64_t until = clock_now() + READY_SECONDS * 1000;

    while (!store_logged(n, text)) {
        if (clock_now() > until)
            give_up(text);
        pause_briefly();
    }
}

void store_signal(int n, int number)
{
    kill(stores[n].pid, number);
    if (number == SIGKILL) {
        waitpid(stores[n].pid, NULL, 0);
        stores[n].pid = 0;
    }
}

int store_wait(int n)
{
    int64_t until = clock_now() + 10000;
    int status;

    while (waitpid(stores[n].pid, &status, WNOHANG) == 0) {
        if (clock_now() > until)
            give_up("the store does not end");
        pause_briefly();
    }
    stores[n].pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void end_stores(bool politely)
{
    for (int n = 0; n < STORES; n++) {
        if (stores[n].pid) {
            kill(stores[n].pid, SIGCONT);
            if (politely) {
                kill(stores[n].pid, SIGTERM);
                if (store_wait(n) != 0)
                    give_up("a store did not end with status 0");
            } else {
                store_signal(n, SIGKILL);
            }
        }
        if (stores[n].log[0])
            unlink(stores[n].log);
        stores[n].log[0] = stores[n].listen[0] = '\0';
    }
}

/* A query of a store that was killed goes on until PostgreSQL sees that nobody waits for it. */
static void wait_for_sessions_to_end(void)
{
    sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'hubbub_store'");
    await_sql(20, "select count(*) = 0 from pg_stat_activity where usename = 'hubbub_store'");
}

int harness_setup(void **state)
{
    end_stores(false); /* of a test that failed */
    wait_for_sessions_to_end();
    redis_reconnect();
    freeReplyObject(redis("FLUSHALL"));
    freeReplyObject(redis("FUNCTION FLUSH"));
    sql("truncate messages, users, rooms, sessions, openings, quarantine");
    sql("update cursors set position = 0");
    next_seq = 0;
    return 0;
}

int harness_teardown(void **state)
{
    end_stores(true);
    return 0;
}

/* Entries
 * ------------------------------------------------------------------------------------------------------- */

void add(unsigned lane, const char *id, const char *chain, const char *prev, const char *body)
{
    freeReplyObject(redis("XADD hubbub:{%u}:log %s c %s p %s e %s", lane, id, chain, prev, body));
}

void publish(const char *sender, const char *text)
{
    char body[8192], clock[32], seq[16];
    struct timespec now;

    if (next_seq == 0)
        freeReplyObject(redis("FCALL %s 1 hubbub:{6} t1-00000000 1", FUNCTION("open_link")));
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(clock, sizeof clock, "%lld", (long long)now.tv_sec * 1000);
    snprintf(seq, sizeof seq, "%u", ++next_seq);
    snprintf(body, sizeof body,
             "{\"from\":\"%s\",\"session\":\"t1-00000000-1\",\"room\":\"lobby\",\"text\":\"%s\"}", sender,
             text);
    redisReply *reply = redis("FCALL %s 1 hubbub:{6} t1-00000000 1 %s 0-0 %s r:lobby %s %s",
                              FUNCTION("publish"), seq, clock, "", body);
    if (reply->type != REDIS_REPLY_ARRAY || strcmp(reply->element[0]->str, "OK") != 0)
        give_up("publish was refused");
    freeReplyObject(reply);
}

int64_t id_of(unsigned lane, uint64_t ms, unsigned seq)
{
    return (int64_t)id_make(ms, lane, seq);
}
