/*
 * Conns over pairs of sockets.  conn.c is compiled into the test, with shorter times.  The pairs are of the
 * kind that keeps the borders of writes, so that these can be counted.
 */
#include "unit.h"

#include "conn.h"

#undef CONN_SLOW_SECONDS
#define CONN_SLOW_SECONDS 1
#undef CONN_ALONE_MS
#define CONN_ALONE_MS alone_ms

static long alone_ms;

#include "../../gateway/conn.c" /* NOLINT(bugprone-suspicious-include) */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 10000

struct owner {
    struct conn *conn;
    int peer;
    unsigned inputs, eofs, gones, draineds, stucks, timeouts, quiets;
    const char *closes_at; /* the callback that closes the conn, or NULL */
    unsigned agains;       /* how often it still asks for input again */
};

static struct event_base *base;
static struct conns *conns;
static struct event *clock_event;

static size_t input_length(const struct owner *owner)
{
    size_t len;

    conn_input(owner->conn, &len);
    return len;
}

static void close_if(struct owner *owner, const char *callback)
{
    if (!owner->closes_at || strcmp(owner->closes_at, callback) != 0)
        return;
    conn_close(owner->conn);
    owner->conn = NULL;
}

static void on_input(void *ctx)
{
    struct owner *owner = ctx;

    owner->inputs++;
    if (owner->agains > 0) {
        owner->agains--;
        conn_again(owner->conn);
    }
    close_if(owner, "input");
}

static void on_eof(void *ctx)
{
    ((struct owner *)ctx)->eofs++;
    close_if(ctx, "eof");
}

static void on_gone(void *ctx)
{
    ((struct owner *)ctx)->gones++;
    close_if(ctx, "gone");
}

static void on_drained(void *ctx)
{
    ((struct owner *)ctx)->draineds++;
    close_if(ctx, "drained");
}

static void on_stuck(void *ctx)
{
    ((struct owner *)ctx)->stucks++;
    close_if(ctx, "stuck");
}

static void on_quiet(void *ctx)
{
    ((struct owner *)ctx)->quiets++;
}

static void on_timeout(void *ctx)
{
    ((struct owner *)ctx)->timeouts++;
    close_if(ctx, "timeout");
}

static const struct conn_ops ops = {on_input, on_eof, on_gone, on_drained, on_stuck, on_timeout, on_quiet};

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
}

static int set_up(void **state)
{
    struct timeval often = {.tv_usec = 5000};

    base = event_base_new();
    conns = conns_create(base, &ops);
    clock_event = event_new(base, -1, EV_PERSIST, on_clock, NULL); /* so that a turn ends */
    alone_ms = 1;
    return base && conns && clock_event && event_add(clock_event, &often) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    conns_destroy(conns);
    event_free(clock_event);
    event_base_free(base);
    return 0;
}

#define conn_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool turn(void)
{
    event_base_loop(base, EVLOOP_ONCE);
    return conns_end_turn(conns);
}

/* Turns until `condition`. */
#define until(condition)                                          \
    for (uint64_t late = now_ms() + PATIENCE_MS; !(condition);) { \
        assert_true(now_ms() < late);                             \
        turn();                                                   \
    }

static void open_pair(struct owner *owner, int type, int buffer)
{
    int fds[2];

    memset(owner, 0, sizeof *owner);
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (buffer)
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    owner->peer = fds[1];
    owner->conn = conn_create(conns, fds[0]);
    assert_non_null(owner->conn);
    conn_set_owner(owner->conn, owner);
}

static void open_one(struct owner *owner)
{
    open_pair(owner, SOCK_STREAM, 0);
}

/* What the peer gets with one read, as a text; "-" if there is nothing, "eof" at the end. */
static const char *peer_reads(const struct owner *owner)
{
    static char text[1 << 16];
    ssize_t n = recv(owner->peer, text, sizeof text - 1, 0);

    if (n == 0)
        return "eof";
    if (n < 0)
        return errno == EAGAIN ? "-" : strerror(errno);
    text[n] = '\0';
    return text;
}

