/*
 * A person is in some *places*, one of which is shown: each is a room with its conversation.  Directs are
 * shown in the place that is shown when they come, for that is where the person looks.
 *
 * What is typed goes to whoever has asked for it last: see enum asking.
 */
#include "talk.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <event2/event.h>
#include <uthash.h>
#include <utlist.h>

#include "command.h"
#include "conversation.h"
#include "edit.h"
#include "name.h"
#include "options.h"
#include "screen.h"
#include "stay.h"

#define HISTORY_PAGE 50
#define LINE_BYTES (TEXT_MAX_BYTES * 2)

/* What the next line is. */
enum asking {
    ASKING_NOTHING, /* a text or a command */
    ASKING_NAME,
    ASKING_PASSWORD,
    ASKING_NEW_PASSWORD, /* of /register: three in a row */
    ASKING_SAME_PASSWORD,
    ASKING_OLD_PASSWORD,
};

/* What y or n is about. */
enum question {
    QUESTION_NONE,
    QUESTION_PASTE, /* `pasted` is to be said as one text */
    QUESTION_STALE, /* the chat `stale` is to be said again */
};

/* Somebody who is in a room. */
struct human {
    UT_hash_handle hh;
    char *name;
    char folded[];
};

struct place {
    struct conversation *conversation;
    struct human *people; /* those who are known to be there */
    long users;           /* how many there are; -1: not known */
    unsigned unread;
    bool called;      /* one of the unread names the person */
    bool older_asked; /* a page of the history is under way */
    bool older_none;  /* there is nothing older */
    struct place *prev, *next;
    char room[]; /* folded */
};

struct talk {
    const struct options *options;
    struct stay stay;
    struct screen *screen; /* NULL: line by line */
    struct edit *edit;
    struct place *places, *shown;
    struct event *ends[3], *input; /* signals; input: line by line */
    enum asking asking;
    enum question question;
    char *pasted, *password; /* password: the new one, until it was typed twice */
    uint64_t stale;
    char *wanted;   /* the room that /join has asked for and which is to be shown when it is entered */
    bool account;   /* the name is one's own by a password: directs wait until they are read */
    bool told_who;  /* the next `who` was asked for by the person */
    char *lost_why; /* what the person was told last of a connection that is lost; NULL: nothing since the
                       last good one */
    bool quitting;
    int unwritable; /* errno of standard output, line by line; 0: it can be written */
    char status[160];
    char line[LINE_BYTES + 1]; /* line by line: what was read of the line so far */
    size_t line_len;
};

static void draw_status(struct talk *talk);
static void quit(struct talk *talk, bool at_once);

/* Places
 * ------------------------------------------------------------------------------------------------------------
 */

static struct place *place_find(struct talk *talk, const char *room)
{
    struct place *place;
    char folded[ROOM_MAX_BYTES];

    if (!room || !room_fold(room, folded))
        return NULL;
    DL_FOREACH (talk->places, place)
        if (strcmp(place->room, folded) == 0)
            return place;
    return NULL;
}

static struct place *place_make(struct talk *talk, const char *room)
{
    struct place *place = place_find(talk, room);
    char folded[ROOM_MAX_BYTES];
    size_t len;

    if (place || !room_fold(room, folded))
        return place;
    len = strlen(folded);
    place = calloc(1, sizeof *place + len + 1);
    if (!place)
        abort();
    memcpy(place->room, folded, len + 1);
    place->users = -1;
    place->conversation = conversation_create(session_name(talk->stay.session));
    DL_APPEND(talk->places, place);
    return place;
}

static void people_forget(struct place *place)
{
    struct human *human, *next;

    HASH_ITER (hh, place->people, human, next) {
        HASH_DEL(place->people, human);
        free(human->name);
        free(human);
    }
}

static void people_add(struct place *place, const char *name)
{
    char folded[NAME_MAX_BYTES];
    struct human *human;

    if (!name_fold(name, folded))
        return;
    HASH_FIND_STR(place->people, folded, human);
    if (human)
        return;
    human = calloc(1, sizeof *human + strlen(folded) + 1);
    if (!human || !(human->name = strdup(name)))
        abort();
    strcpy(human->folded, folded);
    HASH_ADD_KEYPTR(hh, place->people, human->folded, strlen(human->folded), human);
}

