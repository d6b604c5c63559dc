/* chats: each reception counts once, and only where the chat was said. */
#include "unit.h"

#include "carry.h"
#include "chats.h"

static void test_a_chat_ends_when_all_have_it(void **state)
{
    struct chats *chats = chats_create(130, 1);
    struct chat *chat = chats_begin(chats, 3, 0, 129, 17);
    uint32_t number = chat->number;

    for (uint32_t member = 1; member < 130; member++) {
        assert_int_equal(chats_lacking(chats), 130 - member);
        assert_null(chats_begin(chats, 3, 0, 129, 18));
        chat = chats_receive(chats, number, 3, member);
        assert_non_null(chat);
        assert_int_equal(chat->due, 17);
        assert_int_equal(chat->left, 129 - member);
    }
    assert_int_equal(chats_lacking(chats), 0);
    assert_non_null(chats_begin(chats, 3, 0, 129, 18));
    chats_destroy(chats);
}

static void test_nobody_receives_twice(void **state)
{
    struct chats *chats = chats_create(3, 4);
    uint32_t number = chats_begin(chats, 0, 0, 2, 0)->number;

    assert_non_null(chats_receive(chats, number, 0, 1));
    assert_null(chats_receive(chats, number, 0, 1));
    assert_int_equal(chats_lacking(chats), 1);
    assert_non_null(chats_receive(chats, number, 0, 2));
    assert_null(chats_receive(chats, number, 0, 2)); /* it has ended */
    chats_destroy(chats);
}

static void test_a_chat_that_has_ended_is_not_taken_for_the_next(void **state)
{
    struct chats *chats = chats_create(2, 1);
    uint32_t first = chats_begin(chats, 0, 0, 1, 0)->number, second;

    assert_non_null(chats_receive(chats, first, 0, 1));
    second = chats_begin(chats, 0, 0, 1, 0)->number;
    assert_int_not_equal(first, second);
    assert_null(chats_receive(chats, first, 0, 1));
    assert_non_null(chats_receive(chats, second, 0, 1));
    chats_destroy(chats);
}

static void test_what_was_never_said_or_elsewhere_is_refused(void **state)
{
    struct chats *chats = chats_create(2, 4);
    uint32_t number = chats_begin(chats, 5, 0, 1, 0)->number;

    assert_null(chats_receive(chats, number, 4, 1));
    assert_null(chats_receive(chats, number + 1, 5, 1));
    assert_null(chats_receive(chats, NUMBER_NONE, 5, 1));
    assert_int_equal(chats_lacking(chats), 1);
    chats_destroy(chats);
}

static void test_no_chat_has_the_number_that_means_none(void **state)
{
    enum { SLOTS = 1 << 20, TIMES = 1 << 12 }; /* so often a slot is used until its numbers come again */
    struct chats *chats = chats_create(2, SLOTS);
    struct chat *chat = NULL;

    for (int i = 0; i < SLOTS; i++)
        chat = chats_begin(chats, 0, 0, 1, 0);
    assert_int_equal(chat->number & (SLOTS - 1), SLOTS - 1); /* the slot of UINT32_MAX */
    for (int i = 0; i < 2 * TIMES; i++) {
        assert_int_not_equal(chat->number, NUMBER_NONE);
        assert_non_null(chats_receive(chats, chat->number, 0, 1));
        chat = chats_begin(chats, 0, 0, 1, 0);
    }
    chats_destroy(chats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chat_ends_when_all_have_it),
        cmocka_unit_test(test_nobody_receives_twice),
        cmocka_unit_test(test_a_chat_that_has_ended_is_not_taken_for_the_next),
        cmocka_unit_test(test_what_was_never_said_or_elsewhere_is_refused),
        cmocka_unit_test(test_no_chat_has_the_number_that_means_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
