#include "screen.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ttydefaults.h> /* CTRL */
#include <unistd.h>
#include <wchar.h>

#include <event2/event.h>
#include <utf8proc.h>

#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include "conversation.h"
#include "edit.h"
#include "terminal.h"
#include "width.h"

#define COLUMNS_MIN 20   /* what a conversation needs; a narrower screen shows the left part */
#define COLUMNS_MAX 1000 /* of a larger screen this part is used: each cell of it costs 84 bytes */
#define ROWS_MAX 500
#define FRAME_MS 20        /* a flood of messages is drawn no oftener than that */
#define KEYS_PER_TURN 4096 /* bytes of a paste that come before others have their turn */
#define PAUSE_MS 1000      /* who is typing makes no longer ones, and who reads a question does */
#define ESCAPE_MS 50       /* the rest of a key's sequence comes within that */
#define STATUS_MAX_BYTES 512

/* Keys that terminfo does not name. */
enum own_key { OWN_KEY_PASTE = KEY_MAX + 1, OWN_KEY_PASTED, OWN_KEY_WORD_LEFT, OWN_KEY_WORD_RIGHT };

/* What the next byte belongs to. */
enum input { INPUT_KEY, INPUT_META, INPUT_SEQUENCE, INPUT_PASTE };

struct screen {
    const struct screen_ops *ops;
    void *ctx;
    SCREEN *terminal;
    struct event *readable, *resized, *continued, *frame;
    bool changed;     /* and not drawn yet */
    int64_t drawn_ms; /* monotonic */
    bool colours;

    struct conversation *conversation;
    struct edit *edit;
    char left[STATUS_MAX_BYTES], brief[STATUS_MAX_BYTES], right[STATUS_MAX_BYTES], prompt[STATUS_MAX_BYTES],
        question[STATUS_MAX_BYTES];
    bool hidden;
    bool expected;      /* the question */
    int64_t answerable; /* monotonic: a key answers it from then on; 0: it was not drawn yet */

    bool scrolled; /* the lowest line is `row` of `entry`, else the newest one */
    int64_t entry;
    unsigned row;

    enum input input;
    mbstate_t partial; /* a character whose bytes have not all come */
    char *paste;       /* while INPUT_PASTE */
    size_t paste_len;
    bool paste_stopped; /* its last byte is Ctrl-C */
};

/* A bare container has no locale, but its terminal speaks UTF-8 as all do. */
static void set_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void set_colours(struct screen *screen)
{
    /* Of 256, some of middling brightness: they can be read on dark and on light. */
    static const short few[] = {COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_BLUE, COLOR_MAGENTA, COLOR_CYAN};
    static const short many[CONVERSATION_COLOURS] = {167, 71, 136, 68, 133, 37, 173, 107, 99, 74, 169, 143};

    if (start_color() != OK || use_default_colors() != OK)
        return;
    screen->colours = true;
    for (short i = 0; i < CONVERSATION_COLOURS; i++)
        init_pair((short)(i + 1), COLORS >= 256 ? many[i] : few[i % 6], -1);
}

