#ifndef HUBBUB_PROXY_HEADER_H
#define HUBBUB_PROXY_HEADER_H

/*
 * proxy_header: what a proxy says about a client before the client's own bytes (PROXY protocol, versions 1
 * and 2).
 *
 * A pure parser: it knows no sockets, remembers nothing, and looks at no byte behind those given.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * No header is longer.  Version 1 ends within 107 bytes.  Version 2 could claim 64 KiB of extensions; the
 * names in a client's certificate, the longest that proxies really send, stay far below this, and whoever has
 * not even said who it is may not make us keep more.
 */
#define PROXY_HEADER_MAX 2048
#define PROXY_HEADER_V1_MAX 107

#define ADDRESS_MAX_BYTES 46 /* an IPv6 address as text, with NUL */

enum proxy_header {
    PROXY_HEADER_MORE, /* so far it is one: call again with more bytes behind these */
    PROXY_HEADER_DONE,
    PROXY_HEADER_BAD, /* these bytes do not begin with a header */
};

/*
 * Reads the header at the start of `bytes`.  When it is done *used is its length, and `address` the client's
 * address as text, or "" if the proxy does not say: then it is the address of the connection itself.
 */
enum proxy_header proxy_header_read(const char *bytes, size_t len, size_t *used,
                                    char address[ADDRESS_MAX_BYTES]);

/* True if the bytes are sure to be meant as a header: no dialect's first request looks like that. */
bool proxy_header_begins(const char *bytes, size_t len);

/*
 * Writes an address of `family` (AF_INET, AF_INET6; `raw` is in network order) as text; an IPv4 address that
 * IPv6 has wrapped is shown as what it is, so that one person has one address.  Other families: "".
 */
void address_show(int family, const void *raw, char address[ADDRESS_MAX_BYTES]);

#endif
