#include "command.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "accounts.h"
#include "log.h"
#include "name.h"

#define LINE_BYTES 512

bool command_is(int argc, char **argv)
{
    return argc > 1 && (strcmp(argv[1], "passwd") == 0 || strcmp(argv[1], "forget") == 0);
}

int command_arguments(int argc)
{
    if (argc == 3)
        return -1;
    fprintf(stderr, "usage: hubbub-store passwd NAME, or hubbub-store forget NAME\n");
    return 2;
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

/* What interrupts who types a password: the echo must be given back first. */
static const int interrupts[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};
#define INTERRUPTS (sizeof interrupts / sizeof interrupts[0])

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    interrupted = number;
}

/* Waits until a line was typed, or an interrupt came: they are blocked but in here, so none is passed over.
 */
static bool wait_typed(const sigset_t *mask)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

    return !interrupted && ppoll(&fd, 1, NULL, mask) > 0;
}

/* From the terminal, without echo.  After an interrupt that does not end us (SIGTSTP) it is to be called
 * again. */
static bool read_silently(const char *prompt, char line[LINE_BYTES], const struct termios *before)
{
    struct sigaction action = {.sa_handler = on_interrupt}, handlers[INTERRUPTS]; /* no SA_RESTART */
    struct termios silent = *before;
    sigset_t blocked, mask;
    bool read;

    interrupted = 0;
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (size_t i = 0; i < INTERRUPTS; i++) {
        sigaddset(&blocked, interrupts[i]);
        sigaction(interrupts[i], &action, &handlers[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL;
    fprintf(stderr, "%s: ", prompt);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    read = wait_typed(&mask) && read_line(line);
    clearerr(stdin);
    if (interrupted)
        fputc('\n', stderr);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
    for (size_t i = 0; i < INTERRUPTS; i++)
        sigaction(interrupts[i], &handlers[i], NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (interrupted)
        raise(interrupted);
    return read;
}

/* From the terminal without echo, or from whatever else the standard input is. */
static bool read_password(const char *prompt, char line[LINE_BYTES])
{
    struct termios before;
    bool read;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
        return read_line(line);
    do
        read = read_silently(prompt, line, &before);
    while (interrupted);
    return read;
}

/* Reads the new password; at a terminal twice, since nobody sees it. */
static bool ask_password(char password[LINE_BYTES])
{
    char again[LINE_BYTES];
    bool same;

    if (!read_password("New password", password) || !password_is_good(password) ||
        !text_is_utf8(password, strlen(password))) {
        fail("a password has 8 to 128 bytes of UTF-8");
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

/* Why it failed was said; where it would work is a guess, since nothing answers here. */
static int fail_to_reach(const char *what, const char *command)
{
    fprintf(stderr,
            "hubbub-store: %s cannot be reached from here. Under make up: make %s NAME=...; in containers: "
            "docker compose exec store hubbub-store %s NAME\n",
            what, command, command);
    return 1;
}

static int say(const char *name, enum account_change change, bool forgotten)
{
    if (change == ACCOUNT_FAILED)
        return fail("PostgreSQL or Redis did not do it; see above");
    if (change == ACCOUNT_NONE) {
        fprintf(stderr, "hubbub-store: %s is no account\n", name);
        return 1;
    }
    if (forgotten) {
        log_info("account_forgotten", "name=%s", name);
        printf("%s is a guest's name again\n", name);
    } else {
        log_info("password_set", "name=%s", name);
        printf(change == ACCOUNT_MADE ? "%s is an account now\n" : "the password of %s was changed\n", name);
    }
    return 0;
}

/* Does it; the exit status. */
static int do_it(struct worker *worker, bool forgets, const char *name, const char *shown,
                 const char *password)
{
    const char *command = forgets ? "forget" : "passwd";
    enum account_change change;

    if (!worker_reach_database(worker)) {
        fprintf(stderr, "hubbub-store: HUBBUB_POSTGRES_URL: %s\n", database_error(worker->database));
        return fail_to_reach("PostgreSQL", command);
    }
    change = forgets ? accounts_forget(worker, name) : accounts_set(worker, name, shown, password);
    if (change == ACCOUNT_FAILED && worker->link.backoff.failures > 0)
        return fail_to_reach("Redis", command);
    return say(name, change, forgets);
}

int command_run(char **argv, const struct settings *settings)
{
    bool forgets = strcmp(argv[1], "forget") == 0;
    char name[NAME_MAX_BYTES], password[LINE_BYTES];
    struct worker worker;
    int status;

    if (!name_fold(argv[2], name))
        return fail("that is no name");
    if (!forgets && !ask_password(password))
        return 1;
    if (!worker_init(&worker, settings, NULL))
        return fail("out of memory");
    status = do_it(&worker, forgets, name, argv[2], password);
    sodium_memzero(password, sizeof password);
    worker_finish(&worker);
    return status;
}
