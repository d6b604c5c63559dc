#include "view.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/event.h>
#include <utf8proc.h>
#include <utlist.h>

#include "command.h"
#include "conversation.h"
#include "edit.h"
#include "heap.h"
#include "name.h"
#include "options.h"
#include "place.h"
#include "screen.h"
#include "session.h"
#include "stay.h"
#include "terminal.h"
#include "wire.h"

#define BELL_MS 1000 /* rings no oftener than that */
#define ROOMS_KNOWN 200

/* What is shown ------------------------------------------------------------------------------------------ */

void view_changed(struct view *view)
{
    if (view->screen)
        screen_changed(view->screen);
}

void view_status(struct view *view)
{
    struct place *place;
    size_t len = 0, waiting = session_waiting(view->session);
    const char *state = session_state_name(session_state(view->session));
    char left[ROOM_MAX_BYTES + 96], brief[sizeof left], right[160] = "", count[32] = "", unsaid[40] = "";

    if (!view->screen)
        return;
    DL_FOREACH (view->places, place)
        if (place->unread > 0 && len < sizeof right)
            len += (size_t)snprintf(right + len, sizeof right - len, "%s%s:%u%s", len ? " " : "", place->room,
                                    place->unread, place->mentioned ? "!" : "");
    if (view->shown->users >= 0 && session_state(view->session) == SESSION_CONNECTED)
        snprintf(count, sizeof count, "  %ld here", view->shown->users);
    if (waiting > 0)
        snprintf(unsaid, sizeof unsaid, "  %zu not said yet", waiting);
    snprintf(left, sizeof left, "[%s]%s  %s%s", view->shown->room, count, state, unsaid);
    /* That one is connected need not be said; that one is not comes before everything. */
    if (session_state(view->session) == SESSION_CONNECTED)
        snprintf(brief, sizeof brief, "[%s]%s", view->shown->room, unsaid);
    else
        snprintf(brief, sizeof brief, "%s [%s]%s", state, view->shown->room, unsaid);
    screen_set_status(view->screen, left, brief, right);
}

void view_show(struct view *view, struct place *place)
{
    view->shown = place;
    place_read(place);
    if (view->screen)
        screen_show(view->screen, place->conversation, view->edit);
    view_status(view);
}

