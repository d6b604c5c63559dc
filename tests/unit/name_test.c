/* name: names and rooms in both their forms, and lanes. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "name.h"

static char folded[ROOM_MAX_BYTES];

/* `n` times `part`, in a buffer that the next call overwrites. */
static const char *times(size_t n, const char *part)
{
    static char text[4096];

    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        strcat(text, part);
    return text;
}

static void assert_folds(const char *given, const char *wanted)
{
    if (!name_fold(given, folded))
        fail_msg("refused: %s", given);
    assert_string_equal(folded, wanted);
}

static void test_names_fold_case(void **state)
{
    assert_folds("Alice", "alice");
    assert_folds("ÀÉÎ", "àéî");
    assert_folds("ΣΊΣΥΦΟΣ", "σίσυφοσ");
    assert_folds("Straße", "strasse");
    assert_folds("Ｗｉｄｅ", "wide");
}

static void test_names_of_any_script_and_digits_and_three_signs(void **state)
{
    static const char *const good[] = {"a",    "7",    "_",    "-", ".",        "a_b-c.d", "нaме",
                                       "名前", "한글", "नमस्ते", "٣", "ひらがな", "עברית"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!name_fold(good[i], folded))
            fail_msg("refused: %s", good[i]);
}

/* Names of ASCII alone take a way of their own: it must be as strict. */
static void test_ascii_folds_as_all_of_unicode_does(void **state)
{
    for (int c = 1; c < 0x80; c++) {
        char given[] = {'x', (char)c, 'Y', '\0'};
        utf8proc_uint8_t *wanted = utf8proc_NFKC_Casefold((const utf8proc_uint8_t *)given);
        utf8proc_category_t category = utf8proc_category(c);

        assert_non_null(wanted);
        if (category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
            category == UTF8PROC_CATEGORY_ND || strchr("_-.", c))
            assert_folds(given, (const char *)wanted);
        else
            assert_false(name_fold(given, folded));
        free(wanted);
    }
}

static void test_composed_and_decomposed_are_one_name(void **state)
{
    char other[NAME_MAX_BYTES];

    assert_folds("re\xcc\x81mi", "r\xc3\xa9mi");
    assert_true(name_fold("r\xc3\xa9mi", other));
    assert_string_equal(folded, other);
}

static void test_signs_spaces_controls_and_emoji_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "a b",
                                      "a\tb",
                                      "a\nb",
                                      "\x1b[31m",
                                      "a\x7f",
                                      "\xc2\x85",
                                      "\xc2\xa0",
                                      "a:b",
                                      "a/b",
                                      "{a}",
                                      "a@b",
                                      "#a",
                                      "\"",
                                      "a,b",
                                      "😀",
                                      "\xe2\x80\xae",
                                      "½",
                                      "²",
                                      "Ⅷ",
                                      "\xe2\x80\x8b",
                                      "\xef\xbb\xbf",
                                      "\xe3\x80\x80"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (name_fold(bad[i], folded))
            fail_msg("taken: \"%s\" as \"%s\"", bad[i], folded);
}

static void test_what_is_not_utf8_is_refused(void **state)
{
    static const char *const bad[] = {
        "\xff", "a\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(name_fold(bad[i], folded));
        assert_false(room_fold(bad[i], folded));
    }
}

static void test_a_letter_that_folds_into_a_sign_is_refused(void **state)
{
    assert_false(name_fold("\xcd\xba", folded)); /* U+037A, a letter, folds to a space and an iota */
}

static void test_the_span_of_a_name_ends_at_what_may_not_stand_in_one(void **state)
{
    assert_int_equal(name_span("Alice: hello"), 5);
    assert_int_equal(name_span("a_b-c.d!"), 7);
    assert_int_equal(name_span("re\xcc\x81mi "), 6);
    assert_int_equal(name_span("名前"), 6);
    assert_int_equal(name_span("@Alice"), 0);
    assert_int_equal(name_span(""), 0);
    assert_int_equal(name_span("a\xc3"), 1);
    assert_int_equal(name_span("\x80 a"), 0);
}

static void test_names_of_32_characters_and_no_more(void **state)
{
    assert_true(name_fold(times(32, "a"), folded));
    assert_false(name_fold(times(33, "a"), folded));
    assert_true(name_fold(times(32, "\xf0\x90\x8d\x88"), folded)); /* 4 bytes each */
    assert_int_equal(strlen(folded), 128);
    assert_false(name_fold(times(33, "\xf0\x90\x8d\x88"), folded));
}

static void test_rooms_of_64_characters_and_no_more(void **state)
{
    assert_true(room_fold(times(64, "a"), folded));
    assert_false(room_fold(times(65, "a"), folded));
    assert_true(room_fold(times(64, "\xf0\x90\x8d\x88"), folded));
    assert_false(room_fold(times(65, "\xf0\x90\x8d\x88"), folded));
}

