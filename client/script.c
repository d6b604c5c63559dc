/*
 * Both modes keep a connection as an interactive client does.  But one that cannot be made in the first place
 * ends them: who wrote the script wants to know of a wrong address at once, and not be kept waiting for
 * years.
 */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>

#include "name.h"
#include "options.h"
#include "stay.h"

#define READ_BYTES 65536
#define AHEAD 100 /* so many lines at most are read and not answered yet */

/* A line that was read and has no fate yet. */
struct said {
    uint64_t number;
    unsigned long line;
};

struct script {
    const struct options *options;
    struct stay stay;
    struct event *input, *interrupt[2];
    struct event *reader; /* of standard output; NULL: it is none that can go away */
    FILE *page;           /* what is to be printed next: page_len bytes at page_text, when it is flushed */
    char *page_text;
    size_t page_len;
    int signals_fd; /* readable when one of `interrupts` waits to be delivered */
    bool was_connected;
    bool at_eof;                /* of standard input */
    bool ended;                 /* nothing more is read */
    bool failed;                /* `why` was told */
    int signal;                 /* that came, or 0 */
    char bytes[READ_BYTES + 1]; /* read and not said yet */
    size_t len;
    unsigned long line, answered; /* number of the last one said, and accepted */
    struct said said[AHEAD];      /* a ring, oldest at `first` */
    size_t first, n_said;
};

static const int interrupts[] = {SIGINT, SIGTERM};

/* One line says why, whatever a server has put in it; only the first counts. */
static void fail(struct script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct script *script, const char *format, ...)
{
    char why[WIRE_TEXT_MAX + 256];
    va_list args;

    if (script->failed)
        return;
    script->failed = true;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    for (char *at = why; *(at += strcspn(at, "\t\n"));)
        *at = ' ';
    fprintf(stderr, "hubbub: %s\n", why);
}

static void end(struct script *script, bool at_once)
{
    script->ended = true;
    if (script->input)
        event_del(script->input);
    session_leave(script->stay.session, at_once);
}

/* Says one line; false: it cannot be said. */
static bool say(struct script *script, char *text)
{
    uint64_t number;

    script->line++;
    if (text[strspn(text, " \t\r")] == '\0') /* nothing to say */
        return true;
    if (!text_clean(text)) {
        fail(script, "line %lu cannot be said: a text is 1 to %d bytes of UTF-8 without control characters",
             script->line, TEXT_MAX_BYTES);
        return false;
    }
    number = session_say(script->stay.session, script->options->room, NULL, text);
    if (number == 0) {
        fail(script, "line %lu cannot be said: out of memory", script->line);
        return false;
    }
    script->said[(script->first + script->n_said++) % AHEAD] = (struct said){number, script->line};
    return true;
}

/* Says the lines that are there; what is behind the last LF only at the end of the input. */
static void say_lines(struct script *script, bool at_end)
{
    char *at = script->bytes, *const behind = script->bytes + script->len;

    *behind = '\0';
    while (!script->ended && script->n_said < AHEAD && at < behind) {
        char *lf = memchr(at, '\n', (size_t)(behind - at));

        if (!lf && !at_end && (at > script->bytes || script->len < READ_BYTES))
            break;
        if (!lf)
            lf = behind; /* the last one, or one that is too long whatever follows */
        *lf = '\0';
        if (strlen(at) < (size_t)(lf - at)) {
            script->line++;
            fail(script, "line %lu cannot be said: there is a NUL byte in it", script->line);
            end(script, false);
        } else if (!say(script, at)) {
            end(script, false);
        }
        at = lf < behind ? lf + 1 : behind;
    }
    script->len = (size_t)(behind - at);
    memmove(script->bytes, at, script->len);
}

/* Reads on if there is room, and leaves when there is nothing more. */
static void go_on(struct script *script)
{
    if (script->ended)
        return;
    say_lines(script, script->at_eof);
    if (script->ended)
        return;
    if (script->at_eof && script->len == 0)
        end(script, false);
    else if (!script->at_eof && script->n_said < AHEAD)
        event_add(script->input, NULL);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct script *script = arg;
    ssize_t n = read(fd, script->bytes + script->len, READ_BYTES - script->len);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        event_add(script->input, NULL);
        return;
    }
    if (n < 0) {
        fail(script, "standard input cannot be read: %s", strerror(errno));
        end(script, false);
        return;
    }
    script->len += (size_t)n;
    script->at_eof = n == 0;
    go_on(script);
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
    struct script *script = arg;

    script->signal = fd;
    end(script, true);
}

