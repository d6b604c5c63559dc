#include "requests.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <sodium.h>
#include <uthash.h>
#include <utlist.h>

#include "accounts.h"
#include "log.h"
#include "pages.h"
#include "thread.h"
#include "workers.h"

#define LINE_BYTES (64u << 10)
#define ANSWER_BYTES (1u << 20)
#define UNDER_WAY 32
#define REQUEST_MS 5000
#define HELLO_MS 5000
#define DRAIN_SECONDS 10 /* a gateway that takes nothing for so long is gone */
#define PEERS_MAX 256
#define STRANGERS_MAX 32
#define ACCEPTS_A_TURN 16 /* less than the strangers: who says hello at once is heard before he has to go */
#define NAME_BYTES 64
#define TOLD_BYTES 32 /* of a name whose bearer is not known */
#define QUEUE 256
#define PASSWORD_QUEUE 64

enum pool { POOL_HISTORY, POOL_PASSWORDS, POOLS };

static const struct ask {
    const char *name;
    enum pool pool;
    ask_fn *run;
} asks[] = {
    {"log-in", POOL_PASSWORDS, accounts_log_in}, {"register", POOL_PASSWORDS, accounts_register},
    {"events", POOL_HISTORY, pages_events},      {"conversation", POOL_HISTORY, pages_conversation},
    {"unread", POOL_HISTORY, pages_unread},      {"read", POOL_HISTORY, pages_read},
};

/* A connection. */
struct peer {
    struct requests *requests;
    struct bufferevent *stream;
    struct event *patience;    /* until it has said hello, or taken our last word */
    char name[NAME_BYTES + 1]; /* as it said; "": not yet */
    char address[64];
    unsigned under_way;
    bool closing; /* nothing more is read; closed when what was said is out */
    struct peer *prev, *next;
};

/* A request under way.  In `oldest first` and, by its ticket, in `by_ticket`; leaves both when it is
 * answered. */
struct waiting {
    uint64_t ticket;
    struct peer *peer;
    struct workers *pool;
    json_int_t id;
    int64_t until;
    struct waiting *prev, *next;
    UT_hash_handle hh;
};

/* An answer on its way from a worker's thread to ours. */
struct answered {
    uint64_t ticket;
    json_t *answer;
    struct answered *next;
};

struct requests {
    const struct settings *settings;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *on_wake, *on_overdue, *on_pause_over;
    pthread_t thread;
    struct accounts *accounts;
    struct workers *pools[POOLS];

    struct peer *peers, *strangers; /* who has said hello; who has not, in the order in which they came */
    unsigned peer_count, stranger_count;
    unsigned accepted; /* since the last pause */
    struct waiting *by_ticket, *oldest_first;
    uint64_t tickets;

    int wake; /* eventfd: there are answers, or it is to end */
    pthread_mutex_t lock;
    struct answered *answers; /* newest first */
    bool ending;
};

/* What is said ------------------------------------------------------------------------------------------- */

static void forget(struct requests *requests, struct waiting *waiting)
{
    assert(requests->by_ticket); /* it is in there */
    HASH_DEL(requests->by_ticket, waiting);
    DL_DELETE(requests->oldest_first, waiting);
    waiting->peer->under_way--;
    free(waiting);
}

/* The same for one that was not answered: if no worker has begun it, none need to. */
static void abandon(struct requests *requests, struct waiting *waiting)
{
    workers_drop(waiting->pool, waiting->ticket);
    forget(requests, waiting);
}

static void close_peer(struct peer *peer, const char *reason)
{
    struct requests *requests = peer->requests;
    struct waiting *waiting, *next;

    if (peer->name[0])
        log_info("gateway_gone", "gateway=%s address=%s reason=%s", peer->name, peer->address, reason);
    else
        log_debug("asker_gone", "address=%s reason=%s", peer->address, reason);
    DL_FOREACH_SAFE (requests->oldest_first, waiting, next)
        if (waiting->peer == peer)
            abandon(requests, waiting);
    if (peer->name[0]) {
        DL_DELETE(requests->peers, peer);
        requests->peer_count--;
    } else {
        DL_DELETE(requests->strangers, peer);
        requests->stranger_count--;
    }
    event_free(peer->patience);
    bufferevent_free(peer->stream);
    free(peer);
}

