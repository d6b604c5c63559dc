/* id: both forms, their bounds, and what is none. */
#include "unit.h"

#include <string.h>

#include "id.h"

static bool from_stream(const char *text, event_id *id)
{
    return id_from_stream(text, strlen(text), 5, id);
}

static void test_parts_come_out_as_they_went_in(void **state)
{
    event_id id = id_make(1760000000123, 7, 16383);

    assert_int_equal(id_ms(id), 1760000000123);
    assert_int_equal(id_lane(id), 7);
    assert_int_equal(id_seq(id), 16383);
}

static void test_ids_grow_with_time_then_lane_then_seq(void **state)
{
    assert_true(id_make(2, 0, 0) > id_make(1, 7, ID_SEQ_MAX));
    assert_true(id_make(1, 1, 0) > id_make(1, 0, ID_SEQ_MAX));
    assert_true(id_make(1, 1, 1) > id_make(1, 1, 0));
}

static void test_stream_form_goes_round(void **state)
{
    char text[ID_TEXT_MAX];
    event_id id;

    assert_true(from_stream("1760000000123-42", &id));
    assert_true(id == id_make(1760000000123, 5, 42));
    assert_string_equal(id_to_stream(id, text), "1760000000123-42");
}

static void test_stream_form_has_bounds(void **state)
{
    event_id id;

    assert_true(from_stream("0-0", &id));
    assert_true(from_stream("8796093022207-16383", &id)); /* 2^43 - 1 */
    assert_true(id <= INT64_MAX);
    assert_false(from_stream("8796093022208-0", &id));
    assert_false(from_stream("1-16384", &id));
    assert_false(from_stream("18446744073709551616-0", &id));
    assert_false(from_stream("99999999999999999999999999-0", &id));
}

static void test_what_is_no_stream_form_is_refused(void **state)
{
    static const char *const bad[] = {"",     "-",    "1",    "1-",  "-1",    "1-1-1", "1--1",
                                      " 1-1", "1-1 ", "1-+1", "a-1", "0x1-1", "1.0-1"};
    event_id id;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(from_stream(bad[i], &id));
}

static void test_stream_form_ends_at_its_length(void **state)
{
    event_id id;

    assert_true(id_from_stream("12-345", 4, 5, &id));
    assert_true(id == id_make(12, 5, 3));
    assert_false(id_from_stream("12-345", 3, 5, &id));
    assert_false(id_from_stream("12-3\0", 5, 5, &id));
}

static void test_decimal_form_goes_round(void **state)
{
    char text[ID_TEXT_MAX];
    event_id id;

    assert_true(id_from_decimal("1845493760128950315", &id));
    assert_true(id == 1845493760128950315);
    assert_string_equal(id_to_decimal(id, text), "1845493760128950315");
}

static void test_decimal_form_has_bounds(void **state)
{
    event_id id;

    assert_true(id_from_decimal("0", &id));
    assert_true(id_from_decimal("9223372036854775807", &id));
    assert_true(id == INT64_MAX);
    assert_false(id_from_decimal("9223372036854775808", &id));
    assert_false(id_from_decimal("18446744073709551617", &id));
    assert_false(id_from_decimal("00000000000000000001", &id)); /* 20 digits */
}

static void test_what_is_no_decimal_form_is_refused(void **state)
{
    static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "1.0", "1e3", "0x10", "abc", "1-1"};
    event_id id;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(id_from_decimal(bad[i], &id));
}

static void test_time_is_rfc_3339_in_utc_with_milliseconds(void **state)
{
    char text[ID_TEXT_MAX];

    assert_string_equal(time_text(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_text(1760000000007, text), "2025-10-09T08:53:20.007Z");
    assert_string_equal(id_to_time(id_make(1760000000999, 3, 9), text), "2025-10-09T08:53:20.999Z");
}

static void test_times_in_any_order(void **state)
{
    char text[ID_TEXT_MAX];

    time_text(UINT64_MAX, text);
    assert_string_equal(time_text(1760000000007, text), "2025-10-09T08:53:20.007Z");
    assert_string_equal(time_text(1760000000990, text), "2025-10-09T08:53:20.990Z");
    assert_string_equal(time_text(1760000001000, text), "2025-10-09T08:53:21.000Z");
    assert_string_equal(time_text(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_text(1760000001123, text), "2025-10-09T08:53:21.123Z");
}

static void test_the_largest_ids_have_a_time(void **state)
{
    char text[ID_TEXT_MAX];

    assert_string_equal(id_to_time(INT64_MAX, text), "2248-09-26T15:10:22.207Z");
    assert_true(strlen(time_text(UINT64_MAX, text)) < ID_TEXT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_come_out_as_they_went_in),
        cmocka_unit_test(test_ids_grow_with_time_then_lane_then_seq),
        cmocka_unit_test(test_stream_form_goes_round),
        cmocka_unit_test(test_stream_form_has_bounds),
        cmocka_unit_test(test_what_is_no_stream_form_is_refused),
        cmocka_unit_test(test_stream_form_ends_at_its_length),
        cmocka_unit_test(test_decimal_form_goes_round),
        cmocka_unit_test(test_decimal_form_has_bounds),
        cmocka_unit_test(test_what_is_no_decimal_form_is_refused),
        cmocka_unit_test(test_time_is_rfc_3339_in_utc_with_milliseconds),
        cmocka_unit_test(test_times_in_any_order),
        cmocka_unit_test(test_the_largest_ids_have_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
