/*
 * cases: fixed work, for run.py to count the instructions of.
 *
 *     cases                 one line for each case: its name and what an item of it is
 *     cases --made-with     what the counts depend on, but for the code: compiler, options, libraries
 *     cases NAME            does that case: ITEMS_BEFORE items, then counted(), which does ITEMS more
 *
 * Only what is called by counted() is counted (callgrind's --toggle-collect), so neither what comes before
 * nor what each item needs made ready or checked.  Chats are 10 ms apart, as in a lively room.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <utf8proc.h>

#include "conn.h"
#include "dialect.h"
#include "event.h"
#include "fake_bus.h"
#include "gob_encode.h"
#include "hub.h"

#define ITEMS_BEFORE 300 /* until all caches and rings are full */
#define ITEMS 200        /* run.py divides by it */
#define MEMBERS 100

#define REQUIRE(condition) ((condition) ? (void)0 : give_up(#condition, __LINE__))

static _Noreturn void give_up(const char *condition, int line)
{
    fprintf(stderr, "cases.c:%d: this does not hold: %s\n", line, condition);
    exit(1);
}

struct work {
    const char *name, *item;
    const char *dialect; /* NULL: none */
    void (*set_up)(const struct work *work);
    void (*before)(const struct work *work, size_t i); /* not counted; NULL: nothing */
    void (*item_do)(const struct work *work);
    void (*after)(const struct work *work, size_t i); /* not counted; NULL: nothing */
    unsigned chats;                                   /* an item of deliver has so many */
};

static const struct dialect *dialect;
static struct codec *codec;
static struct evbuffer *out;

/* What is said: mostly plain, of about 64 bytes; with what JSON must escape, and with what is not ASCII. */
static const char *const texts[] = {
    "Has anybody seen the figures of last week? I need them by noon.",
    "They are on the shared drive, in the folder that Dana made today",
    "He said \"wait for the C:\\backup to end\", so that is what I do.\t:)",
    "Zażółć gęślą jaźń: dziękuję bardzo, do jutra! 😀 Grüße nach Köln",
};
#define TEXTS (sizeof texts / sizeof *texts)

static event_id id_of(size_t i)
{
    return id_make(1700000000000 + 10 * i, 6, 0);
}

/* Decoding ----------------------------------------------------------------------------------------------- */

static struct evbuffer *input;
static const char *bytes; /* those of `input` that are not used yet */
static size_t len;
static struct request request;
static enum decoded decoded;
static size_t json_flags; /* how a client writes it */

/* A chat as a client of `json` or `command` writes it. */
static void put_object(const char *key, const char *word, const char *text_key, size_t i)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:o}", key, word, "room", "lobby", text_key, texts[i % TEXTS],
                               "ref", json_sprintf("%zu", i));
    char *text = json_dumps(object, JSON_COMPACT | json_flags);

    REQUIRE(text);
    evbuffer_add_printf(input, "%s\n", text);
    free(text);
    json_decref(object);
}

static void put_gob(const char *text)
{
    struct evbuffer *value = evbuffer_new();

    REQUIRE(value);
    gob_put_value(0, "Alice", text, value);
    gob_put_message(GOB_FIRST_ID, false, (char *)evbuffer_pullup(value, -1), evbuffer_get_length(value),
                    input);
    evbuffer_free(value);
}

static void put_chat(size_t i)
{
    if (strcmp(dialect->name, "json") == 0)
        put_object("type", "chat", "data", i);
    else if (strcmp(dialect->name, "command") == 0)
        put_object("command", "MSG", "text", i);
    else if (strcmp(dialect->name, "gob") == 0)
        put_gob(texts[i % TEXTS]);
    else
        evbuffer_add_printf(input, "%s%s\r\n", strcmp(dialect->name, "line") == 0 ? "MSG " : "",
                            texts[i % TEXTS]);
}

static void decode_set_up(const struct work *work)
{
    input = evbuffer_new();
    REQUIRE(input);
    if (dialect->logged_in)
        dialect->logged_in(codec);
    if (strcmp(dialect->name, "gob") == 0)
        gob_put_definition(GOB_FIRST_ID, false, input);
    for (size_t i = 0; i < ITEMS_BEFORE + ITEMS; i++)
        put_chat(i);
    len = evbuffer_get_length(input);
    bytes = (char *)evbuffer_pullup(input, -1);
}

/* As Python's json does it, each character that is not ASCII is \u1234. */
static void decode_ascii_set_up(const struct work *work)
{
    json_flags = JSON_ENSURE_ASCII;
    decode_set_up(work);
}

static void decode_do(const struct work *work)
{
    size_t used;

    request = (struct request){.verb = VERBS};
    decoded = dialect->decode(codec, bytes, len, &used, &request);
    bytes += used;
    len -= used;
}

static void decode_check(const struct work *work, size_t i)
{
    REQUIRE(decoded == DECODED_REQUEST && request.verb == VERB_CHAT);
    REQUIRE(strcmp(request.text, texts[i % TEXTS]) == 0);
}

