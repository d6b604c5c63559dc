/*
 * The link to a store, over real sockets: a listener of the test plays the store.  storelink.c is compiled
 * into the test, with shorter times.
 */
#include "unit.h"

#define ANSWER_MS 1000

#include "../../gateway/storelink.c" /* NOLINT(bugprone-suspicious-include) */

#include <arpa/inet.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <event2/listener.h>

#define PATIENCE_MS 10000
#define ASKED_MAX 14 /* of a kind */
#define CLIENTS_MAX 16

/* One connection of a gateway, as the store sees it. */
struct client {
    struct bufferevent *stream;
    bool greeted;
};

static struct event_base *base;
static struct evdns_base *dns;
static struct settings settings;
static struct storelink *storelink;
static struct evconnlistener *listener;
static struct client clients[CLIENTS_MAX];
static unsigned n_clients;
static const char *greeting;   /* what the store says to a hello; NULL: nothing */
static json_t *questions[256]; /* what it was asked, oldest first */
static unsigned n_questions;
static char hello[256], told[4096]; /* what became of the asked: "TOKEN ANSWER " */

uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_store_read(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;
    char *line;

    while ((line = evbuffer_readln(bufferevent_get_input(stream), NULL, EVBUFFER_EOL_LF))) {
        if (!client->greeted) {
            snprintf(hello, sizeof hello, "%s", line);
            client->greeted = true;
            if (greeting)
                bufferevent_write(stream, greeting, strlen(greeting));
        } else {
            questions[n_questions++] = json_loads(line, 0, NULL);
        }
        free(line);
    }
}

