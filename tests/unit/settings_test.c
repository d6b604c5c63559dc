/* settings: defaults, values, and the one line that says what is wrong. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

static struct settings settings;
static char error[512];

/* Reads an environment of one variable (NULL: none). */
static bool init(const char *variable)
{
    char *environment[] = {(char *)variable, NULL};

    strcpy(error, "");
    return settings_init(&settings, environment, error, sizeof error);
}

static void assert_error(const char *variable, const char *wanted)
{
    if (init(variable))
        fail_msg("taken: %s", variable);
    assert_string_equal(error, wanted);
}

/* Makes a file of this content; returns the variable that names it, in a buffer that the next call
 * overwrites. */
static char *secret_file(const char *name, const char *content, size_t len)
{
    static char variable[128];
    int fd;

    snprintf(variable, sizeof variable, "%s=/tmp/hubbub-secret-XXXXXX", name);
    fd = mkstemp(strchr(variable, '=') + 1);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
    return variable;
}

static void test_defaults(void **state)
{
    assert_true(init(NULL));
    assert_string_equal(settings.listen, "json://0.0.0.0:7000,line://0.0.0.0:4000,command://0.0.0.0:5555,"
                                         "gob://0.0.0.0:8080,prompt://0.0.0.0:9999");
    assert_string_equal(settings.http_listen, "0.0.0.0:9100");
    assert_string_equal(settings.redis_url, "redis://127.0.0.1:6379");
    assert_string_equal(settings.redis_password, "");
    assert_string_equal(settings.postgres_url, "postgresql://hubbub_store@127.0.0.1:5432/hubbub");
    assert_string_equal(settings.health_file, "");
    assert_string_equal(settings.log_level, "info");
    assert_int_equal(settings.login_timeout, 30);
    assert_int_equal(settings.rate, 20);
    assert_int_equal(settings.burst, 40);
    assert_int_equal(settings.notice_max, 200);
    assert_int_equal(settings.drain, 10);
    assert_string_equal(settings.store_listen, "127.0.0.1:7400");
    assert_string_equal(settings.store_url, "store://127.0.0.1:7400");
    assert_string_equal(settings.store_secret, "");
    assert_string_equal(settings.guests, "allow");
    assert_int_equal(settings.store_workers, 4);
    assert_int_equal(settings.password_workers, 2);
    assert_int_equal(settings.password_ops, 2);
    assert_int_equal(settings.password_memory, 64);
    settings_finish(&settings);
}

static void test_stores_are_named_with_or_without_a_port(void **state)
{
    struct store_address addresses[STORES_MAX];

    assert_int_equal(store_addresses("store://a,store://b:7401,store://[::1],store://[::2]:99", addresses),
                     4);
    assert_string_equal(addresses[0].host, "a");
    assert_int_equal(addresses[0].port, 7400);
    assert_int_equal(addresses[1].port, 7401);
    assert_string_equal(addresses[2].host, "::1");
    assert_int_equal(addresses[2].port, 7400);
    assert_int_equal(addresses[3].port, 99);
    assert_int_equal(store_addresses("", addresses), 0);
    assert_int_equal(store_addresses("store://", addresses), 0);
    assert_int_equal(store_addresses("store://a,", addresses), 0);
    assert_int_equal(store_addresses("redis://a", addresses), 0);
    assert_int_equal(store_addresses("store://a:", addresses), 0);
    assert_int_equal(store_addresses("stor", addresses), 0);
}

static void test_an_empty_list_of_stores_is_none(void **state)
{
    assert_true(init("HUBBUB_STORE_URL="));
    assert_string_equal(settings.store_url, "");
    settings_finish(&settings);
    assert_true(init("HUBBUB_STORE_LISTEN="));
    settings_finish(&settings);
    assert_error("HUBBUB_GUESTS=maybe", "HUBBUB_GUESTS=maybe: use allow or deny");
}

static void test_a_variable_of_the_client_is_passed_over(void **state)
{
    assert_true(init("HUBBUB_PASSWORD_FILE=/nonexistent/of-a-person"));
    settings_finish(&settings);
    assert_error(
        "HUBBUB_PASSWORD_FILES=x",
        "HUBBUB_PASSWORD_FILES: there is no such setting; the nearest is HUBBUB_PASSWORD_FILE (see --help)");
}

static void test_a_gateway_without_a_name_has_the_hosts(void **state)
{
    assert_true(init(NULL));
    assert_in_range(strlen(settings.gateway), 1, 32);
    assert_null(strpbrk(settings.gateway, "-. "));
    settings_finish(&settings);
}

static void test_a_value_is_taken(void **state)
{
    assert_true(init("HUBBUB_GATEWAY=g1"));
    assert_string_equal(settings.gateway, "g1");
    settings_finish(&settings);
    assert_true(init("HUBBUB_RATE=0"));
    assert_int_equal(settings.rate, 0);
    settings_finish(&settings);
}

