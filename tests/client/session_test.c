/* session: every edge of its machine, and what becomes of rooms and chats when connections and answers are
 * lost.  The clock, the connection and the server are the test's. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "session.h"

#define SENT_MAX 4096
#define FATES_MAX 2048
#define MINUTE_MS (60 * 1000)

struct fate {
    uint64_t number;
    enum session_fate fate;
    event_id id;
    char why[128];
};

static struct session *session;
static int64_t now, wake_at;
static unsigned opens, closes, refusals, wants;
static bool open_now; /* there is a connection, or one is being made */
static json_t *sent[SENT_MAX];
static size_t n_sent, n_read; /* lines that the client sent; of these, looked at */
static struct fate fates[FATES_MAX];
static size_t n_fates, n_heard;
static enum told_kind heard[256];
static char heard_room[256], heard_data[256], last_why[256], changes[4096];
static int64_t last_pause;
static bool seen[6][6]; /* edges, in all tests */

/* The world ---------------------------------------------------------------------------------------------- */

static void on_open(void *ctx)
{
    assert_false(open_now);
    open_now = true;
    opens++;
}

static void on_close(void *ctx)
{
    assert_true(open_now);
    open_now = false;
    closes++;
}

static void on_send(void *ctx, const char *bytes, size_t len)
{
    assert_true(open_now);
    assert_true(n_sent < SENT_MAX);
    assert_true(bytes[len - 1] == '\n' && memchr(bytes, '\n', len) == bytes + len - 1);
    sent[n_sent] = json_loadb(bytes, len, 0, NULL);
    assert_non_null(sent[n_sent]);
    n_sent++;
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
    seen[from][to] = true;
    last_pause = pause;
    snprintf(last_why, sizeof last_why, "%s", why ? why : "");
    if (strlen(changes) + 32 < sizeof changes)
        snprintf(changes + strlen(changes), sizeof changes - strlen(changes), "%s ", session_state_name(to));
    assert_true(pause == 0 || to == SESSION_RECONNECTING);
}

static void on_heard(void *ctx, const struct told *told)
{
    if (n_heard < sizeof heard / sizeof *heard)
        heard[n_heard] = told->kind;
    n_heard++;
    snprintf(heard_room, sizeof heard_room, "%s", told->room ? told->room : "");
    snprintf(heard_data, sizeof heard_data, "%s", told->data ? told->data : "");
}

static void on_fate(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    assert_true(n_fates < FATES_MAX);
    fates[n_fates] = (struct fate){.number = number, .fate = fate, .id = id};
    snprintf(fates[n_fates].why, sizeof fates[n_fates].why, "%s", why ? why : "");
    n_fates++;
}

static void on_refused_name(void *ctx, const char *why)
{
    refusals++;
}

static void on_want_password(void *ctx, const char *why)
{
    wants++;
}

static const struct session_ops ops = {
    on_open,    on_close, on_send, on_wake,         on_now,
    on_changed, on_heard, on_fate, on_refused_name, on_want_password,
};
static const struct session_ops script_ops = {
    on_open, on_close, on_send, on_wake, on_now, on_changed, on_heard, on_fate, NULL, NULL,
};

static void forget_sent(void)
{
    while (n_sent > 0)
        json_decref(sent[--n_sent]);
    n_read = 0;
}

static void create(const struct session_wish *wish, const struct session_ops *which)
{
    session = session_create(wish, which, NULL);
    assert_non_null(session);
}

static int set_up_as(const struct session_ops *which)
{
    now = 1000000;
    wake_at = 0;
    opens = closes = refusals = wants = 0;
    open_now = false;
    n_fates = n_heard = 0;
    last_pause = 0;
    changes[0] = last_why[0] = '\0';
    create(&(struct session_wish){.name = "Ann"}, which);
    return 0;
}

static int set_up(void **state)
{
    return set_up_as(&ops);
}

static int set_up_script(void **state)
{
    return set_up_as(&script_ops);
}

static int tear_down(void **state)
{
    session_destroy(session);
    forget_sent();
    return 0;
}

static void tell(const char *line)
{
    session_line(session, line, strlen(line));
}

static void tellf(const char *format, const char *text, unsigned long long id)
{
    char line[1024];

    snprintf(line, sizeof line, format, text, id);
    tell(line);
}

/* Lets the time pass, with a tick whenever one was asked for. */
static void pass(int64_t ms)
{
    int64_t end = now + ms;

    while (wake_at && wake_at <= end) {
        now = wake_at > now ? wake_at : now;
        wake_at = 0;
        session_tick(session);
    }
    now = end;
}

/* The machine sleeps: no tick meanwhile. */
static void sleep_for(int64_t ms)
{
    now += ms;
    if (wake_at && wake_at <= now) {
        wake_at = 0;
        session_tick(session);
    }
}

/* The next line that the client has sent and the test has not looked at; NULL: there is none. */
static const json_t *next_sent(void)
{
    return n_read < n_sent ? sent[n_read++] : NULL;
}

