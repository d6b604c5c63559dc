/* conversation: entries, how they are folded and settled, and the lines that they make. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conversation.h"
#include "width.h"

#define NOON 1795262400000 /* 2026-11-21 12:00 UTC */
#define MINUTE 60000
#define DAY (24 * 60 * MINUTE)
#define WIDE 200

static struct conversation *seen;

static int set_up(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    seen = conversation_create("Ann");
    return 0;
}

static int tear_down(void **state)
{
    conversation_destroy(seen);
    return 0;
}

static bool say(const char *from, const char *text)
{
    return conversation_say(seen, &(struct saying){.from = from, .text = text, .at_ms = NOON});
}

static bool say_id(event_id id, const char *text)
{
    return conversation_say(seen, &(struct saying){.from = "Bob", .text = text, .id = id, .at_ms = NOON});
}

static void say_own(uint64_t number, const char *text)
{
    conversation_say(seen, &(struct saying){.from = "Ann", .text = text, .number = number, .at_ms = NOON});
}

/* The text of a line, with its indent; a buffer that the next call overwrites. */
static const char *line_text(unsigned width, size_t back)
{
    static char text[4096];
    struct line line;
    size_t len;

    if (!conversation_line(seen, width, back, &line))
        return NULL;
    len = (size_t)snprintf(text, sizeof text, "%*s", (int)line.indent, "");
    for (size_t i = 0; i < line.n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s", (int)line.spans[i].len,
                                line.spans[i].text);
    return text;
}

static void assert_line(unsigned width, size_t back, const char *wanted)
{
    const char *text = line_text(width, back);

    if (!text)
        fail_msg("there is no line %zu, wanted \"%s\"", back, wanted);
    assert_string_equal(text, wanted);
}

/* The style in which the text `part` of a line is, which must be one span. */
static enum style style_of(size_t back, const char *part)
{
    struct line line;

    assert_true(conversation_line(seen, WIDE, back, &line));
    for (size_t i = 0; i < line.n; i++)
        if (line.spans[i].len == strlen(part) && memcmp(line.spans[i].text, part, strlen(part)) == 0)
            return line.spans[i].style;
    fail_msg("\"%s\" is no span of \"%s\"", part, line_text(WIDE, back));
    return STYLE_PLAIN;
}

static unsigned colour_of(size_t back, const char *part)
{
    struct line line;

    assert_true(conversation_line(seen, WIDE, back, &line));
    for (size_t i = 0; i < line.n; i++)
        if (line.spans[i].len == strlen(part) && memcmp(line.spans[i].text, part, strlen(part)) == 0)
            return line.spans[i].colour;
    fail_msg("\"%s\" is no span", part);
    return 0;
}

/* Lines -------------------------------------------------------------------------------------------------- */

static void test_nothing_has_no_lines(void **state)
{
    assert_int_equal(conversation_lines(seen, WIDE), 0);
    assert_null(line_text(WIDE, 0));
}

static void test_a_message_has_time_name_and_text(void **state)
{
    say("Bob", "hello");
    assert_line(WIDE, 0, "12:00 Bob: hello");
    assert_int_equal(style_of(0, "12:00 "), STYLE_TIME);
    assert_int_equal(style_of(0, "Bob"), STYLE_NAME);
    assert_int_equal(style_of(0, "hello"), STYLE_PLAIN);
}

static void test_times_are_local(void **state)
{
    setenv("TZ", "XYZ-3", 1);
    tzset();
    say("Bob", "hello");
    assert_line(WIDE, 0, "15:00 Bob: hello");
}

static void test_a_day_is_a_line_of_its_own(void **state)
{
    say("Bob", "one");
    say("Bob", "two");
    conversation_say(seen, &(struct saying){.from = "Bob", .text = "three", .at_ms = NOON + DAY});
    assert_int_equal(conversation_lines(seen, WIDE), 5);
    assert_line(WIDE, 4, "- Sat 21 Nov 2026 -");
    assert_line(WIDE, 3, "12:00 Bob: one");
    assert_line(WIDE, 2, "12:00 Bob: two");
    assert_line(WIDE, 1, "- Sun 22 Nov 2026 -");
    assert_line(WIDE, 0, "12:00 Bob: three");
}

