#define DIALECT "line"
#include "example.h"

#include <string.h>

#define ID ((event_id)1700000000123 << 20 | 3 << 14 | 5)
#define PAST "HIST 1782579200129024005 2023-11-14T22:13:20.123Z "

static const char *const people[] = {"Alice", "Bob"};

/* "MSG xxx", a line of `size` bytes, then a newline, then a ping. */
static char *line_of(size_t size, size_t *len)
{
    static const char head[] = "MSG ", tail[] = "\nPING\n";
    char *line = malloc(size + sizeof tail);

    assert_non_null(line);
    memset(line, 'x', size);
    memcpy(line, head, sizeof head - 1);
    memcpy(line + size, tail, sizeof tail);
    *len = size + sizeof tail - 1;
    return line;
}

static void line_of_16384_bytes_is_understood(void **state)
{
    size_t len;
    char *line = line_of(REQUEST_MAX_BYTES, &len);
    char *text = transcript(dialect_named(DIALECT), line, len, BYTE_BY_BYTE);

    assert_memory_equal(text, "CHAT text=[xxx", 14);
    assert_non_null(strstr(text, "xxx]\nPING\n"));
    free(text);
    free(line);
}

static void line_of_16385_bytes_is_too_long_and_the_next_one_counts(void **state)
{
    size_t len;
    char *line = line_of(REQUEST_MAX_BYTES + 1, &len);

    assert_understood(dialect_named(DIALECT), line, len, "ERROR too-long\nPING\n");
    free(line);
}

static void line_of_100000_bytes_is_one_error(void **state)
{
    size_t len;
    char *line = line_of(100000, &len);

    assert_understood(dialect_named(DIALECT), line, len, "ERROR too-long\nPING\n");
    free(line);
}

/* If the second call looked at the first bytes again it would find a newline. */
static void what_was_scanned_is_not_scanned_again(void **state)
{
    const struct dialect *line = dialect_named(DIALECT);
    struct codec *codec = line->codec_create();
    struct request request;
    size_t used;

    assert_int_equal(line->decode(codec, "\n\nPIN", 5, &used, &request), DECODED_MORE);
    assert_int_equal(used, 2);
    assert_int_equal(line->decode(codec, "\n\n\nG", 4, &used, &request), DECODED_MORE);
    assert_int_equal(used, 0);
    line->codec_destroy(codec);
}

static void error_says_what_is_wrong(void **state)
{
    const struct dialect *line = dialect_named(DIALECT);
    struct codec *codec = line->codec_create();
    struct request request;
    size_t used;

    assert_int_equal(line->decode(codec, "JOIN\n", 5, &used, &request), DECODED_ERROR);
    assert_string_equal(request.reason, "Say JOIN and a room.");
    line->codec_destroy(codec);
}

static void silence_is_limited_to_a_minute(void **state)
{
    assert_int_equal(dialect_named(DIALECT)->idle_seconds, 60);
}