static void define_keys(void)
{
    define_key("\033[200~", OWN_KEY_PASTE);
    define_key("\033[201~", OWN_KEY_PASTED);
    define_key("\033[1;5D", OWN_KEY_WORD_LEFT); /* Ctrl and the arrows, as nearly all send it */
    define_key("\033[1;5C", OWN_KEY_WORD_RIGHT);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Drawing ------------------------------------------------------------------------------------------------ */

/* Draws a cluster at a place; of what ncurses would measure otherwise, a sign that it is there. */
static void draw_cluster(int y, unsigned x, const struct cluster *cluster)
{
    wchar_t shown[CLUSTER_SHOWN_MAX];

    for (size_t i = 0; i < cluster->n; i++) {
        shown[i] = cluster->shown[i];
        if (wcwidth(shown[i]) == (int)char_width(shown[i]))
            continue;
        mvhline(y, (int)x, ' ', (int)cluster->width);
        shown[0] = wcwidth(0xfffd) == 1 ? 0xfffd : '?';
        mvaddnwstr(y, (int)x, shown, 1);
        return;
    }
    mvaddnwstr(y, (int)x, shown, (int)cluster->n);
}

/* Draws text from column `x` on, up to column `end`; returns where it ends. */
static unsigned draw_text(int y, unsigned x, unsigned end, const char *text, size_t len)
{
    struct cluster cluster;

    for (; len > 0; text += cluster.len, len -= cluster.len) {
        cluster_read(text, len, &cluster);
        if (x + cluster.width > end)
            break;
        if (cluster.width > 0)
            draw_cluster(y, x, &cluster);
        x += cluster.width;
    }
    return x;
}

static attr_t attribute_of(enum style style)
{
    switch (style) {
    case STYLE_TIME:
    case STYLE_NOTICE:
    case STYLE_PENDING:
        return A_DIM;
    case STYLE_NAME:
    case STYLE_OWN:
    case STYLE_DIRECT:
    case STYLE_ERROR:
        return A_BOLD;
    case STYLE_MENTION:
        return A_REVERSE;
    case STYLE_PLAIN:
        break;
    }
    return A_NORMAL;
}

static short colour_of(const struct span *span)
{
    if (span->style == STYLE_NAME)
        return (short)(span->colour + 1);
    return span->style == STYLE_ERROR ? 1 : 0; /* red */
}

static void draw_line(const struct screen *screen, int y, const struct line *line)
{
    unsigned x = line->indent;

    for (size_t i = 0; i < line->n; i++) {
        const struct span *span = &line->spans[i];

        attr_set(attribute_of(span->style), screen->colours ? colour_of(span) : 0, NULL);
        x = draw_text(y, x, (unsigned)COLS, span->text, span->len);
    }
    attr_set(A_NORMAL, 0, NULL);
}

static unsigned columns_of_lines(void)
{
    return COLS > COLUMNS_MIN ? (unsigned)COLS : COLUMNS_MIN;
}

static int rows_of_lines(void)
{
    return LINES > 2 ? LINES - 2 : 0;
}

/* How many lines are below the lowest one that is seen. */
static size_t lines_below(const struct screen *screen)
{
    return screen->scrolled
               ? conversation_back(screen->conversation, columns_of_lines(), screen->entry, screen->row)
               : 0;
}

static void draw_conversation(const struct screen *screen)
{
    size_t back = lines_below(screen);
    struct line line;

    for (int y = rows_of_lines() - 1; y >= 0; y--, back++) {
        if (!conversation_line(screen->conversation, columns_of_lines(), back, &line))
            return;
        draw_line(screen, y, &line);
    }
}

static void draw_status(const struct screen *screen, int y)
{
    unsigned columns = (unsigned)COLS, right = text_width(screen->right, strlen(screen->right));
    unsigned brief = text_width(screen->brief, strlen(screen->brief)) + 1;
    unsigned end = columns > right + brief ? columns - right : brief < columns ? brief : columns;
    const char *below = " PageDown: newer ", *left = screen->left;

    attr_set(A_REVERSE, 0, NULL);
    mvhline(y, 0, ' ', COLS);
    draw_text(y, end, columns, screen->right, strlen(screen->right));
    if (screen->scrolled && end >= brief + strlen(below)) {
        end -= (unsigned)strlen(below);
        draw_text(y, end, columns, below, strlen(below));
    }
    if (end < columns)
        end--;
    if (text_width(left, strlen(left)) > end)
        left = screen->brief;
    draw_text(y, 0, end, left, strlen(left));
    attr_set(A_NORMAL, 0, NULL);
}

/* Draws the lowest line, and leaves the cursor where one types. */
static void draw_input(const struct screen *screen, int y)
{
    unsigned columns = (unsigned)COLS, x, column = 0;
    const char *prompt = screen->question[0] ? screen->question : screen->prompt;
    size_t from, to;

    attr_set(screen->question[0] ? A_BOLD : A_NORMAL, 0, NULL);
    x = draw_text(y, 0, columns > 4 ? columns - 4 : 0, prompt, strlen(prompt));
    attr_set(A_NORMAL, 0, NULL);
    if (screen->edit && !screen->hidden && !screen->question[0] && columns > x + 3) {
        edit_window(screen->edit, columns - x, &from, &to, &column);
        draw_text(y, x, columns, edit_text(screen->edit, NULL) + from, to - from);
    }
    move(y, x + column < columns ? (int)(x + column) : COLS - 1);
}

static void draw(struct screen *screen)
{
    screen->changed = false;
    screen->drawn_ms = now_ms();
    erase();
    if (screen->conversation)
        draw_conversation(screen);
    if (LINES > 1)
        draw_status(screen, LINES - 2);
    draw_input(screen, LINES - 1);
    refresh();
    if (screen->question[0] && screen->answerable == 0)
        screen->answerable = screen->drawn_ms + (screen->expected ? 0 : PAUSE_MS);
}

static void on_frame(evutil_socket_t fd, short what, void *ctx)
{
    struct screen *screen = ctx;

    if (screen->changed)
        draw(screen);
}

void screen_changed(struct screen *screen)
{
    int64_t wait = screen->drawn_ms + FRAME_MS - now_ms();
    struct timeval later = {.tv_usec = (suseconds_t)wait * 1000};

    if (screen->changed)
        return;
    screen->changed = true;
    if (wait > 0)
        evtimer_add(screen->frame, &later);
    else
        event_active(screen->frame, EV_TIMEOUT, 0);
}

/* Scrolling ---------------------------------------------------------------------------------------------- */

/* Makes the line that has so many below it the lowest one. */
static void scroll_to(struct screen *screen, size_t back)
{
    struct line line;

    screen->scrolled = back > 0 && conversation_line(screen->conversation, columns_of_lines(), back, &line);
    if (screen->scrolled) {
        screen->entry = line.entry;
        screen->row = line.row;
    }
    screen_changed(screen);
}

/* A line is seen on both pages. */
static size_t page_of_lines(void)
{
    return rows_of_lines() > 1 ? (size_t)rows_of_lines() - 1 : 1;
}

static void page_up(struct screen *screen)
{
    size_t rows = (size_t)rows_of_lines(), lines, back, most;

    if (!screen->conversation)
        return;
    lines = conversation_lines(screen->conversation, columns_of_lines());
    back = lines_below(screen);
    most = lines > rows ? lines - rows : 0;
    if (back >= most)
        screen->ops->top(screen->ctx);
    else
        scroll_to(screen, back + page_of_lines() < most ? back + page_of_lines() : most);
}

static void page_down(struct screen *screen)
{
    size_t back;

    if (!screen->conversation)
        return;
    back = lines_below(screen);
    scroll_to(screen, back > page_of_lines() ? back - page_of_lines() : 0);
}

/* Keys --------------------------------------------------------------------------------------------------- */

static void answer(struct screen *screen, bool yes)
{
    screen->question[0] = '\0';
    screen_changed(screen);
    screen->ops->answered(screen->ctx, yes);
}

/* Whether a key that comes now is an answer; else it is part of what is being typed, and the pause begins
 * again. */
static bool takes_answer(struct screen *screen)
{
    if (!screen->question[0] || screen->answerable == 0)
        return false;
    if (now_ms() >= screen->answerable)
        return true;
    screen->answerable = now_ms() + PAUSE_MS;
    return false;
}

static void answer_by_key(struct screen *screen, int key)
{
    if (key == 'y' || key == 'Y')
        answer(screen, true);
    else if (key == 'n' || key == 'N' || key == CTRL('c') || key == CTRL('d'))
        answer(screen, false);
    else
        screen_bell(screen);
}

/* What edits the line, whichever way it comes. */
static const struct binding {
    int key;
    enum edit_key does;
} bindings[] = {
    {CTRL('a'), EDIT_HOME},
    {KEY_HOME, EDIT_HOME},
    {CTRL('e'), EDIT_END},
    {KEY_END, EDIT_END},
    {CTRL('b'), EDIT_LEFT},
    {KEY_LEFT, EDIT_LEFT},
    {CTRL('f'), EDIT_RIGHT},
    {KEY_RIGHT, EDIT_RIGHT},
    {OWN_KEY_WORD_LEFT, EDIT_WORD_LEFT},
    {OWN_KEY_WORD_RIGHT, EDIT_WORD_RIGHT},
    {CTRL('h'), EDIT_BACKSPACE},
    {0x7f, EDIT_BACKSPACE},
    {KEY_BACKSPACE, EDIT_BACKSPACE},
    {CTRL('d'), EDIT_DELETE},
    {KEY_DC, EDIT_DELETE},
    {CTRL('w'), EDIT_KILL_WORD},
    {CTRL('u'), EDIT_KILL_TO_START},
    {CTRL('k'), EDIT_KILL_TO_END},
    {CTRL('y'), EDIT_YANK},
    {CTRL('t'), EDIT_TRANSPOSE},
    {KEY_UP, EDIT_OLDER},
    {KEY_DOWN, EDIT_NEWER},
};
#define BINDINGS (sizeof bindings / sizeof bindings[0])

static void edit_by_key(struct screen *screen, int key)
{
    for (size_t i = 0; i < BINDINGS; i++)
        if (bindings[i].key == key) {
            if (screen->hidden && (bindings[i].does == EDIT_OLDER || bindings[i].does == EDIT_NEWER))
                return; /* a password is neither among what was typed before nor replaced by that unseen */
            edit_key(screen->edit, bindings[i].does);
            screen_changed(screen);
            return;
        }
}

static bool is_line_empty(const struct screen *screen)
{
    return !screen->edit || edit_text(screen->edit, NULL)[0] == '\0';
}

static void interrupt(struct screen *screen)
{
    if (is_line_empty(screen)) {
        screen->ops->quit(screen->ctx);
        return;
    }
    edit_clear(screen->edit, false);
    screen_changed(screen);
}

/* How large the screen is; false: the terminal does not say. */
static bool read_size(int *rows, int *columns)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        return false;
    *rows = size.ws_row < ROWS_MAX ? size.ws_row : ROWS_MAX;
    *columns = size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
    return true;
}