/* Says `answer` (taken). */
static void say(struct peer *peer, json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    struct evbuffer *output = bufferevent_get_output(peer->stream);

    json_decref(answer);
    if (!text)
        abort();
    evbuffer_add(output, text, strlen(text));
    evbuffer_add(output, "\n", 1);
    if (evbuffer_get_length(output) > ANSWER_BYTES) /* who does not read is not read */
        bufferevent_disable(peer->stream, EV_READ);
    free(text);
}

/* Says `answer` (taken) to the request with that id. */
static void say_to(struct peer *peer, json_int_t id, json_t *answer)
{
    if (json_object_set_new(answer, "id", json_integer(id)) < 0)
        abort();
    if (json_dumpb(answer, NULL, 0, JSON_COMPACT) > ANSWER_BYTES) {
        log_error("answer_too_long", "gateway=%s", peer->name);
        json_decref(answer);
        say_to(peer, id, ask_error("unavailable"));
        return;
    }
    say(peer, answer);
}

/* Says one last thing, then closes.  `name` is what the peer says that it is, NULL if it has not. */
static void say_and_close(struct peer *peer, const char *name, const char *error)
{
    const struct timeval patience = {.tv_sec = HELLO_MS / 1000};
    char shown[TOLD_BYTES + 1];

    if (name)
        snprintf(shown, sizeof shown, "%s", name);
    log_warn("asker_refused", "address=%s gateway=%s reason=%s", peer->address, name ? shown : NULL, error);
    say(peer, ask_error(error));
    peer->closing = true;
    bufferevent_disable(peer->stream, EV_READ);
    event_add(peer->patience, &patience);
}

/* What is asked ------------------------------------------------------------------------------------------ */

/* When the request that waits longest is overdue. */
static void set_timer(struct requests *requests)
{
    struct timeval left = {0};
    int64_t ms;

    if (!requests->oldest_first)
        return;
    ms = requests->oldest_first->until - wait_now();
    if (ms > 0)
        left = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(requests->on_overdue, &left);
}

static void on_overdue(evutil_socket_t fd, short what, void *ctx)
{
    struct requests *requests = ctx;

    while (requests->oldest_first && requests->oldest_first->until <= wait_now()) {
        struct waiting *waiting = requests->oldest_first;

        say_to(waiting->peer, waiting->id, ask_error("unavailable"));
        abandon(requests, waiting);
    }
    set_timer(requests);
}

/* Hands a request (taken) to the workers. */
static void begin(struct peer *peer, const struct ask *ask, json_int_t id, json_t *request)
{
    struct requests *requests = peer->requests;
    struct waiting *waiting = malloc(sizeof *waiting);

    if (!waiting)
        abort();
    *waiting = (struct waiting){.ticket = ++requests->tickets,
                                .peer = peer,
                                .pool = requests->pools[ask->pool],
                                .id = id,
                                .until = wait_now() + REQUEST_MS};
    if (!workers_ask(waiting->pool, ask->run, request, waiting->until, waiting->ticket)) {
        free(waiting);
        accounts_wipe(request);
        say_to(peer, id, ask_error("unavailable"));
        return;
    }
    HASH_ADD(hh, requests->by_ticket, ticket, sizeof waiting->ticket, waiting);
    DL_APPEND(requests->oldest_first, waiting);
    peer->under_way++;
    if (requests->oldest_first == waiting)
        set_timer(requests);
}

static const struct ask *find_ask(const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < sizeof asks / sizeof asks[0]; i++)
        if (strcmp(json_string_value(name), asks[i].name) == 0)
            return &asks[i];
    return NULL;
}

