/* That what somebody who died has left of accounts is put right by whoever lives, without being asked. */

#include <string.h>

#include "harness.h"

static bool is_listed(const char *name, const char *wanted)
{
    redisReply *reply = redis("HGET hubbub:{0}:accounts %s", name);
    bool is = reply->type == REDIS_REPLY_STRING ? strcmp(reply->str, wanted) == 0 : !*wanted;

    freeReplyObject(reply);
    return is;
}

static void test_the_list_is_equal_again_within_a_minute(void **state)
{
    int64_t until;

    sql("insert into users (name, name_key, password_hash, account)"
        " values ('Bob', 'bob', 'x', 7), ('Eve', 'eve', 'x', 8)");
    store_start(0);
    await_log(0, "event=roster_repaired accounts=2 added=2 removed=0");
    freeReplyObject(redis("HDEL hubbub:{0}:accounts bob"));
    freeReplyObject(redis("HSET hubbub:{0}:accounts eve 5 carol 9"));
    until = clock_now() + 65000;
    while (!is_listed("carol", "") || !is_listed("bob", "7") || !is_listed("eve", "8")) {
        if (clock_now() > until)
            give_up("the list is not put right");
        pause_briefly();
    }
    await_log(0, "event=roster_repaired accounts=2 added=2 removed=1");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_the_list_is_equal_again_within_a_minute),
    };

    harness_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
