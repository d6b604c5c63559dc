/*
 * What holds for every dialect and every stream of bytes: how it is cut does not matter, and nothing that
 * comes makes a decoder stumble.  The streams are made from a seed, which is printed; TEST_SEED gives
 * another.
 */

#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STREAMS 300
#define MUTATIONS 30000
#define STREAM_MAX (4 * REQUEST_MAX_BYTES)

struct stream {
    char bytes[STREAM_MAX];
    size_t len;
};

/* What streams are made of.  All dialects get all of it: one's request is the other's nonsense. */
static const char *const fragments[] = {
    "{\"type\":\"join\",\"data\":\"Alice\",\"key\":\"k\",\"echo\":true}",
    "{\"type\":\"chat\",\"data\":\"}{\\\"\\\\\",\"ref\":\"r1\"}\n",
    "{\"type\":\"chat\",\"data\":\"\xc3\xa4\\ud83d\\ude00\",\"room\":\"dev\"}\r\n",
    "{\"type\":\"join\",\"room\":\"dev\",\"since\":\"17\"}",
    "{\"type\":\"leave\"}",
    "{\"type\":\"ping\",\"x\":[[],{\"y\":[1,2.5e3,null]}]}",
    "{\"type\":7}",
    "{\"type\":\"fly\",\"ref\":\"q\"}",
    "{\"a\":]}",
    "{}",
    "{",
    "}",
    "\"",
    "\\",
    "[[[[",
    "\n",
    "\r\n",
    " ",
    "\xff",
    "junk {\"type\":\"who\"}\n",
    "{\"type\":\"direct\",\"to\":\"Bob\",\"data\":\"psst\"}",
    "{\"command\":\"CONNECT\",\"username\":\"alice\",\"key\":\"k\"}",
    "{\"command\":\"MSG\",\"text\":\"}{\\\"\\\\\",\"ref\":\"r1\"}\n",
    "{\"command\":\"MESSAGE\",\"text\":\"\\u00e4\",\"to\":\"bob\"}",
    "{\"command\":\"LEAVE\"}{\"command\":\"LEAVE\",\"room\":\"dev\"}",
    "{\"command\":\"FLY\",\"ref\":\"q\"}",
    "{\"type\":\"register\",\"password\":\"p\",\"old\":\"q\"}",
    "{\"type\":\"history\",\"limit\":5,\"before\":\"17\"}{\"type\":\"history\",\"limit\":-1}",
    "{\"type\":\"read\",\"with\":\"Bob\",\"id\":\"17\"}",
    "{\"command\":\"HISTORY\",\"with\":\"bob\"}{\"command\":\"REGISTER\",\"password\":7}",
    "HISTORY 5\nREGISTER secret\n",
    "/history 5\n/register secret\n",
    "LOGIN naman secret\r\n",
    "MSG  two  words \n",
    "msg x\r\n",
    "JOIN dev\n",
    "LEAVE\n",
    "WHO\n",
    "PING\n",
    "PING 1\n",
    "FLY\n",
    "/msg Bob psst\r\n",
    "//x\n",
    "/who\r",
    "\xff\xfb\x01",
    "\xff\xfa\x18\n\xff\xff\xff\xf0",
    "\xff\xfa",
    "\xff\xf1",
    "\t \n",
};

/* What streams of gobs are made of: nothing else keeps a decoder of gobs going. */
#define GOB(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const struct gob {
    const char *bytes;
    size_t len;
} gobs[] = {
    /* Message, as 65; Node { Next *Node; Any interface{} }, as 66; [][]..., as 67 */
    GOB("\x35\xff\x81\3\1\1\7Message\1\xff\x82\0\1\3\1\4Type\1\4\0\1\6Sender\1\x0c\0\1\7Content\1\x0c\0\0\0"),
    GOB("\x24\xff\x83\3\1\1\4Node\1\xff\x84\0\1\2\1\4Next\1\xff\x84\0\1\3"
        "Any\1\x10\0\0\0"),
    GOB("\x0d\xff\x85\2\1\2\xff\x86\0\1\xff\x86\0\0"),
    GOB("\x0c\xff\x82\1\2\1\5"
        "alice\0"),
    GOB("\x14\xff\x82\1\2\1\5"
        "alice\1\6secret\0"),
    GOB("\x0a\xff\x82\3\5hello\0"),
    GOB("\x05\xff\x82\1\4\0"),
    GOB("\3\xff\x82\0"),
    GOB("\x07\xff\x84\1\1\0\0\0"),
    GOB("\x0c\xff\x84\2\3int\4\2\0\0\0"),
    GOB("\x07\xff\x86\0\2\1\0\0"),
    GOB("\3\4\0\6"),
};

static void append(struct stream *stream, const char *bytes, size_t len)
{
    if (len > STREAM_MAX - stream->len)
        len = STREAM_MAX - stream->len;
    memcpy(stream->bytes + stream->len, bytes, len);
    stream->len += len;
}

/* Appends something about as long as a request may be. */
static void append_long(struct stream *stream, uint64_t *random)
{
    static char text[REQUEST_MAX_BYTES + 16];
    size_t len = REQUEST_MAX_BYTES - 32 + random_below(random, 48);
    static const char *const starts[] = {"{\"type\":\"chat\",\"data\":\"", "MSG ", "x", "{\"x\":[[[[[["};
    static const char *const ends[] = {"\"}", "\n", "\"}\n", "]]]]]]}"};
    const char *start = starts[random_below(random, 4)], *end = ends[random_below(random, 4)];

    memset(text, random_below(random, 2) ? 'x' : '[', sizeof text);
    append(stream, start, strlen(start));
    append(stream, text, len - strlen(start));
    append(stream, end, strlen(end));
}