/* Understands a request (taken).  False if the connection is closed. */
static bool take_request(struct peer *peer, json_t *request)
{
    const json_t *id = json_object_get(request, "id");
    const struct ask *ask = find_ask(json_object_get(request, "ask"));

    if (json_is_integer(id) && ask) {
        if (peer->under_way == UNDER_WAY) {
            accounts_wipe(request);
            log_warn("asker_refused", "address=%s gateway=%s reason=%s", peer->address, peer->name,
                     "too many requests are under way");
            close_peer(peer, "too-many-requests");
            return false;
        }
        begin(peer, ask, json_integer_value(id), request);
        return true;
    }
    if (json_is_integer(id))
        say_to(peer, json_integer_value(id), ask_error("bad-request"));
    else
        say(peer, ask_error("bad-request"));
    accounts_wipe(request);
    return true;
}

/* Compares in a time that tells nothing about our secret. */
static bool is_secret(const char *wanted, const char *given)
{
    unsigned char a[crypto_generichash_BYTES], b[crypto_generichash_BYTES];

    crypto_generichash(a, sizeof a, (const unsigned char *)wanted, strlen(wanted), NULL, 0);
    crypto_generichash(b, sizeof b, (const unsigned char *)given, strlen(given), NULL, 0);
    return sodium_memcmp(a, b, sizeof a) == 0;
}

static void take_hello(struct peer *peer, const json_t *hello)
{
    struct requests *requests = peer->requests;
    const char *name = json_string_value(json_object_get(hello, "hello"));
    const char *secret = json_string_value(json_object_get(hello, "secret"));
    json_t *answer;

    if (!name || !name[0] || strlen(name) > NAME_BYTES) {
        say_and_close(peer, name, "bad-request");
        return;
    }
    if (!is_secret(requests->settings->store_secret, secret ? secret : "")) {
        say_and_close(peer, name, "bad-secret");
        return;
    }
    if (requests->peer_count == PEERS_MAX) {
        say_and_close(peer, name, "unavailable");
        return;
    }
    DL_DELETE(requests->strangers, peer);
    requests->stranger_count--;
    DL_APPEND(requests->peers, peer);
    requests->peer_count++;
    strcpy(peer->name, name);
    event_del(peer->patience);
    log_info("gateway_connected", "gateway=%s address=%s", peer->name, peer->address);
    answer = json_pack("{s:s}", "hello", "store");
    if (!answer)
        abort();
    say(peer, answer);
}

/* Understands one line.  False if the connection is closed. */
static bool take_line(struct peer *peer, char *line, size_t len)
{
    json_t *said = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    bool open = true;

    sodium_memzero(line, len); /* there may have been a password in it */
    if (!said) {
        say_and_close(peer, peer->name[0] ? peer->name : NULL, "bad-request");
    } else if (!peer->name[0]) {
        take_hello(peer, said);
        json_decref(said);
    } else {
        open = take_request(peer, said);
    }
    return open;
}

static void on_read(struct bufferevent *stream, void *ctx)
{
    struct peer *peer = ctx;
    struct evbuffer *input = bufferevent_get_input(stream);

    while (!peer->closing) {
        struct evbuffer_ptr end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
        size_t len = end.pos >= 0 ? (size_t)end.pos : evbuffer_get_length(input);

        if (len > LINE_BYTES) {
            say_and_close(peer, peer->name[0] ? peer->name : NULL, "bad-request");
            return;
        }
        if (end.pos < 0 || !(bufferevent_get_enabled(stream) & EV_READ))
            return;
        if (!take_line(peer, (char *)evbuffer_pullup(input, end.pos + 1), len))
            return;
        evbuffer_drain(input, len + 1);
    }
}

/* All that was said is out. */
static void on_written(struct bufferevent *stream, void *ctx)
{
    struct peer *peer = ctx;

    if (peer->closing) {
        close_peer(peer, "refused");
        return;
    }
    if (!(bufferevent_get_enabled(stream) & EV_READ)) {
        bufferevent_enable(stream, EV_READ);
        on_read(stream, peer); /* lines that wait already raise no event */
    }
}

static void on_trouble(struct bufferevent *stream, short what, void *ctx)
{
    close_peer(ctx, what & BEV_EVENT_EOF ? "closed" : what & BEV_EVENT_TIMEOUT ? "not-reading" : "lost");
}

static void on_impatient(evutil_socket_t fd, short what, void *ctx)
{
    close_peer(ctx, "no-hello");
}