static const char *member(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* The next line is of this type. */
static const json_t *expect(const char *type)
{
    const json_t *object = next_sent();

    if (!object)
        fail_msg("nothing was sent instead of %s", type);
    assert_string_equal(member(object, "type"), type);
    return object;
}

#define expect_nothing() assert_int_equal(n_read, n_sent)
#define expect_state(which) assert_string_equal(session_state_name(session_state(session)), which)

static void lose(const char *why)
{
    assert_true(open_now);
    open_now = false;
    session_lost(session, why);
}

static void authenticate(void)
{
    session_start(session);
    session_opened(session);
    expect("join");
    expect_state("authenticating");
}

static void welcome(unsigned long long id)
{
    tellf("{\"type\":\"welcome\",\"name\":\"Ann\",\"room\":\"%s\",\"id\":\"%llu\",\"users\":1,\"unread\":0}",
          "lobby", id);
}

static void log_in(void)
{
    authenticate();
    welcome(100);
    expect_state("connected");
}

/* After a loss: waits for the pause, and logs in. */
static const json_t *come_back(void)
{
    expect_state("reconnecting");
    pass(last_pause);
    expect_state("connecting");
    session_opened(session);
    return expect("join");
}

static void error(const char *code, const char *ref)
{
    char line[512];

    snprintf(line, sizeof line,
             "{\"type\":\"error\",\"from\":\"server\",\"code\":\"%s\",\"data\":\"It is %s.\"%s%s%s}", code,
             code, ref ? ",\"ref\":\"" : "", ref ? ref : "", ref ? "\"" : "");
    tell(line);
}

static void message(const char *room, unsigned long long id)
{
    tellf("{\"type\":\"message\",\"from\":\"Bob\",\"data\":\"x\",\"room\":\"%s\",\"id\":\"%llu\"}", room, id);
}

static void ack(const json_t *chat, unsigned long long id)
{
    tellf("{\"type\":\"ack\",\"ref\":\"%s\",\"id\":\"%llu\"}", member(chat, "ref"), id);
}

static void entered(const char *room, unsigned long long id)
{
    tellf("{\"type\":\"entered\",\"room\":\"%s\",\"id\":\"%llu\",\"users\":1}", room, id);
}

static uint64_t say(const char *text)
{
    uint64_t number = session_say(session, "lobby", NULL, text);

    assert_true(number != 0);
    return number;
}

static void expect_fate(size_t i, uint64_t number, enum session_fate fate, event_id id)
{
    assert_true(i < n_fates);
    assert_true(fates[i].number == number);
    assert_int_equal(fates[i].fate, fate);
    assert_true(fates[i].id == id);
}

/* Logging in --------------------------------------------------------------------------------------------- */

static void test_a_log_in_says_who_and_where(void **state)
{
    const json_t *join;

    session_destroy(session);
    create(
        &(struct session_wish){
            .name = "Ann", .room = "Dev", .password = "secret 1", .since = 77, .echo = true},
        &ops);
    session_start(session);
    assert_int_equal(opens, 1);
    expect_nothing();
    session_opened(session);
    join = expect("join");
    assert_string_equal(member(join, "data"), "Ann");
    assert_string_equal(member(join, "room"), "dev");
    assert_string_equal(member(join, "password"), "secret 1");
    assert_string_equal(member(join, "since"), "77");
    assert_int_equal(strlen(member(join, "key")), 32);
    assert_int_equal(strspn(member(join, "key"), "0123456789abcdef"), 32);
    assert_true(json_is_true(json_object_get(join, "echo")));
    assert_string_equal(changes, "connecting authenticating ");
}

static void test_a_plain_log_in_has_no_more_than_it_needs(void **state)
{
    session_start(session);
    session_opened(session);
    expect("join");
    assert_int_equal(json_object_size(sent[0]), 4); /* type, data, key, room */
    assert_string_equal(member(sent[0], "room"), "lobby");
}

static void test_the_key_is_the_sessions_own_for_ever(void **state)
{
    const char *first;

    authenticate();
    first = member(sent[0], "key");
    lose("gone");
    assert_string_equal(member(come_back(), "key"), first);
    session_destroy(session);
    open_now = false;
    create(&(struct session_wish){.name = "Ann"}, &ops);
    session_start(session);
    session_opened(session);
    assert_string_not_equal(member(expect("join"), "key"), first);
}

static void test_a_welcome_is_heard_and_names_the_person(void **state)
{
    authenticate();
    tell("{\"type\":\"welcome\",\"name\":\"ANN\",\"room\":\"lobby\",\"id\":\"5\",\"users\":1}");
    expect_state("connected");
    assert_string_equal(session_name(session), "ANN");
    assert_int_equal(n_heard, 1);
    assert_int_equal(heard[0], TOLD_WELCOME);
    tell("{\"type\":\"welcome\",\"name\":\"Eve\",\"room\":\"lobby\",\"id\":\"5\",\"users\":1}");
    assert_string_equal(session_name(session), "ANN");
}

static void test_a_log_in_that_is_not_answered_is_tried_again(void **state)
{
    authenticate();
    pass(19999);
    expect_state("authenticating");
    pass(1);
    expect_state("reconnecting");
    assert_int_equal(closes, 1);
    come_back();
}

static void test_a_log_in_that_cannot_be_now_is_tried_again(void **state)
{
    static const char *const codes[] = {"unavailable", "rate-limited", "server-full", "shutting-down",
                                        "login-timeout"};

    authenticate();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        error(codes[i], NULL);
        expect_state("reconnecting");
        assert_int_equal(closes, i + 1);
        assert_true(last_pause > 0);
        assert_non_null(strstr(last_why, codes[i]));
        come_back();
    }
}

static void test_a_log_in_that_is_wrong_ends_it(void **state)
{
    authenticate();
    error("room-invalid", NULL);
    expect_state("disconnected");
    assert_string_equal(last_why, "It is room-invalid.");
    assert_false(open_now);
    assert_true(wake_at == 0);
}

static void test_what_is_no_hubbub_ends_it(void **state)
{
    authenticate();
    tell("SSH-2.0-OpenSSH_9.2");
    expect_state("disconnected");
    assert_non_null(strstr(last_why, "no hubbub"));
}

static void test_nonsense_later_on_is_a_loss(void **state)
{
    log_in();
    tell("{\"type\":\"mess");
    expect_state("reconnecting");
    assert_int_equal(closes, 1);
}

/* Names and passwords ------------------------------------------------------------------------------------ */

static void test_a_name_that_is_taken_asks_again(void **state)
{
    authenticate();
    error("username-taken", NULL);
    assert_int_equal(refusals, 1);
    expect_state("authenticating");
    pass(25000); /* the person thinks */
    expect_nothing();
    session_set_name(session, "Anna");
    assert_string_equal(member(expect("join"), "data"), "Anna");
    error("username-invalid", NULL);
    assert_int_equal(refusals, 2);
    session_set_name(session, "Anne");
    expect("join");
    welcome(1);
    expect_state("connected");
}

static void test_a_loss_while_the_person_thinks_waits_for_the_answer(void **state)
{
    authenticate();
    error("password-required", NULL);
    assert_int_equal(wants, 1);
    error("login-timeout", NULL);
    expect_state("reconnecting");
    assert_true(last_pause == 0 && wake_at == 0);
    pass(10 * MINUTE_MS);
    assert_int_equal(opens, 1);
    session_set_password(session, "secret 1");
    expect_state("connecting");
    session_opened(session);
    assert_string_equal(member(expect("join"), "password"), "secret 1");
    welcome(1);
    expect_state("connected");
}

static void test_one_s_own_name_is_tried_for_20_s(void **state)
{
    int64_t since;

    log_in();
    lose("gone");
    come_back();
    since = now;
    error("username-taken", NULL);
    while (session_state(session) == SESSION_RECONNECTING) {
        assert_int_equal(refusals, 0);
        assert_true(now - since < 20000 + 30000);
        come_back();
        error("username-taken", NULL);
    }
    assert_int_equal(refusals, 1);
    assert_true(now - since >= 20000);
}

