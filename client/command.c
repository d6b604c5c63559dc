#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "name.h"

enum argument {
    ARGUMENT_NONE,
    ARGUMENT_ROOM,
    ARGUMENT_ROOM_OR_NONE,
    ARGUMENT_NAME_OR_NONE,
    ARGUMENT_NAME_AND_TEXT,
};

static const struct verb {
    const char *name;
    enum command_kind kind;
    enum argument argument;
    const char *usage, *help;
} verbs[] = {
    {"join", COMMAND_JOIN, ARGUMENT_ROOM, "/join ROOM", "enter a room, or show it if you are in it"},
    {"leave", COMMAND_LEAVE, ARGUMENT_ROOM_OR_NONE, "/leave [ROOM]", "leave a room"},
    {"who", COMMAND_WHO, ARGUMENT_ROOM_OR_NONE, "/who [ROOM]", "who is in a room"},
    {"rooms", COMMAND_ROOMS, ARGUMENT_NONE, "/rooms", "which rooms there are"},
    {"msg", COMMAND_MSG, ARGUMENT_NAME_AND_TEXT, "/msg NAME TEXT", "say something to one person alone"},
    {"history", COMMAND_HISTORY, ARGUMENT_NAME_OR_NONE, "/history [NAME]",
     "show what was said before, or with NAME alone"},
    {"register", COMMAND_REGISTER, ARGUMENT_NONE, "/register",
     "make your name yours, by a password that is asked for"},
    {"help", COMMAND_HELP, ARGUMENT_NONE, "/help", "this"},
    {"quit", COMMAND_QUIT, ARGUMENT_NONE, "/quit", "log out and end"},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static const char keys_help[] = "Without ROOM it is the one that you see.  //x says /x.\n"
                                "Tab completes commands, rooms and names.\n"
                                "Up and Down bring back what you typed; PageUp and PageDown scroll.\n"
                                "Ctrl-N and Ctrl-P show the next and the previous room; Ctrl-L draws anew.\n"
                                "Ctrl-C empties the line, or quits if it is empty; so does Ctrl-D then.";

const char *command_help(void)
{
    static char help[2048];
    size_t len = 0;

    if (help[0])
        return help;
    for (const struct verb *verb = verbs; verb < verbs + VERBS; verb++)
        len += (size_t)snprintf(help + len, sizeof help - len, "%-16s %s\n", verb->usage, verb->help);
    snprintf(help + len, sizeof help - len, "%s", keys_help);
    return help;
}

/* Reading ------------------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

static const char *skip_word(const char *at)
{
    while (*at && !is_blank(*at))
        at++;
    return at;
}

static const struct verb *find_verb(const char *name, size_t len)
{
    for (const struct verb *verb = verbs; verb < verbs + VERBS; verb++)
        if (strlen(verb->name) == len && strncasecmp(verb->name, name, len) == 0)
            return verb;
    return NULL;
}

/* `word` (`len` bytes of it) is shown in place of %s; it is cut if it is long. */
static void wrong(struct command *command, const char *sentence, const char *word, size_t len)
{
    char *shown = need(strndup(word, len < ROOM_MAX_BYTES ? len : ROOM_MAX_BYTES));

    for (size_t n = strlen(shown); n > 0 && !text_is_utf8(shown, n);) /* cut within a character */
        shown[--n] = '\0';
    command_finish(command);
    if (asprintf(&command->memory, sentence, shown) < 0)
        abort();
    free(shown);
    command->kind = COMMAND_WRONG;
    command->text = command->memory;
}

static void wrong_usage(struct command *command, const struct verb *verb)
{
    wrong(command, "Usage: %s", verb->usage, strlen(verb->usage));
}

/* Takes the word at `at` as a name; false, and it is wrong, if it cannot be one. */
static bool read_name(const char *at, size_t len, bool room, struct command *command)
{
    char folded[ROOM_MAX_BYTES];

    command->name = need(strndup(at, len));
    if (room ? room_fold(command->name, folded) : name_fold(command->name, folded))
        return true;
    wrong(command,
          room ? "No room can be called %s: letters, digits, \"_\", \"-\" and \".\" make a name."
               : "Nobody can be called %s: letters, digits, \"_\", \"-\" and \".\" make a name.",
          at, len);
    return false;
}

static void read_arguments(const struct verb *verb, const char *at, struct command *command)
{
    const char *end = skip_word(at), *rest = skip_blanks(end);

    command->kind = verb->kind;
    switch (verb->argument) {
    case ARGUMENT_NONE:
        if (!*at)
            return;
        if (verb->kind == COMMAND_REGISTER)
            wrong(command, "Give no password here, where others can read it: %s asks for it.", "/register",
                  9);
        else
            wrong_usage(command, verb);
        return;
    case ARGUMENT_ROOM:
    case ARGUMENT_ROOM_OR_NONE:
        if (*rest || (!*at && verb->argument == ARGUMENT_ROOM))
            wrong_usage(command, verb);
        else if (*at)
            read_name(at, (size_t)(end - at), true, command);
        return;
    case ARGUMENT_NAME_OR_NONE:
        if (*rest)
            wrong_usage(command, verb);
        else if (*at)
            read_name(at, (size_t)(end - at), false, command);
        return;
    case ARGUMENT_NAME_AND_TEXT:
        if (!*rest)
            wrong_usage(command, verb);
        else if (read_name(at, (size_t)(end - at), false, command))
            command->text = rest;
        return;
    }
}

void command_read(const char *line, struct command *command)
{
    const char *end = skip_word(line);
    const struct verb *verb;

    *command = (struct command){.kind = COMMAND_SAY, .text = line};
    if (line[0] != '/')
        return;
    if (line[1] == '/') {
        command->text = line + 1;
        return;
    }
    command->text = NULL;
    verb = find_verb(line + 1, (size_t)(end - line) - 1);
    if (verb)
        read_arguments(verb, skip_blanks(end), command);
    else
        wrong(command, "There is no command %s: /help lists them.  //x says /x.", line, (size_t)(end - line));
}

void command_finish(struct command *command)
{
    free(command->name);
    free(command->memory);
    command->name = command->memory = NULL;
    command->text = NULL;
}

/* Completion --------------------------------------------------------------------------------------------- */

/* What fits what was typed, `typed` in its folded form; no two that are the same folded. */
struct fitting {
    char typed[ROOM_MAX_BYTES];
    char **names;
    size_t n, size;
};

static bool begins(const char *name, const char *folded_start)
{
    char folded[ROOM_MAX_BYTES];

    return room_fold(name, folded) && strncmp(folded, folded_start, strlen(folded_start)) == 0;
}

static bool is_same(const char *a, const char *b)
{
    char folded_a[ROOM_MAX_BYTES], folded_b[ROOM_MAX_BYTES];

    return room_fold(a, folded_a) && room_fold(b, folded_b) && strcmp(folded_a, folded_b) == 0;
}

static void add_fitting(void *to, const char *name)
{
    struct fitting *fitting = to;

    if (!begins(name, fitting->typed))
        return;
    for (size_t i = 0; i < fitting->n; i++)
        if (is_same(fitting->names[i], name))
            return;
    if (fitting->n == fitting->size) {
        fitting->size = fitting->size ? fitting->size * 2 : 16;
        fitting->names = need(realloc(fitting->names, fitting->size * sizeof fitting->names[0]));
    }
    fitting->names[fitting->n++] = need(strdup(name));
}

static void add_verbs(struct fitting *fitting)
{
    for (const struct verb *verb = verbs; verb < verbs + VERBS; verb++)
        add_fitting(fitting, verb->name);
}

/* How far the names agree, as folded: the first one, cut at its end until all begin so. */
static char *agreement(const struct fitting *fitting)
{
    char *common = need(strdup(fitting->names[0]));
    size_t len = strlen(common), fit = 0;

    while (len > 0 && fit < fitting->n) {
        char folded[ROOM_MAX_BYTES];

        for (fit = 0; room_fold(common, folded) && fit < fitting->n && begins(fitting->names[fit], folded);)
            fit++;
        if (fit == fitting->n)
            break;
        do
            common[--len] = '\0';
        while (len > 0 && !text_is_utf8(common, len));
    }
    return common;
}

static char *list(const struct fitting *fitting)
{
    char *text = NULL;
    size_t size;
    FILE *out = need(open_memstream(&text, &size));

    for (size_t i = 0; i < fitting->n && i < COMMAND_CHOICES_MAX; i++)
        fprintf(out, "%s%s", i ? " " : "", fitting->names[i]);
    if (fitting->n > COMMAND_CHOICES_MAX)
        fprintf(out, " and %zu more", fitting->n - COMMAND_CHOICES_MAX);
    if (fclose(out) != 0)
        abort();
    return text;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Makes the answer of what fits; `suffix` goes behind a name that is whole. */
static size_t answer(struct fitting *fitting, const char *typed, size_t len, const char *suffix, char **by,
                     char **choices)
{
    char folded[ROOM_MAX_BYTES];

    if (fitting->n == 0)
        return 0;
    if (fitting->n == 1) {
        if (asprintf(by, "%s%s", fitting->names[0], suffix) < 0)
            abort();
        return len;
    }
    qsort(fitting->names, fitting->n, sizeof fitting->names[0], compare);
    *choices = list(fitting);
    *by = agreement(fitting);
    if (!room_fold(*by, folded) ||
        strlen(folded) <= strlen(fitting->typed)) { /* not farther than what was typed */
        free(*by);
        *by = need(strndup(typed, len));
    }
    return len;
}

/* What a command takes as its first word. */
static bool takes_room(const char *line)
{
    const struct verb *verb = find_verb(line + 1, (size_t)(skip_word(line) - line) - 1);

    return verb && (verb->argument == ARGUMENT_ROOM || verb->argument == ARGUMENT_ROOM_OR_NONE);
}

static bool takes_name(const char *line)
{
    const struct verb *verb = find_verb(line + 1, (size_t)(skip_word(line) - line) - 1);

    return verb && (verb->argument == ARGUMENT_NAME_AND_TEXT || verb->argument == ARGUMENT_NAME_OR_NONE);
}

/* Where the name before the cursor begins: behind the last character that may not stand in one. */
static size_t name_start(const char *line, size_t cursor)
{
    size_t start = 0;

    for (size_t at = 0; at < cursor;) {
        size_t len = name_span(line + at);

        start = at;
        at += len ? len : 1;
        if (!len)
            start = at;
    }
    return start;
}

size_t command_complete(const char *line, size_t cursor, const struct completion_source *source, char **by,
                        char **choices)
{
    struct fitting fitting = {0};
    size_t start = name_start(line, cursor), len = cursor - start, replaced = 0;
    bool slash = line[0] == '/' && line[1] != '/';
    size_t argument = (size_t)(skip_blanks(skip_word(line)) - line); /* where the first word behind begins */
    bool is_verb = slash && start == 1;
    bool is_argument = slash && start > 1 && start <= argument;
    const char *suffix = line[cursor] ? "" : start == 0 ? ": " : " ";
    char typed[ROOM_MAX_BYTES];

    *by = *choices = NULL;
    if (len >= sizeof typed)
        return 0;
    memcpy(typed, line + start, len);
    typed[len] = '\0';
    if (len == 0 ? !is_verb && !(is_argument && (takes_room(line) || takes_name(line)))
                 : !room_fold(typed, fitting.typed))
        return 0; /* of nothing, all fit only where a name is wanted */
    if (is_verb)
        add_verbs(&fitting);
    else if (is_argument && takes_room(line))
        source->rooms(source->ctx, add_fitting, &fitting);
    else
        source->people(source->ctx, add_fitting, &fitting);
    replaced = answer(&fitting, typed, len, suffix, by, choices);
    while (fitting.n > 0)
        free(fitting.names[--fitting.n]);
    free(fitting.names);
    return replaced;
}