static void resize(struct screen *screen)
{
    int rows, columns;

    if (!read_size(&rows, &columns))
        return;
    resizeterm(rows, columns);
    clearok(curscr, TRUE); /* who knows what the terminal has made of what was there */
    screen_changed(screen);
}

/* Ctrl-Z: the shell gets the terminal as it was, until it says "fg"; ncurses' handler of SIGTSTP sees to
 * that. */
static void suspend(struct screen *screen)
{
    terminal_leave();
    event_del(screen->continued);
    raise(SIGTSTP);
    event_add(screen->continued, NULL);
    terminal_take();
    resize(screen);
}

static void press(struct screen *screen, int key)
{
    if (key == KEY_RESIZE)
        return; /* ncurses tells what it was told by resize() */
    if (takes_answer(screen)) {
        answer_by_key(screen, key);
        return;
    }
    switch (key) {
    case '\r':
    case '\n':
    case KEY_ENTER:
        screen->scrolled = false;
        screen_changed(screen);
        screen->ops->entered(screen->ctx);
        return;
    case '\t':
        screen->ops->complete(screen->ctx);
        return;
    case CTRL('n'):
    case CTRL('p'):
        screen->ops->next_room(screen->ctx, key == CTRL('n') ? 1 : -1);
        return;
    case CTRL('c'):
        interrupt(screen);
        return;
    case CTRL('l'):
        clearok(curscr, TRUE);
        screen_changed(screen);
        return;
    case CTRL('z'):
        suspend(screen);
        return;
    case KEY_PPAGE:
        page_up(screen);
        return;
    case KEY_NPAGE:
        page_down(screen);
        return;
    default:
        break;
    }
    if (key == CTRL('d') && is_line_empty(screen))
        screen->ops->quit(screen->ctx);
    else if (screen->edit)
        edit_by_key(screen, key);
}

