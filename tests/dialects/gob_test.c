/*
 * The dialect gob: streams that real Go programs sent (gob/, see record.go there), hostile ones, and what
 * clients of both habits are sent.
 */

#define DIALECT "gob"
#include "example.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#define FIXTURE_MAX 8192
#define MUTATIONS 4000

static const char *const fixtures[] = {
    "long-lived", "fresh",  "pointers", "zero",         "long",      "nul",
    "types",      "slash",  "utf8",     "order",        "unsigned",  "hidden",
    "no-sender",  "extras", "others",   "extras-fresh", "two-types",
};

struct bytes {
    size_t len;
    char bytes[4 * FIXTURE_MAX];
};

static void read_fixture(const char *name, struct bytes *fixture)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof path, "gob/%s.gob", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    fixture->len = fread(fixture->bytes, 1, FIXTURE_MAX, file);
    fclose(file);
    assert_in_range(fixture->len, 1, FIXTURE_MAX - 1);
}

/* Real streams ------------------------------------------------------------------------------------------- */

static void check_fixture(void **state)
{
    static struct bytes fixture;
    const struct example *example = *state;

    read_fixture(example->bytes, &fixture);
    assert_understood(dialect_named(DIALECT), fixture.bytes, fixture.len, example->expected);
}

#define FIXTURE(name, file, text)                          \
    {                                                      \
        name, check_fixture, NULL, NULL, &(struct example) \
        {                                                  \
            .bytes = (file), .expected = (text)            \
        }                                                  \
    }

static void a_text_of_4096_bytes_is_understood(void **state)
{
    static struct bytes fixture;
    char *text;

    read_fixture("long", &fixture);
    text = transcript(dialect_named(DIALECT), fixture.bytes, fixture.len, BYTE_BY_BYTE);
    assert_int_equal(strlen(text), strlen("LOGIN name=[alice]\nCHAT text=[]\nCHAT text=[short]\n") + 4096);
    assert_non_null(strstr(text, "xxx]\nCHAT text=[short]\n"));
    free(text);
}

/* What was understood of the beginning is the beginning of what is understood of all. */
static void every_fixture_may_be_cut_off_at_every_byte(void **state)
{
    static struct bytes fixture;

    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        char *whole;

        read_fixture(fixtures[i], &fixture);
        whole = transcript(dialect_named(DIALECT), fixture.bytes, fixture.len, ALL_AT_ONCE);
        for (size_t len = 0; len < fixture.len; len++) {
            char *part = transcript(dialect_named(DIALECT), fixture.bytes, len, ALL_AT_ONCE);

            assert_memory_equal(part, whole, strlen(part));
            assert_null(strstr(part, "FATAL"));
            free(part);
        }
        free(whole);
    }
}

static void mutate(struct bytes *stream, uint64_t *random)
{
    for (size_t n = 1 + random_below(random, 4); n > 0 && stream->len > 1; n--) {
        size_t at = random_below(random, stream->len), run = 1 + random_below(random, stream->len - at);

        switch (random_below(random, 4)) {
        case 0:
            stream->bytes[at] = (char)random_next(random);
            break;
        case 1:
            stream->bytes[at] ^= (char)(1 << random_below(random, 8));
            break;
        case 2:
            stream->bytes[at] += (char)(random_below(random, 2) ? 1 : -1);
            break;
        default: /* a run comes again at the end */
            if (run > sizeof stream->bytes - stream->len)
                break;
            memcpy(stream->bytes + stream->len, stream->bytes + at, run);
            stream->len += run;
        }
    }
}

static void no_mutation_of_a_fixture_makes_the_decoder_stumble(void **state)
{
    static struct bytes stream;
    uint64_t random = 20091110;

    for (int i = 0; i < MUTATIONS; i++) {
        char *whole, *pieces;

        read_fixture(fixtures[random_below(&random, sizeof fixtures / sizeof *fixtures)], &stream);
        mutate(&stream, &random);
        whole = transcript(dialect_named(DIALECT), stream.bytes, stream.len, ALL_AT_ONCE);
        pieces = transcript(dialect_named(DIALECT), stream.bytes, stream.len,
                            (struct cut){.most = 100, .seed = random_next(&random)});
        assert_string_equal(pieces, whole);
        free(whole);
        free(pieces);
    }
}

