/* command: what is typed with a slash, and how it is completed. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static void assert_reads(const char *line, enum command_kind kind, const char *name, const char *text)
{
    struct command command;

    command_read(line, &command);
    if (command.kind != kind)
        fail_msg("%s is read as %d (%s)", line, command.kind, command.text ? command.text : "");
    if (name)
        assert_string_equal(command.name, name);
    else
        assert_null(command.name);
    if (text)
        assert_string_equal(command.text, text);
    else
        assert_null(command.text);
    command_finish(&command);
}

static void assert_wrong(const char *line, const char *part)
{
    struct command command;

    command_read(line, &command);
    assert_int_equal(command.kind, COMMAND_WRONG);
    if (!strstr(command.text, part))
        fail_msg("%s: %s", line, command.text);
    assert_null(command.name);
    command_finish(&command);
}

static void test_what_has_no_slash_is_said(void **state)
{
    assert_reads("hello /join", COMMAND_SAY, NULL, "hello /join");
    assert_reads(" /join dev", COMMAND_SAY, NULL, " /join dev");
    assert_reads("//x y", COMMAND_SAY, NULL, "/x y");
}

static void test_commands(void **state)
{
    assert_reads("/join dev", COMMAND_JOIN, "dev", NULL);
    assert_reads("/JOIN  Dev ", COMMAND_JOIN, "Dev", NULL);
    assert_reads("/leave", COMMAND_LEAVE, NULL, NULL);
    assert_reads("/leave dev", COMMAND_LEAVE, "dev", NULL);
    assert_reads("/who", COMMAND_WHO, NULL, NULL);
    assert_reads("/who dev", COMMAND_WHO, "dev", NULL);
    assert_reads("/rooms", COMMAND_ROOMS, NULL, NULL);
    assert_reads("/msg Bob hello  there", COMMAND_MSG, "Bob", "hello  there");
    assert_reads("/history", COMMAND_HISTORY, NULL, NULL);
    assert_reads("/history Bob", COMMAND_HISTORY, "Bob", NULL);
    assert_reads("/register", COMMAND_REGISTER, NULL, NULL);
    assert_reads("/help", COMMAND_HELP, NULL, NULL);
    assert_reads("/quit ", COMMAND_QUIT, NULL, NULL);
}

static void test_what_is_wrong_says_how_it_goes(void **state)
{
    assert_wrong("/", "/help");
    assert_wrong("/foo bar", "/foo");
    assert_wrong("/joi dev", "/joi:");
    assert_wrong("/join", "/join ROOM");
    assert_wrong("/join a b", "/join ROOM");
    assert_wrong("/join a/b", "a/b");
    assert_wrong("/msg", "/msg NAME TEXT");
    assert_wrong("/msg Bob ", "/msg NAME TEXT");
    assert_wrong("/msg b@b x", "b@b");
    assert_wrong("/msg server x", "server");
    assert_wrong("/rooms all", "/rooms");
    assert_wrong("/register secret", "no password");
}

static void test_a_wrong_word_of_any_length_is_told(void **state)
{
    char line[4000] = "/join ";

    for (size_t at = 6; at + 3 < sizeof line; at += 3)
        memcpy(line + at, "漢", 4);
    assert_wrong(line, "漢漢");
}

static void test_help_is_one_screen(void **state)
{
    const char *help = command_help();
    size_t lines = 1, columns = 0;

    for (const char *at = help; *at; at++) {
        columns = *at == '\n' ? 0 : columns + 1;
        lines += *at == '\n';
        assert_in_range(columns, 0, 73); /* with the indent of a conversation 79 */
    }
    assert_in_range(lines, 10, 20);
    for (const char *const *verb = (const char *const[]){"/join", "/leave", "/who", "/rooms", "/msg",
                                                         "/history", "/register", "/help", "/quit", NULL};
         *verb; verb++)
        assert_non_null(strstr(help, *verb));
}

/* Completion --------------------------------------------------------------------------------------------- */

static const char *const *people_here;

static void give(const char *const *names, void (*each)(void *to, const char *name), void *to)
{
    for (; *names; names++)
        each(to, *names);
}

static void people(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    give(people_here, each, to);
}

static void rooms(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    give((const char *const[]){"lobby", "dev", "dev-ops", "Music", NULL}, each, to);
}

/* Completes at the "|" in `line`, and compares the whole line then. */
static void assert_completes(const char *line, const char *wanted, const char *wanted_choices)
{
    const struct completion_source source = {.people = people, .rooms = rooms};
    size_t cursor = strcspn(line, "|"), replaced;
    char given[256], got[512], *by, *choices;

    snprintf(given, sizeof given, "%.*s%s", (int)cursor, line, line + cursor + 1);
    replaced = command_complete(given, cursor, &source, &by, &choices);
    assert_in_range(replaced, 0, cursor);
    snprintf(got, sizeof got, "%.*s%s|%s", (int)(cursor - replaced), given, by ? by : "", given + cursor);
    assert_string_equal(got, wanted);
    if (wanted_choices) {
        assert_non_null(choices);
        assert_string_equal(choices, wanted_choices);
    } else {
        assert_null(choices);
    }
    free(by);
    free(choices);
}

