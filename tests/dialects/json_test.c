#define DIALECT "json"
#include "example.h"

#include <stdio.h>
#include <string.h>

#define ID ((event_id)1700000000123 << 20 | 3 << 14 | 5)
#define ID_TEXT "1782579200129024005"
#define BYTES_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const people[] = {"Alice", "Bob"};
static const long members[] = {3, 1};

/* An object of exactly `size` bytes, most of them text. */
static char *object_of(size_t size)
{
    static const char head[] = "{\"type\":\"chat\",\"data\":\"", tail[] = "\"}";
    char *object = malloc(size);

    assert_non_null(object);
    memset(object, 'x', size);
    memcpy(object, head, sizeof head - 1);
    memcpy(object + size - (sizeof tail - 1), tail, sizeof tail - 1);
    return object;
}

static void object_of_16384_bytes_is_understood(void **state)
{
    char *object = object_of(REQUEST_MAX_BYTES);
    char *text = transcript(dialect_named(DIALECT), object, REQUEST_MAX_BYTES, BYTE_BY_BYTE);

    assert_memory_equal(text, "CHAT text=[xxx", 14);
    free(text);
    free(object);
}

static void object_of_16385_bytes_is_fatal(void **state)
{
    char *object = object_of(REQUEST_MAX_BYTES + 1);

    assert_understood(dialect_named(DIALECT), object, REQUEST_MAX_BYTES + 1, "FATAL too-long\n");
    free(object);
}

static void white_space_before_an_object_does_not_count_for_its_size(void **state)
{
    size_t blank = 50000, len = blank + REQUEST_MAX_BYTES;
    char *object = object_of(REQUEST_MAX_BYTES), *bytes = malloc(len), *text;

    assert_non_null(bytes);
    memset(bytes, ' ', blank);
    memcpy(bytes + blank, object, REQUEST_MAX_BYTES);
    text = transcript(dialect_named(DIALECT), bytes, len, (struct cut){.most = 1000, .seed = 5});
    assert_memory_equal(text, "CHAT text=[xxx", 14);
    free(text);
    free(bytes);
    free(object);
}

/* An object with `depth` brackets open at its deepest, then a ping. */
static void assert_depth(int depth, const char *expected)
{
    char bytes[1024];
    int len = sprintf(bytes, "{\"type\":\"who\",\"x\":");

    for (int i = 1; i < depth; i++)
        bytes[len++] = i % 2 ? '[' : '{', len += i % 2 ? 0 : sprintf(bytes + len, "\"x\":");
    bytes[len++] = '1';
    for (int i = depth - 1; i >= 1; i--)
        bytes[len++] = i % 2 ? ']' : '}';
    len += sprintf(bytes + len, "}{\"type\":\"ping\"}");
    assert_understood(dialect_named(DIALECT), bytes, (size_t)len, expected);
}

static void nesting_of_64_is_understood(void **state)
{
    assert_depth(64, "WHO\nPING\n");
}

static void nesting_of_65_is_refused_and_the_object_skipped(void **state)
{
    assert_depth(65, "ERROR bad-request\nPING\n");
}

static void assert_hundred_thousand(const char *unit, const char *expected)
{
    size_t unit_len = strlen(unit), len = 100000 * unit_len;
    char *bytes = malloc(len);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = unit[i % unit_len];
    assert_understood(dialect_named(DIALECT), bytes, len, expected);
    free(bytes);
}

static void hundred_thousand_square_brackets_are_one_error(void **state)
{
    assert_hundred_thousand("[", "ERROR bad-request\n");
}

static void hundred_thousand_curly_brackets_are_too_long(void **state)
{
    assert_hundred_thousand("{", "FATAL too-long\n");
}

static void hundred_thousand_nested_members_are_too_long(void **state)
{
    assert_hundred_thousand("{\"a\":", "FATAL too-long\n");
}