/* The same, but turns until there is something. */
static const char *peer_hears(const struct owner *owner)
{
    const char *got;

    for (uint64_t late = now_ms() + PATIENCE_MS; strcmp(got = peer_reads(owner), "-") == 0; turn())
        assert_true(now_ms() < late);
    return got;
}

static void peer_says(const struct owner *owner, const char *text)
{
    assert_int_equal(send(owner->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Sends `n` bytes that count, so that a hole or a swap shows. */
static void send_pattern(struct owner *owner, size_t n)
{
    for (uint32_t i = 0; i < n / 4; i++)
        conn_send(owner->conn, &i, sizeof i);
}

/* Reads the pattern at the peer until `n` bytes were seen. */
static void read_pattern(struct owner *owner, size_t n)
{
    static unsigned char bytes[1 << 14];
    static uint32_t word;
    size_t seen = 0;

    for (uint64_t late = now_ms() + PATIENCE_MS; seen < n;) {
        ssize_t got = recv(owner->peer, bytes, sizeof bytes, 0);

        assert_true(now_ms() < late);
        for (ssize_t i = 0; i < got; i++, seen++) {
            ((unsigned char *)&word)[seen % 4] = bytes[i];
            if (seen % 4 == 3)
                assert_int_equal(word, seen / 4);
        }
        turn();
    }
}

static void test_nothing_is_read_before_there_is_an_owner(void **state)
{
    struct owner owner = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    owner.peer = fds[1];
    owner.conn = conn_create(conns, fds[0]);
    peer_says(&owner, "hello");
    turn();
    assert_int_equal(input_length(&owner), 0);
    conn_set_owner(owner.conn, &owner);
    until(owner.inputs == 1);
    assert_int_equal(input_length(&owner), 5);
    close(owner.peer);
}

static void test_what_is_sent_in_a_turn_leaves_in_one_write(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_send(owner.conn, "one ", 4);
    conn_send(owner.conn, "two ", 4);
    conn_send(owner.conn, "three", 5);
    assert_string_equal(peer_reads(&owner), "-");
    turn();
    assert_string_equal(peer_reads(&owner), "one two three");
    assert_string_equal(peer_reads(&owner), "-");
    close(owner.peer);
}

static void test_what_a_full_socket_leaves_goes_later_and_in_order(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, 600000);
    turn();
    assert_true(output_len(owner.conn) > 0);
    read_pattern(&owner, 600000);
    assert_int_equal(output_len(owner.conn), 0);
    assert_int_equal(owner.draineds, 0);
    close(owner.peer);
}

/* A pattern of `n` bytes at `bytes`, lent to the owner. */
static void lend_pattern(struct owner *owner, char *bytes, size_t n)
{
    for (uint32_t i = 0; i < n / 4; i++)
        memcpy(bytes + 4 * i, &i, sizeof i);
    conn_lend(owner->conn, bytes, n);
}

static void test_what_is_lent_is_written_without_a_copy(void **state)
{
    struct owner owner;
    char lent[] = "lent";

    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_lend(owner.conn, lent, 4);
    assert_null(owner.conn->output);
    assert_false(conn_is_flushed(owner.conn));
    lent[0] = 'b'; /* what is written is what is there at the end of the turn */
    turn();
    assert_string_equal(peer_reads(&owner), "bent");
    assert_true(conn_is_flushed(owner.conn));
    close(owner.peer);
}

static void test_what_is_lent_keeps_its_place(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_lend(owner.conn, "1", 1);
    conn_lend(owner.conn, "2", 1);
    conn_send(owner.conn, "3", 1);
    conn_lend(owner.conn, "4", 1);
    turn();
    assert_string_equal(peer_reads(&owner), "1234");
    conn_lend(owner.conn, "5", 1);
    conn_send(owner.conn, "6", 1);
    conn_send_alone(owner.conn, "7", 1);
    conn_lend(owner.conn, "8", 1);
    turn();
    assert_string_equal(peer_hears(&owner), "56");
    assert_string_equal(peer_hears(&owner), "7");
    assert_string_equal(peer_hears(&owner), "8");
    close(owner.peer);
}

static void test_what_a_full_socket_leaves_of_what_was_lent_is_kept(void **state)
{
    static char bytes[600000];
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    lend_pattern(&owner, bytes, sizeof bytes);
    turn();
    memset(bytes, 0, sizeof bytes); /* it was lent for that turn alone */
    read_pattern(&owner, sizeof bytes);
    assert_true(conn_is_flushed(owner.conn));
    close(owner.peer);
}

static void test_what_is_lent_counts_for_the_cap(void **state)
{
    static char bytes[CONN_OUTPUT_MAX + 4];
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    lend_pattern(&owner, bytes, sizeof bytes);
    assert_true(conn_is_slow(owner.conn));
    read_pattern(&owner, sizeof bytes);
    assert_false(conn_is_slow(owner.conn));
    close(owner.peer);
}

static void test_what_was_lent_to_one_that_closes_arrives(void **state)
{
    struct owner owner;

    open_one(&owner);
    conn_lend(owner.conn, "goodbye", 7);
    conn_close(owner.conn);
    conn_lend(owner.conn, "too late", 8);
    turn();
    assert_string_equal(peer_reads(&owner), "goodbye");
    assert_string_equal(peer_hears(&owner), "eof");
    close(owner.peer);
}

static void test_input_that_is_used_in_part_stays(void **state)
{
    struct owner owner;
    size_t len;

    open_one(&owner);
    peer_says(&owner, "hello");
    until(owner.inputs == 1);
    conn_use(owner.conn, 2);
    peer_says(&owner, ", world");
    until(owner.inputs == 2);
    assert_memory_equal(conn_input(owner.conn, &len), "llo, world", 10);
    assert_int_equal(len, 10);
    conn_use(owner.conn, 10);
    assert_string_equal(conn_input(owner.conn, &len), "");
    assert_int_equal(len, 0);
    close(owner.peer);
}

static void test_past_the_cap_it_is_slow_until_a_quarter_is_left(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, CONN_OUTPUT_MAX);
    assert_false(conn_is_slow(owner.conn));
    send_pattern(&owner, 4);
    assert_true(conn_is_slow(owner.conn));
    for (uint64_t late = now_ms() + PATIENCE_MS; !owner.draineds;) {
        assert_true(now_ms() < late);
        assert_true(conn_is_slow(owner.conn));
        peer_reads(&owner);
        turn();
    }
    assert_false(conn_is_slow(owner.conn));
    assert_true(output_len(owner.conn) < CONN_OUTPUT_MAX / 4);
    close(owner.peer);
}

static void test_a_slow_one_is_not_read(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, CONN_OUTPUT_MAX + 4);
    peer_says(&owner, "hello");
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(owner.inputs, 0);
    for (uint64_t late = now_ms() + PATIENCE_MS; !owner.inputs;) {
        assert_true(now_ms() < late);
        peer_reads(&owner);
        turn();
    }
    assert_int_equal(owner.draineds, 1);
    close(owner.peer);
}

