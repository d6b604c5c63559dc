#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"

#define DEADLINE_SECONDS 20

redisContext *redis;
static redisContext *ear;

/* The texts of the test that runs. */
static char **texts;
static size_t texts_made;

/* Keeps `made` (taken) until the next test. */
static const char *keep(char *made)
{
    texts = realloc(texts, (texts_made + 1) * sizeof texts[0]);
    if (!texts)
        abort();
    return texts[texts_made++] = made;
}

static void forget_texts(void)
{
    for (size_t i = 0; i < texts_made; i++)
        free(texts[i]);
    free(texts);
    texts = NULL;
    texts_made = 0;
}

static const char *finish(FILE *out, char **made)
{
    fclose(out);
    return keep(*made);
}

redisContext *another_connection(void)
{
    const char *port = getenv("TEST_REDIS_PORT");
    struct timeval deadline = {.tv_sec = DEADLINE_SECONDS};
    redisContext *context;

    if (!port) {
        fputs("TEST_REDIS_PORT is not set: run this under tests/with_servers.py --redis\n", stderr);
        exit(2);
    }
    context = redisConnectWithTimeout("127.0.0.1", atoi(port), deadline);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    redisSetTimeout(context, deadline);
    return context;
}

int connect_redis(void **state)
{
    redis = another_connection();
    ear = another_connection();
    freeReplyObject(redisCommand(ear, "PSUBSCRIBE hubbub:*"));
    expect(FUNCTION_LIBRARY, command("FUNCTION LOAD REPLACE %s", FUNCTIONS_LUA));
    return 0;
}

int disconnect_redis(void **state)
{
    redisFree(redis);
    redisFree(ear);
    forget_texts();
    return 0;
}

int empty_redis(void **state)
{
    forget_texts();
    expect("OK", command("FLUSHALL"));
    heard();
    return 0;
}

int fresh_redis(void **state)
{
    empty_redis(state);
    for (unsigned lane = 0; lane < LANES; lane++) {
        expect("OK", fcall("open", lane, FLOOR " " KEY_VERSION));
        expect_word("OK", fcall("open_link", lane, "g1-a 1"));
        expect_word("OK", fcall("open_link", lane, "g2-b 1"));
    }
    return 0;
}

redisReply *command(const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = redisvCommand(redis, format, args);
    va_end(args);
    assert_non_null(reply);
    return reply;
}

redisReply *vfcall(redisContext *context, const char *function, unsigned lane, const char *format,
                   va_list args)
{
    char whole[512];

    snprintf(whole, sizeof whole, "FCALL %s_" FUNCTIONS_REVISION " 1 hubbub:{%u} %s", function, lane, format);
    return redisvCommand(context, whole, args);
}

redisReply *fcall_with(redisContext *context, const char *function, unsigned lane, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vfcall(context, function, lane, format, args);
    va_end(args);
    return reply;
}

redisReply *fcall(const char *function, unsigned lane, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vfcall(redis, function, lane, format, args);
    va_end(args);
    assert_non_null(reply);
    return reply;
}

static void print(FILE *out, const redisReply *reply, bool outer)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        fprintf(out, "%lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        fputs("(nil)", out);
        break;
    case REDIS_REPLY_ERROR:
        fprintf(out, "!%s", reply->str);
        break;
    case REDIS_REPLY_ARRAY:
        fputs(outer ? "" : "[", out);
        for (size_t i = 0; i < reply->elements; i++) {
            fputs(i ? " " : "", out);
            print(out, reply->element[i], false);
        }
        fputs(outer ? "" : "]", out);
        break;
    default:
        fwrite(reply->str, 1, reply->len, out);
    }
}

const char *text_of(redisReply *reply)
{
    char *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    print(out, reply, true);
    freeReplyObject(reply);
    return finish(out, &made);
}

const char *element_of(redisReply *reply, size_t index)
{
    char *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    if (reply->type == REDIS_REPLY_ARRAY && index < reply->elements)
        print(out, reply->element[index], true);
    else
        print(out, reply, true);
    freeReplyObject(reply);
    return finish(out, &made);
}

const char *word_of(redisReply *reply)
{
    return element_of(reply, 0);
}

const char *text(const char *format, ...)
{
    va_list args;
    char *made;

    va_start(args, format);
    if (vasprintf(&made, format, args) < 0)
        abort();
    va_end(args);
    return keep(made);
}

/* Prints a message; of a notice "+SESSION MS SHOWN", MS is what no test can know. */
static void print_heard(FILE *out, const char *channel, const char *message)
{
    const char *time = strchr(message, ' ');

    if ((*message == '+' || *message == '-') && time)
        fprintf(out, "%s %.*sMS%s\n", channel, (int)(time + 1 - message), message,
                time + 1 + strspn(time + 1, "0123456789"));
    else
        fprintf(out, "%s %s\n", channel, message);
}

