/* Two gateways in the same instant, each on a connection and a thread of its own. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 500
#define PUBLISHES 2000

struct gateway {
    const char *incarnation, *key;
    pthread_barrier_t *start;
    redisContext *context;
    char words[ROUNDS][16]; /* of each round's answer */
};

/* Claims round after round, each together with the other gateway. */
static void *claim_all(void *argument)
{
    struct gateway *gateway = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        redisReply *reply;

        pthread_barrier_wait(gateway->start);
        reply = fcall_with(gateway->context, "claim", 0,
                           "%s 1 0-0 9999999999999 name%u Name%u %s-%u %s - lobby 0 0 {}",
                           gateway->incarnation, i, i, gateway->incarnation, i, gateway->key);
        if (!reply)
            return gateway; /* the rounds left have no word */
        snprintf(gateway->words[i], sizeof gateway->words[i], "%s",
                 reply->type == REDIS_REPLY_ARRAY ? reply->element[0]->str : reply->str);
        freeReplyObject(reply);
    }
    return NULL;
}

/* Runs both gateways' claims with these keys. */
static void race(struct gateway *one, struct gateway *two, const char *key)
{
    pthread_barrier_t start;
    pthread_t threads[2];

    memset(one, 0, sizeof *one);
    memset(two, 0, sizeof *two);
    one->incarnation = "g1-a";
    two->incarnation = "g2-b";
    one->start = two->start = &start;
    one->key = two->key = key;
    one->context = another_connection();
    two->context = another_connection();
    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    assert_int_equal(pthread_create(&threads[0], NULL, claim_all, one), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, claim_all, two), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    pthread_barrier_destroy(&start);
    redisFree(one->context);
    redisFree(two->context);
}

static void test_of_two_claims_one_gets_the_name(void **state)
{
    struct gateway *one = malloc(sizeof *one), *two = malloc(sizeof *two);

    race(one, two, "-");
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool first = strcmp(one->words[i], "OK") == 0;
        const char *holder = text_of(command("HGET hubbub:{0}:names name%u", i));

        assert_string_equal(first ? two->words[i] : one->words[i], "TAKEN");
        assert_string_equal(first ? one->words[i] : two->words[i], "OK");
        assert_string_equal(holder, text("%s %s-%u -", first ? "g1-a" : "g2-b", first ? "g1-a" : "g2-b", i));
    }
    expect(text("%d", ROUNDS), command("HLEN hubbub:{0}:members:lobby"));
    free(one);
    free(two);
}

static void test_of_two_claims_with_one_key_both_are_answered_and_one_holds(void **state)
{
    struct gateway *one = malloc(sizeof *one), *two = malloc(sizeof *two);
    redisReply *held[2];

    race(one, two, "k");
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_string_equal(one->words[i], "OK");
        assert_string_equal(two->words[i], "OK");
    }
    held[0] = command("HLEN hubbub:{0}:held:g1-a");
    held[1] = command("HLEN hubbub:{0}:held:g2-b");
    assert_int_equal(held[0]->integer + held[1]->integer, ROUNDS);
    expect(text("%d", ROUNDS), command("HLEN hubbub:{0}:names"));
    expect(text("%d", 3 * ROUNDS), command("XLEN hubbub:{0}:log")); /* open, close, open */
    freeReplyObject(held[0]);
    freeReplyObject(held[1]);
    free(one);
    free(two);
}

/* What is left of an abandoned link may come after the new link's first command. */
static void test_an_abandoned_links_publishes_do_not_arrive_behind_the_new_one(void **state)
{
    redisContext *old = another_connection();
    redisReply *reply, *sent;
    unsigned accepted = 0;

    for (unsigned seq = 1; seq <= PUBLISHES; seq++)
        redisAppendCommand(
            old, "FCALL publish_" FUNCTIONS_REVISION " 1 hubbub:{0} g1-a 1 %u 0-0 9999999999999 r:r %s {}",
            seq, "");
    for (int done = 0; !done;)
        assert_int_equal(redisBufferWrite(old, &done), REDIS_OK);
    reply = fcall("open_link", 0, "g1-a 2");
    sent = reply->element[3];
    for (unsigned seq = 1; seq <= PUBLISHES; seq++) {
        redisReply *answer;

        assert_int_equal(redisGetReply(old, (void **)&answer), REDIS_OK);
        if (strcmp(word_of(answer), "OK") == 0)
            assert_int_equal(++accepted, seq); /* none after the first that was refused */
    }
    assert_int_equal(sent->elements, accepted); /* and the new link was told of all that were taken */
    expect(text("%u", accepted), command("XLEN hubbub:{0}:log"));
    freeReplyObject(reply);
    redisFree(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        functions_test(test_of_two_claims_one_gets_the_name),
        functions_test(test_of_two_claims_with_one_key_both_are_answered_and_one_holds),
        functions_test(test_an_abandoned_links_publishes_do_not_arrive_behind_the_new_one),
    };

    return run_functions_tests(tests);
}
