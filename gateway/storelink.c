#include "storelink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <sodium.h>
#include <uthash.h>
#include <utlist.h>

#include "bus.h"
#include "log.h"
#include "settings.h"

#define WAITING_MAX 2048
#ifndef ANSWER_MS
#define ANSWER_MS 5000
#endif
#define STUCK_MS (ANSWER_MS + 1000) /* the store itself answers in ANSWER_MS, be it that it cannot */
#define LINE_MAX_BYTES (1024 * 1024)
#define CLOCK_MS 200
#define AGAIN_MS 500 /* what is patient is asked again so long after the store could not */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 3000
#define QUIET_MS 10000 /* the same trouble is logged so seldom */

/* One request.  Enters `waiting` when it is asked, moves on to `asked` when it is sent, and leaves when it is
 * answered, or, if it is patient, goes back when the connection breaks.  Who asked waits until `until`, also
 * if the store answers later. */
struct question {
    uint64_t number; /* its "id" */
    enum storelink_kind kind;
    bool patient;
    char *line; /* kept until it is answered if it is patient; else NULL once it was sent */
    uint64_t until, sent_at, not_before;
    storelink_fn *answered; /* NULL: was told already */
    void *ctx;
    uint64_t token;
    struct question *prev, *next;
};

/* How many of a kind may be without an answer: the store takes 32 in all. */
static const size_t shares[STORELINK_KINDS] = {
    [STORELINK_PASSWORD] = 14, [STORELINK_PAGE] = 14, [STORELINK_READ] = 4};

enum state { STATE_DOWN, STATE_CONNECTING, STATE_GREETING, STATE_UP };

struct storelink {
    struct event_base *base;
    struct evdns_base *dns;
    const struct settings *settings;
    struct store_address addresses[STORES_MAX];
    size_t n_addresses, next_address;
    enum state state;
    struct evdns_getaddrinfo_request *lookup;
    struct bufferevent *stream; /* NULL: down */
    uint64_t connected_until;   /* the store has greeted by then */
    uint64_t retry_at;          /* while down */
    unsigned failures;
    uint64_t told_at;    /* when a trouble was logged; 0: none since it worked */
    struct event *clock; /* runs always: retries, and what was not answered in time */
    struct question *waiting[STORELINK_KINDS], *asked; /* oldest first */
    size_t n_waiting, n_asked[STORELINK_KINDS];
    uint64_t answered_at; /* when a store did what it was asked, or was there to be asked */
    uint64_t next_number;
};

/* Questions ---------------------------------------------------------------------------------------------- */

static void question_free(struct question *question)
{
    if (question->line)
        sodium_memzero(question->line, strlen(question->line)); /* it may hold a password */
    free(question->line);
    free(question);
}

/* Tells who asked, once. */
static void tell(struct question *question, const json_t *answer)
{
    storelink_fn *answered = question->answered;

    question->answered = NULL;
    if (answered)
        answered(question->ctx, question->token, answer);
}

static void question_answer(struct question *question, const json_t *answer)
{
    tell(question, answer);
    question_free(question);
}

static void enqueue(struct storelink *storelink, struct question *question)
{
    DL_APPEND(storelink->waiting[question->kind], question);
    storelink->n_waiting++;
}

static void dequeue(struct storelink *storelink, struct question *question)
{
    DL_DELETE(storelink->waiting[question->kind], question);
    storelink->n_waiting--;
}

static void take_back(struct storelink *storelink, struct question *question)
{
    DL_DELETE(storelink->asked, question);
    storelink->n_asked[question->kind]--;
}

/* The connection is gone: who is patient is asked again, the others are answered with nothing.  What they set
 * off is not among them. */
static void give_up(struct storelink *storelink)
{
    struct question *lost = NULL, *question, *next;

    DL_FOREACH_SAFE (storelink->asked, question, next) {
        take_back(storelink, question);
        if (question->patient) { /* the next store has as long for it as this one had */
            question->until = monotonic_ms() + ANSWER_MS;
            enqueue(storelink, question);
        } else {
            DL_APPEND(lost, question);
        }
    }
    for (int kind = 0; kind < STORELINK_KINDS; kind++) {
        DL_FOREACH_SAFE (storelink->waiting[kind], question, next) {
            if (question->patient)
                continue;
            dequeue(storelink, question);
            DL_APPEND(lost, question);
        }
    }
    while ((question = lost)) {
        DL_DELETE(lost, question);
        question_answer(question, NULL);
    }
}

