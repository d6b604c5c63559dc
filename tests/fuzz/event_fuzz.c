/*
 * event_fuzz: any bytes, as an event's body (behind the first byte, which is the lane) and as its live form.
 *
 * What is taken for an event is one: the body made from it again gives the same, and every dialect can say
 * it.  A body that is read without the JSON library is one to the library, too, and the same.
 */

#include <string.h>

#include <event2/buffer.h>

#include "dialect.h"
#include "event.h"
#include "fuzz.h"

static void check_word(const char *word)
{
    REQUIRE(*word);
    REQUIRE(!strpbrk(word, " \t\r\n\x7f"));
    REQUIRE(text_is_utf8(word, strlen(word)));
}

static void check_text(const char *text)
{
    char *copy = strdup(text);

    REQUIRE(copy && text_clean(copy));
    REQUIRE(strcmp(copy, text) == 0);
    free(copy);
}

static void check_same(const struct event *event, const struct event *again)
{
    REQUIRE(again);
    REQUIRE(again->id == event->id && again->prev == event->prev && again->direct == event->direct);
    REQUIRE(strcmp(again->from, event->from) == 0 && strcmp(again->session, event->session) == 0);
    REQUIRE(strcmp(again->place, event->place) == 0 && strcmp(again->text, event->text) == 0);
    REQUIRE(!event->direct || (strcmp(again->whom, event->whom) == 0 && strcmp(again->by, event->by) == 0));
}

static void check_round(const struct event *event)
{
    char *body = event->direct ? event_direct_body(event->from, event->session, event->by, event->place,
                                                   event->whom, event->text)
                               : event_body(event->from, event->session, event->place, event->text);
    struct event *again;

    REQUIRE(body);
    again = event_from_body(event->id, event->prev, body, strlen(body));
    check_same(event, again);
    event_drop(again);
    free(body);
}

static void check_said(const struct event *event)
{
    for (int i = 0; i < DIALECTS_MAX && dialects[i]; i++) {
        struct evbuffer *out = evbuffer_new();

        REQUIRE(out);
        dialects[i]->encode_event(event, out);
        REQUIRE(evbuffer_get_length(out) > 0);
        evbuffer_free(out);
    }
}

/* The same body, but with a member of a kind that only the library reads. */
static void check_by_library(const struct event *event, event_id id, const char *body, size_t len)
{
    static const char member[] = "{\"\":0,";
    char *longer;
    struct event *again;

    if (len < 2 || *body != '{')
        return;
    longer = malloc(sizeof member + len);
    REQUIRE(longer);
    memcpy(longer, member, sizeof member - 1);
    memcpy(longer + sizeof member - 1, body + 1, len - 1);
    again = event_from_body(id, 0, longer, sizeof member - 1 + len - 1);
    REQUIRE(!event == !again);
    if (event)
        check_same(event, again);
    event_drop(again);
    free(longer);
}

/* Takes `event`, which may be NULL. */
static void check(struct event *event)
{
    if (!event)
        return;
    check_word(event->from);
    check_word(event->session);
    check_word(event->place);
    check_text(event->text);
    check_round(event);
    check_said(event);
    event_drop(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned lane = size ? data[0] % LANES : 0;
    event_id id = id_make(1700000000000, lane, 7);
    size_t len = size ? size - 1 : 0;
    char *bytes = len ? malloc(len) : strdup("");
    struct event *event;

    REQUIRE(bytes);
    if (len)
        memcpy(bytes, data + 1, len);
    event = event_from_body(id, 0, bytes, len);
    check_by_library(event, id, bytes, len);
    check(event);
    check(event_from_live(lane, bytes, len));
    free(bytes);
    return 0;
}
