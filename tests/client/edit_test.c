/* edit: the line that is typed, its history, and what of it is seen. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "edit.h"
#include "width.h"

#define FAMILY "👨\xe2\x80\x8d👩\xe2\x80\x8d👧"

static struct edit *edit;

static int set_up(void **state)
{
    edit = edit_create();
    return 0;
}

static int tear_down(void **state)
{
    edit_destroy(edit);
    return 0;
}

static void type(const char *text)
{
    assert_true(edit_insert(edit, text, strlen(text)));
}

static void press(enum edit_key key, int times)
{
    while (times-- > 0)
        edit_key(edit, key);
}

/* `wanted` has a "|" where the cursor is. */
static void assert_edit(const char *wanted)
{
    char got[EDIT_MAX_BYTES + 2];
    size_t cursor;
    const char *text = edit_text(edit, &cursor);

    snprintf(got, sizeof got, "%.*s|%s", (int)cursor, text, text + cursor);
    assert_string_equal(got, wanted);
}

static void test_what_is_typed_is_there(void **state)
{
    assert_edit("|");
    type("hel");
    type("lo");
    assert_edit("hello|");
}

static void test_moves(void **state)
{
    type("abc");
    press(EDIT_LEFT, 2);
    assert_edit("a|bc");
    press(EDIT_RIGHT, 1);
    assert_edit("ab|c");
    press(EDIT_HOME, 1);
    press(EDIT_LEFT, 3);
    assert_edit("|abc");
    press(EDIT_END, 1);
    press(EDIT_RIGHT, 3);
    assert_edit("abc|");
    press(EDIT_LEFT, 1);
    type("漢");
    assert_edit("ab漢|c");
}

static void test_a_character_of_several_is_one(void **state)
{
    type("a" FAMILY "e\xcc\x81z");
    press(EDIT_LEFT, 2);
    assert_edit("a" FAMILY "|e\xcc\x81z");
    press(EDIT_LEFT, 1);
    assert_edit("a|" FAMILY "e\xcc\x81z");
    press(EDIT_DELETE, 1);
    assert_edit("a|e\xcc\x81z");
    press(EDIT_RIGHT, 1);
    press(EDIT_BACKSPACE, 1);
    assert_edit("a|z");
}

static void test_a_mark_joins_what_is_before(void **state)
{
    type("xe");
    type("\xcc\x81");
    assert_edit("xe\xcc\x81|");
    press(EDIT_LEFT, 1);
    assert_edit("x|e\xcc\x81");
}

static void test_the_cursor_is_never_within_a_character(void **state)
{
    type("e\n\xcc\x81");
    press(EDIT_HOME, 1);
    press(EDIT_RIGHT, 1);
    press(EDIT_DELETE, 1);
    assert_edit("e\xcc\x81|");
}

static void test_words(void **state)
{
    type("one, two  drei-vier");
    press(EDIT_WORD_LEFT, 1);
    assert_edit("one, two  |drei-vier");
    press(EDIT_WORD_LEFT, 2);
    assert_edit("|one, two  drei-vier");
    press(EDIT_WORD_LEFT, 1);
    press(EDIT_WORD_RIGHT, 1);
    assert_edit("one|, two  drei-vier");
    press(EDIT_WORD_RIGHT, 5);
    assert_edit("one, two  drei-vier|");
}

static void test_kills_and_yanks(void **state)
{
    type("one two three");
    press(EDIT_KILL_WORD, 1);
    assert_edit("one two |");
    press(EDIT_YANK, 2);
    assert_edit("one two threethree|");
    press(EDIT_HOME, 1);
    press(EDIT_RIGHT, 3);
    press(EDIT_KILL_TO_END, 1);
    assert_edit("one|");
    press(EDIT_KILL_TO_START, 1);
    assert_edit("|");
    press(EDIT_YANK, 1);
    assert_edit("one two threethree|");
}

static void test_kills_that_follow_one_another_are_one(void **state)
{
    type("one two three");
    press(EDIT_KILL_WORD, 2);
    assert_edit("one |");
    press(EDIT_YANK, 1);
    assert_edit("one two three|");
    press(EDIT_KILL_WORD, 1);
    press(EDIT_LEFT, 1);
    press(EDIT_KILL_WORD, 1);
    press(EDIT_END, 1);
    press(EDIT_YANK, 1);
    assert_edit("one  two|");
}

static void test_what_is_typed_between_two_kills_parts_them(void **state)
{
    type("one two");
    press(EDIT_KILL_WORD, 1);
    type("three");
    press(EDIT_KILL_WORD, 1);
    press(EDIT_YANK, 1);
    assert_edit("one three|");
}

static void test_nothing_killed_leaves_what_was(void **state)
{
    type("a");
    press(EDIT_KILL_WORD, 1);
    press(EDIT_HOME, 1);
    press(EDIT_KILL_TO_START, 1);
    press(EDIT_YANK, 1);
    assert_edit("a|");
}

static void test_transpose(void **state)
{
    press(EDIT_TRANSPOSE, 1);
    type("a");
    press(EDIT_TRANSPOSE, 1);
    assert_edit("a|");
    type("漢c");
    press(EDIT_TRANSPOSE, 1);
    assert_edit("ac漢|");
    press(EDIT_HOME, 1);
    press(EDIT_TRANSPOSE, 1);
    assert_edit("|ac漢");
    press(EDIT_RIGHT, 1);
    press(EDIT_TRANSPOSE, 1);
    assert_edit("ca|漢");
}

static void test_controls_are_left_out(void **state)
{
    type("a\033[31m\x7f\xc2\x9b"
         "b\tc\nd\r");
    assert_edit("a[31mb c\nd|");
}

