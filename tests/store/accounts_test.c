/* Accounts: log-in and registration over the store's port, and the two lists of accounts that must stay one.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "asker.h"
#include "attempts.h"
#include "functions.h"

#define PASSWORD "correct horse battery"
#define SESSION "g1-a-1"

static struct asker asker, other;

/* So that what an attempt costs, also with sanitizers, is little against the ten seconds of the limits. */
static void cheap(void)
{
    setenv("HUBBUB_PASSWORD_MEMORY", "8", 1);
    setenv("HUBBUB_PASSWORD_OPS", "1", 1);
}

static void start(void)
{
    asker_start_store(0);
    asker_open(&asker, 0);
}

/* The name's session, as `claim` leaves it. */
static void hold(const char *name, const char *session)
{
    freeReplyObject(redis("EVAL %s 0 %s %s",
                          "redis.call('HSET', 'hubbub:{0}:names', ARGV[1], 'g1-a ' .. ARGV[2] .. ' -')", name,
                          session));
}

static const char *log_in_from(const char *address, const char *name, const char *password)
{
    return asker_ask(&asker,
                     "{\"id\":1,\"ask\":\"log-in\",\"name\":\"%s\",\"password\":\"%s\",\"address\":\"%s\"}",
                     name, password, address);
}

static const char *log_in(const char *name, const char *password)
{
    return log_in_from("192.0.2.1", name, password);
}

static const char *registers_from = "192.0.2.7";

/* The request of a registration; `old` may be "". */
static const char *registration(const char *name, const char *session, const char *password, const char *old)
{
    static char text[1024];

    snprintf(
        text, sizeof text,
        "{\"id\":2,\"ask\":\"register\",\"name\":\"%s\",\"shown\":\"%s\",\"session\":\"%s\",\"password\":"
        "\"%s\",\"address\":\"%s\"%s%s%s}",
        name, name, session, password, registers_from, *old ? ",\"old\":\"" : "", old, *old ? "\"" : "");
    return text;
}

static const char *enrol(const char *name, const char *password, const char *old)
{
    return asker_ask(&asker, "%s", registration(name, SESSION, password, old));
}

static void expect(const char *line, const char *part)
{
    if (!strstr(line, part)) {
        fprintf(stderr, "not in %s: %s\n", line, part);
        give_up("another answer");
    }
}

