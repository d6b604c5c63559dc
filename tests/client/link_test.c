/* Links over real sockets of this machine.  link.c is compiled into the test, with shorter times. */
#include "unit.h"

#define LINK_OPEN_SECONDS 2
#define LINK_ADDRESS_SECONDS 1
static char resolv_conf[64] = "/etc/resolv.conf";
#define LINK_RESOLV_CONF resolv_conf

#include "../../client/link.c" /* NOLINT(bugprone-suspicious-include) */

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

static struct event_base *base;
static struct event *tick;
static struct link *the_link;
static int listener, peer;
static char port[8];
static unsigned opened, lost, lines;
static size_t bytes;             /* of all lines */
static char why[256], last[256]; /* of the loss; the last line, as far as it fits */
static bool close_at_line, close_at_opened;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Runs the loop until `condition`. */
#define until(condition)                                         \
    for (int64_t late = now_ms() + PATIENCE_MS; !(condition);) { \
        if (now_ms() > late)                                     \
            fail_msg("this did not come: %s", #condition);       \
        event_base_loop(base, EVLOOP_ONCE);                      \
    }

static void on_opened(void *ctx)
{
    opened++;
    if (close_at_opened)
        link_close(the_link);
}

static void on_lost(void *ctx, const char *reason)
{
    lost++;
    snprintf(why, sizeof why, "%s", reason);
}

static void on_line(void *ctx, const char *line, size_t len)
{
    lines++;
    bytes += len;
    snprintf(last, sizeof last, "%s", line);
    if (close_at_line)
        link_close(the_link);
}

static const struct link_ops ops = {on_opened, on_lost, on_line};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
}

/* A name server: whatever is asked for has the address 127.0.0.1. */
struct names {
    int fd;
    struct event *readable;
    unsigned asked;
};

static void on_asked(evutil_socket_t fd, short what, void *arg)
{
    static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1};
    struct names *names = arg;
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    unsigned char packet[512 + sizeof answer];
    ssize_t n = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &from_len);
    size_t len = 12;

    assert_true(n > 12);
    while (packet[len])
        len += packet[len] + 1u;
    len += 5;
    assert_true(len <= (size_t)n);
    memset(packet + 2, 0, 10);
    packet[2] = packet[3] = 0x80;
    packet[5] = 1;
    if (packet[len - 3] == 1) { /* A; there is no other */
        packet[7] = 1;
        memcpy(packet + len, answer, sizeof answer);
        len += sizeof answer;
    }
    names->asked++;
    sendto(fd, packet, len, 0, (struct sockaddr *)&from, from_len);
}

/* It becomes the one that the machine knows. */
static void begin_names(struct names *names)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    FILE *file;

    names->asked = 0;
    names->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(names->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(names->fd, (struct sockaddr *)&address, &len), 0);
    names->readable = event_new(base, names->fd, EV_READ | EV_PERSIST, on_asked, names);
    event_add(names->readable, NULL);
    file = fopen(resolv_conf, "w");
    assert_non_null(file);
    fprintf(file, "nameserver 127.0.0.1:%u\n", ntohs(address.sin_port));
    fclose(file);
}

static void make_resolv_conf(void)
{
    strcpy(resolv_conf, "/tmp/hubbub-link-test-XXXXXX");
    close(mkstemp(resolv_conf));
}

static void remove_resolv_conf(void)
{
    unlink(resolv_conf);
    strcpy(resolv_conf, "/etc/resolv.conf");
}

static void end_names(struct names *names)
{
    event_free(names->readable);
    close(names->fd);
}

static int listen_on(char text[8], int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, backlog) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(text, 8, "%u", ntohs(address.sin_port));
    return fd;
}

static int set_up(void **state)
{
    struct timeval often = {.tv_usec = 2000};

    signal(SIGPIPE, SIG_IGN);
    opened = lost = lines = 0;
    bytes = 0;
    close_at_line = close_at_opened = false;
    peer = -1;
    base = event_base_new();
    tick = event_new(base, -1, EV_PERSIST, on_tick, NULL); /* so that a turn ends */
    event_add(tick, &often);
    listener = listen_on(port, 16);
    the_link = link_create(base, "127.0.0.1", port, &ops, NULL);
    return the_link ? 0 : -1;
}

static int tear_down(void **state)
{
    event_base_loop(base, EVLOOP_NONBLOCK); /* what was cancelled is told so */
    link_destroy(the_link);
    event_free(tick);
    event_base_free(base);
    if (listener >= 0)
        close(listener);
    if (peer >= 0)
        close(peer);
    return 0;
}

static void connect_to(const char *host)
{
    link_destroy(the_link);
    the_link = link_create(base, host, port, &ops, NULL);
    assert_non_null(the_link);
}