static void press_meta(struct screen *screen, int key)
{
    if (!screen->edit || screen->question[0])
        return;
    if (key == 'b' || key == 'B')
        edit_key(screen->edit, EDIT_WORD_LEFT);
    else if (key == 'f' || key == 'F')
        edit_key(screen->edit, EDIT_WORD_RIGHT);
    screen_changed(screen);
}

static void type(struct screen *screen, const char *text, size_t len)
{
    if (!screen->edit || !edit_insert(screen->edit, text, len))
        screen_bell(screen);
    screen_changed(screen);
}

/* Pastes ------------------------------------------------------------------------------------------------- */

static void paste_begin(struct screen *screen)
{
    free(screen->paste);
    screen->paste = malloc(SCREEN_PASTE_MAX);
    screen->paste_len = 0;
    screen->paste_stopped = false;
    screen->input = INPUT_PASTE;
}

static void paste_add(struct screen *screen, const char *bytes, size_t len)
{
    if (screen->paste && len <= SCREEN_PASTE_MAX - screen->paste_len) {
        memcpy(screen->paste + screen->paste_len, bytes, len);
        screen->paste_len += len;
    }
}

/* CRLF and CR, which terminals send for it, become LF; those at the end go.  Returns the length. */
static size_t tidy_lines(char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
            continue;
        text[n++] = (char)(text[i] == '\r' ? '\n' : text[i]);
    }
    while (n > 0 && text[n - 1] == '\n')
        n--;
    return n;
}