static int set_up(void **state)
{
    static const char *const names[] = {"Alice", "alan", "Bob", "Ærø", "한글", NULL};

    people_here = names;
    return 0;
}

static void test_one_that_fits(void **state)
{
    assert_completes("Bo|", "Bob: |", NULL);
    assert_completes("bob|", "Bob: |", NULL);
    assert_completes("hello b|", "hello Bob |", NULL);
    assert_completes("hello (b|", "hello (Bob |", NULL);
    assert_completes("hello b| there", "hello Bob| there", NULL);
    assert_completes("æ|", "Ærø: |", NULL);
    assert_completes("한|", "한글: |", NULL);
}

static void test_several_that_fit(void **state)
{
    assert_completes("a|", "Al|", "Alice alan");
    assert_completes("hello AL|", "hello AL|", "Alice alan");
    assert_completes("ali|", "Alice: |", NULL);
}

static void test_none_that_fits(void **state)
{
    assert_completes("x|", "x|", NULL);
    assert_completes("|", "|", NULL);
    assert_completes("hello |", "hello |", NULL);
    assert_completes("/x|", "/x|", NULL);
    assert_completes("/join x|", "/join x|", NULL);
    assert_completes("👨|", "👨|", NULL);
}

static void test_commands_are_completed(void **state)
{
    assert_completes("/j|", "/join |", NULL);
    assert_completes("/J|", "/join |", NULL);
    assert_completes("/r|", "/r|", "register rooms");
    assert_completes("/h|", "/h|", "help history");
    assert_completes("/he|", "/help |", NULL);
    assert_completes("/|", "/|", "help history join leave msg quit register rooms who");
}

static void test_rooms_are_completed_behind_what_takes_one(void **state)
{
    assert_completes("/join d|", "/join dev|", "dev dev-ops");
    assert_completes("/JOIN lo|", "/JOIN lobby |", NULL);
    assert_completes("/leave mu|", "/leave Music |", NULL);
    assert_completes("/who dev-|", "/who dev-ops |", NULL);
}

static void test_people_are_completed_elsewhere(void **state)
{
    assert_completes("/msg b|", "/msg Bob |", NULL);
    assert_completes("/history b|", "/history Bob |", NULL);
    assert_completes("/history |", "/history |", "Alice Bob alan Ærø 한글");
    assert_completes("/msg |", "/msg |", "Alice Bob alan Ærø 한글");
    assert_completes("/msg Bob ali|", "/msg Bob Alice |", NULL);
    assert_completes("//join b|", "//join Bob |", NULL);
}

static void test_names_that_are_the_same_folded_are_one(void **state)
{
    static const char *const same[] = {"Straße", "STRASSE", NULL};
    static const char *const near[] = {"Straße", "strasse2", NULL};

    people_here = same;
    assert_completes("str|", "Straße: |", NULL);
    people_here = near;
    assert_completes("stra|", "Straße|", "Straße strasse2");
}

static void test_a_long_list_is_cut(void **state)
{
    const struct completion_source source = {.people = people, .rooms = rooms};
    char names[COMMAND_CHOICES_MAX + 10][8], *by, *choices;
    const char *all[COMMAND_CHOICES_MAX + 11] = {NULL};

    for (size_t i = 0; i < COMMAND_CHOICES_MAX + 10; i++) {
        snprintf(names[i], sizeof names[i], "p%03zu", i);
        all[i] = names[i];
    }
    people_here = all;
    assert_int_equal(command_complete("p", 1, &source, &by, &choices), 1);
    assert_string_equal(by, "p0");
    assert_non_null(strstr(choices, "p049 and 10 more"));
    free(by);
    free(choices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_no_slash_is_said),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_what_is_wrong_says_how_it_goes),
        cmocka_unit_test(test_a_wrong_word_of_any_length_is_told),
        cmocka_unit_test(test_help_is_one_screen),
        cmocka_unit_test_setup(test_one_that_fits, set_up),
        cmocka_unit_test_setup(test_several_that_fit, set_up),
        cmocka_unit_test_setup(test_none_that_fits, set_up),
        cmocka_unit_test_setup(test_commands_are_completed, set_up),
        cmocka_unit_test_setup(test_rooms_are_completed_behind_what_takes_one, set_up),
        cmocka_unit_test_setup(test_people_are_completed_elsewhere, set_up),
        cmocka_unit_test_setup(test_names_that_are_the_same_folded_are_one, set_up),
        cmocka_unit_test_setup(test_a_long_list_is_cut, set_up),
    };

    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