static void people_remove(struct place *place, const char *name)
{
    char folded[NAME_MAX_BYTES];
    struct human *human;

    if (!name_fold(name, folded))
        return;
    HASH_FIND_STR(place->people, folded, human);
    if (!human)
        return;
    HASH_DEL(place->people, human);
    free(human->name);
    free(human);
}

static void place_show(struct talk *talk, struct place *place)
{
    talk->shown = place;
    place->unread = 0;
    place->called = false;
    if (talk->screen)
        screen_show(talk->screen, place->conversation, talk->edit);
    draw_status(talk);
}

static void place_destroy(struct talk *talk, struct place *place)
{
    DL_DELETE(talk->places, place);
    people_forget(place);
    conversation_destroy(place->conversation);
    free(place);
}

/* What is shown
 * ------------------------------------------------------------------------------------------------------ */

static void changed_screen(struct talk *talk)
{
    if (talk->screen)
        screen_changed(talk->screen);
}

/* Line by line: prints a text, each of its lines behind `prefix`. */
static void print(struct talk *talk, const char *prefix, const char *text)
{
    for (;;) {
        int len = (int)strcspn(text, "\n");

        printf("%s%.*s\n", prefix, len, text);
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    if (fflush(stdout) == 0 || talk->unwritable)
        return;
    talk->unwritable = errno;
    quit(talk, true);
}

/* Says something to the person, in the place that is shown. */
static void tell(struct talk *talk, bool error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct talk *talk, bool error, const char *format, ...)
{
    char text[WIRE_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    conversation_tell(talk->shown->conversation, text, error, stay_time());
    if (!talk->screen)
        print(talk, "* ", text);
    changed_screen(talk);
}

static void show_saying(struct talk *talk, struct place *place, const struct saying *saying)
{
    bool mentioned = conversation_say(place->conversation, saying), own = saying->number != 0;
    char prefix[ROOM_MAX_BYTES + 2 * NAME_MAX_BYTES + 8];

    if (!own && place != talk->shown) {
        place->unread++;
        place->called |= mentioned;
        draw_status(talk);
    }
    if (!own && (mentioned || saying->to) && talk->options->bell) {
        if (talk->screen)
            screen_bell(talk->screen);
        else
            putchar('\a');
    }
    if (!talk->screen && !own) {
        if (saying->to)
            snprintf(prefix, sizeof prefix, "> %s: ", saying->from);
        else
            snprintf(prefix, sizeof prefix, "[%s] %s: ", place->room, saying->from);
        print(talk, prefix, saying->text);
    }
    changed_screen(talk);
}

static void draw_status(struct talk *talk)
{
    struct place *place;
    size_t len = 0;
    char right[160] = "", count[32] = "";
    size_t waiting = session_waiting(talk->stay.session);

    if (!talk->screen)
        return;
    DL_FOREACH (talk->places, place)
        if (place->unread > 0 && len < sizeof right)
            len += (size_t)snprintf(right + len, sizeof right - len, "%s%s:%u%s", len ? " " : "", place->room,
                                    place->unread, place->called ? "!" : "");
    if (talk->shown->users >= 0)
        snprintf(count, sizeof count, "  %ld here", talk->shown->users);
    len = (size_t)snprintf(talk->status, sizeof talk->status, "[%s]%s  %s", talk->shown->room, count,
                           session_state_name(session_state(talk->stay.session)));
    if (waiting > 0 && len < sizeof talk->status)
        snprintf(talk->status + len, sizeof talk->status - len, "  %zu not said yet", waiting);
    screen_set_status(talk->screen, talk->status, right);
}

/* Line by line: whether the terminal shows what is typed. */
static void echo_input(bool on)
{
    struct termios terminal;

    if (tcgetattr(STDIN_FILENO, &terminal) < 0)
        return;
    terminal.c_lflag = on ? terminal.c_lflag | ECHO : terminal.c_lflag & ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

static void ask(struct talk *talk, enum asking asking)
{
    static const char *const prompts[] = {
        [ASKING_NOTHING] = "> ",
        [ASKING_NAME] = "Your name: ",
        [ASKING_PASSWORD] = "Password: ",
        [ASKING_NEW_PASSWORD] = "New password: ",
        [ASKING_SAME_PASSWORD] = "The same again: ",
        [ASKING_OLD_PASSWORD] = "Old password (none, if you are a guest): ",
    };

    if (talk->asking != asking) /* what is half typed was meant for something else */
        edit_clear(talk->edit, false);
    talk->asking = asking;
    if (talk->screen) {
        screen_set_prompt(talk->screen, prompts[asking], asking >= ASKING_PASSWORD);
    } else {
        echo_input(asking < ASKING_PASSWORD); /* before somebody answers */
        if (asking != ASKING_NOTHING)
            print(talk, "", prompts[asking]);
    }
}

/* Asks something that is answered by y or n; line by line by a line. */
static void pose(struct talk *talk, enum question question, const char *text)
{
    talk->question = question;
    if (talk->screen)
        screen_ask(talk->screen, text);
    else
        tell(talk, false, "%s (y or n)", text);
}

/* From the session
 * --------------------------------------------------------------------------------------------------- */

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
    if (waiting > 0 && !at_once && state != SESSION_CONNECTED)
        tell(talk, true,
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
    tell(talk, false, "%.*s.%s", bare_len(why), why, again ? " Trying again." : "");
}

/* Of what was asked for on the connection that is lost, nothing is answered. */
static void forget_asked(struct talk *talk)
{
    struct place *place;

    DL_FOREACH (talk->places, place)
        place->older_asked = false;
    talk->told_who = false;
}

static void changed(void *ctx, enum session_state from, enum session_state to, const char *why, int64_t pause)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    if (from == SESSION_CONNECTED)
        forget_asked(talk);
    if (to == SESSION_RECONNECTING && talk->asking == ASKING_NOTHING)
        tell_lost(talk, why ? why : "The connection is lost", pause > 0);
    if (to == SESSION_CONNECTED) {
        if (talk->lost_why)
            tell(talk, false, "Connected again.");
        free(talk->lost_why);
        talk->lost_why = NULL;
        if (talk->asking != ASKING_NOTHING && talk->asking < ASKING_NEW_PASSWORD)
            ask(talk, ASKING_NOTHING);
    }
    if (to == SESSION_DISCONNECTED) {
        if (talk->quitting) {
            stay_end(stay);
            return;
        }
        if (!why)
            why = "The server has ended the connection";
        tell(talk, true, "%.*s. /quit ends this; Enter connects again.", bare_len(why), why);
    }
    draw_status(talk);
}

static void fate(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;
    struct place *place;

    if (fate == FATE_STALE) {
        talk->stale = number;
        pose(talk, QUESTION_STALE,
             "What was typed long ago was never answered: it may have been said. Say it again?");
        return;
    }
    DL_FOREACH (talk->places, place)
        conversation_settle(place->conversation, number, fate == FATE_ACCEPTED ? id : 0, why);
    if (fate == FATE_REFUSED && !talk->screen)
        tell(talk, true, "Not said: %s", why ? why : "the server refused it");
    changed_screen(talk);
    draw_status(talk);
}

static void refused_name(void *ctx, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    tell(talk, true, "%s", why);
    ask(talk, ASKING_NAME);
}

static void want_password(void *ctx, const char *why)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    tell(talk, false, "%s", why);
    ask(talk, ASKING_PASSWORD);
}

static struct saying saying_of(const struct told *told)
{
    return (struct saying){.from = told->from,
                           .text = told->data,
                           .to = told->kind == TOLD_DIRECT ? told->to : NULL,
                           .id = told->id,
                           .at_ms = told->at_ms ? told->at_ms : (int64_t)id_ms(told->id)};
}

static void heard_saying(struct talk *talk, const struct told *told)
{
    struct place *place = told->kind == TOLD_DIRECT ? talk->shown : place_find(talk, told->room);
    struct saying saying = saying_of(told);

    if (!place)
        return;
    show_saying(talk, place, &saying);
    if (told->kind == TOLD_DIRECT && talk->account)
        session_read(talk->stay.session, told->from, told->id);
}

static void heard_notice(struct talk *talk, const struct told *told)
{
    struct place *place = place_find(talk, told->room);
    bool joined = told->kind == TOLD_JOINED;

    if (!place)
        return;
    if (joined)
        people_add(place, told->from);
    else
        people_remove(place, told->from);
    if (place->users >= 0 && (joined || place->users > 0))
        place->users += joined ? 1 : -1;
    conversation_notice(place->conversation, told->from, joined, told->at_ms ? told->at_ms : stay_time());
    changed_screen(talk);
    draw_status(talk);
}

/* One is in a room, for the first time or again. */
static void heard_entered(struct talk *talk, const struct told *told)
{
    struct place *place = place_make(talk, told->room);
    bool first = place && place->users < 0;

    if (!place)
        return;
    place->users = told->users;
    people_forget(place);
    session_who(talk->stay.session, place->room);
    if (first)
        session_history(talk->stay.session, place->room, NULL, 0, HISTORY_PAGE);
    if (told->kind == TOLD_WELCOME) {
        struct place *one;

        DL_FOREACH (talk->places, one)
            conversation_set_self(one->conversation, told->name);
        if (told->unread > 0)
            tell(talk, false, "%ld direct messages came while you were away.", told->unread);
    }
    if (talk->wanted && place_find(talk, talk->wanted) == place) {
        free(talk->wanted);
        talk->wanted = NULL;
        place_show(talk, place);
    }
    draw_status(talk);
}

static void heard_exited(struct talk *talk, const struct told *told)
{
    struct place *place = place_find(talk, told->room), *other;

    if (!place)
        return;
    other = place == talk->places ? place->next : talk->places;
    if (other) {
        if (talk->shown == place)
            place_show(talk, other);
        place_destroy(talk, place);
        tell(talk, false, "You have left %s.", told->room);
    } else {
        place->users = -1;
        tell(talk, false, "You have left %s, and are in no room now: /join one.", told->room);
    }
    draw_status(talk);
}

static void heard_who(struct talk *talk, const struct told *told)
{
    struct place *place = place_find(talk, told->room);

    if (place) {
        place->users = told->count;
        for (size_t i = 0; i < told->n_people; i++)
            people_add(place, told->people[i]);
    }
    if (talk->told_who) {
        size_t size = 1, len = 0;
        char *names;

        for (size_t i = 0; i < told->n_people; i++)
            size += strlen(told->people[i]) + 1;
        names = malloc(size);
        if (!names)
            abort();
        *names = '\0';
        for (size_t i = 0; i < told->n_people; i++)
            len += (size_t)snprintf(names + len, size - len, " %s", told->people[i]);
        talk->told_who = false;
        tell(talk, false, "%s, %ld:%s%s", told->room, told->count, names,
             (long)told->n_people < told->count ? " ..." : "");
        free(names);
    }
    draw_status(talk);
}

static void heard_rooms(struct talk *talk, const struct told *told)
{
    for (size_t i = 0; i < told->n_rooms; i++)
        tell(talk, false, "%s: %ld", told->rooms[i].room, told->rooms[i].users);
    if (told->count > (long)told->n_rooms)
        tell(talk, false, "... and %ld more", told->count - (long)told->n_rooms);
}

static void heard_history(struct talk *talk, const struct told *told)
{
    struct place *place = told->with ? talk->shown : place_find(talk, told->room);
    struct saying *sayings;
    size_t put;

    if (!place)
        return;
    sayings = calloc(told->n_messages + 1, sizeof *sayings);
    if (!sayings)
        abort();
    for (size_t i = 0; i < told->n_messages; i++)
        sayings[i] = saying_of(&told->messages[i]);
    put = conversation_put_before(place->conversation, sayings, told->n_messages);
    if (!talk->screen)
        for (size_t i = 0; i < told->n_messages; i++) {
            char prefix[ROOM_MAX_BYTES + NAME_MAX_BYTES + 32], at[ID_TEXT_MAX];

            snprintf(prefix, sizeof prefix, "%s [%s] %s: ", id_to_time(sayings[i].id, at), place->room,
                     sayings[i].from);
            print(talk, prefix, sayings[i].text);
        }
    free(sayings);
    if (!told->with) {
        place->older_asked = false;
        place->older_none = !told->more || put == 0;
    }
    changed_screen(talk);
}

static void heard(void *ctx, const struct told *told)
{
    struct stay *stay = ctx;
    struct talk *talk = stay->owner;

    switch (told->kind) {
    case TOLD_WELCOME:
    case TOLD_ENTERED:
        heard_entered(talk, told);
        break;
    case TOLD_MESSAGE:
    case TOLD_DIRECT:
        heard_saying(talk, told);
        break;
    case TOLD_JOINED:
    case TOLD_LEFT:
        heard_notice(talk, told);
        break;
    case TOLD_EXITED:
        if (told->room)
            heard_exited(talk, told);
        break;
    case TOLD_WHO:
        heard_who(talk, told);
        break;
    case TOLD_ROOMS:
        heard_rooms(talk, told);
        break;
    case TOLD_HISTORY:
        heard_history(talk, told);
        break;
    case TOLD_REGISTERED:
        talk->account = true;
        tell(talk, false, "%s is your account now: log in with its password.", told->name);
        break;
    case TOLD_GAP:
        tell(talk, false, "%s", told->data ? told->data : "Something is missing here.");
        break;
    case TOLD_ERROR:
        tell(talk, true, "%s", told->data);
        forget_asked(talk);
        break;
    default:
        break;
    }
}

/* From the person
 * ---------------------------------------------------------------------------------------------------- */

static void say(struct talk *talk, const char *to, const char *given)
{
    struct place *place = talk->shown;
    char *text = strdup(given);
    uint64_t number;

    if (!text)
        abort();
    if (!text_clean(text)) {
        tell(talk, true, "That cannot be said: a text is 1 to %d bytes in at most %d lines.", TEXT_MAX_BYTES,
             TEXT_MAX_LINES);
    } else if (!to && place->users < 0 && session_state(talk->stay.session) == SESSION_CONNECTED) {
        tell(talk, true, "You are not in %s: /join it first.", place->room);
    } else if ((number = session_say(talk->stay.session, to ? NULL : place->room, to, text)) == 0) {
        tell(talk, true, "That is not said: too much waits already.");
    } else {
        struct saying saying = {.from = session_name(talk->stay.session),
                                .text = text,
                                .to = to,
                                .at_ms = stay_time(),
                                .number = number};

        show_saying(talk, place, &saying);
        draw_status(talk);
    }
    free(text);
}

static void command_join(struct talk *talk, const char *room)
{
    struct place *place = place_find(talk, room);
    char folded[ROOM_MAX_BYTES];

    if (!room_fold(room, folded)) {
        tell(talk, true, "%s is no room: letters, digits and _ - . make one, up to %d.", room, ROOM_CHARS);
    } else if (place && place->users >= 0) {
        place_show(talk, place);
    } else if (session_enter(talk->stay.session, room)) {
        free(talk->wanted);
        talk->wanted = strdup(room);
    } else {
        tell(talk, true, "You are not connected.");
    }
}

static void older(struct talk *talk, const char *with)
{
    struct place *place = talk->shown;

    if (!with && (place->older_asked || place->older_none))
        return;
    if (session_history(talk->stay.session, with ? NULL : place->room, with,
                        conversation_oldest(place->conversation, with != NULL), HISTORY_PAGE)) {
        place->older_asked |= !with;
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
        sent = session_exit(session, command->name ? command->name : talk->shown->room);
        break;
    case COMMAND_WHO:
        sent = session_who(session, command->name ? command->name : talk->shown->room);
        talk->told_who = sent;
        break;
    case COMMAND_ROOMS:
        sent = session_rooms(session);
        break;
    case COMMAND_HISTORY:
        if (!command->name && talk->shown->older_none)
            tell(talk, false, "There is nothing older.");
        else
            older(talk, command->name);
        break;
    case COMMAND_REGISTER:
        ask(talk, ASKING_NEW_PASSWORD);
        break;
    case COMMAND_HELP:
        tell(talk, false, "%s", command_help());
        break;
    case COMMAND_QUIT:
        quit(talk, false);
        break;
    case COMMAND_WRONG:
        tell(talk, true, "%s", command->text);
        break;
    }
    if (!sent)
        tell(talk, true, "You are not connected.");
}

static void forget(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static void typed_password(struct talk *talk, const char *line)
{
    switch (talk->asking) {
    case ASKING_NEW_PASSWORD:
        forget(&talk->password);
        talk->password = strdup(line);
        ask(talk, ASKING_SAME_PASSWORD);
        break;
    case ASKING_SAME_PASSWORD:
        if (talk->password && strcmp(talk->password, line) == 0) {
            ask(talk, ASKING_OLD_PASSWORD);
        } else {
            forget(&talk->password);
            ask(talk, ASKING_NOTHING);
            tell(talk, true, "These are not the same. Nothing has changed.");
        }
        break;
    default:
        ask(talk, ASKING_NOTHING);
        if (!session_register(talk->stay.session, talk->password, *line ? line : NULL))
            tell(talk, true, "You are not connected.");
        forget(&talk->password);
        break;
    }
}

static void answer(struct talk *talk, bool yes)
{
    enum question question = talk->question;
    char *pasted = talk->pasted;

    talk->question = QUESTION_NONE;
    talk->pasted = NULL;
    if (question == QUESTION_STALE)
        session_decide(talk->stay.session, talk->stale, yes);
    if (question == QUESTION_PASTE && yes)
        say(talk, NULL, pasted);
    free(pasted);
}

/* A whole line was typed. */
static void typed(struct talk *talk, const char *line)
{
    struct command command;

    switch (talk->asking) {
    case ASKING_NOTHING:
        if (session_state(talk->stay.session) == SESSION_DISCONNECTED && !talk->quitting &&
            strncmp(line, "/quit", 5) != 0) {
            if (*line)
                tell(talk, true, "You are not connected. /quit ends this; Enter alone connects again.");
            else
                session_start(talk->stay.session);
            return;
        }
        if (*line == '\0')
            return;
        command_read(line, &command);
        obey(talk, &command);
        command_finish(&command);
        break;
    case ASKING_NAME:
        ask(talk, ASKING_NOTHING);
        talk->account = false; /* a new name has no password yet */
        session_set_name(talk->stay.session, line);
        if (session_state(talk->stay.session) == SESSION_DISCONNECTED)
            session_start(talk->stay.session);
        break;
    case ASKING_PASSWORD:
        ask(talk, ASKING_NOTHING);
        talk->account = true;
        session_set_password(talk->stay.session, line);
        break;
    default:
        typed_password(talk, line);
        break;
    }
}

/* From the screen
 * ---------------------------------------------------------------------------------------------------- */

static void screen_entered(void *ctx)
{
    struct talk *talk = ctx;
    char *line = strdup(edit_text(talk->edit, NULL));

    if (!line)
        abort();
    edit_clear(talk->edit, talk->asking == ASKING_NOTHING);
    typed(talk, line);
    forget(&line);
    changed_screen(talk);
}

static void complete_people(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    struct talk *talk = ctx;
    struct human *human, *next;

    HASH_ITER (hh, talk->shown->people, human, next)
        each(to, human->name);
}

static void complete_rooms(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    struct talk *talk = ctx;
    struct place *place;

    DL_FOREACH (talk->places, place)
        each(to, place->room);
}

static void screen_complete(void *ctx)
{
    struct talk *talk = ctx;
    const struct completion_source source = {complete_people, complete_rooms, talk};
    char *by = NULL, *choices = NULL;
    size_t cursor, len;
    const char *line = edit_text(talk->edit, &cursor);

    if (talk->asking != ASKING_NOTHING)
        return;
    len = command_complete(line, cursor, &source, &by, &choices);
    if (by)
        edit_replace(talk->edit, len, by);
    if (choices)
        tell(talk, false, "%s", choices);
    free(by);
    free(choices);
    changed_screen(talk);
}

static void screen_top(void *ctx)
{
    older(ctx, NULL);
}

static void screen_pasted(void *ctx, const char *text, size_t len)
{
    struct talk *talk = ctx;
    char question[80], *copy;

    if (talk->asking != ASKING_NOTHING || talk->question != QUESTION_NONE)
        return;
    copy = strndup(text, len);
    talk->pasted = malloc(len * 3 + 1); /* each byte may become U+FFFD */
    if (!copy || !talk->pasted)
        abort();
    wire_clean(copy, true, talk->pasted, len * 3 + 1);
    free(copy);
    snprintf(question, sizeof question, "Say these %zu lines as one text?", text_lines(talk->pasted));
    pose(talk, QUESTION_PASTE, question);
}

static void screen_answered(void *ctx, bool yes)
{
    answer(ctx, yes);
}

static void screen_next_room(void *ctx, int by)
{
    struct talk *talk = ctx;
    struct place *shown = talk->shown;

    if (by > 0)
        place_show(talk, shown->next ? shown->next : talk->places);
    else
        place_show(talk, shown->prev); /* of the first that is the last */
}

/* A terminal that went away cannot ask a second time. */
static void screen_quit(void *ctx)
{
    quit(ctx, !isatty(STDIN_FILENO));
}

static const struct screen_ops screen_ops = {screen_entered,  screen_complete,  screen_top, screen_pasted,
                                             screen_answered, screen_next_room, screen_quit};

/* Line by line
 * ------------------------------------------------------------------------------------------------------- */

static void typed_here(struct talk *talk, char *line)
{
    line[strcspn(line, "\r")] = '\0';
    if (talk->question != QUESTION_NONE)
        answer(talk, *line == 'y' || *line == 'Y');
    else
        typed(talk, line);
    explicit_bzero(line, strlen(line));
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct talk *talk = arg;
    ssize_t n = read(fd, talk->line + talk->line_len, LINE_BYTES - talk->line_len);
    char *lf;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        event_del(talk->input);
        quit(talk, n < 0);
        return;
    }
    talk->line_len += (size_t)n;
    while ((lf = memchr(talk->line, '\n', talk->line_len)) || talk->line_len == LINE_BYTES) {
        size_t len = lf ? (size_t)(lf - talk->line) : LINE_BYTES;

        talk->line[len] = '\0';
        typed_here(talk, talk->line);
        talk->line_len -= lf ? len + 1 : len;
        memmove(talk->line, lf ? lf + 1 : talk->line + len, talk->line_len);
    }
}

/* -------------------------------------------------------------------------------------------------------------------
 */

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    quit(arg, fd != SIGINT);
}