static void test_one_s_own_name_comes_back(void **state)
{
    log_in();
    lose("gone");
    come_back();
    error("username-taken", NULL);
    come_back();
    welcome(100);
    expect_state("connected");
    assert_int_equal(refusals, 0);
}

/* What is left of an earlier connection says nothing about a later one. */
static void test_one_s_own_name_is_tried_anew_after_each_log_in(void **state)
{
    log_in();
    for (int i = 0; i < 2; i++) {
        lose("gone");
        come_back();
        error("username-taken", NULL);
        expect_state("reconnecting");
        come_back();
        welcome(100);
        pass(30000);
    }
    assert_int_equal(refusals, 0);
}

static void test_a_name_that_is_lost_in_mid_life_is_fetched_back(void **state)
{
    log_in();
    error("username-taken", NULL);
    expect_state("reconnecting");
    come_back();
}

static void test_a_wrong_password_asks_again(void **state)
{
    authenticate();
    error("password-required", NULL);
    session_set_password(session, "wrong");
    assert_string_equal(member(expect("join"), "password"), "wrong");
    error("auth-failed", NULL);
    assert_int_equal(wants, 2);
    session_set_password(session, "");
    assert_null(member(expect("join"), "password"));
}

static void test_a_new_name_has_no_password(void **state)
{
    authenticate();
    error("password-required", NULL);
    session_set_password(session, "secret 1");
    expect("join");
    error("username-taken", NULL);
    session_set_name(session, "Anna");
    assert_null(member(expect("join"), "password"));
}

static void test_a_script_is_not_asked(void **state)
{
    authenticate();
    error("username-taken", NULL);
    expect_state("disconnected");
    session_start(session);
    session_opened(session);
    error("password-required", NULL);
    expect_state("disconnected");
    assert_string_equal(last_why, "It is password-required.");
}

static void test_registering_gives_the_password_to_later_log_ins(void **state)
{
    log_in();
    assert_true(session_register(session, "secret 1", NULL));
    expect("register");
    tell("{\"type\":\"registered\",\"name\":\"Ann\"}");
    lose("gone");
    assert_string_equal(member(come_back(), "password"), "secret 1");
}

static void test_being_replaced_is_no_reason_to_fight(void **state)
{
    log_in();
    error("replaced", NULL);
    expect_state("disconnected");
    assert_string_equal(last_why, "It is replaced.");
    assert_int_equal(closes, 1);
    pass(10 * MINUTE_MS);
    assert_int_equal(opens, 1);
}

/* Losses ------------------------------------------------------------------------------------------------- */

static void test_a_loss_in_each_state(void **state)
{
    session_start(session);
    lose("refused");
    expect_state("reconnecting");
    assert_string_equal(last_why, "refused");
    pass(30000);
    session_opened(session);
    lose("closed");
    expect_state("reconnecting");
    come_back();
    n_read = n_sent;
    welcome(1);
    lose("closed");
    expect_state("reconnecting");
    come_back();
    welcome(1);
    session_leave(session, false);
    expect_state("disconnecting");
    lose("closed");
    expect_state("disconnected");
    assert_string_equal(last_why, "");
    assert_true(wake_at == 0);
    session_lost(session, "late");
    expect_state("disconnected");
}

static void test_the_pauses_grow_to_30_s_and_vary(void **state)
{
    int64_t most = 500;
    bool varied = false;

    session_start(session);
    for (int i = 0; i < 20; i++) {
        lose("refused");
        assert_in_range(last_pause, most / 2, most);
        varied = varied || last_pause != most;
        pass(last_pause - 1);
        expect_state("reconnecting");
        pass(1);
        expect_state("connecting");
        most = most * 2 < 30000 ? most * 2 : 30000;
    }
    assert_true(varied);
}

static void test_the_pauses_begin_anew_after_10_s(void **state)
{
    log_in();
    lose("gone");
    come_back();
    welcome(1);
    pass(9999);
    lose("gone");
    assert_in_range(last_pause, 500, 1000); /* the second one */
    come_back();
    welcome(1);
    pass(10000);
    lose("gone");
    assert_in_range(last_pause, 250, 500);
}

static void test_the_pauses_begin_anew_when_the_person_connects(void **state)
{
    log_in();
    for (int i = 0; i < 5; i++) {
        lose("gone");
        come_back();
        welcome(1);
    }
    error("replaced", NULL);
    expect_state("disconnected");
    authenticate();
    lose("gone");
    assert_in_range(last_pause, 250, 500);
}

/* Somebody restarts the server again and again: who was let in each time need not wait half a minute. */
static void test_a_welcome_keeps_the_pauses_short(void **state)
{
    log_in();
    for (int i = 0; i < 10; i++) {
        lose("gone");
        assert_in_range(last_pause, 250, 2000);
        come_back();
        welcome(1);
        pass(100);
    }
    lose("gone");
    for (int i = 0; i < 3; i++) {
        pass(last_pause);
        lose("gone"); /* before it has answered */
    }
    assert_in_range(last_pause, 8000, 16000);
}

static void test_errors_that_close(void **state)
{
    static const char *const codes[] = {"shutting-down", "slow-consumer", "idle-timeout"};

    log_in();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        error(codes[i], NULL);
        expect_state("reconnecting");
        assert_false(open_now);
        assert_non_null(strstr(last_why, codes[i]));
        come_back();
        welcome(1);
    }
}

static void test_silence_is_asked_and_ends(void **state)
{
    log_in();
    pass(59999);
    expect_nothing();
    pass(1);
    expect("ping");
    pass(19999);
    tell("{\"type\":\"pong\"}");
    assert_int_equal(n_heard, 1); /* the welcome */
    pass(59999);
    expect_nothing();
    pass(1);
    expect("ping");
    pass(19999);
    expect_state("connected");
    pass(1);
    expect_state("reconnecting");
    assert_int_equal(closes, 1);
}

static void test_who_hears_something_need_not_ask(void **state)
{
    log_in();
    for (int i = 0; i < 10; i++) {
        pass(50000);
        message("lobby", 200 + (unsigned)i);
    }
    expect_nothing();
    expect_state("connected");
}

static void test_after_a_sleep_the_server_is_asked_first(void **state)
{
    log_in();
    sleep_for(60 * MINUTE_MS);
    expect("ping");
    expect_state("connected");
    pass(20000);
    expect_state("reconnecting");
}