static void open_link(void)
{
    link_open(the_link);
    until(opened == 1);
    until((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
}

/* The server sends this. */
static void feed(const char *what, size_t len)
{
    int64_t late = now_ms() + PATIENCE_MS;

    while (len > 0 && !lost) {
        ssize_t n = send(peer, what, len, 0);

        assert_true(n > 0 || errno == EAGAIN);
        assert_true(now_ms() < late);
        if (n > 0) {
            what += n;
            len -= (size_t)n;
        }
        event_base_loop(base, EVLOOP_ONCE);
    }
}

static void test_lines_go_both_ways(void **state)
{
    char text[64];
    ssize_t n = 0;

    open_link();
    link_send(the_link, "hello\n", 6);
    until((n = recv(peer, text, sizeof text, 0)) > 0);
    assert_int_equal(n, 6);
    feed("one\n", 4);
    until(lines == 1);
    assert_string_equal(last, "one");
    assert_int_equal(lost, 0);
}

static void test_lines_come_in_any_pieces(void **state)
{
    open_link();
    for (const char *at = "first\nsecond\n"; *at; at++)
        feed(at, 1);
    until(lines == 2);
    assert_string_equal(last, "second");
    feed("\na\0b\r\nc", 7);
    until(lines == 4);
    assert_int_equal(bytes, 5 + 6 + 0 + 4);
    feed("\n", 1);
    until(lines == 5);
    assert_string_equal(last, "c");
}

/* Why there is no connection, and whereto. */
static void assert_said_of(const char *host, const char *reason)
{
    char expected[300];

    snprintf(expected, sizeof expected, strchr(host, ':') ? "[%s]:%s: %s" : "%s:%s: %s", host, port, reason);
    assert_string_equal(why, expected);
}

static void test_nobody_there(void **state)
{
    close(listener);
    listener = -1;
    link_open(the_link);
    assert_int_equal(lost, 0); /* not from within the call */
    until(lost == 1);
    assert_said_of("127.0.0.1", "Connection refused");
    assert_int_equal(opened, 0);
    link_open(the_link); /* and again */
    until(lost == 2);
}

static void test_an_address_that_cannot_be_reached(void **state)
{
    connect_to("255.255.255.255"); /* the kernel says so at once */
    link_open(the_link);
    assert_int_equal(lost, 0);
    until(lost == 1);
    assert_said_of("255.255.255.255", "Network is unreachable");
    assert_int_equal(opened, 0);
}

static void test_an_address_that_is_none(void **state)
{
    connect_to("256.256.256.256.invalid");
    link_open(the_link);
    assert_int_equal(lost, 0);
    until(lost == 1);
    assert_int_equal(opened, 0);
}

static void test_a_name_is_found(void **state)
{
    connect_to("localhost"); /* whose first address may be one where nobody listens */
    open_link();
    assert_int_equal(lost, 0);
}

static void test_the_name_server_may_change(void **state)
{
    struct names here, there;

    make_resolv_conf();
    begin_names(&here);
    connect_to("chat.example.org");
    open_link();
    assert_true(here.asked > 0);
    link_close(the_link);
    close(peer);
    end_names(&here);
    begin_names(&there);
    opened = 0;
    open_link();
    assert_true(there.asked > 0);
    end_names(&there);
    remove_resolv_conf();
}

static void test_the_end_comes_behind_all_lines_and_once(void **state)
{
    open_link();
    feed("one\ntwo\nthr", 11);
    close(peer);
    peer = -1;
    until(lost == 1);
    assert_int_equal(lines, 2);
    assert_string_equal(why, "The server has closed the connection.");
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(lost, 1);
}

static void test_a_reset_is_an_end_too(void **state)
{
    struct linger none = {.l_onoff = 1};

    open_link();
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(peer);
    peer = -1;
    until(lost == 1);
    assert_string_equal(why, "The server has closed the connection.");
}

static void test_a_link_can_be_opened_again(void **state)
{
    open_link();
    close(peer);
    until(lost == 1);
    opened = lost = 0;
    open_link();
    feed("one\n", 4);
    until(lines == 1);
    link_close(the_link);
    close(peer);
    opened = 0;
    open_link();
    feed("two\n", 4);
    until(lines == 2);
    assert_int_equal(lost, 0);
}

static void test_the_longest_line(void **state)
{
    char *line = malloc(WIRE_LINE_MAX + 2);

    assert_non_null(line);
    memset(line, 'x', WIRE_LINE_MAX + 2);
    open_link();
    line[WIRE_LINE_MAX] = '\n';
    feed(line, WIRE_LINE_MAX + 1);
    until(lines == 1);
    assert_int_equal(bytes, WIRE_LINE_MAX);
    line[WIRE_LINE_MAX] = 'x';
    feed(line, WIRE_LINE_MAX + 2);
    until(lost == 1);
    assert_string_equal(why, "The server sends a line that is too long.");
    assert_int_equal(lines, 1);
    free(line);
}

static void test_closing_at_a_line_ends_it(void **state)
{
    close_at_line = true;
    open_link();
    feed("one\ntwo\nthree\n", 14);
    until(lines == 1);
    close(peer);
    peer = -1;
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(lines, 1);
    assert_int_equal(lost, 0);
}

static void test_closing_as_soon_as_it_is_open(void **state)
{
    close_at_opened = true;
    open_link();
    link_send(the_link, "lost\n", 5); /* nobody is there */
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(lost, 0);
}

static void test_what_was_sent_goes_out_when_it_is_closed(void **state)
{
    char text[64];
    ssize_t n = -1;

    open_link();
    link_send(the_link, "leave\n", 6);
    link_close(the_link);
    until((n = recv(peer, text, sizeof text, 0)) >= 0);
    assert_int_equal(n, 6);
    until((n = recv(peer, text, sizeof text, 0)) >= 0);
    assert_int_equal(n, 0);
}

/* Fills the queue of a listener, so that nobody else gets through.  Returns how many descriptors that took.
 */
static int fill_up(int fd, int fillers[4])
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    getsockname(fd, (struct sockaddr *)&address, &len);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(connect(fillers[i], (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS);
    }
    return 4;
}

static void test_a_server_that_does_not_answer(void **state)
{
    int fillers[4], n;

    close(listener);
    listener = listen_on(port, 0);
    n = fill_up(listener, fillers);
    connect_to("127.0.0.1");
    link_open(the_link);
    until(lost == 1);
    assert_said_of("127.0.0.1", "The server does not answer.");
    while (n > 0)
        close(fillers[--n]);
}

/* Nor does libevent print its own. */
static void test_a_name_server_that_does_not_answer(void **state)
{
    int kept = dup(STDERR_FILENO);
    char printed[256] = "";
    FILE *file = tmpfile(), *conf;

    assert_non_null(file);
    make_resolv_conf();
    conf = fopen(resolv_conf, "w");
    assert_non_null(conf);
    /* The kernel lets nobody send there who has not said that it is to be a broadcast. */
    fputs("nameserver 255.255.255.255\n", conf);
    fclose(conf);
    connect_to("no-such-name.invalid");
    dup2(fileno(file), STDERR_FILENO);
    link_open(the_link);
    until(lost == 1);
    dup2(kept, STDERR_FILENO);
    rewind(file);
    assert_int_equal(fread(printed, 1, sizeof printed - 1, file), 0);
    assert_string_equal(printed, "");
    assert_string_equal(strchr(why, ' '), " No name server answers.");
    fclose(file);
    close(kept);
    remove_resolv_conf();
}

/* The addresses of a name, as if there were one with these two ports. */
static struct evutil_addrinfo *two_addresses(const char *first, const char *second)
{
    struct evutil_addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *one, *two;

    assert_int_equal(evutil_getaddrinfo("127.0.0.1", first, &hints, &one), 0);
    assert_int_equal(evutil_getaddrinfo("127.0.0.1", second, &hints, &two), 0);
    one->ai_next = two;
    return one;
}

static void test_each_address_is_tried(void **state)
{
    char clogged[8], closed[8];
    int fillers[4], n, other = listen_on(closed, 1);

    close(other); /* the port is free again */
    on_found(0, two_addresses(closed, port), the_link);
    until(opened == 1);
    link_close(the_link);

    other = listen_on(clogged, 0);
    n = fill_up(other, fillers);
    fail_in(the_link, LINK_OPEN_SECONDS, NO_ANSWER);
    on_found(0, two_addresses(clogged, port), the_link);
    until(opened == 2);
    assert_int_equal(lost, 0);
    while (n > 0)
        close(fillers[--n]);
    close(other);
    until(recv(peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK), why, 1, 0) == 0); /* the first */
    close(peer);
    until((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    for (int64_t end = now_ms() + 1500; now_ms() < end;) /* the time for an address is over */
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(lost, 0);
}

static void test_it_can_be_closed_while_it_opens(void **state)
{
    link_open(the_link);
    link_close(the_link);
    link_close(the_link); /* it is already */
    connect_to("no-such-name.invalid");
    link_open(the_link);
    link_close(the_link);
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(opened + lost, 0);
}

static void test_it_can_be_destroyed_while_it_opens(void **state)
{
    link_open(the_link);
    link_destroy(the_link);
    the_link = NULL;
    link_destroy(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_go_both_ways),
        TEST(test_lines_come_in_any_pieces),
        TEST(test_nobody_there),
        TEST(test_an_address_that_cannot_be_reached),
        TEST(test_an_address_that_is_none),
        TEST(test_a_name_is_found),
        TEST(test_the_name_server_may_change),
        TEST(test_the_end_comes_behind_all_lines_and_once),
        TEST(test_a_reset_is_an_end_too),
        TEST(test_a_link_can_be_opened_again),
        TEST(test_the_longest_line),
        TEST(test_closing_at_a_line_ends_it),
        TEST(test_closing_as_soon_as_it_is_open),
        TEST(test_what_was_sent_goes_out_when_it_is_closed),
        TEST(test_a_server_that_does_not_answer),
        TEST(test_a_name_server_that_does_not_answer),
        TEST(test_each_address_is_tried),
        TEST(test_it_can_be_closed_while_it_opens),
        TEST(test_it_can_be_destroyed_while_it_opens),
    };

    return cmocka_run_group_tests_name("client-link", tests, NULL, NULL);
}