static void on_client(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *address, int len,
                      void *arg)
{
    struct client *client = &clients[n_clients++];

    client->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client->stream, on_store_read, NULL, NULL, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

static unsigned short open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    listener = evconnlistener_new_bind(base, on_client, NULL, LEV_OPT_CLOSE_ON_FREE, 8,
                                       (struct sockaddr *)&address, sizeof address);
    assert_non_null(listener);
    assert_int_equal(getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static int set_up(void **state)
{
    static char url[128];

    memset(clients, 0, sizeof clients);
    n_clients = n_questions = 0;
    hello[0] = told[0] = '\0';
    greeting = "{\"hello\":\"store\"}\n";
    base = event_base_new();
    dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    snprintf(url, sizeof url, "store://127.0.0.1:%u", open_listener());
    settings = (struct settings){.gateway = "g1", .store_url = url, .store_secret = "psst"};
    storelink = storelink_create(base, dns, &settings);
    return storelink ? 0 : -1;
}

static int tear_down(void **state)
{
    storelink_destroy(storelink);
    for (unsigned i = 0; i < n_clients; i++)
        if (clients[i].stream)
            bufferevent_free(clients[i].stream);
    for (unsigned i = 0; i < n_questions; i++)
        json_decref(questions[i]);
    if (listener)
        evconnlistener_free(listener);
    listener = NULL;
    event_base_loop(base, EVLOOP_NONBLOCK); /* look-ups that were called off free themselves there */
    evdns_base_free(dns, 0);
    event_base_free(base);
    return 0;
}

#define link_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Turns the loop until `condition`. */
#define until(condition)                                                \
    for (uint64_t late = monotonic_ms() + PATIENCE_MS; !(condition);) { \
        assert_true(monotonic_ms() < late);                             \
        event_base_loop(base, EVLOOP_ONCE);                             \
    }

static void on_answer(void *ctx, uint64_t token, const json_t *answer)
{
    const char *error = json_string_value(json_object_get(answer, "error"));
    size_t len = strlen(told);

    snprintf(told + len, sizeof told - len, "%u %s ", (unsigned)token,
             !answer ? "nothing"
             : error ? error
                     : "ok");
}

static bool ask(unsigned token)
{
    return storelink_ask(storelink, STORELINK_PAGE, json_pack("{s:s}", "ask", "something"), on_answer, NULL,
                         token);
}

static void start(void)
{
    storelink_start(storelink);
    until(storelink_is_up(storelink));
}

/* The store answers question `i`. */
static void answer(unsigned i, const char *members)
{
    struct client *client = &clients[n_clients - 1];

    evbuffer_add_printf(bufferevent_get_output(client->stream), "{\"id\":%lld,%s}\n",
                        json_integer_value(json_object_get(questions[i], "id")), members);
}

static void hang_up(void)
{
    bufferevent_free(clients[n_clients - 1].stream);
    clients[n_clients - 1].stream = NULL;
}

static void test_it_says_who_it_is_and_the_secret(void **state)
{
    start();
    assert_string_equal(hello, "{\"hello\":\"g1\",\"secret\":\"psst\"}");
}

static void test_answers_go_to_whom_they_are_for_in_any_order(void **state)
{
    start();
    assert_true(ask(1) && ask(2) && ask(3));
    until(n_questions == 3);
    answer(2, "\"ok\":true");
    answer(0, "\"error\":\"auth-failed\"");
    answer(1, "\"ok\":true");
    until(strlen(told) >= strlen("3 ok 1 auth-failed 2 ok "));
    assert_string_equal(told, "3 ok 1 auth-failed 2 ok ");
}

static void test_an_answer_to_nothing_is_passed_over(void **state)
{
    start();
    assert_true(ask(1));
    until(n_questions == 1);
    evbuffer_add_printf(bufferevent_get_output(clients[0].stream),
                        "{\"id\":77,\"ok\":true}\n{}\n{\"id\":null}\n");
    answer(0, "\"ok\":true");
    answer(0, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
    assert_true(storelink_is_up(storelink));
}

static void test_14_of_a_kind_are_under_way_and_the_others_wait(void **state)
{
    start();
    for (unsigned i = 0; i < 40; i++)
        assert_true(ask(i));
    until(n_questions == ASKED_MAX);
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(n_questions, ASKED_MAX);
    for (unsigned i = 0; n_questions < 40; i++) {
        answer(i, "\"ok\":true");
        until(n_questions > ASKED_MAX + i);
    }
}

static void test_without_a_store_the_answer_is_no_at_once(void **state)
{
    assert_false(ask(1));
    evconnlistener_free(listener);
    listener = NULL;
    storelink_start(storelink);
    until(storelink->failures > 0);
    assert_false(ask(2));
    assert_string_equal(told, "");
}

static void test_who_asks_a_store_that_goes_hears_so_at_once(void **state)
{
    uint64_t then;

    start();
    for (unsigned i = 1; i <= 34; i++)
        assert_true(ask(i));
    until(n_questions == ASKED_MAX);
    then = monotonic_ms();
    hang_up();
    until(strstr(told, "34 nothing "));
    assert_true(monotonic_ms() - then < 2000);
    assert_int_equal(strncmp(told, "1 nothing 2 nothing ", 20), 0);
    assert_int_equal(n_questions, ASKED_MAX);
}

static void test_it_connects_again_and_goes_on(void **state)
{
    start();
    hang_up();
    until(n_clients == 2 && storelink_is_up(storelink));
    assert_true(ask(1));
    until(n_questions == 1);
    answer(0, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
}

static void test_a_store_that_does_not_answer_is_left_after_a_while(void **state)
{
    uint64_t then = monotonic_ms();

    start();
    assert_true(ask(1));
    until(*told);
    assert_string_equal(told, "1 nothing ");
    assert_in_range(monotonic_ms() - then, ANSWER_MS, ANSWER_MS + 900);
    assert_true(storelink_is_up(storelink));
    until(n_clients == 2);
    assert_true(monotonic_ms() - then >= STUCK_MS);
    assert_string_equal(told, "1 nothing ");
}

static void test_an_answer_that_comes_too_late_is_passed_over(void **state)
{
    start();
    assert_true(ask(1));
    until(*told);
    answer(0, "\"ok\":true");
    assert_true(ask(2));
    until(n_questions == 2);
    answer(1, "\"ok\":true");
    until(strlen(told) > strlen("1 nothing "));
    assert_string_equal(told, "1 nothing 2 ok ");
    assert_int_equal(n_clients, 1);
}

static void test_a_store_that_does_not_greet_is_left_after_a_while(void **state)
{
    greeting = NULL;
    storelink_start(storelink);
    until(*hello);
    assert_false(ask(1));
    greeting = "{\"hello\":\"store\"}\n";
    until(storelink_is_up(storelink));
    assert_int_equal(n_clients, 2);
}

static void test_a_wrong_secret_is_tried_again_and_asks_nothing(void **state)
{
    greeting = "{\"error\":\"bad-secret\"}\n";
    storelink_start(storelink);
    until(n_clients == 3);
    assert_false(ask(1));
    assert_int_equal(n_questions, 0);
}

static void test_garbage_costs_the_connection_alone(void **state)
{
    start();
    assert_true(ask(1));
    until(n_questions == 1);
    evbuffer_add_printf(bufferevent_get_output(clients[0].stream), "what?\n{\"id\":1,\"ok\":true}\n");
    until(*told);
    assert_string_equal(told, "1 nothing ");
    until(n_clients == 2 && storelink_is_up(storelink));
}

static void test_a_line_without_end_costs_the_connection_alone(void **state)
{
    static char much[64 * 1024];

    memset(much, 'x', sizeof much);
    start();
    assert_true(ask(1));
    until(n_questions == 1);
    for (size_t n = 0; n <= LINE_MAX_BYTES; n += sizeof much)
        bufferevent_write(clients[0].stream, much, sizeof much);
    until(*told);
    assert_string_equal(told, "1 nothing ");
}

static void test_the_next_store_is_tried(void **state)
{
    char url[160];

    snprintf(url, sizeof url, "store://127.0.0.1:1,%s", settings.store_url);
    settings.store_url = url;
    storelink_destroy(storelink);
    storelink = storelink_create(base, dns, &settings);
    for (int i = 0; i < 4; i++) { /* whichever it begins with */
        start();
        storelink_destroy(storelink);
        storelink = storelink_create(base, dns, &settings);
    }
}

/* As the kernel says at once of a broadcast. */
static void test_a_store_that_cannot_be_reached_is_left_at_once(void **state)
{
    int kept = dup(STDERR_FILENO);
    char logged[512] = "";
    FILE *file = tmpfile();

    assert_non_null(file);
    settings.store_url = "store://255.255.255.255:1";
    storelink_destroy(storelink);
    storelink = storelink_create(base, dns, &settings);
    dup2(fileno(file), STDERR_FILENO);
    storelink_start(storelink);
    for (uint64_t late = monotonic_ms() + PATIENCE_MS; !logged[0] && monotonic_ms() < late;) {
        event_base_loop(base, EVLOOP_ONCE);
        (void)!pread(fileno(file), logged, sizeof logged - 1, 0);
    }
    dup2(kept, STDERR_FILENO);
    close(kept);
    fclose(file);
    assert_non_null(
        strstr(logged, "event=store_lost store=255.255.255.255:1 error=\"Network is unreachable\""));
}

static void ask_more(void *ctx, uint64_t token, const json_t *answer)
{
    on_answer(ctx, token, answer);
    assert_int_equal(ask((unsigned)token + 1), storelink_is_up(storelink));
}

static void test_an_answer_may_set_off_the_next_question(void **state)
{
    start();
    assert_true(
        storelink_ask(storelink, STORELINK_PAGE, json_pack("{s:s}", "ask", "something"), ask_more, NULL, 1));
    until(n_questions == 1);
    answer(0, "\"ok\":true");
    until(n_questions == 2);
    answer(1, "\"ok\":true");
    until(strstr(told, "2 ok"));
    assert_true(
        storelink_ask(storelink, STORELINK_PAGE, json_pack("{s:s}", "ask", "something"), ask_more, NULL, 7));
    hang_up();
    until(strstr(told, "7 nothing"));
}

static void test_passwords_and_pages_have_shares_of_their_own(void **state)
{
    start();
    for (unsigned i = 0; i < 40; i++)
        assert_true(storelink_ask(storelink, STORELINK_PASSWORD, json_pack("{s:s}", "ask", "log-in"),
                                  on_answer, NULL, 100 + i));
    until(n_questions == ASKED_MAX);
    assert_true(ask(1));
    until(n_questions == ASKED_MAX + 1);
    assert_string_equal(json_string_value(json_object_get(questions[ASKED_MAX], "ask")), "something");
    answer(ASKED_MAX, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
}

static bool ask_patiently(unsigned token)
{
    return storelink_ask_patiently(storelink, json_pack("{s:s}", "ask", "page"), on_answer, NULL, token);
}

static void test_who_is_patient_is_asked_for_again_on_the_next_connection(void **state)
{
    start();
    assert_true(ask_patiently(1) && ask(2));
    until(n_questions == 2);
    hang_up();
    until(n_questions == 3);
    assert_string_equal(told, "2 nothing ");
    assert_string_equal(json_string_value(json_object_get(questions[2], "ask")), "page");
    answer(2, "\"ok\":true");
    until(strstr(told, "1 ok "));
    assert_string_equal(told, "2 nothing 1 ok ");
}

static void test_who_is_patient_and_asks_a_store_that_is_stuck_is_answered_by_the_next(void **state)
{
    start();
    assert_true(ask_patiently(1));
    until(n_questions == 2);
    assert_string_equal(told, "");
    answer(1, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
}

static void test_who_is_patient_may_ask_before_there_is_a_connection(void **state)
{
    assert_true(ask_patiently(1));
    start();
    until(n_questions == 1);
    answer(0, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
}

static void test_who_is_patient_asks_again_what_the_store_cannot_do_just_now(void **state)
{
    start();
    assert_true(ask_patiently(1));
    until(n_questions == 1);
    answer(0, "\"error\":\"unavailable\"");
    until(n_questions == 2);
    answer(1, "\"ok\":true");
    until(*told);
    assert_string_equal(told, "1 ok ");
}

static void test_patience_ends_when_no_store_has_answered_for_a_while(void **state)
{
    uint64_t then = monotonic_ms();

    evconnlistener_free(listener);
    listener = NULL;
    storelink_start(storelink);
    assert_true(ask_patiently(1));
    until(*told);
    assert_string_equal(told, "1 nothing ");
    assert_in_range(monotonic_ms() - then, ANSWER_MS, ANSWER_MS + 3000);
}

static void test_patience_lasts_as_long_as_stores_answer(void **state)
{
    uint64_t then = monotonic_ms();
    unsigned n = 0;

    start();
    for (unsigned i = 0; i < 3 * ASKED_MAX; i++)
        assert_true(ask_patiently(i));
    until(n_questions == ASKED_MAX);
    while (n_questions < 3 * ASKED_MAX) { /* so slowly that the last waits for longer than anybody else may */
        uint64_t next = monotonic_ms() + 75;

        answer(n++, "\"ok\":true");
        while (monotonic_ms() < next) {
            event_base_loop(base, EVLOOP_NONBLOCK);
            usleep(1000);
        }
    }
    assert_true(monotonic_ms() - then > 2 * ANSWER_MS);
    assert_null(strstr(told, "nothing"));
}

static void test_it_can_be_destroyed_with_questions_under_way(void **state)
{
    start();
    for (unsigned i = 1; i <= 34; i++)
        assert_true(ask(i));
    storelink_destroy(storelink);
    storelink = storelink_create(base, dns, &settings);
    assert_string_equal(told, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        link_test(test_it_says_who_it_is_and_the_secret),
        link_test(test_answers_go_to_whom_they_are_for_in_any_order),
        link_test(test_an_answer_to_nothing_is_passed_over),
        link_test(test_14_of_a_kind_are_under_way_and_the_others_wait),
        link_test(test_without_a_store_the_answer_is_no_at_once),
        link_test(test_who_asks_a_store_that_goes_hears_so_at_once),
        link_test(test_it_connects_again_and_goes_on),
        link_test(test_a_store_that_does_not_answer_is_left_after_a_while),
        link_test(test_an_answer_that_comes_too_late_is_passed_over),
        link_test(test_a_store_that_does_not_greet_is_left_after_a_while),
        link_test(test_a_wrong_secret_is_tried_again_and_asks_nothing),
        link_test(test_garbage_costs_the_connection_alone),
        link_test(test_a_line_without_end_costs_the_connection_alone),
        link_test(test_the_next_store_is_tried),
        link_test(test_a_store_that_cannot_be_reached_is_left_at_once),
        link_test(test_an_answer_may_set_off_the_next_question),
        link_test(test_passwords_and_pages_have_shares_of_their_own),
        link_test(test_who_is_patient_is_asked_for_again_on_the_next_connection),
        link_test(test_who_is_patient_and_asks_a_store_that_is_stuck_is_answered_by_the_next),
        link_test(test_who_is_patient_may_ask_before_there_is_a_connection),
        link_test(test_who_is_patient_asks_again_what_the_store_cannot_do_just_now),
        link_test(test_patience_ends_when_no_store_has_answered_for_a_while),
        link_test(test_patience_lasts_as_long_as_stores_answer),
        link_test(test_it_can_be_destroyed_with_questions_under_way),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
