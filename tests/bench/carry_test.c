/* carry: each number is found once, wherever the stream was cut. */
#include "unit.h"

#include <string.h>

#include "carry.h"

#define FOUND_MAX 16

struct reader {
    struct carry carry;
    uint32_t found[FOUND_MAX];
    size_t count;
};

/* What a client does with what it reads. */
static void feed(struct reader *reader, const char *bytes, size_t len)
{
    char buffer[CARRY_MAX + 256], *data = buffer + CARRY_MAX;
    const char *at, *end = data + len;
    uint32_t number;

    assert_true(len <= sizeof buffer - CARRY_MAX);
    memcpy(data, bytes, len);
    at = carry_put(&reader->carry, data);
    while (number_next(&at, end, &number)) {
        assert_true(reader->count < FOUND_MAX);
        reader->found[reader->count++] = number;
    }
    carry_keep(&reader->carry, at, end);
}

static const char stream[] =
    "{\"data\":\"~00000001.the.quick\"}\n~deadbeef~0000002a.x\r\n:a PRIVMSG #b :~89abcdef";
static const uint32_t numbers[] = {1, 0xdeadbeef, 0x2a, 0x89abcdef};

static void assert_all_found(const struct reader *reader)
{
    assert_int_equal(reader->count, 4);
    assert_memory_equal(reader->found, numbers, sizeof numbers);
}

static void test_numbers_are_found_in_one_piece(void **state)
{
    struct reader reader = {0};

    feed(&reader, stream, sizeof stream - 1);
    assert_all_found(&reader);
}

static void test_numbers_are_found_however_they_are_cut_in_three(void **state)
{
    size_t len = sizeof stream - 1;

    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            struct reader reader = {0};

            feed(&reader, stream, first);
            feed(&reader, stream + first, second - first);
            feed(&reader, stream + second, len - second);
            assert_all_found(&reader);
        }
    }
}

static void test_numbers_are_found_byte_by_byte(void **state)
{
    struct reader reader = {0};

    for (size_t i = 0; i < sizeof stream - 1; i++)
        feed(&reader, stream + i, 1);
    assert_all_found(&reader);
}

static void test_what_is_no_number_is_told_and_hides_none(void **state)
{
    static const char bad[] = "~0000000g ~~00000007 ~DEADBEEF";
    struct reader reader = {0};

    feed(&reader, bad, sizeof bad - 1);
    assert_int_equal(reader.count, 4);
    assert_int_equal(reader.found[0], NUMBER_NONE);
    assert_int_equal(reader.found[1], NUMBER_NONE);
    assert_int_equal(reader.found[2], 7);
    assert_int_equal(reader.found[3], NUMBER_NONE);
}

static void test_what_is_written_is_read(void **state)
{
    static const uint32_t written[] = {0, 1, 9, 10, 0x12345678, 0xfedcba98, 0xfffffffe};

    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct reader reader = {0};
        char text[NUMBER_LEN];

        number_write(written[i], text);
        feed(&reader, text, sizeof text);
        assert_int_equal(reader.count, 1);
        assert_int_equal(reader.found[0], written[i]);
    }
}

static void test_only_the_last_bytes_are_kept(void **state)
{
    struct carry carry = {0};
    char buffer[CARRY_MAX + 1] = {0};
    static const char text[] = "0123456789abcdefghij";

    carry_keep(&carry, text, text + sizeof text - 1);
    assert_ptr_equal(carry_put(&carry, buffer + CARRY_MAX), buffer);
    assert_string_equal(buffer, "56789abcdefghij");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_found_in_one_piece),
        cmocka_unit_test(test_numbers_are_found_however_they_are_cut_in_three),
        cmocka_unit_test(test_numbers_are_found_byte_by_byte),
        cmocka_unit_test(test_what_is_no_number_is_told_and_hides_none),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_only_the_last_bytes_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
