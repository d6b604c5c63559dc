#include "slash.h"

#include <string.h>

#include <event2/buffer.h>

#include "phrase.h"

static const struct phrase commands[] = {
    {.word = "who",
     .verb = VERB_WHO,
     .usage = "Type /who alone: it says who is in your room.",
     .form = "/who",
     .purpose = "says who is in your room"},
    {.word = "msg",
     .verb = VERB_DIRECT,
     .rest = true,
     .least = 2,
     .most = 2,
     .offsets = {offsetof(struct request, to), offsetof(struct request, text)},
     .usage = "Type /msg, a name and the text.",
     .form = "/msg NAME TEXT",
     .purpose = "tells one person alone"},
    {.word = "join",
     .verb = VERB_MOVE,
     .least = 1,
     .most = 1,
     .offsets = {offsetof(struct request, room)},
     .usage = "Type /join and the name of a room.",
     .form = "/join ROOM",
     .purpose = "takes you to another room"},
    {.word = "leave",
     .verb = VERB_MOVE,
     .usage = "Type /leave alone: it takes you back to the " LOBBY ".",
     .room = LOBBY,
     .form = "/leave",
     .purpose = "takes you back to the " LOBBY},
    {.word = "rooms",
     .verb = VERB_ROOMS,
     .usage = "Type /rooms alone: it says which rooms there are.",
     .form = "/rooms",
     .purpose = "says which rooms there are"},
    {.word = "history",
     .verb = VERB_HISTORY,
     .number = true,
     .most = 1,
     .usage = "Type /history; how many messages you want may follow.",
     .form = "/history [N]",
     .purpose = "shows what was said last, N messages"},
    {.word = "register",
     .verb = VERB_REGISTER,
     .least = 1,
     .most = 2,
     .offsets = {offsetof(struct request, password), offsetof(struct request, old)},
     .usage = "Type /register and a password; to change it, the old one follows.",
     .form = "/register PASSWORD",
     .purpose = "keeps your name for you; /register NEW OLD changes the password"},
    {.word = "help",
     .verb = VERB_HELP,
     .usage = "Type /help alone.",
     .form = "/help",
     .purpose = "says this"},
    {.word = "quit",
     .verb = VERB_LOGOUT,
     .usage = "Type /quit alone: it takes you out of the chat.",
     .form = "/quit",
     .purpose = "takes you out of the chat"},
};

#define N_COMMANDS (sizeof commands / sizeof *commands)

/* What was typed ----------------------------------------------------------------------------------------- */

/* Takes away the line ends behind `text`. */
static void trim_line_ends(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = '\0';
}

/* Reads what is behind the slash. */
static enum decoded read_command(char *text, struct request *request)
{
    const struct phrase *command;
    const char *word;

    trim_line_ends(text);
    word = strsep(&text, " \t");
    command = phrase_find(commands, N_COMMANDS, word);
    if (command)
        return phrase_read(command, text, request);
    return request_refuse(request, ERROR_UNKNOWN_COMMAND,
                          "There is no such command: /help says which there are.");
}

enum decoded slash_read(char *text, struct request *request)
{
    if (text[0] == '/' && text[1] != '/')
        return read_command(text + 1, request);
    request->verb = VERB_CHAT;
    request->text = text[0] == '/' ? text + 1 : text;
    return DECODED_REQUEST;
}

/* What is said ------------------------------------------------------------------------------------------- */

/* A list that is being written, and how many are on it that have no place there. */
struct list {
    struct evbuffer *out;
    size_t n;
};

static void list_add(struct list *list, const char *what)
{
    evbuffer_add_printf(list->out, "%s%s", list->n++ ? ", " : ": ", what);
}

/* Ends a list of `all`. */
static void list_end(struct list *list, long all)
{
    long more = all - (long)list->n;

    if (more > 0 && list->n > 0)
        evbuffer_add_printf(list->out, " and %ld more", more);
    evbuffer_add_printf(list->out, ".");
}

/* Names come as a choice from all, oneself maybe among them; the count is of all, and includes oneself. */
static void put_welcome(const struct reply *reply, struct evbuffer *out)
{
    struct list list = {.out = out};
    long others = reply->count - 1;

    evbuffer_add_printf(out, "Welcome, %s! ", reply->name);
    if (others <= 0) {
        evbuffer_add_printf(out, "Nobody else is here.");
    } else {
        evbuffer_add_printf(out, others == 1 ? "%ld other is here" : "%ld others are here", others);
        for (size_t i = 0; i < reply->n_names; i++) {
            if (strcmp(reply->names[i], reply->name) != 0)
                list_add(&list, reply->names[i]);
        }
        list_end(&list, others);
    }
    evbuffer_add_printf(out, " Type /help for help.");
}