/* With a reason, so that it fails for that and not because the bytes here are wrong otherwise. */
static void check_malformed(void **state)
{
    const struct dialect *gob = dialect_named(DIALECT);
    const struct example *example = *state;
    struct codec *codec = gob->codec_create();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(gob->decode(codec, example->bytes, example->len, &used, &request), DECODED_FATAL);
    assert_int_equal(used, example->len);
    assert_string_equal(request.reason, example->expected);
    gob->codec_destroy(codec);
    assert_understood(gob, example->bytes, example->len, "FATAL bad-request\n");
}

#define MALFORMED(name, literal, why)                                         \
    {                                                                         \
        name, check_malformed, NULL, NULL, &(struct example)                  \
        {                                                                     \
            .bytes = (literal), .len = sizeof(literal) - 1, .expected = (why) \
        }                                                                     \
    }

/* Streams that no Go program sends ----------------------------------------------------------------------- */

#define COMMON "\1\1\1M\0" /* what a type's definition begins with: a name, no id */

/* The definition, of two fields, of what chats are; its value {0, "hi"}. */
#define CHAT_TYPE "\x21\xff\x81\3" COMMON "\1\2\1\4Type\1\4\0\1\7Content\1\x0c\0\0\0"
#define CHAT "\7\xff\x82\2\2hi\0"

static void append(struct bytes *stream, const void *bytes, size_t len)
{
    assert_true(len <= sizeof stream->bytes - stream->len);
    memcpy(stream->bytes + stream->len, bytes, len);
    stream->len += len;
}

/* Appends a message of up to 16384 bytes. */
static void append_message(struct bytes *stream, const char *bytes, size_t len)
{
    char prefix[] = {(char)-2, (char)(len >> 8), (char)len};

    append(stream, prefix, sizeof prefix);
    append(stream, bytes, len);
}

/* The slice type of this id, with elements of that one. */
static void append_slice(struct bytes *stream, int id, int element)
{
    int minus = 2 * (id - 1) + 1, plus = 2 * element;
    char bytes[] = {(char)-2, (char)(minus >> 8), (char)minus,       2,          1, 1, 1, 'S', 0,
                    1,        (char)-2,           (char)(plus >> 8), (char)plus, 0, 0};

    append_message(stream, bytes, sizeof bytes);
}

static void assert_stream(const struct bytes *stream, const char *expected)
{
    assert_understood(dialect_named(DIALECT), stream->bytes, stream->len, expected);
}

/* The hundredth may come again; the bytes of so many are far from their own limit. */
static void a_hundred_types_may_be_defined_and_no_more(void **state)
{
    static struct bytes stream;

    stream.len = 0;
    for (int i = 0; i < 100; i++)
        append_slice(&stream, 65 + i, 2);
    append_slice(&stream, 65 + 99, 2);
    assert_stream(&stream, "");
    append_slice(&stream, 65 + 100, 2);
    assert_stream(&stream, "FATAL bad-request\n");
}

/* As many as 10,000, in one piece. */
static void ten_thousand_definitions_are_one_error(void **state)
{
    static struct bytes stream;
    char *flood = malloc(10000 * 20), *text;
    size_t len = 0;

    assert_non_null(flood);
    for (int i = 0; i < 10000; i++) {
        stream.len = 0;
        append_slice(&stream, 65 + i, 2);
        memcpy(flood + len, stream.bytes, stream.len);
        len += stream.len;
    }
    text = transcript(dialect_named(DIALECT), flood, len, ALL_AT_ONCE);
    assert_string_equal(text, "FATAL bad-request\n");
    free(text);
    free(flood);
}

/* If the second call looked at the first bytes again it would find another length. */
static void what_was_looked_at_is_not_looked_at_again(void **state)
{
    const struct dialect *gob = dialect_named(DIALECT);
    struct codec *codec = gob->codec_create();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(gob->decode(codec, CHAT_TYPE CHAT, sizeof CHAT_TYPE + 2, &used, &request), DECODED_MORE);
    assert_int_equal(used, sizeof CHAT_TYPE - 1);
    assert_int_equal(gob->decode(codec, "\0\0\0\0\0\0\0", 7, &used, &request), DECODED_MORE);
    assert_int_equal(used, 0);
    gob->codec_destroy(codec);
}

