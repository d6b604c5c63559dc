#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dialect.h"

static void a_dialect_is_found_by_its_name(void **state)
{
    for (int i = 0; dialects[i]; i++)
        assert_int_equal(dialect_find(dialects[i]->name, strlen(dialects[i]->name)), i);
    assert_true(dialect_find("json://", 4) >= 0);
}

static void another_name_is_not_found(void **state)
{
    assert_int_equal(dialect_find("js", 2), -1);
    assert_int_equal(dialect_find("jsonl", 5), -1);
    assert_int_equal(dialect_find("", 0), -1);
}

static void the_table_ends_with_null(void **state)
{
    assert_null(dialects[DIALECTS_MAX - 1]);
}

static void every_error_has_a_name_of_its_own(void **state)
{
    for (int i = ERROR_NONE; i <= ERROR_SHUTTING_DOWN; i++) {
        assert_non_null(error_name((enum error_code)i));
        for (int j = ERROR_NONE; j < i; j++)
            assert_string_not_equal(error_name((enum error_code)i), error_name((enum error_code)j));
    }
}

static void every_error_has_a_sentence_in_one_line(void **state)
{
    for (int i = ERROR_NONE; i <= ERROR_SHUTTING_DOWN; i++) {
        const char *sentence = error_sentence((enum error_code)i);

        assert_non_null(sentence);
        assert_true(strlen(sentence) > 5);
        assert_null(strchr(sentence, '\n'));
    }
}

static void a_decoder_that_is_not_there_can_be_destroyed(void **state)
{
    for (int i = 0; dialects[i]; i++)
        dialects[i]->codec_destroy(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dialect_is_found_by_its_name),
        cmocka_unit_test(another_name_is_not_found),
        cmocka_unit_test(the_table_ends_with_null),
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(every_error_has_a_sentence_in_one_line),
        cmocka_unit_test(a_decoder_that_is_not_there_can_be_destroyed),
    };

    return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