/* Sends a question's line; the copy that is kept of a patient one holds no password. */
static void send_line(struct storelink *storelink, struct question *question)
{
    struct evbuffer *output = bufferevent_get_output(storelink->stream);

    evbuffer_add(output, question->line, strlen(question->line));
    evbuffer_add(output, "\n", 1);
    question->sent_at = monotonic_ms();
    if (question->patient)
        return;
    sodium_memzero(question->line, strlen(question->line));
    free(question->line);
    question->line = NULL;
}

static void send_waiting(struct storelink *storelink)
{
    uint64_t now = monotonic_ms();
    struct question *question, *next;

    if (storelink->state != STATE_UP)
        return;
    for (int kind = 0; kind < STORELINK_KINDS; kind++) {
        DL_FOREACH_SAFE (storelink->waiting[kind], question, next) {
            if (storelink->n_asked[kind] == shares[kind])
                break;
            if (now < question->not_before)
                continue;
            dequeue(storelink, question);
            DL_APPEND(storelink->asked, question);
            storelink->n_asked[kind]++;
            send_line(storelink, question);
        }
    }
}

/* The connection ----------------------------------------------------------------------------------------- */

static void disconnect(struct storelink *storelink)
{
    storelink->state = STATE_DOWN;
    if (storelink->lookup)
        evdns_getaddrinfo_cancel(storelink->lookup);
    storelink->lookup = NULL;
    if (storelink->stream)
        bufferevent_free(storelink->stream);
    storelink->stream = NULL;
}

static void lose(struct storelink *storelink, const char *why)
{
    const struct store_address *address = &storelink->addresses[storelink->next_address];
    uint64_t now = monotonic_ms(), delay = BACKOFF_FIRST_MS;

    if (storelink->told_at == 0 || now - storelink->told_at >= QUIET_MS) {
        log_warn("store_lost", "store=%s:%u error=%s", address->host, address->port, why);
        storelink->told_at = now;
    }
    disconnect(storelink);
    storelink->next_address = (storelink->next_address + 1) % storelink->n_addresses;
    for (unsigned i = 0; i < storelink->failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    storelink->failures++;
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    storelink->retry_at = now + delay / 2 + randombytes_uniform((uint32_t)(delay / 2 + 1));
    give_up(storelink);
}

/* The store's first line.  False: it was refused, and the connection is lost. */
static bool take_greeting(struct storelink *storelink, const json_t *greeting)
{
    const struct store_address *address = &storelink->addresses[storelink->next_address];
    const char *error = json_string_value(json_object_get(greeting, "error"));

    if (!json_is_string(json_object_get(greeting, "hello"))) {
        lose(storelink, error && strcmp(error, "bad-secret") == 0
                            ? "it refuses our HUBBUB_STORE_SECRET: give both the same"
                            : "it does not greet as a store does");
        return false;
    }
    log_info("store_connected", "store=%s:%u", address->host, address->port);
    storelink->state = STATE_UP;
    storelink->failures = 0;
    storelink->told_at = 0;
    send_waiting(storelink);
    return true;
}

static void take_answer(struct storelink *storelink, const json_t *answer)
{
    uint64_t number = (uint64_t)json_integer_value(json_object_get(answer, "id"));
    struct question *question;

    DL_SEARCH_SCALAR(storelink->asked, question, number, number);
    if (!question)
        return;
    take_back(storelink, question);
    if (json_is_true(json_object_get(answer, "ok")))
        storelink->answered_at = monotonic_ms();
    if (question->patient && !json_is_true(json_object_get(answer, "ok"))) {
        question->not_before = monotonic_ms() + AGAIN_MS;
        enqueue(storelink, question);
        question = NULL;
    }
    send_waiting(storelink);
    if (question)
        question_answer(question, answer);
}

/* False: the connection is lost. */
static bool take_line(struct storelink *storelink, const char *line, size_t len)
{
    json_t *object = json_loadb(line, len, 0, NULL);
    bool good = json_is_object(object);

    if (!good)
        lose(storelink, "it says what is no JSON");
    else if (storelink->state == STATE_GREETING)
        good = take_greeting(storelink, object);
    else
        take_answer(storelink, object);
    json_decref(object);
    return good;
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct storelink *storelink = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    char *line;
    size_t len;

    while ((line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF))) {
        bool good = take_line(storelink, line, len);

        free(line);
        if (!good)
            return;
    }
    if (evbuffer_get_length(input) >= LINE_MAX_BYTES)
        lose(storelink, "a line is too long");
}