/* Rooms -------------------------------------------------------------------------------------------------- */

static void test_a_session_goes_on_behind_what_it_has_seen(void **state)
{
    log_in();
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "100"); /* the welcome's */
    welcome(100);
    message("lobby", 130);
    message("lobby", 120);
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "130");
    welcome(130);
    say("hello");
    ack(expect("chat"), 140);
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "140");
}

static void test_an_id_counts_in_its_room_alone(void **state)
{
    log_in();
    assert_true(session_say(session, NULL, "Bob", "psst"));
    ack(expect("direct"), 900);
    tell("{\"type\":\"direct\",\"from\":\"Bob\",\"to\":\"Ann\",\"data\":\"x\",\"id\":\"901\"}");
    assert_true(session_enter(session, "dev"));
    expect("join");
    entered("dev", 800);
    message("dev", 801);
    assert_true(session_say(session, "dev", NULL, "hi"));
    ack(expect("chat"), 802);
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "100");
    welcome(100);
    assert_string_equal(member(expect("join"), "since"), "802");
}

static void test_a_server_that_lost_its_data_begins_lower(void **state)
{
    log_in();
    message("lobby", 500);
    lose("gone");
    come_back();
    welcome(50);
    n_heard = 0;
    message("lobby", 60);
    assert_int_equal(n_heard, 1);
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "60");
}

static void test_what_comes_twice_is_heard_once(void **state)
{
    log_in();
    n_heard = 0;
    message("lobby", 101);
    message("lobby", 101);
    message("lobby", 99);
    assert_int_equal(n_heard, 1);
    message("elsewhere", 500); /* one is not there */
    assert_int_equal(n_heard, 1);
    tell("{\"type\":\"direct\",\"from\":\"Bob\",\"to\":\"Ann\",\"data\":\"x\",\"id\":\"7\"}");
    lose("gone");
    come_back();
    welcome(101);
    n_heard = 0;
    tell("{\"type\":\"direct\",\"from\":\"Bob\",\"to\":\"Ann\",\"data\":\"x\",\"id\":\"7\"}");
    assert_int_equal(n_heard, 0);
    tell("{\"type\":\"direct\",\"from\":\"Bob\",\"to\":\"Ann\",\"data\":\"missed\",\"id\":\"6\"}");
    assert_int_equal(n_heard, 1);
}

static void test_further_rooms_are_entered_again_one_after_the_other(void **state)
{
    const json_t *join;

    log_in();
    assert_true(session_enter(session, "Dev"));
    assert_true(session_enter(session, "ops"));
    join = expect("join");
    assert_string_equal(member(join, "room"), "dev");
    assert_null(member(join, "since"));
    expect_nothing();
    entered("dev", 10);
    assert_string_equal(member(expect("join"), "room"), "ops");
    entered("ops", 20);
    lose("gone");
    come_back();
    n_heard = 0;
    welcome(100);
    join = expect("join");
    assert_string_equal(member(join, "room"), "dev");
    assert_string_equal(member(join, "since"), "10");
    error("rate-limited", member(join, "ref"));
    expect_nothing();
    pass(1000);
    join = expect("join");
    assert_string_equal(member(join, "room"), "dev");
    entered("dev", 10);
    assert_string_equal(member(expect("join"), "since"), "20");
    entered("ops", 20);
    expect_nothing();
    assert_int_equal(n_heard, 3);
    assert_int_equal(heard[1], TOLD_ENTERED);
}

static void test_a_room_that_is_refused_is_told_and_forgotten(void **state)
{
    log_in();
    assert_true(session_enter(session, "dev"));
    n_heard = 0;
    error("bad-request", member(expect("join"), "ref"));
    assert_int_equal(n_heard, 1);
    assert_int_equal(heard[0], TOLD_ERROR);
    assert_string_equal(heard_room, "dev");
    lose("gone");
    come_back();
    welcome(100);
    expect_nothing();
}

/* No more of them are entered again than come back within a minute or so. */
static void test_rooms_above_100_are_not_entered_again(void **state)
{
    char name[16];

    log_in();
    for (int i = 1; i <= SESSION_ROOMS_MAX; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_true(session_enter(session, name));
        assert_string_equal(member(expect("join"), "room"), name);
        entered(name, 10);
    }
    lose("gone");
    come_back();
    welcome(100);
    for (int i = 1; i < SESSION_ROOMS_MAX; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_string_equal(member(expect("join"), "room"), name);
        entered(name, 10);
    }
    expect_nothing();
}

static void test_a_room_that_is_none_is_asked_for_once(void **state)
{
    log_in();
    assert_true(session_enter(session, "no room"));
    expect("join");
    error("room-invalid", NULL);
    assert_int_equal(heard[1], TOLD_ERROR);
    lose("gone");
    come_back();
    welcome(100);
    expect_nothing();
}

static void test_a_room_that_was_left_is_not_entered_again(void **state)
{
    log_in();
    session_enter(session, "dev");
    expect("join");
    entered("dev", 10);
    assert_true(session_exit(session, "DEV"));
    expect("leave");
    tell("{\"type\":\"exited\",\"room\":\"dev\"}");
    assert_true(session_exit(session, "lobby"));
    expect("leave");
    tell("{\"type\":\"exited\",\"room\":\"lobby\"}");
    lose("gone");
    assert_null(member(come_back(), "room"));
    welcome(100);
    expect_nothing();
    lose("gone");
    assert_string_equal(member(come_back(), "room"), "lobby"); /* where it is now */
}

static void test_a_room_can_be_left_before_it_is_entered_again(void **state)
{
    log_in();
    session_enter(session, "dev");
    session_enter(session, "ops");
    expect("join");
    n_heard = 0;
    assert_true(session_exit(session, "ops"));
    assert_int_equal(heard[0], TOLD_EXITED);
    assert_string_equal(heard_room, "ops");
    entered("dev", 1);
    expect_nothing();
}

