#include "presence.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <uthash.h>
#include <utlist.h>

#include "bus.h"
#include "functions.h"
#include "log.h"
#include "name.h"
#include "settings.h"

#define PRESENCE_LANE 0
#define DEAD_MS 10000 /* without a beat, on our own clock, while our own were answered */
#define PAUSE_MS 5000 /* between answers to our own: we were stopped, and know nothing of the others */
#define WHO_MAX "1000"
#define NAMES_MAX "50"  /* in the answer to who enters a room */
#define ROOMS_MAX "999" /* the index of the last */
#define ARGS_MAX 16

enum call_kind { CALL_CLAIM, CALL_ENTER, CALL_LEAVE, CALL_RELEASE };

static const char *const call_functions[] = {FUNCTION("claim"), FUNCTION("enter"), FUNCTION("leave"),
                                             FUNCTION("release")};

/* A call without an answer.  Enters when it is asked, leaves with its answer; a broken link only makes it
 * unsent. */
struct call {
    enum call_kind kind;
    uint64_t token, serial;
    bool sent, again; /* again: a claim for a name that the session had already */
    bool with_names;
    char *name, *shown, *session, *key, *account, *room, *record;
    struct call *prev, *next; /* in the order in which they were asked */
    UT_hash_handle hh;        /* by serial */
};

/* A list that was asked for. */
struct listing {
    uint64_t token, serial;
    bool with_counts;
    long count;
    struct listing *prev, *next;
};

/* Another gateway, as its beats show it. */
struct peer {
    char incarnation[INCARNATION_MAX_BYTES], count[24];
    uint64_t serial, since; /* since when `count` stands */
    bool seen, reaping;
    bool told;     /* that it is dead */
    unsigned lane; /* the reaping has got to */
    struct peer *prev, *next;
};

struct presence {
    struct bus *bus;
    const struct presence_ops *ops;
    void *ctx;
    char notice_max[24], own_count[24];
    uint64_t next_serial;
    bool forgotten; /* under a new incarnation, and nothing claimed yet */
    bool retiring;
    bool unread;       /* what Redis says that we hold could not be read; tried again at the next beat */
    uint64_t beats_at; /* when a beat of ours was answered last */
    struct call *calls, *by_serial;
    size_t unsent; /* of them */
    struct listing *listings;
    struct peer *peers;
};

struct presence *presence_create(struct bus *bus, const struct settings *settings,
                                 const struct presence_ops *ops, void *ctx)
{
    struct presence *presence = calloc(1, sizeof *presence);

    if (!presence)
        return NULL;
    presence->bus = bus;
    presence->ops = ops;
    presence->ctx = ctx;
    presence->next_serial = 1;
    snprintf(presence->notice_max, sizeof presence->notice_max, "%ld", settings->notice_max);
    strcpy(presence->own_count, "0");
    return presence;
}

static void take_out(struct presence *presence, struct call *call)
{
    assert(presence->by_serial); /* what is on the list is in the table */
    DL_DELETE(presence->calls, call);
    HASH_DEL(presence->by_serial, call);
    presence->unsent -= !call->sent;
}

static void call_destroy(struct call *call)
{
    free(call->name);
    free(call->shown);
    free(call->session);
    free(call->key);
    free(call->account);
    free(call->room);
    free(call->record);
    free(call);
}

static void forget_peers(struct presence *presence)
{
    struct peer *peer, *next;

    DL_FOREACH_SAFE (presence->peers, peer, next)
        free(peer);
    presence->peers = NULL;
}

void presence_destroy(struct presence *presence)
{
    struct call *call, *next;
    struct listing *listing, *after;

    if (!presence)
        return;
    DL_FOREACH_SAFE (presence->calls, call, next) {
        take_out(presence, call);
        call_destroy(call);
    }
    DL_FOREACH_SAFE (presence->listings, listing, after)
        free(listing);
    forget_peers(presence);
    free(presence);
}

static const char *seen_text(struct presence *presence, unsigned lane, char *text)
{
    return id_to_stream(bus_seen(presence->bus, lane), text);
}

static const char *clock_text(char *text, size_t size)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, size, "%llu",
             (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000);
    return text;
}

/* Calls -------------------------------------------------------------------------------------------------- */

static void on_call(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply);

static void set_sent(struct presence *presence, struct call *call, bool sent)
{
    presence->unsent -= !call->sent;
    presence->unsent += !sent;
    call->sent = sent;
}

