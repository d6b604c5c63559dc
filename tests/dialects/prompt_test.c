#define DIALECT "prompt"
#include "example.h"

#include <stdio.h>
#include <string.h>

enum command { TELNET_SE = 240, TELNET_SB = 250 };

static const char *const people[] = {"Alice", "Bob"};

/* prompt, as it is to who has logged in --------------------------------------------------------------------
 */

static struct codec *create_logged_in(void)
{
    struct codec *codec = dialect_named(DIALECT)->codec_create();

    dialect_named(DIALECT)->logged_in(codec);
    return codec;
}

static struct dialect inside(void)
{
    struct dialect dialect = *dialect_named(DIALECT);

    dialect.codec_create = create_logged_in;
    return dialect;
}

static void check_understood_inside(void **state)
{
    const struct example *example = *state;
    struct dialect dialect = inside();

    assert_understood(&dialect, example->bytes, example->len, example->expected);
}

#define INSIDE(name, literal, text)                                            \
    {                                                                          \
        name, check_understood_inside, NULL, NULL, &(struct example)           \
        {                                                                      \
            .bytes = (literal), .len = sizeof(literal) - 1, .expected = (text) \
        }                                                                      \
    }

/* Silence ------------------------------------------------------------------------------------------------ */

#define SILENCE ""
#define UNUSED_MAX 65536

/* A client, as a session sees it: what was not used waits, and silence is told of while something does. */
struct client {
    struct codec *codec;
    char unused[UNUSED_MAX];
    size_t n_unused;
    bool refused; /* no name that it gives is free */
    FILE *heard;
};

static void client_read(struct client *client)
{
    enum decoded decoded = DECODED_REQUEST;

    while (decoded != DECODED_MORE) {
        struct request request = {.verb = VERBS};
        size_t used;

        decoded =
            dialect_named(DIALECT)->decode(client->codec, client->unused, client->n_unused, &used, &request);
        client->n_unused -= used;
        memmove(client->unused, client->unused + used, client->n_unused);
        if (decoded == DECODED_ERROR)
            fprintf(client->heard, "%s.", error_name(request.error));
        if (decoded != DECODED_REQUEST)
            continue;
        fprintf(client->heard, "%s.", request.verb == VERB_LOGIN ? request.name : request.text);
        if (request.verb == VERB_LOGIN && !client->refused)
            dialect_named(DIALECT)->logged_in(client->codec);
    }
}

static void client_send(struct client *client, const char *bytes)
{
    size_t len = strlen(bytes);

    assert_true(client->n_unused + len <= UNUSED_MAX);
    memcpy(client->unused + client->n_unused, bytes, len);
    client->n_unused += len;
    client_read(client);
}

static void client_is_silent(struct client *client)
{
    if (client->n_unused == 0)
        return;
    dialect_named(DIALECT)->quiet(client->codec);
    client_read(client);
}

/* Whoever sends these pieces (up to NULL) is understood as `expected`: the name, then texts, a dot behind
 * each; of who is `refused`, names. */
static void assert_heard(const char *const *pieces, bool refused, const char *expected)
{
    struct client *client = calloc(1, sizeof *client);
    size_t size;
    char *heard;

    assert_non_null(client);
    client->codec = dialect_named(DIALECT)->codec_create();
    client->refused = refused;
    client->heard = open_memstream(&heard, &size);
    for (; *pieces; pieces++) {
        if (strcmp(*pieces, SILENCE) == 0)
            client_is_silent(client);
        else
            client_send(client, *pieces);
    }
    dialect_named(DIALECT)->codec_destroy(client->codec);
    fclose(client->heard);
    free(client);
    assert_string_equal(heard, expected);
    free(heard);
}

#define HEARD(expected, ...) assert_heard((const char *const[]){__VA_ARGS__, NULL}, false, expected)
#define HEARD_REFUSED(expected, ...) assert_heard((const char *const[]){__VA_ARGS__, NULL}, true, expected)

static void silence_ends_a_line_of_who_never_ends_one(void **state)
{
    HEARD("Alice.hello.two  words.", "Alice", SILENCE, "hello", SILENCE, "two  ", "words", SILENCE);
}

