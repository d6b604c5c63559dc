#include "fake_bus.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <utlist.h>

#include "event.h"
#include "functions.h"
#include "name.h"

#define ROOMS 64
#define ARGS 512

uint64_t fake_now = 1000000;

struct entry {
    event_id id, prev;
    uint64_t serial;
    char *body;
    bool in_log;
};

struct chain {
    char name[CHAIN_MAX_BYTES]; /* of a room, or INBOX and that of a user */
    unsigned lane;
    event_id last; /* 0: Redis does not know the chain */
    struct entry *entries;
    event_id *ids;
    size_t count;
    bool wanted, subscribed, confirmed; /* by the hub; in Redis; as the bus says */
};

/* A SUBSCRIBE or UNSUBSCRIBE on its way to Redis, or a message or confirmation on its way back. */
struct item {
    struct chain *chain;
    bool subscribe;
    char *payload; /* NULL: a confirmation */
    struct item *prev, *next;
};

struct read {
    unsigned lane;
    int argc;
    char *argv[ARGS];
    bus_reply_fn *reply;
    void *ctx;
    uint64_t token;
    char *answer; /* NULL: not executed yet */
    size_t size;
    struct read *prev, *next;
};

struct bus {
    struct hub *hub;
    bool up;
    uint64_t ms, floor_ms;
    struct chain chains[ROOMS];
    size_t n_chains;
    struct item *sent, *wire;
    struct read *reads;
    size_t page; /* 0: as many as Redis itself allows */
};

struct bus *fake_bus_create(void)
{
    struct bus *bus = calloc(1, sizeof *bus);

    assert_non_null(bus);
    bus->up = true;
    bus->ms = 1700000000000;
    bus->floor_ms = bus->ms - 1000;
    return bus;
}

void fake_bus_attach(struct bus *bus, struct hub *hub)
{
    bus->hub = hub;
}

static void item_free(struct item *item)
{
    free(item->payload);
    free(item);
}

static void items_clear(struct item **list)
{
    struct item *item, *next;

    DL_FOREACH_SAFE (*list, item, next)
        item_free(item);
    *list = NULL;
}

static void read_free(struct read *read)
{
    for (int i = 0; i < read->argc; i++)
        free(read->argv[i]);
    free(read->answer);
    free(read);
}

void fake_bus_destroy(struct bus *bus)
{
    struct read *read, *next;

    items_clear(&bus->sent);
    items_clear(&bus->wire);
    DL_FOREACH_SAFE (bus->reads, read, next)
        read_free(read);
    for (size_t i = 0; i < bus->n_chains; i++) {
        for (size_t j = 0; j < bus->chains[i].count; j++)
            free(bus->chains[i].entries[j].body);
        free(bus->chains[i].entries);
        free(bus->chains[i].ids);
    }
    free(bus);
}

static bool is_inbox(const char *name)
{
    return strncmp(name, INBOX, strlen(INBOX)) == 0;
}

/* The name without its INBOX. */
static const char *bare(const char *name)
{
    return is_inbox(name) ? name + strlen(INBOX) : name;
}

static struct chain *chain_of(struct bus *bus, const char *name)
{
    struct chain *chain;

    for (size_t i = 0; i < bus->n_chains; i++)
        if (strcmp(bus->chains[i].name, name) == 0)
            return &bus->chains[i];
    assert_true(bus->n_chains < ROOMS);
    chain = &bus->chains[bus->n_chains++];
    snprintf(chain->name, sizeof chain->name, "%s", name);
    chain->lane = lane_of(bare(name));
    return chain;
}

/* The chain of "r:NAME" or "hubbub:{L}:room:NAME", "u:NAME" or "hubbub:{L}:user:NAME". */
static struct chain *chain_behind(struct bus *bus, const char *text)
{
    char name[CHAIN_MAX_BYTES];
    bool inbox = is_inbox(text) || strstr(text, "}:user:");

    snprintf(name, sizeof name, "%s%s", inbox ? INBOX : "", strrchr(text, ':') + 1);
    return chain_of(bus, name);
}

event_id fake_floor(const struct bus *bus, const char *room)
{
    return id_make(bus->floor_ms, lane_of(bare(room)), 0);
}

/* Redis -------------------------------------------------------------------------------------------------- */

static void publish(struct bus *bus, struct chain *chain, const char *payload)
{
    struct item *item;

    if (!chain->subscribed)
        return;
    item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->chain = chain;
    item->payload = strdup(payload);
    DL_APPEND(bus->wire, item);
}

