#include "asker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static int ports[STORES];

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        give_up("there is no free port");
    close(fd);
    return ntohs(address.sin_port);
}

void asker_start_store(int n)
{
    if (!ports[n])
        ports[n] = free_port();
    store_listen(n, ports[n]);
    store_start(n);
}

void asker_connect(struct asker *asker, int n)
{
    struct sockaddr_in address = loopback(ports[n]);

    asker->len = 0;
    asker->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(asker->fd, (struct sockaddr *)&address, sizeof address) < 0)
        give_up("the store does not listen");
}

void asker_open(struct asker *asker, int n)
{
    asker_connect(asker, n);
    assert_string_equal(asker_ask(asker, "{\"hello\":\"g1\"}"), "{\"hello\":\"store\"}");
}

void asker_close(struct asker *asker)
{
    close(asker->fd);
    asker->fd = -1;
}

static void send_line(struct asker *asker, const char *format, va_list arguments)
{
    static char line[1 << 18];
    int len = vsnprintf(line, sizeof line - 1, format, arguments);

    line[len++] = '\n';
    if (send(asker->fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        give_up("a line cannot be sent");
}

void asker_send(struct asker *asker, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    send_line(asker, format, arguments);
    va_end(arguments);
}

/* Reads more; false at the end. */
static bool read_more(struct asker *asker)
{
    struct pollfd fd = {.fd = asker->fd, .events = POLLIN};
    ssize_t got;

    if (poll(&fd, 1, PATIENCE_MS) <= 0)
        give_up("the store does not answer");
    got = recv(asker->fd, asker->bytes + asker->len, sizeof asker->bytes - asker->len, 0);
    if (got > 0)
        asker->len += (size_t)got;
    return got > 0;
}

const char *asker_line(struct asker *asker)
{
    static char line[sizeof asker->bytes];
    char *end;
    size_t len;

    while (!(end = memchr(asker->bytes, '\n', asker->len)))
        if (!read_more(asker))
            give_up("the store has closed the connection");
    len = (size_t)(end - asker->bytes);
    memcpy(line, asker->bytes, len);
    line[len] = '\0';
    asker->len -= len + 1;
    memmove(asker->bytes, end + 1, asker->len);
    return line;
}

const char *asker_ask(struct asker *asker, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    send_line(asker, format, arguments);
    va_end(arguments);
    return asker_line(asker);
}

bool asker_is_silent(const struct asker *asker)
{
    return asker->len == 0 && poll(&(struct pollfd){.fd = asker->fd, .events = POLLIN}, 1, 0) == 0;
}

void asker_await_end(struct asker *asker)
{
    while (read_more(asker))
        asker->len = 0;
    asker_close(asker);
}