static void send_call(struct presence *presence, struct call *call)
{
    char seen[ID_TEXT_MAX], clock[24];
    const char *argv[ARGS_MAX];
    int argc = 0;

    if (call->kind == CALL_CLAIM || call->kind == CALL_RELEASE) {
        argv[argc++] = seen_text(presence, PRESENCE_LANE, seen);
        argv[argc++] = clock_text(clock, sizeof clock);
    }
    argv[argc++] = call->name;
    if (call->kind != CALL_RELEASE)
        argv[argc++] = call->shown;
    argv[argc++] = call->session;
    if (call->kind == CALL_CLAIM) {
        argv[argc++] = call->key ? call->key : "-";
        argv[argc++] = call->account ? call->account : "-";
    }
    if (call->kind != CALL_RELEASE)
        argv[argc++] = call->room;
    argv[argc++] = presence->notice_max;
    if (call->kind == CALL_CLAIM || call->kind == CALL_ENTER)
        argv[argc++] = call->with_names ? NAMES_MAX : "0";
    if (call->kind == CALL_CLAIM)
        argv[argc++] = call->record;
    set_sent(presence, call,
             bus_call(presence->bus, PRESENCE_LANE, call_functions[call->kind], argc, argv, on_call, presence,
                      call->serial));
}

static void send_unsent(struct presence *presence)
{
    struct call *call;

    DL_FOREACH (presence->calls, call)
        if (!call->sent)
            send_call(presence, call);
}

static char *copy(const char *text)
{
    char *own = text ? strdup(text) : NULL;

    if (text && !own)
        abort();
    return own;
}

static struct call *ask(struct presence *presence, enum call_kind kind, const struct claim *what,
                        uint64_t token)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    call->kind = kind;
    call->token = token;
    call->serial = presence->next_serial++;
    call->with_names = what->with_names;
    call->name = copy(what->name);
    call->shown = copy(what->shown);
    call->session = copy(what->session);
    call->key = copy(what->key);
    call->account = copy(what->account);
    call->room = copy(what->room);
    call->record = copy(what->record);
    DL_APPEND(presence->calls, call);
    HASH_ADD(hh, presence->by_serial, serial, sizeof call->serial, call);
    presence->unsent++;
    return call;
}

/* True if an earlier call for the same name has yet to be sent: that one goes first. */
static bool must_wait(const struct presence *presence, const struct call *call)
{
    const struct call *earlier;

    if (presence->unsent == 1) /* this one: so it is, as a rule */
        return false;
    for (earlier = presence->calls; earlier != call; earlier = earlier->next)
        if (!earlier->sent && strcmp(earlier->name, call->name) == 0)
            return true;
    return false;
}

static void ask_now(struct presence *presence, enum call_kind kind, const struct claim *what, uint64_t token)
{
    struct call *call = ask(presence, kind, what, token);

    if (!presence->forgotten && bus_lane_is_up(presence->bus, PRESENCE_LANE) && !must_wait(presence, call))
        send_call(presence, call);
}

static enum presence_result result_of(const char *word)
{
    if (strcmp(word, "OK") == 0)
        return PRESENCE_OK;
    if (strcmp(word, "TAKEN") == 0)
        return PRESENCE_TAKEN;
    if (strcmp(word, "ACCOUNT") == 0)
        return PRESENCE_ACCOUNT;
    if (strcmp(word, "GONE") == 0)
        return PRESENCE_GONE;
    return PRESENCE_UNAVAILABLE;
}

/* Reads the strings of an array, at most 1000; returns how many. */
static size_t read_texts(const struct redisReply *list, size_t first, size_t step, const char **texts)
{
    size_t n = 0;

    for (size_t i = first; list && i < list->elements && n < 1000; i += step)
        if (list->element[i]->str)
            texts[n++] = list->element[i]->str;
    return n;
}

static void answer(struct presence *presence, struct call *call, const struct redisReply *reply)
{
    enum presence_result result = result_of(bus_answer(reply));
    const char *names[1000];
    size_t n = 0;
    long count = 0;

    if (call->again) {
        if (result == PRESENCE_TAKEN || result == PRESENCE_ACCOUNT)
            presence->ops->lost(presence->ctx, call->session, false);
        return;
    }
    if (reply->elements > 2 && result == PRESENCE_OK) {
        count = (long)reply->element[1]->integer;
        n = read_texts(reply->element[2], 0, 1, names);
    }
    presence->ops->answered(presence->ctx, call->token, result, count, names, n);
}

/* True if the session's name is still to be claimed again: what depends on that comes after it. */
static bool is_reclaim_due(const struct presence *presence, const char *session)
{
    const struct call *call;

    DL_FOREACH (presence->calls, call)
        if (call->again && call->kind == CALL_CLAIM && !call->sent && strcmp(call->session, session) == 0)
            return true;
    return false;
}