static event_id append(struct bus *bus, struct chain *chain, uint64_t serial, char *body)
{
    char live[8192], id_text[ID_TEXT_MAX], prev_text[ID_TEXT_MAX];
    struct entry *entry;

    chain->entries = realloc(chain->entries, (chain->count + 1) * sizeof *chain->entries);
    chain->ids = realloc(chain->ids, (chain->count + 1) * sizeof *chain->ids);
    assert_true(chain->entries && chain->ids);
    entry = &chain->entries[chain->count];
    *entry = (struct entry){.id = id_make(++bus->ms, chain->lane, 0), .serial = serial, .body = body};
    entry->prev = chain->last ? chain->last : fake_floor(bus, chain->name);
    entry->in_log = true;
    chain->ids[chain->count++] = chain->last = entry->id;
    snprintf(live, sizeof live, "%s %s %s", id_to_stream(entry->id, id_text),
             id_to_stream(entry->prev, prev_text), body);
    publish(bus, chain, live);
    return chain->last;
}

event_id fake_say(struct bus *bus, const char *room, uint64_t serial)
{
    struct chain *chain = chain_of(bus, room);
    char session[64], text[32];

    snprintf(session, sizeof session, "g1-00000000-%llu", (unsigned long long)serial);
    snprintf(text, sizeof text, "%zu", chain->count + 1);
    return append(bus, chain, serial,
                  is_inbox(room)
                      ? event_direct_body("somebody", session, session, bare(room), "whoever", text)
                      : event_body("somebody", session, room, text));
}

event_id fake_say_garbage(struct bus *bus, const char *room)
{
    return append(bus, chain_of(bus, room), 0, strdup("{\"what\":"));
}

void fake_notice(struct bus *bus, const char *room, uint64_t serial)
{
    char payload[128];

    snprintf(payload, sizeof payload, "+g1-00000000-%llu 1700000000000 Somebody", (unsigned long long)serial);
    publish(bus, chain_of(bus, room), payload);
}

void fake_trim(struct bus *bus, const char *room, event_id id)
{
    struct chain *chain = chain_of(bus, room);

    for (size_t i = 0; i < chain->count; i++)
        if (chain->entries[i].id <= id)
            chain->entries[i].in_log = false;
}

void fake_wipe(struct bus *bus)
{
    bus->floor_ms = ++bus->ms;
    for (size_t i = 0; i < bus->n_chains; i++) {
        fake_trim(bus, bus->chains[i].name, UINT64_MAX);
        bus->chains[i].last = 0;
    }
}

static void print_bulk(FILE *out, const char *text)
{
    fprintf(out, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void print_id(FILE *out, event_id id)
{
    char text[ID_TEXT_MAX];

    print_bulk(out, id_to_stream(id, text));
}

static void execute_hmget(struct bus *bus, struct read *read, FILE *out)
{
    fprintf(out, "*%d\r\n", read->argc - 2);
    for (int i = 2; i < read->argc; i++) {
        struct chain *chain = chain_behind(bus, read->argv[i]);

        if (chain->last)
            print_id(out, chain->last);
        else
            fprintf(out, "$-1\r\n");
    }
}

static const struct entry *entry_in_log(const struct chain *chain, event_id id)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->entries[i].id == id && chain->entries[i].in_log)
            return &chain->entries[i];
    return NULL;
}

/* As in functions.lua. */
static void execute_walk(struct bus *bus, struct read *read, FILE *out)
{
    const struct chain *chain = chain_behind(bus, read->argv[4]);
    const struct entry *found[1000];
    bool with_entries = strcmp(read->argv[8], "entries") == 0;
    size_t n = strtoul(read->argv[7], NULL, 10), most = with_entries ? 200 : 1000, count = 0, first = 0,
           bytes = 0;
    const char *word = "MORE";
    event_id at = 0, until = 0;

    assert_true(id_from_stream(read->argv[5], strlen(read->argv[5]), read->lane, &at));
    assert_true(id_from_stream(read->argv[6], strlen(read->argv[6]), read->lane, &until));
    if (bus->page && !with_entries && bus->page < most)
        most = bus->page;
    for (n = n < most ? n : most;;) {
        const struct entry *entry;

        if (at <= until)
            word = "END";
        if (at <= until || count >= n)
            break;
        entry = entry_in_log(chain, at);
        if (!entry) {
            word = "TRIMMED";
            break;
        }
        found[count++] = entry;
        at = entry->prev;
    }
    for (size_t i = count; with_entries && i-- > 0;) {
        bytes += strlen(found[i]->body);
        if (bytes > 262144 && i + 1 < count) {
            first = i + 1;
            break;
        }
    }
    if (bus->page && with_entries && count - first > bus->page)
        first = count - bus->page;
    fprintf(out, "*4\r\n$2\r\nOK\r\n*%zu\r\n", (count - first) * (with_entries ? 3 : 1));
    for (size_t i = first; i < count; i++) {
        print_id(out, found[i]->id);
        if (with_entries) {
            print_id(out, found[i]->prev);
            print_bulk(out, found[i]->body);
        }
    }
    print_id(out, at);
    print_bulk(out, word);
}