/* One definition of 16384 bytes at most, or several together. */
static void definitions_are_limited_in_bytes(void **state)
{
    static struct bytes stream;
    static char body[9000] = "\xff\x81\2\1\1\xfe\x23\x0a"; /* a slice's name of 8970 bytes */
    static const char end[5] = {0, 1, 4, 0, 0};

    memcpy(body + 8 + 8970, end, sizeof end);
    stream.len = 0;
    append_message(&stream, body, 8 + 8970 + 5);
    assert_stream(&stream, "");
    body[1] = (char)0x83;
    append_message(&stream, body, 8 + 8970 + 5);
    assert_stream(&stream, "FATAL bad-request\n");
}

static void a_struct_of_257_fields_is_refused(void **state)
{
    static struct bytes stream;
    char body[600] = "\xff\x81\3" COMMON "\1";
    size_t n = 3 + sizeof COMMON;

    for (int fields = 256; fields <= 257; fields++) {
        char count[] = {(char)-2, 1, (char)fields};

        memcpy(body + n, count, 3);
        memset(body + n + 3, 0, sizeof body - n - 3);
        stream.len = 0;
        append_message(&stream, body, n + 3 + (size_t)fields + 2);
        assert_stream(&stream, fields == 256 ? "" : "FATAL bad-request\n");
    }
}

/* The struct type of this id, with so many fields of neither name nor type: a byte each. */
static void append_struct(struct bytes *stream, int id, size_t fields)
{
    int minus = 2 * (id - 1) + 1;
    char body[400] = {(char)-2, (char)(minus >> 8), (char)minus,         3,           1, 1, 1, 'M', 0,
                      1,        (char)-2,           (char)(fields >> 8), (char)fields};

    assert_true(13 + fields + 2 <= sizeof body);
    append_message(stream, body, 13 + fields + 2);
}

/* How many structs of so many fields a connection may define. */
static size_t structs_allowed(size_t fields)
{
    static struct bytes stream;
    bool fatal = false;
    size_t n = 0;

    for (stream.len = 0; !fatal; n++) {
        char *text;

        append_struct(&stream, 65 + (int)n, fields);
        text = transcript(dialect_named(DIALECT), stream.bytes, stream.len, ALL_AT_ONCE);
        fatal = strcmp(text, "FATAL bad-request\n") == 0;
        assert_true(fatal || text[0] == '\0');
        free(text);
    }
    return n - 1;
}

/* 16 KiB, in which a field takes 8 bytes however few came. */
static void what_is_kept_of_types_is_bounded_however_many_fields_they_have(void **state)
{
    for (size_t fields = 1; fields <= 256; fields *= 2) {
        size_t n = structs_allowed(fields);

        assert_in_range(n * fields * (1 + 8), 1, 16384);
        assert_in_range(n, fields == 256 ? 6 : 10, 100);
    }
}

/* Type 65 is a slice of itself: lists in lists in lists. */
static void nesting_is_limited(void **state)
{
    static struct bytes stream;

    for (size_t depth = 64; depth <= 66; depth++) {
        char body[100] = "\xff\x82\0";

        memset(body + 3, 1, depth - 1);
        stream.len = 0;
        append_slice(&stream, 65, 65);
        append_message(&stream, body, 3 + depth);
        assert_stream(&stream, depth < 66 ? "ERROR bad-request\n" : "FATAL bad-request\n");
    }
}

/* 16384 bytes with the length before them. */
static void a_gob_of_16384_bytes_is_understood_and_a_longer_one_is_too_long(void **state)
{
    static struct bytes stream;
    static char body[17000] = "\xff\x82\2\xfe\x3f\xf3";

    memset(body + 6, 'x', 16374);
    for (size_t len = 16381; len <= 16382; len++) {
        char *text;

        body[5] = (char)(len - 7);
        body[4] = (char)((len - 7) >> 8);
        body[6 + len - 8] = 'x';
        body[len - 1] = '\0';
        stream.len = 0;
        append(&stream, CHAT_TYPE, sizeof CHAT_TYPE - 1);
        append_message(&stream, body, len);
        append(&stream, CHAT, sizeof CHAT - 1);
        if (len == 16382) {
            assert_stream(&stream, "FATAL too-long\n");
            continue;
        }
        text = transcript(dialect_named(DIALECT), stream.bytes, stream.len, BYTE_BY_BYTE);
        assert_memory_equal(text, "CHAT text=[xxx", 14);
        assert_non_null(strstr(text, "xxx]\nCHAT text=[hi]\n"));
        free(text);
    }
}

