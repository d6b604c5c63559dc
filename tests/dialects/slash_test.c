/*
 * The slash commands and the sentences.  A dialect of one line a stream would hide what is typed in several,
 * so these tests ask the parser itself.
 */

#include "dialects/slash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

/* What is typed ------------------------------------------------------------------------------------------ */

struct typed {
    const char *text;
    enum verb verb;
    const char *room, *to, *said, *password, *old;
    long limit;
};

static void assert_same_text(const char *given, const char *expected)
{
    if (expected)
        assert_string_equal(given, expected);
    else
        assert_null(given);
}

static void check_typed(void **state)
{
    const struct typed *typed = *state;
    struct request request = {.verb = VERBS};
    char *text = strdup(typed->text);

    assert_int_equal(slash_read(text, &request), DECODED_REQUEST);
    assert_int_equal(request.verb, typed->verb);
    assert_same_text(request.room, typed->room);
    assert_same_text(request.to, typed->to);
    assert_same_text(request.text, typed->said);
    assert_same_text(request.password, typed->password);
    assert_same_text(request.old, typed->old);
    assert_int_equal(request.limit, typed->limit);
    assert_null(request.name);
    assert_null(request.reason);
    free(text);
}

#define TYPED(name, line, what, ...)                    \
    {                                                   \
        name, check_typed, NULL, NULL, &(struct typed)  \
        {                                               \
            .text = (line), .verb = (what), __VA_ARGS__ \
        }                                               \
    }

struct mistyped {
    const char *text;
    enum error_code error;
    const char *reason;
};

static void check_mistyped(void **state)
{
    const struct mistyped *mistyped = *state;
    struct request request = {.verb = VERBS};
    char *text = strdup(mistyped->text);

    assert_int_equal(slash_read(text, &request), DECODED_ERROR);
    free(text); /* the reason does not point in there */
    assert_int_equal(request.error, mistyped->error);
    assert_string_equal(request.reason, mistyped->reason);
    assert_int_equal(request.verb, VERBS);
    assert_null(request.to);
    assert_null(request.room);
    assert_null(request.text);
    assert_null(request.password);
    assert_int_equal(request.limit, 0);
}

#define MISTYPED(name, line, code, sentence)                      \
    {                                                             \
        name, check_mistyped, NULL, NULL, &(struct mistyped)      \
        {                                                         \
            .text = (line), .error = (code), .reason = (sentence) \
        }                                                         \
    }

#define UNKNOWN "There is no such command: /help says which there are."
#define MSG_USAGE "Type /msg, a name and the text."
#define HISTORY_USAGE "Type /history; how many messages you want may follow."
#define REGISTER_USAGE "Type /register and a password; to change it, the old one follows."
#define JOIN_USAGE "Type /join and the name of a room."

/* What is said ------------------------------------------------------------------------------------------- */

struct said {
    struct reply reply;
    const char *expected;
};

/* The caller frees it. */
static char *sentence(const struct reply *reply)
{
    struct evbuffer *out = evbuffer_new();
    char *text;

    slash_encode_reply(reply, out);
    evbuffer_add(out, "", 1);
    text = strdup((const char *)evbuffer_pullup(out, -1));
    evbuffer_free(out);
    assert_non_null(text);
    return text;
}

static void check_said(void **state)
{
    const struct said *said = *state;
    char *text = sentence(&said->reply);

    assert_string_equal(text, said->expected);
    free(text);
}

#define SAID(name, text, ...)                            \
    {                                                    \
        name, check_said, NULL, NULL, &(struct said)     \
        {                                                \
            .expected = (text), .reply = { __VA_ARGS__ } \
        }                                                \
    }
#define ID ((event_id)1700000000123 << 20 | 3 << 14 | 5)
#define EVENTS(...)                                 \
    .events = (struct event *const[]){__VA_ARGS__}, \
    .n_events = sizeof((struct event *const[]){__VA_ARGS__}) / sizeof(struct event *)
#define ONE(...)    \
    &(struct event) \
    {               \
        __VA_ARGS__ \
    }
