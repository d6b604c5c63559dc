/* The schema, the roles, and migrate.sh. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "history.h"

/* Runs a shell command whose $1 is the directory migrations; its status. */
static int shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "sh -euc '%s' sh '%s'", command, migrations_path);
    return system(line) >> 8;
}

static void test_migrating_again_changes_nothing(void **state)
{
    sql("create table before as select * from migrations");
    assert_int_equal(shell("\"$1\"/migrate.sh \"$TEST_POSTGRES_URL\" >/dev/null"), 0);
    assert_string_equal(sql("select count(*) from (select * from migrations except select * from before) x"),
                        "0");
    sql("drop table before");
}

static void test_two_migrations_at_once_both_succeed(void **state)
{
    sql("drop database if exists twice");
    sql("create database twice");
    assert_int_equal(shell("url=$(echo \"$TEST_POSTGRES_URL\" | sed s,/hubbub,/twice,); \"$1\"/migrate.sh "
                           "\"$url\" >/dev/null & p=$!;"
                           " \"$1\"/migrate.sh \"$url\" >/dev/null; wait $p"),
                     0);
    sql("drop database twice");
}

static void test_a_file_that_changed_is_refused_with_one_line(void **state)
{
    assert_int_equal(
        shell("d=$(mktemp -d); trap \"rm -r $d\" EXIT; cp \"$1\"/* $d; echo \"-- more\" >> $d/0002_*.sql;"
              " ! $d/migrate.sh \"$TEST_POSTGRES_URL\" >$d/out 2>&1; grep -q \"0002_.*changed after\" $d/out;"
              " [ $(wc -l <$d/out) = 1 ]"),
        0);
}

static void test_a_file_that_fails_leaves_nothing_behind(void **state)
{
    assert_int_equal(shell("d=$(mktemp -d); trap \"rm -r $d\" EXIT; cp \"$1\"/* $d;"
                           " echo \"create table half (); select 1/0;\" > $d/9000_bad.sql;"
                           " ! $d/migrate.sh \"$TEST_POSTGRES_URL\" >/dev/null 2>&1"),
                     0);
    assert_string_equal(sql("select to_regclass('half') is null and not exists"
                            " (select 1 from migrations where number = 9000)"),
                        "t");
}

static void test_the_store_knows_the_last_migration(void **state)
{
    assert_int_equal(atoi(sql("select max(number) from migrations")), SCHEMA_VERSION);
}

static void refuses(void)
{
    store_launch(0);
    assert_int_equal(store_wait(0), 1);
    assert_true(store_logged(0, "run migrations/migrate.sh"));
}

static void test_the_store_refuses_an_older_schema(void **state)
{
    sql("create table kept as select * from migrations where number = %d", SCHEMA_VERSION);
    sql("delete from migrations where number = %d", SCHEMA_VERSION);
    refuses();
    sql("insert into migrations select * from kept");
    sql("drop table kept");
}

static void test_the_store_refuses_a_newer_schema(void **state)
{
    sql("insert into migrations (number, name, sha256) values (%d, 'next', '')", SCHEMA_VERSION + 1);
    store_launch(0);
    assert_int_equal(store_wait(0), 1);
    assert_true(store_logged(0, "migrations/migrate.sh"));
    sql("delete from migrations where number = %d", SCHEMA_VERSION + 1);
}

static void test_the_store_refuses_an_empty_database(void **state)
{
    sql("alter table migrations rename to away");
    refuses();
    sql("alter table away rename to migrations");
}

static void test_the_reader_reads_views_and_no_tables(void **state)
{
    static const char *const views[] = {"history", "directs", "online", "audit"};
    static const char *const tables[] = {"users",   "rooms",    "messages",   "sessions",
                                         "cursors", "openings", "quarantine", "migrations"};
    char query[64];

    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        snprintf(query, sizeof query, "select * from %s", views[i]);
        assert_string_equal(sql_state("TEST_POSTGRES_READER_URL", query), "00000");
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        snprintf(query, sizeof query, "select * from %s", tables[i]);
        assert_string_equal(sql_state("TEST_POSTGRES_READER_URL", query), "42501");
    }
    assert_string_equal(sql_state("TEST_POSTGRES_READER_URL", "create table mine ()"), "42501");
    assert_string_equal(sql_state("TEST_POSTGRES_READER_URL", "select make_month(0)"), "42501");
    assert_string_equal(sql_state("TEST_POSTGRES_READER_URL", "select drop_month(0, 0)"), "42501");
}

static void test_the_store_may_only_do_what_the_store_does(void **state)
{
    static const char *const forbidden[] = {
        "drop table messages",           "delete from messages",
        "update messages set text = ''", "truncate users",
        "delete from cursors",           "update users set name_key = 'x'",
        "create table mine ()",          "delete from quarantine",
        "update openings set id = 0",    "alter table users drop name",
        "delete from migrations",        "select rolpassword from pg_authid",
    };

    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_string_equal(sql_state("TEST_POSTGRES_STORE_URL", forbidden[i]), "42501");
    assert_string_equal(sql("select setconfig from pg_db_role_setting join pg_roles r on r.oid = setrole"
                            " where rolname = 'hubbub_store'"),
                        "{idle_in_transaction_session_timeout=5s}");
}

static void test_every_column_of_a_view_explains_itself(void **state)
{
    assert_string_equal(
        sql("select coalesce(string_agg(relname || '.' || attname, ' '), '') from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid where relkind = 'v'"
            " and relnamespace = 'public'::regnamespace and attnum > 0"
            " and (col_description(c.oid, attnum) is null or obj_description(c.oid) is null)"),
        "");
}

static void test_an_id_and_its_time_agree(void **state)
{
    assert_string_equal(
        sql("select bool_and(id_time(id_at(t)) = t and id_time(id_at(t) - 1) < t) from generate_series("
            "'2024-01-01'::timestamptz, '2024-01-02', '1.234 s') t"),
        "t");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_migrating_again_changes_nothing),
        STORE_TEST(test_two_migrations_at_once_both_succeed),
        STORE_TEST(test_a_file_that_changed_is_refused_with_one_line),
        STORE_TEST(test_a_file_that_fails_leaves_nothing_behind),
        STORE_TEST(test_the_store_knows_the_last_migration),
        STORE_TEST(test_the_store_refuses_an_older_schema),
        STORE_TEST(test_the_store_refuses_a_newer_schema),
        STORE_TEST(test_the_store_refuses_an_empty_database),
        STORE_TEST(test_the_reader_reads_views_and_no_tables),
        STORE_TEST(test_the_store_may_only_do_what_the_store_does),
        STORE_TEST(test_every_column_of_a_view_explains_itself),
        STORE_TEST(test_an_id_and_its_time_agree),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