static void nothing_is_a_line_before_its_silence(void **state)
{
    HEARD("Alice.hel.", "Al", "ice", SILENCE, "hel", SILENCE, "lo");
}

static void silence_before_more_bytes_is_over_with_them(void **state)
{
    const struct dialect *prompt = dialect_named(DIALECT);
    struct codec *codec = prompt->codec_create();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(prompt->decode(codec, "Al", 2, &used, &request), DECODED_MORE);
    prompt->quiet(codec);
    assert_int_equal(prompt->decode(codec, "Alic", 4, &used, &request), DECODED_MORE);
    assert_int_equal(used, 0);
    prompt->codec_destroy(codec);
}

static void silence_means_nothing_once_a_line_has_ended(void **state)
{
    HEARD("Alice.hello.", "Alice\n", "hel", SILENCE, "lo", SILENCE, "\n");
    HEARD("Alice.hello.", "Alice", SILENCE, "hello\r\n", "half", SILENCE, SILENCE);
    HEARD(".Alice.", "\n", "Ali", SILENCE, "ce", SILENCE, "\n", "half", SILENCE);
}

/* A name that is refused, say because it is taken, must not be refused twice. */
static void line_end_behind_a_silence_is_no_name(void **state)
{
    HEARD_REFUSED("x1.x2.", "x1", SILENCE, "\n", "x2\n");
    HEARD_REFUSED("x1.x2.", "x1\r", SILENCE, "\n", "x2\r\n");
    HEARD_REFUSED("x1.x2.", "x1", SILENCE, "\r\n", "x2\r\n");
    HEARD_REFUSED("x1.x2.", "x1", SILENCE, "\r", SILENCE, "\n", "x2\r\n");
    HEARD_REFUSED("x1.x2.", "x1", SILENCE, "\xff\xf1\n", "x2\n");
    HEARD_REFUSED("x1.x2.x3.", "x1", SILENCE, "x2", SILENCE, "\nx3\n");
}

static void only_one_line_end_belongs_to_a_silence(void **state)
{
    HEARD_REFUSED("x1..x2.", "x1", SILENCE, "\n", "\n", "x2\n");
    HEARD_REFUSED("x1..x2.", "x1", SILENCE, " \n", "x2\n");
    HEARD_REFUSED("x1.x2..", "x1", SILENCE, "x2\n", "\n");
}

static void silence_after_blanks_is_no_line(void **state)
{
    HEARD("Alice.", " ", SILENCE, "\t", SILENCE, "Alice", SILENCE, " ", SILENCE);
}

static void silence_after_telnet_bytes_is_no_line(void **state)
{
    HEARD("Alice.", "\xff\xfb\x01", SILENCE, "\xff", SILENCE, "\xfb", SILENCE,
          "\x01"
          "Alice",
          SILENCE);
}

static void telnet_bytes_may_go_on_behind_a_silence(void **state)
{
    HEARD("Alice.hello.", "Alice\xff\xfb", SILENCE,
          "\x01"
          "hello",
          SILENCE);
    HEARD("Alice.hello.", "Alice\xff\xfa\x18", SILENCE,
          "xterm\xff\xf0"
          "hello",
          SILENCE);
    HEARD("Alice.\xffx.", "Alice\xff", SILENCE, "\xffx", SILENCE);
}

static void silence_ends_a_line_that_was_too_long(void **state)
{
    char *line = malloc(REQUEST_MAX_BYTES + 2);

    assert_non_null(line);
    memset(line, 'x', REQUEST_MAX_BYTES + 1);
    line[REQUEST_MAX_BYTES + 1] = '\0';
    HEARD("too-long.Alice.", line, SILENCE, "Alice", SILENCE);
    HEARD("too-long.Alice.", line, "more", SILENCE, "Alice", SILENCE);
    HEARD("too-long.Alice.", line, "more", "\nAli", SILENCE, "ce\n");
    HEARD("too-long.Alice.", line, SILENCE, "\nAlice\n");
    HEARD("too-long..Alice.", line, "\n\nAlice\n");
    HEARD("too-long.\xffx.", line, "more\xff", SILENCE, "\xffx", SILENCE);
    free(line);
}

static void silence_is_300_milliseconds(void **state)
{
    assert_int_equal(dialect_named(DIALECT)->quiet_ms, 300);
}

