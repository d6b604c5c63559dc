/*
 * What is typed becomes requests, what is heard becomes news; in between this asks a person for what the
 * session cannot know: a name, a password, whether to say something again.
 */
#include "talk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <utlist.h>

#include "command.h"
#include "conversation.h"
#include "heap.h"
#include "name.h"
#include "news.h"
#include "options.h"
#include "place.h"
#include "stay.h"
#include "terminal.h"
#include "view.h"

struct talk {
    const struct options *options;
    struct stay stay;
    struct view view;
    struct news news;
    struct event *ends[4]; /* signals */
    char *old_password;    /* of an account, while a new one is asked for */
    char *password;        /* the new one, until it was typed twice */
    char *lost_why; /* what the person was told last of a connection that is lost; NULL: nothing since the
                       last good one */
    bool quitting;
};

/* From the session --------------------------------------------------------------------------------------- */

/* Leaves when all is said; `at_once`, or if asked again, without that. */
static void quit(struct talk *talk, bool at_once)
{
    enum session_state state = session_state(talk->stay.session);
    size_t waiting = session_waiting(talk->stay.session);

    at_once |= talk->quitting;
    talk->quitting = true;
    if (state == SESSION_DISCONNECTED)
        stay_end(&talk->stay);
    else
        session_leave(talk->stay.session, at_once);
    if (waiting > 0 && !at_once && (state != SESSION_CONNECTED || talk->view.questions))
        view_tell(&talk->view, true,
                  "You leave when what you typed is said (%zu). /quit or Ctrl-C again leaves without that.",
                  waiting);
}

/* How long a sentence is without its full stop, which some have that come from elsewhere. */
static int bare_len(const char *sentence)
{
    size_t len = strlen(sentence);

    return (int)(len > 0 && sentence[len - 1] == '.' ? len - 1 : len);
}

/* Why there is no connection: once, as long as that does not change. */
static void tell_lost(struct talk *talk, const char *why, bool again)
{
    if (talk->lost_why && strcmp(talk->lost_why, why) == 0)
        return;
    free(talk->lost_why);
    talk->lost_why = strdup(why);
    view_tell(&talk->view, false, "%.*s.%s", bare_len(why), why, again ? " Trying again." : "");
}

static void changed(void *ctx, enum session_state from, enum session_state to, const char *why, int64_t pause)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    if (from == SESSION_CONNECTED)
        news_forget_asked(&talk->news);
    if (to == SESSION_RECONNECTING && talk->view.asking == ASKING_NOTHING)
        tell_lost(talk, why ? why : "The connection is lost", pause > 0);
    if (to == SESSION_CONNECTED) {
        if (talk->lost_why)
            view_tell(&talk->view, false, "Connected again.");
        free(talk->lost_why);
        talk->lost_why = NULL;
        if (talk->view.asking != ASKING_NOTHING && talk->view.asking < ASKING_OLD_PASSWORD)
            view_ask(&talk->view, ASKING_NOTHING);
    }
    if (to == SESSION_DISCONNECTED) {
        if (talk->quitting) {
            stay_end(stay);
            return;
        }
        if (!why)
            why = "The server has ended the connection";
        view_tell(&talk->view, true, "%.*s. /quit ends this; Enter connects again.", bare_len(why), why);
    }
    view_status(&talk->view);
}

static void fate(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;
    struct place *place;

    if (fate == FATE_STALE) {
        const char *text = NULL;

        DL_FOREACH (talk->view.places, place)
            if (!text)
                text = conversation_pending(place->conversation, number);
        view_pose(&talk->view, QUESTION_STALE, number, text);
        return;
    }
    DL_FOREACH (talk->view.places, place)
        conversation_settle(place->conversation, number, fate == FATE_ACCEPTED ? id : 0, why);
    if (fate == FATE_REFUSED && !talk->view.screen)
        view_tell(&talk->view, true, "Not said: %s", why ? why : "the server refused it");
    view_changed(&talk->view);
    view_status(&talk->view);
}

static void refused_name(void *ctx, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    view_tell(&talk->view, true, "%s", why);
    view_ask(&talk->view, ASKING_NAME);
}

static void want_password(void *ctx, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    view_tell(&talk->view, false, "%s", why);
    view_ask(&talk->view, ASKING_PASSWORD);
}

static void heard(void *ctx, const struct told *told)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    news_show(&talk->news, told);
}

static const struct session_ops session_ops = {.changed = changed,
                                               .heard = heard,
                                               .fate = fate,
                                               .refused_name = refused_name,
                                               .want_password = want_password};