/* If the second call looked at the first bytes again it would find the object closed. */
static void what_was_scanned_is_not_scanned_again(void **state)
{
    const struct dialect *json = dialect_named(DIALECT);
    struct codec *codec = json->codec_create();
    struct request request;
    size_t used;

    assert_int_equal(json->decode(codec, "  {\"a\":", 7, &used, &request), DECODED_MORE);
    assert_int_equal(used, 2);
    assert_int_equal(json->decode(codec, "}}}}}1", 6, &used, &request), DECODED_MORE);
    assert_int_equal(used, 0);
    json->codec_destroy(codec);
}

static void error_says_what_is_wrong(void **state)
{
    static const char bytes[] = "{\"type\":\"chat\",\"data\":\"x\",\"room\":1}";
    const struct dialect *json = dialect_named(DIALECT);
    struct codec *codec = json->codec_create();
    struct request request;
    size_t used;

    assert_int_equal(json->decode(codec, bytes, strlen(bytes), &used, &request), DECODED_ERROR);
    assert_string_equal(request.reason, "\"room\" must be a string.");
    json->codec_destroy(codec);
}

static const struct CMUnitTest tests[] = {
    /* What can be asked */
    UNDERSTOOD("join with data is a log-in", "{\"type\":\"join\",\"data\":\"Alice\"}",
               "LOGIN name=[Alice]\n"),
    UNDERSTOOD("a log-in holds all that it may",
               "{\"type\":\"join\",\"data\":\"Alice\",\"password\":\"p\",\"key\":\"k\",\"room\":\"dev\","
               "\"since\":\"12\",\"echo\":true,\"ref\":\"r\"}",
               "LOGIN name=[Alice] password=[p] key=[k] room=[dev] since=[12] echo ref=[r]\n"),
    UNDERSTOOD("echo may be false", "{\"type\":\"join\",\"data\":\"A\",\"echo\":false}", "LOGIN name=[A]\n"),
    UNDERSTOOD("join without data enters a room", "{\"type\":\"join\",\"room\":\"dev\",\"since\":\"5\"}",
               "JOIN room=[dev] since=[5]\n"),
    UNDERSTOOD("chat", "{\"type\":\"chat\",\"data\":\"Hello World!\"}", "CHAT text=[Hello World!]\n"),
    UNDERSTOOD("chat to a room with a ref",
               "{\"type\":\"chat\",\"data\":\"x\",\"room\":\"dev\",\"ref\":\"r1\"}",
               "CHAT room=[dev] text=[x] ref=[r1]\n"),
    UNDERSTOOD("direct", "{\"type\":\"direct\",\"to\":\"Bob\",\"data\":\"psst\",\"ref\":\"r2\"}",
               "DIRECT to=[Bob] text=[psst] ref=[r2]\n"),
    UNDERSTOOD("a direct has no room", "{\"type\":\"direct\",\"to\":\"Bob\",\"data\":\"x\",\"room\":\"dev\"}",
               "DIRECT to=[Bob] text=[x]\n"),
    UNDERSTOOD("leave with a room leaves it", "{\"type\":\"leave\",\"room\":\"dev\"}", "LEAVE room=[dev]\n"),
    UNDERSTOOD("leave without a room logs out", "{\"type\":\"leave\",\"ref\":\"b\"}", "LOGOUT ref=[b]\n"),
    UNDERSTOOD("who", "{\"type\":\"who\"}", "WHO\n"),
    UNDERSTOOD("who in a room", "{\"type\":\"who\",\"room\":\"lobby\"}", "WHO room=[lobby]\n"),
    UNDERSTOOD("rooms", "{\"type\":\"rooms\"}", "ROOMS\n"),
    UNDERSTOOD("ping", "{\"type\":\"ping\",\"ref\":\"1\"}", "PING ref=[1]\n"),
    UNDERSTOOD("register", "{\"type\":\"register\",\"password\":\"secret 1\",\"ref\":\"r\"}",
               "REGISTER password=[secret 1] ref=[r]\n"),
    UNDERSTOOD("register with the old password changes it",
               "{\"type\":\"register\",\"password\":\"new\",\"old\":\"before\"}",
               "REGISTER password=[new] old=[before]\n"),
    UNDERSTOOD("an empty old password is none", "{\"type\":\"register\",\"password\":\"new\",\"old\":\"\"}",
               "REGISTER password=[new]\n"),
    UNDERSTOOD("an empty password to register is for others to refuse",
               "{\"type\":\"register\",\"password\":\"\"}", "REGISTER password=[]\n"),
    UNDERSTOOD("history", "{\"type\":\"history\"}", "HISTORY\n"),
    UNDERSTOOD("history of a room before an id",
               "{\"type\":\"history\",\"room\":\"dev\",\"before\":\"17\",\"limit\":50,\"ref\":\"r\"}",
               "HISTORY room=[dev] before=[17] limit=50 ref=[r]\n"),
    UNDERSTOOD("history since an id", "{\"type\":\"history\",\"since\":\"17\",\"limit\":1}",
               "HISTORY since=[17] limit=1\n"),
    UNDERSTOOD("history with somebody has no room",
               "{\"type\":\"history\",\"with\":\"Bob\",\"room\":7,\"before\":\"17\"}",
               "HISTORY before=[17] with=[Bob]\n"),
    UNDERSTOOD("a limit may be large", "{\"type\":\"history\",\"limit\":9223372036854775807}",
               "HISTORY limit=9223372036854775807\n"),
    UNDERSTOOD("read", "{\"type\":\"read\",\"with\":\"Bob\",\"id\":\"17\",\"ref\":\"r\"}",
               "READ with=[Bob] id=[17] ref=[r]\n"),
    UNDERSTOOD("unknown keys are ignored", "{\"type\":\"ping\",\"x\":[1,{\"y\":null}],\"data\":7}", "PING\n"),
    UNDERSTOOD("keys that another type has are ignored", "{\"type\":\"rooms\",\"room\":7,\"echo\":7}",
               "ROOMS\n"),
    UNDERSTOOD("of a key that is given twice the last one counts",
               "{\"type\":\"who\",\"type\":\"chat\",\"data\":\"a\",\"data\":\"b\"}", "CHAT text=[b]\n"),
    UNDERSTOOD("brackets and quotes within strings do not end an object",
               "{\"type\":\"chat\",\"data\":\"}{\\\"}]\\\\\"}", "CHAT text=[}{\"}]\\]\n"),
    UNDERSTOOD("escapes are decoded", "{\"type\":\"chat\",\"data\":\"\\u00e4\\n\\ud83d\\ude00\"}",
               "CHAT text=[\xc3\xa4\n\xf0\x9f\x98\x80]\n"),
    UNDERSTOOD("text in UTF-8 is taken as it is", "{\"type\":\"chat\",\"data\":\"\xc3\xa4\xf0\x9f\x98\x80\"}",
               "CHAT text=[\xc3\xa4\xf0\x9f\x98\x80]\n"),

    /* The stream */
    UNDERSTOOD("objects need nothing between them", "{\"type\":\"ping\"}{\"type\":\"who\"}", "PING\nWHO\n"),
    UNDERSTOOD("white space may stand between objects",
               " \r\n\t{\"type\":\"ping\"}\r\n\n{\"type\":\"who\"} \n", "PING\nWHO\n"),
    UNDERSTOOD("white space may stand within an object", "{ \"type\" :\n\"ping\"\r\n}", "PING\n"),
    UNDERSTOOD("an unfinished object is waited for", "{\"type\":\"ping\"}{\"type\":\"who\"", "PING\n"),
    UNDERSTOOD("an unfinished string is waited for", "{\"type\":\"ping}{}\\\"", ""),
    UNDERSTOOD("other bytes are one error up to the next newline", "GET / HTTP/1.1\r\n{\"type\":\"ping\"}",
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("what follows such bytes in their line is skipped", "x{\"type\":\"who\"}\n{\"type\":\"ping\"}",
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("such bytes are one error a line", "x\n\ny\n", "ERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("such bytes may follow an object at once", "{\"type\":\"ping\"},\n{\"type\":\"who\"}",
               "PING\nERROR bad-request\nWHO\n"),
    UNDERSTOOD("a NUL byte between objects is such a byte", "\0\n{\"type\":\"ping\"}",
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("a list is no request", "[{\"type\":\"ping\"}]\n{\"type\":\"who\"}",
               "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("a string is no request", "\"{\"\n{\"type\":\"who\"}", "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("nothing is nothing", "", ""),

    /* What the library refuses */
    UNDERSTOOD("after invalid JSON the next object counts", "{\"type\" \"ping\"}{\"type\":\"who\"}",
               "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("single quotes are invalid", "{'type':'ping'}{\"type\":\"who\"}", "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("a trailing comma is invalid", "{\"type\":\"ping\",}", "ERROR bad-request\n"),
    UNDERSTOOD("brackets that do not match are invalid", "{\"x\":[}}", "ERROR bad-request\n"),
    UNDERSTOOD("a raw newline in a string is invalid",
               "{\"type\":\"chat\",\"data\":\"a\nb\"}{\"type\":\"who\"}", "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("a raw NUL is invalid", "{\"type\":\"ping\0\"}{\"type\":\"who\"}", "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("a NUL in a string is invalid", "{\"type\":\"chat\",\"data\":\"a\\u0000b\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a NUL in a key is invalid", "{\"type\\u0000\":\"ping\"}", "ERROR bad-request\n"),
    UNDERSTOOD("invalid UTF-8 is invalid", "{\"type\":\"chat\",\"data\":\"\xff\"}{\"type\":\"who\"}",
               "ERROR bad-request\nWHO\n"),
    UNDERSTOOD("an overlong form is invalid", "{\"type\":\"chat\",\"data\":\"\xc0\xaf\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a raw surrogate is invalid", "{\"type\":\"chat\",\"data\":\"\xed\xa0\x80\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("half a surrogate pair is invalid", "{\"type\":\"chat\",\"data\":\"\\ud83d\"}",
               "ERROR bad-request\n"),

    /* What is valid JSON and no request */
    UNDERSTOOD("an empty object has no type", "{}", "ERROR bad-request\n"),
    UNDERSTOOD("a type must be a string", "{\"type\":1,\"ref\":\"r\"}", "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("an unknown type is an unknown command", "{\"type\":\"fly\",\"ref\":\"r\"}",
               "ERROR unknown-command ref=[r]\n"),
    UNDERSTOOD("types are lower case", "{\"type\":\"PING\"}", "ERROR unknown-command\n"),
    UNDERSTOOD("chat needs data", "{\"type\":\"chat\",\"ref\":\"r\"}", "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("direct needs a recipient", "{\"type\":\"direct\",\"data\":\"x\",\"ref\":\"r\"}",
               "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("direct needs data", "{\"type\":\"direct\",\"to\":\"Bob\"}", "ERROR bad-request\n"),
    UNDERSTOOD("a recipient must be a string", "{\"type\":\"direct\",\"to\":[\"Bob\"],\"data\":\"x\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("the text of a direct must be a string", "{\"type\":\"direct\",\"to\":\"Bob\",\"data\":7}",
               "ERROR bad-request\n"),
    UNDERSTOOD("join needs data or a room", "{\"type\":\"join\"}", "ERROR bad-request\n"),
    UNDERSTOOD("a name must be a string", "{\"type\":\"join\",\"data\":7,\"room\":\"dev\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a text must be a string", "{\"type\":\"chat\",\"data\":null}", "ERROR bad-request\n"),
    UNDERSTOOD("a room must be a string", "{\"type\":\"who\",\"room\":[]}", "ERROR bad-request\n"),
    UNDERSTOOD("the room to leave must be a string", "{\"type\":\"leave\",\"room\":null}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a password must be a string", "{\"type\":\"join\",\"data\":\"A\",\"password\":7}",
               "ERROR bad-request\n"),
    UNDERSTOOD("since must be a string", "{\"type\":\"join\",\"room\":\"A\",\"since\":7}",
               "ERROR bad-request\n"),
    UNDERSTOOD("echo must be true or false", "{\"type\":\"join\",\"data\":\"A\",\"echo\":1,\"ref\":\"r\"}",
               "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("a ref must be a string", "{\"type\":\"ping\",\"ref\":1}", "ERROR bad-request\n"),
    UNDERSTOOD("a ref may have 64 bytes", "{\"type\":\"ping\",\"ref\":\"" BYTES_64 "\"}",
               "PING ref=[" BYTES_64 "]\n"),
    UNDERSTOOD("a ref of 65 bytes is refused", "{\"type\":\"ping\",\"ref\":\"" BYTES_64 "x\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a key must be a string", "{\"type\":\"join\",\"data\":\"A\",\"key\":7}",
               "ERROR bad-request\n"),
    UNDERSTOOD("an empty key is none", "{\"type\":\"join\",\"data\":\"A\",\"key\":\"\"}", "LOGIN name=[A]\n"),
    UNDERSTOOD("a key may have 64 bytes", "{\"type\":\"join\",\"data\":\"A\",\"key\":\"" BYTES_64 "\"}",
               "LOGIN name=[A] key=[" BYTES_64 "]\n"),
    UNDERSTOOD("a key of 65 bytes is refused", "{\"type\":\"join\",\"data\":\"A\",\"key\":\"" BYTES_64 "x\"}",
               "ERROR bad-request\n"),

    UNDERSTOOD("a limit must be a whole number from 1 on",
               "{\"type\":\"history\",\"limit\":0}"
               "{\"type\":\"history\",\"limit\":-1}"
               "{\"type\":\"history\",\"limit\":1.0}"
               "{\"type\":\"history\",\"limit\":1e2}"
               "{\"type\":\"history\",\"limit\":\"5\"}"
               "{\"type\":\"history\",\"limit\":null}"
               "{\"type\":\"history\",\"limit\":true}",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR "
               "bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("a limit beyond all numbers is refused",
               "{\"type\":\"history\",\"limit\":9223372036854775808,\"ref\":\"r\"}", "ERROR bad-request\n"),
    UNDERSTOOD("before, since, with and the room of history must be strings",
               "{\"type\":\"history\",\"before\":17}"
               "{\"type\":\"history\",\"since\":17}"
               "{\"type\":\"history\",\"with\":null}"
               "{\"type\":\"history\",\"room\":[]}",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("register needs a password, which must be a string",
               "{\"type\":\"register\"}"
               "{\"type\":\"register\",\"old\":\"before\",\"ref\":\"r\"}"
               "{\"type\":\"register\",\"password\":7}"
               "{\"type\":\"register\",\"password\":null}",
               "ERROR bad-request\nERROR bad-request ref=[r]\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("the old password must be a string", "{\"type\":\"register\",\"password\":\"new\",\"old\":{}}",
               "ERROR bad-request\n"),
    UNDERSTOOD(
        "read needs with and id, which must be strings",
        "{\"type\":\"read\"}"
        "{\"type\":\"read\",\"with\":\"Bob\"}"
        "{\"type\":\"read\",\"id\":\"17\"}"
        "{\"type\":\"read\",\"with\":7,\"id\":\"17\"}"
        "{\"type\":\"read\",\"with\":\"Bob\",\"id\":17}",
        "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"),

    cmocka_unit_test(object_of_16384_bytes_is_understood),
    cmocka_unit_test(object_of_16385_bytes_is_fatal),
    cmocka_unit_test(white_space_before_an_object_does_not_count_for_its_size),
    cmocka_unit_test(nesting_of_64_is_understood),
    cmocka_unit_test(nesting_of_65_is_refused_and_the_object_skipped),
    cmocka_unit_test(hundred_thousand_square_brackets_are_one_error),
    cmocka_unit_test(hundred_thousand_curly_brackets_are_too_long),
    cmocka_unit_test(hundred_thousand_nested_members_are_too_long),
    cmocka_unit_test(what_was_scanned_is_not_scanned_again),
    cmocka_unit_test(error_says_what_is_wrong),

    /* What is answered */
    REPLY(
        "welcome says where the session stands",
        "{\"type\":\"welcome\",\"from\":\"server\",\"data\":\"Welcome, Alice.\",\"name\":\"Alice\",\"room\":"
        "\"lobby\",\"id\":\"" ID_TEXT "\",\"users\":3,\"unread\":0,\"gateway\":\"g1\"}\n",
        .kind = REPLY_WELCOME, .name = "Alice", .room = "lobby", .id = ID, .count = 3, .gateway = "g1",
        .names = people, .n_names = 2),
    REPLY("an ack names the ref and the id", "{\"type\":\"ack\",\"ref\":\"r1\",\"id\":\"" ID_TEXT "\"}\n",
          .kind = REPLY_ACK, .ref = "r1", .id = ID),
    REPLY("without a ref there is no ack", "", .kind = REPLY_ACK, .id = ID),
    REPLY("entered", "{\"type\":\"entered\",\"room\":\"dev\",\"id\":\"0\",\"users\":1,\"ref\":\"r\"}\n",
          .kind = REPLY_ENTERED, .room = "dev", .count = 1, .ref = "r"),
    REPLY("exited", "{\"type\":\"exited\",\"room\":\"dev\",\"ref\":\"r\"}\n", .kind = REPLY_EXITED,
          .room = "dev", .ref = "r"),
    REPLY("goodbye is exited without a room", "{\"type\":\"exited\"}\n", .kind = REPLY_GOODBYE),
    REPLY("who", "{\"type\":\"who\",\"room\":\"lobby\",\"users\":[\"Alice\",\"Bob\"],\"count\":1200}\n",
          .kind = REPLY_WHO, .room = "lobby", .names = people, .n_names = 2, .count = 1200),
    REPLY("who may be nobody", "{\"type\":\"who\",\"room\":\"lobby\",\"users\":[],\"count\":0}\n",
          .kind = REPLY_WHO, .room = "lobby"),
    REPLY("rooms",
          "{\"type\":\"rooms\",\"rooms\":[{\"room\":\"Alice\",\"users\":3},{\"room\":\"Bob\",\"users\":1}],"
          "\"count\":2,\"ref\":\"r\"}\n",
          .kind = REPLY_ROOMS, .names = people, .counts = members, .n_names = 2, .count = 2, .ref = "r"),
    REPLY("registered", "{\"type\":\"registered\",\"name\":\"Alice\",\"ref\":\"r\"}\n",
          .kind = REPLY_REGISTERED, .name = "Alice", .ref = "r"),
    REPLY("welcome counts what was not read",
          "{\"type\":\"welcome\",\"from\":\"server\",\"data\":\"Welcome, "
          "Alice.\",\"name\":\"Alice\",\"room\":\"lobby\",\"id\":\"0\",\"users\":1,\"unread\":70000,"
          "\"gateway\":\"g1\"}\n",
          .kind = REPLY_WELCOME, .name = "Alice", .room = "lobby", .count = 1, .unread = 70000,
          .gateway = "g1"),
    REPLY("history is messages as they were told",
          "{\"type\":\"history\",\"room\":\"dev\",\"messages\":["
          "{\"type\":\"message\",\"from\":\"Alice\",\"data\":\"a\\nb\",\"room\":\"dev\",\"id\":\"" ID_TEXT
          "\",\"at\":\"2023-11-14T22:13:20.123Z\"},"
          "{\"type\":\"message\",\"from\":\"Bob\",\"data\":\"c\",\"room\":\"dev\",\"id\":\"" ID_TEXT
          "\",\"at\":\"2023-11-14T22:13:20.123Z\"}],\"more\":true,\"ref\":\"r\"}\n",
          .kind = REPLY_HISTORY, .room = "dev", .more = true, .ref = "r",
          EVENTS(ONE(.id = ID, .from = "Alice", .place = "dev", .text = "a\nb"),
                 ONE(.id = ID, .from = "Bob", .place = "dev", .text = "c"))),
    REPLY("history with somebody is directs",
          "{\"type\":\"history\",\"with\":\"Bob\",\"messages\":["
          "{\"type\":\"direct\",\"from\":\"Alice\",\"to\":\"Bob\",\"data\":\"psst\",\"id\":\"" ID_TEXT
          "\",\"at\":\"2023-11-14T22:13:20.123Z\"}],\"more\":false}\n",
          .kind = REPLY_HISTORY, .name = "Bob",
          EVENTS(ONE(.id = ID, .from = "Alice", .place = "Bob", .text = "psst", .direct = true))),
    REPLY("history may be empty", "{\"type\":\"history\",\"room\":\"dev\",\"messages\":[],\"more\":false}\n",
          .kind = REPLY_HISTORY, .room = "dev"),
    REPLY("read counts what is not read yet",
          "{\"type\":\"read\",\"with\":\"Bob\",\"unread\":2,\"ref\":\"r\"}\n", .kind = REPLY_READ,
          .name = "Bob", .count = 2, .ref = "r"),
    REPLY("pong", "{\"type\":\"pong\"}\n", .kind = REPLY_PONG),
    REPLY("an error has code, sentence and ref",
          "{\"type\":\"error\",\"from\":\"server\",\"code\":\"username-taken\",\"data\":\"The name Alice is "
          "taken.\",\"ref\":\"r1\"}\n",
          .kind = REPLY_ERROR, .error = ERROR_USERNAME_TAKEN, .text = "The name Alice is taken.",
          .ref = "r1"),
    REPLY("an error without a sentence gets one",
          "{\"type\":\"error\",\"from\":\"server\",\"code\":\"username-taken\",\"data\":\"That name is "
          "taken.\"}\n",
          .kind = REPLY_ERROR, .error = ERROR_USERNAME_TAKEN),
    REPLY("a gap names its ends",
          "{\"type\":\"gap\",\"from\":\"server\",\"data\":\"Some messages in dev are missing "
          "here.\",\"room\":\"dev\",\"after\":\"0\",\"until\":\"" ID_TEXT "\"}\n",
          .kind = REPLY_GAP, .room = "dev", .until = ID),
    REPLY("a gap in the directs has no room",
          "{\"type\":\"gap\",\"from\":\"server\",\"data\":\"Some directs to you are missing "
          "here.\",\"after\":\"0\",\"until\":\"" ID_TEXT "\"}\n",
          .kind = REPLY_GAP, .until = ID),
    EVENT("a message",
          "{\"type\":\"message\",\"from\":\"Alice\",\"data\":\"a\\n\\\"b\\\" "
          "\xc3\xa4\",\"room\":\"lobby\",\"id\":\"" ID_TEXT "\",\"at\":\"2023-11-14T22:13:20.123Z\"}\n",
          .id = ID, .from = "Alice", .place = "lobby", .text = "a\n\"b\" \xc3\xa4"),
    EVENT("a direct",
          "{\"type\":\"direct\",\"from\":\"Alice\",\"to\":\"Bob\",\"data\":\"psst\",\"id\":\"" ID_TEXT
          "\",\"at\":\"2023-11-14T22:13:20.123Z\"}\n",
          .id = ID, .from = "Alice", .place = "Bob", .text = "psst", .direct = true),
    NOTICE("somebody joined",
           "{\"type\":\"joined\",\"from\":\"Bob\",\"data\":\"Bob "
           "joined.\",\"room\":\"lobby\",\"at\":\"2023-11-14T22:13:20.123Z\"}\n",
           .joined = true, .name = "Bob", .room = "lobby", .ms = 1700000000123),
    NOTICE("somebody left",
           "{\"type\":\"left\",\"from\":\"Bob\",\"data\":\"Bob "
           "left.\",\"room\":\"lobby\",\"at\":\"2023-11-14T22:13:20.123Z\"}\n",
           .name = "Bob", .room = "lobby", .ms = 1700000000123),
};

int main(void)
{
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