static void on_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                        int len, void *ctx)
{
    const struct timeval drain = {.tv_sec = DRAIN_SECONDS}, patience = {.tv_sec = HELLO_MS / 1000},
                         at_once = {0};
    struct requests *requests = ctx;
    struct peer *peer;
    int yes = 1;

    if (++requests->accepted == ACCEPTS_A_TURN) {
        evconnlistener_disable(listener);
        event_add(requests->on_pause_over, &at_once);
    }
    if (requests->stranger_count == STRANGERS_MAX)
        close_peer(requests->strangers, "too-many");
    peer = calloc(1, sizeof *peer);
    if (!peer)
        abort();
    peer->requests = requests;
    peer->stream = bufferevent_socket_new(requests->base, fd, BEV_OPT_CLOSE_ON_FREE);
    peer->patience = evtimer_new(requests->base, on_impatient, peer);
    if (!peer->stream || !peer->patience)
        abort();
    if (getnameinfo(address, (socklen_t)len, peer->address, sizeof peer->address, NULL, 0, NI_NUMERICHOST) !=
        0)
        strcpy(peer->address, "unknown");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    DL_APPEND(requests->strangers, peer);
    requests->stranger_count++;
    event_add(peer->patience, &patience);
    bufferevent_setcb(peer->stream, on_read, on_written, on_trouble, peer);
    bufferevent_set_timeouts(peer->stream, NULL, &drain);
    bufferevent_enable(peer->stream, EV_READ | EV_WRITE);
}

/* Whatever came meanwhile on the connections was taken. */
static void on_pause_over(evutil_socket_t fd, short what, void *ctx)
{
    struct requests *requests = ctx;

    requests->accepted = 0;
    evconnlistener_enable(requests->listener);
}

static void on_accept_failed(struct evconnlistener *listener, void *ctx)
{
    const struct timespec pause = {.tv_nsec = 10000000}; /* no descriptors: it will be called again at once */
    int error = EVUTIL_SOCKET_ERROR();

    log_warn("accept_failed", "error=%s", evutil_socket_error_to_string(error));
    nanosleep(&pause, NULL);
}

/* What is answered --------------------------------------------------------------------------------------- */

static void wake(struct requests *requests)
{
    uint64_t one = 1;

    if (write(requests->wake, &one, sizeof one) < 0)
        return; /* full: it wakes already */
}