/* Events and what clients are told ----------------------------------------------------------------------- */

static struct event *events[TEXTS], *event;
static char live[2 * TEXT_MAX_BYTES];
static char *body;
static struct reply reply;

static char *body_of(size_t i)
{
    char *made = event_body("Alice", "g1-5f3a90c2-17", "lobby", texts[i % TEXTS]);

    REQUIRE(made);
    return made;
}

static void encode_set_up(const struct work *work)
{
    for (size_t i = 0; i < TEXTS; i++) {
        char *made = body_of(i);

        events[i] = event_from_body(id_of(i), id_of(i) - 1, made, strlen(made));
        REQUIRE(events[i]);
        free(made);
    }
}

static void encode_before(const struct work *work, size_t i)
{
    event = events[i % TEXTS];
    event->id = id_of(i);
    evbuffer_drain(out, evbuffer_get_length(out));
}

static void encode_do(const struct work *work)
{
    dialect->encode_event(event, out);
}

static void frame_do(const struct work *work)
{
    bool alone;

    REQUIRE(
        dialect->frame(codec, (char *)evbuffer_pullup(input, -1), evbuffer_get_length(input), out, &alone));
}

static void frame_before(const struct work *work, size_t i)
{
    encode_before(work, i);
    evbuffer_drain(input, evbuffer_get_length(input));
    dialect->encode_event(event, input);
}

static void frame_set_up(const struct work *work)
{
    encode_set_up(work);
    input = evbuffer_new();
    REQUIRE(input);
}

static void encode_check(const struct work *work, size_t i)
{
    REQUIRE(evbuffer_get_length(out) > strlen(texts[i % TEXTS]));
}

static void ack_before(const struct work *work, size_t i)
{
    evbuffer_drain(out, evbuffer_get_length(out));
    reply = (struct reply){.kind = REPLY_ACK, .verb = VERB_CHAT, .ref = "17", .word = "MSG", .id = id_of(i)};
}

static void ack_do(const struct work *work)
{
    dialect->encode_reply(&reply, out);
}

static void ack_check(const struct work *work, size_t i)
{
    REQUIRE(evbuffer_get_length(out) > 0);
}

static void publish_before(const struct work *work, size_t i)
{
    reply.text = texts[i % TEXTS];
}

static void publish_do(const struct work *work)
{
    body = event_body("Alice", "g1-5f3a90c2-17", "lobby", reply.text);
}

static void publish_check(const struct work *work, size_t i)
{
    REQUIRE(body);
    free(body);
}

static void live_before(const struct work *work, size_t i)
{
    char id[ID_TEXT_MAX], prev[ID_TEXT_MAX];

    body = body_of(i);
    snprintf(live, sizeof live, "%s %s %s", id_to_stream(id_of(i + 1), id), id_to_stream(id_of(i), prev),
             body);
    free(body);
}

static void live_do(const struct work *work)
{
    event = event_from_live(6, live, strlen(live));
    event_drop(event_hold(event));
}

static void live_check(const struct work *work, size_t i)
{
    REQUIRE(event && event->id == id_of(i + 1) && strcmp(event->text, texts[i % TEXTS]) == 0);
    event_drop(event);
}

/* Delivering: from what comes from Redis to the writing of sockets ----------------------------------------
 */

static struct bus *bus;
static struct conns *conns;
static struct hub *hub;
static struct person {
    struct conn *conn;
    int peer;
} people[MEMBERS];

static void send_to(void *owner, const void *data, size_t size)
{
    conn_send(((struct person *)owner)->conn, data, size);
}

static void lend_to(void *owner, const void *data, size_t size)
{
    conn_lend(((struct person *)owner)->conn, data, size);
}

static bool is_ready(void *owner)
{
    return !conn_is_slow(((struct person *)owner)->conn);
}

static void on_reached(void *owner, struct member *member)
{
}

static bool is_for(void *owner, const struct event *direct)
{
    return true;
}

static uint64_t serial_of(void *ctx, const char *session)
{
    return 0;
}

static void on_room_ready(void *ctx, uint64_t token, bool good)
{
    REQUIRE(good);
}

static void on_nothing(void *owner)
{
}

