/*
 * screen_demo: the screen with a conversation that is always the same and with no server, for
 * tests/blackbox/test_screen.py.
 *
 * What is typed is said at once; pasted lines are asked about; SIGUSR1 lets Bob say something; at the top,
 * ten older messages are fetched, once.  /password asks for one, and tells then how long it was.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "command.h"
#include "conversation.h"
#include "edit.h"
#include "screen.h"

#define NOON 1795262400000 /* 2026-11-21 12:00 UTC */

struct demo {
    struct event_base *base;
    struct screen *screen;
    struct conversation *conversation;
    struct edit *edit;
    char *pasted; /* while it is asked about */
    bool fetched, password;
};

static void say(struct demo *demo, const char *from, const char *text)
{
    const struct saying saying = {.from = from, .text = text, .at_ms = NOON};

    if (conversation_say(demo->conversation, &saying))
        screen_bell(demo->screen);
    screen_changed(demo->screen);
}

static void on_entered(void *ctx)
{
    struct demo *demo = ctx;
    const char *line = edit_text(demo->edit, NULL);
    struct command command = {.kind = COMMAND_SAY, .text = line};
    char told[64];

    if (demo->password) {
        demo->password = false;
        snprintf(told, sizeof told, "a password of %zu bytes", strlen(line));
        conversation_tell(demo->conversation, told, false, NOON);
        screen_set_prompt(demo->screen, "> ", false);
        edit_clear(demo->edit, false);
        return;
    }
    if (strcmp(line, "/password") == 0) {
        demo->password = true;
        screen_set_prompt(demo->screen, "Password: ", true);
        edit_clear(demo->edit, true);
        return;
    }
    if (*line)
        command_read(line, &command);
    if (command.kind == COMMAND_HELP)
        conversation_tell(demo->conversation, command_help(), false, NOON);
    else if (command.kind == COMMAND_QUIT)
        event_base_loopbreak(demo->base);
    else if (command.kind == COMMAND_WRONG)
        conversation_tell(demo->conversation, command.text, true, NOON);
    else if (*line)
        say(demo, "Ann", line);
    command_finish(&command);
    edit_clear(demo->edit, true);
}

static void people(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    each(to, "Bob");
    each(to, "Barbara");
}

static void rooms(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    each(to, "lobby");
}

static void on_complete(void *ctx)
{
    static const struct completion_source source = {.people = people, .rooms = rooms};
    struct demo *demo = ctx;
    size_t cursor, len;
    const char *line = edit_text(demo->edit, &cursor);
    char *by, *choices;

    len = command_complete(line, cursor, &source, &by, &choices);
    if (by)
        edit_replace(demo->edit, len, by);
    else
        screen_bell(demo->screen);
    if (choices)
        conversation_tell(demo->conversation, choices, false, NOON);
    screen_changed(demo->screen);
    free(by);
    free(choices);
}

static void on_top(void *ctx)
{
    struct demo *demo = ctx;
    struct saying page[10];
    char texts[10][32];

    if (demo->fetched) {
        screen_bell(demo->screen);
        return;
    }
    demo->fetched = true;
    for (unsigned i = 0; i < 10; i++) {
        snprintf(texts[i], sizeof texts[i], "older %u", i);
        page[i] = (struct saying){.from = "Cid", .text = texts[i], .id = i + 1, .at_ms = NOON};
    }
    conversation_put_before(demo->conversation, page, 10);
    screen_changed(demo->screen);
}

static void on_pasted(void *ctx, const char *text, size_t len)
{
    struct demo *demo = ctx;
    char question[64];
    size_t lines = 1;

    free(demo->pasted);
    demo->pasted = strndup(text, len);
    if (!demo->pasted)
        return;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    snprintf(question, sizeof question, "Say these %zu lines? (y/n) ", lines);
    screen_ask(demo->screen, question, true);
}

static void on_answered(void *ctx, bool yes)
{
    struct demo *demo = ctx;

    if (yes && demo->pasted)
        say(demo, "Ann", demo->pasted);
}

static void on_next_room(void *ctx, int by)
{
    struct demo *demo = ctx;

    screen_set_status(demo->screen, by > 0 ? "[next]" : "[previous]", "[room]", "dev:3");
}

static void on_quit(void *ctx)
{
    struct demo *demo = ctx;

    event_base_loopbreak(demo->base);
}

static void on_user_signal(evutil_socket_t number, short what, void *ctx)
{
    say(ctx, "Bob", "something arrived, Ann");
}

static const struct screen_ops ops = {
    .entered = on_entered,
    .complete = on_complete,
    .top = on_top,
    .pasted = on_pasted,
    .answered = on_answered,
    .next_room = on_next_room,
    .quit = on_quit,
};

static void fill(struct demo *demo)
{
    char text[64];

    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "message %d", i);
        say(demo, i % 2 ? "Bob" : "Barbara", text);
    }
    conversation_notice(demo->conversation, "Dan", true, NOON);
    conversation_notice(demo->conversation, "Eve", true, NOON);
    say(demo, "Bob", "wide 漢字, marks re\xcc\x81mi, one that is long enough to be broken between words");
    say(demo, "Bob", "hello ann");
}

int main(void)
{
    struct demo demo = {
        .base = event_base_new(), .conversation = conversation_create("Ann"), .edit = edit_create()};
    const char *no_color = getenv("NO_COLOR"), *why = "there is no memory";
    struct event *user_signal = demo.base ? evsignal_new(demo.base, SIGUSR1, on_user_signal, &demo) : NULL;

    if (user_signal && evsignal_add(user_signal, NULL) == 0)
        demo.screen = screen_create(demo.base, !no_color || !*no_color, &ops, &demo, &why);
    if (demo.screen) {
        fill(&demo);
        screen_show(demo.screen, demo.conversation, demo.edit);
        screen_set_status(demo.screen, "[lobby] 3 people  connected", "[lobby]", "dev:3");
        event_base_dispatch(demo.base);
        screen_destroy(demo.screen);
    } else {
        fprintf(stderr, "screen-demo: %s\n", why);
    }
    if (user_signal)
        event_free(user_signal);
    if (demo.base)
        event_base_free(demo.base);
    conversation_destroy(demo.conversation);
    edit_destroy(demo.edit);
    free(demo.pasted);
    return demo.screen ? 0 : 1;
}