static void test_who_stays_slow_is_stuck(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    owner.closes_at = "stuck";
    send_pattern(&owner, CONN_OUTPUT_MAX + 4);
    until(owner.stucks == 1);
    assert_null(owner.conn);
    assert_int_equal(conns_count(conns), 0);
    close(owner.peer);
}

static void test_who_drained_in_time_is_not_stuck(void **state)
{
    struct owner owner;
    uint64_t then;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, CONN_OUTPUT_MAX + 4);
    for (uint64_t late = now_ms() + PATIENCE_MS; !owner.draineds;) {
        assert_true(now_ms() < late);
        peer_reads(&owner);
        turn();
    }
    then = now_ms();
    until(now_ms() > then + 1200);
    assert_int_equal(owner.stucks, 0);
    close(owner.peer);
}

static void test_closing_flushes_and_then_ends(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, 300000);
    conn_close(owner.conn);
    assert_int_equal(conns_count(conns), 0);
    assert_false(conns_idle(conns));
    read_pattern(&owner, 300000);
    assert_string_equal(peer_reads(&owner), "eof");
    close(owner.peer);
    until(conns_idle(conns));
}

static void test_the_last_word_arrives_though_input_is_left_unread(void **state)
{
    struct owner owner;

    open_one(&owner);
    peer_says(&owner, "this is never read");
    conn_send(owner.conn, "goodbye", 7);
    conn_close(owner.conn);
    turn();
    peer_says(&owner, "and neither is this");
    for (int i = 0; i < 5; i++)
        turn();
    assert_string_equal(peer_reads(&owner), "goodbye");
    assert_string_equal(peer_reads(&owner), "eof");
    assert_int_equal(owner.inputs, 0);
    close(owner.peer);
    until(conns_idle(conns));
}

