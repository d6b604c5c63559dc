#include "command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "accounts.h"
#include "name.h"

#define LINE_BYTES 512

bool command_is(int argc, char **argv)
{
    return argc == 3 && (strcmp(argv[1], "passwd") == 0 || strcmp(argv[1], "forget") == 0);
}

static int fail(const char *what)
{
    fprintf(stderr, "hubbub-store: %s\n", what);
    return 1;
}

/* Reads one line into `line` without its end; false if there is none, or if it is too long. */
static bool read_line(char line[LINE_BYTES])
{
    size_t len;

    if (!fgets(line, LINE_BYTES, stdin))
        return false;
    len = strcspn(line, "\r\n");
    if (line[len] == '\0' && !feof(stdin))
        return false;
    line[len] = '\0';
    return true;
}

/*
 * From the terminal without echo, or from whatever else the standard input is.  Who interrupts meanwhile gets
 * his echo back first.
 */
static bool read_password(const char *prompt, char line[LINE_BYTES])
{
    struct termios before, silent;
    sigset_t interrupts, mask;
    bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0, read;

    if (is_terminal) {
        sigemptyset(&interrupts);
        sigaddset(&interrupts, SIGINT);
        sigaddset(&interrupts, SIGQUIT);
        sigaddset(&interrupts, SIGTSTP);
        sigprocmask(SIG_BLOCK, &interrupts, &mask);
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        silent.c_lflag |= ECHONL;
        fprintf(stderr, "%s: ", prompt);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    read = read_line(line);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        sigprocmask(SIG_SETMASK, &mask, NULL);
    }
    return read;
}

/* Reads the new password; at a terminal twice, since nobody sees it. */
static bool ask_password(char password[LINE_BYTES])
{
    char again[LINE_BYTES];
    bool same;

    if (!read_password("New password", password) || !password_is_good(password) ||
        !text_is_utf8(password, strlen(password))) {
        fail("a password has 8 to 128 bytes");
        return false;
    }
    if (!isatty(STDIN_FILENO))
        return true;
    same = read_password("Once more", again) && strcmp(password, again) == 0;
    sodium_memzero(again, sizeof again);
    if (!same)
        fail("that was another one; nothing was changed");
    return same;
}

static int say(const char *name, enum account_change change, bool forgotten)
{
    if (change == ACCOUNT_FAILED)
        return fail("PostgreSQL or Redis did not do it; see above");
    if (change == ACCOUNT_NONE) {
        fprintf(stderr, "hubbub-store: %s is no account\n", name);
        return 1;
    }
    if (forgotten)
        printf("%s is a guest's name again\n", name);
    else
        printf(change == ACCOUNT_MADE ? "%s is an account now\n" : "the password of %s was changed\n", name);
    return 0;
}

int command_run(char **argv, const struct settings *settings)
{
    bool forgets = strcmp(argv[1], "forget") == 0;
    char name[NAME_MAX_BYTES], password[LINE_BYTES];
    enum account_change change = ACCOUNT_FAILED;
    struct worker worker;

    if (!name_fold(argv[2], name))
        return fail("that is no name");
    if (!forgets && !ask_password(password))
        return 1;
    if (!worker_init(&worker, settings, NULL))
        return fail("out of memory");
    if (worker_reach_database(&worker))
        change = forgets ? accounts_forget(&worker, name) : accounts_set(&worker, name, argv[2], password);
    else
        fprintf(stderr, "hubbub-store: HUBBUB_POSTGRES_URL: %s\n", database_error(worker.database));
    sodium_memzero(password, sizeof password);
    worker_finish(&worker);
    return say(name, change, forgets);
}