static void test_long_lines_break_between_words(void **state)
{
    say("Bob", "one two three four five six");
    assert_line(24, 1, "12:00 Bob: one two three");
    assert_line(24, 0, "      four five six");
    assert_line(23, 2, "12:00 Bob: one two");
    assert_line(23, 1, "      three four five");
    assert_line(23, 0, "      six");
}

static void test_a_word_that_fits_in_no_line_is_broken(void **state)
{
    say("Bob", "abcdefghijklmnopqrstuvwxyz0123456789");
    assert_line(20, 3, "12:00 Bob:");
    assert_line(20, 2, "      abcdefghijklmn");
    assert_line(20, 1, "      opqrstuvwxyz01");
    assert_line(20, 0, "      23456789");
}

static void test_wide_characters_break_anywhere(void **state)
{
    say("Bob", "漢字漢字漢字漢字漢字");
    assert_line(20, 1, "12:00 Bob: 漢字漢字");
    assert_line(20, 0, "      漢字漢字漢字");
}

static void test_lines_of_a_text_stay_lines(void **state)
{
    say("Bob", "if x:\n\ty = 1\n\nend");
    assert_line(WIDE, 3, "12:00 Bob: if x:");
    assert_line(WIDE, 2, "          y = 1");
    assert_line(WIDE, 1, "      ");
    assert_line(WIDE, 0, "      end");
}

static void test_tabs_become_blanks_up_to_the_next_stop(void **state)
{
    say("Bob", "\ta\tbcd\te");
    assert_line(WIDE, 0, "12:00 Bob:     a   bcd e");
}

static void test_nothing_is_wider_than_the_screen_or_lost(void **state)
{
    static const char text[] =
        "Ein kurzer Text,  mit 漢字 und re\xcc\x81mi und 👨\xe2\x80\x8d👩\xe2\x80\x8d👧 und "
        "Donaudampfschifffahrtsgesellschaft und     vielen Blanks 한글한글한글한글한글한글한글";
    char got[sizeof text], wanted[sizeof text];

    say("漢字漢字漢字漢字", text);
    for (unsigned width = 20; width < 150; width++) {
        size_t n = conversation_lines(seen, width) - 1, len = 0, kept = 0;

        for (size_t back = n; back-- > 0;) {
            struct line line;
            unsigned used;

            assert_true(conversation_line(seen, width, back, &line));
            used = line.indent;
            for (size_t i = 0; i < line.n; i++) {
                used += text_width(line.spans[i].text, line.spans[i].len);
                for (size_t at = 0; at < line.spans[i].len; at++)
                    if (line.spans[i].style == STYLE_PLAIN && line.spans[i].text[at] != ' ' &&
                        len < sizeof got)
                        got[len++] = line.spans[i].text[at];
            }
            if (used > width)
                fail_msg("%u columns in a line of %u", used, width);
        }
        wanted[kept++] = ':';
        for (const char *at = text; *at; at++)
            if (*at != ' ' && kept < sizeof wanted)
                wanted[kept++] = *at;
        assert_int_equal(len, kept);
        assert_memory_equal(got, wanted, len);
    }
}

static void test_a_line_is_found_again_when_more_has_come(void **state)
{
    struct line line;

    for (int i = 0; i < 10; i++)
        say("Bob", "one two three four five six");
    assert_true(conversation_line(seen, 24, 5, &line));
    assert_int_equal(conversation_back(seen, 24, line.entry, line.row), 5);
    say("Bob", "new");
    assert_int_equal(conversation_back(seen, 24, line.entry, line.row), 6);
    conversation_put_before(seen, &(struct saying){.from = "Bob", .text = "old", .id = 7, .at_ms = NOON}, 1);
    assert_int_equal(conversation_back(seen, 24, line.entry, line.row), 6);
    assert_int_equal(conversation_back(seen, WIDE, line.entry, line.row), 3); /* a line each now */
    assert_int_equal(conversation_back(seen, 24, -1000, 0), conversation_lines(seen, 24) - 1);
}