const char *heard(void)
{
    static const char mark[] = "hubbub:mark";
    redisReply *message;
    char *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    freeReplyObject(command("PUBLISH %s end", mark));
    for (bool more = true; more;) { /* pmessage, pattern, channel, message */
        assert_int_equal(redisGetReply(ear, (void **)&message), REDIS_OK);
        assert_int_equal(message->elements, 4);
        more = strcmp(message->element[2]->str, mark) != 0;
        if (more)
            print_heard(out, message->element[2]->str, message->element[3]->str);
        freeReplyObject(message);
    }
    return finish(out, &made);
}

const char *log_of(unsigned lane)
{
    redisReply *entries = command("XRANGE hubbub:{%u}:log - +", lane);
    char *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    for (size_t i = 0; i < entries->elements; i++) {
        redisReply **fields = entries->element[i]->element[1]->element;

        fprintf(out, "%s %s %s\n", fields[1]->str, fields[3]->str, fields[5]->str);
    }
    freeReplyObject(entries);
    return finish(out, &made);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(redisReply *const *)a)->str, (*(redisReply *const *)b)->str);
}

char *dataset(void)
{
    redisReply *keys = command("KEYS *");
    char *made;
    size_t size;
    FILE *out = open_memstream(&made, &size);

    qsort(keys->element, keys->elements, sizeof(redisReply *), compare_keys);
    for (size_t i = 0; i < keys->elements; i++) {
        redisReply *value = command("DUMP %s", keys->element[i]->str);

        fprintf(out, "%s=", keys->element[i]->str);
        for (size_t j = 0; j < (size_t)value->len; j++)
            fprintf(out, "%02x", (unsigned char)value->str[j]);
        fprintf(out, " %s\n", text_of(command("EXPIRETIME %s", keys->element[i]->str)));
        freeReplyObject(value);
    }
    freeReplyObject(keys);
    fclose(out);
    return made;
}

uint64_t redis_clock(void)
{
    redisReply *time = command("TIME");
    uint64_t ms =
        strtoull(time->element[0]->str, NULL, 10) * 1000 + strtoull(time->element[1]->str, NULL, 10) / 1000;

    freeReplyObject(time);
    return ms;
}

int compare_ids(const char *a, const char *b)
{
    event_id first = 0, second = 0;

    if (!id_from_stream(a, strlen(a), 0, &first) || !id_from_stream(b, strlen(b), 0, &second))
        fail_msg("not ids: %s, %s", a, b);
    return first < second ? -1 : first > second;
}

static struct who filled(struct who who)
{
    who.incarnation = who.incarnation ? who.incarnation : "g1-a";
    who.link = who.link ? who.link : "1";
    who.seen = who.seen ? who.seen : "0-0";
    who.clock = who.clock ? who.clock : redis_clock();
    who.name = who.name ? who.name : "alice";
    who.shown = who.shown ? who.shown : who.name;
    who.session = who.session ? who.session : "g1-a-1";
    who.key = who.key ? who.key : "-";
    who.account = who.account ? who.account : "-";
    who.room = who.room ? who.room : "lobby";
    who.notice_max = who.notice_max ? who.notice_max : "200";
    who.names_max = who.names_max ? who.names_max : "50";
    return who;
}

redisReply *claim_by(redisContext *context, struct who who)
{
    who = filled(who);
    return fcall_with(context, "claim", 0, "%s %s %s %s %s %s %s %s %s %s %s %s %s", who.incarnation,
                      who.link, who.seen, text("%" PRIu64, who.clock), who.name, who.shown, who.session,
                      who.key, who.account, who.room, who.notice_max, who.names_max,
                      text("{\"open\":\"%s\"}", who.session));
}

redisReply *enter_by(struct who who)
{
    who = filled(who);
    return fcall("enter", 0, "%s %s %s %s %s %s %s %s", who.incarnation, who.link, who.name, who.shown,
                 who.session, who.room, who.notice_max, who.names_max);
}

redisReply *leave_by(struct who who)
{
    who = filled(who);
    return fcall("leave", 0, "%s %s %s %s %s %s %s", who.incarnation, who.link, who.name, who.shown,
                 who.session, who.room, who.notice_max);
}

redisReply *release_by(struct who who)
{
    who = filled(who);
    return fcall("release", 0, "%s %s %s %s %s %s %s", who.incarnation, who.link, who.seen,
                 text("%" PRIu64, who.clock), who.name, who.session, who.notice_max);
}

redisReply *say(unsigned lane, unsigned seq, const char *room, const char *ref, const char *body)
{
    return fcall("publish", lane, "g1-a 1 %u 0-0 %s %s %s %s", seq, text("%" PRIu64, redis_clock()),
                 text("r:%s", room), ref, body);
}