static void paste_end(struct screen *screen)
{
    char *text = screen->paste;
    size_t len = text ? tidy_lines(text, screen->paste_len) : 0;

    screen->paste = NULL;
    screen->input = INPUT_KEY;
    if (len == 0 || screen->question[0])
        screen_bell(screen);
    else if (!memchr(text, '\n', len))
        type(screen, text, len);
    else
        screen->ops->pasted(screen->ctx, text, len);
    free(text);
}

/* Input -------------------------------------------------------------------------------------------------- */

/* A whole character has come, which is not one of a key. */
static void take_char(struct screen *screen, wchar_t c)
{
    utf8proc_uint8_t bytes[4];
    size_t len = (size_t)utf8proc_encode_char(c, bytes);

    switch (screen->input) {
    case INPUT_PASTE:
        screen->paste_stopped = c == CTRL('c');
        if (!screen->paste_stopped)
            paste_add(screen, (const char *)bytes, len);
        return;
    case INPUT_META:
        screen->input = c == '[' || c == 'O' ? INPUT_SEQUENCE : INPUT_KEY;
        if (screen->input == INPUT_KEY)
            press_meta(screen, c);
        return;
    case INPUT_SEQUENCE: /* of a key that terminfo does not know: its end is a letter or the like */
        if (c >= 0x40 || c < ' ')
            screen->input = INPUT_KEY;
        if (c >= ' ')
            return;
        break; /* a sequence that has no end must not swallow Ctrl-C */
    case INPUT_KEY:
        break;
    }
    if (c == '\033')
        screen->input = INPUT_META;
    else if (c < ' ' || c == 0x7f || takes_answer(screen))
        press(screen, c);
    else
        type(screen, (const char *)bytes, len);
}

/* ncurses reads bytes and knows those of keys; characters are put together here, since their bytes may come
 * apart. */
static void take(struct screen *screen, int key)
{
    char byte = (char)key;
    wchar_t c;
    size_t len;

    if (key > 0xff) {
        if (key == OWN_KEY_PASTE)
            paste_begin(screen);
        else if (key == OWN_KEY_PASTED && screen->input == INPUT_PASTE)
            paste_end(screen);
        else if (screen->input != INPUT_PASTE)
            press(screen, key);
        return;
    }
    len = mbrtowc(&c, &byte, 1, &screen->partial);
    if (len == (size_t)-2)
        return;
    if (len == (size_t)-1) {
        memset(&screen->partial, 0, sizeof screen->partial);
        return;
    }
    take_char(screen, len == 0 ? L'\0' : c);
}

static bool is_gone(void)
{
    struct pollfd polled = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct screen *screen = ctx;
    int budget = KEYS_PER_TURN, key = ERR;

    while (budget > 0 && (key = getch()) != ERR) {
        take(screen, key);
        budget--;
    }
    if (key != ERR) {
        event_active(screen->readable, EV_READ,
                     0); /* the rest may be with ncurses, where no one tells of it */
        return;
    }
    if (screen->input == INPUT_META)
        screen->input = INPUT_KEY; /* Escape alone */
    if (screen->input == INPUT_PASTE && screen->paste_stopped)
        paste_end(screen); /* typed, since nothing follows: the paste has no end, and the person wants out */
    if (budget == KEYS_PER_TURN && is_gone()) {
        event_del(screen->readable);
        screen->ops->quit(screen->ctx);
    }
}