static void changed(void *ctx, enum session_state from, enum session_state to, const char *why, int64_t pause)
{
    struct stay *stay = ctx;
    struct script *script = stay->owner;

    switch (to) {
    case SESSION_CONNECTED:
        script->was_connected = true;
        break;
    case SESSION_RECONNECTING:
        if (!script->was_connected) {
            fail(script, "%s", why ? why : "no connection");
            end(script, true);
        }
        break;
    case SESSION_DISCONNECTED:
        if (why && (!script->ended || script->n_said > 0))
            fail(script, "%s", why);
        stay_end(stay);
        break;
    default:
        break;
    }
}

static void fate(void *ctx, uint64_t number, enum session_fate fate, event_id id, const char *why)
{
    struct stay *stay = ctx;
    struct script *script = stay->owner;
    struct said *said = &script->said[script->first];

    if (script->n_said == 0 || said->number != number)
        return;
    if (fate == FATE_STALE) {
        fail(script, "line %lu may have been said or not: it was not answered for 9 minutes", said->line);
        end(script, true);
        return;
    }
    if (fate == FATE_REFUSED) {
        fail(script, "line %lu was not said: %s", said->line, why ? why : "the server refused it");
        end(script, true);
        return;
    }
    script->answered = said->line;
    script->first = (script->first + 1) % AHEAD;
    script->n_said--;
    go_on(script);
}

static void heard_nothing(void *ctx, const struct told *told)
{
}

static void script_loop(struct script *script)
{
    for (int i = 0; i < 2; i++) {
        script->interrupt[i] = evsignal_new(script->stay.base, interrupts[i], on_interrupt, script);
        if (!script->interrupt[i] || event_add(script->interrupt[i], NULL) < 0)
            abort();
    }
    session_start(script->stay.session);
    event_base_dispatch(script->stay.base);
    for (int i = 0; i < 2; i++)
        event_free(script->interrupt[i]);
    if (script->input)
        event_free(script->input);
    if (script->reader)
        event_free(script->reader);
    stay_finish(&script->stay);
}

static bool script_init(struct script *script, const struct options *options, const struct session_ops *ops)
{
    *script = (struct script){.options = options};
    if (!options->name)
        fail(script, "nobody said under which name: -u NAME");
    else if (!stay_init(&script->stay, options, NULL, ops, script))
        fail(script, "out of memory");
    else
        return true;
    return false;
}

int script_say(const struct options *options)
{
    static const struct session_ops ops = {.changed = changed, .heard = heard_nothing, .fate = fate};
    static struct script script;

    if (!script_init(&script, options, &ops))
        return 1;
    script.input = event_new(script.stay.base, STDIN_FILENO, EV_READ, on_input, &script);
    if (!script.input || event_add(script.input, NULL) < 0) {
        fail(&script, "standard input cannot be read: %s", strerror(errno));
        stay_finish(&script.stay);
        return 1;
    }
    script_loop(&script);
    if (script.signal)
        fail(&script, "interrupted; the lines up to %lu were said", script.answered);
    else if (script.n_said > 0)
        fail(&script, "the lines from %lu on were not said", script.said[script.first].line);
    return script.signal ? 128 + script.signal : script.failed ? 1 : 0;
}

/* Tailing ------------------------------------------------------------------------------------------------ */

/* What is printed of a kind: its type as on the wire. */
static const char *type_of(enum told_kind kind)
{
    switch (kind) {
    case TOLD_MESSAGE:
        return "message";
    case TOLD_DIRECT:
        return "direct";
    case TOLD_JOINED:
        return "joined";
    case TOLD_LEFT:
        return "left";
    case TOLD_GAP:
        return "gap";
    default:
        return NULL;
    }
}

static void set(json_t *object, const char *key, const char *value)
{
    if (value)
        json_object_set_new(object, key, json_string(value));
}

static void set_id(json_t *object, const char *key, event_id id)
{
    char text[ID_TEXT_MAX];

    if (id)
        set(object, key, id_to_decimal(id, text));
}

/* With ASCII alone, so that no terminal and no encoding gets in its way. */
static void print_json(FILE *out, const struct told *told)
{
    json_t *object = json_object();
    char at[ID_TEXT_MAX];
    char *text;

    set(object, "type", type_of(told->kind));
    set(object, "from", told->from);
    set(object, "to", told->to);
    set(object, "data", told->data);
    set(object, "room", told->room);
    set_id(object, "id", told->id);
    set_id(object, "after", told->after);
    set_id(object, "until", told->until);
    if (told->at_ms)
        set(object, "at", time_text((uint64_t)told->at_ms, at));
    text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!text)
        abort();
    fprintf(out, "%s\n", text);
    free(text);
    json_decref(object);
}