/* What Redis' list has for the name; "" if it is not in it. */
static const char *listed(const char *name)
{
    static char number[32];
    redisReply *reply = redis("HGET hubbub:{0}:accounts %s", name);

    snprintf(number, sizeof number, "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
    freeReplyObject(reply);
    return number;
}

static void await_listed(const char *name, const char *wanted)
{
    for (int64_t until = clock_now() + 10000; strcmp(listed(name), wanted) != 0; pause_briefly())
        if (clock_now() > until)
            give_up("the list in Redis is another");
}

static void make_account(const char *name)
{
    hold(name, SESSION);
    expect(enrol(name, PASSWORD, ""), "\"ok\":true");
}

static void test_a_name_becomes_an_account_and_logs_in(void **state)
{
    char number[32], wanted[96];

    start();
    hold("alice", SESSION);
    expect(enrol("alice", PASSWORD, ""), "\"account\":\"");
    snprintf(number, sizeof number, "%s", sql("select account from users where name_key = 'alice'"));
    assert_string_equal(listed("alice"), number);
    assert_string_equal(sql("select registered_at is not null and starts_with(password_hash, '$argon2id$')"
                            " from users where name_key = 'alice'"),
                        "t");
    snprintf(wanted, sizeof wanted, "\"account\":\"%s\",\"unread\":0,\"stored\":\"", number);
    expect(log_in("alice", PASSWORD), wanted);
    expect(log_in("alice", "another password"), "auth-failed");
    await_log(0, "event=login_refused name=alice address=192.0.2.1 reason=auth-failed more=0");
    expect(log_in("bob", PASSWORD), "auth-failed");
    asker_close(&asker);
}

static void test_a_log_in_tells_how_many_directs_are_not_read(void **state)
{
    start();
    make_account("alice");
    sql("insert into messages (id, prev, recipient_id, sender_id, text, recipient_holder, is_read)"
        " select id_at(now()) + n, 0, id, id, 'hi', case n when 1 then 'g1-a-0' else 'a:' || account end, n "
        "= 2"
        " from users, generate_series(1, 5) n where name_key = 'alice'");
    expect(log_in("alice", PASSWORD), "\"unread\":3");
    asker_close(&asker);
}

static void test_registering_again_with_the_same_password_is_a_retry(void **state)
{
    char first[256];

    start();
    hold("alice", SESSION);
    snprintf(first, sizeof first, "%s", enrol("alice", PASSWORD, ""));
    assert_string_equal(enrol("alice", PASSWORD, ""), first);
    expect(enrol("alice", "another password", ""), "auth-failed");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

static void test_a_password_changes_with_the_old_one(void **state)
{
    char number[32];

    start();
    make_account("alice");
    snprintf(number, sizeof number, "%s", listed("alice"));
    expect(enrol("alice", "a new password", "not the old one"), "auth-failed");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    expect(enrol("alice", "a new password", PASSWORD), "\"ok\":true");
    expect(enrol("alice", "a new password", PASSWORD), "\"ok\":true"); /* its answer was lost */
    expect(log_in("alice", PASSWORD), "auth-failed");
    expect(log_in("alice", "a new password"), "\"ok\":true");
    assert_string_equal(listed("alice"), number);
    asker_close(&asker);
}

static void test_a_session_that_does_not_hold_the_name_registers_nothing(void **state)
{
    start();
    expect(enrol("alice", PASSWORD, ""), "unavailable");
    hold("alice", "g2-b-9");
    expect(enrol("alice", PASSWORD, ""), "unavailable");
    assert_string_equal(listed("alice"), "");
    assert_int_equal(redis_number("HEXISTS hubbub:{0}:names alice"), 1); /* the guest goes on */
    assert_string_equal(sql("select count(*) from users where account is not null"), "0");
    assert_string_equal(sql("select count(*) from pg_stat_activity where state like 'idle in%%'"), "0");
    asker_close(&asker);
}

static void test_two_stores_at_once_make_one_account(void **state)
{
    static char first[256];

    asker_start_store(0);
    asker_start_store(1);
    asker_open(&asker, 0);
    asker_open(&other, 1);
    for (int i = 0; i < 5; i++) {
        char name[16];

        snprintf(name, sizeof name, "alice%d", i);
        hold(name, SESSION);
        asker_send(&asker, "%s", registration(name, SESSION, PASSWORD, ""));
        asker_send(&other, "%s", registration(name, SESSION, PASSWORD, ""));
        snprintf(first, sizeof first, "%s", asker_line(&asker));
        expect(first, "\"ok\":true");
        assert_string_equal(asker_line(&other), first);
        assert_string_equal(sql("select account from users where name_key = '%s'", name), listed(name));
    }
    asker_close(&asker);
    asker_close(&other);
}

/* Uses up all guesses at alice that there are for those from whom she has never logged in. */
static void exhaust(void)
{
    char address[32] = "198.51.100.0";

    for (int i = 0; !strstr(log_in_from(address, "alice", "a wrong guess"), "rate-limited"); i++) {
        if (i > 300)
            give_up("there is no limit");
        snprintf(address, sizeof address, "198.51.100.%d", i / 9);
    }
}

static void
test_who_guesses_from_many_addresses_is_limited_and_keeps_the_owner_out_of_none_of_his(void **state)
{
    start();
    make_account("alice");
    make_account("bob");
    expect(log_in_from("2001:db8::1", "alice", PASSWORD), "\"ok\":true");
    exhaust();
    expect(log_in_from("2001:db8::2", "alice", PASSWORD), "\"ok\":true"); /* of the same /64 */
    expect(log_in_from("2001:db8::2", "alice", "a wrong guess"), "auth-failed");
    expect(log_in_from("198.51.100.200", "bob", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

static void test_failures_from_one_address_do_not_limit_another(void **state)
{
    start();
    make_account("alice");
    for (int i = 0; i < 10; i++)
        expect(log_in_from("198.51.100.1", "alice", "a wrong guess"), "auth-failed");
    expect(log_in_from("198.51.100.1", "alice", PASSWORD), "rate-limited");
    expect(log_in_from("203.0.113.1", "alice", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

static void test_what_strangers_guess_keeps_nobody_from_registering_the_name_he_has(void **state)
{
    start();
    exhaust(); /* there is no such account yet */
    hold("alice", SESSION);
    expect(asker_ask(&asker, "%s", registration("alice", "g1-a-11", PASSWORD, "")), "rate-limited");
    expect(enrol("alice", PASSWORD, ""), "\"ok\":true");
    expect(enrol("alice", "the next " PASSWORD, PASSWORD), "\"ok\":true");
    registers_from = "198.51.100.99";
    for (int i = 0; i < 10; i++)
        expect(enrol("alice", PASSWORD, "a wrong guess"), "auth-failed");
    expect(enrol("alice", PASSWORD, "a wrong guess"), "rate-limited"); /* the address */
    registers_from = "192.0.2.7";
    asker_close(&asker);
}

static void test_failed_log_ins_are_limited_per_address(void **state)
{
    char name[32];

    start();
    make_account("alice");
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "nobody%d", i);
        expect(log_in_from(i % 2 ? "2001:db8::1" : "2001:db8::2", name, "a wrong guess"), "auth-failed");
    }
    expect(log_in_from("2001:db8::3", "alice", PASSWORD), "rate-limited");
    expect(log_in_from("2001:db8:0:1::3", "alice", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

static void test_successes_cost_nothing_and_give_nothing_back(void **state)
{
    start();
    make_account("alice");
    for (int i = 0; i < 9; i++)
        expect(log_in("alice", "a wrong guess"), "auth-failed");
    for (int i = 0; i < 12; i++)
        expect(log_in("alice", PASSWORD), "\"ok\":true");
    expect(log_in("alice", "a wrong guess"), "auth-failed");
    expect(log_in("alice", PASSWORD), "rate-limited");
    asker_close(&asker);
}

static bool take(struct attempts *attempts, const char *address, const char *name, int64_t now)
{
    struct attempt attempt;

    return attempts_take(attempts, address, name, now, &attempt);
}

static void test_an_address_gets_an_attempt_back_after_ten_seconds(void **state)
{
    struct attempts *attempts = attempts_create();
    struct attempt attempt;

    for (int i = 0; i < 10; i++)
        assert_true(take(attempts, "192.0.2.1", "alice", 1000));
    assert_false(take(attempts, "192.0.2.1", "bob", 10999));
    assert_false(take(attempts, "::ffff:192.0.2.1", "bob", 10999));
    assert_true(take(attempts, "192.0.2.2", "alice", 10999));
    assert_true(attempts_take(attempts, "192.0.2.1", "bob", 11000, &attempt));
    assert_false(take(attempts, "192.0.2.1", "bob", 11000));
    attempts_return(attempts, &attempt);
    assert_true(take(attempts, "192.0.2.1", "carol", 11000));
    attempts_destroy(attempts);
}

static void test_a_name_has_100_attempts_of_strangers_and_gets_one_back_each_second(void **state)
{
    struct attempts *attempts = attempts_create();
    struct attempt attempt;
    char address[32];

    attempts_know(attempts, "2001:db8::1", "alice", 1000);
    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof address, "10.0.0.%d", i);
        assert_true(take(attempts, address, "alice", 1000));
    }
    assert_false(take(attempts, "192.0.2.1", "alice", 1999));
    assert_true(take(attempts, "192.0.2.1", NULL, 1999)); /* of an address, too, none was taken */
    assert_true(take(attempts, "192.0.2.1", "bob", 1999));
    assert_true(attempts_take(attempts, "192.0.2.1", "alice", 2000, &attempt));
    assert_false(take(attempts, "192.0.2.1", "alice", 2000));
    for (int i = 0; i < 10; i++) /* who is known takes none of the strangers' */
        assert_true(take(attempts, "2001:db8::2", "alice", 2000));
    assert_false(take(attempts, "2001:db8::2", "alice", 2000));
    attempts_return(attempts, &attempt);
    assert_true(take(attempts, "192.0.2.1", "alice", 2000));
    attempts_destroy(attempts);
}

static void test_an_address_is_known_for_an_hour_after_the_last_log_in(void **state)
{
    struct attempts *attempts = attempts_create();
    char address[32];

    attempts_know(attempts, "192.0.2.1", "alice", 0);
    attempts_know(attempts, "192.0.2.2", "alice", 0);
    attempts_know(attempts, "192.0.2.1", "alice", 1000);
    for (int i = 0; i < 110; i++) {
        snprintf(address, sizeof address, "10.0.0.%d", i);
        take(attempts, address, "alice", 3600000);
    }
    assert_false(take(attempts, "192.0.2.2", "alice", 3600000));
    assert_true(take(attempts, "192.0.2.1", "alice", 3600000));
    take(attempts, "10.0.1.1", "alice", 3601000); /* the one that came back */
    assert_false(take(attempts, "192.0.2.1", "alice", 3601000));
    attempts_destroy(attempts);
}

static void test_who_has_all_attempts_again_is_not_remembered(void **state)
{
    struct attempts *attempts = attempts_create();
    char address[32], name[32];

    for (int i = 0; i < 10000; i++) {
        snprintf(address, sizeof address, "10.0.%d.%d", i / 256, i % 256);
        snprintf(name, sizeof name, "name%d", i);
        assert_true(take(attempts, address, name, i * 100));
        attempts_know(attempts, address, name, i * 3600);
    }
    assert_true(attempts_kept(attempts) < 300);
    assert_true(attempts_known(attempts) <= 1001);
    attempts_destroy(attempts);
}

static void test_no_more_than_65536_are_remembered_and_the_oldest_go(void **state)
{
    struct attempts *attempts = attempts_create();
    char address[32];

    attempts_know(attempts, "10.0.0.0", "alice", 0);
    for (int i = 0; i < 10; i++) {
        assert_true(take(attempts, "192.0.2.1", NULL, 0));
        assert_true(take(attempts, "192.0.2.2", NULL, 0));
    }
    for (int i = 1; i < 65536; i++) {
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_true(take(attempts, address, NULL, 0));
        attempts_know(attempts, address, "alice", 0);
    }
    assert_int_equal(attempts_kept(attempts), 65536);
    assert_int_equal(attempts_known(attempts), 65536);
    assert_false(take(attempts, "192.0.2.2", NULL, 0));
    assert_true(take(attempts, "192.0.2.1", NULL, 0)); /* forgotten */
    attempts_know(attempts, "10.9.9.9", "alice", 0);
    assert_int_equal(attempts_kept(attempts), 65536);
    assert_int_equal(attempts_known(attempts), 65536);
    attempts_destroy(attempts);
}

static void test_an_unknown_account_takes_as_long_as_a_known_one(void **state)
{
    int64_t least[2] = {INT64_MAX, INT64_MAX}, began, took;

    unsetenv("HUBBUB_PASSWORD_MEMORY");
    unsetenv("HUBBUB_PASSWORD_OPS");
    start();
    cheap();
    make_account("alice");
    for (int i = 0; i < 8; i++) {
        began = clock_now();
        expect(log_in_from("192.0.2.9", i % 2 ? "alice" : "bob", "a wrong guess"), "auth-failed");
        took = clock_now() - began;
        if (took < least[i % 2]) /* the least: whatever else the machine does only adds to it */
            least[i % 2] = took;
    }
    assert_true(least[0] * 2 > least[1] && least[1] * 2 > least[0]);
    asker_close(&asker);
}

static void test_a_password_is_hashed_anew_when_the_settings_were_raised(void **state)
{
    start();
    make_account("alice");
    assert_string_equal(sql("select password_hash like '%%m=8192,t=1,%%' from users"), "t");
    asker_close(&asker);
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    setenv("HUBBUB_PASSWORD_MEMORY", "16", 1);
    setenv("HUBBUB_PASSWORD_OPS", "3", 1);
    start();
    cheap();
    expect(log_in("alice", "a wrong guess"), "auth-failed");
    assert_string_equal(sql("select password_hash like '%%m=8192,t=1,%%' from users"), "t");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    assert_string_equal(sql("select password_hash like '%%m=16384,t=3,%%' from users"), "t");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

/* Lets a registration come as far as Redis, and holds it up before its row is changed. */
static PGconn *hold_up_registration(void)
{
    PGconn *blocker = PQconnectdb(getenv("TEST_POSTGRES_URL"));

    hold("alice", SESSION);
    sql("insert into users (name, name_key) values ('alice', 'alice')");
    PQclear(PQexec(blocker, "begin; select 1 from users where name_key = 'alice' for update"));
    asker_send(&asker, "%s", registration("alice", SESSION, PASSWORD, ""));
    for (int64_t until = clock_now() + 10000; listed("alice")[0] == '\0'; pause_briefly())
        if (clock_now() > until)
            give_up("the registration does not reach Redis");
    return blocker;
}

static void test_a_store_killed_between_redis_and_commit_leaves_no_name_locked(void **state)
{
    PGconn *blocker;

    start();
    blocker = hold_up_registration();
    store_signal(0, SIGKILL);
    assert_true(listed("alice")[0] != '\0'); /* protected, until it is known what became of it */
    asker_close(&asker);
    PQfinish(blocker);
    start();
    await_listed("alice", "");
    assert_string_equal(sql("select account is null from users where name_key = 'alice'"), "t");
    expect(enrol("alice", PASSWORD, ""), "\"ok\":true");
    asker_close(&asker);
}

static void test_a_registration_whose_outcome_is_unknown_is_put_right_while_the_store_runs(void **state)
{
    PGconn *blocker;

    start();
    blocker = hold_up_registration();
    sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hubbub-store'"
        " and wait_event_type = 'Lock'");
    expect(asker_line(&asker), "unavailable");
    PQfinish(blocker);
    await_listed("alice", "");
    expect(enrol("alice", PASSWORD, ""), "\"ok\":true");
    asker_close(&asker);
}

static void test_a_registration_that_postgresql_refuses_leaves_no_name_locked(void **state)
{
    start();
    sql("create function refuse() returns trigger language plpgsql as"
        " 'begin raise exception ''no''; end'; create trigger refuse before insert or update on users"
        " for each row when (new.account is not null) execute function refuse()");
    hold("alice", SESSION);
    expect(enrol("alice", PASSWORD, ""), "unavailable");
    assert_string_equal(listed("alice"), "");
    sql("drop trigger refuse on users; drop function refuse()");
    expect(enrol("alice", PASSWORD, ""), "\"ok\":true");
    asker_close(&asker);
}

static void test_the_list_is_made_equal_when_a_store_starts(void **state)
{
    start();
    make_account("alice");
    make_account("bob");
    asker_close(&asker);
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    freeReplyObject(redis("HDEL hubbub:{0}:accounts alice"));
    freeReplyObject(redis("HSET hubbub:{0}:accounts bob 999999 carol 7"));
    store_start(0);
    await_listed("carol", "");
    await_listed("alice", sql("select account from users where name_key = 'alice'"));
    await_listed("bob", sql("select account from users where name_key = 'bob'"));
}

static void test_a_wiped_lane_has_its_accounts_before_it_is_open(void **state)
{
    sql("insert into users (name, name_key, password_hash, account)"
        " select 'user' || n, 'user' || n, 'x', n from generate_series(1, 20000) n");
    store_start(0);
    for (int i = 0; i < 3; i++) {
        freeReplyObject(redis("FLUSHALL"));
        for (int64_t until = clock_now() + 10000; redis_number("EXISTS hubbub:{0}:open") == 0;)
            if (clock_now() > until)
                give_up("the lane is not opened");
        assert_int_equal(redis_number("HLEN hubbub:{0}:accounts"), 20000);
    }
}

static void test_a_full_redis_holds_up_no_ingest_for_its_list(void **state)
{
    store_start(0);
    publish("Alice", "before");
    await_sql(5, "select count(*) = 1 from history");
    store_signal(0, SIGTERM);
    assert_int_equal(store_wait(0), 0);
    publish("Alice", "meanwhile");
    sql("insert into users (name, name_key, password_hash, account) values ('Bob', 'bob', 'x', 7)");
    freeReplyObject(redis("CONFIG SET maxmemory 1"));
    store_start(0);
    await_log(0, "event=roster_refused");
    await_sql(5, "select count(*) = 2 from history");
    freeReplyObject(redis("CONFIG SET maxmemory 0"));
    await_listed("bob", "7");
}

static char said[4096]; /* by the last run, on its standard error */

/* Runs hubbub-store with these arguments and `input`, and more of an environment; its status. */
static int run_with(const char *environment, const char *arguments, const char *input)
{
    char line[1024];
    FILE *errors;

    snprintf(line, sizeof line,
             "printf '%%s\\n' '%s' | HUBBUB_REDIS_URL=redis://127.0.0.1:$TEST_REDIS_PORT"
             " HUBBUB_POSTGRES_URL=$TEST_POSTGRES_STORE_URL %s '%s' %s 2>&1 >/dev/null",
             input, environment, store_path, arguments);
    errors = popen(line, "r");
    if (!errors)
        give_up("there is no shell");
    said[fread(said, 1, sizeof said - 1, errors)] = '\0';
    return pclose(errors) >> 8;
}

static int run(const char *arguments, const char *input)
{
    return run_with("", arguments, input);
}

static void test_passwd_makes_an_account_and_changes_a_password(void **state)
{
    char number[64];

    start();
    assert_int_equal(run("passwd Alice", PASSWORD), 0);
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    snprintf(number, sizeof number, "Alice %s", listed("alice"));
    assert_string_equal(sql("select name || ' ' || account from users"), number);
    assert_int_equal(run("passwd alice", "another password"), 0);
    expect(log_in("alice", PASSWORD), "auth-failed");
    expect(log_in("alice", "another password"), "\"ok\":true");
    assert_string_equal(sql("select name || ' ' || account from users"), number);
    expect(said, "event=password_set name=alice");
    assert_int_equal(run("passwd alice", "short"), 1);
    assert_int_equal(run("passwd alice", "no \xff UTF-8"), 1);
    expect(said, "8 to 128 bytes of UTF-8");
    assert_int_equal(run("passwd 'a b'", PASSWORD), 1);
    asker_close(&asker);
}

static void test_a_command_with_another_number_of_names_says_its_use(void **state)
{
    static const char *const wrong[] = {"passwd", "passwd alice bob", "forget", "forget alice bob"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(run(wrong[i], PASSWORD), 2);
        expect(said, "hubbub-store passwd NAME");
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
}

static void test_a_command_that_reaches_no_server_changes_nothing_and_says_where_it_would(void **state)
{
    start();
    make_account("alice");
    assert_int_equal(run_with("HUBBUB_REDIS_URL=redis://127.0.0.1:1", "passwd bob", PASSWORD), 1);
    expect(said, "make passwd NAME=...; in containers: docker compose exec store hubbub-store passwd NAME");
    assert_string_equal(sql("select count(*) from users where name_key = 'bob'"), "0");
    assert_int_equal(run_with("HUBBUB_REDIS_URL=redis://127.0.0.1:1", "forget alice", ""), 1);
    expect(said, "make forget NAME=...");
    assert_int_equal(run_with("HUBBUB_POSTGRES_URL=postgresql://127.0.0.1:1/x", "passwd bob", PASSWORD), 1);
    expect(said, "make passwd NAME=...");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    assert_int_equal(run_with("HUBBUB_REDIS_URL=redis://127.0.0.1:1", "passwd alice", "another " PASSWORD),
                     0);
    asker_close(&asker);
}

static void test_forget_ends_the_session_that_has_the_name(void **state)
{
    start();
    make_account("alice");
    assert_int_equal(redis_number("HEXISTS hubbub:{0}:names alice"), 1);
    assert_int_equal(run("forget alice", ""), 0);
    expect(said, "event=account_forgotten name=alice");
    assert_int_equal(redis_number("HEXISTS hubbub:{0}:names alice"), 0);
    asker_close(&asker);
}

static void test_forget_may_be_repeated_where_redis_was_not_told(void **state)
{
    start();
    freeReplyObject(redis("HSET hubbub:{0}:accounts alice 7"));
    assert_int_equal(run("forget alice", ""), 1);
    expect(said, "alice is no account");
    assert_string_equal(listed("alice"), "");
    asker_close(&asker);
}

/* Starts `hubbub-store forget alice` beside the test. */
static pid_t launch_forget(void)
{
    const char *postgres_url = getenv("TEST_POSTGRES_STORE_URL");
    char redis_url[64];
    pid_t pid;

    snprintf(redis_url, sizeof redis_url, "redis://127.0.0.1:%s", getenv("TEST_REDIS_PORT"));
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("HUBBUB_REDIS_URL", redis_url, 1);
        setenv("HUBBUB_POSTGRES_URL", postgres_url ? postgres_url : "", 1);
        execl(store_path, store_path, "forget", "alice", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void test_a_frozen_forget_keeps_a_wiped_redis_closed_for_some_seconds_only(void **state)
{
    PGconn *blocker = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    int64_t until;
    pid_t forget;
    int status;

    start();
    make_account("alice");
    PQclear(PQexec(blocker, "begin; select 1 from users where name_key = 'alice' for update"));
    forget = launch_forget();
    await_sql(10, "select count(*) = 1 from pg_stat_activity where application_name = 'hubbub-store'"
                  " and wait_event_type = 'Lock'");
    kill(forget, SIGSTOP);
    PQfinish(blocker);
    freeReplyObject(redis("FLUSHALL"));
    until = clock_now() + 20000;
    while (redis_number("EXISTS hubbub:{0}:open") == 0) {
        if (clock_now() > until)
            give_up("the lane is not opened");
        pause_briefly();
    }
    kill(forget, SIGCONT);
    waitpid(forget, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_true(listed("alice")[0] != '\0');
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    asker_close(&asker);
}

static void test_a_forget_that_redis_does_not_hear_is_put_right_by_a_log_in(void **state)
{
    start();
    make_account("alice");
    sql("update users set account = null, password_hash = null"); /* what is left of it then */
    assert_true(listed("alice")[0] != '\0');
    expect(log_in("alice", PASSWORD), "auth-failed");
    await_listed("alice", "");
    asker_close(&asker);
}

static void test_refused_log_ins_are_a_line_a_second_with_the_count_of_more(void **state)
{
    bool told = false;
    char line[64];

    start();
    for (int i = 0; i < 60; i++)
        expect(log_in("mallory", PASSWORD), i < 10 ? "auth-failed" : "r"); /* the 50 take little time */
    for (int64_t since = clock_now(); clock_now() - since < 1000;)
        pause_briefly(); /* the second is over: what was not told is told with the next */
    log_in("mallory", PASSWORD);
    await_log(0, "event=login_refused name=mallory address=192.0.2.1 reason=rate-limited more=");
    for (int more = 10; more <= 60; more++) {
        snprintf(line, sizeof line, "reason=rate-limited more=%d", more);
        told |= store_logged(0, line);
    }
    assert_true(told);
    asker_close(&asker);
}

static void test_forget_gives_the_name_back_and_a_later_account_has_another_number(void **state)
{
    char number[32];

    start();
    make_account("alice");
    snprintf(number, sizeof number, "%s", listed("alice"));
    assert_int_equal(run("forget alice", ""), 0);
    assert_string_equal(listed("alice"), "");
    expect(log_in("alice", PASSWORD), "auth-failed");
    assert_int_equal(run("forget alice", ""), 1);
    make_account("alice");
    assert_string_not_equal(listed("alice"), number);
    asker_close(&asker);
}

static void test_a_password_is_written_down_nowhere(void **state)
{
    char command[512];

    start();
    make_account("alice");
    expect(log_in("alice", PASSWORD), "\"ok\":true");
    expect(log_in("alice", "an incorrect " PASSWORD), "auth-failed");
    expect(enrol("alice", "the next " PASSWORD, PASSWORD), "\"ok\":true");
    expect(enrol("bob", PASSWORD, ""), "unavailable");
    expect(asker_ask(&asker, "{\"id\":1,\"ask\":\"log-in\",\"name\":7,\"password\":\"" PASSWORD "\"}"),
           "bad-request");
    asker_send(&asker, "{\"id\":1,\"ask\":\"log-in\",\"password\":\"" PASSWORD "\"}}");
    asker_await_end(&asker);
    assert_true(store_logged(0, "event=gateway_connected"));
    assert_false(store_logged(0, "horse"));
    /* All of the servers' data and logs; that the search finds anything is shown by the hash. */
    snprintf(command, sizeof command, "grep -rqa '[$]argon2id[$]' \"$(dirname '%s')\"",
             sql("show data_directory"));
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "grep -rqa 'alice' \"$(dirname '%s')\"/redis",
             sql("show data_directory"));
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "grep -rqa 'correct horse' \"$(dirname '%s')\"",
             sql("show data_directory"));
    assert_int_equal(system(command) >> 8, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_name_becomes_an_account_and_logs_in),
        STORE_TEST(test_a_log_in_tells_how_many_directs_are_not_read),
        STORE_TEST(test_registering_again_with_the_same_password_is_a_retry),
        STORE_TEST(test_a_password_changes_with_the_old_one),
        STORE_TEST(test_a_session_that_does_not_hold_the_name_registers_nothing),
        STORE_TEST(test_two_stores_at_once_make_one_account),
        STORE_TEST(test_who_guesses_from_many_addresses_is_limited_and_keeps_the_owner_out_of_none_of_his),
        STORE_TEST(test_failures_from_one_address_do_not_limit_another),
        STORE_TEST(test_what_strangers_guess_keeps_nobody_from_registering_the_name_he_has),
        STORE_TEST(test_failed_log_ins_are_limited_per_address),
        STORE_TEST(test_successes_cost_nothing_and_give_nothing_back),
        cmocka_unit_test(test_an_address_gets_an_attempt_back_after_ten_seconds),
        cmocka_unit_test(test_a_name_has_100_attempts_of_strangers_and_gets_one_back_each_second),
        cmocka_unit_test(test_an_address_is_known_for_an_hour_after_the_last_log_in),
        cmocka_unit_test(test_who_has_all_attempts_again_is_not_remembered),
        cmocka_unit_test(test_no_more_than_65536_are_remembered_and_the_oldest_go),
        STORE_TEST(test_an_unknown_account_takes_as_long_as_a_known_one),
        STORE_TEST(test_a_password_is_hashed_anew_when_the_settings_were_raised),
        STORE_TEST(test_a_store_killed_between_redis_and_commit_leaves_no_name_locked),
        STORE_TEST(test_a_registration_whose_outcome_is_unknown_is_put_right_while_the_store_runs),
        STORE_TEST(test_a_registration_that_postgresql_refuses_leaves_no_name_locked),
        STORE_TEST(test_the_list_is_made_equal_when_a_store_starts),
        STORE_TEST(test_a_wiped_lane_has_its_accounts_before_it_is_open),
        STORE_TEST(test_a_full_redis_holds_up_no_ingest_for_its_list),
        STORE_TEST(test_passwd_makes_an_account_and_changes_a_password),
        STORE_TEST(test_a_command_with_another_number_of_names_says_its_use),
        STORE_TEST(test_a_command_that_reaches_no_server_changes_nothing_and_says_where_it_would),
        STORE_TEST(test_forget_ends_the_session_that_has_the_name),
        STORE_TEST(test_forget_may_be_repeated_where_redis_was_not_told),
        STORE_TEST(test_a_frozen_forget_keeps_a_wiped_redis_closed_for_some_seconds_only),
        STORE_TEST(test_a_forget_that_redis_does_not_hear_is_put_right_by_a_log_in),
        STORE_TEST(test_refused_log_ins_are_a_line_a_second_with_the_count_of_more),
        STORE_TEST(test_forget_gives_the_name_back_and_a_later_account_has_another_number),
        STORE_TEST(test_a_password_is_written_down_nowhere),
    };

    harness_arguments(argc, argv);
    cheap();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