static void who_is_silent_stays(void **state)
{
    assert_int_equal(dialect_named(DIALECT)->idle_seconds, 0);
}

/* Passwords ---------------------------------------------------------------------------------------------- */

/* What is understood of `bytes`, all that there is. */
static void assert_log_in(struct codec *codec, const char *bytes, const char *name, const char *password)
{
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(dialect_named(DIALECT)->decode(codec, bytes, strlen(bytes), &used, &request),
                     DECODED_REQUEST);
    assert_int_equal(used, strlen(bytes));
    assert_int_equal(request.verb, VERB_LOGIN);
    assert_string_equal(request.name, name);
    if (password)
        assert_string_equal(request.password, password);
    else
        assert_null(request.password);
}

static struct codec *create_asked_for_a_password(void)
{
    struct codec *codec = dialect_named(DIALECT)->codec_create();

    assert_log_in(codec, "Alice\n", "Alice", NULL);
    dialect_named(DIALECT)->refused(codec, ERROR_PASSWORD_REQUIRED);
    return codec;
}

static void who_is_asked_for_a_password_gives_it_for_the_name_before(void **state)
{
    struct codec *codec = create_asked_for_a_password();

    assert_log_in(codec, "secret\r\n", "Alice", "secret");
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void blanks_and_slashes_are_part_of_a_password(void **state)
{
    struct codec *codec = create_asked_for_a_password();

    assert_log_in(codec, " /who  am i \n", "Alice", " /who  am i ");
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void an_empty_line_is_a_password_that_is_wrong(void **state)
{
    struct codec *codec = create_asked_for_a_password();

    assert_log_in(codec, "\n", "Alice", "");
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void after_a_wrong_password_a_name_is_expected(void **state)
{
    static const enum error_code codes[] = {ERROR_AUTH_FAILED, ERROR_RATE_LIMITED, ERROR_UNAVAILABLE};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct codec *codec = create_asked_for_a_password();

        assert_log_in(codec, "wrong\n", "Alice", "wrong");
        dialect_named(DIALECT)->refused(codec, codes[i]);
        assert_log_in(codec, "Bob\n", "Bob", NULL);
        dialect_named(DIALECT)->codec_destroy(codec);
    }
}

/* A request that the rate limit has refused is no log-in that was refused. */
static void a_password_is_asked_for_once(void **state)
{
    struct codec *codec = create_asked_for_a_password();

    assert_log_in(codec, "secret\n", "Alice", "secret");
    assert_log_in(codec, "Bob\n", "Bob", NULL);
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void what_can_be_no_password_ends_the_wait_for_one(void **state)
{
    struct codec *codec = create_asked_for_a_password();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(dialect_named(DIALECT)->decode(codec, "a\0b\n", 4, &used, &request), DECODED_ERROR);
    assert_int_equal(request.verb, VERB_LOGIN); /* so the name is asked for */
    assert_log_in(codec, "Bob\n", "Bob", NULL);
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void after_the_log_in_no_line_is_a_password(void **state)
{
    const struct dialect *prompt = dialect_named(DIALECT);
    struct codec *codec = create_asked_for_a_password();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_log_in(codec, "secret\n", "Alice", "secret");
    prompt->logged_in(codec);
    assert_int_equal(prompt->decode(codec, "hello\n", 6, &used, &request), DECODED_REQUEST);
    assert_int_equal(request.verb, VERB_CHAT);
    assert_null(request.password);
    prompt->codec_destroy(codec);
}

static void silence_ends_a_password(void **state)
{
    const struct dialect *prompt = dialect_named(DIALECT);
    struct codec *codec = prompt->codec_create();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(prompt->decode(codec, "Alice", 5, &used, &request), DECODED_MORE);
    prompt->quiet(codec);
    assert_log_in(codec, "Alice", "Alice", NULL);
    prompt->refused(codec, ERROR_PASSWORD_REQUIRED);
    assert_int_equal(prompt->decode(codec, "\r\nsecret", 8, &used, &request), DECODED_MORE);
    assert_int_equal(used, 2);
    assert_log_in(codec, "secret\n", "Alice", "secret");
    prompt->codec_destroy(codec);
}

/* The stream --------------------------------------------------------------------------------------------- */

/* `size` bytes of text, a newline, and /who. */
static char *line_of(size_t size, size_t *len)
{
    static const char tail[] = "\n/who\n";
    char *line = malloc(size + sizeof tail);

    assert_non_null(line);
    memset(line, 'x', size);
    memcpy(line + size, tail, sizeof tail);
    *len = size + sizeof tail - 1;
    return line;
}

static void line_of_16384_bytes_is_understood(void **state)
{
    struct dialect dialect = inside();
    size_t len;
    char *line = line_of(REQUEST_MAX_BYTES, &len);
    char *text = transcript(&dialect, line, len, BYTE_BY_BYTE);

    assert_memory_equal(text, "CHAT text=[xxx", 14);
    assert_non_null(strstr(text, "xxx]\nWHO\n"));
    free(text);
    free(line);
}

static void longer_line_is_one_error_and_the_next_one_counts(void **state)
{
    static const size_t sizes[] = {REQUEST_MAX_BYTES + 1, 2 * REQUEST_MAX_BYTES + 1, 100000};
    struct dialect dialect = inside();

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len;
        char *line = line_of(sizes[i], &len);

        assert_understood(&dialect, line, len, "ERROR too-long\nWHO\n");
        free(line);
    }
}

/* Puts a command of telnet there. */
static void put(char *at, enum command command)
{
    at[0] = '\xff';
    at[1] = (char)command;
}

static void subnegotiations_of_1024_bytes_are_dropped(void **state)
{
    struct dialect dialect = inside();
    size_t len;
    char *line = line_of((size_t)2 * 1026, &len);

    put(line, TELNET_SB);
    put(line + 1024, TELNET_SE);
    put(line + 1026, TELNET_SB);
    put(line + 2050, TELNET_SE);
    assert_understood(&dialect, line, len, "WHO\n");
    free(line);
}

static void subnegotiation_that_never_ends_does_not_swallow_all(void **state)
{
    struct dialect dialect = inside();
    size_t len;
    char *line = line_of(1026 + 3, &len);

    put(line, TELNET_SB);
    assert_understood(&dialect, line, len, "CHAT text=[xxx]\nWHO\n");
    free(line);
}

/* If the second call looked at the first bytes again it would find a newline. */
static void what_was_scanned_is_not_scanned_again(void **state)
{
    const struct dialect *prompt = dialect_named(DIALECT);
    struct codec *codec = create_logged_in();
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(prompt->decode(codec, "\n\nhel", 5, &used, &request), DECODED_MORE);
    assert_int_equal(used, 2);
    assert_int_equal(prompt->decode(codec, "\n\n\nlo", 5, &used, &request), DECODED_MORE);
    assert_int_equal(used, 0);
    prompt->codec_destroy(codec);
}

/* Answers ------------------------------------------------------------------------------------------------ */

static void who_connects_is_asked_for_a_name(void **state)
{
    assert_string_equal(dialect_named(DIALECT)->greeting, "Enter your name: ");
}

/* What is wrong with `bytes`: an error whose verb is `verb`. */
static void assert_error_about(struct codec *codec, const char *bytes, size_t len, enum verb verb)
{
    struct request request = {.verb = VERBS};
    size_t used;

    assert_int_equal(dialect_named(DIALECT)->decode(codec, bytes, len, &used, &request), DECODED_ERROR);
    assert_int_equal(request.verb, verb);
    dialect_named(DIALECT)->codec_destroy(codec);
}

static void what_is_no_name_is_an_error_about_the_login(void **state)
{
    size_t len;
    char *line = line_of(REQUEST_MAX_BYTES + 1, &len);

    assert_error_about(dialect_named(DIALECT)->codec_create(), "Al\0ice\n", 7, VERB_LOGIN);
    assert_error_about(dialect_named(DIALECT)->codec_create(), line, len, VERB_LOGIN);
    assert_error_about(create_logged_in(), "hel\0lo\n", 7, VERBS);
    assert_error_about(create_logged_in(), line, len, VERBS);
    assert_error_about(create_logged_in(), "/fly\n", 5, VERBS);
    free(line);
}

static const struct CMUnitTest tests[] = {
    /* The name */
    UNDERSTOOD("the first line is a name", "Alice\n", "LOGIN name=[Alice]\n"),
    UNDERSTOOD("a name may end in CRLF", "Alice\r\n", "LOGIN name=[Alice]\n"),
    UNDERSTOOD("blanks around a name are not part of it", " \tAlice \t\r\n", "LOGIN name=[Alice]\n"),
    UNDERSTOOD("a name of two words is for others to refuse", "Alice B\n", "LOGIN name=[Alice B]\n"),
    UNDERSTOOD("a name is no command", "/who\n//who\n", "LOGIN name=[/who]\nLOGIN name=[//who]\n"),
    UNDERSTOOD("a blank line is a name that is refused", "\r\n \t\nAlice\n",
               "LOGIN name=[]\nLOGIN name=[]\nLOGIN name=[Alice]\n"),
    UNDERSTOOD("a name may have any letters", "\xc3\x85sa\n", "LOGIN name=[\xc3\x85sa]\n"),
    UNDERSTOOD("a NUL byte is in no name", "Al\0ice\nAlice\n", "ERROR bad-request\nLOGIN name=[Alice]\n"),
    UNDERSTOOD("an unfinished name is waited for", "Alice", ""),

    /* What can be asked */
    INSIDE("a line is said", "hello\n", "CHAT text=[hello]\n"),
    INSIDE("a text keeps its spaces", "  two  words \t\n", "CHAT text=[  two  words \t]\n"),
    INSIDE("two slashes say one", "//who\n", "CHAT text=[/who]\n"),
    INSIDE("who", "/who\n", "WHO\n"),
    INSIDE("a direct", "/msg Bob psst, you\n", "DIRECT to=[Bob] text=[psst, you]\n"),
    INSIDE("join moves", "/join dev\r\n", "MOVE room=[dev]\n"),
    INSIDE("leave moves back to the lobby", "/leave\n", "MOVE room=[lobby]\n"),
    INSIDE("rooms", "/rooms\n", "ROOMS\n"),
    INSIDE("history", "/history\n/history 5\n", "HISTORY\nHISTORY limit=5\n"),
    INSIDE("register", "/register secret\n/register new secret\n",
           "REGISTER password=[secret]\nREGISTER password=[new] old=[secret]\n"),
    INSIDE("help", "/help\n", "HELP\n"),
    INSIDE("quit logs out", "/quit\n", "LOGOUT\n"),
    INSIDE("an unknown command", "/fly\nhello\n", "ERROR unknown-command\nCHAT text=[hello]\n"),
    INSIDE("a command with the wrong arguments", "/msg Bob\nhello\n",
           "ERROR bad-request\nCHAT text=[hello]\n"),

    /* The stream */
    INSIDE("nothing is nothing", "", ""),
    INSIDE("an unfinished line is waited for", "/who\nhello", "WHO\n"),
    INSIDE("blank lines are nothing", "\n\r\n \t\nhello\n\n", "CHAT text=[hello]\n"),
    INSIDE("only the last CR belongs to the line's end", "x\ry\r\r\n", "CHAT text=[x\ry\r]\n"),
    INSIDE("CR NUL ends a line", "one\r\0two\r\0", "CHAT text=[one]\nCHAT text=[two]\n"),
    UNDERSTOOD("CR NUL LF ends one line", "Alice\r\0\nBob\r\0\n", "LOGIN name=[Alice]\nLOGIN name=[Bob]\n"),
    UNDERSTOOD("LF behind CR NUL LF is a line", "Alice\r\0\n\nBob\n",
               "LOGIN name=[Alice]\nLOGIN name=[]\nLOGIN name=[Bob]\n"),
    INSIDE("any other NUL byte spoils its line", "a\0b\n\0\n\r\r\n\0\nhello\n",
           "ERROR bad-request\nERROR bad-request\nCHAT text=[\r]\nERROR bad-request\nCHAT text=[hello]\n"),
    INSIDE("bytes that are no UTF-8 are for others to refuse", "\x80\xc3\n", "CHAT text=[\x80\xc3]\n"),

    /* Telnet */
    INSIDE("options are dropped", "\xff\xfb\x01\xff\xfc\x03hel\xff\xfd\x18lo\xff\xfe\x1f\n",
           "CHAT text=[hello]\n"),
    INSIDE("an option may be any byte",
           "a\xff\xfb\nb\xff\xfd\xff"
           "c\xff\xfd\0d\n",
           "CHAT text=[abcd]\n"),
    INSIDE("short commands are dropped", "\xff\xf1hel\xff\xf9lo\n\xff\xf4", "CHAT text=[hello]\n"),
    INSIDE("a subnegotiation is dropped", "hel\xff\xfa\x1f\0\x50\0\n\xff\xf0lo\n", "CHAT text=[hello]\n"),
    INSIDE("a subnegotiation may hold IAC", "hel\xff\xfa\x18\xff\xff\xf0\xff\xf0lo\n", "CHAT text=[hello]\n"),
    INSIDE("telnet bytes alone are a blank line", "\xff\xfb\x01\r\n\xff\xf1\nhello\n", "CHAT text=[hello]\n"),
    UNDERSTOOD("telnet bytes are in no name",
               "\xff\xfb\x01\xff\xfd\x03"
               "Alice\xff\xf1\r\n",
               "LOGIN name=[Alice]\n"),
    INSIDE("IAC twice is byte 255", "\xff\xff\nx\xff\xff\n", "CHAT text=[\xff]\nCHAT text=[x\xff]\n"),
    INSIDE("IAC keeps no newline away", "one\xff\ntwo\n", "CHAT text=[one]\nCHAT text=[two]\n"),
    INSIDE("IAC keeps no letter away", "\xff/who\n", "WHO\n"),
    INSIDE("telnet bytes make no command of a text", "/\xff\xf1/who\n", "CHAT text=[/who]\n"),

    cmocka_unit_test(line_of_16384_bytes_is_understood),
    cmocka_unit_test(longer_line_is_one_error_and_the_next_one_counts),
    cmocka_unit_test(subnegotiations_of_1024_bytes_are_dropped),
    cmocka_unit_test(subnegotiation_that_never_ends_does_not_swallow_all),
    cmocka_unit_test(what_was_scanned_is_not_scanned_again),
    cmocka_unit_test(silence_ends_a_line_of_who_never_ends_one),
    cmocka_unit_test(nothing_is_a_line_before_its_silence),
    cmocka_unit_test(silence_before_more_bytes_is_over_with_them),
    cmocka_unit_test(silence_means_nothing_once_a_line_has_ended),
    cmocka_unit_test(line_end_behind_a_silence_is_no_name),
    cmocka_unit_test(only_one_line_end_belongs_to_a_silence),
    cmocka_unit_test(silence_after_blanks_is_no_line),
    cmocka_unit_test(silence_after_telnet_bytes_is_no_line),
    cmocka_unit_test(telnet_bytes_may_go_on_behind_a_silence),
    cmocka_unit_test(silence_ends_a_line_that_was_too_long),
    cmocka_unit_test(silence_is_300_milliseconds),
    cmocka_unit_test(who_is_silent_stays),

    /* Passwords */
    cmocka_unit_test(who_is_asked_for_a_password_gives_it_for_the_name_before),
    cmocka_unit_test(blanks_and_slashes_are_part_of_a_password),
    cmocka_unit_test(an_empty_line_is_a_password_that_is_wrong),
    cmocka_unit_test(after_a_wrong_password_a_name_is_expected),
    cmocka_unit_test(a_password_is_asked_for_once),
    cmocka_unit_test(what_can_be_no_password_ends_the_wait_for_one),
    cmocka_unit_test(after_the_log_in_no_line_is_a_password),
    cmocka_unit_test(silence_ends_a_password),
    REPLY("a password is asked for", "That name belongs to an account: give its password.\nPassword: ",
          .kind = REPLY_ERROR, .verb = VERB_LOGIN, .error = ERROR_PASSWORD_REQUIRED),
    REPLY("after a wrong password the name is asked for again", "That password is wrong.\nEnter your name: ",
          .kind = REPLY_ERROR, .verb = VERB_LOGIN, .error = ERROR_AUTH_FAILED),
    REPLY("a wrong old password is a sentence", "That password is wrong.\n", .kind = REPLY_ERROR,
          .verb = VERB_REGISTER, .error = ERROR_AUTH_FAILED),

    /* What is answered */
    cmocka_unit_test(who_connects_is_asked_for_a_name),
    cmocka_unit_test(what_is_no_name_is_an_error_about_the_login),
    REPLY("a log-in is welcome", "Welcome, Alice! 1 other is here: Bob. Type /help for help.\n",
          .kind = REPLY_WELCOME, .verb = VERB_LOGIN, .name = "Alice", .room = "lobby", .names = people,
          .n_names = 2, .count = 2),
    REPLY("a refused log-in is told and asked for again", "That name is taken.\nEnter your name: ",
          .kind = REPLY_ERROR, .verb = VERB_LOGIN, .error = ERROR_USERNAME_TAKEN),
    REPLY("a refusal may have a better sentence",
          "The name Alice is taken.\nEnter your name: ", .kind = REPLY_ERROR, .verb = VERB_LOGIN,
          .error = ERROR_USERNAME_TAKEN, .text = "The name Alice is taken."),
    REPLY("another error is a sentence", "There is nobody of that name.\n", .kind = REPLY_ERROR,
          .verb = VERB_DIRECT, .error = ERROR_NO_SUCH_USER),
    REPLY("the last words are a sentence", "You did not log in in time.\n", .kind = REPLY_ERROR,
          .verb = VERBS, .error = ERROR_LOGIN_TIMEOUT),
    REPLY("a chat has no answer", "", .kind = REPLY_ACK, .verb = VERB_CHAT, .id = 7),
    REPLY("a direct has no answer", "", .kind = REPLY_ACK, .verb = VERB_DIRECT, .id = 7),
    REPLY("a move is told", "You are in dev now.\n", .kind = REPLY_ENTERED, .verb = VERB_MOVE, .room = "dev"),
    REPLY("a leave is told", "You have left dev.\n", .kind = REPLY_EXITED, .verb = VERB_LEAVE, .room = "dev"),
    REPLY("who is a sentence", "2 people are in lobby: Alice, Bob.\n", .kind = REPLY_WHO, .room = "lobby",
          .names = people, .n_names = 2, .count = 2),
    REPLY(
        "history is a line for each", "2023-11-14 22:13 Alice: a\n2023-11-14 22:13 Alice: b\n",
        .kind = REPLY_HISTORY, .room = "lobby",
        EVENTS(ONE(.id = (event_id)1700000000123 << 20, .from = "Alice", .place = "lobby", .text = "a\nb"))),
    REPLY("history without messages", "Nothing was said in lobby that is kept.\n", .kind = REPLY_HISTORY,
          .room = "lobby"),
    REPLY("who has registered is told", "The name Alice is yours: it needs this password from now on.\n",
          .kind = REPLY_REGISTERED, .verb = VERB_REGISTER, .name = "Alice"),
    REPLY("rooms are a sentence", "There is 1 room: lobby (2).\n", .kind = REPLY_ROOMS,
          .names = &(const char *const){"lobby"}, .counts = &(const long){2}, .n_names = 1, .count = 1),
    REPLY("a gap is a sentence", "Some of what was said in dev is missing here.\n", .kind = REPLY_GAP,
          .room = "dev", .after = 1, .until = 2),
    REPLY("goodbye", "Goodbye!\n", .kind = REPLY_GOODBYE, .verb = VERB_LOGOUT),
    REPLY("there is no pong", "", .kind = REPLY_PONG),
    EVENT("a message", "Alice: hello\n", .from = "Alice", .place = "lobby", .text = "hello"),
    EVENT("each line of a message says who it is from", "Alice: a\nAlice: \nAlice: Bob: b\n", .from = "Alice",
          .place = "lobby", .text = "a\n\nBob: b"),
    EVENT("a direct", "[direct] Alice: psst\n[direct] Alice: again\n", .from = "Alice", .place = "Bob",
          .text = "psst\nagain", .direct = true),
    NOTICE("somebody came", "Alice joined the chat.\n", .joined = true, .name = "Alice", .room = "lobby"),
    NOTICE("somebody went", "Alice left the chat.\n", .name = "Alice", .room = "lobby"),
};

int main(void)
{
    return cmocka_run_group_tests_name(DIALECT, tests, NULL, NULL);
}