/* "TIME ROOM NAME: TEXT"; each line of a text with all of that, so that none can look like somebody else's.
 */
static void print_line(FILE *out, const struct told *told)
{
    const char *text = told->data ? told->data : "";
    char at[ID_TEXT_MAX] = "";

    time_text((uint64_t)(told->at_ms ? told->at_ms : stay_time()), at);
    for (;;) {
        int len = (int)strcspn(text, "\n");

        if (told->kind == TOLD_MESSAGE)
            fprintf(out, "%s %s %s: %.*s\n", at, told->room, told->from, len, text);
        else if (told->kind == TOLD_DIRECT)
            fprintf(out, "%s > %s: %.*s\n", at, told->from, len, text);
        else
            fprintf(out, "%s %s * %.*s\n", at, told->room ? told->room : ">", len, text);
        if (text[len] == '\0')
            return;
        text += len + 1;
    }
}

/*
 * Writes the page; errno says why not, EINTR that a signal waits.  A reader that stalls stalls this, and so
 * the server, but must not keep a signal from ending it: so both are waited for, with signals blocked lest
 * one comes in between, and no more is written at once than a pipe takes that has room at all.
 */
static bool write_page(const struct script *script)
{
    struct pollfd polled[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                              {.fd = script->signals_fd, .events = POLLIN}};
    const char *at = script->page_text, *const behind = at + script->page_len;

    while (at < behind) {
        size_t len = (size_t)(behind - at);
        ssize_t n;

        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return false;
        if (polled[1].revents) {
            errno = EINTR;
            return false;
        }
        n = write(STDOUT_FILENO, at, len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        at += n > 0 ? n : 0;
    }
    return true;
}

static bool print_page(struct script *script)
{
    sigset_t blocked, before;
    bool good;

    if (fflush(script->page) != 0)
        abort();
    sigemptyset(&blocked);
    for (int i = 0; i < 2; i++)
        sigaddset(&blocked, interrupts[i]);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    good = write_page(script);
    sigprocmask(SIG_SETMASK, &before, NULL); /* what waits is delivered, and heard of by on_interrupt */
    rewind(script->page);
    return good;
}

static void heard(void *ctx, const struct told *told)
{
    struct stay *stay = ctx;
    struct script *script = stay->owner;

    if (!type_of(told->kind) || script->ended)
        return;
    if (script->options->json)
        print_json(script->page, told);
    else
        print_line(script->page, told);
    if (print_page(script))
        return;
    if (errno != EPIPE && errno != EINTR) /* else who reads has seen enough */
        fail(script, "standard output cannot be written: %s", strerror(errno));
    end(script, true);
}

static void on_reader(evutil_socket_t fd, short what, void *arg)
{
    end(arg, true);
}

/* Notices when the other end of a pipe is closed, though nothing is to be printed: so that `hubbub --tail |
 * head -1` ends with head.  The end that is written to is never readable otherwise. */
static void watch_reader(struct script *script)
{
    struct stat out;

    if (fstat(STDOUT_FILENO, &out) < 0 || !S_ISFIFO(out.st_mode) ||
        (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) != O_WRONLY)
        return;
    script->reader = event_new(script->stay.base, STDOUT_FILENO, EV_READ, on_reader, script);
    if (!script->reader || event_add(script->reader, NULL) < 0)
        abort();
}

static void open_page(struct script *script)
{
    sigset_t set;

    sigemptyset(&set);
    for (int i = 0; i < 2; i++)
        sigaddset(&set, interrupts[i]);
    script->signals_fd = signalfd(-1, &set, SFD_CLOEXEC);
    script->page = open_memstream(&script->page_text, &script->page_len);
    if (script->signals_fd < 0 || !script->page)
        abort();
}

static void close_page(struct script *script)
{
    fclose(script->page);
    free(script->page_text);
    close(script->signals_fd);
}

int script_tail(const struct options *options)
{
    static const struct session_ops ops = {.changed = changed, .heard = heard, .fate = fate};
    static struct script script;

    if (!script_init(&script, options, &ops))
        return 1;
    watch_reader(&script);
    open_page(&script);
    script_loop(&script);
    close_page(&script);
    return script.failed ? 1 : 0;
}