static void append_deep(struct stream *stream, uint64_t *random)
{
    size_t depth = 55 + random_below(random, 20);

    append(stream, "{\"type\":\"ping\",\"x\":", 19);
    for (size_t i = 0; i < depth; i++)
        append(stream, "[", 1);
    for (size_t i = 0; i < depth; i++)
        append(stream, "]", 1);
    append(stream, "}", 1);
}

static void append_fragment(struct stream *stream, uint64_t *random)
{
    const char *fragment = fragments[random_below(random, sizeof fragments / sizeof *fragments)];
    char byte = (char)random_below(random, 256);

    if (random_below(random, 50) == 0)
        append(stream, &byte, 1);
    else
        append(stream, fragment, strlen(fragment));
}

static void append_gob(struct stream *stream, uint64_t *random)
{
    const struct gob *gob = &gobs[random_below(random, sizeof gobs / sizeof *gobs)];

    append(stream, gob->bytes, gob->len);
}

/* One in four is of gobs, which are defined first. */
static void make_stream(struct stream *stream, uint64_t *random)
{
    size_t fragments_left = 1 + random_below(random, 30);
    bool of_gobs = random_below(random, 4) == 0;

    stream->len = 0;
    for (size_t i = 0; of_gobs && i < 3; i++)
        append(stream, gobs[i].bytes, gobs[i].len);
    while (fragments_left-- > 0) {
        if (of_gobs) {
            append_gob(stream, random);
            continue;
        }
        if (random_below(random, 400) == 0)
            append_long(stream, random);
        else if (random_below(random, 50) == 0)
            append_deep(stream, random);
        else
            append_fragment(stream, random);
    }
}

/* Changes a few places of the stream. */
static void mutate(struct stream *stream, uint64_t *random)
{
    static const char nasty[] = "{}[]\"\\\n\r\0 \xff\x80u0:,";

    for (size_t n = 1 + random_below(random, 8); n > 0 && stream->len > 1; n--) {
        size_t at = random_below(random, stream->len), left = stream->len - at;
        size_t run = 1 + random_below(random, left < 20 ? left : 20);

        switch (random_below(random, 4)) {
        case 0: /* one bit */
            stream->bytes[at] ^= (char)(1 << random_below(random, 8));
            break;
        case 1: /* one byte */
            stream->bytes[at] = nasty[random_below(random, sizeof nasty)];
            break;
        case 2: /* a run goes */
            memmove(stream->bytes + at, stream->bytes + at + run, left - run);
            stream->len -= run;
            break;
        default: /* a run comes again at the end */
            append(stream, stream->bytes + at, run);
        }
    }
}

static uint64_t first_seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20240229;

    print_message("seed %llu\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

static void assert_same(const struct dialect *dialect, const struct stream *stream, struct cut cut)
{
    char *whole = transcript(dialect, stream->bytes, stream->len, ALL_AT_ONCE);
    char *pieces = transcript(dialect, stream->bytes, stream->len, cut);

    assert_string_equal(pieces, whole);
    free(whole);
    free(pieces);
}

static void how_a_stream_is_cut_does_not_matter(void **state)
{
    static struct stream stream;
    uint64_t random = first_seed();

    for (int i = 0; i < STREAMS; i++) {
        make_stream(&stream, &random);
        for (int d = 0; dialects[d]; d++) {
            assert_same(dialects[d], &stream, BYTE_BY_BYTE);
            assert_same(dialects[d], &stream, (struct cut){.most = 9, .seed = random_next(&random)});
            assert_same(dialects[d], &stream, (struct cut){.most = 3000, .seed = random_next(&random)});
        }
    }
}

/* transcript() asserts what matters; ASan and UBSan see the rest. */
static void no_mutation_makes_a_decoder_stumble(void **state)
{
    static struct stream stream;
    uint64_t random = first_seed();

    for (int i = 0; i < MUTATIONS; i++) {
        make_stream(&stream, &random);
        if (stream.len > REQUEST_MAX_BYTES && i % 8 != 0)
            continue; /* long ones take most of the time */
        mutate(&stream, &random);
        for (int d = 0; dialects[d]; d++)
            assert_same(dialects[d], &stream, (struct cut){.most = 64, .seed = random_next(&random)});
    }
}

static void random_bytes_do_not_make_a_decoder_stumble(void **state)
{
    static struct stream stream;
    uint64_t random = first_seed();

    for (int i = 0; i < 1000; i++) {
        stream.len = 1 + random_below(&random, 500);
        for (size_t at = 0; at < stream.len; at++)
            stream.bytes[at] = (char)random_next(&random);
        for (int d = 0; dialects[d]; d++)
            assert_same(dialects[d], &stream, (struct cut){.most = 20, .seed = random_next(&random)});
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_a_stream_is_cut_does_not_matter),
        cmocka_unit_test(no_mutation_makes_a_decoder_stumble),
        cmocka_unit_test(random_bytes_do_not_make_a_decoder_stumble),
    };

    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