static void test_what_is_no_text_is_refused(void **state)
{
    assert_false(edit_insert(edit, "a\xff", 2));
    assert_false(edit_insert(edit, "a\0b", 3));
    assert_true(edit_insert(edit, "", 0));
    assert_edit("|");
}

static void test_too_much_is_refused(void **state)
{
    char text[EDIT_MAX_BYTES + 1];

    memset(text, 'x', sizeof text);
    assert_false(edit_insert(edit, text, sizeof text));
    assert_edit("|");
    assert_true(edit_insert(edit, text, EDIT_MAX_BYTES));
    assert_false(edit_insert(edit, "y", 1));
    press(EDIT_KILL_TO_START, 1);
    press(EDIT_YANK, 2);
    assert_int_equal(strlen(edit_text(edit, NULL)), EDIT_MAX_BYTES);
}

static void test_replace(void **state)
{
    type("hello an there");
    press(EDIT_LEFT, 6);
    edit_replace(edit, 2, "Ann");
    assert_edit("hello Ann| there");
    edit_replace(edit, 100, "x");
    assert_edit("hello Ann| there");
}

static void test_what_is_replaced_before_a_mark_is_one_with_it(void **state)
{
    type("\u0301");
    press(EDIT_HOME, 1);
    edit_replace(edit, 0, "e");
    assert_edit("e\u0301|");
}

static void test_the_history(void **state)
{
    type("one");
    edit_clear(edit, true);
    type("two");
    edit_clear(edit, true);
    edit_clear(edit, true);
    type("two");
    edit_clear(edit, true);
    type("secret");
    edit_clear(edit, false);
    type("thr");
    press(EDIT_OLDER, 1);
    assert_edit("two|");
    press(EDIT_OLDER, 5);
    assert_edit("one|");
    press(EDIT_NEWER, 1);
    assert_edit("two|");
    press(EDIT_NEWER, 5);
    assert_edit("thr|");
}

static void test_an_older_line_said_again_is_the_newest(void **state)
{
    type("one");
    edit_clear(edit, true);
    type("two");
    edit_clear(edit, true);
    press(EDIT_OLDER, 2);
    type("!");
    edit_clear(edit, true);
    assert_edit("|");
    press(EDIT_OLDER, 1);
    assert_edit("one!|");
    press(EDIT_OLDER, 2);
    assert_edit("one|");
}

static void test_so_many_are_remembered(void **state)
{
    char text[32];

    for (int i = 0; i < EDIT_HISTORY_MAX + 3; i++) {
        snprintf(text, sizeof text, "n%d", i);
        type(text);
        edit_clear(edit, true);
    }
    press(EDIT_OLDER, EDIT_HISTORY_MAX + 3);
    assert_edit("n3|");
}

static void assert_window(unsigned width, const char *wanted, unsigned wanted_column)
{
    size_t from, to;
    unsigned column;
    char got[EDIT_MAX_BYTES + 1];

    edit_window(edit, width, &from, &to, &column);
    snprintf(got, sizeof got, "%.*s", (int)(to - from), edit_text(edit, NULL) + from);
    assert_string_equal(got, wanted);
    assert_int_equal(column, wanted_column);
}

static void test_a_line_that_fits_is_seen_whole(void **state)
{
    assert_window(10, "", 0);
    type("a漢b\nc");
    assert_window(10, "a漢b\nc", 6);
    press(EDIT_LEFT, 3);
    assert_window(10, "a漢b\nc", 3);
}

static void test_of_a_longer_line_what_is_about_the_cursor(void **state)
{
    type("0123456789abcdef");
    assert_window(10, "abcdef", 6);
    press(EDIT_HOME, 1);
    assert_window(10, "0123456789", 0);
    press(EDIT_RIGHT, 9);
    assert_window(10, "0123456789", 9);
    press(EDIT_RIGHT, 1);
    assert_window(10, "56789abcde", 5);
}

static void test_the_cursor_is_seen_at_any_width(void **state)
{
    type("漢a" FAMILY "字\nx漢漢漢漢 e\xcc\x81 end");
    for (unsigned width = 7; width < 60; width++) {
        press(EDIT_HOME, 1);
        for (int i = 0; i < 20; i++, press(EDIT_RIGHT, 1)) {
            size_t from, to, cursor;
            unsigned column;
            const char *text = edit_text(edit, &cursor);

            edit_window(edit, width, &from, &to, &column);
            assert_in_range(column, 0, width - 1);
            assert_in_range(cursor, from, to);
            assert_in_range(text_width(text + from, to - from), 0, width);
            assert_int_equal(text_width(text + from, cursor - from), column);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_typed_is_there),
        TEST(test_moves),
        TEST(test_a_character_of_several_is_one),
        TEST(test_a_mark_joins_what_is_before),
        TEST(test_the_cursor_is_never_within_a_character),
        TEST(test_words),
        TEST(test_kills_and_yanks),
        TEST(test_kills_that_follow_one_another_are_one),
        TEST(test_what_is_typed_between_two_kills_parts_them),
        TEST(test_nothing_killed_leaves_what_was),
        TEST(test_transpose),
        TEST(test_controls_are_left_out),
        TEST(test_what_is_no_text_is_refused),
        TEST(test_too_much_is_refused),
        TEST(test_replace),
        TEST(test_what_is_replaced_before_a_mark_is_one_with_it),
        TEST(test_the_history),
        TEST(test_an_older_line_said_again_is_the_newest),
        TEST(test_so_many_are_remembered),
        TEST(test_a_line_that_fits_is_seen_whole),
        TEST(test_of_a_longer_line_what_is_about_the_cursor),
        TEST(test_the_cursor_is_seen_at_any_width),
    };

    return cmocka_run_group_tests_name("edit", tests, NULL, NULL);
}