static void test_other_variables_are_none_of_ours(void **state)
{
    assert_true(init("PATH=/bin"));
    settings_finish(&settings);
    assert_true(init("HUBBUBX=1"));
    settings_finish(&settings);
    assert_true(init("hubbub_rate=x"));
    settings_finish(&settings);
}

static void test_a_bad_number_names_variable_value_and_bounds(void **state)
{
    assert_error("HUBBUB_RATE=fast", "HUBBUB_RATE=fast: use a number from 0 to 1000000");
    assert_error("HUBBUB_RATE=", "HUBBUB_RATE=: use a number from 0 to 1000000");
    assert_error("HUBBUB_RATE=-1", "HUBBUB_RATE=-1: use a number from 0 to 1000000");
    assert_error("HUBBUB_RATE=20x", "HUBBUB_RATE=20x: use a number from 0 to 1000000");
    assert_error("HUBBUB_RATE=1.5", "HUBBUB_RATE=1.5: use a number from 0 to 1000000");
    assert_error("HUBBUB_BURST=0", "HUBBUB_BURST=0: use a number from 1 to 1000000");
    assert_error("HUBBUB_DRAIN=3601", "HUBBUB_DRAIN=3601: use a number from 1 to 3600");
    assert_error("HUBBUB_LOGIN_TIMEOUT=99999999999999999999",
                 "HUBBUB_LOGIN_TIMEOUT=99999999999999999999: use a number from 1 to 3600");
    assert_error("HUBBUB_NOTICE_MAX=x", "HUBBUB_NOTICE_MAX=x: use a number from 0 to 1000000");
}

static void test_a_bad_text_names_variable_value_and_remedy(void **state)
{
    assert_error("HUBBUB_GATEWAY=g-1", "HUBBUB_GATEWAY=g-1: use up to 32 letters, digits, _ and .");
    assert_error("HUBBUB_GATEWAY=a b", "HUBBUB_GATEWAY=a b: use up to 32 letters, digits, _ and .");
    assert_error("HUBBUB_GATEWAY=123456789012345678901234567890123",
                 "HUBBUB_GATEWAY=123456789012345678901234567890123: use up to 32 letters, digits, _ and .");
    assert_error("HUBBUB_HTTP_LISTEN=9100", "HUBBUB_HTTP_LISTEN=9100: use address:port");
    assert_error("HUBBUB_REDIS_URL=localhost",
                 "HUBBUB_REDIS_URL=localhost: use redis://host:port, up to 8 of them, separated by commas");
    assert_error("HUBBUB_POSTGRES_URL=", "HUBBUB_POSTGRES_URL=: use a libpq connection URI, as in "
                                         "postgresql://hubbub_store@127.0.0.1:5432/hubbub");
    assert_error("HUBBUB_LOG_LEVEL=loud", "HUBBUB_LOG_LEVEL=loud: use debug, info, warn or error");
}

static void test_an_error_is_one_line_whatever_the_value(void **state)
{
    assert_error("HUBBUB_RATE=a\nb\x1b[31m", "HUBBUB_RATE=a?b?[31m: use a number from 0 to 1000000");
}

static void test_a_long_value_fits_the_line(void **state)
{
    char variable[4096] = "HUBBUB_RATE=";

    memset(variable + strlen(variable), 'x', 4000);
    assert_false(init(variable));
    assert_in_range(strlen(error), 100, sizeof error - 1);
}

static void test_an_unknown_name_is_answered_with_the_nearest(void **state)
{
    assert_error("HUBBUB_REDIS_ULR=x",
                 "HUBBUB_REDIS_ULR: there is no such setting; the nearest is HUBBUB_REDIS_URL (see --help)");
    assert_error("HUBBUB_RATES=x",
                 "HUBBUB_RATES: there is no such setting; the nearest is HUBBUB_RATE (see --help)");
    assert_error("HUBBUB_LOGLEVEL=x",
                 "HUBBUB_LOGLEVEL: there is no such setting; the nearest is HUBBUB_LOG_LEVEL (see --help)");
    assert_error("HUBBUB_REDIS_PASWORD_FILE=x", "HUBBUB_REDIS_PASWORD_FILE: there is no such setting; the "
                                                "nearest is HUBBUB_REDIS_PASSWORD (see --help)");
}

static void test_odd_names_are_unknown(void **state)
{
    assert_false(init("HUBBUB_=x"));
    assert_false(init("HUBBUB_rate=5"));
    assert_false(init("HUBBUB_RATE_FILE=/dev/null")); /* only secrets come from files */
}

static void test_a_very_long_name_is_unknown(void **state)
{
    char variable[4096] = "HUBBUB_";

    memset(variable + strlen(variable), 'X', 3000);
    strcat(variable, "=1");
    assert_false(init(variable));
}

static void test_a_secret_comes_from_a_file_without_its_line_end(void **state)
{
    char *variable = secret_file("HUBBUB_REDIS_PASSWORD_FILE", "s3cret word\n", 12);

    assert_true(init(variable));
    assert_string_equal(settings.redis_password, "s3cret word");
    settings_finish(&settings);
    unlink(strchr(variable, '=') + 1);
}