/* From the person ---------------------------------------------------------------------------------------- */

static void say(struct talk *talk, const char *to, const char *given)
{
    struct place *place = talk->view.shown;
    char *text = need(strdup(given));
    uint64_t number;

    if (!text_clean(text)) {
        view_tell(&talk->view, true, "That cannot be said: a text is 1 to %d bytes in at most %d lines.",
                  TEXT_MAX_BYTES, TEXT_MAX_LINES);
    } else if (!to && place->users < 0 && session_state(talk->stay.session) == SESSION_CONNECTED) {
        view_tell(&talk->view, true, "You are not in %s: /join it first.", place->room);
    } else if ((number = session_say(talk->stay.session, to ? NULL : place->room, to, text)) == 0) {
        view_tell(&talk->view, true, "That is not said: too much waits already.");
    } else {
        struct saying saying = {.from = session_name(talk->stay.session),
                                .text = text,
                                .to = to,
                                .at_ms = stay_time(),
                                .number = number};

        view_say(&talk->view, place, &saying);
        view_status(&talk->view);
    }
    free(text);
}

static void command_join(struct talk *talk, const char *room)
{
    struct place *place = place_find(talk->view.places, room);
    char folded[ROOM_MAX_BYTES];

    if (!room_fold(room, folded)) {
        view_tell(&talk->view, true, "%s is no room: letters, digits and _ - . make one, up to %d.", room,
                  ROOM_CHARS);
    } else if (place && place->users >= 0) {
        view_show(&talk->view, place);
    } else if (session_enter(talk->stay.session, room)) {
        news_want(&talk->news, room);
    } else {
        view_tell(&talk->view, true, "You are not connected.");
    }
}

static void obey(struct talk *talk, const struct command *command)
{
    struct session *session = talk->stay.session;
    bool sent = true;

    switch (command->kind) {
    case COMMAND_SAY:
        say(talk, NULL, command->text);
        break;
    case COMMAND_MSG:
        say(talk, command->name, command->text);
        break;
    case COMMAND_JOIN:
        command_join(talk, command->name);
        break;
    case COMMAND_LEAVE:
        sent = session_exit(session, command->name ? command->name : talk->view.shown->room);
        break;
    case COMMAND_WHO:
        sent = news_ask_who(&talk->news, command->name ? command->name : talk->view.shown->room);
        break;
    case COMMAND_ROOMS:
        sent = news_ask_rooms(&talk->news);
        break;
    case COMMAND_HISTORY:
        if (command->name)
            sent = news_ask_directs(&talk->news, command->name);
        else if (talk->view.shown->older_none)
            view_tell(&talk->view, false, "There is nothing older.");
        else
            sent = news_ask_older(&talk->news, true);
        break;
    case COMMAND_REGISTER:
        view_ask(&talk->view, talk->news.account ? ASKING_OLD_PASSWORD : ASKING_NEW_PASSWORD);
        break;
    case COMMAND_HELP:
        view_tell(&talk->view, false, "%s", command_help());
        break;
    case COMMAND_QUIT:
        quit(talk, false);
        break;
    case COMMAND_WRONG:
        view_tell(&talk->view, true, "%s", command->text);
        break;
    }
    if (!sent)
        view_tell(&talk->view, true, "You are not connected.");
}

static void forget(char **secret)
{
    wipe(*secret);
    *secret = NULL;
}

/* A password that was mistyped is asked for again, at once: who types on blindly must not say it aloud. */
static void typed_password(struct talk *talk, const char *line)
{
    if (*line == '\0') {
        view_ask(&talk->view, ASKING_NOTHING);
        view_tell(&talk->view, false, "No password was given, and nothing has changed.");
    } else if (talk->view.asking == ASKING_OLD_PASSWORD) {
        forget(&talk->old_password);
        talk->old_password = strdup(line);
        view_ask(&talk->view, ASKING_NEW_PASSWORD);
        return;
    } else if (talk->view.asking == ASKING_NEW_PASSWORD) {
        forget(&talk->password);
        talk->password = strdup(line);
        view_ask(&talk->view, ASKING_SAME_PASSWORD);
        return;
    } else if (!talk->password || strcmp(talk->password, line) != 0) {
        view_tell(&talk->view, true, "These are not the same: once more, or Enter alone to leave it.");
        view_ask(&talk->view, ASKING_NEW_PASSWORD);
        return;
    } else {
        view_ask(&talk->view, ASKING_NOTHING);
        if (!session_register(talk->stay.session, talk->password, talk->old_password))
            view_tell(&talk->view, true, "You are not connected.");
    }
    forget(&talk->old_password);
    forget(&talk->password);
}