/* Names, mentions, directs ------------------------------------------------------------------------------- */

static void test_a_name_has_one_colour_always(void **state)
{
    say("Bob", "x");
    say("BOB", "x");
    say("Cid", "x");
    assert_int_equal(colour_of(2, "Bob"), colour_of(1, "BOB"));
    assert_in_range(colour_of(0, "Cid"), 0, CONVERSATION_COLOURS - 1);
}

static void test_ones_own_name_has_its_style(void **state)
{
    say("ANN", "x");
    assert_int_equal(style_of(0, "ANN"), STYLE_OWN);
}

static void test_mentions_are_whole_words_as_names_are_compared(void **state)
{
    static const char *const yes[] = {"Ann",      "ann",   "hello ann!", "@ANN: look", "Ann's", "I know Ann.",
                                      "(ａｎｎ)", "_Ann_", "x\nAnn",     "漢, ann",    "😀Ann"};
    static const char *const no[] = {"Anna", "joann", "ann-marie", "an n", "", "ann0", "Ånn", "annäh"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!say("Bob", yes[i]))
            fail_msg("no mention: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (say("Bob", no[i]))
            fail_msg("a mention: %s", no[i]);
    say("Bob", "hello Ann");
    assert_int_equal(style_of(0, "hello Ann"), STYLE_MENTION);
}

static void test_who_says_the_own_name_does_not_mention_oneself(void **state)
{
    assert_false(say("Ann", "I am Ann"));
    assert_int_equal(style_of(0, "I am Ann"), STYLE_PLAIN);
}

static void test_names_with_signs_are_mentioned(void **state)
{
    conversation_set_self(seen, "a.n-");
    assert_true(say("Bob", "hello a.n-, and"));
    assert_true(say("Bob", "hello A.N-."));
    assert_false(say("Bob", "hello a.n"));
    assert_false(say("Bob", "hello Ann"));
}

static void test_directs_are_marked(void **state)
{
    conversation_say(seen, &(struct saying){.from = "Bob", .to = "ann", .text = "psst", .at_ms = NOON});
    assert_line(WIDE, 0, "12:00 [direct] Bob: psst");
    assert_int_equal(style_of(0, "[direct] "), STYLE_DIRECT);
    conversation_say(seen, &(struct saying){.from = "Ann", .to = "Bob", .text = "yes?", .at_ms = NOON});
    assert_line(WIDE, 0, "12:00 [direct] Ann to Bob: yes?");
}

/* Joins and leaves --------------------------------------------------------------------------------------- */

static void test_one_who_comes_or_leaves_is_told(void **state)
{
    conversation_notice(seen, "Bob", true, NOON);
    assert_line(WIDE, 0, "12:00 Bob joined");
    say("Bob", "x");
    conversation_notice(seen, "Bob", false, NOON);
    assert_line(WIDE, 0, "12:00 Bob left");
    assert_int_equal(style_of(0, "Bob"), STYLE_NOTICE);
}

static void test_joins_and_leaves_are_folded(void **state)
{
    conversation_notice(seen, "Ann", true, NOON);
    conversation_notice(seen, "Bob", true, NOON + MINUTE);
    assert_line(WIDE, 0, "12:00 2 joined (Ann, Bob)");
    conversation_notice(seen, "Dan", false, NOON);
    conversation_notice(seen, "Cid", true, NOON);
    assert_line(WIDE, 0, "12:00 3 joined (Ann, Bob, Cid), 1 left (Dan)");
    assert_int_equal(conversation_lines(seen, WIDE), 2);
}

static void test_who_comes_twice_counts_once(void **state)
{
    conversation_notice(seen, "Ann", true, NOON);
    conversation_notice(seen, "Bob", true, NOON);
    conversation_notice(seen, "Ann", false, NOON);
    conversation_notice(seen, "Ann", true, NOON);
    assert_line(WIDE, 0, "12:00 2 joined (Ann, Bob), 1 left (Ann)");
}

static void test_leaves_alone_are_folded(void **state)
{
    conversation_notice(seen, "Ann", false, NOON);
    conversation_notice(seen, "Bob", false, NOON);
    assert_line(WIDE, 0, "12:00 2 left (Ann, Bob)");
}

static void test_what_is_between_ends_a_fold(void **state)
{
    conversation_notice(seen, "Ann", true, NOON);
    say("Bob", "x");
    conversation_notice(seen, "Cid", true, NOON);
    assert_line(WIDE, 0, "12:00 Cid joined");
    conversation_notice(seen, "Dan", true, NOON + DAY);
    assert_line(WIDE, 0, "12:00 Dan joined");
}

static void test_of_a_crowd_some_are_named(void **state)
{
    char name[16];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "p%d", i);
        conversation_notice(seen, name, true, NOON);
    }
    assert_line(WIDE, 0, "12:00 100 joined (p0, p1, p2, p3, p4, p5, p6, p7 and 92 more)");
}