static void test_the_folded_form_has_the_same_limit(void **state)
{
    assert_true(name_fold(times(16, "ß"), folded)); /* "ss" each */
    assert_false(name_fold(times(17, "ß"), folded));
    assert_false(
        name_fold(times(2, "\xef\xb7\xba"), folded)); /* U+FDFA: 18 characters, some of them spaces */
}

static void test_server_is_no_name_in_any_disguise(void **state)
{
    static const char *const disguises[] = {"server",
                                            "SERVER",
                                            "Server",
                                            "ｓｅｒｖｅｒ",
                                            "ＳＥＲＶＥＲ",
                                            "ſerver",
                                            "ser\xef\xb8\x8fver",
                                            "ser\xcd\x8fver",
                                            "𝐬𝐞𝐫𝐯𝐞𝐫",
                                            "serᵛer",
                                            "\xef\xb8\x80server"};

    for (size_t i = 0; i < sizeof disguises / sizeof disguises[0]; i++)
        if (name_fold(disguises[i], folded))
            fail_msg("taken: %s as %s", disguises[i], folded);
}

static void test_names_near_server_are_names(void **state)
{
    assert_folds("servers", "servers");
    assert_folds("server.", "server.");
    assert_true(room_fold("server", folded));
}

static void test_variation_selectors_alone_are_no_name(void **state)
{
    assert_false(name_fold("\xef\xb8\x8f", folded));
    assert_false(name_fold("\xef\xb8\x8f\xef\xb8\x8e\xcd\x8f", folded));
    assert_false(room_fold("\xef\xb8\x8f", folded));
}

static void test_folding_a_folded_name_changes_nothing(void **state)
{
    char given[8], again[ROOM_MAX_BYTES];
    unsigned names = 0;

    for (utf8proc_int32_t c = 1; c <= 0x10ffff; c++) {
        utf8proc_ssize_t len;

        if (!utf8proc_codepoint_valid(c))
            continue;
        len = utf8proc_encode_char(c, (utf8proc_uint8_t *)given);
        given[len] = '\0';
        if (!room_fold(given, folded))
            continue;
        names++;
        if (!room_fold(folded, again) || strcmp(folded, again) != 0)
            fail_msg("U+%04X folds to %s, and that to %s", (unsigned)c, folded, again);
    }
    assert_true(names > 100000);
}

static void test_a_refused_name_leaves_the_buffer_alone(void **state)
{
    strcpy(folded, "before");
    assert_false(name_fold("a b", folded));
    assert_string_equal(folded, "before");
}

static void test_lanes_are_crc_16_xmodem_mod_8(void **state)
{
    assert_int_equal(lane_of("123456789"), 0x31C3 % 8);
    assert_int_equal(lane_of(""), 0);
    assert_int_equal(lane_of("lobby"), 6);
    assert_int_equal(lane_of("dev"), 5);
}

static void test_lanes_spread(void **state)
{
    unsigned counts[8] = {0};
    char name[32];

    for (unsigned i = 0; i < 8000; i++) {
        snprintf(name, sizeof name, "room-%u", i);
        counts[lane_of(name)]++;
    }
    for (unsigned lane = 0; lane < 8; lane++)
        assert_in_range(counts[lane], 800, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_fold_case),
        cmocka_unit_test(test_names_of_any_script_and_digits_and_three_signs),
        cmocka_unit_test(test_ascii_folds_as_all_of_unicode_does),
        cmocka_unit_test(test_composed_and_decomposed_are_one_name),
        cmocka_unit_test(test_signs_spaces_controls_and_emoji_are_refused),
        cmocka_unit_test(test_what_is_not_utf8_is_refused),
        cmocka_unit_test(test_a_letter_that_folds_into_a_sign_is_refused),
        cmocka_unit_test(test_the_span_of_a_name_ends_at_what_may_not_stand_in_one),
        cmocka_unit_test(test_names_of_32_characters_and_no_more),
        cmocka_unit_test(test_rooms_of_64_characters_and_no_more),
        cmocka_unit_test(test_the_folded_form_has_the_same_limit),
        cmocka_unit_test(test_server_is_no_name_in_any_disguise),
        cmocka_unit_test(test_names_near_server_are_names),
        cmocka_unit_test(test_variation_selectors_alone_are_no_name),
        cmocka_unit_test(test_folding_a_folded_name_changes_nothing),
        cmocka_unit_test(test_a_refused_name_leaves_the_buffer_alone),
        cmocka_unit_test(test_lanes_are_crc_16_xmodem_mod_8),
        cmocka_unit_test(test_lanes_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
