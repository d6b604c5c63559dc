/*
 * wire_fuzz: any bytes, as a line that a server tells the client.
 *
 * Whatever is understood can be shown on a terminal, has what its kind always has, and is no longer than it
 * may be. Said again as a request it is read again as the same.
 */

#include <stdbool.h>
#include <string.h>

#include <utf8proc.h>

#include "fuzz.h"
#include "name.h"
#include "wire.h"

static bool is_harmless(utf8proc_int32_t c, bool lines)
{
    if (c == '\n' || c == '\t')
        return lines;
    return c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && c != 0x2028 && c != 0x2029 &&
           !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

static void check_string(const char *text, size_t size, bool lines)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;

    if (!text)
        return;
    REQUIRE(strlen(text) < size);
    while (*at) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(at, -1, &c);

        REQUIRE(n > 0 && is_harmless(c, lines));
        at += n;
    }
}

static void check_needs(const struct told *told)
{
    switch (told->kind) {
    case TOLD_MESSAGE:
        REQUIRE(told->from && told->room && told->data && told->id);
        break;
    case TOLD_DIRECT:
        REQUIRE(told->from && told->to && told->data && told->id);
        break;
    case TOLD_JOINED:
    case TOLD_LEFT:
        REQUIRE(told->from && told->room);
        break;
    case TOLD_WELCOME:
        REQUIRE(told->name && told->room);
        break;
    case TOLD_ENTERED:
    case TOLD_WHO:
        REQUIRE(told->room);
        break;
    case TOLD_ACK:
        REQUIRE(told->ref && told->id);
        break;
    case TOLD_HISTORY:
        REQUIRE(told->room || told->with);
        break;
    case TOLD_REGISTERED:
        REQUIRE(told->name);
        break;
    case TOLD_READ:
        REQUIRE(told->with);
        break;
    case TOLD_ERROR:
        REQUIRE(told->code && told->data);
        break;
    case TOLD_OTHER:
    case TOLD_EXITED:
    case TOLD_ROOMS:
    case TOLD_PONG:
    case TOLD_GAP:
        break;
    }
}

static void check(const struct told *told)
{
    check_string(told->from, NAME_MAX_BYTES, false);
    check_string(told->to, NAME_MAX_BYTES, false);
    check_string(told->with, NAME_MAX_BYTES, false);
    check_string(told->name, NAME_MAX_BYTES, false);
    check_string(told->room, ROOM_MAX_BYTES, false);
    check_string(told->code, NAME_MAX_BYTES, false);
    check_string(told->ref, NAME_MAX_BYTES, false);
    check_string(told->data, WIRE_TEXT_MAX, true);
    check_needs(told);
    REQUIRE(told->users >= -1 && told->count >= -1 && told->unread >= -1);
    REQUIRE(told->id <= INT64_MAX && told->after <= INT64_MAX && told->until <= INT64_MAX);
    for (size_t i = 0; i < told->n_people; i++)
        check_string(told->people[i], NAME_MAX_BYTES, false);
    for (size_t i = 0; i < told->n_rooms; i++)
        check_string(told->rooms[i].room, ROOM_MAX_BYTES, false);
    for (size_t i = 0; i < told->n_messages; i++) {
        REQUIRE(told->messages[i].kind == TOLD_MESSAGE || told->messages[i].kind == TOLD_DIRECT);
        check(&told->messages[i]);
    }
}

/* What is clean stays as it is. */
static void check_again(const struct told *told)
{
    char id[ID_TEXT_MAX];
    char *line = wire_request("message",
                              (struct wire_member[]){{"from", told->from, false},
                                                     {"room", told->room, false},
                                                     {"data", told->data, false},
                                                     {"id", id_to_decimal(told->id, id), false}},
                              4);
    struct told *again;

    REQUIRE(line);
    again = wire_read(line, strlen(line));
    REQUIRE(again && again->kind == TOLD_MESSAGE && again->id == told->id);
    REQUIRE(strcmp(again->from, told->from) == 0 && strcmp(again->room, told->room) == 0);
    REQUIRE(strcmp(again->data, told->data) == 0);
    told_destroy(again);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told *told = wire_read(size ? (const char *)data : "", size);

    if (told) {
        check(told);
        if (told->kind == TOLD_MESSAGE)
            check_again(told);
    }
    told_destroy(told);
    return 0;
}