static bool needs_server(enum command_kind kind)
{
    return kind != COMMAND_HELP && kind != COMMAND_QUIT && kind != COMMAND_WRONG;
}

static void typed_text(struct talk *talk, const char *line)
{
    bool ended = session_state(talk->stay.session) == SESSION_DISCONNECTED && !talk->quitting;
    struct command command;

    if (*line == '\0') {
        if (ended)
            session_start(talk->stay.session);
        return;
    }
    command_read(line, &command);
    if (ended && needs_server(command.kind))
        view_tell(&talk->view, true, "You are not connected. /quit ends this; Enter alone connects again.");
    else
        obey(talk, &command);
    command_finish(&command);
}

/* A whole line was typed. */
static void typed(void *ctx, const char *line)
{
    struct talk *talk = ctx;

    switch (talk->view.asking) {
    case ASKING_NOTHING:
        typed_text(talk, line);
        break;
    case ASKING_NAME:
        view_ask(&talk->view, ASKING_NOTHING);
        talk->news.account = false; /* a new name has no password yet */
        session_set_name(talk->stay.session, line);
        if (session_state(talk->stay.session) == SESSION_DISCONNECTED)
            session_start(talk->stay.session);
        break;
    case ASKING_PASSWORD:
        view_ask(&talk->view, ASKING_NOTHING);
        talk->news.account = *line != '\0'; /* an empty one is none */
        session_set_password(talk->stay.session, line);
        break;
    default:
        typed_password(talk, line);
        break;
    }
}

static void answered(void *ctx, const struct question *question, bool yes)
{
    struct talk *talk = ctx;

    switch (question->kind) {
    case QUESTION_PASTE:
        if (yes)
            say(talk, NULL, question->text);
        break;
    case QUESTION_STALE:
        session_decide(talk->stay.session, question->number, yes);
        break;
    }
}

static void older(void *ctx)
{
    struct talk *talk = ctx;

    news_ask_older(&talk->news, false);
}

static void wants_out(void *ctx, bool at_once)
{
    quit(ctx, at_once);
}

static const struct view_ops view_ops = {
    .typed = typed, .answered = answered, .older = older, .quit = wants_out};

/* -------------------------------------------------------------------------------------------------------- */

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    quit(arg, fd != SIGINT);
}

static bool start(struct talk *talk)
{
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    if (!stay_init(&talk->stay, talk->options, "guest", &session_ops, talk))
        return false;
    for (int i = 0; i < 4; i++) {
        talk->ends[i] = evsignal_new(talk->stay.base, signals[i], on_end, talk);
        if (!talk->ends[i] || event_add(talk->ends[i], NULL) < 0)
            return false;
        if (signals[i] != SIGINT && !terminal_bound_end(signals[i]))
            return false;
    }
    talk->news = (struct news){
        .view = &talk->view, .session = talk->stay.session, .account = talk->options->password != NULL};
    if (!view_init(&talk->view, talk->stay.base, talk->options, talk->stay.session, &view_ops, talk))
        return false;
    if (talk->options->name) {
        view_ask(&talk->view, ASKING_NOTHING);
        session_start(talk->stay.session);
    } else {
        view_ask(&talk->view, ASKING_NAME);
    }
    return true;
}

static void finish(struct talk *talk)
{
    view_finish(&talk->view);
    news_finish(&talk->news);
    for (int i = 0; i < 4; i++)
        if (talk->ends[i])
            event_free(talk->ends[i]);
    forget(&talk->old_password);
    forget(&talk->password);
    free(talk->lost_why);
    stay_finish(&talk->stay);
}

int talk(const struct options *options)
{
    static struct talk talk;
    size_t waiting = 0;
    bool good;

    talk.options = options;
    good = start(&talk);
    if (good) {
        event_base_dispatch(talk.stay.base);
        waiting = session_waiting(talk.stay.session);
    }
    finish(&talk);
    if (!good) {
        fputs("hubbub: out of memory\n", stderr);
    } else if (talk.view.unwritable && talk.view.unwritable != EPIPE) {
        fprintf(stderr, "hubbub: standard output cannot be written: %s\n", strerror(talk.view.unwritable));
    } else if (waiting > 0) {
        fprintf(stderr, "hubbub: of what you typed last %zu %s not said, or not answered\n", waiting,
                waiting == 1 ? "text was" : "texts were");
    } else {
        return 0;
    }
    return 1;
}