static void on_call(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct presence *presence = ctx;
    struct call *call;
    bool clock, gone;

    HASH_FIND(hh, presence->by_serial, &token, sizeof token, call);
    if (!call)
        return;
    clock = status == BUS_ANSWERED && strcmp(bus_answer(reply), "CLOCK") == 0;
    gone = status == BUS_ANSWERED && strcmp(bus_answer(reply), "GONE") == 0;
    if (status == BUS_LOST || (gone && call->again && is_reclaim_due(presence, call->session)) ||
        ((status == BUS_REFUSED || clock) &&
         (call->again || call->kind == CALL_LEAVE || call->kind == CALL_RELEASE))) {
        set_sent(presence, call, false); /* sent again when the lane is up, or at the next beat */
        return;
    }
    take_out(presence, call);
    if (status == BUS_REFUSED)
        presence->ops->answered(presence->ctx, call->token, PRESENCE_UNAVAILABLE, 0, NULL, 0);
    else
        answer(presence, call, reply);
    call_destroy(call);
}

void presence_claim(struct presence *presence, const struct claim *claim, uint64_t token)
{
    ask_now(presence, CALL_CLAIM, claim, token);
}

void presence_enter(struct presence *presence, const char *name, const char *shown, const char *session,
                    const char *room, bool with_names, uint64_t token)
{
    ask_now(presence, CALL_ENTER,
            &(struct claim){
                .name = name, .shown = shown, .session = session, .room = room, .with_names = with_names},
            token);
}

void presence_leave(struct presence *presence, const char *name, const char *shown, const char *session,
                    const char *room, uint64_t token)
{
    ask_now(presence, CALL_LEAVE,
            &(struct claim){.name = name, .shown = shown, .session = session, .room = room}, token);
}

void presence_release(struct presence *presence, const char *name, const char *session, uint64_t token)
{
    ask_now(presence, CALL_RELEASE, &(struct claim){.name = name, .session = session}, token);
}

void presence_reclaim(struct presence *presence, const struct claim *claim, const char *const *rooms,
                      size_t n_rooms)
{
    struct claim enter = *claim;

    enter.record = enter.key = NULL;
    ask(presence, CALL_CLAIM, claim, 0)->again = true;
    for (size_t i = 0; i < n_rooms; i++) {
        enter.room = rooms[i];
        ask(presence, CALL_ENTER, &enter, 0)->again = true;
    }
}

size_t presence_unanswered(const struct presence *presence)
{
    const struct call *call;
    size_t n = 0;

    DL_COUNT(presence->calls, call, n);
    return n + presence->retiring;
}

/* Lists -------------------------------------------------------------------------------------------------- */

static struct listing *find_listing(struct presence *presence, uint64_t serial)
{
    struct listing *listing;

    DL_SEARCH_SCALAR(presence->listings, listing, serial, serial);
    return listing;
}

