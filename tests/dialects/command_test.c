#define DIALECT "command"
#include "example.h"

#include <stdio.h>
#include <string.h>

#define ID ((event_id)1700000000123 << 20 | 3 << 14 | 5)
#define ID_TEXT "1782579200129024005"
#define AT "2023-11-14T22:13:20.123Z"
#define BYTES_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PING "{\"command\":\"PING\"}"

static const char *const people[] = {"alice", "bob"};
static const long members[] = {3, 1};

/* An object of exactly `size` bytes, most of them text. */
static char *object_of(size_t size)
{
    static const char head[] = "{\"command\":\"MSG\",\"text\":\"", tail[] = "\"}";
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

/* A PING with `depth` brackets open at its deepest, then another. */
static void assert_depth(size_t depth, const char *expected)
{
    static const char head[] = "{\"command\":\"PING\",\"x\":", tail[] = "}" PING;
    char bytes[512];
    size_t len = sizeof head - 1;

    memcpy(bytes, head, len);
    memset(bytes + len, '[', depth - 1);
    len += depth - 1;
    memset(bytes + len, ']', depth - 1);
    len += depth - 1;
    memcpy(bytes + len, tail, sizeof tail - 1);
    assert_understood(dialect_named(DIALECT), bytes, len + sizeof tail - 1, expected);
}

static void nesting_of_64_is_understood(void **state)
{
    assert_depth(64, "PING\nPING\n");
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

static void hundred_thousand_nested_members_are_too_long(void **state)
{
    assert_hundred_thousand("{\"a\":", "FATAL too-long\n");
}

/* Cuts the stream at every place in turn: two pieces each time. */
static void every_cut_in_two_leads_to_the_same(void **state)
{
    static const char bytes[] = " {\"command\":\"CONNECT\",\"username\":\"al\\u0069ce\",\"x\":{\"}\":[1]}}"
                                "{\"command\":\"MSG\",\"text\":\"}\\\"{\",\"ref\":\"r\"}\njunk\n" PING;
    static const char expected[] = "LOGIN name=[alice]\nCHAT text=[}\"{] ref=[r]\nERROR bad-request\nPING\n";

    for (size_t most = 1; most < sizeof bytes; most++) {
        char *text = transcript(dialect_named(DIALECT), bytes, sizeof bytes - 1, (struct cut){.most = most});

        assert_string_equal(text, expected);
        free(text);
    }
}

/* Decodes `bytes`, one object. */
static struct request decoded(struct codec *codec, const char *bytes, enum decoded expected)
{
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(dialect_named(DIALECT)->decode(codec, bytes, strlen(bytes), &used, &request), expected);
    return request;
}

static void assert_word(const char *bytes, enum decoded expected, const char *word)
{
    const struct dialect *dialect = dialect_named(DIALECT);
    struct codec *codec = dialect->codec_create();
    struct request request = decoded(codec, bytes, expected);

    if (word) {
        assert_non_null(request.word);
        assert_string_equal(request.word, word);
    } else {
        assert_null(request.word);
    }
    dialect->codec_destroy(codec);
}

static void every_command_is_named_as_it_was_sent(void **state)
{
    static const char *const words[] = {"PING", "USERS", "ROOMS", "LEAVE", "HISTORY", "DISCONNECT"};
    char bytes[64];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(bytes, sizeof bytes, "{\"command\":\"%s\"}", words[i]);
        assert_word(bytes, DECODED_REQUEST, words[i]);
    }
    assert_word("{\"command\":\"CONNECT\",\"username\":\"a\"}", DECODED_REQUEST, "CONNECT");
    assert_word("{\"command\":\"JOIN\",\"room\":\"dev\"}", DECODED_REQUEST, "JOIN");
    assert_word("{\"command\":\"LEAVE\",\"room\":\"dev\"}", DECODED_REQUEST, "LEAVE");
    assert_word("{\"command\":\"HISTORY\",\"with\":\"bob\"}", DECODED_REQUEST, "HISTORY");
    assert_word("{\"command\":\"REGISTER\",\"password\":\"x\"}", DECODED_REQUEST, "REGISTER");
    assert_word("{\"command\":\"READ\",\"with\":\"bob\",\"id\":\"1\"}", DECODED_REQUEST, "READ");
    assert_word("{\"command\":\"MSG\",\"text\":\"x\"}", DECODED_REQUEST, "MSG");
    assert_word("{\"command\":\"MESSAGE\",\"text\":\"x\"}", DECODED_REQUEST, "MESSAGE");
    assert_word("{\"command\":\"MSG\",\"text\":\"x\",\"to\":\"bob\"}", DECODED_REQUEST, "MSG");
    assert_word("{\"command\":\"MESSAGE\",\"text\":\"x\",\"to\":\"bob\"}", DECODED_REQUEST, "MESSAGE");
}

/* The answer may come long after the codec has gone on. */
static void word_of_a_known_command_outlives_the_request(void **state)
{
    const struct dialect *dialect = dialect_named(DIALECT);
    struct codec *codec = dialect->codec_create();
    const char *word = decoded(codec, "{\"command\":\"MESSAGE\",\"text\":\"x\"}", DECODED_REQUEST).word;

    decoded(codec, "{\"command\":\"PING\"}", DECODED_REQUEST);
    dialect->codec_destroy(codec);
    assert_string_equal(word, "MESSAGE");
}

static void command_with_a_mistake_is_named_too(void **state)
{
    assert_word("{\"command\":\"MSG\"}", DECODED_ERROR, "MSG");
    assert_word("{\"command\":\"MESSAGE\",\"to\":\"bob\"}", DECODED_ERROR, "MESSAGE");
    assert_word("{\"command\":\"PING\",\"ref\":7}", DECODED_ERROR, "PING");
    assert_word("{\"command\":\"CONNECT\",\"username\":7}", DECODED_ERROR, "CONNECT");
}

static void unknown_command_is_named_as_it_was_sent(void **state)
{
    assert_word("{\"command\":\"FLY\"}", DECODED_ERROR, "FLY");
    assert_word("{\"command\":\"ping\"}", DECODED_ERROR, "ping");
    assert_word("{\"command\":\"\"}", DECODED_ERROR, "");
    assert_word("{\"command\":\"FL\\u0059\",\"ref\":7}", DECODED_ERROR, "FLY");
}

static void what_is_no_command_has_no_name(void **state)
{
    assert_word("{\"command\" \"PING\"}", DECODED_ERROR, NULL);
    assert_word("{\"command\":7}", DECODED_ERROR, NULL);
    assert_word("{\"command\":null}", DECODED_ERROR, NULL);
    assert_word("{}", DECODED_ERROR, NULL);
    assert_word("PING\n", DECODED_ERROR, NULL);
    assert_word("{\"command\":\"PI\\u0000NG\"}", DECODED_ERROR, NULL);
}

static void error_says_what_is_wrong(void **state)
{
    const struct dialect *dialect = dialect_named(DIALECT);
    struct codec *codec = dialect->codec_create();

    assert_string_equal(decoded(codec, "{\"command\":\"CONNECT\"}", DECODED_ERROR).reason,
                        "CONNECT needs \"username\".");
    assert_string_equal(decoded(codec, "{\"command\":\"MESSAGE\"}", DECODED_ERROR).reason,
                        "MESSAGE needs \"text\".");
    assert_string_equal(decoded(codec, "{\"command\":\"USERS\",\"room\":1}", DECODED_ERROR).reason,
                        "\"room\" must be a string.");
    dialect->codec_destroy(codec);
}

static void error_knows_what_was_meant(void **state)
{
    const struct dialect *dialect = dialect_named(DIALECT);
    struct codec *codec = dialect->codec_create();

    assert_int_equal(decoded(codec, "{\"command\":\"CONNECT\"}", DECODED_ERROR).verb, VERB_LOGIN);
    assert_int_equal(decoded(codec, "{\"command\":\"FLY\"}", DECODED_ERROR).verb, VERBS);
    assert_int_equal(decoded(codec, "{]}", DECODED_ERROR).verb, VERBS);
    dialect->codec_destroy(codec);
}

static const struct CMUnitTest tests[] = {
    /* What can be asked */
    UNDERSTOOD("connect", "{\"command\":\"CONNECT\",\"username\":\"alice\"}", "LOGIN name=[alice]\n"),
    UNDERSTOOD("connect holds all that it may",
               "{\"command\":\"CONNECT\",\"username\":\"alice\",\"password\":\"p\",\"key\":\"k\",\"room\":"
               "\"dev\",\"since\":\"12\",\"ref\":\"r\"}",
               "LOGIN name=[alice] password=[p] key=[k] room=[dev] since=[12] ref=[r]\n"),
    UNDERSTOOD("there is no echo", "{\"command\":\"CONNECT\",\"username\":\"alice\",\"echo\":true}",
               "LOGIN name=[alice]\n"),
    UNDERSTOOD("msg", "{\"command\":\"MSG\",\"text\":\"Hello\"}", "CHAT text=[Hello]\n"),
    UNDERSTOOD("message is the same", "{\"command\":\"MESSAGE\",\"text\":\"Hello\"}", "CHAT text=[Hello]\n"),
    UNDERSTOOD("msg in a room with a ref",
               "{\"command\":\"MSG\",\"text\":\"x\",\"room\":\"dev\",\"ref\":\"r1\"}",
               "CHAT room=[dev] text=[x] ref=[r1]\n"),
    UNDERSTOOD("msg to somebody is a direct",
               "{\"command\":\"MSG\",\"text\":\"psst\",\"to\":\"bob\",\"ref\":\"r2\"}",
               "DIRECT to=[bob] text=[psst] ref=[r2]\n"),
    UNDERSTOOD("message to somebody is a direct",
               "{\"command\":\"MESSAGE\",\"to\":\"bob\",\"text\":\"psst\"}", "DIRECT to=[bob] text=[psst]\n"),
    UNDERSTOOD("a direct has no room",
               "{\"command\":\"MSG\",\"text\":\"psst\",\"to\":\"bob\",\"room\":\"dev\"}",
               "DIRECT to=[bob] text=[psst]\n"),
    UNDERSTOOD("users", "{\"command\":\"USERS\"}", "WHO\n"),
    UNDERSTOOD("users of a room", "{\"command\":\"USERS\",\"room\":\"dev\"}", "WHO room=[dev]\n"),
    UNDERSTOOD("rooms", "{\"command\":\"ROOMS\"}", "ROOMS\n"),
    UNDERSTOOD("join enters one more room", "{\"command\":\"JOIN\",\"room\":\"dev\",\"since\":\"5\"}",
               "JOIN room=[dev] since=[5]\n"),
    UNDERSTOOD("leave with a room leaves it", "{\"command\":\"LEAVE\",\"room\":\"dev\"}",
               "LEAVE room=[dev]\n"),
    UNDERSTOOD("leave without a room logs out", "{\"command\":\"LEAVE\",\"ref\":\"b\"}", "LOGOUT ref=[b]\n"),
    UNDERSTOOD("disconnect logs out", "{\"command\":\"DISCONNECT\"}", "LOGOUT\n"),
    UNDERSTOOD("ping", "{\"command\":\"PING\",\"ref\":\"1\"}", "PING ref=[1]\n"),
    UNDERSTOOD("register", "{\"command\":\"REGISTER\",\"password\":\"secret 1\",\"ref\":\"r\"}",
               "REGISTER password=[secret 1] ref=[r]\n"),
    UNDERSTOOD("register with the old password changes it",
               "{\"command\":\"REGISTER\",\"password\":\"new\",\"old\":\"before\"}",
               "REGISTER password=[new] old=[before]\n"),
    UNDERSTOOD("an empty old password is none",
               "{\"command\":\"REGISTER\",\"password\":\"new\",\"old\":\"\"}", "REGISTER password=[new]\n"),
    UNDERSTOOD("an empty password to register is for others to refuse",
               "{\"command\":\"REGISTER\",\"password\":\"\"}", "REGISTER password=[]\n"),
    UNDERSTOOD("history", "{\"command\":\"HISTORY\"}", "HISTORY\n"),
    UNDERSTOOD("history of a room before an id",
               "{\"command\":\"HISTORY\",\"room\":\"dev\",\"before\":\"17\",\"limit\":50,\"ref\":\"r\"}",
               "HISTORY room=[dev] before=[17] limit=50 ref=[r]\n"),
    UNDERSTOOD("history since an id", "{\"command\":\"HISTORY\",\"since\":\"17\",\"limit\":1}",
               "HISTORY since=[17] limit=1\n"),
    UNDERSTOOD("history with somebody has no room",
               "{\"command\":\"HISTORY\",\"with\":\"Bob\",\"room\":7,\"before\":\"17\"}",
               "HISTORY before=[17] with=[Bob]\n"),
    UNDERSTOOD("a limit may be large", "{\"command\":\"HISTORY\",\"limit\":9223372036854775807}",
               "HISTORY limit=9223372036854775807\n"),
    UNDERSTOOD("read", "{\"command\":\"READ\",\"with\":\"Bob\",\"id\":\"17\",\"ref\":\"r\"}",
               "READ with=[Bob] id=[17] ref=[r]\n"),
    UNDERSTOOD("unknown keys are ignored",
               "{\"type\":\"join\",\"command\":\"PING\",\"x\":[1,{\"y\":null}],\"text\":7}", "PING\n"),
    UNDERSTOOD("of a key that is given twice the last one counts",
               "{\"command\":\"PING\",\"command\":\"MSG\",\"text\":\"a\",\"text\":\"b\"}", "CHAT text=[b]\n"),
    UNDERSTOOD("escapes are decoded", "{\"command\":\"MSG\",\"text\":\"\\u00e4\\n\\ud83d\\ude00\"}",
               "CHAT text=[\xc3\xa4\n\xf0\x9f\x98\x80]\n"),

    /* The stream */
    UNDERSTOOD("commands need nothing between them", PING "{\"command\":\"USERS\"}", "PING\nWHO\n"),
    UNDERSTOOD("white space may stand between commands", " \r\n\t" PING "\r\n\n" PING " \n", "PING\nPING\n"),
    UNDERSTOOD("an unfinished command is waited for", PING "{\"command\":\"USERS\"", "PING\n"),
    UNDERSTOOD("other bytes are one error up to the next newline", "GET / HTTP/1.1\r\n" PING,
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("brackets and quotes within strings do not end a command",
               "{\"command\":\"MSG\",\"text\":\"}{\\\"}]\\\\\"}", "CHAT text=[}{\"}]\\]\n"),
    UNDERSTOOD("a list is no command", "[" PING "]\n" PING, "ERROR bad-request\nPING\n"),
    UNDERSTOOD("nothing is nothing", "", ""),
    cmocka_unit_test(every_cut_in_two_leads_to_the_same),

    /* What the library refuses */
    UNDERSTOOD("after invalid JSON the next command counts", "{\"command\" \"PING\"}" PING,
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("a raw NUL is invalid", "{\"command\":\"PING\0\"}" PING, "ERROR bad-request\nPING\n"),
    UNDERSTOOD("a NUL in a string is invalid", "{\"command\":\"MSG\",\"text\":\"a\\u0000b\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("invalid UTF-8 is invalid", "{\"command\":\"MSG\",\"text\":\"\xff\"}" PING,
               "ERROR bad-request\nPING\n"),
    UNDERSTOOD("half a surrogate pair is invalid", "{\"command\":\"MSG\",\"text\":\"\\ud83d\"}",
               "ERROR bad-request\n"),

    /* What is valid JSON and no request */
    UNDERSTOOD("an empty object has no command", "{}", "ERROR bad-request\n"),
    UNDERSTOOD("a command must be a string", "{\"command\":1,\"ref\":\"r\"}", "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("a request of json is no command", "{\"type\":\"ping\",\"ref\":\"r\"}",
               "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("an unknown command", "{\"command\":\"FLY\",\"ref\":\"r\"}",
               "ERROR unknown-command ref=[r]\n"),
    UNDERSTOOD("commands are upper case", "{\"command\":\"ping\"}", "ERROR unknown-command\n"),
    UNDERSTOOD("connect needs a name", "{\"command\":\"CONNECT\",\"ref\":\"r\"}",
               "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("msg needs a text", "{\"command\":\"MSG\",\"ref\":\"r\"}", "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("a direct needs a text", "{\"command\":\"MSG\",\"to\":\"bob\",\"ref\":\"r\"}",
               "ERROR bad-request ref=[r]\n"),
    UNDERSTOOD("join needs a room", "{\"command\":\"JOIN\"}", "ERROR bad-request\n"),
    UNDERSTOOD("a name must be a string", "{\"command\":\"CONNECT\",\"username\":7}", "ERROR bad-request\n"),
    UNDERSTOOD("a text must be a string", "{\"command\":\"MSG\",\"text\":null}", "ERROR bad-request\n"),
    UNDERSTOOD("who it is for must be a string", "{\"command\":\"MSG\",\"text\":\"x\",\"to\":null}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a room must be a string", "{\"command\":\"MSG\",\"text\":\"x\",\"room\":{}}",
               "ERROR bad-request\n"),
    UNDERSTOOD("the room to leave must be a string", "{\"command\":\"LEAVE\",\"room\":null}",
               "ERROR bad-request\n"),
    UNDERSTOOD("since must be a string", "{\"command\":\"JOIN\",\"room\":\"dev\",\"since\":7}",
               "ERROR bad-request\n"),
    UNDERSTOOD("a ref must be a string", "{\"command\":\"PING\",\"ref\":1}", "ERROR bad-request\n"),
    UNDERSTOOD("a ref may have 64 bytes", "{\"command\":\"PING\",\"ref\":\"" BYTES_64 "\"}",
               "PING ref=[" BYTES_64 "]\n"),
    UNDERSTOOD("a ref of 65 bytes is refused", "{\"command\":\"PING\",\"ref\":\"" BYTES_64 "x\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("an empty key is none", "{\"command\":\"CONNECT\",\"username\":\"a\",\"key\":\"\"}",
               "LOGIN name=[a]\n"),
    UNDERSTOOD("a key may have 64 bytes",
               "{\"command\":\"CONNECT\",\"username\":\"a\",\"key\":\"" BYTES_64 "\"}",
               "LOGIN name=[a] key=[" BYTES_64 "]\n"),
    UNDERSTOOD("a key of 65 bytes is refused",
               "{\"command\":\"CONNECT\",\"username\":\"a\",\"key\":\"" BYTES_64 "x\"}",
               "ERROR bad-request\n"),

    UNDERSTOOD("a limit must be a whole number from 1 on",
               "{\"command\":\"HISTORY\",\"limit\":0}"
               "{\"command\":\"HISTORY\",\"limit\":-1}"
               "{\"command\":\"HISTORY\",\"limit\":1.0}"
               "{\"command\":\"HISTORY\",\"limit\":1e2}"
               "{\"command\":\"HISTORY\",\"limit\":\"5\"}"
               "{\"command\":\"HISTORY\",\"limit\":null}"
               "{\"command\":\"HISTORY\",\"limit\":true}",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR "
               "bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("a limit beyond all numbers is refused",
               "{\"command\":\"HISTORY\",\"limit\":9223372036854775808,\"ref\":\"r\"}",
               "ERROR bad-request\n"),
    UNDERSTOOD("before, since, with and the room of history must be strings",
               "{\"command\":\"HISTORY\",\"before\":17}"
               "{\"command\":\"HISTORY\",\"since\":17}"
               "{\"command\":\"HISTORY\",\"with\":null}"
               "{\"command\":\"HISTORY\",\"room\":[]}",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("register needs a password, which must be a string",
               "{\"command\":\"REGISTER\"}"
               "{\"command\":\"REGISTER\",\"old\":\"before\",\"ref\":\"r\"}"
               "{\"command\":\"REGISTER\",\"password\":7}"
               "{\"command\":\"REGISTER\",\"password\":null}",
               "ERROR bad-request\nERROR bad-request ref=[r]\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("the old password must be a string",
               "{\"command\":\"REGISTER\",\"password\":\"new\",\"old\":{}}", "ERROR bad-request\n"),
    UNDERSTOOD(
        "read needs with and id, which must be strings",
        "{\"command\":\"READ\"}"
        "{\"command\":\"READ\",\"with\":\"Bob\"}"
        "{\"command\":\"READ\",\"id\":\"17\"}"
        "{\"command\":\"READ\",\"with\":7,\"id\":\"17\"}"
        "{\"command\":\"READ\",\"with\":\"Bob\",\"id\":17}",
        "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"),

    cmocka_unit_test(object_of_16384_bytes_is_understood),
    cmocka_unit_test(object_of_16385_bytes_is_fatal),
    cmocka_unit_test(nesting_of_64_is_understood),
    cmocka_unit_test(nesting_of_65_is_refused_and_the_object_skipped),
    cmocka_unit_test(hundred_thousand_square_brackets_are_one_error),
    cmocka_unit_test(hundred_thousand_nested_members_are_too_long),
    cmocka_unit_test(every_command_is_named_as_it_was_sent),
    cmocka_unit_test(word_of_a_known_command_outlives_the_request),
    cmocka_unit_test(command_with_a_mistake_is_named_too),
    cmocka_unit_test(unknown_command_is_named_as_it_was_sent),
    cmocka_unit_test(what_is_no_command_has_no_name),
    cmocka_unit_test(error_says_what_is_wrong),
    cmocka_unit_test(error_knows_what_was_meant),

    /* What is answered */
    REPLY(
        "connect says where the session stands",
        "{\"command\":\"ACK\",\"of\":\"CONNECT\",\"username\":\"alice\",\"room\":\"lobby\",\"id\":\"" ID_TEXT
        "\",\"users\":[\"alice\",\"bob\"],\"count\":1200,\"unread\":0,\"ref\":\"r\"}\n",
        .kind = REPLY_WELCOME, .word = "CONNECT", .name = "alice", .room = "lobby", .id = ID, .count = 1200,
        .gateway = "g1", .names = people, .n_names = 2, .ref = "r"),
    REPLY("a msg is acknowledged also without a ref",
          "{\"command\":\"ACK\",\"of\":\"MSG\",\"id\":\"" ID_TEXT "\",\"timestamp\":\"" AT "\"}\n",
          .kind = REPLY_ACK, .word = "MSG", .id = ID),
    REPLY("a message is acknowledged as such, with its ref",
          "{\"command\":\"ACK\",\"of\":\"MESSAGE\",\"id\":\"" ID_TEXT "\",\"timestamp\":\"" AT
          "\",\"ref\":\"r1\"}\n",
          .kind = REPLY_ACK, .word = "MESSAGE", .id = ID, .ref = "r1"),
    REPLY("join",
          "{\"command\":\"ACK\",\"of\":\"JOIN\",\"room\":\"dev\",\"id\":\"0\",\"users\":[\"alice\",\"bob\"],"
          "\"count\":2,\"ref\":\"r\"}\n",
          .kind = REPLY_ENTERED, .word = "JOIN", .room = "dev", .names = people, .n_names = 2, .count = 2,
          .ref = "r"),
    REPLY("leave", "{\"command\":\"ACK\",\"of\":\"LEAVE\",\"room\":\"dev\",\"ref\":\"r\"}\n",
          .kind = REPLY_EXITED, .word = "LEAVE", .room = "dev", .ref = "r"),
    REPLY("leave without a room", "{\"command\":\"ACK\",\"of\":\"LEAVE\"}\n", .kind = REPLY_GOODBYE,
          .word = "LEAVE"),
    REPLY("disconnect", "{\"command\":\"ACK\",\"of\":\"DISCONNECT\",\"ref\":\"r\"}\n", .kind = REPLY_GOODBYE,
          .word = "DISCONNECT", .ref = "r"),
    REPLY("users",
          "{\"command\":\"ACK\",\"of\":\"USERS\",\"room\":\"lobby\",\"users\":[\"alice\",\"bob\"],\"count\":"
          "1200,\"ref\":\"r\"}\n",
          .kind = REPLY_WHO, .word = "USERS", .room = "lobby", .names = people, .n_names = 2, .count = 1200,
          .ref = "r"),
    REPLY("users may be nobody",
          "{\"command\":\"ACK\",\"of\":\"USERS\",\"room\":\"dev\",\"users\":[],\"count\":0}\n",
          .kind = REPLY_WHO, .word = "USERS", .room = "dev"),
    REPLY("rooms",
          "{\"command\":\"ACK\",\"of\":\"ROOMS\",\"rooms\":[{\"room\":\"alice\",\"users\":3},{\"room\":"
          "\"bob\",\"users\":1}],\"count\":2,\"ref\":\"r\"}\n",
          .kind = REPLY_ROOMS, .word = "ROOMS", .names = people, .counts = members, .n_names = 2, .count = 2,
          .ref = "r"),
    REPLY("register", "{\"command\":\"ACK\",\"of\":\"REGISTER\",\"username\":\"alice\",\"ref\":\"r\"}\n",
          .kind = REPLY_REGISTERED, .word = "REGISTER", .name = "alice", .ref = "r"),
    REPLY("connect counts what was not read",
          "{\"command\":\"ACK\",\"of\":\"CONNECT\",\"username\":\"alice\",\"room\":\"lobby\",\"id\":\"0\","
          "\"users\":[],"
          "\"count\":1,\"unread\":70000}\n",
          .kind = REPLY_WELCOME, .word = "CONNECT", .name = "alice", .room = "lobby", .count = 1,
          .unread = 70000),
    REPLY("history is messages as they were told",
          "{\"command\":\"ACK\",\"of\":\"HISTORY\",\"room\":\"dev\",\"messages\":["
          "{\"command\":\"MESSAGE\",\"from\":\"alice\",\"text\":\"a\\nb\",\"room\":\"dev\",\"id\":\"" ID_TEXT
          "\",\"timestamp\":\"" AT "\"},"
          "{\"command\":\"MESSAGE\",\"from\":\"bob\",\"text\":\"c\",\"room\":\"dev\",\"id\":\"" ID_TEXT
          "\",\"timestamp\":\"" AT "\"}],\"more\":true,\"ref\":\"r\"}\n",
          .kind = REPLY_HISTORY, .word = "HISTORY", .room = "dev", .more = true, .ref = "r",
          EVENTS(ONE(.id = ID, .from = "alice", .place = "dev", .text = "a\nb"),
                 ONE(.id = ID, .from = "bob", .place = "dev", .text = "c"))),
    REPLY("history with somebody is directs",
          "{\"command\":\"ACK\",\"of\":\"HISTORY\",\"with\":\"bob\",\"messages\":["
          "{\"command\":\"MESSAGE\",\"from\":\"alice\",\"text\":\"psst\",\"to\":\"bob\",\"id\":\"" ID_TEXT
          "\",\"timestamp\":\"" AT "\"}],\"more\":false}\n",
          .kind = REPLY_HISTORY, .word = "HISTORY", .name = "bob",
          EVENTS(ONE(.id = ID, .from = "alice", .place = "bob", .text = "psst", .direct = true))),
    REPLY("history may be empty",
          "{\"command\":\"ACK\",\"of\":\"HISTORY\",\"room\":\"dev\",\"messages\":[],\"more\":false}\n",
          .kind = REPLY_HISTORY, .word = "HISTORY", .room = "dev"),
    REPLY("read counts what is not read yet",
          "{\"command\":\"ACK\",\"of\":\"READ\",\"with\":\"bob\",\"unread\":2,\"ref\":\"r\"}\n",
          .kind = REPLY_READ, .word = "READ", .name = "bob", .count = 2, .ref = "r"),
    REPLY("ping", "{\"command\":\"ACK\",\"of\":\"PING\",\"ref\":\"r\"}\n", .kind = REPLY_PONG, .word = "PING",
          .ref = "r"),
    REPLY(
        "an error names the command, and has code, sentence and ref",
        "{\"command\":\"ERROR\",\"of\":\"CONNECT\",\"code\":\"username-taken\",\"error\":\"The name alice is "
        "taken.\",\"ref\":\"r1\"}\n",
        .kind = REPLY_ERROR, .word = "CONNECT", .error = ERROR_USERNAME_TAKEN,
        .text = "The name alice is taken.", .ref = "r1"),
    REPLY(
        "an unknown command is named with care",
        "{\"command\":\"ERROR\",\"of\":\"F\\u001B\\\"\\n\",\"code\":\"unknown-command\",\"error\":\"There is "
        "no such command.\"}\n",
        .kind = REPLY_ERROR, .word = "F\x1b\"\n", .error = ERROR_UNKNOWN_COMMAND),
    REPLY("an error that nobody asked for is of nothing",
          "{\"command\":\"ERROR\",\"of\":null,\"code\":\"shutting-down\",\"error\":\"The server is shutting "
          "down: please connect again.\"}\n",
          .kind = REPLY_ERROR, .verb = VERBS, .error = ERROR_SHUTTING_DOWN),
    REPLY("a gap names its room and ends",
          "{\"command\":\"GAP\",\"room\":\"dev\",\"after\":\"0\",\"until\":\"" ID_TEXT "\"}\n",
          .kind = REPLY_GAP, .room = "dev", .until = ID),
    REPLY("a gap in the directs has no room",
          "{\"command\":\"GAP\",\"after\":\"0\",\"until\":\"" ID_TEXT "\"}\n", .kind = REPLY_GAP,
          .until = ID),
    EVENT(
        "a message in a room",
        "{\"command\":\"MESSAGE\",\"from\":\"alice\",\"text\":\"a\\n\\\"b\\\" \xc3\xa4\",\"room\":\"lobby\","
        "\"id\":\"" ID_TEXT "\",\"timestamp\":\"" AT "\"}\n",
        .id = ID, .from = "alice", .place = "lobby", .text = "a\n\"b\" \xc3\xa4"),
    EVENT("a direct has a recipient instead of a room",
          "{\"command\":\"MESSAGE\",\"from\":\"alice\",\"text\":\"psst\",\"to\":\"bob\",\"id\":\"" ID_TEXT
          "\",\"timestamp\":\"" AT "\"}\n",
          .id = ID, .from = "alice", .place = "bob", .text = "psst", .direct = true),
    NOTICE("somebody joined",
           "{\"command\":\"USER_JOINED\",\"username\":\"bob\",\"room\":\"lobby\",\"timestamp\":\"" AT "\"}\n",
           .joined = true, .name = "bob", .room = "lobby", .ms = 1700000000123),
    NOTICE("somebody left",
           "{\"command\":\"USER_LEFT\",\"username\":\"bob\",\"room\":\"lobby\",\"timestamp\":\"" AT "\"}\n",
           .name = "bob", .room = "lobby", .ms = 1700000000123),
};

int main(void)
{
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