static void person_enter(struct person *person, struct room *room, uint64_t serial)
{
    struct member *member;
    int pair[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    person->peer = pair[1];
    person->conn = conn_create(conns, pair[0]);
    REQUIRE(person->conn);
    conn_set_owner(person->conn, person);
    member = hub_enter(room, person, serial, dialect_find(dialect->name, strlen(dialect->name)), false, 0);
    REQUIRE(member);
    hub_resume(member);
}

static void deliver_set_up(const struct work *work)
{
    static const struct conn_ops conn_ops = {on_nothing, on_nothing, on_nothing, on_nothing,
                                             on_nothing, on_nothing, on_nothing};
    static const struct hub_ops hub_ops = {send_to, lend_to,   is_ready,     on_reached,
                                           is_for,  serial_of, on_room_ready};
    struct event_base *base = event_base_new();
    struct room *room;
    bool live_now;

    REQUIRE(base);
    conns = conns_create(base, &conn_ops);
    bus = fake_bus_create();
    hub = hub_create(base, bus, NULL, &hub_ops, NULL);
    REQUIRE(conns && hub);
    fake_bus_attach(bus, hub);
    fake_long_turns = true;
    room = hub_hold(hub, "lobby", 1, &live_now);
    REQUIRE(room);
    fake_settle(bus);
    for (int i = 0; i < MEMBERS; i++)
        person_enter(&people[i], room, 1000 + (uint64_t)i);
    hub_let_go(room);
}

static void deliver_before(const struct work *work, size_t i)
{
    for (unsigned n = 0; n < work->chats; n++)
        fake_say(bus, "lobby", 1);
}

/* A turn of the loop. */
static void deliver_do(const struct work *work)
{
    while (fake_deliver(bus))
        continue;
    hub_end_turn(hub);
    conns_end_turn(conns);
}

/* Each has been told of each chat, a line each, in one write, whatever the dialect. */
static void deliver_check(const struct work *work, size_t i)
{
    for (int n = 0; n < MEMBERS; n++) {
        char told[8192];
        ssize_t size = recv(people[n].peer, told, sizeof told, 0);
        unsigned lines = 0;

        for (ssize_t at = 0; at < size; at++)
            lines += told[at] == '\n';
        REQUIRE(lines == work->chats);
    }
}

/* The cases ---------------------------------------------------------------------------------------------- */

#define DECODE(name)                                                                  \
    {                                                                                 \
        "decode-" name, "chat", name, decode_set_up, NULL, decode_do, decode_check, 0 \
    }
#define ENCODE(name)                                                                            \
    {                                                                                           \
        "encode-" name, "event", name, encode_set_up, encode_before, encode_do, encode_check, 0 \
    }
#define DELIVER(name, item, dialect, chats)                                                   \
    {                                                                                         \
        name, item, dialect, deliver_set_up, deliver_before, deliver_do, deliver_check, chats \
    }

static const struct work works[] = {
    DECODE("json"),
    {"decode-json-ascii", "chat", "json", decode_ascii_set_up, NULL, decode_do, decode_check, 0},
    DECODE("line"),
    DECODE("prompt"),
    DECODE("command"),
    DECODE("gob"),
    ENCODE("json"),
    ENCODE("line"),
    ENCODE("prompt"),
    ENCODE("command"),
    ENCODE("gob"),
    {"frame-gob", "event to one client", "gob", frame_set_up, frame_before, frame_do, encode_check, 0},
    {"ack-json", "chat", "json", NULL, ack_before, ack_do, ack_check, 0},
    {"event-body", "chat", NULL, NULL, publish_before, publish_do, publish_check, 0},
    {"event-from-live", "event", NULL, NULL, live_before, live_do, live_check, 0},
    DELIVER("deliver-1", "chat to 100 members", "json", 1),
    DELIVER("deliver-8", "turn with 8 chats to 100 members", "json", 8),
    DELIVER("deliver-line-1", "chat to 100 members", "line", 1),
    DELIVER("deliver-line-8", "turn with 8 chats to 100 members", "line", 8),
};
#define WORKS (sizeof works / sizeof *works)

/* What is counted: see --toggle-collect in run.py.  Never inlined, for it would have no name then. */
void counted(const struct work *work);
__attribute__((noinline)) void counted(const struct work *work)
{
    work->item_do(work);
}

static void do_item(const struct work *work, size_t i, void (*how)(const struct work *work))
{
    if (work->before)
        work->before(work, i);
    how(work);
    work->after(work, i);
}

static void do_work(const struct work *work)
{
    json_object_seed(1); /* else the order in its tables is another each time */
    if (work->dialect) {
        dialect = dialects[dialect_find(work->dialect, strlen(work->dialect))];
        codec = dialect->codec_create();
        REQUIRE(codec);
    }
    out = evbuffer_new();
    REQUIRE(out);
    if (work->set_up)
        work->set_up(work);
    for (size_t i = 0; i < ITEMS_BEFORE + ITEMS; i++)
        do_item(work, i, i < ITEMS_BEFORE ? work->item_do : counted);
}

static void say_made_with(void)
{
    struct utsname machine;

    REQUIRE(uname(&machine) == 0);
#ifdef __clang__
    printf("clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    printf("gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    printf(" %s, %s, glibc %s, jansson %s, libevent %s, utf8proc %s\n", OPTIONS, machine.machine,
           gnu_get_libc_version(), jansson_version_str(), event_get_version(), utf8proc_version());
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--made-with") == 0) {
        say_made_with();
        return 0;
    }
    for (size_t i = 0; i < WORKS; i++) {
        if (argc == 1)
            printf("%s %d %s\n", works[i].name, ITEMS, works[i].item);
        if (argc == 2 && strcmp(argv[1], works[i].name) == 0) {
            do_work(&works[i]);
            return 0;
        }
    }
    return argc == 1 ? 0 : 2;
}