static void test_a_secret_file_that_cannot_be_read_is_named(void **state)
{
    assert_error("HUBBUB_REDIS_PASSWORD_FILE=/nonexistent",
                 "HUBBUB_REDIS_PASSWORD_FILE=/nonexistent: No such file or directory; name a file that this "
                 "program can read");
    assert_error(
        "HUBBUB_POSTGRES_PASSWORD_FILE=/tmp",
        "HUBBUB_POSTGRES_PASSWORD_FILE=/tmp: Is a directory; name a file that this program can read");
}

static void test_a_good_value_before_a_bad_one_is_not_leaked(void **state)
{
    char *environment[] = {"HUBBUB_GATEWAY=g1", "HUBBUB_LISTEN=json://127.0.0.1:1", "HUBBUB_RATE=x", NULL};

    assert_false(settings_init(&settings, environment, error, sizeof error));
    assert_null(settings.gateway);
}

static void test_redis_addresses_are_split(void **state)
{
    struct redis_address addresses[REDIS_SERVERS_MAX];

    assert_int_equal(redis_addresses("redis://localhost:6379", addresses), 1);
    assert_string_equal(addresses[0].host, "localhost");
    assert_int_equal(addresses[0].port, 6379);
    assert_int_equal(redis_addresses("redis://a.example:1,redis://[::1]:65535", addresses), 2);
    assert_string_equal(addresses[1].host, "::1");
    assert_int_equal(addresses[1].port, 65535);
}

static void test_eight_redis_servers_and_no_more(void **state)
{
    struct redis_address addresses[REDIS_SERVERS_MAX];

    assert_int_equal(
        redis_addresses(
            "redis://a:1,redis://a:2,redis://a:3,redis://a:4,redis://a:5,redis://a:6,redis://a:7,redis://a:8",
            addresses),
        8);
    assert_int_equal(addresses[7].port, 8);
    assert_int_equal(redis_addresses("redis://a:1,redis://a:2,redis://a:3,redis://a:4,redis://a:5,redis://"
                                     "a:6,redis://a:7,redis://a:8,redis://a:9",
                                     addresses),
                     0);
}

static void test_what_is_no_redis_url_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "redis://",
                                      "redis://a",
                                      "redis://a:",
                                      "redis://:1",
                                      "redis://a:0",
                                      "redis://a:65536",
                                      "redis://a:1,",
                                      ",redis://a:1",
                                      "redis://a:1,a:2",
                                      "rediss://a:1",
                                      "redis://a:1/0",
                                      "redis://a:x",
                                      "redis://::1:6379",
                                      "redis://[]:1",
                                      "redis://a:1 ",
                                      "redis://a:999999999999"};
    struct redis_address addresses[REDIS_SERVERS_MAX];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (redis_addresses(bad[i], addresses))
            fail_msg("taken: %s", bad[i]);
}

static void test_a_host_that_is_too_long_is_refused(void **state)
{
    char text[300], host[16];
    unsigned short port;

    memset(text, 'h', 15);
    strcpy(text + 15, ":1");
    assert_true(address_parse(text, strlen(text), host, sizeof host, &port));
    memset(text, 'h', 16);
    strcpy(text + 16, ":1");
    assert_false(address_parse(text, strlen(text), host, sizeof host, &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_stores_are_named_with_or_without_a_port),
        cmocka_unit_test(test_an_empty_list_of_stores_is_none),
        cmocka_unit_test(test_a_variable_of_the_client_is_passed_over),
        cmocka_unit_test(test_a_gateway_without_a_name_has_the_hosts),
        cmocka_unit_test(test_a_value_is_taken),
        cmocka_unit_test(test_other_variables_are_none_of_ours),
        cmocka_unit_test(test_a_bad_number_names_variable_value_and_bounds),
        cmocka_unit_test(test_a_bad_text_names_variable_value_and_remedy),
        cmocka_unit_test(test_an_error_is_one_line_whatever_the_value),
        cmocka_unit_test(test_a_long_value_fits_the_line),
        cmocka_unit_test(test_an_unknown_name_is_answered_with_the_nearest),
        cmocka_unit_test(test_odd_names_are_unknown),
        cmocka_unit_test(test_a_very_long_name_is_unknown),
        cmocka_unit_test(test_a_secret_comes_from_a_file_without_its_line_end),
        cmocka_unit_test(test_a_secret_file_that_cannot_be_read_is_named),
        cmocka_unit_test(test_a_good_value_before_a_bad_one_is_not_leaked),
        cmocka_unit_test(test_redis_addresses_are_split),
        cmocka_unit_test(test_eight_redis_servers_and_no_more),
        cmocka_unit_test(test_what_is_no_redis_url_is_refused),
        cmocka_unit_test(test_a_host_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