/* It was stopped without a word (SIGSTOP): whoever had the terminal since may have left it in any state. */
static void on_continued(evutil_socket_t fd, short what, void *ctx)
{
    terminal_leave();
    endwin(); /* the next frame begins anew */
    terminal_take();
    resize(ctx);
}

static void on_resized(evutil_socket_t fd, short what, void *ctx)
{
    resize(ctx);
}

/* The screen --------------------------------------------------------------------------------------------- */

/* newterm() asks the terminal itself how large it is, and believes all, unless the environment says it. */
static void bound_size(void)
{
    int rows, columns;
    char text[16];

    if (!read_size(&rows, &columns) || (rows < ROWS_MAX && columns < COLUMNS_MAX))
        return;
    snprintf(text, sizeof text, "%d", rows);
    setenv("LINES", text, 1);
    snprintf(text, sizeof text, "%d", columns);
    setenv("COLUMNS", text, 1);
}

struct screen *screen_create(struct event_base *base, bool colours, const struct screen_ops *ops, void *ctx,
                             const char **why)
{
    struct screen *screen;

    set_locale();
    *why = terminal_unfit();
    if (*why)
        return NULL;
    *why = "there is no memory";
    screen = calloc(1, sizeof *screen);
    if (!screen)
        return NULL;
    screen->ops = ops;
    screen->ctx = ctx;
    screen->readable = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_readable, screen);
    screen->resized = evsignal_new(base, SIGWINCH, on_resized, screen);
    screen->continued = evsignal_new(base, SIGCONT, on_continued, screen);
    screen->frame = evtimer_new(base, on_frame, screen);
    if (!screen->readable || !screen->resized || !screen->continued || !screen->frame)
        goto failed;
    /* Both before newterm(), which would put handlers of its own where there are none. */
    if (evsignal_add(screen->resized, NULL) != 0 || !terminal_keep())
        goto failed;
    bound_size();
    screen->terminal = newterm(NULL, stdout, stdin);
    if (!screen->terminal || event_add(screen->readable, NULL) != 0 ||
        evsignal_add(screen->continued, NULL) != 0) {
        *why = "the terminal could not be set up";
        goto failed;
    }
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    define_keys();
    if (colours)
        set_colours(screen);
    terminal_take();
    strcpy(screen->prompt, "> ");
    screen_changed(screen);
    *why = NULL;
    return screen;
failed:
    screen_destroy(screen);
    return NULL;
}

void screen_destroy(struct screen *screen)
{
    if (!screen)
        return;
    if (screen->terminal) {
        terminal_leave();
        endwin();
        delscreen(screen->terminal);
    }
    terminal_give_back();
    if (screen->readable)
        event_free(screen->readable);
    if (screen->resized)
        event_free(screen->resized);
    if (screen->continued)
        event_free(screen->continued);
    if (screen->frame)
        event_free(screen->frame);
    free(screen->paste);
    free(screen);
}

void screen_show(struct screen *screen, struct conversation *conversation, struct edit *edit)
{
    if (screen->conversation != conversation)
        screen->scrolled = false;
    screen->conversation = conversation;
    screen->edit = edit;
    screen_changed(screen);
}

static void set(struct screen *screen, char *to, const char *text)
{
    snprintf(to, STATUS_MAX_BYTES, "%s", text);
    screen_changed(screen);
}

void screen_set_status(struct screen *screen, const char *left, const char *brief, const char *right)
{
    set(screen, screen->left, left);
    set(screen, screen->brief, brief);
    set(screen, screen->right, right);
}

void screen_set_prompt(struct screen *screen, const char *prompt, bool hidden)
{
    screen->hidden = hidden;
    set(screen, screen->prompt, prompt);
}

void screen_ask(struct screen *screen, const char *question, bool expected)
{
    screen->expected = expected;
    screen->answerable = 0;
    set(screen, screen->question, question);
}

void screen_bell(struct screen *screen)
{
    beep();
}
