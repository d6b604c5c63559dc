/*
 * proxy_header: each header is given whole, byte by byte (every shorter part of it wants more) and with bytes
 * of the client behind it.  The bytes are copied to the end of an allocation, so that a sanitizer sees who
 * reads too far.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define PERSON4 "\xc0\x00\x02\x01" /* 192.0.2.1 */
#define PROXY4 "\xc6\x33\x64\x02"
#define PORTS "\xd9\x03\x1b\x58"
#define PERSON6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" /* 2001:db8::1 */
#define MAPPED6 "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define BEHIND "{\"type\":\"ping\"}"

static char address[ADDRESS_MAX_BYTES];
static size_t used;

static enum proxy_header read_exactly(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    enum proxy_header found;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    found = proxy_header_read(copy, len, &used, address);
    free(copy);
    return found;
}

static void assert_header(const char *bytes, size_t len, const char *wanted)
{
    char both[PROXY_HEADER_MAX + sizeof BEHIND];

    for (size_t part = 0; part < len; part++)
        if (read_exactly(bytes, part) != PROXY_HEADER_MORE)
            fail_msg("%zu of %zu bytes are enough or bad", part, len);
    memcpy(both, bytes, len);
    memcpy(both + len, BEHIND, sizeof BEHIND);
    for (size_t behind = 0; behind <= sizeof BEHIND; behind++) {
        assert_int_equal(read_exactly(both, len + behind), PROXY_HEADER_DONE);
        assert_int_equal(used, len);
        assert_string_equal(address, wanted);
    }
}

/* `len` bytes are bad, and how many of them tell it. */
static void assert_bad_at(const char *bytes, size_t len, size_t at)
{
    for (size_t part = 0; part <= len; part++) {
        enum proxy_header wanted = part < at ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;

        if (read_exactly(bytes, part) != wanted)
            fail_msg("%zu of %zu bytes: not %s", part, len, part < at ? "MORE" : "BAD");
    }
}

#define assert_header_is(bytes, wanted) assert_header(bytes, sizeof(bytes) - 1, wanted)
#define assert_bad_line(bytes) assert_bad_at(bytes, sizeof(bytes) - 1, sizeof(bytes) - 1)

static void version_1_tells_an_ipv4_address(void **state)
{
    assert_header_is("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\r\n", "192.0.2.1");
    assert_header_is("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255");
    assert_header_is("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0");
}

static void version_1_tells_an_ipv6_address(void **state)
{
    assert_header_is("PROXY TCP6 2001:DB8::1 ::1 55555 7000\r\n", "2001:db8::1");
    assert_header_is("PROXY TCP6 2001:0db8:1111:2222:3333:4444:5555:6666 "
                     "2001:0db8:1111:2222:3333:4444:5555:7777 65535 65535\r\n",
                     "2001:db8:1111:2222:3333:4444:5555:6666");
}

static void a_wrapped_ipv4_address_is_shown_as_what_it_is(void **state)
{
    assert_header_is("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1");
    assert_header_is(SIGNATURE "\x21\x21\x00\x24" MAPPED6 PERSON6 PORTS, "192.0.2.1");
}

static void an_unknown_client_has_no_address_whatever_the_line_says(void **state)
{
    assert_header_is("PROXY UNKNOWN\r\n", "");
    assert_header_is("PROXY UNKNOWN \r\n", "");
    assert_header_is("PROXY UNKNOWN 192.0.2.1 \x1b[2J nonsense\r\n", "");
}

static void a_line_of_107_bytes_is_read_and_a_longer_one_bad(void **state)
{
    char line[200];

    snprintf(line, sizeof line, "PROXY UNKNOWN %091d\r\n", 0);
    assert_header(line, 107, "");
    snprintf(line, sizeof line, "PROXY UNKNOWN %092d\r\n", 0);
    assert_bad_at(line, 108, 106);
    snprintf(line, sizeof line, "PROXY UNKNOWN %0150d", 0);
    assert_bad_at(line, 164, 106);
}

static void version_1_is_taken_literally(void **state)
{
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000 \r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000 1\r\n");
    assert_bad_line("PROXY TCP4  192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY  TCP4 192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY tcp4 192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY UDP4 192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY UNKNOWNS\r\n");
    assert_bad_line("PROXY \r\n");
    assert_bad_line("PROXY TCP4\t192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\0\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1\0 198.51.100.2 55555 7000\r\n");
}

static void version_1_addresses_are_of_the_family_and_whole(void **state)
{
    assert_bad_line("PROXY TCP4 ::1 ::1 55555 7000\r\n");
    assert_bad_line("PROXY TCP6 192.0.2.1 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.256 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.01 198.51.100.2 55555 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 elsewhere 55555 7000\r\n");
    assert_bad_line("PROXY TCP6 fe80::1%eth0 ::1 55555 7000\r\n");
}

static void version_1_ports_are_plain_numbers(void **state)
{
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 65536 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 100000 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 -1 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 +1 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 01 7000\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 1 0x1b\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 1 7000x\r\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2  7000\r\n");
}

static void a_line_ends_with_cr_and_lf_alone(void **state)
{
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\n");
    assert_bad_line("PROXY TCP4 192.0.2.1 198.51.100.2 55555 7000\rx");
    assert_bad_line("PROXY UNKNOWN \r\r");
}