void view_print(struct view *view, const char *prefix, const char *text)
{
    if (view->screen)
        return;
    for (;;) {
        int len = (int)strcspn(text, "\n");

        printf("%s%.*s\n", prefix, len, text);
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    if (fflush(stdout) == 0 || view->unwritable)
        return;
    view->unwritable = errno;
    view->ops->quit(view->ctx, true);
}

/* A text that was cut ends with a whole character. */
static void cut_whole(char *text)
{
    size_t len = strlen(text), last = len;
    utf8proc_int32_t c;

    while (last > 0 && ((unsigned char)text[--last] & 0xc0) == 0x80)
        continue;
    if (len > 0 && utf8proc_iterate((utf8proc_uint8_t *)text + last, (utf8proc_ssize_t)(len - last), &c) < 0)
        text[last] = '\0';
}

void view_tell(struct view *view, bool error, const char *format, ...)
{
    char text[WIRE_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cut_whole(text);
    conversation_tell(view->shown->conversation, text, error, stay_time());
    view_print(view, "* ", text);
    view_changed(view);
}

/* Whoever is named a thousand times a second knows it by the first. */
static void ring(struct view *view)
{
    int64_t now = stay_time();

    if (!view->options->bell || (now >= view->rung_at && now - view->rung_at < BELL_MS))
        return;
    view->rung_at = now;
    if (view->screen)
        screen_bell(view->screen);
    else
        putchar('\a');
}

static void print_saying(struct view *view, const struct place *place, const struct saying *saying)
{
    char prefix[ROOM_MAX_BYTES + 2 * NAME_MAX_BYTES + 8];

    if (saying->to)
        snprintf(prefix, sizeof prefix, "> %s: ", saying->from);
    else
        snprintf(prefix, sizeof prefix, "[%s] %s: ", place->room, saying->from);
    view_print(view, prefix, saying->text);
}

void view_say(struct view *view, struct place *place, const struct saying *saying)
{
    bool mentioned = conversation_say(place->conversation, saying), own = saying->number != 0;

    if (!own && place != view->shown) {
        place->unread++;
        place->mentioned |= mentioned;
        view_status(view);
    }
    if (!own && (mentioned || saying->to))
        ring(view);
    if (!own)
        print_saying(view, place, saying);
    view_changed(view);
}

void view_forget_rooms(struct view *view)
{
    while (view->n_rooms > 0)
        free(view->rooms[--view->n_rooms]);
}

void view_know_room(struct view *view, const char *room)
{
    if (view->n_rooms == ROOMS_KNOWN)
        return;
    if (!view->rooms)
        view->rooms = need(calloc(ROOMS_KNOWN, sizeof *view->rooms));
    view->rooms[view->n_rooms++] = need(strdup(room));
}

/* What is asked ------------------------------------------------------------------------------------------ */

static void question_destroy(struct question *question)
{
    free(question->text);
    free(question);
}

static void put_question(struct view *view, const char *words, bool expected)
{
    if (view->screen)
        screen_ask(view->screen, words, expected);
    else
        view_tell(view, false, "%s", words);
}

/* Opens the first question, unless the next line is for something else.  Whoever has typed what a paste is
 * about waits for the question; that of a stale chat comes out of the blue. */
static void open_question(struct view *view)
{
    const struct question *question = view->questions;
    char words[80];

    if (view->open || !question || view->asking != ASKING_NOTHING)
        return;
    view->open = true;
    switch (question->kind) {
    case QUESTION_PASTE:
        snprintf(words, sizeof words, "Say these %zu lines as one text (y or n)?",
                 text_lines(question->text));
        put_question(view, words, true);
        break;
    case QUESTION_STALE:
        view_tell(view, false,
                  "This was sent long ago and never answered; it may have been said, or not:\n%s",
                  question->text ? question->text : "(it is not shown any more)");
        put_question(view, "Say it again (y or n)?", false);
        break;
    }
}

/* It is opened again when nothing comes before it. */
static void close_question(struct view *view)
{
    view->open = false;
    if (view->screen)
        screen_ask(view->screen, "", false);
}

void view_pose(struct view *view, enum question_kind kind, uint64_t number, const char *text)
{
    struct question *question = need(calloc(1, sizeof *question));

    question->text = text ? need(strdup(text)) : NULL;
    question->kind = kind;
    question->number = number;
    DL_APPEND(view->questions, question);
    if (view->unheard)
        view->ops->quit(view->ctx, true);
    else
        open_question(view);
}

static void answer(struct view *view, bool yes)
{
    struct question *question = view->questions;

    DL_DELETE(view->questions, question);
    close_question(view);
    view->ops->answered(view->ctx, question, yes);
    question_destroy(question);
    open_question(view);
}

static const char *const prompts[] = {
    [ASKING_NOTHING] = "> ",
    [ASKING_NAME] = "Your name: ",
    [ASKING_PASSWORD] = "Password: ",
    [ASKING_NEW_PASSWORD] = "New password: ",
    [ASKING_SAME_PASSWORD] = "The same again: ",
    [ASKING_OLD_PASSWORD] = "Old password: ",
};

void view_ask(struct view *view, enum asking asking)
{
    if (view->asking != asking) /* what is half typed was meant for something else */
        edit_clear(view->edit, false);
    view->asking = asking;
    if (view->screen) {
        screen_set_prompt(view->screen, prompts[asking], asking >= ASKING_PASSWORD);
    } else {
        terminal_echo(asking < ASKING_PASSWORD); /* before somebody answers */
        if (asking != ASKING_NOTHING)
            view_print(view, "", prompts[asking]);
    }
    if (asking == ASKING_NOTHING)
        open_question(view);
    else if (view->unheard)
        view->ops->quit(view->ctx, true);
    else if (view->open)
        close_question(view);
}

/* On a screen -------------------------------------------------------------------------------------------- */

static void screen_entered(void *ctx)
{
    struct view *view = ctx;
    char *line = need(strdup(edit_text(view->edit, NULL)));

    edit_clear(view->edit, view->asking == ASKING_NOTHING);
    view->ops->typed(view->ctx, line);
    wipe(line);
    view_changed(view);
}

static void complete_people(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    struct view *view = ctx;
    struct human *human, *next;

    HASH_ITER (hh, view->shown->people, human, next)
        each(to, human->name);
}

static void complete_rooms(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    struct view *view = ctx;
    struct place *place;

    DL_FOREACH (view->places, place)
        each(to, place->room);
    for (size_t i = 0; i < view->n_rooms; i++)
        each(to, view->rooms[i]);
}

static void screen_complete(void *ctx)
{
    struct view *view = ctx;
    const struct completion_source source = {complete_people, complete_rooms, view};
    char *by = NULL, *choices = NULL;
    size_t cursor, len;
    const char *line = edit_text(view->edit, &cursor);

    if (view->asking != ASKING_NOTHING)
        return;
    len = command_complete(line, cursor, &source, &by, &choices);
    if (by)
        edit_replace(view->edit, len, by);
    if (choices)
        view_tell(view, false, "%s", choices);
    free(by);
    free(choices);
    view_changed(view);
}

static void screen_top(void *ctx)
{
    struct view *view = ctx;

    view->ops->older(view->ctx);
}

static void screen_pasted(void *ctx, const char *text, size_t len)
{
    struct view *view = ctx;
    char *copy, *clean;

    if (view->asking != ASKING_NOTHING) { /* no name has several lines */
        screen_bell(view->screen);
        return;
    }
    copy = need(strndup(text, len));
    clean = need(malloc(len * 3 + 1)); /* each byte may become U+FFFD */
    wire_clean(copy, true, clean, len * 3 + 1);
    view_pose(view, QUESTION_PASTE, 0, clean);
    free(clean);
    free(copy);
}

static void screen_answered(void *ctx, bool yes)
{
    answer(ctx, yes);
}

static void screen_next_room(void *ctx, int by)
{
    struct view *view = ctx;
    struct place *shown = view->shown;

    if (by > 0)
        view_show(view, shown->next ? shown->next : view->places);
    else
        view_show(view, shown->prev); /* of the first that is the last */
}

/* A terminal that went away cannot ask a second time. */
static void screen_quit(void *ctx)
{
    struct view *view = ctx;

    view->ops->quit(view->ctx, !isatty(STDIN_FILENO));
}

static const struct screen_ops screen_ops = {screen_entered,  screen_complete,  screen_top, screen_pasted,
                                             screen_answered, screen_next_room, screen_quit};

/* Line by line ------------------------------------------------------------------------------------------- */

/* What is neither y nor n is no answer, but what it is at other times; the question is put again. */
static void take_line(struct view *view, char *line)
{
    line[strcspn(line, "\r")] = '\0';
    if (view->open && strcasecmp(line, "y") == 0) {
        answer(view, true);
    } else if (view->open && strcasecmp(line, "n") == 0) {
        answer(view, false);
    } else {
        bool again = view->open;

        view->open = false;
        view->ops->typed(view->ctx, line);
        if (again)
            open_question(view);
    }
    explicit_bzero(line, strlen(line));
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct view *view = arg;
    ssize_t n = read(fd, view->line + view->line_len, VIEW_LINE_BYTES - view->line_len);
    char *lf;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        event_del(view->input);
        view->unheard = true;
        view->ops->quit(view->ctx, n < 0 || view->questions || view->asking != ASKING_NOTHING);
        return;
    }
    view->line_len += (size_t)n;
    while ((lf = memchr(view->line, '\n', view->line_len)) || view->line_len == VIEW_LINE_BYTES) {
        size_t len = lf ? (size_t)(lf - view->line) : VIEW_LINE_BYTES;

        view->line[len] = '\0';
        take_line(view, view->line);
        view->line_len -= lf ? len + 1 : len;
        memmove(view->line, lf ? lf + 1 : view->line + len, view->line_len);
    }
}

/* Ctrl-Z: the shell gets its echo back... */
static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct view *view = arg;

    terminal_echo(true);
    event_del(view->stop); /* so that it does what it does to others */
    raise(SIGTSTP);
    event_add(view->stop, NULL);
}

