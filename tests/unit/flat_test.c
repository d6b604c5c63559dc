/* flat: the bytes that the library would write, what is read, and what is left to the library. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "flat.h"

/* Writes an object; the caller frees it. */
static char *written(const struct flat_member *members, size_t n)
{
    size_t size = flat_size(members, n);
    char *text = malloc(size + 1), *end;

    assert_non_null(text);
    end = flat_write(members, n, text);
    assert_int_equal(end - text, size);
    *end = '\0';
    return text;
}

/* The value of the only member of `object`, with its escapes undone; NULL: it was not read. */
static char *value_of(const char *object, size_t len)
{
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n;
    char *value;

    if (flat_read(object, len, pairs, &n) != len || len == 0)
        return NULL;
    assert_int_equal(n, 1);
    value = malloc(pairs[0].value.len + 1);
    assert_non_null(value);
    assert_true(flat_copy(&pairs[0].value, value) - value <= (ptrdiff_t)pairs[0].value.len + 1);
    return value;
}

static void assert_as_the_library_does(const char *value)
{
    const struct flat_member member = {"key", value};
    json_t *json = json_pack("{s:s}", "key", value);
    char *expected = json_dumps(json, JSON_COMPACT), *text = written(&member, 1), *back;

    assert_non_null(expected);
    assert_string_equal(text, expected);
    back = value_of(text, strlen(text));
    assert_non_null(back);
    assert_string_equal(back, value);
    free(back);
    free(text);
    free(expected);
    json_decref(json);
}

static void test_every_character_is_written_as_the_library_writes_it(void **state)
{
    char value[] = "a?b";

    for (int c = 1; c < 0x80; c++) {
        value[1] = (char)c;
        assert_as_the_library_does(value);
    }
    assert_as_the_library_does("");
    assert_as_the_library_does("zażółć \"quotes\" \\ / \t two\nlines 😀 \x7f");
}

static void test_members_are_written_in_order_but_those_without_a_value(void **state)
{
    const struct flat_member members[] = {{"none", NULL}, {"b", "1"}, {"ref", NULL}, {"a", ""}, {"c", NULL}};
    char *text = written(members, 5);

    assert_string_equal(text, "{\"b\":\"1\",\"a\":\"\"}");
    free(text);
    text = written(members, 1);
    assert_string_equal(text, "{}");
    free(text);
}

static void test_an_object_is_read_with_white_space_and_without_what_follows(void **state)
{
    static const char object[] = "{ \"type\" :\t\"chat\" ,\r\n\"data\": \"a \\\"b\\\"\\n\" } {\"type\"";
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n;
    char text[32];

    assert_int_equal(flat_read(object, sizeof object - 1, pairs, &n), strrchr(object, ' ') - object);
    assert_int_equal(n, 2);
    assert_true(flat_equals(&pairs[0].key, "type"));
    assert_false(flat_equals(&pairs[0].key, "typ"));
    assert_false(flat_equals(&pairs[0].key, "types"));
    assert_false(flat_equals(&pairs[0].key, ""));
    assert_ptr_equal(flat_copy(&pairs[0].value, text), text + 5);
    assert_string_equal(text, "chat");
    flat_copy(&pairs[1].value, text);
    assert_string_equal(text, "a \"b\"\n");
}

static void test_simple_escapes_are_undone(void **state)
{
    static const char object[] = "{\"\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}";
    char *value = value_of(object, sizeof object - 1);

    assert_non_null(value);
    assert_string_equal(value, "\"\\/\b\f\n\r\t");
    free(value);
}

static void test_escapes_of_unicode_are_undone(void **state)
{
    static const char object[] = "{\"\":\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\\uffff.\"}";
    char *value = value_of(object, sizeof object - 1);

    assert_non_null(value);
    assert_string_equal(value, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf.");
    free(value);
}

static void test_what_is_not_flat_is_left_to_the_library(void **state)
{
    static const char *const others[] = {"",
                                         " ",
                                         "null",
                                         "[]",
                                         "\"x\"",
                                         "{}",
                                         "{\"a\":1}",
                                         "{\"a\":{}}",
                                         "{\"a\":[]}",
                                         "{\"a\":true}",
                                         "{\"a\":null}",
                                         "{\"\\u0041\":\"a\"}",
                                         "{\"a\":\"\\u0000\"}",
                                         "{\"a\":\"\\u004\"}",
                                         "{\"a\":\"\\u00g1\"}",
                                         "{\"a\":\"\\ud83d\"}",
                                         "{\"a\":\"\\ud83d\\n\"}",
                                         "{\"a\":\"\\ud83d\\u0041\"}",
                                         "{\"a\":\"\\ude00\\ud83d\"}",
                                         "{\"a\"}",
                                         "{a:\"b\"}",
                                         "{\"a\":\"b\",}",
                                         "{,}",
                                         "{\"a\" \"b\"}",
                                         "{\"a\":\"b\" \"c\":\"d\"}",
                                         "{\"a\":'b'}",
                                         "{\"a\":\"\\x\"}",
                                         "{\"a\":\"\t\"}",
                                         "{\"a\":\"\xff\"}",
                                         "{\"\xc3\":\"b\"}",
                                         "{\"a\":\"\xed\xa0\x80\"}"};
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (flat_read(others[i], strlen(others[i]), pairs, &n) != 0)
            fail_msg("read: %s", others[i]);
    assert_int_equal(flat_read("{\"a\":\"\0\"}", 9, pairs, &n), 0);
}

static void test_what_has_not_come_whole_is_not_read(void **state)
{
    static const char object[] = "{\"type\":\"chat\",\"data\":\"\\\\\\ud83d\\ude00\"}";
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n;

    for (size_t len = 0; len < sizeof object - 1; len++) {
        char *exact = malloc(len + !len); /* nothing behind it may be read */

        assert_non_null(exact);
        memcpy(exact, object, len);
        assert_int_equal(flat_read(exact, len, pairs, &n), 0);
        free(exact);
    }
    assert_int_equal(flat_read(object, sizeof object - 1, pairs, &n), sizeof object - 1);
}

static void test_eight_members_are_read_and_nine_are_not(void **state)
{
    static const char object[] =
        "{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\"}",
                      more[] = "{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":"
                               "\"\",\"8\":\"\",\"9\":\"\"}";
    struct flat_pair pairs[FLAT_MEMBERS_MAX];
    size_t n;

    assert_int_equal(flat_read(object, sizeof object - 1, pairs, &n), sizeof object - 1);
    assert_int_equal(n, FLAT_MEMBERS_MAX);
    assert_int_equal(flat_read(more, sizeof more - 1, pairs, &n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character_is_written_as_the_library_writes_it),
        cmocka_unit_test(test_members_are_written_in_order_but_those_without_a_value),
        cmocka_unit_test(test_an_object_is_read_with_white_space_and_without_what_follows),
        cmocka_unit_test(test_simple_escapes_are_undone),
        cmocka_unit_test(test_escapes_of_unicode_are_undone),
        cmocka_unit_test(test_what_is_not_flat_is_left_to_the_library),
        cmocka_unit_test(test_what_has_not_come_whole_is_not_read),
        cmocka_unit_test(test_eight_members_are_read_and_nine_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