static void what_is_no_header_is_bad_at_its_first_wrong_byte(void **state)
{
    assert_bad_at("{\"type\":\"join\"}", 15, 1);
    assert_bad_at("LOGIN bob\n", 10, 1);
    assert_bad_at("PROXIES", 7, 5);
    assert_bad_at("\r\n\r\nhello", 9, 5);
    assert_bad_at("\n", 1, 1);
}

static void version_2_tells_an_ipv4_address(void **state)
{
    assert_header_is(SIGNATURE "\x21\x11\x00\x0c" PERSON4 PROXY4 PORTS, "192.0.2.1");
}

static void version_2_tells_an_ipv6_address(void **state)
{
    assert_header_is(SIGNATURE "\x21\x21\x00\x24" PERSON6 PERSON6 PORTS, "2001:db8::1");
}

static void version_2_extensions_are_skipped(void **state)
{
    assert_header_is(SIGNATURE "\x21\x11\x00\x11" PERSON4 PROXY4 PORTS "\x04\x00\x02\x01\x02", "192.0.2.1");
}

static void a_local_connection_has_no_address_and_its_family_is_ignored(void **state)
{
    assert_header_is(SIGNATURE "\x20\x00\x00\x00", "");
    assert_header_is(SIGNATURE "\x20\x11\x00\x0c" PERSON4 PROXY4 PORTS, "");
    assert_header_is(SIGNATURE "\x20\xff\x00\x03xyz", "");
}

static void what_is_not_tcp_has_no_address(void **state)
{
    assert_header_is(SIGNATURE "\x21\x00\x00\x00", "");
    assert_header_is(SIGNATURE "\x21\x00\x00\x0c" PERSON4 PROXY4 PORTS, "");
    assert_header_is(SIGNATURE "\x21\x12\x00\x0c" PERSON4 PROXY4 PORTS, "");
    assert_header_is(SIGNATURE "\x21\x31\x00\x02/x", "");
}

static void version_2_knows_its_version_commands_and_families(void **state)
{
    assert_bad_at(SIGNATURE "\x11\x11\x00\x0c" PERSON4 PROXY4 PORTS, 28, 13);
    assert_bad_at(SIGNATURE "\x31\x11\x00\x0c" PERSON4 PROXY4 PORTS, 28, 13);
    assert_bad_at(SIGNATURE "\x22\x11\x00\x0c" PERSON4 PROXY4 PORTS, 28, 13);
    assert_bad_at(SIGNATURE "\x21\x41\x00\x0c" PERSON4 PROXY4 PORTS, 28, 16);
    assert_bad_at(SIGNATURE "\x21\x13\x00\x0c" PERSON4 PROXY4 PORTS, 28, 16);
}

static void version_2_addresses_must_fit_into_the_length(void **state)
{
    assert_bad_at(SIGNATURE "\x21\x11\x00\x0b" PERSON4 PROXY4 PORTS, 27, 16);
    assert_bad_at(SIGNATURE "\x21\x21\x00\x23" PERSON6 PERSON6 PORTS, 51, 16);
}

static void version_2_may_be_2048_bytes_and_one_more_is_bad_before_it_comes(void **state)
{
    char header[PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x07\xf0" PERSON4 PROXY4 PORTS;

    assert_header(header, sizeof header, "192.0.2.1");
    assert_bad_at(SIGNATURE "\x21\x11\x07\xf1" PERSON4 PROXY4 PORTS, 28, 16);
    assert_bad_at(SIGNATURE "\x20\x00\xff\xff", 16, 16);
}

static void a_header_is_recognised_once_nothing_else_can_be_meant(void **state)
{
    assert_true(proxy_header_begins("PROXY ", 6));
    assert_true(proxy_header_begins("PROXY nonsense", 14));
    assert_true(proxy_header_begins(SIGNATURE, 12));
    assert_false(proxy_header_begins("PROXY", 5));
    assert_false(proxy_header_begins(SIGNATURE, 11));
    assert_false(proxy_header_begins("\r\n\r\nLOGIN bob\n", 14));
    assert_false(proxy_header_begins("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_tells_an_ipv4_address),
        cmocka_unit_test(version_1_tells_an_ipv6_address),
        cmocka_unit_test(a_wrapped_ipv4_address_is_shown_as_what_it_is),
        cmocka_unit_test(an_unknown_client_has_no_address_whatever_the_line_says),
        cmocka_unit_test(a_line_of_107_bytes_is_read_and_a_longer_one_bad),
        cmocka_unit_test(version_1_is_taken_literally),
        cmocka_unit_test(version_1_addresses_are_of_the_family_and_whole),
        cmocka_unit_test(version_1_ports_are_plain_numbers),
        cmocka_unit_test(a_line_ends_with_cr_and_lf_alone),
        cmocka_unit_test(what_is_no_header_is_bad_at_its_first_wrong_byte),
        cmocka_unit_test(version_2_tells_an_ipv4_address),
        cmocka_unit_test(version_2_tells_an_ipv6_address),
        cmocka_unit_test(version_2_extensions_are_skipped),
        cmocka_unit_test(a_local_connection_has_no_address_and_its_family_is_ignored),
        cmocka_unit_test(what_is_not_tcp_has_no_address),
        cmocka_unit_test(version_2_knows_its_version_commands_and_families),
        cmocka_unit_test(version_2_addresses_must_fit_into_the_length),
        cmocka_unit_test(version_2_may_be_2048_bytes_and_one_more_is_bad_before_it_comes),
        cmocka_unit_test(a_header_is_recognised_once_nothing_else_can_be_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
