/* text: what may be said. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

static char text[3 * TEXT_MAX_BYTES];

static void assert_said(const char *given, const char *wanted)
{
    strcpy(text, given);
    if (!text_clean(text))
        fail_msg("refused: %s", given);
    assert_string_equal(text, wanted);
}

static void assert_not_said(const char *given)
{
    strcpy(text, given);
    if (text_clean(text))
        fail_msg("taken: %s", text);
}

static void test_a_text_stays_as_it_is(void **state)
{
    assert_said("Hello, World!", "Hello, World!");
    assert_said("  spaces \t stay  ", "  spaces \t stay  ");
    assert_said("żółć 한글 😀 \xe2\x80\x8b", "żółć 한글 😀 \xe2\x80\x8b");
}

static void test_line_ends_at_the_end_are_trimmed(void **state)
{
    assert_said("a\n", "a");
    assert_said("a\r\n", "a");
    assert_said("a\r", "a");
    assert_said("a\r\n\n\r\r\n", "a");
    assert_said("a \n", "a ");
}

static void test_line_ends_at_the_start_stay(void **state)
{
    assert_said("\na", "\na");
}

static void test_crlf_becomes_lf(void **state)
{
    assert_said("a\r\nb\r\n\r\nc", "a\nb\n\nc");
}

static void test_a_lone_cr_is_refused(void **state)
{
    assert_not_said("a\rb");
    assert_not_said("a\r\r\nb");
}

static void test_nothing_is_refused(void **state)
{
    assert_not_said("");
    assert_not_said("\n");
    assert_not_said("\r\n\r\n");
}

static void test_controls_are_refused_but_for_tab_and_lf(void **state)
{
    char given[4] = "a b";

    for (unsigned char c = 1; c < 0x20; c++) {
        given[1] = (char)c;
        if (c == '\t' || c == '\n')
            assert_said(given, given);
        else
            assert_not_said(given);
    }
}

static void test_del_and_c1_are_refused(void **state)
{
    char given[8];

    assert_not_said("a\x7f");
    for (unsigned c = 0x80; c <= 0x9f; c++) {
        snprintf(given, sizeof given, "a\xc2%c", (char)c);
        assert_not_said(given);
    }
    assert_said("\xc2\xa0", "\xc2\xa0");
}

static void test_line_and_paragraph_separators_are_refused(void **state)
{
    assert_not_said("a\xe2\x80\xa8");
    assert_not_said("\xe2\x80\xa9 b");
    assert_said("\xe2\x80\xa7", "\xe2\x80\xa7");
    assert_said("\xe2\x80\xaa", "\xe2\x80\xaa");
}

static void test_what_is_not_utf8_is_refused(void **state)
{
    static const char *const bad[] = {
        "\xff",        "a\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x9f\x98"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_not_said(bad[i]);
}

static void test_4096_bytes_after_trimming_and_no_more(void **state)
{
    memset(text, 'x', TEXT_MAX_BYTES);
    strcpy(text + TEXT_MAX_BYTES, "\r\n\r\n");
    assert_true(text_clean(text));
    assert_int_equal(strlen(text), TEXT_MAX_BYTES);

    memset(text, 'x', TEXT_MAX_BYTES + 1);
    text[TEXT_MAX_BYTES + 1] = '\0';
    assert_false(text_clean(text));
}

static void test_4096_bytes_count_lf_for_crlf(void **state)
{
    memset(text, 'x', TEXT_MAX_BYTES + 1);
    strcpy(text + TEXT_MAX_BYTES - 2, "\r\nyz");
    assert_int_equal(strlen(text), TEXT_MAX_BYTES + 2);
    assert_false(text_clean(text));

    memset(text, 'x', TEXT_MAX_BYTES + 1);
    strcpy(text + TEXT_MAX_BYTES - 2, "\r\ny");
    assert_true(text_clean(text));
    assert_int_equal(strlen(text), TEXT_MAX_BYTES);
}

static void test_lines_are_counted_by_what_is_between_them(void **state)
{
    assert_int_equal(text_lines("x"), 1);
    assert_int_equal(text_lines("x\ny"), 2);
    assert_int_equal(text_lines("x\n\ny"), 3);
}

static void test_utf8_is_told_from_what_is_not(void **state)
{
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("żółć", strlen("żółć")));
    assert_false(text_is_utf8("a\0b", 3));
    assert_false(text_is_utf8("\xc5\xbc", 1)); /* cut */
    assert_false(text_is_utf8("\xc0\x80", 2));
    assert_false(text_is_utf8("\xed\xb0\x80", 3));
}

static void test_what_is_not_utf8_is_found_wherever_it_stands(void **state)
{
    static const char *const bad[] = {"\xff", "\x80", "\xed\xa0\x80"};
    char bytes[24];

    for (size_t at = 0; at < sizeof bytes; at++) {
        memset(bytes, 'x', sizeof bytes);
        assert_true(text_is_utf8(bytes, sizeof bytes));
        bytes[at] = '\0';
        assert_false(text_is_utf8(bytes, sizeof bytes));
        for (size_t i = 0; i < sizeof bad / sizeof bad[0] && at + strlen(bad[i]) <= sizeof bytes; i++) {
            memset(bytes, 'x', sizeof bytes);
            memcpy(bytes + at, bad[i], strlen(bad[i]));
            assert_false(text_is_utf8(bytes, sizeof bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_stays_as_it_is),
        cmocka_unit_test(test_line_ends_at_the_end_are_trimmed),
        cmocka_unit_test(test_line_ends_at_the_start_stay),
        cmocka_unit_test(test_crlf_becomes_lf),
        cmocka_unit_test(test_a_lone_cr_is_refused),
        cmocka_unit_test(test_nothing_is_refused),
        cmocka_unit_test(test_controls_are_refused_but_for_tab_and_lf),
        cmocka_unit_test(test_del_and_c1_are_refused),
        cmocka_unit_test(test_line_and_paragraph_separators_are_refused),
        cmocka_unit_test(test_what_is_not_utf8_is_refused),
        cmocka_unit_test(test_4096_bytes_after_trimming_and_no_more),
        cmocka_unit_test(test_4096_bytes_count_lf_for_crlf),
        cmocka_unit_test(test_lines_are_counted_by_what_is_between_them),
        cmocka_unit_test(test_utf8_is_told_from_what_is_not),
        cmocka_unit_test(test_what_is_not_utf8_is_found_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