#define NAMES(...)                               \
    .names = (const char *const[]){__VA_ARGS__}, \
    .n_names = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static void fifty_of_a_thousand_names_leave_the_others_counted(void **state)
{
    const char *names[50];
    char *text;

    for (size_t i = 0; i < 50; i++)
        names[i] = i == 20 ? "Alice" : "x";
    text = sentence(&(struct reply){
        .kind = REPLY_WELCOME, .name = "Alice", .names = names, .n_names = 50, .count = 1000});
    assert_non_null(strstr(text, "Welcome, Alice! 999 others are here: x, x,"));
    assert_non_null(strstr(text, ", x and 950 more. Type /help for help."));
    assert_null(strstr(text, "Alice,"));
    free(text);
}

/* Whatever help names is understood, with as many words behind it as it shows. */
static void help_names_commands_that_there_are(void **state)
{
    char *help = sentence(&(struct reply){.kind = REPLY_HELP}), *rest = help, *line;
    size_t commands = 0;

    assert_non_null(strsep(&rest, "\n"));
    while ((line = strsep(&rest, "\n"))) {
        struct request request = {.verb = VERBS};

        line += strspn(line, " ");
        *strstr(line, "  ") = '\0';
        if (strchr(line, '['))
            strcpy(strchr(line, '['), "5"); /* instead of [N] */
        assert_int_equal(slash_read(line, &request), DECODED_REQUEST);
        commands++;
    }
    assert_int_equal(commands, 10);
    free(help);
}

static void help_shows_history_and_how_to_register(void **state)
{
    char *help = sentence(&(struct reply){.kind = REPLY_HELP});

    assert_non_null(strstr(help, "\n  /history [N]        shows what was said last, N messages\n"));
    assert_non_null(strstr(help, "\n  /register PASSWORD  keeps your name for you; "));
    assert_int_not_equal(help[strlen(help) - 1], '\n');
    free(help);
}

static void every_error_is_its_sentence(void **state)
{
    for (int code = ERROR_USERNAME_TAKEN; code <= ERROR_SHUTTING_DOWN; code++) {
        char *text = sentence(&(struct reply){.kind = REPLY_ERROR, .error = (enum error_code)code});

        assert_string_equal(text, error_sentence((enum error_code)code));
        free(text);
    }
}