/* In a worker's thread. */
static void on_answered(void *ctx, uint64_t ticket, json_t *answer)
{
    struct requests *requests = ctx;
    struct answered *answered = malloc(sizeof *answered);

    if (!answered)
        abort();
    *answered = (struct answered){.ticket = ticket, .answer = answer};
    pthread_mutex_lock(&requests->lock);
    LL_PREPEND(requests->answers, answered);
    pthread_mutex_unlock(&requests->lock);
    wake(requests);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct requests *requests = ctx;
    struct answered *answered, *next;
    struct waiting *waiting;
    uint64_t count;
    bool ending;

    if (read(fd, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&requests->lock);
    answered = requests->answers;
    requests->answers = NULL;
    ending = requests->ending;
    pthread_mutex_unlock(&requests->lock);
    for (; answered; answered = next) {
        next = answered->next;
        HASH_FIND(hh, requests->by_ticket, &answered->ticket, sizeof answered->ticket, waiting);
        if (waiting) {
            say_to(waiting->peer, waiting->id, answered->answer);
            forget(requests, waiting);
        } else {
            json_decref(answered->answer);
        }
        free(answered);
    }
    if (ending)
        event_base_loopbreak(requests->base);
}

/* Start and end ------------------------------------------------------------------------------------------ */

static void *run(void *argument)
{
    struct requests *requests = argument;

    event_base_dispatch(requests->base);
    return NULL;
}

/* Listens where `text` (host:port) says. */
static struct evconnlistener *listen_at(struct requests *requests, const char *text)
{
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = EVUTIL_AI_PASSIVE}, *found = NULL;
    struct evconnlistener *listener = NULL;
    char host[256], port[8];
    unsigned short number;

    if (!address_parse(text, strlen(text), host, sizeof host, &number))
        return NULL;
    evutil_snprintf(port, sizeof port, "%hu", number);
    if (evutil_getaddrinfo(host, port, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return NULL;
    }
    listener = evconnlistener_new_bind(requests->base, on_accepted, requests,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                       found->ai_addr, (int)found->ai_addrlen);
    evutil_freeaddrinfo(found);
    if (listener)
        evconnlistener_set_error_cb(listener, on_accept_failed);
    return listener;
}

static void destroy(struct requests *requests)
{
    struct answered *answered, *next;

    if (requests->listener)
        evconnlistener_free(requests->listener);
    if (requests->on_wake)
        event_free(requests->on_wake);
    if (requests->on_overdue)
        event_free(requests->on_overdue);
    if (requests->on_pause_over)
        event_free(requests->on_pause_over);
    if (requests->base)
        event_base_free(requests->base);
    LL_FOREACH_SAFE (requests->answers, answered, next) {
        json_decref(answered->answer);
        free(answered);
    }
    if (requests->wake >= 0)
        close(requests->wake);
    accounts_destroy(requests->accounts);
    pthread_mutex_destroy(&requests->lock);
    free(requests);
}

static bool make_events(struct requests *requests)
{
    requests->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    requests->base = event_base_new();
    if (requests->wake < 0 || !requests->base)
        return false;
    requests->on_wake = event_new(requests->base, requests->wake, EV_READ | EV_PERSIST, on_wake, requests);
    requests->on_overdue = evtimer_new(requests->base, on_overdue, requests);
    requests->on_pause_over = evtimer_new(requests->base, on_pause_over, requests);
    return requests->on_wake && requests->on_overdue && requests->on_pause_over &&
           event_add(requests->on_wake, NULL) == 0;
}

static bool start_threads(struct requests *requests)
{
    const struct settings *settings = requests->settings;

    requests->pools[POOL_HISTORY] = workers_create(
        settings, requests->accounts, (unsigned)settings->store_workers, QUEUE, on_answered, requests);
    requests->pools[POOL_PASSWORDS] =
        workers_create(settings, requests->accounts, (unsigned)settings->password_workers, PASSWORD_QUEUE,
                       on_answered, requests);
    return requests->pools[POOL_HISTORY] && requests->pools[POOL_PASSWORDS] &&
           thread_start(&requests->thread, run, requests);
}

struct requests *requests_start(const struct settings *settings)
{
    struct requests *requests = calloc(1, sizeof *requests);

    if (!requests)
        return NULL;
    requests->settings = settings;
    pthread_mutex_init(&requests->lock, NULL);
    requests->accounts = accounts_create(settings);
    if (!requests->accounts || !make_events(requests)) {
        log_error("no_memory", "port=%s", settings->store_listen);
        destroy(requests);
        return NULL;
    }
    requests->listener = listen_at(requests, settings->store_listen);
    if (!requests->listener) {
        log_error("cannot_listen", "address=%s error=%s remedy=%s", settings->store_listen, strerror(errno),
                  "set HUBBUB_STORE_LISTEN");
        destroy(requests);
        return NULL;
    }
    if (!start_threads(requests)) {
        log_error("no_threads", "history=%ld passwords=%ld", settings->store_workers,
                  settings->password_workers);
        for (int i = 0; i < POOLS; i++)
            workers_destroy(requests->pools[i], wait_now() + 1000);
        destroy(requests);
        return NULL;
    }
    return requests;
}

bool requests_stop(struct requests *requests, int64_t until)
{
    bool all = true;

    if (!requests)
        return true;
    pthread_mutex_lock(&requests->lock);
    requests->ending = true;
    pthread_mutex_unlock(&requests->lock);
    wake(requests);
    if (!thread_join(requests->thread, until))
        return false;
    while (requests->peers) /* before the workers go, who have something in hand for them */
        close_peer(requests->peers, "ending");
    while (requests->strangers)
        close_peer(requests->strangers, "ending");
    for (int i = 0; i < POOLS; i++)
        all &= workers_destroy(requests->pools[i], until);
    if (all)
        destroy(requests);
    return all;
}