static void test_nothing_can_be_asked_without_a_connection(void **state)
{
    assert_false(session_enter(session, "dev"));
    assert_false(session_exit(session, "lobby"));
    assert_false(session_who(session, "lobby", NULL));
    assert_false(session_rooms(session, NULL));
    assert_false(session_history(session, "lobby", NULL, 0, 20, NULL));
    assert_false(session_register(session, "secret 1", NULL));
    log_in();
    assert_true(session_history(session, "lobby", NULL, 55, 20, "r"));
    assert_int_equal(json_integer_value(json_object_get(expect("history"), "limit")), 20);
    assert_string_equal(member(sent[n_read - 1], "before"), "55");
    assert_string_equal(member(sent[n_read - 1], "ref"), "r");
    assert_true(session_who(session, "lobby", "r"));
    assert_string_equal(member(expect("who"), "ref"), "r");
    assert_true(session_rooms(session, NULL));
    expect("rooms");
}

/* Directs that were read --------------------------------------------------------------------------------- */

static const json_t *expect_mark(const char *with, const char *id)
{
    const json_t *mark = expect("read");

    assert_string_equal(member(mark, "with"), with);
    assert_string_equal(member(mark, "id"), id);
    return mark;
}

static void marked(const json_t *mark)
{
    tellf("{\"type\":\"read\",\"ref\":\"%s\",\"with\":\"Bob\",\"unread\":0}", member(mark, "ref"), 0);
}

/* Each costs as much as four chats, and an account may find hundreds of directs. */
static void test_directs_that_were_read_are_marked_together(void **state)
{
    const json_t *mark;

    log_in();
    session_read(session, "Bob", 1);
    mark = expect_mark("Bob", "1");
    for (event_id id = 2; id <= 60; id++) {
        session_read(session, "Bob", id);
        session_read(session, "Carol", id);
    }
    marked(mark);
    expect_nothing();
    pass(1000);
    marked(expect_mark("Carol", "60"));
    expect_nothing();
    pass(1000);
    marked(expect_mark("Bob", "60"));
    pass(30000);
    expect_nothing();
    assert_int_equal(n_heard, 1); /* the welcome */
}

static void test_a_mark_that_cannot_be_now_is_made_later(void **state)
{
    log_in();
    session_read(session, "Bob", 1);
    error("rate-limited", member(expect_mark("Bob", "1"), "ref"));
    pass(4999);
    expect_nothing();
    pass(1);
    error("bad-request", member(expect_mark("Bob", "1"), "ref"));
    pass(30000);
    expect_nothing();
    assert_int_equal(n_heard, 1);
}

static void test_a_mark_whose_answer_was_lost_is_made_again(void **state)
{
    log_in();
    session_read(session, "Bob", 1);
    expect_mark("Bob", "1");
    lose("gone");
    come_back();
    welcome(100);
    pass(2000);
    marked(expect_mark("Bob", "1"));
    pass(30000);
    expect_nothing();
}

static void test_who_leaves_has_read_what_was_shown(void **state)
{
    log_in();
    session_read(session, "Bob", 1);
    session_read(session, "Carol", 2);
    expect_mark("Bob", "1");
    session_read(session, "Bob", 3);
    session_leave(session, false);
    expect_mark("Bob", "3");
    expect_mark("Carol", "2");
    expect("leave");
}

static void test_what_is_marked_already_is_not_marked_again_at_leaving(void **state)
{
    log_in();
    session_read(session, "Bob", 1);
    expect_mark("Bob", "1");
    session_leave(session, false);
    expect("leave");
}

static void test_a_new_name_has_read_nothing(void **state)
{
    log_in();
    session_read(session, "Bob", 1);
    session_read(session, "Carol", 2);
    expect_mark("Bob", "1");
    error("replaced", NULL);
    session_set_name(session, "Dan");
    log_in();
    pass(10000);
    expect_nothing();
}

/* Chats -------------------------------------------------------------------------------------------------- */

static void test_chats_are_under_way_one_at_a_time_and_in_order(void **state)
{
    uint64_t one, two, three;
    const json_t *chat;

    one = say("one");
    two = session_say(session, NULL, "Bob", "two");
    three = say("three");
    assert_int_equal(session_waiting(session), 3);
    log_in();
    chat = expect("chat");
    assert_string_equal(member(chat, "data"), "one");
    assert_string_equal(member(chat, "room"), "lobby");
    expect_nothing();
    ack(chat, 101);
    chat = expect("direct");
    assert_string_equal(member(chat, "to"), "Bob");
    assert_null(member(chat, "room"));
    assert_string_not_equal(member(chat, "ref"), member(sent[1], "ref"));
    ack(chat, 7);
    ack(expect("chat"), 103);
    expect_nothing();
    assert_int_equal(n_fates, 3);
    expect_fate(0, one, FATE_ACCEPTED, 101);
    expect_fate(1, two, FATE_ACCEPTED, 7);
    expect_fate(2, three, FATE_ACCEPTED, 103);
    assert_int_equal(session_waiting(session), 0);
}

static void test_a_chat_whose_answer_was_lost_is_said_again_the_same(void **state)
{
    uint64_t number = say("one");
    const json_t *first;

    say("two");
    log_in();
    first = expect("chat");
    lose("gone");
    come_back();
    welcome(100);
    assert_true(json_equal(first, expect("chat")));
    expect_nothing();
    assert_int_equal(n_fates, 0);
    ack(first, 101);
    expect_fate(0, number, FATE_ACCEPTED, 101);
    assert_string_equal(member(expect("chat"), "data"), "two");
}

/* A server that answers all but that. */
static void test_a_chat_that_is_never_answered_is_said_again(void **state)
{
    uint64_t number = say("one");
    const json_t *first;

    log_in();
    first = expect("chat");
    for (event_id id = 101; session_state(session) == SESSION_CONNECTED && id < 300; id++) {
        message("lobby", id);
        pass(1000);
    }
    come_back();
    welcome(300);
    assert_true(json_equal(first, expect("chat")));
    ack(first, 301);
    expect_fate(0, number, FATE_ACCEPTED, 301);
    pass(50000);
    expect_state("connected");
}

static void test_a_room_that_is_never_entered_is_asked_for_anew(void **state)
{
    log_in();
    assert_true(session_enter(session, "dev"));
    expect("join");
    for (event_id id = 101; session_state(session) == SESSION_CONNECTED && id < 300; id++) {
        message("lobby", id);
        pass(1000);
    }
    come_back();
    welcome(300);
    assert_string_equal(member(expect("join"), "room"), "dev");
}

static void test_an_ack_of_another_is_none(void **state)
{
    log_in();
    say("one");
    tell("{\"type\":\"ack\",\"ref\":\"other\",\"id\":\"1000\"}");
    assert_int_equal(n_fates, 0);
    expect("chat");
    lose("gone");
    assert_string_equal(member(come_back(), "since"), "100");
}