static void test_a_peer_that_floods_a_closing_one_is_cut_off(void **state)
{
    static char flood[1 << 16];
    struct owner owner;
    ssize_t n = 0;

    open_one(&owner);
    conn_close(owner.conn);
    for (uint64_t late = now_ms() + 4000; n >= 0 || errno == EAGAIN; turn()) {
        assert_true(now_ms() < late);
        n = send(owner.peer, flood, sizeof flood, MSG_NOSIGNAL);
    }
    assert_true(conns_idle(conns));
    close(owner.peer);
}

static void test_a_peer_that_never_closes_is_waited_for_a_few_seconds_only(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_close(owner.conn);
    until(conns_idle(conns));
    assert_in_range(now_ms() - then, LINGER_SECONDS * 1000 - 50, LINGER_SECONDS * 1000 + 3000);
    close(owner.peer);
}

static void test_a_peer_that_never_reads_is_flushed_to_for_a_few_seconds_only(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, 300000);
    conn_close(owner.conn);
    until(conns_idle(conns));
    close(owner.peer);
}

static void test_eof_is_told_once_and_what_is_sent_then_still_goes(void **state)
{
    struct owner owner;

    open_one(&owner);
    peer_says(&owner, "hello");
    shutdown(owner.peer, SHUT_WR);
    until(owner.eofs == 1);
    assert_int_equal(owner.inputs, 1);
    conn_send(owner.conn, "bye", 3);
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(owner.eofs, 1);
    assert_string_equal(peer_reads(&owner), "bye");
    conn_close(owner.conn);
    turn();
    assert_true(conns_idle(conns));
    close(owner.peer);
}

static void test_a_broken_connection_is_told_when_it_is_written(void **state)
{
    struct owner owner;

    open_one(&owner);
    owner.closes_at = "gone";
    conn_pause(owner.conn, true);
    close(owner.peer);
    conn_send(owner.conn, "anybody?", 8);
    turn();
    assert_int_equal(owner.gones, 1);
    assert_true(conns_idle(conns));
}

static void test_each_callback_may_close(void **state)
{
    static const char *const callbacks[] = {"input", "eof", "drained", "timeout"};

    for (size_t i = 0; i < sizeof callbacks / sizeof callbacks[0]; i++) {
        struct owner owner;

        open_pair(&owner, SOCK_STREAM, 4096);
        owner.closes_at = callbacks[i];
        owner.agains = i == 0; /* on the list of those as well */
        if (i == 0)
            peer_says(&owner, "hello");
        if (i == 1)
            shutdown(owner.peer, SHUT_WR);
        if (i == 2)
            send_pattern(&owner, CONN_OUTPUT_MAX + 4);
        if (i == 3)
            conn_set_timeout(owner.conn, 1, false);
        for (uint64_t late = now_ms() + PATIENCE_MS; owner.conn;) {
            assert_true(now_ms() < late);
            peer_reads(&owner);
            turn();
        }
        close(owner.peer);
        until(conns_idle(conns));
    }
}