static const struct CMUnitTest tests[] = {
    /* What can be asked */
    UNDERSTOOD("login", "LOGIN naman\n", "LOGIN name=[naman]\n"),
    UNDERSTOOD("login with a password", "LOGIN naman secret\n", "LOGIN name=[naman] password=[secret]\n"),
    UNDERSTOOD("a chat", "MSG hello\n", "CHAT text=[hello]\n"),
    UNDERSTOOD("a chat keeps its spaces", "MSG   two  words \t\n", "CHAT text=[  two  words \t]\n"),
    UNDERSTOOD("a chat may be one space", "MSG  \n", "CHAT text=[ ]\n"),
    UNDERSTOOD("a direct has a name and a text", "DM bob psst\n", "DIRECT to=[bob] text=[psst]\n"),
    UNDERSTOOD("the text of a direct keeps its spaces", "dm   bob  two  words \r\n",
               "DIRECT to=[bob] text=[ two  words ]\n"),
    UNDERSTOOD("who", "WHO\n", "WHO\n"),
    UNDERSTOOD("join moves", "JOIN dev\n", "MOVE room=[dev]\n"),
    UNDERSTOOD("leave moves back to the lobby", "LEAVE\n", "MOVE room=[lobby]\n"),
    UNDERSTOOD("history", "HISTORY\n", "HISTORY\n"),
    UNDERSTOOD("history of so many messages", "HISTORY 20\nhistory  007 \nHISTORY 999999999\n",
               "HISTORY limit=20\nHISTORY limit=7\nHISTORY limit=999999999\n"),
    UNDERSTOOD("register", "REGISTER secret\n", "REGISTER password=[secret]\n"),
    UNDERSTOOD("register with the old password changes it", "REGISTER new before\n",
               "REGISTER password=[new] old=[before]\n"),
    UNDERSTOOD("ping", "PING\n", "PING\n"),
    UNDERSTOOD("quit logs out", "QUIT\n", "LOGOUT\n"),
    UNDERSTOOD("verbs may have any case", "login a\nMsg b\npInG\n", "LOGIN name=[a]\nCHAT text=[b]\nPING\n"),

    /* The stream */
    UNDERSTOOD("a line may end in CRLF", "LOGIN naman\r\nMSG x\r\nPING\r\n",
               "LOGIN name=[naman]\nCHAT text=[x]\nPING\n"),
    UNDERSTOOD("only the last CR belongs to the line's end", "MSG x\ry\r\r\n", "CHAT text=[x\ry\r]\n"),
    UNDERSTOOD("an unfinished line is waited for", "PING\nPING", "PING\n"),
    UNDERSTOOD("empty lines are nothing", "\n\r\n \t\nPING\n\n", "PING\n"),
    UNDERSTOOD("spaces around a command are nothing", "  JOIN   dev  \r\nWHO \n", "MOVE room=[dev]\nWHO\n"),
    UNDERSTOOD("nothing is nothing", "", ""),

    /* What is no request */
    UNDERSTOOD("an unknown verb is an unknown command", "FLY away\nPING\n", "ERROR unknown-command\nPING\n"),
    UNDERSTOOD("a verb is a whole word", "PINGS\nMSGhello\n",
               "ERROR unknown-command\nERROR unknown-command\n"),
    UNDERSTOOD("there is no verb for rooms", "ROOMS\n", "ERROR unknown-command\n"),
    UNDERSTOOD("login needs a name", "LOGIN\nLOGIN \n", "ERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("login takes two arguments at most", "LOGIN a b c\n", "ERROR bad-request\n"),
    UNDERSTOOD("a chat needs a text", "MSG\nMSG \n", "ERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("a direct needs a name and a text", "DM\nDM bob\nDM bob \n",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("join needs a room", "JOIN\n", "ERROR bad-request\n"),
    UNDERSTOOD("join takes one room", "JOIN a b\n", "ERROR bad-request\n"),
    UNDERSTOOD("who takes nothing", "WHO lobby\n", "ERROR bad-request\n"),
    UNDERSTOOD("leave takes nothing", "LEAVE dev\n", "ERROR bad-request\n"),
    UNDERSTOOD("how many messages is a number from 1 on",
               "HISTORY 0\nHISTORY -1\nHISTORY +1\nHISTORY 5x\nHISTORY x\nHISTORY 1.5\nHISTORY 1000000000\n",
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\nERROR bad-request\n"
               "ERROR bad-request\nERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("history takes one number", "HISTORY 1 2\n", "ERROR bad-request\n"),
    UNDERSTOOD("register needs a password and takes two at most", "REGISTER\nREGISTER a b c\n",
               "ERROR bad-request\nERROR bad-request\n"),
    UNDERSTOOD("there is no verb for reading", "READ bob 17\n", "ERROR unknown-command\n"),
    UNDERSTOOD("ping takes nothing", "PING 1\n", "ERROR bad-request\n"),
    UNDERSTOOD("quit takes nothing", "QUIT now\n", "ERROR bad-request\n"),
    UNDERSTOOD("a NUL byte spoils its line", "MSG a\0b\nPING\0\nPING\n",
               "ERROR bad-request\nERROR bad-request\nPING\n"),
    UNDERSTOOD("a line of NUL bytes is not empty", "\0\0\nPING\n", "ERROR bad-request\nPING\n"),
    UNDERSTOOD("a JSON object is an unknown command", "{\"type\":\"ping\"}\n", "ERROR unknown-command\n"),

    cmocka_unit_test(line_of_16384_bytes_is_understood),
    cmocka_unit_test(line_of_16385_bytes_is_too_long_and_the_next_one_counts),
    cmocka_unit_test(line_of_100000_bytes_is_one_error),
    cmocka_unit_test(what_was_scanned_is_not_scanned_again),
    cmocka_unit_test(error_says_what_is_wrong),
    cmocka_unit_test(silence_is_limited_to_a_minute),

    /* What is answered */
    REPLY("a log-in is OK", "OK\n", .kind = REPLY_WELCOME, .name = "naman", .room = "lobby"),
    REPLY("a move is OK", "OK\n", .kind = REPLY_ENTERED, .room = "dev"),
    REPLY("a leave is OK", "OK\n", .kind = REPLY_EXITED, .room = "dev"),
    REPLY("a chat has no answer", "", .kind = REPLY_ACK, .id = 7),
    REPLY("who is a line for each", "USER Alice\nUSER Bob\n", .kind = REPLY_WHO, .names = people,
          .n_names = 2, .count = 2),
    REPLY("registering is OK", "OK\n", .kind = REPLY_REGISTERED, .name = "naman"),
    REPLY("history is a line for each message, then OK", PAST "naman hello\n" PAST "bob hi\nOK\n",
          .kind = REPLY_HISTORY, .room = "lobby", .more = true,
          EVENTS(ONE(.id = ID, .from = "naman", .place = "lobby", .text = "hello"),
                 ONE(.id = ID, .from = "bob", .place = "lobby", .text = "hi"))),
    REPLY("each line of a message in history has the prefix",
          PAST "naman a\n" PAST "naman \n" PAST "naman OK\nOK\n", .kind = REPLY_HISTORY, .room = "lobby",
          EVENTS(ONE(.id = ID, .from = "naman", .place = "lobby", .text = "a\n\nOK"))),
    REPLY("history may be empty", "OK\n", .kind = REPLY_HISTORY, .room = "lobby"),
    REPLY("pong", "PONG\n", .kind = REPLY_PONG),
    REPLY("quit has no answer", "", .kind = REPLY_GOODBYE),
    REPLY("an error has code and explanation", "ERR username-taken That name is taken.\n",
          .kind = REPLY_ERROR, .error = ERROR_USERNAME_TAKEN),
    REPLY("an error may have a better explanation", "ERR username-taken The name naman is taken.\n",
          .kind = REPLY_ERROR, .error = ERROR_USERNAME_TAKEN, .text = "The name naman is taken."),
    REPLY("a gap names its room", "INFO gap dev\n", .kind = REPLY_GAP, .room = "dev", .after = 1, .until = 2),
    REPLY("a gap in the directs", "INFO gap of directs\n", .kind = REPLY_GAP, .after = 1, .until = 2),
    EVENT("a message", "MSG naman hello\n", .from = "naman", .place = "lobby", .text = "hello"),
    EVENT("each line of a message has the prefix", "MSG naman a\nMSG naman \nMSG naman QUIT\n",
          .from = "naman", .place = "lobby", .text = "a\n\nQUIT"),
    EVENT("a direct", "DM naman psst\nDM naman again\n", .from = "naman", .place = "bob",
          .text = "psst\nagain", .direct = true),
    NOTICE("somebody came", "INFO naman connected\n", .joined = true, .name = "naman", .room = "lobby"),
    NOTICE("somebody went", "INFO naman disconnected\n", .name = "naman", .room = "lobby"),
};

int main(void)
{
    return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