static const struct CMUnitTest tests[] = {
    TYPED("a text is said", "hello  you ", VERB_CHAT, .said = "hello  you "),
    TYPED("a text of several lines is said", "one\n/who\n", VERB_CHAT, .said = "one\n/who\n"),
    TYPED("an empty text is said, for others to refuse", "", VERB_CHAT, .said = ""),
    TYPED("a slash inside is text", "a/who", VERB_CHAT, .said = "a/who"),
    TYPED("a space keeps a slash from being a command", " /who", VERB_CHAT, .said = " /who"),
    TYPED("two slashes say one", "//who is there", VERB_CHAT, .said = "/who is there"),
    TYPED("three slashes say two", "///", VERB_CHAT, .said = "//"),
    TYPED("who", "/who", VERB_WHO),
    TYPED("a direct", "/msg Bob psst", VERB_DIRECT, .to = "Bob", .said = "psst"),
    TYPED("a direct keeps its spaces", "/msg  Bob  two  words ", VERB_DIRECT, .to = "Bob",
          .said = " two  words "),
    TYPED("a direct may have several lines", "/msg Bob one\ntwo\n", VERB_DIRECT, .to = "Bob",
          .said = "one\ntwo"),
    TYPED("a direct may start with a slash", "/msg Bob /who", VERB_DIRECT, .to = "Bob", .said = "/who"),
    TYPED("join", "/join dev", VERB_MOVE, .room = "dev"),
    TYPED("leave", "/leave", VERB_MOVE, .room = "lobby"),
    TYPED("rooms", "/rooms", VERB_ROOMS),
    TYPED("history", "/history", VERB_HISTORY),
    TYPED("history of so many messages", "/history 050 ", VERB_HISTORY, .limit = 50),
    TYPED("register", "/register secret", VERB_REGISTER, .password = "secret"),
    TYPED("register with the old password", "/Register  new before\r\n", VERB_REGISTER, .password = "new",
          .old = "before"),
    TYPED("help", "/help", VERB_HELP),
    TYPED("quit", "/quit", VERB_LOGOUT),
    TYPED("commands may have any case", "/JoIn Dev", VERB_MOVE, .room = "Dev"),
    TYPED("blanks may be behind a command", "/who \t", VERB_WHO),
    TYPED("line ends may be behind a command", "/join dev\r\n\n", VERB_MOVE, .room = "dev"),
    TYPED("tabs may be between words", "/join\tdev\t", VERB_MOVE, .room = "dev"),

    MISTYPED("an unknown command", "/fly away", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("a command is a whole word", "/whom", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("a beginning is no command", "/wh", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("a slash alone", "/", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("a slash and a space", "/ who", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("two lines are no command", "/who\n/who", ERROR_UNKNOWN_COMMAND, UNKNOWN),
    MISTYPED("read is what was sent: there is no command for it", "/read Bob", ERROR_UNKNOWN_COMMAND,
             UNKNOWN),
    MISTYPED("history takes a number", "/history all", ERROR_BAD_REQUEST, HISTORY_USAGE),
    MISTYPED("a number of messages is above zero", "/history 0", ERROR_BAD_REQUEST, HISTORY_USAGE),
    MISTYPED("a number is digits and nothing else", "/history 5.", ERROR_BAD_REQUEST, HISTORY_USAGE),
    MISTYPED("a number has nine digits at most", "/history 1000000000", ERROR_BAD_REQUEST, HISTORY_USAGE),
    MISTYPED("history takes one number", "/history 5 5", ERROR_BAD_REQUEST, HISTORY_USAGE),
    MISTYPED("register needs a password", "/register ", ERROR_BAD_REQUEST, REGISTER_USAGE),
    MISTYPED("register takes two passwords at most", "/register a b c", ERROR_BAD_REQUEST, REGISTER_USAGE),
    MISTYPED("msg needs a name", "/msg", ERROR_BAD_REQUEST, MSG_USAGE),
    MISTYPED("msg needs a text", "/msg Bob \r\n", ERROR_BAD_REQUEST, MSG_USAGE),
    MISTYPED("join needs a room", "/join  ", ERROR_BAD_REQUEST, JOIN_USAGE),
    MISTYPED("join takes one room", "/join a b", ERROR_BAD_REQUEST, JOIN_USAGE),
    MISTYPED("who takes nothing", "/who dev", ERROR_BAD_REQUEST,
             "Type /who alone: it says who is in your room."),
    MISTYPED("leave takes nothing", "/leave dev", ERROR_BAD_REQUEST,
             "Type /leave alone: it takes you back to the lobby."),
    MISTYPED("rooms takes nothing", "/rooms dev", ERROR_BAD_REQUEST,
             "Type /rooms alone: it says which rooms there are."),
    MISTYPED("help takes nothing", "/help me", ERROR_BAD_REQUEST, "Type /help alone."),
    MISTYPED("quit takes nothing", "/quit now", ERROR_BAD_REQUEST,
             "Type /quit alone: it takes you out of the chat."),

    SAID("a welcome names the others",
         "Welcome, Alice! 3 others are here: Bob, Carol, Dan. Type /help for help.", .kind = REPLY_WELCOME,
         .name = "Alice", .count = 4, NAMES("Bob", "Alice", "Carol", "Dan")),
    SAID("a welcome of one other", "Welcome, Alice! 1 other is here: Bob. Type /help for help.",
         .kind = REPLY_WELCOME, .name = "Alice", .count = 2, NAMES("Alice", "Bob")),
    SAID("a welcome to who is alone", "Welcome, Alice! Nobody else is here. Type /help for help.",
         .kind = REPLY_WELCOME, .name = "Alice", .count = 1, NAMES("Alice")),
    SAID("a welcome without names", "Welcome, Alice! 4 others are here. Type /help for help.",
         .kind = REPLY_WELCOME, .name = "Alice", .count = 5),
    SAID("a welcome may name others only",
         "Welcome, Alice! 3 others are here: Bob and 2 more. Type /help for help.", .kind = REPLY_WELCOME,
         .name = "Alice", .count = 4, NAMES("Bob")),
    SAID("a name like one's own is another's", "Welcome, Al! 1 other is here: Alice. Type /help for help.",
         .kind = REPLY_WELCOME, .name = "Al", .count = 2, NAMES("Alice", "Al")),
    cmocka_unit_test(fifty_of_a_thousand_names_leave_the_others_counted),
    SAID("who of several", "3 people are in lobby: Alice, Bob, Carol.", .kind = REPLY_WHO, .room = "lobby",
         .count = 3, NAMES("Alice", "Bob", "Carol")),
    SAID("who of one", "1 person is in dev: Alice.", .kind = REPLY_WHO, .room = "dev", .count = 1,
         NAMES("Alice")),
    SAID("who of nobody", "Nobody is in dev.", .kind = REPLY_WHO, .room = "dev"),
    SAID("who of many", "1002 people are in dev: Alice, Bob and 1000 more.", .kind = REPLY_WHO, .room = "dev",
         .count = 1002, NAMES("Alice", "Bob")),
    SAID("rooms", "There are 2 rooms: lobby (2), dev (1).", .kind = REPLY_ROOMS, .count = 2,
         .counts = (const long[]){2, 1}, NAMES("lobby", "dev")),
    SAID("one room", "There is 1 room: lobby (2).", .kind = REPLY_ROOMS, .count = 1,
         .counts = (const long[]){2}, NAMES("lobby")),
    SAID("no rooms", "There are no rooms.", .kind = REPLY_ROOMS),
    SAID("many rooms", "There are 9 rooms: lobby (2) and 8 more.", .kind = REPLY_ROOMS, .count = 9,
         .counts = (const long[]){2}, NAMES("lobby")),
    SAID("who has registered", "The name Alice is yours: it needs this password from now on.",
         .kind = REPLY_REGISTERED, .name = "Alice"),
    SAID("history says when, and who it is from", "2023-11-14 22:13 Alice: hello\n2023-11-14 22:13 Bob: hi",
         .kind = REPLY_HISTORY, .room = "dev", .more = true,
         EVENTS(ONE(.id = ID, .from = "Alice", .place = "dev", .text = "hello"),
                ONE(.id = ID, .from = "Bob", .place = "dev", .text = "hi"))),
    SAID("each line of a message in history says so",
         "2023-11-14 22:13 Alice: a\n2023-11-14 22:13 Alice: \n2023-11-14 22:13 Alice: Bob: b",
         .kind = REPLY_HISTORY, .room = "dev",
         EVENTS(ONE(.id = ID, .from = "Alice", .place = "dev", .text = "a\n\nBob: b"))),
    SAID("history without messages", "Nothing was said in dev that is kept.", .kind = REPLY_HISTORY,
         .room = "dev"),
    SAID("a room entered", "You are in dev now.", .kind = REPLY_ENTERED, .room = "dev"),
    SAID("a room entered whose people were counted", "You are in dev now. 2 people are here: Alice, Bob.",
         .kind = REPLY_ENTERED, .room = "dev", .count = 2, NAMES("Alice", "Bob")),
    SAID("a room left", "You have left dev.", .kind = REPLY_EXITED, .room = "dev"),
    SAID("goodbye", "Goodbye!", .kind = REPLY_GOODBYE),
    SAID("a gap in a room", "Some of what was said in dev is missing here.", .kind = REPLY_GAP,
         .room = "dev"),
    SAID("a gap in what was said to oneself", "Some of what was said to you alone is missing here.",
         .kind = REPLY_GAP),
    SAID("an error may have a sentence of its own", "The name Bob is taken.", .kind = REPLY_ERROR,
         .error = ERROR_USERNAME_TAKEN, .text = "The name Bob is taken."),
    SAID("an ack is silent", "", .kind = REPLY_ACK, .id = 7),
    SAID("a pong is silent", "", .kind = REPLY_PONG),
    cmocka_unit_test(help_names_commands_that_there_are),
    cmocka_unit_test(help_shows_history_and_how_to_register),
    cmocka_unit_test(every_error_is_its_sentence),
};

int main(void)
{
    return cmocka_run_group_tests_name("slash", tests, NULL, NULL);
}