static void test_one_that_closes_another_in_the_same_turn_is_survived(void **state)
{
    struct owner owners[20];

    for (int i = 0; i < 20; i++) {
        open_one(&owners[i]);
        conn_send(owners[i].conn, "hello", 5);
        conn_again(owners[i].conn);
    }
    for (int i = 0; i < 20; i += 2) {
        close(owners[i].peer);
        conn_close(owners[i].conn);
    }
    turn();
    assert_int_equal(conns_count(conns), 10);
    for (int i = 0; i < 20; i++)
        assert_int_equal(owners[i].inputs, i % 2);
    for (int i = 1; i < 20; i += 2) {
        assert_string_equal(peer_reads(&owners[i]), "hello");
        close(owners[i].peer);
    }
}

static void test_the_set_may_go_with_conns_on_every_list(void **state)
{
    struct owner owners[4];

    for (int i = 0; i < 4; i++) {
        open_pair(&owners[i], SOCK_STREAM, 4096);
        send_pattern(&owners[i], CONN_OUTPUT_MAX + 4);
        conn_again(owners[i].conn);
        conn_set_timeout(owners[i].conn, 1, true);
    }
    conn_close(owners[1].conn);
    turn();
    conn_send(owners[2].conn, "x", 1);
    conn_close(owners[3].conn);
    for (int i = 0; i < 4; i++)
        close(owners[i].peer);
}

static void test_who_asks_again_is_asked_once_a_turn(void **state)
{
    struct owner owner;

    open_one(&owner);
    owner.agains = 3;
    conn_again(owner.conn);
    conn_again(owner.conn);
    assert_true(conns_end_turn(conns));
    assert_int_equal(owner.inputs, 1);
    assert_true(conns_end_turn(conns));
    assert_true(conns_end_turn(conns));
    assert_int_equal(owner.inputs, 3);
    assert_false(conns_end_turn(conns));
    assert_int_equal(owner.inputs, 4);
    assert_false(conns_end_turn(conns));
    assert_int_equal(owner.inputs, 4);
    close(owner.peer);
}

static void test_input_that_is_not_used_is_left_to_the_kernel(void **state)
{
    static char flood[1 << 16];
    struct owner owner;
    unsigned idle = 0, inputs;

    open_one(&owner);
    for (ssize_t n = 1; idle < 10; turn()) {
        n = send(owner.peer, flood, sizeof flood, MSG_NOSIGNAL);
        idle = n < 0 ? idle + 1 : 0;
    }
    assert_in_range(input_length(&owner), INPUT_MAX, INPUT_MAX + READ_BYTES);
    inputs = owner.inputs;
    conn_use(owner.conn, INPUT_MAX);
    conn_again(owner.conn);
    until(owner.inputs >= inputs + 2); /* once for the asking, then for what is new */
    close(owner.peer);
}

static void test_a_timeout_comes_once(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_set_timeout(owner.conn, 1, false);
    until(owner.timeouts == 1);
    assert_true(now_ms() - then >= 950);
    until(now_ms() - then > 2300);
    assert_int_equal(owner.timeouts, 1);
    close(owner.peer);
}

static void test_input_starts_a_timeout_anew_if_that_is_wanted(void **state)
{
    struct owner quiet, talker;
    uint64_t then = now_ms(), said = 0;

    open_one(&quiet);
    open_one(&talker);
    conn_set_timeout(quiet.conn, 1, true);
    conn_set_timeout(talker.conn, 1, true);
    while (now_ms() - then < 2000) {
        if (now_ms() - said > 200) {
            peer_says(&talker, "x");
            said = now_ms();
        }
        turn();
    }
    assert_int_equal(quiet.timeouts, 1);
    assert_int_equal(talker.timeouts, 0);
    until(talker.timeouts == 1);
    close(quiet.peer);
    close(talker.peer);
}

static void test_a_timeout_can_be_taken_back(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_set_timeout(owner.conn, 1, false);
    conn_set_timeout(owner.conn, 0, false);
    until(now_ms() - then > 1300);
    assert_int_equal(owner.timeouts, 0);
    close(owner.peer);
}

static void test_a_paused_one_is_not_read_until_it_goes_on(void **state)
{
    struct owner owner;

    open_one(&owner);
    conn_pause(owner.conn, true);
    peer_says(&owner, "hello");
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(owner.inputs, 0);
    conn_pause(owner.conn, false);
    until(owner.inputs == 1);
    close(owner.peer);
}

