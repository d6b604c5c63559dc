/* speech: what goes over the wire in each dialect. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "carry.h"
#include "speech.h"

#define TEXT "~00000000.the.quick.brow"
#define BYTES (sizeof TEXT - 1)

static void assert_chat(const char *dialect, bool acked, const char *expected)
{
    char *chat = speech_chat(speech_find(dialect), acked, "broom-7", BYTES);

    assert_string_equal(chat, expected);
    free(chat);
}

static void assert_step(const char *dialect, unsigned step, const char *expected)
{
    char *said = speech_step(speech_find(dialect), step, "b7-42", "broom-7");

    assert_string_equal(said, expected);
    free(said);
}

static void test_chats(void **state)
{
    assert_chat("raw", false, TEXT "\n");
    assert_chat("json", false, "{\"type\":\"chat\",\"data\":\"" TEXT "\"}\n");
    assert_chat("json", true,
                "{\"type\":\"chat\",\"ref\":\"~000000000000000000000000\",\"data\":\"" TEXT "\"}\n");
    assert_chat("line", false, "MSG " TEXT "\n");
    assert_chat("irc", false, "PRIVMSG #broom-7 :" TEXT "\r\n");
    assert_chat("nats", false, "PUB broom-7 24\r\n" TEXT "\r\n");
}

static void test_log_ins(void **state)
{
    assert_step("raw", 0, "broom-7\n");
    assert_step("json", 0, "{\"type\":\"join\",\"data\":\"b7-42\",\"room\":\"broom-7\"}\n");
    assert_step("line", 0, "LOGIN b7-42\n");
    assert_step("line", 1, "JOIN broom-7\n");
    assert_step("irc", 0, "NICK b7-42\r\nUSER b7-42 0 * :b7-42\r\n");
    assert_step("irc", 1, "JOIN #broom-7\r\n");
    assert_step("nats", 0,
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"name\":\"b7-42\"}\r\n"
                "SUB broom-7 1\r\nPING\r\n");
}

static void test_texts_are_as_long_as_they_should_be(void **state)
{
    for (size_t bytes = NUMBER_LEN; bytes < 300; bytes++) {
        char *chat = speech_chat(speech_find("raw"), false, "r", bytes);

        assert_int_equal(strlen(chat), bytes + 1);
        assert_ptr_equal(strrchr(chat, '~'), chat);
        free(chat);
    }
}

static void test_what_is_awaited_can_be_carried(void **state)
{
    static const char *const dialects[] = {"raw", "json", "line", "irc", "nats"};

    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        const struct speech *speech = speech_find(dialects[i]);

        for (size_t step = 0; speech->steps[step].say != NULL; step++) {
            assert_true(step < STEPS_MAX);
            assert_in_range(strlen(speech->steps[step].await), 1, AWAITED_MAX);
        }
    }
    assert_true(AWAITED_MAX <= CARRY_MAX);
    assert_null(speech_find("klingon"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chats),
        cmocka_unit_test(test_log_ins),
        cmocka_unit_test(test_texts_are_as_long_as_they_should_be),
        cmocka_unit_test(test_what_is_awaited_can_be_carried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
