#include "metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "settings.h"

struct metrics {
    struct evhttp *http;
    metrics_ready_fn *ready;
    void *ctx;
};

static void answer(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();

    if (!body)
        abort();
    evbuffer_add_printf(body, "%s\n", text);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain");
    evhttp_send_reply(request, code, code == 200 ? "OK" : "Service Unavailable", body);
    evbuffer_free(body);
}

static void on_healthz(struct evhttp_request *request, void *arg)
{
    answer(request, 200, "ok");
}

static void on_readyz(struct evhttp_request *request, void *arg)
{
    struct metrics *metrics = arg;
    const char *why = "ready";
    bool ready = metrics->ready(metrics->ctx, &why);

    answer(request, ready ? 200 : 503, why);
}

struct metrics *metrics_create(struct event_base *base, const char *address, metrics_ready_fn *ready,
                               void *ctx, char *error, size_t size)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    char host[256];
    unsigned short port;

    if (!metrics)
        abort();
    metrics->ready = ready;
    metrics->ctx = ctx;
    metrics->http = evhttp_new(base);
    if (!metrics->http)
        abort();
    evhttp_set_allowed_methods(metrics->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_timeout(metrics->http, 10);
    evhttp_set_max_headers_size(metrics->http, 8192);
    evhttp_set_max_body_size(metrics->http, 0);
    evhttp_set_cb(metrics->http, "/healthz", on_healthz, metrics);
    evhttp_set_cb(metrics->http, "/readyz", on_readyz, metrics);
    if (!address_parse(address, strlen(address), host, sizeof host, &port) ||
        !evhttp_bind_socket_with_handle(metrics->http, host, port)) {
        snprintf(error, size, "HUBBUB_HTTP_LISTEN=%s: %s; use an address and port that are free here",
                 address, strerror(errno));
        metrics_destroy(metrics);
        return NULL;
    }
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    evhttp_free(metrics->http);
    free(metrics);
}