/* The own sayings ---------------------------------------------------------------------------------------- */

static void test_what_is_not_accepted_yet_looks_so(void **state)
{
    say_own(1, "hello");
    assert_int_equal(style_of(0, "hello"), STYLE_PENDING);
    conversation_settle(seen, 1, id_make(NOON + MINUTE, 0, 0), NULL);
    assert_line(WIDE, 0, "12:01 Ann: hello");
    assert_int_equal(style_of(0, "hello"), STYLE_PLAIN);
    assert_int_equal(conversation_oldest(seen), id_make(NOON + MINUTE, 0, 0));
}

static void test_what_was_refused_says_why(void **state)
{
    say_own(1, "hello");
    conversation_settle(seen, 1, 0, "It is too long.");
    assert_line(WIDE, 0, "12:00 Ann: hello (not said: It is too long.)");
    assert_int_equal(style_of(0, " (not said: It is too long.)"), STYLE_ERROR);
    assert_int_equal(style_of(0, "hello"), STYLE_PLAIN);
}

static void test_of_what_came_meanwhile_there_is_one(void **state)
{
    say_own(1, "hello");
    say_id(77, "hello");
    conversation_settle(seen, 1, 77, NULL);
    assert_int_equal(conversation_lines(seen, WIDE), 2);
    assert_line(WIDE, 0, "12:00 Bob: hello");
}

static void test_what_has_no_fate_can_be_read(void **state)
{
    say_own(1, "on its way");
    say_own(2, "the other");
    assert_string_equal(conversation_pending(seen, 1), "on its way");
    assert_string_equal(conversation_pending(seen, 2), "the other");
    assert_null(conversation_pending(seen, 3));
    conversation_settle(seen, 1, 77, NULL);
    conversation_settle(seen, 2, 0, "no");
    assert_null(conversation_pending(seen, 1));
    assert_null(conversation_pending(seen, 2));
}

static void test_what_is_settled_does_not_come_again(void **state)
{
    say_own(1, "hello");
    conversation_settle(seen, 1, 77, NULL);
    assert_false(say_id(77, "Ann"));
    assert_int_equal(conversation_lines(seen, WIDE), 2);
}

static void test_a_number_that_is_not_there_changes_nothing(void **state)
{
    say_own(1, "hello");
    conversation_settle(seen, 2, 77, NULL);
    conversation_settle(seen, 2, 0, "no");
    assert_line(WIDE, 0, "12:00 Ann: hello");
    assert_int_equal(style_of(0, "hello"), STYLE_PENDING);
}

/* The history -------------------------------------------------------------------------------------------- */

static void test_a_page_goes_before_without_doubles(void **state)
{
    const struct saying page[] = {
        {.from = "Bob", .text = "one", .id = 1, .at_ms = NOON},
        {.from = "Bob", .text = "two", .id = 2, .at_ms = NOON},
        {.from = "Bob", .text = "three", .id = 3, .at_ms = NOON},
    };

    say_id(3, "three");
    say_id(4, "four");
    assert_int_equal(conversation_oldest(seen), 3);
    assert_int_equal(conversation_put_before(seen, page, 3), 2);
    assert_int_equal(conversation_put_before(seen, page, 3), 0);
    assert_int_equal(conversation_oldest(seen), 1);
    assert_int_equal(conversation_lines(seen, WIDE), 5);
    assert_line(WIDE, 3, "12:00 Bob: one");
    assert_line(WIDE, 2, "12:00 Bob: two");
    assert_line(WIDE, 1, "12:00 Bob: three");
}

