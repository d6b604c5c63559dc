/* width: characters and the columns that they take. */
#include "unit.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include <utf8proc.h>

#include "width.h"

static void assert_width(const char *text, unsigned wanted)
{
    unsigned width = text_width(text, strlen(text));

    if (width != wanted)
        fail_msg("\"%s\" takes %u columns, not %u", text, width, wanted);
}

static void assert_one(const char *text)
{
    size_t len = cluster_len(text, strlen(text));

    if (len != strlen(text))
        fail_msg("the first character of \"%s\" is of %zu bytes, not %zu", text, len, strlen(text));
}

static void test_ascii_takes_a_column_each(void **state)
{
    assert_width("", 0);
    assert_width("Hello, World!", 13);
}

static void test_wide_characters_take_two(void **state)
{
    assert_width("漢字", 4);
    assert_width("한글", 4);
    assert_width("Ａ", 2);
    assert_width("a漢b", 4);
    assert_width("żółć", 4);
}

static void test_marks_take_none_and_belong_to_what_is_before(void **state)
{
    assert_width("re\xcc\x81mi", 4);
    assert_one("e\xcc\x81");
    assert_one("e\xcc\x81\xcc\xa7");
    assert_width("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", 2); /* Hangul in parts */
    assert_one("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");
    assert_width("हिन्दी", 5); /* of its marks two have room of their own */
}

static void test_a_mark_without_a_base_is_not_drawn(void **state)
{
    struct cluster cluster;

    cluster_read("\xcc\x81", 2, &cluster);
    assert_int_equal(cluster.len, 2);
    assert_int_equal(cluster.width, 0);
    assert_int_equal(cluster.n, 0);
}

static void test_emoji_of_several_are_one_character_drawn_as_its_parts(void **state)
{
    static const char family[] = "👨\xe2\x80\x8d👩\xe2\x80\x8d👧";
    struct cluster cluster;

    assert_width("😀", 2);
    assert_one(family);
    cluster_read(family, strlen(family), &cluster);
    assert_int_equal(cluster.n, 3);
    assert_int_equal(cluster.shown[0], 0x1f468);
    assert_int_equal(cluster.shown[1], 0x1f469);
    assert_int_equal(cluster.shown[2], 0x1f467);
    assert_int_equal(cluster.width, 6);
}

static void test_skin_tones_and_selectors_are_not_drawn(void **state)
{
    assert_one("👍🏽");
    assert_width("👍🏽", 2);
    assert_one("\xe2\x9d\xa4\xef\xb8\x8f");
    assert_width("\xe2\x9d\xa4\xef\xb8\x8f", 1);
    assert_width("1\xef\xb8\x8f\xe2\x83\xa3", 1);
}

static void test_a_flag_is_one_character(void **state)
{
    assert_one("🇩🇪");
    assert_width("🇩🇪", 2);
    assert_int_equal(cluster_len("🇩🇪🇫🇷", strlen("🇩🇪🇫🇷")), strlen("🇩🇪"));
}

static void test_a_joiner_between_letters_stays(void **state)
{
    struct cluster cluster;

    cluster_read("क\xe0\xa5\x8d\xe2\x80\x8d", 9, &cluster);
    assert_int_equal(cluster.n, 3);
    assert_int_equal(cluster.width, 1);
}

static void test_controls_are_characters_that_can_be_seen(void **state)
{
    struct cluster cluster;

    assert_width("\033[31m", 5);
    assert_width("a\xc2\x9b", 2);
    assert_width("\t", 1);
    cluster_read("\033\xcc\x81", 3, &cluster); /* no mark stands on one */
    assert_int_equal(cluster.len, 1);
    assert_int_equal(cluster.shown[0], 0xfffd);
    cluster_read("\r\n", 2, &cluster);
    assert_int_equal(cluster.len, 1);
    cluster_read("\n", 1, &cluster);
    assert_int_equal(cluster.shown[0], 0x21b5);
}

static void test_what_is_not_utf8_is_a_byte_each(void **state)
{
    assert_width("\xff\xfe", 2);
    assert_width("a\xe6\xbc", 3); /* cut */
    assert_int_equal(cluster_len("\xff\xfe", 2), 1);
}

static void test_a_character_of_a_thousand_marks_is_one(void **state)
{
    char text[2002];
    struct cluster cluster;

    text[0] = 'a';
    for (size_t i = 1; i + 1 < sizeof text; i += 2) {
        text[i] = '\xcc';
        text[i + 1] = '\x81';
    }
    cluster_read(text, 2001, &cluster);
    assert_int_equal(cluster.len, 2001);
    assert_int_equal(cluster.n, CLUSTER_SHOWN_MAX);
    assert_int_equal(cluster.width, 1);
}

static void test_backwards_by_characters(void **state)
{
    static const char text[] = "a👨\xe2\x80\x8d👩é";

    assert_int_equal(cluster_before(text, strlen(text)), strlen(text) - 2);
    assert_int_equal(cluster_before(text, strlen(text) - 2), 1);
    assert_int_equal(cluster_before(text, 1), 0);
    assert_int_equal(cluster_before(text, 0), 0);
}

/* Trigrams and the like: Unicode 16 made them wide, so there it depends on whose tables are newer. */
static bool became_wide(int32_t c)
{
    return (c >= 0x2630 && c <= 0x2637) || (c >= 0x268a && c <= 0x268f) || (c >= 0x4dc0 && c <= 0x4dff) ||
           (c >= 0x1d300 && c <= 0x1d376);
}

/* The screen shows a sign in place of what they measure differently, so these must be few. */
static void test_the_c_library_measures_letters_alike(void **state)
{
    int differ = 0;

    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (int32_t c = ' '; c < 0x110000; c++) {
        utf8proc_category_t category = utf8proc_category(c);

        if (category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC ||
            category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO)
            continue;
        if (!became_wide(c) && wcwidth(c) >= 0 && wcwidth(c) != (int)char_width(c))
            differ++;
    }
    assert_in_range(differ, 0, 50); /* of 150,000: signs that are set before or around numbers, fillers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii_takes_a_column_each),
        cmocka_unit_test(test_wide_characters_take_two),
        cmocka_unit_test(test_marks_take_none_and_belong_to_what_is_before),
        cmocka_unit_test(test_a_mark_without_a_base_is_not_drawn),
        cmocka_unit_test(test_emoji_of_several_are_one_character_drawn_as_its_parts),
        cmocka_unit_test(test_skin_tones_and_selectors_are_not_drawn),
        cmocka_unit_test(test_a_flag_is_one_character),
        cmocka_unit_test(test_a_joiner_between_letters_stays),
        cmocka_unit_test(test_controls_are_characters_that_can_be_seen),
        cmocka_unit_test(test_what_is_not_utf8_is_a_byte_each),
        cmocka_unit_test(test_a_character_of_a_thousand_marks_is_one),
        cmocka_unit_test(test_backwards_by_characters),
        cmocka_unit_test(test_the_c_library_measures_letters_alike),
    };

    return cmocka_run_group_tests_name("width", tests, NULL, NULL);
}