/* Sends "0", "1", ... up to below `n`, each alone. */
static void send_numbers_alone(struct owner *owner, int n)
{
    char text[16];

    for (int i = 0; i < n; i++)
        conn_send_alone(owner->conn, text, (size_t)snprintf(text, sizeof text, "%d", i));
}

/* Reads at the peer the numbers from `first` to below `end`, each with a read of its own. */
static void read_numbers(struct owner *owner, int first, int end)
{
    char text[16];

    for (uint64_t late = now_ms() + PATIENCE_MS; first < end; turn()) {
        const char *got;

        assert_true(now_ms() < late);
        while (first < end && strcmp(got = peer_reads(owner), "-") != 0) {
            snprintf(text, sizeof text, "%d", first++);
            assert_string_equal(got, text);
        }
    }
}

static void test_what_is_sent_alone_leaves_in_a_write_of_its_own(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 0);
    send_numbers_alone(&owner, 3);
    assert_string_equal(peer_reads(&owner), "-");
    read_numbers(&owner, 0, 3);
    assert_string_equal(peer_reads(&owner), "-");
    close(owner.peer);
}

static void test_behind_what_goes_alone_there_is_a_pause(void **state)
{
    struct owner owner;
    uint64_t then;

    alone_ms = 200;
    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_send_alone(owner.conn, "a", 1);
    conn_send_alone(owner.conn, "b", 1);
    assert_string_equal(peer_hears(&owner), "a");
    then = now_ms();
    conn_send(owner.conn, "c", 1); /* comes during the pause, and waits for the next one too */
    assert_string_equal(peer_hears(&owner), "b");
    assert_true(now_ms() - then >= 190);
    assert_string_equal(peer_hears(&owner), "c");
    assert_true(now_ms() - then >= 380);
    close(owner.peer);
}

static void test_who_closes_does_not_wait_through_pauses(void **state)
{
    struct owner owner;

    alone_ms = 100000;
    open_pair(&owner, SOCK_SEQPACKET, 0);
    send_numbers_alone(&owner, 3);
    assert_string_equal(peer_hears(&owner), "0");
    conn_send(owner.conn, "bye", 3);
    conn_close(owner.conn);
    read_numbers(&owner, 1, 3);
    assert_string_equal(peer_hears(&owner), "bye");
    assert_string_equal(peer_hears(&owner), "eof");
    close(owner.peer);
    until(conns_idle(conns));
}

static void test_only_so_many_wait_for_their_peers_to_close(void **state)
{
    static struct owner owners[CLOSING_MAX + 10];

    for (int i = 0; i < CLOSING_MAX + 10; i++) {
        open_one(&owners[i]);
        conn_send(owners[i].conn, "bye", 3);
        conn_close(owners[i].conn);
    }
    turn();
    assert_int_equal(conns->closing, CLOSING_MAX);
    for (int i = 0; i < CLOSING_MAX + 10; i++) {
        assert_string_equal(peer_hears(&owners[i]), "bye");
        assert_string_equal(peer_hears(&owners[i]), "eof");
        close(owners[i].peer);
    }
    until(conns_idle(conns));
}

static void test_what_is_sent_before_and_behind_what_goes_alone_keeps_its_place(void **state)
{
    static const char *const writes[] = {"ab", "C", "d", "E", "F", "gh"};
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_send(owner.conn, "a", 1);
    conn_send(owner.conn, "b", 1);
    conn_send_alone(owner.conn, "C", 1);
    conn_send(owner.conn, "d", 1);
    conn_send_alone(owner.conn, "E", 1);
    conn_send_alone(owner.conn, "F", 1);
    conn_send(owner.conn, "g", 1);
    conn_send(owner.conn, "h", 1);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++)
        assert_string_equal(peer_hears(&owner), writes[i]);
    conn_send(owner.conn, "i", 1);
    conn_send(owner.conn, "j", 1);
    assert_string_equal(peer_hears(&owner), "ij"); /* as if nothing ever went alone */
    close(owner.peer);
}