static void say_hello(struct storelink *storelink)
{
    struct evbuffer *output = bufferevent_get_output(storelink->stream);
    json_t *hello = json_pack("{s:s, s:s}", "hello", storelink->settings->gateway, "secret",
                              storelink->settings->store_secret);
    char *line = hello ? json_dumps(hello, JSON_COMPACT) : NULL;

    if (!line)
        abort();
    evbuffer_add_printf(output, "%s\n", line);
    sodium_memzero(line, strlen(line));
    free(line);
    json_decref(hello);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct storelink *storelink = arg;

    if (!(what & BEV_EVENT_CONNECTED)) {
        lose(storelink, (what & BEV_EVENT_EOF) ? "it closed the connection"
                                               : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
        return;
    }
    storelink->state = STATE_GREETING;
    say_hello(storelink);
}

/* A name may stand for several stores: any will do. */
static const struct evutil_addrinfo *choose(const struct evutil_addrinfo *found)
{
    const struct evutil_addrinfo *chosen = found;
    uint32_t n = 0;

    for (const struct evutil_addrinfo *at = found; at; at = at->ai_next)
        if (randombytes_uniform(++n) == 0)
            chosen = at;
    return chosen;
}

static void on_address(int error, struct evutil_addrinfo *found, void *arg)
{
    struct storelink *storelink = arg;
    const struct evutil_addrinfo *chosen;

    if (error == EVUTIL_EAI_CANCEL) /* by disconnect(), and `storelink` may be gone */
        return;
    storelink->lookup = NULL;
    if (error) {
        lose(storelink, evutil_gai_strerror(error));
        return;
    }
    chosen = choose(found);
    /* A failure that is known at once (no route, no IPv6) does not come through on_event. */
    if (bufferevent_socket_connect(storelink->stream, chosen->ai_addr, (int)chosen->ai_addrlen) != 0)
        lose(storelink, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    evutil_freeaddrinfo(found);
}

static void connect_next(struct storelink *storelink)
{
    const struct store_address *address = &storelink->addresses[storelink->next_address];
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *lookup;
    char port[8];

    storelink->stream =
        bufferevent_socket_new(storelink->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!storelink->stream)
        abort();
    storelink->state = STATE_CONNECTING;
    storelink->connected_until = monotonic_ms() + ANSWER_MS;
    bufferevent_setcb(storelink->stream, on_read, NULL, on_event, storelink);
    bufferevent_setwatermark(storelink->stream, EV_READ, 0, LINE_MAX_BYTES);
    bufferevent_enable(storelink->stream, EV_READ | EV_WRITE);
    snprintf(port, sizeof port, "%u", address->port);
    lookup = evdns_getaddrinfo(storelink->dns, address->host, port, &hints, on_address, storelink);
    if (lookup) /* else on_address was called already */
        storelink->lookup = lookup;
}

/* The clock ---------------------------------------------------------------------------------------------- */

/* Tells those who have waited too long; who is patient waits as long as stores answer at all. */
static void drop_overdue(struct storelink *storelink, uint64_t now)
{
    bool is_hopeless = now - storelink->answered_at >= ANSWER_MS;
    struct question *overdue = NULL, *question, *next;

    DL_FOREACH_SAFE (storelink->asked, question,
                     next) /* none leaves: only answers and lose() take them out */
        if (!question->patient && now >= question->until)
            tell(question, NULL);
    for (int kind = 0; kind < STORELINK_KINDS; kind++) {
        DL_FOREACH_SAFE (storelink->waiting[kind], question, next) {
            if (now < question->until || (question->patient && !is_hopeless))
                continue;
            dequeue(storelink, question);
            DL_APPEND(overdue, question);
        }
    }
    while ((question = overdue)) {
        DL_DELETE(overdue, question);
        question_answer(question, NULL);
    }
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct storelink *storelink = arg;
    uint64_t now = monotonic_ms();

    if (storelink->state == STATE_UP && storelink->asked && now - storelink->asked->sent_at >= STUCK_MS)
        lose(storelink, "a request was not answered in time");
    else if (storelink->state == STATE_UP)
        send_waiting(storelink);
    else if (storelink->state != STATE_DOWN && now >= storelink->connected_until)
        lose(storelink, "it does not answer");
    else if (storelink->state == STATE_DOWN && now >= storelink->retry_at)
        connect_next(storelink);
    drop_overdue(storelink, now);
}

/* The interface ------------------------------------------------------------------------------------------ */

struct storelink *storelink_create(struct event_base *base, struct evdns_base *dns,
                                   const struct settings *settings)
{
    struct storelink *storelink = calloc(1, sizeof *storelink);

    if (!storelink)
        return NULL;
    storelink->base = base;
    storelink->dns = dns;
    storelink->settings = settings;
    storelink->n_addresses = store_addresses(settings->store_url, storelink->addresses);
    storelink->next_number = 1;
    storelink->clock = event_new(base, -1, EV_PERSIST, on_clock, storelink);
    if (!storelink->clock) {
        free(storelink);
        return NULL;
    }
    return storelink;
}

void storelink_destroy(struct storelink *storelink)
{
    struct question *question;

    if (!storelink)
        return;
    disconnect(storelink);
    for (int kind = 0; kind < STORELINK_KINDS; kind++)
        DL_CONCAT(storelink->asked, storelink->waiting[kind]);
    while ((question = storelink->asked)) {
        DL_DELETE(storelink->asked, question);
        question_free(question);
    }
    event_free(storelink->clock);
    free(storelink);
}

void storelink_start(struct storelink *storelink)
{
    struct timeval often = {.tv_usec = CLOCK_MS * 1000};

    if (storelink->n_addresses == 0)
        return;
    storelink->next_address = randombytes_uniform((uint32_t)storelink->n_addresses);
    event_add(storelink->clock, &often);
    connect_next(storelink);
}

bool storelink_is_up(const struct storelink *storelink)
{
    return storelink->state == STATE_UP;
}

static void question_ask(struct storelink *storelink, const struct question *what, json_t *request)
{
    struct question *question = calloc(1, sizeof *question);

    if (!question || !request)
        abort();
    *question = *what;
    question->number = storelink->next_number++;
    question->until = monotonic_ms() + ANSWER_MS;
    if (json_object_set_new(request, "id", json_integer((json_int_t)question->number)) < 0 ||
        !(question->line = json_dumps(request, JSON_COMPACT)))
        abort();
    enqueue(storelink, question);
    send_waiting(storelink);
}

bool storelink_ask(struct storelink *storelink, enum storelink_kind kind, json_t *request,
                   storelink_fn *answered, void *ctx, uint64_t token)
{
    bool can = storelink->state == STATE_UP && storelink->n_waiting < WAITING_MAX;

    if (can)
        question_ask(storelink,
                     &(struct question){.kind = kind, .answered = answered, .ctx = ctx, .token = token},
                     request);
    json_decref(request);
    return can;
}

bool storelink_ask_patiently(struct storelink *storelink, json_t *request, storelink_fn *answered, void *ctx,
                             uint64_t token)
{
    bool can = storelink->n_addresses > 0 && storelink->n_waiting < WAITING_MAX;

    if (can)
        question_ask(
            storelink,
            &(struct question){
                .kind = STORELINK_PAGE, .patient = true, .answered = answered, .ctx = ctx, .token = token},
            request);
    json_decref(request);
    return can;
}