/* ...and what it has made of the echo meanwhile must not show a password. */
static void on_continued(evutil_socket_t fd, short what, void *arg)
{
    struct view *view = arg;

    terminal_echo(view->asking < ASKING_PASSWORD);
    if (view->asking != ASKING_NOTHING)
        view_print(view, "", prompts[view->asking]);
}

static bool begin_lines(struct view *view, struct event_base *base)
{
    int fd = terminal_input();

    if (fd < 0)
        return false;
    view->input = event_new(base, fd, EV_READ | EV_PERSIST, on_input, view);
    view->stop = evsignal_new(base, SIGTSTP, on_stop, view);
    view->continued = evsignal_new(base, SIGCONT, on_continued, view);
    return view->input && view->stop && view->continued && event_add(view->input, NULL) == 0 &&
           event_add(view->stop, NULL) == 0 && event_add(view->continued, NULL) == 0 && terminal_keep();
}

static void end_lines(struct view *view)
{
    if (view->input) {
        int fd = event_get_fd(view->input);

        event_free(view->input);
        close(fd);
    }
    if (view->stop)
        event_free(view->stop);
    if (view->continued)
        event_free(view->continued);
    terminal_give_back();
}

/* -------------------------------------------------------------------------------------------------------- */

bool view_init(struct view *view, struct event_base *base, const struct options *options,
               const struct session *session, const struct view_ops *ops, void *ctx)
{
    const char *why = NULL;

    *view = (struct view){.ops = ops, .ctx = ctx, .options = options, .session = session};
    view->edit = edit_create();
    view->shown = place_open(&view->places, options->room, session_name(session));
    view->screen = screen_create(base, options->colours, &screen_ops, view, &why);
    if (!view->screen) {
        fprintf(stderr, "hubbub: line by line: %s\n", why);
        if (!begin_lines(view, base))
            return false;
    }
    view_show(view, view->shown);
    return true;
}

void view_finish(struct view *view)
{
    struct question *question;

    if (view->screen)
        screen_destroy(view->screen);
    else
        end_lines(view);
    view->screen = NULL;
    while (view->places)
        place_close(&view->places, view->places);
    while ((question = view->questions)) {
        DL_DELETE(view->questions, question);
        question_destroy(question);
    }
    view_forget_rooms(view);
    free(view->rooms);
    edit_destroy(view->edit);
}