static void test_nothing_sent_alone_is_no_write(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 0);
    conn_send_alone(owner.conn, "", 0);
    conn_send_alone(owner.conn, "x", 1);
    turn();
    assert_string_equal(peer_reads(&owner), "x");
    assert_string_equal(peer_reads(&owner), "-");
    close(owner.peer);
}

static void test_what_goes_alone_waits_for_a_full_socket_and_stays_alone(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 4096);
    send_numbers_alone(&owner, 500);
    for (int i = 0; i < 20; i++)
        turn();
    assert_true(output_len(owner.conn) > 0);
    read_numbers(&owner, 0, 500);
    assert_int_equal(output_len(owner.conn), 0);
    close(owner.peer);
}

/* Sends the numbers of the pattern from `first` to below `end`, `words` of them at a time. */
static void send_pattern_alone(struct owner *owner, uint32_t first, uint32_t end, uint32_t words)
{
    uint32_t piece[1024];

    while (first < end) {
        uint32_t n = 0;

        while (n < words && first < end)
            piece[n++] = first++;
        conn_send_alone(owner->conn, piece, n * sizeof *piece);
    }
}

static void test_a_piece_that_is_written_in_part_goes_on_where_it_stopped(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern_alone(&owner, 0, 150000, 1000);
    turn();
    assert_true(output_len(owner.conn) > 0);
    read_pattern(&owner, 600000);
    assert_int_equal(output_len(owner.conn), 0);
    close(owner.peer);
}

static void test_what_goes_alone_follows_what_a_full_socket_left(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern(&owner, 300000);
    turn();
    assert_true(output_len(owner.conn) > 0);
    send_pattern_alone(&owner, 75000, 100000, 700);
    turn();
    for (uint32_t i = 100000; i < 125000; i++)
        conn_send(owner.conn, &i, sizeof i);
    read_pattern(&owner, 500000);
    assert_int_equal(output_len(owner.conn), 0);
    close(owner.peer);
}

static void test_closing_flushes_what_goes_alone_too(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_SEQPACKET, 4096);
    send_numbers_alone(&owner, 300);
    conn_close(owner.conn);
    read_numbers(&owner, 0, 300);
    for (uint64_t late = now_ms() + PATIENCE_MS; strcmp(peer_reads(&owner), "eof") != 0; turn())
        assert_true(now_ms() < late);
    close(owner.peer);
    until(conns_idle(conns));
}

static void test_a_break_with_pieces_left_is_told_once(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    owner.closes_at = "gone";
    conn_pause(owner.conn, true);
    send_pattern_alone(&owner, 0, 100000, 1000);
    turn();
    assert_int_equal(owner.gones, 0);
    close(owner.peer);
    until(owner.gones > 0);
    assert_int_equal(owner.gones, 1);
    assert_true(conns_idle(conns));
}

static void test_what_goes_alone_counts_for_the_cap(void **state)
{
    struct owner owner;

    open_pair(&owner, SOCK_STREAM, 4096);
    send_pattern_alone(&owner, 0, CONN_OUTPUT_MAX / 4, 1000);
    assert_false(conn_is_slow(owner.conn));
    conn_send_alone(owner.conn, "more", 4);
    assert_true(conn_is_slow(owner.conn));
    for (uint64_t late = now_ms() + PATIENCE_MS; !owner.draineds;) {
        assert_true(now_ms() < late);
        peer_reads(&owner);
        turn();
    }
    assert_false(conn_is_slow(owner.conn));
    close(owner.peer);
}

static void test_quiet_comes_once(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_set_quiet(owner.conn, 100);
    until(owner.quiets == 1);
    assert_true(now_ms() - then >= 90);
    until(now_ms() - then > 400);
    assert_int_equal(owner.quiets, 1);
    conn_set_quiet(owner.conn, 10);
    until(owner.quiets == 2);
    close(owner.peer);
}

static void test_quiet_starts_anew_when_it_is_set_anew(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    while (now_ms() - then < 1500) {
        conn_set_quiet(owner.conn, 1000);
        turn();
    }
    assert_int_equal(owner.quiets, 0);
    until(owner.quiets == 1);
    close(owner.peer);
}