static bool start(struct talk *talk)
{
    static const struct session_ops ops = {.changed = changed,
                                           .heard = heard,
                                           .fate = fate,
                                           .refused_name = refused_name,
                                           .want_password = want_password};
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const char *why = NULL;

    if (!stay_init(&talk->stay, talk->options, "guest", &ops, talk))
        return false;
    talk->edit = edit_create();
    talk->shown = place_make(talk, talk->options->room);
    for (int i = 0; i < 3; i++) {
        talk->ends[i] = evsignal_new(talk->stay.base, signals[i], on_end, talk);
        if (!talk->ends[i] || event_add(talk->ends[i], NULL) < 0)
            return false;
    }
    talk->screen = screen_create(talk->stay.base, talk->options->colours, &screen_ops, talk, &why);
    if (!talk->screen) {
        fprintf(stderr, "hubbub: line by line: %s\n", why);
        talk->input = event_new(talk->stay.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, talk);
        if (!talk->input || event_add(talk->input, NULL) < 0)
            return false;
    }
    place_show(talk, talk->shown);
    if (talk->options->name) {
        ask(talk, ASKING_NOTHING);
        session_start(talk->stay.session);
    } else {
        ask(talk, ASKING_NAME);
    }
    return true;
}

static void finish(struct talk *talk)
{
    struct place *place;

    screen_destroy(talk->screen);
    if (!talk->screen)
        echo_input(true);
    talk->screen = NULL;
    while ((place = talk->places))
        place_destroy(talk, place);
    for (int i = 0; i < 3; i++)
        if (talk->ends[i])
            event_free(talk->ends[i]);
    if (talk->input)
        event_free(talk->input);
    edit_destroy(talk->edit);
    forget(&talk->password);
    free(talk->pasted);
    free(talk->wanted);
    free(talk->lost_why);
    stay_finish(&talk->stay);
}

int talk(const struct options *options)
{
    static struct talk talk;
    size_t waiting = 0;
    bool good;

    talk.options = options;
    talk.account = options->password != NULL;
    good = start(&talk);
    if (good) {
        event_base_dispatch(talk.stay.base);
        waiting = session_waiting(talk.stay.session);
    }
    finish(&talk);
    if (!good) {
        fputs("hubbub: out of memory\n", stderr);
    } else if (talk.unwritable && talk.unwritable != EPIPE) {
        fprintf(stderr, "hubbub: standard output cannot be written: %s\n", strerror(talk.unwritable));
    } else if (waiting > 0) {
        fprintf(stderr, "hubbub: of what you typed last %zu %s not said, or not answered\n", waiting,
                waiting == 1 ? "text was" : "texts were");
    } else {
        return 0;
    }
    return 1;
}