bool fake_execute_read(struct bus *bus)
{
    struct read *read;
    FILE *out;

    DL_FOREACH (bus->reads, read)
        if (!read->answer)
            break;
    if (!read)
        return false;
    out = open_memstream(&read->answer, &read->size);
    assert_non_null(out);
    if (strcmp(read->argv[0], "HMGET") == 0)
        execute_hmget(bus, read, out);
    else
        execute_walk(bus, read, out);
    fclose(out);
    return true;
}

bool fake_execute_subscription(struct bus *bus)
{
    struct item *item = bus->sent;

    if (!item)
        return false;
    DL_DELETE(bus->sent, item);
    item->chain->subscribed = item->subscribe;
    if (item->subscribe)
        DL_APPEND(bus->wire, item);
    else
        item_free(item);
    return true;
}

void fake_deafen(struct bus *bus, const char *room)
{
    chain_of(bus, room)->subscribed = false;
}

/* What arrives ------------------------------------------------------------------------------------------- */

bool fake_long_turns;

static void end_turn(struct bus *bus)
{
    if (!fake_long_turns)
        hub_end_turn(bus->hub);
}

bool fake_deliver(struct bus *bus)
{
    struct item *item = bus->wire;
    char channel[CHANNEL_MAX_BYTES];

    if (!item)
        return false;
    DL_DELETE(bus->wire, item);
    snprintf(channel, sizeof channel, "hubbub:{%u}:%s:%s", item->chain->lane,
             is_inbox(item->chain->name) ? "user" : "room", bare(item->chain->name));
    if (!item->chain->wanted) {
        item_free(item); /* as bus.c does with what nobody wants any more */
        return true;
    }
    if (item->payload) {
        hub_message(bus->hub, channel, item->payload, strlen(item->payload));
    } else {
        item->chain->confirmed = true;
        hub_subscribed(bus->hub, channel);
    }
    item_free(item);
    end_turn(bus);
    return true;
}

bool fake_swallow(struct bus *bus)
{
    struct item *item = bus->wire;

    if (!item || !item->payload)
        return false;
    DL_DELETE(bus->wire, item);
    item_free(item);
    return true;
}

static void finish_read(struct bus *bus, struct read *read, enum bus_status status)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    DL_DELETE(bus->reads, read);
    if (status == BUS_ANSWERED) {
        assert_int_equal(redisReaderFeed(reader, read->answer, read->size), REDIS_OK);
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
        assert_non_null(reply);
    }
    read->reply(read->ctx, read->token, status, reply);
    if (reply)
        freeReplyObject(reply);
    redisReaderFree(reader);
    read_free(read);
    end_turn(bus);
}

bool fake_answer(struct bus *bus)
{
    if (!bus->reads || !bus->reads->answer)
        return false;
    finish_read(bus, bus->reads, BUS_ANSWERED);
    return true;
}

bool fake_refuse(struct bus *bus)
{
    if (!bus->reads)
        return false;
    finish_read(bus, bus->reads, BUS_REFUSED);
    return true;
}

struct fake_pending fake_pending(const struct bus *bus)
{
    const struct read *read;

    DL_FOREACH (bus->reads, read)
        if (!read->answer)
            break;
    return (struct fake_pending){.subscription = bus->sent,
                                 .delivery = bus->wire,
                                 .read = read,
                                 .answer = bus->reads && bus->reads->answer,
                                 .message = bus->wire && bus->wire->payload};
}

void fake_page(struct bus *bus, size_t n)
{
    bus->page = n;
}