static void test_a_direct_is_not_the_oldest(void **state)
{
    say_id(9, "x");
    conversation_say(seen, &(struct saying){.from = "Bob", .to = "Ann", .text = "y", .id = 5, .at_ms = NOON});
    assert_int_equal(conversation_oldest(seen), 9);
}

static void test_so_many_are_kept(void **state)
{
    char text[32];

    for (int i = 1; i <= CONVERSATION_MAX + 10; i++) {
        snprintf(text, sizeof text, "n%d", i);
        say_id((event_id)i, text);
    }
    assert_int_equal(conversation_lines(seen, WIDE), CONVERSATION_MAX + 1);
    assert_int_equal(conversation_oldest(seen), 11);
    assert_line(WIDE, CONVERSATION_MAX - 1, "12:00 Bob: n11");
    assert_int_equal(conversation_put_before(seen, &(struct saying){.from = "Bob", .text = "x", .id = 3}, 1),
                     0);
}

static void test_of_a_page_the_newest_are_put_as_far_as_there_is_room(void **state)
{
    const struct saying page[] = {
        {.from = "Bob", .text = "one", .id = 1, .at_ms = NOON},
        {.from = "Bob", .text = "two", .id = 2, .at_ms = NOON},
    };

    for (int i = 1; i < CONVERSATION_MAX; i++)
        say_id((event_id)i + 10, "x");
    assert_int_equal(conversation_put_before(seen, page, 2), 1);
    assert_int_equal(conversation_oldest(seen), 2);
}

static void test_what_the_client_says_may_have_lines(void **state)
{
    conversation_tell(seen, "one\ntwo", false, NOON);
    assert_line(WIDE, 1, "12:00 one");
    assert_line(WIDE, 0, "      two");
    conversation_tell(seen, "no", true, NOON);
    assert_int_equal(style_of(0, "no"), STYLE_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_has_no_lines),
        TEST(test_a_message_has_time_name_and_text),
        TEST(test_times_are_local),
        TEST(test_a_day_is_a_line_of_its_own),
        TEST(test_long_lines_break_between_words),
        TEST(test_a_word_that_fits_in_no_line_is_broken),
        TEST(test_wide_characters_break_anywhere),
        TEST(test_lines_of_a_text_stay_lines),
        TEST(test_tabs_become_blanks_up_to_the_next_stop),
        TEST(test_nothing_is_wider_than_the_screen_or_lost),
        TEST(test_a_line_is_found_again_when_more_has_come),
        TEST(test_a_name_has_one_colour_always),
        TEST(test_ones_own_name_has_its_style),
        TEST(test_mentions_are_whole_words_as_names_are_compared),
        TEST(test_who_says_the_own_name_does_not_mention_oneself),
        TEST(test_names_with_signs_are_mentioned),
        TEST(test_directs_are_marked),
        TEST(test_one_who_comes_or_leaves_is_told),
        TEST(test_joins_and_leaves_are_folded),
        TEST(test_who_comes_twice_counts_once),
        TEST(test_leaves_alone_are_folded),
        TEST(test_what_is_between_ends_a_fold),
        TEST(test_of_a_crowd_some_are_named),
        TEST(test_what_is_not_accepted_yet_looks_so),
        TEST(test_what_was_refused_says_why),
        TEST(test_of_what_came_meanwhile_there_is_one),
        TEST(test_what_has_no_fate_can_be_read),
        TEST(test_what_is_settled_does_not_come_again),
        TEST(test_a_number_that_is_not_there_changes_nothing),
        TEST(test_a_page_goes_before_without_doubles),
        TEST(test_a_direct_is_not_the_oldest),
        TEST(test_so_many_are_kept),
        TEST(test_of_a_page_the_newest_are_put_as_far_as_there_is_room),
        TEST(test_what_the_client_says_may_have_lines),
    };

    return cmocka_run_group_tests_name("conversation", tests, NULL, NULL);
}
