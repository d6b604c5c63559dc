/*
 * A session and a model of a server, between which anything may be lost at any moment: each chat is said
 * once, in order, and has one fate; what others say is heard once and in order.
 *
 * The server keeps refs, gives ids that grow, and goes on behind `since`, as docs/PROTOCOLS.md has it.  Which
 * chance it was is said by its seed.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "session.h"

#define CHATS 60
#define OTHERS 60
#define EVENTS_MAX (CHATS + OTHERS)
#define LINES_MAX 4096
#define SEEDS 300
#define STEPS_MAX 100000

/* What was said in the room. */
struct said {
    char ref[80]; /* empty: somebody else said it */
    int number;   /* of the chat, or of the other's */
};

static struct session *session;
static struct said events[EVENTS_MAX]; /* the id is the place in it + 1 */
static size_t n_events, n_others;
static size_t position; /* up to where this connection was told */
static char *lines[LINES_MAX];
static size_t n_lines, n_taken; /* from the client; of these, looked at by the server */
static bool is_open, logged_in, opening, faults;
static int64_t now, wake_at;
static uint64_t numbers[CHATS];
static size_t n_said, n_fates, n_heard, n_stale;
static uint32_t chance;

static unsigned random_below(unsigned n)
{
    chance = chance * 1664525 + 1013904223;
    return (unsigned)(((uint64_t)(chance >> 8) * n) >> 24);
}

/* The client's side -------------------------------------------------------------------------------------- */

static void on_open(void *ctx)
{
    opening = true;
}

static void hang_up(void)
{
    is_open = logged_in = opening = false;
    while (n_taken < n_lines)
        free(lines[n_taken++]);
    n_lines = n_taken = 0;
}

static void on_close(void *ctx)
{
    hang_up();
}

static void on_send(void *ctx, const char *bytes, size_t len)
{
    assert_true(is_open);
    assert_true(n_lines < LINES_MAX);
    lines[n_lines++] = strndup(bytes, len);
}

static void on_wake(void *ctx, int64_t at)
{
    wake_at = at;
}

static int64_t on_now(void *ctx)
{
    return now;
}

static void on_changed(void *ctx, enum session_state from, enum session_state to, const char *why,
                       int64_t pause)
{
}

static void on_heard(void *ctx, const struct told *told)
{
    if (told->kind != TOLD_MESSAGE || strcmp(told->from, "Bob") != 0)
        return;
    assert_int_equal(strtol(told->data, NULL, 10), n_heard);
    n_heard++;
}

static void on_fate(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    if (fate == FATE_STALE) {
        n_stale++;
        session_decide(session, number, true); /* this server never forgets a ref */
        return;
    }
    assert_int_equal(fate, FATE_ACCEPTED);
    assert_true(n_fates < n_said && number == numbers[n_fates]);
    assert_true(id > 0 && id <= n_events);
    assert_int_equal(events[id - 1].number, n_fates);
    n_fates++;
}

static const struct session_ops ops = {on_open,    on_close, on_send, on_wake, on_now,
                                       on_changed, on_heard, on_fate, NULL,    NULL};

/* The server --------------------------------------------------------------------------------------------- */

static void tell(const char *line)
{
    session_line(session, line, strlen(line));
}

/* Tells what is behind the position: of one's own only what was said on earlier connections, which is all
 * that is there when one logs in. */
static void feed(bool own)
{
    char line[256];

    for (; logged_in && position < n_events; position++) {
        const struct said *said = &events[position];

        if (*said->ref && !own)
            continue;
        snprintf(line, sizeof line,
                 "{\"type\":\"message\",\"from\":\"%s\",\"data\":\"%d\",\"room\":\"lobby\",\"id\":\"%zu\"}",
                 *said->ref ? "Ann" : "Bob", said->number, position + 1);
        tell(line);
    }
}

static void welcome(const json_t *join)
{
    const char *since = json_string_value(json_object_get(join, "since"));
    char line[256];

    position = since ? strtoul(since, NULL, 10) : n_events;
    assert_true(position <= n_events);
    logged_in = true;
    snprintf(line, sizeof line, "{\"type\":\"welcome\",\"name\":\"Ann\",\"room\":\"lobby\",\"id\":\"%zu\"}",
             position);
    tell(line);
    feed(true);
}

static void refuse(const char *ref)
{
    char line[256];

    snprintf(line, sizeof line, "{\"type\":\"error\",\"code\":\"%s\",\"data\":\"Later.\",\"ref\":\"%s\"}",
             random_below(2) ? "unavailable" : "rate-limited", ref);
    tell(line);
}