void fake_settle(struct bus *bus)
{
    while (fake_execute_subscription(bus) || fake_deliver(bus) || fake_execute_read(bus) || fake_answer(bus))
        continue;
}

/* In the order in which bus.c does it: the lanes are down, then what was asked is lost. */
void fake_cut(struct bus *bus)
{
    struct read *reads = bus->reads, *read;

    if (!bus->up)
        return;
    bus->up = false;
    bus->reads = NULL;
    items_clear(&bus->sent);
    items_clear(&bus->wire);
    for (size_t i = 0; i < bus->n_chains; i++)
        bus->chains[i].subscribed = bus->chains[i].confirmed = false;
    for (unsigned lane = 0; lane < LANES; lane++)
        hub_lane_down(bus->hub, lane);
    while ((read = reads)) {
        DL_DELETE(reads, read);
        read->reply(read->ctx, read->token, BUS_LOST, NULL);
        read_free(read);
    }
}

static void send_subscription(struct bus *bus, struct chain *chain, bool subscribe)
{
    struct item *item;

    if (!bus->up)
        return;
    item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->chain = chain;
    item->subscribe = subscribe;
    DL_APPEND(bus->sent, item);
}

void fake_heal(struct bus *bus)
{
    if (bus->up)
        return;
    bus->up = true;
    for (size_t i = 0; i < bus->n_chains; i++)
        if (bus->chains[i].wanted)
            send_subscription(bus, &bus->chains[i], true);
    for (unsigned lane = 0; lane < LANES; lane++)
        hub_lane_up(bus->hub, lane);
}

size_t fake_reads(const struct bus *bus)
{
    const struct read *read;
    size_t n;

    DL_COUNT(bus->reads, read, n);
    return n;
}

size_t fake_walks(const struct bus *bus)
{
    const struct read *read;
    size_t n = 0;

    DL_FOREACH (bus->reads, read)
        n += strcmp(read->argv[0], "FCALL_RO") == 0;
    return n;
}

bool fake_is_wanted(const struct bus *bus, const char *room)
{
    return chain_of((struct bus *)bus, room)->wanted;
}

const event_id *fake_history(const struct bus *bus, const char *room, size_t *count)
{
    const struct chain *chain = chain_of((struct bus *)bus, room);

    *count = chain->count;
    return chain->ids;
}

uint64_t fake_author(const struct bus *bus, const char *room, event_id id)
{
    const struct chain *chain = chain_of((struct bus *)bus, room);

    for (size_t i = 0; i < chain->count; i++)
        if (chain->entries[i].id == id)
            return chain->entries[i].serial;
    return 0;
}

bool fake_is_in_log(const struct bus *bus, const char *room, event_id id)
{
    return entry_in_log(chain_of((struct bus *)bus, room), id);
}

/* What the hub calls
 * --------------------------------------------------------------------------------------------------- */

uint64_t monotonic_ms(void)
{
    return fake_now;
}

bool bus_lane_is_up(const struct bus *bus, unsigned lane)
{
    return bus->up;
}

event_id bus_floor(const struct bus *bus, unsigned lane)
{
    return id_make(bus->floor_ms, lane, 0);
}

void bus_saw(struct bus *bus, event_id id)
{
}

bool bus_is_subscribed(const struct bus *bus, const char *channel)
{
    return chain_behind((struct bus *)bus, channel)->confirmed;
}

void bus_subscribe(struct bus *bus, unsigned lane, const char *channel)
{
    struct chain *chain = chain_behind(bus, channel);

    assert_int_equal(lane, chain->lane);
    chain->wanted = true;
    chain->confirmed = false;
    send_subscription(bus, chain, true);
}

void bus_unsubscribe(struct bus *bus, const char *channel)
{
    struct chain *chain = chain_behind(bus, channel);

    assert_true(chain->wanted);
    chain->wanted = chain->confirmed = false;
    send_subscription(bus, chain, false);
}

bool bus_read(struct bus *bus, unsigned lane, int argc, const char **argv, bus_reply_fn *reply, void *ctx,
              uint64_t token)
{
    struct read *read;

    if (!bus->up)
        return false;
    assert_true(argc <= ARGS);
    read = calloc(1, sizeof *read);
    assert_non_null(read);
    *read = (struct read){.lane = lane, .argc = argc, .reply = reply, .ctx = ctx, .token = token};
    for (int i = 0; i < argc; i++)
        read->argv[i] = strdup(argv[i]);
    DL_APPEND(bus->reads, read);
    return true;
}