static void test_what_cannot_be_said_now_is_said_later(void **state)
{
    int64_t most = 1000;
    uint64_t number;
    const json_t *chat;

    log_in();
    number = say("one");
    say("two");
    for (int i = 0; i < 8; i++) {
        chat = expect("chat");
        assert_string_equal(member(chat, "data"), "one");
        error(i % 2 ? "unavailable" : "rate-limited", member(chat, "ref"));
        expect_nothing();
        assert_in_range(wake_at - now, most / 2, most);
        pass(wake_at - now);
        most = most * 2 < 5000 ? most * 2 : 5000;
    }
    chat = expect("chat");
    assert_int_equal(n_heard, 1); /* the welcome */
    ack(chat, 101);
    expect_fate(0, number, FATE_ACCEPTED, 101);
    error("rate-limited", member(expect("chat"), "ref"));
    assert_in_range(wake_at - now, 500, 1000); /* the pauses begin anew */
}

static void test_a_pause_ends_with_its_connection(void **state)
{
    log_in();
    say("one");
    error("unavailable", member(expect("chat"), "ref"));
    lose("gone");
    come_back();
    welcome(100);
    expect("chat");
}

static void test_what_is_refused_is_refused(void **state)
{
    uint64_t number;

    log_in();
    number = session_say(session, "elsewhere", NULL, "one");
    say("two");
    error("not-in-room", member(expect("chat"), "ref"));
    expect_fate(0, number, FATE_REFUSED, 0);
    assert_string_equal(fates[0].why, "It is not-in-room.");
    assert_int_equal(n_heard, 1);
    assert_string_equal(member(expect("chat"), "data"), "two");
}

static void test_other_errors_are_heard(void **state)
{
    log_in();
    n_heard = 0;
    error("rate-limited", NULL);
    error("no-such-user", "of nobody");
    assert_int_equal(n_heard, 2);
    assert_string_equal(heard_data, "It is no-such-user.");
    expect_state("connected");
}

static void test_a_chat_waits_for_its_room(void **state)
{
    const json_t *join;

    log_in();
    session_enter(session, "dev");
    expect("join");
    entered("dev", 10);
    lose("gone");
    session_say(session, "Dev", NULL, "one");
    come_back();
    welcome(100);
    join = expect("join");
    expect_nothing();
    error("unavailable", member(join, "ref"));
    pass(1000);
    expect("join");
    expect_nothing();
    entered("dev", 10);
    assert_string_equal(member(expect("chat"), "data"), "one");
}

static void test_a_chat_for_a_room_that_is_refused_is_refused(void **state)
{
    uint64_t number;

    log_in();
    session_enter(session, "dev");
    number = session_say(session, "dev", NULL, "one");
    error("bad-request", member(expect("join"), "ref"));
    error("not-in-room", member(expect("chat"), "ref"));
    expect_fate(0, number, FATE_REFUSED, 0);
}

static void test_after_9_minutes_of_sleep_the_person_is_asked(void **state)
{
    uint64_t number;
    const json_t *first;

    log_in();
    number = say("one");
    say("two");
    first = expect("chat");
    sleep_for(SESSION_RETRY_MS + 1);
    expect("ping");
    lose("gone");
    come_back();
    welcome(100);
    expect_nothing();
    assert_int_equal(n_fates, 1);
    expect_fate(0, number, FATE_STALE, 0);
    pass(1000);
    lose("gone");
    come_back();
    welcome(100);
    expect_nothing(); /* those behind it wait, too, and it is asked for once */
    assert_int_equal(n_fates, 1);
    session_decide(session, number + 1, true);
    expect_nothing();
    session_decide(session, number, true);
    assert_true(json_equal(first, expect("chat")));
    ack(first, 101);
    expect_fate(1, number, FATE_ACCEPTED, 101);
    expect("chat");
}

static void test_a_stale_chat_can_be_forgotten(void **state)
{
    uint64_t number;

    log_in();
    number = say("one");
    say("two");
    expect("chat");
    lose("gone");
    sleep_for(SESSION_RETRY_MS + 1);
    expect_state("connecting");
    session_opened(session);
    expect("join");
    welcome(100);
    expect_fate(0, number, FATE_STALE, 0);
    session_decide(session, number, false);
    expect_fate(1, number, FATE_REFUSED, 0);
    assert_string_equal(member(expect("chat"), "data"), "two");
    session_decide(session, number, false);
    assert_int_equal(n_fates, 2);
}

static void test_just_before_9_minutes_it_is_said_again(void **state)
{
    log_in();
    say("one");
    expect("chat");
    lose("gone");
    sleep_for(SESSION_RETRY_MS);
    session_opened(session);
    expect("join");
    welcome(100);
    expect("chat");
    /* The time counts from the first sending. */
    lose("gone");
    come_back();
    welcome(100);
    expect_nothing();
    assert_int_equal(fates[0].fate, FATE_STALE);
}

static void test_what_was_certainly_not_said_is_never_stale(void **state)
{
    const json_t *chat;

    log_in();
    say("one");
    chat = expect("chat");
    for (int i = 0; i < 5; i++) {
        error("unavailable", member(chat, "ref"));
        sleep_for(20 * MINUTE_MS);
        chat = next_sent();
        while (strcmp(member(chat, "type"), "chat") != 0) /* the ping after the sleep */
            chat = next_sent();
    }
    error("unavailable", member(chat, "ref"));
    lose("gone");
    sleep_for(60 * MINUTE_MS);
    session_opened(session);
    expect_state("authenticating");
    while (next_sent())
        ;
    welcome(100);
    assert_string_equal(member(expect("chat"), "data"), "one");
    lose("gone"); /* the time counts from this sending, the first whose answer is missing */
    come_back();
    welcome(100);
    expect("chat");
    assert_int_equal(n_fates, 0);
}

static void test_what_waits_from_before_is_not_stale(void **state)
{
    session_start(session);
    say("one");
    lose("refused");
    sleep_for(60 * MINUTE_MS);
    session_opened(session);
    expect("join");
    welcome(1);
    expect("chat");
}

static void test_the_queue_has_an_end(void **state)
{
    for (int i = 0; i < SESSION_QUEUE_MAX; i++)
        say("x");
    assert_true(session_say(session, "lobby", NULL, "x") == 0);
    assert_true(session_say(session, "lobby", NULL, "\xff") == 0);
}