static void on_count(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct listing *listing = find_listing(ctx, token);

    if (listing && status == BUS_ANSWERED)
        listing->count = (long)reply->integer;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_list(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct presence *presence = ctx;
    struct listing *listing = find_listing(presence, token);
    const char *names[1000];
    long counts[1000];
    size_t n = 0;

    if (!listing)
        return;
    DL_DELETE(presence->listings, listing);
    if (status == BUS_ANSWERED && listing->with_counts) {
        const char *numbers[1000];
        size_t n_numbers = read_texts(reply, 1, 2, numbers);

        n = read_texts(reply, 0, 2, names);
        for (size_t i = 0; i < n; i++)
            counts[i] = i < n_numbers ? strtol(numbers[i], NULL, 10) : 0;
    } else if (status == BUS_ANSWERED) {
        n = read_texts(reply, 1, 2, names); /* "SESSION SHOWN" */
        for (size_t i = 0; i < n; i++) {
            const char *space = strchr(names[i], ' ');

            names[i] = space ? space + 1 : names[i];
        }
        qsort(names, n, sizeof names[0], by_bytes);
    }
    presence->ops->listed(presence->ctx, listing->token, listing->count,
                          status == BUS_ANSWERED ? names : NULL, counts, n);
    free(listing);
}

static bool list(struct presence *presence, uint64_t token, bool with_counts, int count_argc,
                 const char **count_argv, int argc, const char **argv)
{
    struct listing *listing = calloc(1, sizeof *listing);
    uint64_t serial = presence->next_serial++;

    if (!listing)
        return false;
    listing->token = token;
    listing->serial = serial;
    listing->with_counts = with_counts;
    DL_APPEND(presence->listings, listing);
    if (bus_read(presence->bus, PRESENCE_LANE, count_argc, count_argv, on_count, presence, serial) &&
        bus_read(presence->bus, PRESENCE_LANE, argc, argv, on_list, presence, serial))
        return true;
    DL_DELETE(presence->listings, listing);
    free(listing);
    return false;
}

bool presence_who(struct presence *presence, const char *room, uint64_t token)
{
    char key[ROOM_MAX_BYTES + 32];
    const char *count[] = {"HLEN", key}, *argv[] = {"HRANDFIELD", key, WHO_MAX, "WITHVALUES"};

    snprintf(key, sizeof key, "hubbub:{0}:members:%s", room);
    return list(presence, token, false, 2, count, 4, argv);
}

bool presence_rooms(struct presence *presence, uint64_t token)
{
    const char *count[] = {"ZCARD", "hubbub:{0}:rooms"};
    const char *argv[] = {"ZREVRANGE", "hubbub:{0}:rooms", "0", ROOMS_MAX, "WITHSCORES"};

    return list(presence, token, true, 2, count, 5, argv);
}

static const char *text_of(const struct redisReply *reply, size_t i)
{
    return i < reply->elements && reply->element[i]->str ? reply->element[i]->str : "";
}

static void on_find(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct presence *presence = ctx;
    const char *word = status == BUS_ANSWERED ? bus_answer(reply) : "", *holder = NULL;
    char account[64];

    if (strcmp(word, "ACCOUNT") == 0) {
        snprintf(account, sizeof account, "a:%s", text_of(reply, 1));
        holder = account;
    } else if (strcmp(word, "HELD") == 0) {
        holder = strcmp(text_of(reply, 2), "-") == 0 ? text_of(reply, 1) : text_of(reply, 2);
    }
    presence->ops->found(presence->ctx, token, holder || strcmp(word, "NOBODY") == 0, holder);
}

bool presence_find(struct presence *presence, const char *name, uint64_t token)
{
    const char *argv[] = {"FCALL_RO", FUNCTION("find"), "1", "hubbub:{0}", name};

    return bus_read(presence->bus, PRESENCE_LANE, 5, argv, on_find, presence, token);
}

/* What Redis says that we hold --------------------------------------------------------------------------- */

static bool is_reclaiming(const struct presence *presence)
{
    const struct call *call;

    DL_FOREACH (presence->calls, call)
        if (call->again)
            return true;
    return false;
}

static void on_held(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct presence *presence = ctx;
    const char **texts;
    size_t n;

    if (status != BUS_ANSWERED || is_reclaiming(presence)) {
        presence->unread = true;
        return;
    }
    n = reply->elements / 2;
    texts = calloc(2 * n + 1, sizeof *texts);
    if (!texts)
        abort();
    for (size_t i = 0; i < n; i++) {
        texts[i] = reply->element[2 * i]->str;
        texts[n + i] = reply->element[2 * i + 1]->str;
    }
    presence->ops->held(presence->ctx, texts, texts + n, n);
    free(texts);
}

static void read_held(struct presence *presence)
{
    char key[INCARNATION_MAX_BYTES + 32];
    const char *argv[] = {"HGETALL", key};

    snprintf(key, sizeof key, "hubbub:{0}:held:%s", bus_incarnation(presence->bus));
    presence->unread = !bus_read(presence->bus, PRESENCE_LANE, 2, argv, on_held, presence, 0);
}

void presence_lane_up(struct presence *presence)
{
    struct call *earlier = presence->calls;

    if (presence->forgotten) {
        presence->forgotten = false;
        presence->calls = NULL;
        presence->ops->reclaim(presence->ctx);
        DL_CONCAT(presence->calls, earlier);
    }
    send_unsent(presence);
    read_held(presence);
}

void presence_lane_down(struct presence *presence)
{
    forget_peers(presence);     /* their clocks run only while our own beats are answered */
    presence->retiring = false; /* whoever finds our names frees them */
}

void presence_reincarnated(struct presence *presence)
{
    struct call *call, *next;

    DL_FOREACH_SAFE (presence->calls, call, next) {
        if (!call->again)
            continue;
        take_out(presence, call); /* all of them will be asked anew */
        call_destroy(call);
    }
    presence->forgotten = true;
}

void presence_message(struct presence *presence, const char *payload)
{
    if (strncmp(payload, "replaced ", 9) == 0)
        presence->ops->lost(presence->ctx, payload + 9, true);
}

/* Beats and reaping -------------------------------------------------------------------------------------- */

static void reap(struct presence *presence, struct peer *peer);

static void end_retirement(struct presence *presence, const struct peer *peer)
{
    if (strcmp(peer->incarnation, bus_incarnation(presence->bus)) == 0)
        presence->retiring = false;
}

static void on_reap(void *ctx, uint64_t token, enum bus_status status, const struct redisReply *reply)
{
    struct presence *presence = ctx;
    struct peer *peer;
    const char *word;

    DL_SEARCH_SCALAR(presence->peers, peer, serial, token);
    if (!peer)
        return; /* the link broke meanwhile; what was begun goes on when the peer is found dead again */
    word = status == BUS_ANSWERED ? bus_answer(reply) : "";
    if (strcmp(word, "LEFT") != 0) {
        peer->reaping = false;
        end_retirement(presence, peer);
    } else if (peer->lane != PRESENCE_LANE) {
        peer->lane = (peer->lane + 1) % LANES;
        reap(presence, peer);
    } else if (reply->elements > 1 && reply->element[1]->integer > 0) {
        reap(presence, peer);
    } else {
        log_info("gateway_reaped", "incarnation=%s", peer->incarnation);
        end_retirement(presence, peer);
        DL_DELETE(presence->peers, peer);
        free(peer);
    }
}

/* Its links in lanes 1 to 7 are closed first, then names are freed with lane 0. */
static void reap(struct presence *presence, struct peer *peer)
{
    char seen[ID_TEXT_MAX], clock[24];
    const char *argv[] = {seen_text(presence, peer->lane, seen), clock_text(clock, sizeof clock),
                          peer->incarnation, peer->count, presence->notice_max};

    peer->reaping =
        bus_call(presence->bus, peer->lane, FUNCTION("reap"), 5, argv, on_reap, presence, peer->serial);
    if (!peer->reaping)
        end_retirement(presence, peer);
}

static struct peer *find_peer(struct presence *presence, const char *incarnation)
{
    struct peer *peer;

    DL_FOREACH (presence->peers, peer)
        if (strcmp(peer->incarnation, incarnation) == 0)
            return peer;
    peer = calloc(1, sizeof *peer);
    if (!peer)
        abort();
    snprintf(peer->incarnation, sizeof peer->incarnation, "%s", incarnation);
    peer->serial = presence->next_serial++;
    DL_APPEND(presence->peers, peer);
    return peer;
}

static void watch_peer(struct presence *presence, const char *incarnation, const char *count, bool paused)
{
    struct peer *peer = find_peer(presence, incarnation);
    uint64_t now = monotonic_ms();

    peer->seen = true;
    if (paused || strcmp(peer->count, count) != 0) {
        snprintf(peer->count, sizeof peer->count, "%s", count);
        peer->since = now;
        peer->told = false;
    } else if (now - peer->since >= DEAD_MS && !peer->reaping) {
        if (!peer->told)
            log_warn("gateway_dead", "incarnation=%s", incarnation);
        peer->told = true;
        peer->lane = 1;
        reap(presence, peer);
    }
}

void presence_beats(struct presence *presence, const struct redisReply *counts)
{
    struct peer *peer, *next;
    bool paused = monotonic_ms() - presence->beats_at > PAUSE_MS;

    presence->beats_at = monotonic_ms();
    DL_FOREACH (presence->peers, peer)
        peer->seen = false;
    for (size_t i = 0; i + 1 < counts->elements; i += 2) {
        const char *incarnation = counts->element[i]->str, *count = counts->element[i + 1]->str;

        if (!incarnation || !count || strlen(incarnation) >= INCARNATION_MAX_BYTES)
            continue;
        if (strcmp(incarnation, bus_incarnation(presence->bus)) == 0)
            snprintf(presence->own_count, sizeof presence->own_count, "%s", count);
        else
            watch_peer(presence, incarnation, count, paused);
    }
    DL_FOREACH_SAFE (presence->peers, peer, next) {
        if (peer->seen || peer->reaping)
            continue;
        DL_DELETE(presence->peers, peer);
        free(peer);
    }
    if (!bus_lane_is_up(presence->bus, PRESENCE_LANE))
        return;
    send_unsent(presence);
    if (presence->unread)
        read_held(presence);
}

void presence_retire(struct presence *presence)
{
    struct peer *self = find_peer(presence, bus_incarnation(presence->bus));

    strcpy(self->count, presence->own_count);
    self->lane = 1;
    presence->retiring = true;
    reap(presence, self);
}
