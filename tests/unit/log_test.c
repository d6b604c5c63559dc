/* log: one line each, logfmt, and nothing of a peer's gets to a terminal raw. */
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static char line[8192];

/* What was written to stderr between these two, is in `line` behind its time. */
static int saved;
static FILE *file;

static void start(void)
{
    fflush(stderr);
    file = tmpfile();
    assert_non_null(file);
    saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
}

static const char *stop(void)
{
    size_t len;

    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    len = fread(line, 1, sizeof line - 1, file);
    line[len] = '\0';
    fclose(file);
    return strstr(line, "level=") ? strstr(line, "level=") : line;
}

/* Logs, and checks what came behind the time. */
#define assert_logs(wanted, ...)                                      \
    do {                                                              \
        start();                                                      \
        log_info(__VA_ARGS__);                                        \
        assert_string_equal(stop(), "level=info event=" wanted "\n"); \
    } while (0)

static void test_a_line_has_time_level_event_and_fields(void **state)
{
    start();
    log_warn("client_closed", "session=%s reason=%s", "g1-42", "slow-consumer");
    assert_string_equal(stop(), "level=warn event=client_closed session=g1-42 reason=slow-consumer\n");
    assert_int_equal(strncmp(line, "time=20", 7), 0);
    assert_int_equal(line[5 + 23], 'Z'); /* 2025-10-09T08:53:20.007Z */
}

static void test_a_line_may_have_no_fields(void **state)
{
    assert_logs("ready", "ready", "");
}

static void test_every_conversion(void **state)
{
    assert_logs("e a=-1 b=2 c=-3 d=4 e=-5 f=6 g=7 h=x i=100%", "e",
                "a=%d b=%u c=%ld d=%lu e=%lld f=%llu g=%zu h=%c i=100%%", -1, 2u, -3L, 4UL, -5LL, 6ULL,
                (size_t)7, 'x');
}

static void test_extreme_numbers(void **state)
{
    assert_logs("e a=-2147483648 b=4294967295 c=-9223372036854775808 d=18446744073709551615", "e",
                "a=%d b=%u c=%lld d=%llu", INT_MIN, UINT_MAX, LLONG_MIN, ULLONG_MAX);
}

static void test_a_value_of_several_parts(void **state)
{
    assert_logs("e address=127.0.0.1:7000 path=/x", "e", "address=%s:%u path=/x", "127.0.0.1", 7000u);
}

static void test_no_string_is_a_dash(void **state)
{
    const char *volatile nothing = NULL; /* so that the compiler does not see it */

    assert_logs("e a=- b=1", "e", "a=%s b=%d", nothing, 1);
}

static void test_an_empty_value_is_quoted(void **state)
{
    assert_logs("e a=\"\" b=1", "e", "a=%s b=%d", "", 1);
}

static void test_spaces_quotes_and_equals_signs_are_quoted(void **state)
{
    assert_logs("e a=\"two words\" b=\"say \\\"x\\\"\" c=\"k=v\" d=\"back\\\\slash\"", "e",
                "a=%s b=%s c=%s d=%s", "two words", "say \"x\"", "k=v", "back\\slash");
}

static void test_controls_escapes_and_bytes_beyond_ascii_are_escaped(void **state)
{
    assert_logs("e a=\"\\x1b[31m\" b=\"\\x0a\\x0d\" c=\"\\xc5\\xbc\" d=\"\\x7f\\x9b\"", "e",
                "a=%s b=%s c=%s d=%s", "\x1b[31m", "\n\r", "ż", "\x7f\x9b");
}

static void test_a_value_cannot_forge_a_line_or_a_field(void **state)
{
    assert_logs("e name=\"x\\x0atime=0 level=error event=forged\" b=1", "e", "name=%s b=%d",
                "x\ntime=0 level=error event=forged", 1);
}

static void test_a_format_in_a_value_is_text(void **state)
{
    assert_logs("e a=%s%n b=1", "e", "a=%s b=%d", "%s%n", 1);
}

static void test_a_long_value_is_cut_and_the_line_ends(void **state)
{
    char *value = malloc(100001);

    memset(value, 'x', 100000);
    value[100000] = '\0';
    start();
    log_info("e", "a=%s", value);
    stop();
    assert_in_range(strlen(line), 1000, 4096);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    free(value);
}

static void test_what_follows_a_long_value_takes_its_own_argument(void **state)
{
    char *value = malloc(100001);

    memset(value, 'x', 100000);
    value[100000] = '\0';
    start();
    log_info("e", "a=%s:%d b=%s c=%s", value, 7, "b", "c"); /* must not read 7 as a string */
    stop();
    assert_null(strchr(line, '%'));
    free(value);
}

static void test_a_long_value_of_escapes_is_cut(void **state)
{
    char *value = malloc(5001);

    memset(value, '\x1b', 5000);
    value[5000] = '\0';
    start();
    log_info("e", "a=%s b=%d", value, 1);
    stop();
    assert_null(strchr(line, '\x1b'));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    free(value);
}

static void test_less_than_the_level_is_not_written(void **state)
{
    start();
    log_set_level(LOG_WARN);
    log_debug("e", "");
    log_info("e", "");
    log_warn("warned", "");
    log_error("erred", "");
    log_set_level(LOG_INFO);
    stop();
    assert_null(strstr(line, "level=info"));
    assert_null(strstr(line, "level=debug"));
    assert_non_null(strstr(line, "level=warn event=warned\n"));
    assert_non_null(strstr(line, "level=error event=erred\n"));
}

static void test_levels_are_read_by_name(void **state)
{
    enum log_level level;

    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("INFO", &level));
    assert_false(log_level_parse("", &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_time_level_event_and_fields),
        cmocka_unit_test(test_a_line_may_have_no_fields),
        cmocka_unit_test(test_every_conversion),
        cmocka_unit_test(test_extreme_numbers),
        cmocka_unit_test(test_a_value_of_several_parts),
        cmocka_unit_test(test_no_string_is_a_dash),
        cmocka_unit_test(test_an_empty_value_is_quoted),
        cmocka_unit_test(test_spaces_quotes_and_equals_signs_are_quoted),
        cmocka_unit_test(test_controls_escapes_and_bytes_beyond_ascii_are_escaped),
        cmocka_unit_test(test_a_value_cannot_forge_a_line_or_a_field),
        cmocka_unit_test(test_a_format_in_a_value_is_text),
        cmocka_unit_test(test_a_long_value_is_cut_and_the_line_ends),
        cmocka_unit_test(test_what_follows_a_long_value_takes_its_own_argument),
        cmocka_unit_test(test_a_long_value_of_escapes_is_cut),
        cmocka_unit_test(test_less_than_the_level_is_not_written),
        cmocka_unit_test(test_levels_are_read_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
