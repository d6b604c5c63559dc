/*
 * proxy_header_fuzz: any bytes, as the start of a connection through a proxy.
 *
 * The answer may not depend on how many bytes arrive at once: once it is given it stays.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "proxy_header.h"

#define BYTE_BY_BYTE 256 /* behind so many bytes, in greater steps */
#define STEP 61

struct answer {
    enum proxy_header header;
    size_t used;
    char address[ADDRESS_MAX_BYTES];
    bool begins;
};

/* What is said of the first `len` bytes, when there are no others. */
static struct answer ask(const uint8_t *data, size_t len)
{
    struct answer answer = {.used = SIZE_MAX};
    char *bytes = len ? malloc(len) : NULL;

    if (len)
        memcpy(bytes, data, len);
    memset(answer.address, 'x', sizeof answer.address);
    answer.header = proxy_header_read(bytes, len, &answer.used, answer.address);
    answer.begins = proxy_header_begins(bytes, len);
    free(bytes);
    return answer;
}

static void check_address(const char *address)
{
    struct in6_addr raw;

    REQUIRE(memchr(address, '\0', ADDRESS_MAX_BYTES));
    if (!*address || inet_pton(AF_INET, address, &raw) == 1)
        return;
    REQUIRE(inet_pton(AF_INET6, address, &raw) == 1);
    REQUIRE(!IN6_IS_ADDR_V4MAPPED(&raw));
}

static void check(const struct answer *answer, size_t len)
{
    switch (answer->header) {
    case PROXY_HEADER_MORE:
        REQUIRE(len < PROXY_HEADER_MAX);
        break;
    case PROXY_HEADER_DONE:
        REQUIRE(answer->used > 0 && answer->used <= len && answer->used <= PROXY_HEADER_MAX);
        REQUIRE(answer->begins);
        check_address(answer->address);
        break;
    case PROXY_HEADER_BAD:
        break;
    }
}

/* How much of `size` bytes has come after the next read; all of it comes last. */
static size_t next_len(size_t len, size_t size)
{
    size_t step = len < BYTE_BY_BYTE ? 1 : STEP;

    return len < size && len + step > size ? size : len + step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer before = {.header = PROXY_HEADER_MORE};

    for (size_t len = 0; len <= size; len = next_len(len, size)) {
        struct answer answer = ask(data, len);

        check(&answer, len);
        if (before.header != PROXY_HEADER_MORE)
            REQUIRE(answer.header == before.header);
        if (before.header == PROXY_HEADER_DONE)
            REQUIRE(answer.used == before.used && strcmp(answer.address, before.address) == 0);
        REQUIRE(answer.begins || !before.begins);
        before = answer;
    }
    return 0;
}
