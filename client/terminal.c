#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <ncurses.h>
#include <term.h>

#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

/* What a dying program needs to give the terminal back, made before: a handler may hardly call anything. */
static struct {
    volatile sig_atomic_t taken;
    bool kept;
    struct termios before;
    char bytes[256];
    size_t len;
} restore;

static const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGTERM};
#define FATAL (sizeof fatal / sizeof fatal[0])

/* What the program does itself at the signals of terminal_bound_end(), and the one that came. */
static void (*handlers[NSIG])(int);
static volatile sig_atomic_t ending;

static void restore_and_die(int number)
{
    if (restore.taken) {
        restore.taken = 0;
        (void)!write(STDOUT_FILENO, restore.bytes, restore.len);
        tcsetattr(STDIN_FILENO, TCSANOW, &restore.before);
    }
    raise(number); /* SA_RESETHAND: for good now, when this returns */
}

/* Nothing waits for the terminal here.  What has stopped it stopped a program that is no more. */
static void give_up(int alarmed)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    if (restore.kept)
        tcsetattr(STDIN_FILENO, TCSANOW, &restore.before);
    if (restore.taken && flags >= 0) {
        tcflow(STDOUT_FILENO, TCOON);
        fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
        (void)!write(STDOUT_FILENO, restore.bytes, restore.len);
        fcntl(STDOUT_FILENO, F_SETFL, flags); /* others have it, too */
    }
    signal(ending, SIG_DFL);
    raise(ending);
}

static void begin_end(int number)
{
    ending = number;
    alarm(TERMINAL_END_SECONDS);
    handlers[number](number);
}

bool terminal_bound_end(int number)
{
    struct sigaction old, action = {.sa_handler = begin_end, .sa_flags = SA_RESTART};
    struct sigaction last = {.sa_handler = give_up};

    if (sigaction(number, NULL, &old) != 0)
        return false;
    handlers[number] = old.sa_handler;
    return sigaction(SIGALRM, &last, NULL) == 0 && sigaction(number, &action, NULL) == 0;
}

static void add_capability(const char *name)
{
    const char *bytes = tigetstr(name);
    size_t len;

    if (!bytes || bytes == (const char *)-1)
        return;
    len = strcspn(bytes, "$"); /* what follows is a delay, of terminals of the past */
    if (len > sizeof restore.bytes - restore.len)
        return;
    memcpy(restore.bytes + restore.len, bytes, len);
    restore.len += len;
}

static void prepare_restore(void)
{
    restore.len = strlen(PASTE_OFF);
    memcpy(restore.bytes, PASTE_OFF, restore.len);
    add_capability("sgr0");
    add_capability("cnorm");
    add_capability("rmkx");
    add_capability("rmcup");
}

const char *terminal_unfit(void)
{
    const char *term = getenv("TERM");
    const char *move;
    int error;

    if (!isatty(STDIN_FILENO))
        return "there is no terminal";
    if (!isatty(STDOUT_FILENO))
        return "standard output is no terminal";
    if (!term || !*term)
        return "TERM is not set";
    if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
        return "the terminal is unknown: terminfo has no entry for TERM";
    move = tigetstr("cup");
    del_curterm(cur_term); /* newterm() makes its own */
    return move && move != (const char *)-1 ? NULL : "the terminal cannot move its cursor";
}

bool terminal_keep(void)
{
    struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = (int)SA_RESETHAND}, old;

    if (tcgetattr(STDIN_FILENO, &restore.before) != 0)
        return false;
    restore.kept = true;
    for (size_t i = 0; i < FATAL; i++)
        if (sigaction(fatal[i], NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
            sigaction(fatal[i], &action, NULL);
    return true;
}

/* Past ncurses, which knows nothing of pastes. */
static void write_past(const char *bytes)
{
    (void)!write(STDOUT_FILENO, bytes, strlen(bytes));
}

void terminal_take(void)
{
    prepare_restore();
    restore.taken = 1;
    write_past(PASTE_ON);
}

void terminal_leave(void)
{
    write_past(PASTE_OFF);
}

/*
 * O_NONBLOCK belongs to the open file: set on standard input, the shell would have it, too.  Where that is
 * not our controlling terminal, no key makes a signal, and nothing is thrown away.
 */
int terminal_input(void)
{
    int fd = -1;

    if (tcgetsid(STDIN_FILENO) == getsid(0))
        fd = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 ? fd : dup(STDIN_FILENO);
}

void terminal_echo(bool on)
{
    struct termios terminal;
    tcflag_t echo = on ? restore.before.c_lflag & ECHO : 0;

    if (!restore.kept || tcgetattr(STDIN_FILENO, &terminal) != 0 || (terminal.c_lflag & ECHO) == echo)
        return;
    terminal.c_lflag = (terminal.c_lflag & ~(tcflag_t)ECHO) | echo;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

void terminal_give_back(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, old;

    if (!restore.kept)
        return;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &restore.before);
    restore.kept = false;
    restore.taken = 0; /* not before: what was written until here may have waited for ever */
    for (size_t i = 0; i < FATAL; i++)
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == restore_and_die)
            sigaction(fatal[i], &action, NULL);
}