/* What is sent ------------------------------------------------------------------------------------------- */

/* One client: its codec, and what it was sent last. */
struct client {
    struct codec *codec;
    char *sent;
    size_t len;
    bool alone;
};

static void set_up(struct client *client)
{
    *client = (struct client){.codec = dialect_named(DIALECT)->codec_create()};
    assert_non_null(client->codec);
}

static void tear_down(struct client *client)
{
    dialect_named(DIALECT)->codec_destroy(client->codec);
    free(client->sent);
}

/* Reads as many values as there are in a fixture, or `most`. */
static void says(struct client *client, const char *fixture_name, int most)
{
    static struct bytes fixture;
    struct request request;
    size_t at = 0, used;

    read_fixture(fixture_name, &fixture);
    for (; most > 0; most--, at += used) {
        request = (struct request){.verb = VERBS};
        assert_int_not_equal(dialect_named(DIALECT)->decode(client->codec, fixture.bytes + at,
                                                            fixture.len - at, &used, &request),
                             DECODED_FATAL);
    }
}

/* Makes the client's messages of what is in `encoded` (taken); returns how many. */
static int hears(struct client *client, struct evbuffer *encoded)
{
    const struct dialect *gob = dialect_named(DIALECT);
    struct evbuffer *out = evbuffer_new();
    int n = 0;

    for (size_t used; (used = gob->frame(client->codec, (const char *)evbuffer_pullup(encoded, -1),
                                         evbuffer_get_length(encoded), out, &client->alone)) > 0;
         n++)
        evbuffer_drain(encoded, used);
    assert_int_equal(evbuffer_get_length(encoded), 0);
    client->len = evbuffer_get_length(out);
    client->sent = realloc(client->sent, client->len + 1);
    assert_non_null(client->sent);
    evbuffer_remove(out, client->sent, client->len);
    evbuffer_free(out);
    evbuffer_free(encoded);
    return n;
}

static struct evbuffer *encoded_event(const char *from, const char *text, bool direct)
{
    struct evbuffer *out = evbuffer_new();

    dialect_named(DIALECT)->encode_event(&(struct event){.from = from, .text = text, .direct = direct}, out);
    return out;
}

static void hears_chat(struct client *client)
{
    assert_int_equal(hears(client, encoded_event("bob", "hi", false)), 1);
}

#define assert_sent(client, literal)                                       \
    do {                                                                   \
        assert_int_equal((client)->len, sizeof(literal) - 1);              \
        assert_memory_equal((client)->sent, literal, sizeof(literal) - 1); \
    } while (0)

/* As Go's encoder writes it, but for the id. */
#define DEFINITION(minus, plus, type)                                                                     \
    "\xff" minus "\3\1\1\7Message\1\xff" plus "\0\1\3\1\4Type\1" type "\0\1\6Sender\1\x0c\0\1\7Content\1" \
    "\x0c\0\0\0"
#define BOB "\2\3bob\1\2hi\0"

static void every_message_defines_a_type_of_its_own_and_goes_alone(void **state)
{
    struct client client;

    set_up(&client);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x81", "\x82", "\4") "\x0c\xff\x82" BOB);
    assert_true(client.alone);
    says(&client, "fresh", 3);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x83", "\x84", "\4") "\x0c\xff\x84" BOB);
    assert_true(client.alone);
    tear_down(&client);
}

static void one_message_does_not_show_a_habit(void **state)
{
    struct client client;

    set_up(&client);
    says(&client, "long-lived", 1);
    hears_chat(&client);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x83", "\x84", "\4") "\x0c\xff\x84" BOB);
    assert_true(client.alone);
    tear_down(&client);
}

static void a_second_message_without_definitions_ends_the_definitions(void **state)
{
    struct client client;

    set_up(&client);
    says(&client, "long-lived", 2);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x81", "\x82", "\4") "\x0c\xff\x82" BOB);
    assert_false(client.alone);
    hears_chat(&client);
    assert_sent(&client, "\x0c\xff\x82" BOB);
    assert_false(client.alone);
    tear_down(&client);
}

static void who_repeats_a_definition_gets_them_again(void **state)
{
    struct client client;

    set_up(&client);
    says(&client, "long-lived", 3);
    hears_chat(&client);
    says(&client, "long-lived", 1);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x83", "\x84", "\4") "\x0c\xff\x84" BOB);
    assert_true(client.alone);
    tear_down(&client);
}

