#include "terminal.h"

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

static void restore_and_die(int number)
{
    if (restore.taken) {
        restore.taken = 0;
        (void)!write(STDOUT_FILENO, restore.bytes, restore.len);
        tcsetattr(STDIN_FILENO, TCSANOW, &restore.before);
    }
    raise(number); /* SA_RESETHAND: for good now, when this returns */
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
    restore.taken = 0;
    write_past(PASTE_OFF);
}

void terminal_give_back(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL}, old;

    if (!restore.kept)
        return;
    restore.kept = false;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &restore.before);
    for (size_t i = 0; i < FATAL; i++)
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == restore_and_die)
            sigaction(fatal[i], &action, NULL);
}