static void test_text_that_is_not_utf8_is_not_taken(void **state)
{
    assert_true(session_say(session, "lobby", NULL, "\xff") == 0);
    assert_true(session_say(session, "\xff", NULL, "x") == 0);
    assert_int_equal(session_waiting(session), 0);
}

/* Leaving ------------------------------------------------------------------------------------------------ */

static void test_leaving_waits_for_the_answers(void **state)
{
    log_in();
    say("one");
    say("two");
    session_leave(session, false);
    expect_state("connected");
    ack(expect("chat"), 101);
    ack(expect("chat"), 102);
    expect("leave");
    expect_state("disconnecting");
    tell("{\"type\":\"exited\"}");
    expect_state("disconnected");
    assert_int_equal(n_fates, 2);
    assert_int_equal(closes, 1);
    assert_true(wake_at == 0);
}

static void test_who_has_left_and_comes_back_stays(void **state)
{
    log_in();
    say("one");
    session_leave(session, false);
    error("replaced", NULL);
    expect_state("disconnected");
    expect("chat");
    log_in();
    ack(expect("chat"), 101);
    expect_state("connected");
}

static void test_leaving_goes_on_through_losses(void **state)
{
    const json_t *chat;

    log_in();
    say("one");
    session_leave(session, false);
    expect("chat");
    lose("gone");
    come_back();
    welcome(100);
    chat = expect("chat");
    error("unavailable", member(chat, "ref"));
    expect_state("connected");
    pass(1000);
    ack(expect("chat"), 101);
    expect_state("disconnecting");
}

static void test_leaving_begins_before_the_log_in(void **state)
{
    session_start(session);
    say("one");
    session_leave(session, false);
    expect_state("connecting");
    session_opened(session);
    expect("join");
    welcome(1);
    ack(expect("chat"), 2);
    expect("leave");
}

static void test_leaving_at_once(void **state)
{
    uint64_t number;
    const json_t *chat;

    log_in();
    number = say("one");
    say("two");
    chat = expect("chat");
    session_leave(session, true);
    expect("leave");
    expect_state("disconnecting");
    assert_true(session_say(session, "lobby", NULL, "three") != 0);
    ack(chat, 101);
    expect_fate(0, number, FATE_ACCEPTED, 101);
    expect_nothing();
    tell("{\"type\":\"exited\"}");
    expect_state("disconnected");
    assert_int_equal(session_waiting(session), 2);
    session_start(session); /* what has no fate has waited */
    session_opened(session);
    expect("join");
    welcome(101);
    assert_string_equal(member(expect("chat"), "data"), "two");
}

static void test_leaving_takes_3_s_at_most(void **state)
{
    log_in();
    session_leave(session, false);
    for (int i = 0; i < 3; i++) {
        expect_state("disconnecting");
        message("lobby", 200 + (unsigned)i); /* no reason to stay */
        pass(i < 2 ? 1000 : 999);
    }
    expect_state("disconnecting");
    pass(1);
    expect_state("disconnected");
    assert_false(open_now);
}

static void test_leaving_from_where_there_is_nobody_to_tell(void **state)
{
    session_leave(session, true);
    assert_string_equal(changes, "");
    session_start(session);
    session_leave(session, false);
    assert_false(open_now);
    assert_string_equal(changes, "connecting disconnecting disconnected ");
    session_start(session);
    session_opened(session);
    session_leave(session, false);
    assert_false(open_now);
    session_start(session);
    lose("refused");
    changes[0] = '\0';
    session_leave(session, true);
    assert_string_equal(changes, "disconnecting disconnected ");
    assert_true(wake_at == 0);
    expect("join");
    expect_nothing();
}

static void test_a_chat_that_was_forgotten_lets_one_leave(void **state)
{
    uint64_t number;

    log_in();
    number = say("one");
    expect("chat");
    session_leave(session, false);
    lose("gone");
    sleep_for(SESSION_RETRY_MS + 1);
    session_opened(session);
    expect("join");
    welcome(100);
    expect_fate(0, number, FATE_STALE, 0);
    session_decide(session, number, false);
    expect("leave");
    expect_state("disconnecting");
}

/* Calls from within ops ---------------------------------------------------------------------------------- */

static void leave_when_lost(void *ctx, enum session_state from, enum session_state to, const char *why,
                            int64_t pause)
{
    on_changed(ctx, from, to, why, pause);
    if (to == SESSION_RECONNECTING)
        session_leave(session, true);
}

static void test_one_may_leave_when_told_of_a_loss(void **state)
{
    struct session_ops leaving = ops;

    leaving.changed = leave_when_lost;
    session_destroy(session);
    create(&(struct session_wish){.name = "Ann"}, &leaving);
    log_in();
    say("one");
    error("shutting-down", NULL);
    expect_state("disconnected");
    assert_false(open_now);
    assert_true(wake_at == 0);
    assert_int_equal(session_waiting(session), 1);
}

static void leave_when_connecting(void *ctx, enum session_state from, enum session_state to, const char *why,
                                  int64_t pause)
{
    on_changed(ctx, from, to, why, pause);
    if (to == SESSION_AUTHENTICATING || to == SESSION_CONNECTED)
        session_leave(session, true);
}

static void test_one_may_leave_at_any_change(void **state)
{
    struct session_ops leaving = ops;

    leaving.changed = leave_when_connecting;
    session_destroy(session);
    create(&(struct session_wish){.name = "Ann"}, &leaving);
    session_start(session);
    session_opened(session);
    expect_nothing();
    expect_state("disconnected");
    assert_false(open_now);
}

static void answer_at_once(void *ctx, const char *why)
{
    refusals++;
    session_set_name(session, "Anna");
}

static void test_a_name_may_be_given_at_once(void **state)
{
    struct session_ops quick = ops;

    quick.refused_name = answer_at_once;
    session_destroy(session);
    create(&(struct session_wish){.name = "Ann"}, &quick);
    authenticate();
    error("username-taken", NULL);
    assert_string_equal(member(expect("join"), "data"), "Anna");
    pass(19999);
    expect_state("authenticating");
    pass(1);
    expect_state("reconnecting");
}

static void say_more(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    on_fate(ctx, number, fate, id, why);
    if (n_fates < 4)
        say("more");
    else
        session_leave(session, false);
}