static void a_client_whose_type_is_unsigned_gets_it_so(void **state)
{
    struct client client;
    struct evbuffer *left;

    set_up(&client);
    says(&client, "unsigned", 2);
    hears_chat(&client);
    assert_sent(&client, "\x35" DEFINITION("\x81", "\x82", "\6") "\x0c\xff\x82" BOB);
    left = evbuffer_new();
    dialect_named(DIALECT)->encode_notice(&(struct notice){.name = "bob"}, left);
    hears(&client, left);
    assert_sent(&client, "\x0a\xff\x82\1\2\1\3bob\0");
    tear_down(&client);
}

/* Ids of two and of three bytes; each message is understood by a decoder. */
static void ids_go_on_above_65535(void **state)
{
    struct client client;

    set_up(&client);
    for (int id = 65; id <= 65537; id++)
        hears_chat(&client);
    assert_memory_equal(client.sent + 1, "\xfd\2\0\1", 4);
    assert_memory_equal(client.sent + client.len - 15, "\x0e\xfd\2\0\2" BOB, 15);
    assert_understood(dialect_named(DIALECT), client.sent, client.len, "CHAT text=[hi]\n");
    tear_down(&client);
}

static void several_messages_at_once_are_framed_one_by_one(void **state)
{
    struct evbuffer *encoded = encoded_event("bob", "one", false), *more = encoded_event("bob", "two", false);
    struct client client;

    evbuffer_add_buffer(encoded, more);
    evbuffer_free(more);
    set_up(&client);
    assert_int_equal(hears(&client, encoded), 2);
    assert_understood(dialect_named(DIALECT), client.sent, client.len, "CHAT text=[one]\nCHAT text=[two]\n");
    tear_down(&client);
}

/* The value of the last message in what was sent, which has this one's length. */
#define assert_value(client, literal)                                                        \
    do {                                                                                     \
        assert_true((client)->len > sizeof(literal) - 1);                                    \
        assert_memory_equal((client)->sent + (client)->len - (sizeof(literal) - 1), literal, \
                            sizeof(literal) - 1);                                            \
    } while (0)

static void replies(struct client *client, const struct reply *reply)
{
    struct evbuffer *out = evbuffer_new();

    dialect_named(DIALECT)->encode_reply(reply, out);
    hears(client, out);
}

static void the_server_says_sentences(void **state)
{
    static const char *const names[] = {"alice", "bob"};
    struct client client;

    set_up(&client);
    replies(&client, &(struct reply){.kind = REPLY_WELCOME,
                                     .name = "alice",
                                     .room = "lobby",
                                     .names = names,
                                     .n_names = 2,
                                     .count = 2});
    assert_value(&client, "\2\6server\1\x3aWelcome, alice! 1 other is here: bob. Type /help for help.\0");
    tear_down(&client);
}

static void an_error_is_its_code(void **state)
{
    struct client client;

    set_up(&client);
    replies(&client, &(struct reply){.kind = REPLY_ERROR,
                                     .error = ERROR_USERNAME_TAKEN,
                                     .text = "The name alice is taken."});
    assert_value(&client, "\xff\x82\2\6server\1\x15"
                          "error: username-taken\0");
    tear_down(&client);
}

static void a_direct_says_so_where_no_name_can(void **state)
{
    struct client client;

    set_up(&client);
    hears(&client, encoded_event("alice", "psst", true));
    assert_value(&client, "\xff\x82\2\x0e[direct] alice\1\4psst\0");
    tear_down(&client);
}

static void a_notice_is_a_name_and_what_it_did(void **state)
{
    struct evbuffer *joined = evbuffer_new(), *left = evbuffer_new();
    struct client client;

    set_up(&client);
    dialect_named(DIALECT)->encode_notice(&(struct notice){.name = "bob", .joined = true}, joined);
    hears(&client, joined);
    assert_value(&client, "\xff\x82\1\2\1\3bob\0");
    dialect_named(DIALECT)->encode_notice(&(struct notice){.name = "bob"}, left);
    hears(&client, left);
    assert_value(&client, "\xff\x84\1\4\1\3bob\0");
    tear_down(&client);
}