static void test_quiet_can_be_taken_back(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_set_quiet(owner.conn, 0);
    conn_set_quiet(owner.conn, 50);
    conn_set_quiet(owner.conn, 0);
    until(now_ms() - then > 300);
    assert_int_equal(owner.quiets, 0);
    close(owner.peer);
}

static void test_quiet_does_not_come_after_closing(void **state)
{
    struct owner owner;
    uint64_t then = now_ms();

    open_one(&owner);
    conn_set_quiet(owner.conn, 50);
    conn_close(owner.conn);
    until(now_ms() - then > 300);
    assert_int_equal(owner.quiets, 0);
    close(owner.peer);
    until(conns_idle(conns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        conn_test(test_nothing_is_read_before_there_is_an_owner),
        conn_test(test_what_is_sent_in_a_turn_leaves_in_one_write),
        conn_test(test_what_a_full_socket_leaves_goes_later_and_in_order),
        conn_test(test_what_is_lent_is_written_without_a_copy),
        conn_test(test_what_is_lent_keeps_its_place),
        conn_test(test_what_a_full_socket_leaves_of_what_was_lent_is_kept),
        conn_test(test_what_is_lent_counts_for_the_cap),
        conn_test(test_what_was_lent_to_one_that_closes_arrives),
        conn_test(test_input_that_is_used_in_part_stays),
        conn_test(test_past_the_cap_it_is_slow_until_a_quarter_is_left),
        conn_test(test_a_slow_one_is_not_read),
        conn_test(test_who_stays_slow_is_stuck),
        conn_test(test_who_drained_in_time_is_not_stuck),
        conn_test(test_closing_flushes_and_then_ends),
        conn_test(test_the_last_word_arrives_though_input_is_left_unread),
        conn_test(test_a_peer_that_floods_a_closing_one_is_cut_off),
        conn_test(test_a_peer_that_never_closes_is_waited_for_a_few_seconds_only),
        conn_test(test_a_peer_that_never_reads_is_flushed_to_for_a_few_seconds_only),
        conn_test(test_eof_is_told_once_and_what_is_sent_then_still_goes),
        conn_test(test_a_broken_connection_is_told_when_it_is_written),
        conn_test(test_each_callback_may_close),
        conn_test(test_one_that_closes_another_in_the_same_turn_is_survived),
        conn_test(test_the_set_may_go_with_conns_on_every_list),
        conn_test(test_who_asks_again_is_asked_once_a_turn),
        conn_test(test_input_that_is_not_used_is_left_to_the_kernel),
        conn_test(test_a_timeout_comes_once),
        conn_test(test_input_starts_a_timeout_anew_if_that_is_wanted),
        conn_test(test_a_timeout_can_be_taken_back),
        conn_test(test_a_paused_one_is_not_read_until_it_goes_on),
        conn_test(test_what_is_sent_alone_leaves_in_a_write_of_its_own),
        conn_test(test_behind_what_goes_alone_there_is_a_pause),
        conn_test(test_who_closes_does_not_wait_through_pauses),
        conn_test(test_only_so_many_wait_for_their_peers_to_close),
        conn_test(test_what_is_sent_before_and_behind_what_goes_alone_keeps_its_place),
        conn_test(test_nothing_sent_alone_is_no_write),
        conn_test(test_what_goes_alone_waits_for_a_full_socket_and_stays_alone),
        conn_test(test_a_piece_that_is_written_in_part_goes_on_where_it_stopped),
        conn_test(test_what_goes_alone_follows_what_a_full_socket_left),
        conn_test(test_closing_flushes_what_goes_alone_too),
        conn_test(test_a_break_with_pieces_left_is_told_once),
        conn_test(test_what_goes_alone_counts_for_the_cap),
        conn_test(test_quiet_comes_once),
        conn_test(test_quiet_starts_anew_when_it_is_set_anew),
        conn_test(test_quiet_can_be_taken_back),
        conn_test(test_quiet_does_not_come_after_closing),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
