/* The file by which a health check knows how the store is. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static char path[64];

/* When the file was touched last, in milliseconds; 0: there is none. */
static int64_t touched(void)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return 0;
    return (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

static void await_touch(void)
{
    int64_t before = touched();

    for (int64_t until = clock_now() + 20000; touched() == before; pause_briefly())
        if (clock_now() > until)
            give_up("the file is not touched");
}

/* Waits until the file has not been touched for 3 s. */
static void await_silence(void)
{
    int64_t last = touched(), since = clock_now();

    for (int64_t until = since + 20000; clock_now() - since < 3000; pause_briefly()) {
        if (touched() != last)
            since = clock_now();
        last = touched();
        if (clock_now() > until)
            give_up("the file is touched on and on");
    }
}

static void start_with_file(void)
{
    strcpy(path, "/tmp/hubbub-health-XXXXXX");
    close(mkstemp(path));
    unlink(path);
    setenv("HUBBUB_HEALTH_FILE", path, 1);
    store_start(0);
    unsetenv("HUBBUB_HEALTH_FILE");
    await_touch();
}

static void test_the_file_is_touched_again_and_again_while_both_servers_answer(void **state)
{
    start_with_file();
    await_touch();
    await_touch();
    unlink(path);
}

static void test_the_file_grows_old_while_redis_is_frozen(void **state)
{
    pid_t redis_pid = pid_from("TEST_REDIS_PIDFILE");

    start_with_file();
    kill(redis_pid, SIGSTOP);
    await_silence();
    kill(redis_pid, SIGCONT);
    await_touch();
    unlink(path);
}

static void test_the_file_grows_old_while_postgresql_is_frozen_and_nobody_chats(void **state)
{
    pid_t backend;

    start_with_file();
    backend = (pid_t)atoi(sql("select pid from pg_stat_activity where application_name = 'hubbub-store'"));
    kill(backend, SIGSTOP);
    await_silence();
    kill(backend, SIGCONT);
    await_touch();
    unlink(path);
}

static void test_a_file_that_cannot_be_made_is_told_once_and_the_store_goes_on(void **state)
{
    setenv("HUBBUB_HEALTH_FILE", "/proc/hubbub", 1);
    store_start(0);
    unsetenv("HUBBUB_HEALTH_FILE");
    await_log(0, "event=health_file");
    publish("Alice", "still here");
    await_sql(20, "select count(*) = 1 from history");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_the_file_is_touched_again_and_again_while_both_servers_answer),
        STORE_TEST(test_the_file_grows_old_while_redis_is_frozen),
        STORE_TEST(test_the_file_grows_old_while_postgresql_is_frozen_and_nobody_chats),
        STORE_TEST(test_a_file_that_cannot_be_made_is_told_once_and_the_store_goes_on),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