static void acks_pongs_and_goodbyes_are_nothing(void **state)
{
    static const enum reply_kind silent[] = {REPLY_ACK, REPLY_PONG, REPLY_GOODBYE};
    struct client client;

    set_up(&client);
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        replies(&client, &(struct reply){.kind = silent[i], .ref = "r", .id = 7});
        assert_int_equal(client.len, 0);
    }
    tear_down(&client);
}

static void a_password_that_is_wanted_is_an_error(void **state)
{
    struct client client;

    set_up(&client);
    replies(&client,
            &(struct reply){.kind = REPLY_ERROR, .verb = VERB_LOGIN, .error = ERROR_PASSWORD_REQUIRED});
    assert_value(&client, "\xff\x82\2\6server\1\x18"
                          "error: password-required\0");
    tear_down(&client);
}

static void history_is_one_message_of_several_lines(void **state)
{
    struct event event = {
        .id = (event_id)1700000000123 << 20, .from = "bob", .place = "lobby", .text = "a\nb"};
    struct client client;

    set_up(&client);
    replies(&client, &(struct reply){.kind = REPLY_HISTORY,
                                     .room = "lobby",
                                     .events = (struct event *const[]){&event},
                                     .n_events = 1});
    assert_value(&client, "\xff\x82\2\6server\1\x2f"
                          "2023-11-14 22:13 bob: a\n2023-11-14 22:13 bob: b\0");
    tear_down(&client);
}

static void who_has_registered_is_told_in_a_sentence(void **state)
{
    struct client client;

    set_up(&client);
    replies(&client, &(struct reply){.kind = REPLY_REGISTERED, .name = "bob"});
    assert_value(&client, "\2\6server\1\x3a"
                          "The name bob is yours: it needs this password from now on.\0");
    tear_down(&client);
}

/* Message as most clients have it, as type 65. */
#define MESSAGE_TYPE                                                \
    "\x35\xff\x81\3\1\1\7Message\1\xff\x82\0\1\3\1\4Type\1\4\0\1\6" \
    "Sender\1\x0c\0\1\7Content\1\x0c\0\0\0"
#define EXTRAS "LOGIN name=[alice]\nCHAT text=[hello]\n"

