#include "proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const char v1_start[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

#define V1_START_BYTES (sizeof v1_start - 1)
#define V2_SIGNATURE_BYTES (sizeof v2_signature - 1)
#define V2_FIXED_BYTES 16 /* the signature, version and command, family and protocol, length */
#define V2_LOCAL 0
#define V2_PROXY 1
#define V2_FAMILY_MAX 3   /* unspecified, IPv4, IPv6, Unix */
#define V2_PROTOCOL_MAX 2 /* unspecified, stream, datagram */
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_TCP4_BYTES 12 /* two addresses, two ports */
#define V2_TCP6_BYTES 36

void address_show(int family, const void *raw, char address[ADDRESS_MAX_BYTES])
{
    address[0] = '\0';
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)raw)) {
        family = AF_INET;
        raw = (const char *)raw + 12;
    }
    if (family == AF_INET || family == AF_INET6)
        inet_ntop(family, raw, address, ADDRESS_MAX_BYTES);
}

/* True if `bytes` are the first ones of `start`, or begin with it. */
static bool may_begin(const char *bytes, size_t len, const char *start, size_t start_len)
{
    return memcmp(bytes, start, len < start_len ? len : start_len) == 0;
}

static bool is_port(const char *text)
{
    unsigned number = 0;

    if (!*text || strlen(text) > 5 || (text[0] == '0' && text[1]))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (unsigned)(*text - '0');
    }
    return number <= 65535;
}

/* Reads what follows "PROXY " in a line of version 1; splits it in place. */
static bool read_v1_fields(char *line, char address[ADDRESS_MAX_BYTES])
{
    enum { PROTOCOL, SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, FIELDS };
    const char *fields[FIELDS] = {0};
    struct in6_addr source, destination; /* has room for either family */
    int family;

    for (int i = 0; i < FIELDS; i++)
        if (!(fields[i] = strsep(&line, " ")))
            return false;
    if (line)
        return false;
    if (strcmp(fields[PROTOCOL], "TCP4") == 0)
        family = AF_INET;
    else if (strcmp(fields[PROTOCOL], "TCP6") == 0)
        family = AF_INET6;
    else
        return false;
    if (inet_pton(family, fields[SOURCE], &source) != 1 ||
        inet_pton(family, fields[DESTINATION], &destination) != 1 || !is_port(fields[SOURCE_PORT]) ||
        !is_port(fields[DESTINATION_PORT]))
        return false;
    address_show(family, &source, address);
    return true;
}

static enum proxy_header read_v1(const char *bytes, size_t len, size_t *used, char address[ADDRESS_MAX_BYTES])
{
    static const char unknown[] = "UNKNOWN";
    size_t most = len < PROXY_HEADER_V1_MAX ? len : PROXY_HEADER_V1_MAX, end = 0;
    char line[PROXY_HEADER_V1_MAX];

    while (end < most && bytes[end] != '\r' && bytes[end] != '\n')
        end++;
    if (end == PROXY_HEADER_V1_MAX || end + 1 == PROXY_HEADER_V1_MAX)
        return PROXY_HEADER_BAD;
    if (end == most)
        return PROXY_HEADER_MORE;
    if (bytes[end] != '\r')
        return PROXY_HEADER_BAD;
    if (end + 1 == most)
        return PROXY_HEADER_MORE;
    if (bytes[end + 1] != '\n')
        return PROXY_HEADER_BAD;
    *used = end + 2;
    memcpy(line, bytes + V1_START_BYTES, end - V1_START_BYTES);
    line[end - V1_START_BYTES] = '\0';
    if (strcmp(line, unknown) == 0 || strncmp(line, "UNKNOWN ", sizeof unknown) == 0)
        return PROXY_HEADER_DONE; /* whatever else the line says counts for nothing */
    if (memchr(line, '\0', end - V1_START_BYTES) || !read_v1_fields(line, address))
        return PROXY_HEADER_BAD;
    return PROXY_HEADER_DONE;
}

static enum proxy_header read_v2(const char *bytes, size_t len, size_t *used, char address[ADDRESS_MAX_BYTES])
{
    const unsigned char *fixed = (const unsigned char *)bytes + V2_SIGNATURE_BYTES;
    unsigned command, family;
    size_t rest;

    if (len > V2_SIGNATURE_BYTES && (fixed[0] >> 4 != 2 || (fixed[0] & 15) > V2_PROXY))
        return PROXY_HEADER_BAD;
    if (len < V2_FIXED_BYTES)
        return PROXY_HEADER_MORE;
    command = fixed[0] & 15;
    family = fixed[1];
    rest = (size_t)fixed[2] << 8 | fixed[3];
    if (V2_FIXED_BYTES + rest > PROXY_HEADER_MAX)
        return PROXY_HEADER_BAD;
    if (command == V2_PROXY &&
        (family >> 4 > V2_FAMILY_MAX || (family & 15) > V2_PROTOCOL_MAX ||
         (family == V2_TCP4 && rest < V2_TCP4_BYTES) || (family == V2_TCP6 && rest < V2_TCP6_BYTES)))
        return PROXY_HEADER_BAD;
    if (len < V2_FIXED_BYTES + rest)
        return PROXY_HEADER_MORE;
    *used = V2_FIXED_BYTES + rest;
    if (command == V2_PROXY && (family == V2_TCP4 || family == V2_TCP6)) {
        struct in6_addr source = {0}; /* aligned, as it is not in `bytes` */

        memcpy(&source, bytes + V2_FIXED_BYTES, family == V2_TCP4 ? 4 : sizeof source);
        address_show(family == V2_TCP4 ? AF_INET : AF_INET6, &source, address);
    }
    return PROXY_HEADER_DONE;
}

enum proxy_header proxy_header_read(const char *bytes, size_t len, size_t *used,
                                    char address[ADDRESS_MAX_BYTES])
{
    address[0] = '\0';
    *used = 0;
    if (len == 0)
        return PROXY_HEADER_MORE;
    if (may_begin(bytes, len, v1_start, V1_START_BYTES))
        return len < V1_START_BYTES ? PROXY_HEADER_MORE : read_v1(bytes, len, used, address);
    if (may_begin(bytes, len, v2_signature, V2_SIGNATURE_BYTES))
        return len < V2_SIGNATURE_BYTES ? PROXY_HEADER_MORE : read_v2(bytes, len, used, address);
    return PROXY_HEADER_BAD;
}

bool proxy_header_begins(const char *bytes, size_t len)
{
    return (len >= V1_START_BYTES && may_begin(bytes, len, v1_start, V1_START_BYTES)) ||
           (len >= V2_SIGNATURE_BYTES && may_begin(bytes, len, v2_signature, V2_SIGNATURE_BYTES));
}