/* Returns the id of the chat, which may have been said before. */
static size_t accept_chat(const json_t *chat)
{
    const char *ref = json_string_value(json_object_get(chat, "ref"));

    for (size_t i = 0; i < n_events; i++)
        if (strcmp(events[i].ref, ref) == 0)
            return i + 1;
    assert_true(n_events < EVENTS_MAX);
    snprintf(events[n_events].ref, sizeof events[n_events].ref, "%s", ref);
    events[n_events].number = atoi(json_string_value(json_object_get(chat, "data")));
    return ++n_events;
}

static void lose(void)
{
    if (!is_open && !opening)
        return;
    hang_up();
    session_lost(session, "chance");
}

static void hear_chat(const json_t *chat)
{
    const char *ref = json_string_value(json_object_get(chat, "ref"));
    char line[256];
    size_t id;

    if (faults && random_below(4) == 0) {
        refuse(ref);
        return;
    }
    id = accept_chat(chat);
    if (faults && random_below(4) == 0) { /* said, and nobody knows */
        lose();
        return;
    }
    feed(false); /* the ack comes behind all that is before it */
    snprintf(line, sizeof line, "{\"type\":\"ack\",\"ref\":\"%s\",\"id\":\"%zu\"}", ref, id);
    tell(line);
}

/* Takes the next line of the client, which may be lost. */
static void serve(void)
{
    json_t *request;
    const char *type;

    if (!is_open || n_taken == n_lines)
        return;
    request = json_loads(lines[n_taken], 0, NULL);
    free(lines[n_taken++]);
    assert_non_null(request);
    type = json_string_value(json_object_get(request, "type"));
    if (faults && random_below(8) == 0)
        lose();
    else if (strcmp(type, "join") == 0)
        welcome(request);
    else if (strcmp(type, "chat") == 0)
        hear_chat(request);
    else if (strcmp(type, "ping") == 0)
        tell("{\"type\":\"pong\"}");
    else
        fail_msg("nobody asked for %s", type);
    json_decref(request);
}

/* The play ----------------------------------------------------------------------------------------------- */

static void say(void)
{
    char text[16];

    if (n_said == CHATS)
        return;
    snprintf(text, sizeof text, "%zu", n_said);
    numbers[n_said++] = session_say(session, "lobby", NULL, text);
    assert_true(numbers[n_said - 1] != 0);
}

static void other_says(void)
{
    if (n_others == OTHERS || n_heard == 0) /* the first one is said when the session is there */
        return;
    events[n_events++] = (struct said){.number = (int)n_others++};
    if (logged_in)
        feed(false);
}

static void pass(int64_t ms)
{
    now += ms;
    if (!wake_at || wake_at > now)
        return;
    wake_at = 0;
    session_tick(session);
}

static void step(void)
{
    switch (random_below(faults ? 8 : 7)) {
    case 0:
        say();
        break;
    case 1:
        other_says();
        break;
    case 2:
        pass(random_below(1000));
        break;
    case 3:
        pass(random_below(faults ? 60000 : 1000));
        break;
    case 7:
        if (random_below(4) == 0)
            lose();
        break;
    default:
        if (opening) {
            opening = false;
            is_open = true;
            session_opened(session);
        } else {
            serve();
        }
    }
}

static void begin(uint32_t seed)
{
    chance = seed;
    now = 1000;
    wake_at = 0;
    n_events = n_others = position = n_said = n_fates = n_heard = n_stale = 0;
    faults = false;
    memset(events, 0, sizeof events);
    session = session_create(&(struct session_wish){.name = "Ann"}, &ops, NULL);
    assert_non_null(session);
    session_start(session);
    for (int i = 0; !logged_in && i < STEPS_MAX; i++)
        step();
    assert_true(logged_in);
    events[n_events++] = (struct said){.number = (int)n_others++};
    feed(false);
}

static void play(uint32_t seed)
{
    int steps = 0;

    begin(seed);
    faults = true;
    for (; steps < 2000; steps++)
        step();
    faults = false;
    while ((n_fates < CHATS || n_heard < OTHERS || n_said < CHATS) && steps++ < STEPS_MAX)
        step();
    if (n_fates != CHATS || n_heard != OTHERS)
        fail_msg("seed %u: %zu chats have a fate, %zu of others were heard", seed, n_fates, n_heard);
    for (size_t i = 0, next = 0; i < n_events; i++)
        if (*events[i].ref)
            assert_int_equal(events[i].number, next++);
    assert_int_equal(n_events, CHATS + OTHERS);
    assert_int_equal(session_waiting(session), 0);
    session_destroy(session);
    hang_up();
}

static void test_nothing_is_lost_or_doubled(void **state)
{
    size_t stale = 0;

    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        play(seed);
        stale += n_stale;
    }
    assert_true(stale > 0); /* it came to that, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_lost_or_doubled)};

    return cmocka_run_group_tests_name("client-session-model", tests, NULL, NULL);
}