static void test_a_fate_may_bring_the_next_chat(void **state)
{
    struct session_ops talking = ops;

    talking.fate = say_more;
    session_destroy(session);
    create(&(struct session_wish){.name = "Ann"}, &talking);
    log_in();
    say("one");
    for (unsigned i = 0; i < 4; i++)
        ack(expect("chat"), 101 + i);
    assert_int_equal(n_fates, 4);
    expect("leave");
    expect_state("disconnecting");
}

/* The table ---------------------------------------------------------------------------------------------- */

static void test_each_edge_was_gone_and_no_other(void **state)
{
    static const char *const edges[] = {
        "disconnected connecting",     "connecting authenticating",    "connecting reconnecting",
        "connecting disconnecting",    "authenticating connected",     "authenticating reconnecting",
        "authenticating disconnected", "authenticating disconnecting", "connected reconnecting",
        "connected disconnected",      "connected disconnecting",      "reconnecting connecting",
        "reconnecting disconnecting",  "disconnecting disconnected",
    };
    size_t n = 0;

    for (int from = 0; from < 6; from++) {
        for (int to = 0; to < 6; to++) {
            char edge[64];
            bool known = false;

            snprintf(edge, sizeof edge, "%s %s", session_state_name((enum session_state)from),
                     session_state_name((enum session_state)to));
            for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
                known = known || strcmp(edge, edges[i]) == 0;
            if (known != seen[from][to])
                fail_msg("%s was %sgone", edge, seen[from][to] ? "" : "not ");
            n += known;
        }
    }
    assert_int_equal(n, sizeof edges / sizeof *edges);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_log_in_says_who_and_where),
        TEST(test_a_plain_log_in_has_no_more_than_it_needs),
        TEST(test_the_key_is_the_sessions_own_for_ever),
        TEST(test_a_welcome_is_heard_and_names_the_person),
        TEST(test_a_log_in_that_is_not_answered_is_tried_again),
        TEST(test_a_log_in_that_cannot_be_now_is_tried_again),
        TEST(test_a_log_in_that_is_wrong_ends_it),
        TEST(test_what_is_no_hubbub_ends_it),
        TEST(test_nonsense_later_on_is_a_loss),
        TEST(test_a_name_that_is_taken_asks_again),
        TEST(test_a_loss_while_the_person_thinks_waits_for_the_answer),
        TEST(test_one_s_own_name_is_tried_for_20_s),
        TEST(test_one_s_own_name_comes_back),
        TEST(test_one_s_own_name_is_tried_anew_after_each_log_in),
        TEST(test_a_name_that_is_lost_in_mid_life_is_fetched_back),
        TEST(test_a_wrong_password_asks_again),
        TEST(test_a_new_name_has_no_password),
        cmocka_unit_test_setup_teardown(test_a_script_is_not_asked, set_up_script, tear_down),
        TEST(test_registering_gives_the_password_to_later_log_ins),
        TEST(test_being_replaced_is_no_reason_to_fight),
        TEST(test_a_loss_in_each_state),
        TEST(test_the_pauses_grow_to_30_s_and_vary),
        TEST(test_the_pauses_begin_anew_after_10_s),
        TEST(test_the_pauses_begin_anew_when_the_person_connects),
        TEST(test_a_welcome_keeps_the_pauses_short),
        TEST(test_errors_that_close),
        TEST(test_silence_is_asked_and_ends),
        TEST(test_who_hears_something_need_not_ask),
        TEST(test_after_a_sleep_the_server_is_asked_first),
        TEST(test_a_session_goes_on_behind_what_it_has_seen),
        TEST(test_an_id_counts_in_its_room_alone),
        TEST(test_a_server_that_lost_its_data_begins_lower),
        TEST(test_what_comes_twice_is_heard_once),
        TEST(test_further_rooms_are_entered_again_one_after_the_other),
        TEST(test_a_room_that_is_refused_is_told_and_forgotten),
        TEST(test_rooms_above_100_are_not_entered_again),
        TEST(test_a_room_that_is_none_is_asked_for_once),
        TEST(test_a_room_that_was_left_is_not_entered_again),
        TEST(test_a_room_can_be_left_before_it_is_entered_again),
        TEST(test_nothing_can_be_asked_without_a_connection),
        TEST(test_directs_that_were_read_are_marked_together),
        TEST(test_a_mark_that_cannot_be_now_is_made_later),
        TEST(test_a_mark_whose_answer_was_lost_is_made_again),
        TEST(test_who_leaves_has_read_what_was_shown),
        TEST(test_what_is_marked_already_is_not_marked_again_at_leaving),
        TEST(test_a_new_name_has_read_nothing),
        TEST(test_chats_are_under_way_one_at_a_time_and_in_order),
        TEST(test_a_chat_whose_answer_was_lost_is_said_again_the_same),
        TEST(test_a_chat_that_is_never_answered_is_said_again),
        TEST(test_a_room_that_is_never_entered_is_asked_for_anew),
        TEST(test_an_ack_of_another_is_none),
        TEST(test_what_cannot_be_said_now_is_said_later),
        TEST(test_a_pause_ends_with_its_connection),
        TEST(test_what_is_refused_is_refused),
        TEST(test_other_errors_are_heard),
        TEST(test_a_chat_waits_for_its_room),
        TEST(test_a_chat_for_a_room_that_is_refused_is_refused),
        TEST(test_after_9_minutes_of_sleep_the_person_is_asked),
        TEST(test_a_stale_chat_can_be_forgotten),
        TEST(test_just_before_9_minutes_it_is_said_again),
        TEST(test_what_was_certainly_not_said_is_never_stale),
        TEST(test_what_waits_from_before_is_not_stale),
        TEST(test_the_queue_has_an_end),
        TEST(test_text_that_is_not_utf8_is_not_taken),
        TEST(test_leaving_waits_for_the_answers),
        TEST(test_who_has_left_and_comes_back_stays),
        TEST(test_leaving_goes_on_through_losses),
        TEST(test_leaving_begins_before_the_log_in),
        TEST(test_leaving_at_once),
        TEST(test_leaving_takes_3_s_at_most),
        TEST(test_leaving_from_where_there_is_nobody_to_tell),
        TEST(test_a_chat_that_was_forgotten_lets_one_leave),
        TEST(test_one_may_leave_when_told_of_a_loss),
        TEST(test_one_may_leave_at_any_change),
        TEST(test_a_name_may_be_given_at_once),
        TEST(test_a_fate_may_bring_the_next_chat),
        cmocka_unit_test(test_each_edge_was_gone_and_no_other),
    };

    return cmocka_run_group_tests_name("client-session", tests, NULL, NULL);
}