/* `where`: "here", or "in lobby". */
static void put_people(const struct reply *reply, const char *in, const char *where, struct evbuffer *out)
{
    struct list list = {.out = out};

    if (reply->count == 0) {
        evbuffer_add_printf(out, "Nobody is %s%s.", in, where);
        return;
    }
    evbuffer_add_printf(out, reply->count == 1 ? "%ld person is %s%s" : "%ld people are %s%s", reply->count,
                        in, where);
    for (size_t i = 0; i < reply->n_names; i++)
        list_add(&list, reply->names[i]);
    list_end(&list, reply->count);
}

static void put_entered(const struct reply *reply, struct evbuffer *out)
{
    evbuffer_add_printf(out, "You are in %s now.", reply->room);
    if (reply->count > 0) { /* else it was not counted */
        evbuffer_add_printf(out, " ");
        put_people(reply, "", "here", out);
    }
}

static void put_rooms(const struct reply *reply, struct evbuffer *out)
{
    struct list list = {.out = out};

    if (reply->count == 0) {
        evbuffer_add_printf(out, "There are no rooms.");
        return;
    }
    evbuffer_add_printf(out, reply->count == 1 ? "There is %ld room" : "There are %ld rooms", reply->count);
    for (size_t i = 0; i < reply->n_names; i++) {
        list_add(&list, reply->names[i]);
        evbuffer_add_printf(out, " (%ld)", reply->counts[i]);
    }
    list_end(&list, reply->count);
}

static void put_gap(const struct reply *reply, struct evbuffer *out)
{
    if (reply->room)
        evbuffer_add_printf(out, "Some of what was said in %s is missing here.", reply->room);
    else
        evbuffer_add_printf(out, "Some of what was said to you alone is missing here.");
}

/* Each line of a text says when, in UTC, and who it is from: nobody can forge a line of somebody else's. */
static void put_past(const struct reply *reply, struct evbuffer *out)
{
    if (reply->n_events == 0)
        evbuffer_add_printf(out, "Nothing was said in %s that is kept.", reply->room);
    for (size_t i = 0; i < reply->n_events; i++) {
        const struct event *event = reply->events[i];
        const char *text = event->text, *end;
        char at[ID_TEXT_MAX];

        id_to_time(event->id, at);
        do {
            end = strchr(text, '\n');
            evbuffer_add_printf(out, "%s%.10s %.5s %s: %.*s", i > 0 || text > event->text ? "\n" : "", at,
                                at + 11, event->from, (int)(end ? (size_t)(end - text) : strlen(text)), text);
            text = end ? end + 1 : text;
        } while (end);
    }
}

static void put_help(struct evbuffer *out)
{
    evbuffer_add_printf(out, "What you type is said to everybody in your room, except for:");
    for (size_t i = 0; i < N_COMMANDS; i++)
        evbuffer_add_printf(out, "\n  %-19s %s", commands[i].form, commands[i].purpose);
    evbuffer_add_printf(out, "\n  %-19s %s", "//TEXT", "says /TEXT");
}

void slash_encode_reply(const struct reply *reply, struct evbuffer *out)
{
    switch (reply->kind) {
    case REPLY_WELCOME:
        put_welcome(reply, out);
        break;
    case REPLY_ENTERED:
        put_entered(reply, out);
        break;
    case REPLY_EXITED:
        evbuffer_add_printf(out, "You have left %s.", reply->room);
        break;
    case REPLY_GOODBYE:
        evbuffer_add_printf(out, "Goodbye!");
        break;
    case REPLY_WHO:
        put_people(reply, "in ", reply->room, out);
        break;
    case REPLY_ROOMS:
        put_rooms(reply, out);
        break;
    case REPLY_HELP:
        put_help(out);
        break;
    case REPLY_ERROR:
        evbuffer_add_printf(out, "%s", reply->text ? reply->text : error_sentence(reply->error));
        break;
    case REPLY_GAP:
        put_gap(reply, out);
        break;
    case REPLY_REGISTERED:
        evbuffer_add_printf(out, "The name %s is yours: it needs this password from now on.", reply->name);
        break;
    case REPLY_HISTORY:
        put_past(reply, out);
        break;
    case REPLY_ACK:
    case REPLY_READ:
    case REPLY_PONG:
        break;
    }
}