static const struct CMUnitTest tests[] = {
    /* Real streams */
    FIXTURE("one encoder for all", "long-lived",
            "LOGIN name=[alice]\nCHAT text=[hello]\nCHAT text=[again]\nLOGOUT\n"),
    FIXTURE("an encoder for each message", "fresh",
            "LOGIN name=[alice]\nCHAT text=[hello]\nCHAT text=[again]\nLOGOUT\n"),
    FIXTURE("pointers are what they point to", "pointers", EXTRAS),
    FIXTURE("a Message that is all zero is an empty text", "zero", "CHAT text=[]\n"),
    FIXTURE("a NUL byte spoils its message", "nul",
            "ERROR bad-request\nERROR bad-request\nCHAT text=[good]\n"),
    FIXTURE("a type of no meaning is an error", "types",
            "ERROR bad-request\nERROR bad-request\nERROR bad-request\nCHAT text=[good]\n"),
    FIXTURE("slash commands", "slash",
            "LOGIN name=[alice]\nDIRECT to=[bob] text=[psst]\nCHAT text=[/x]\nERROR unknown-command\n"),
    FIXTURE("letters of all scripts", "utf8", "LOGIN name=[Zoë]\nCHAT text=[日本 🎉\nsecond line]\n"),
    FIXTURE("the order of fields does not matter", "order", EXTRAS "LOGOUT\n"),
    FIXTURE("Type may be unsigned", "unsigned", EXTRAS "LOGOUT\n"),
    FIXTURE("unexported fields are not there", "hidden", EXTRAS),
    FIXTURE("a field may be missing", "no-sender", "CHAT text=[hello]\n"),
    FIXTURE("more fields, of every kind, are skipped", "extras", EXTRAS "CHAT text=[sparse]\nLOGOUT\n"),
    FIXTURE("more fields, and an encoder for each message", "extras-fresh", EXTRAS),
    FIXTURE("two types on one stream", "two-types",
            "LOGIN name=[alice]\nCHAT text=[one]\nCHAT text=[two]\nCHAT text=[three]\n"),
    FIXTURE("what is no Message is an error, and the next one counts", "others",
            "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"
            "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"
            "ERROR bad-request\nCHAT text=[good]\n"),
    cmocka_unit_test(a_text_of_4096_bytes_is_understood),
    cmocka_unit_test(every_fixture_may_be_cut_off_at_every_byte),
    cmocka_unit_test(no_mutation_of_a_fixture_makes_the_decoder_stumble),

    /* Hostile streams */
    UNDERSTOOD("the smallest type that chats", CHAT_TYPE CHAT CHAT, "CHAT text=[hi]\nCHAT text=[hi]\n"),
    UNDERSTOOD("Content of a join is the password",
               MESSAGE_TYPE "\x14\xff\x82\1\2\1\5"
                            "alice\1\6secret\0\x0c\xff\x82\1\2\1\5"
                            "alice\0",
               "LOGIN name=[alice] password=[secret]\nLOGIN name=[alice]\n"),
    UNDERSTOOD("a join may have no name", MESSAGE_TYPE "\x0d\xff\x82\1\2\2\6secret\0",
               "LOGIN name=[] password=[secret]\n"),
    UNDERSTOOD("a NUL byte in a password spoils its message",
               MESSAGE_TYPE "\x10\xff\x82\1\2\1\5"
                            "alice\1\2a\0\0",
               "ERROR bad-request\n"),
    UNDERSTOOD("history and register are typed into Content",
               MESSAGE_TYPE "\x0f\xff\x82\3\x0a/history 5\0\x13\xff\x82\3\x0e/register a bc\0",
               "HISTORY limit=5\nREGISTER password=[a] old=[bc]\n"),
    UNDERSTOOD("nothing is nothing", "", ""),
    MALFORMED("text is no gob",
              "LOGIN naman\nMSG a long text so that its length is there, whatever the first "
              "byte says, and a few more\n",
              "Go's own types cannot be defined."),
    UNDERSTOOD("a huge length is too long", "\xf8\x7f\xff\xff\xff\xff\xff\xff\xff", "FATAL too-long\n"),
    UNDERSTOOD("a length of 2 GiB is too long", "\xfc\x80\0\0\0", "FATAL too-long\n"),
    MALFORMED("a length of nine bytes is none", "\xf7", "That is not a gob: it begins with no length."),
    MALFORMED("a length of 128 bytes is none", "\x80", "That is not a gob: it begins with no length."),
    MALFORMED("an empty message is none", "\0", "That is not a gob: a message is empty."),
    MALFORMED("an id that is not defined", "\3\xff\x82\0",
              "That is not a gob: a type is used that was not defined."),
    MALFORMED("the id zero", "\3\0\0\0", "That is not a gob: a type is used that was not defined."),
    MALFORMED("an id beyond 32 bits", "\x0a\xf8\xff\xff\xff\xff\xff\xff\xff\xfe\0",
              "That is not a gob: no type has such an id."),
    MALFORMED("the smallest negative id", "\x0b\xf8\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
              "That is not a gob: no type has such an id."),
    MALFORMED("a definition beyond 32 bits", "\x0b\xfb\1\0\0\0\1\3\1\1\0\0\0",
              "That is not a gob: no type has such an id."),
    MALFORMED("a builtin type cannot be defined", "\x0b\3\2\1\1\1S\0\1\4\0\0",
              "Go's own types cannot be defined."),
    MALFORMED("a wireType cannot be defined", "\x0b\x1f\2\1\1\1S\0\1\4\0\0",
              "Go's own types cannot be defined."),
    UNDERSTOOD("the same definition again is fine", CHAT_TYPE CHAT_TYPE CHAT, "CHAT text=[hi]\n"),
    MALFORMED("another definition of a known type", CHAT_TYPE "\x0c\xff\x81\2\1\1\1S\0\1\4\0\0" CHAT,
              "A type was defined again, and not as before."),
    MALFORMED("another definition that is as long",
              CHAT_TYPE "\x21\xff\x81\3" COMMON "\1\2\1\4Type\1\6\0\1\7Content\1\x0c\0\0\0" CHAT,
              "A type was defined again, and not as before."),
    MALFORMED("a definition of nothing", "\3\xff\x81\0", "That is not a gob: a type is defined as nothing."),
    MALFORMED("a definition of two types", "\x10\xff\x81\2\1\1\1S\0\1\4\0\1\1\1\0\0",
              "That is not a gob: a type is two at once."),
    MALFORMED("a kind of type that there is not", "\5\xff\x81\x08\0\0",
              "That is not a gob: a struct has no such field."),
    MALFORMED("more fields than bytes", "\x11\xff\x81\3" COMMON "\1\xf9\xff\xff\0\0\0\0\0",
              "That is not a gob: it counts more than there is."),
    MALFORMED("a name longer than its message", "\x0a\xff\x81\3\1\1\xfc\x7f\xff\xff\xff",
              "That is not a gob: something is longer than its message."),
    MALFORMED("something behind a definition", "\x0d\xff\x81\2\1\1\1S\0\1\4\0\0\0",
              "That is not a gob: something is behind its end."),
    MALFORMED("a text longer than its message", CHAT_TYPE "\7\xff\x82\2\4hi\0",
              "That is not a gob: something is longer than its message."),
    MALFORMED("a text of 2^63 bytes", CHAT_TYPE "\x0e\xff\x82\2\xf8\x80\0\0\0\0\0\0\0hi",
              "That is not a gob: something is longer than its message."),
    MALFORMED("a value without an end", CHAT_TYPE "\6\xff\x82\2\2hi",
              "That is not a gob: a number is cut off."),
    MALFORMED("something behind a value", CHAT_TYPE "\x08\xff\x82\2\2hi\0\0",
              "That is not a gob: something is behind its end."),
    MALFORMED("a field that there is not", CHAT_TYPE "\6\xff\x82\3\1x\0",
              "That is not a gob: a struct has no such field."),
    MALFORMED("a huge step to the next field",
              CHAT_TYPE "\x0e\xff\x82\xf8\xff\xff\xff\xff\xff\xff\xff\xff\1x\0",
              "That is not a gob: a struct has no such field."),
    UNDERSTOOD("an unsigned Type of 2^64 - 1",
               "\x15\xff\x81\3" COMMON "\1\1\1\4Type\1\6\0\0\0"
               "\x0d\xff\x82\1\xf8\xff\xff\xff\xff\xff\xff\xff\xff\0",
               "ERROR bad-request\n"),
    MALFORMED("a slice of 2^56 elements",
              "\x0c\xff\x81\2\1\1\1S\0\1\4\0\0"
              "\x0c\xff\x82\0\xf8\1\0\0\0\0\0\0\0",
              "That is not a gob: it counts more than there is."),
    UNDERSTOOD("a struct of no field that is known",
               "\x12\xff\x81\3" COMMON "\1\1\1\1X\1\4\0\0\0"
               "\3\xff\x82\0",
               "ERROR bad-request\n"),
    cmocka_unit_test(a_hundred_types_may_be_defined_and_no_more),
    cmocka_unit_test(ten_thousand_definitions_are_one_error),
    cmocka_unit_test(what_was_looked_at_is_not_looked_at_again),
    cmocka_unit_test(definitions_are_limited_in_bytes),
    cmocka_unit_test(a_struct_of_257_fields_is_refused),
    cmocka_unit_test(what_is_kept_of_types_is_bounded_however_many_fields_they_have),
    cmocka_unit_test(nesting_is_limited),
    cmocka_unit_test(a_gob_of_16384_bytes_is_understood_and_a_longer_one_is_too_long),

    /* What is sent */
    cmocka_unit_test(every_message_defines_a_type_of_its_own_and_goes_alone),
    cmocka_unit_test(one_message_does_not_show_a_habit),
    cmocka_unit_test(a_second_message_without_definitions_ends_the_definitions),
    cmocka_unit_test(who_repeats_a_definition_gets_them_again),
    cmocka_unit_test(a_client_whose_type_is_unsigned_gets_it_so),
    cmocka_unit_test(ids_go_on_above_65535),
    cmocka_unit_test(several_messages_at_once_are_framed_one_by_one),
    cmocka_unit_test(the_server_says_sentences),
    cmocka_unit_test(an_error_is_its_code),
    cmocka_unit_test(a_direct_says_so_where_no_name_can),
    cmocka_unit_test(a_notice_is_a_name_and_what_it_did),
    cmocka_unit_test(a_password_that_is_wanted_is_an_error),
    cmocka_unit_test(history_is_one_message_of_several_lines),
    cmocka_unit_test(who_has_registered_is_told_in_a_sentence),
    cmocka_unit_test(acks_pongs_and_goodbyes_are_nothing),
};

int main(void)
{
    return cmocka_run_group_tests_name("gob", tests, NULL, NULL);
}
