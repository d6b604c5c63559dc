/*
 * Each row of the table is one thing that a person may want: how it is called on the command line, in the
 * settings file, or in both, and who takes its value.  The sources are read from the weakest to the
 * strongest, so that a later value replaces an earlier one; the command line is parsed first, and its values
 * kept, so that "hubbub --help" helps whatever the settings file holds.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "name.h"
#include "settings.h"

#ifndef HUBBUB_VERSION
#define HUBBUB_VERSION "unknown"
#endif

#define BLANKS " \t\r\n"
#define PASSWORD_VARIABLE "HUBBUB_PASSWORD_FILE"

struct reading {
    struct options *options;
    char *password_file; /* as the settings file says; NULL: it does not */
    bool help, version;
    char error[1024];
};

enum row_number { NAME, ROOM, TAIL, JSON, SINCE, NO_BELL, HELP, VERSION, SERVER, BELL, PASSWORD, ROWS };

struct row {
    char letter;        /* of a short option, or 0 */
    const char *option; /* the name of a long one, or NULL */
    const char *key;    /* in the settings file, or NULL */
    const char *value;  /* what it is called in --help; NULL: it has none */
    bool (*take)(struct reading *reading, const char *value); /* false: the value is bad */
    const char *remedy;                                       /* what a good value looks like */
    const char *help;                                         /* of an option */
};

static void replace(char **text, const char *by)
{
    free(*text);
    *text = need(strdup(by));
}

static bool take_name(struct reading *reading, const char *value)
{
    char folded[NAME_MAX_BYTES];

    if (!name_fold(value, folded))
        return false;
    replace(&reading->options->name, value);
    return true;
}

static bool take_room(struct reading *reading, const char *value)
{
    char folded[ROOM_MAX_BYTES];

    if (!room_fold(value, folded))
        return false;
    replace(&reading->options->room, value);
    return true;
}

static bool take_server(struct reading *reading, const char *value)
{
    char host[256], port[8];
    unsigned short number;

    if (!address_parse_or(value, strlen(value), SERVER_PORT, host, sizeof host, &number))
        return false;
    snprintf(port, sizeof port, "%u", number);
    replace(&reading->options->host, host);
    replace(&reading->options->port, port);
    return true;
}

static bool take_since(struct reading *reading, const char *value)
{
    return id_from_decimal(value, &reading->options->since) && reading->options->since > 0;
}

static bool take_bell(struct reading *reading, const char *value)
{
    reading->options->bell = strcmp(value, "on") == 0;
    return reading->options->bell || strcmp(value, "off") == 0;
}

/* A path that depended on where one stands would be another file each time. */
static bool take_password_file(struct reading *reading, const char *value)
{
    const char *home = getenv("HOME");

    if (value[0] == '/') {
        replace(&reading->password_file, value);
        return true;
    }
    if (strncmp(value, "~/", 2) != 0 || !home)
        return false;
    free(reading->password_file);
    if (asprintf(&reading->password_file, "%s%s", home, value + 1) < 0)
        abort();
    return true;
}

static bool take_tail(struct reading *reading, const char *value)
{
    return reading->options->tail = true;
}

static bool take_json(struct reading *reading, const char *value)
{
    return reading->options->json = true;
}

static bool take_no_bell(struct reading *reading, const char *value)
{
    reading->options->bell = false;
    return true;
}

static bool take_help(struct reading *reading, const char *value)
{
    return reading->help = true;
}

static bool take_version(struct reading *reading, const char *value)
{
    return reading->version = true;
}

static const struct row rows[ROWS] = {
    [NAME] = {'u', NULL, "name", "NAME", take_name,
              "use 1 to 32 letters and digits of any script, _ - and ., but not \"server\"",
              "be called NAME; else what you are logged in as on this machine"},
    [ROOM] = {'r', NULL, "room", "ROOM", take_room, "use 1 to 64 letters and digits of any script, _ - and .",
              "enter ROOM; else " LOBBY},
    [TAIL] = {0, "tail", NULL, NULL, take_tail, NULL, "print what happens in the room, until interrupted"},
    [JSON] = {0, "json", NULL, NULL, take_json, NULL, "with --tail: as JSON, an object a line"},
    [SINCE] = {0, "since", NULL, "ID", take_since, "use the number that --tail --json shows as \"id\"",
               "with --tail: begin behind the event ID, not now"},
    [NO_BELL] = {0, "no-bell", NULL, NULL, take_no_bell, NULL, "do not ring when somebody names you"},
    [HELP] = {0, "help", NULL, NULL, take_help, NULL, "print this"},
    [VERSION] = {0, "version", NULL, NULL, take_version, NULL, "print the version"},
    [SERVER] = {0, NULL, "server", "HOST[:PORT]", take_server, "use HOST, HOST:PORT or [IPV6]:PORT", NULL},
    [BELL] = {0, NULL, "bell", "on or off", take_bell, "use on or off", NULL},
    [PASSWORD] = {0, NULL, "password_file", "FILE", take_password_file, "use a path that begins with / or ~/",
                  NULL},
};

/* Remembers what is wrong, as one line that is safe to print; returns false. */
static bool fail(struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct reading *reading, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->error, sizeof reading->error, format, arguments);
    va_end(arguments);
    for (unsigned char *at = (unsigned char *)reading->error; *at; at++) {
        /* U+0080 to U+009F: terminals obey them, too. */
        bool high = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;

        if (high || *at < ' ' || *at == 0x7f)
            *at = '?';
        if (high)
            *++at = '?';
    }
    return false;
}

/* The command line --------------------------------------------------------------------------------------- */

/* What getopt_long returns for the long options: behind what a char can be. */
#define LONG_OPTION 256

/* Writes how an option is given into `call` (CALL_MAX bytes), and returns it. */
#define CALL_MAX 32
static const char *call_of(const struct row *row, char *call)
{
    const char *space = row->value ? " " : "", *value = row->value ? row->value : "";

    if (row->letter)
        snprintf(call, CALL_MAX, "-%c%s%s", row->letter, space, value);
    else
        snprintf(call, CALL_MAX, "--%s%s%s", row->option, space, value);
    return call;
}

static void list_options(char *letters, struct option *longs)
{
    *letters++ = ':'; /* a missing value is told apart from an unknown option */
    for (int i = 0; i < ROWS; i++) {
        if (rows[i].letter) {
            *letters++ = rows[i].letter;
            if (rows[i].value)
                *letters++ = ':';
        }
        if (rows[i].option)
            *longs++ = (struct option){rows[i].option, rows[i].value ? required_argument : no_argument, NULL,
                                       LONG_OPTION + i};
    }
    *letters = '\0';
    *longs = (struct option){NULL, 0, NULL, 0};
}

static int row_of(int found)
{
    int i = found - LONG_OPTION;

    if (found < LONG_OPTION)
        for (i = 0; rows[i].letter != found; i++)
            ;
    return i;
}

/* Fills in given[row] for each option that is there. */
static bool parse_arguments(struct reading *reading, int argc, char **argv, const char **given)
{
    char letters[2 * ROWS + 2], call[CALL_MAX];
    struct option longs[ROWS + 1];
    int found;

    list_options(letters, longs);
    opterr = 0;
    optind = 0; /* begin anew */
    while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (found == ':')
            return fail(reading, "%s: its value is missing; use %s", argv[argc - 1],
                        call_of(&rows[row_of(optopt)], call));
        if (found == '?' && optopt >= LONG_OPTION)
            return fail(reading, "%s: it has no value; use %s", argv[optind - 1],
                        call_of(&rows[row_of(optopt)], call));
        if (found == '?' && optopt) /* one letter, maybe in the midst of others */
            return fail(reading, "-%c: there is no such option; see hubbub --help",
                        isascii(optopt) ? optopt : '?');
        if (found == '?')
            return fail(reading, "%s: there is no such option; see hubbub --help", argv[optind - 1]);
        given[row_of(found)] = optarg ? optarg : "";
    }
    if (optind < argc)
        given[SERVER] = argv[optind++];
    if (optind < argc)
        return fail(reading, "%s: there is one server at most, HOST[:PORT]; see hubbub --help", argv[optind]);
    reading->help = given[HELP];
    reading->version = given[VERSION];
    return true;
}

static bool take_arguments(struct reading *reading, const char *const *given)
{
    int lonely = given[JSON] ? JSON : SINCE; /* without --tail */

    for (int i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];

        if (!given[i] || row->take(reading, given[i]))
            continue;
        if (row->letter)
            return fail(reading, "-%c %s: %s", row->letter, given[i], row->remedy);
        if (row->option)
            return fail(reading, "--%s %s: %s", row->option, given[i], row->remedy);
        return fail(reading, "%s: %s", given[i], row->remedy);
    }
    if (given[lonely] && !given[TAIL])
        return fail(reading, "--%s: it needs --tail; add that", rows[lonely].option);
    return true;
}

/* The settings file -------------------------------------------------------------------------------------- */

/* NULL: there is no place for one.  The caller frees it. */
static char *settings_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME"), *between = "";
    char *path;

    if (!base || base[0] != '/') { /* a relative one does not count, its specification says */
        base = home;
        between = "/.config";
    }
    if (!base || base[0] != '/')
        return NULL;
    if (asprintf(&path, "%s%s/hubbub/client.conf", base, between) < 0)
        abort();
    return path;
}

/* Cuts off the blanks at both ends. */
static char *trim(char *text)
{
    char *end;

    text += strspn(text, BLANKS);
    end = text + strlen(text);
    while (end > text && strchr(BLANKS, end[-1]))
        end--;
    *end = '\0';
    return text;
}

/* A comment begins with a # at the start of the line or behind a blank. */
static void cut_comment(char *line)
{
    for (char *at = line; *at; at++)
        if (*at == '#' && (at == line || strchr(BLANKS, at[-1]))) {
            *at = '\0';
            return;
        }
}

static bool take_line(struct reading *reading, const char *path, unsigned number, char *line)
{
    char *key, *value;

    cut_comment(line);
    key = trim(line);
    if (!key[0])
        return true;
    value = strchr(key, '=');
    if (!value)
        return fail(reading, "%s:%u: %s: use key = value", path, number, key);
    *value++ = '\0';
    key = trim(key);
    value = trim(value);
    for (int i = 0; i < ROWS; i++) {
        if (!rows[i].key || strcmp(rows[i].key, key) != 0)
            continue;
        if (rows[i].take(reading, value))
            return true;
        return fail(reading, "%s:%u: %s = %s: %s", path, number, key, value, rows[i].remedy);
    }
    return fail(reading, "%s:%u: %s: there is no such key; see hubbub --help", path, number, key);
}

static bool read_settings_at(struct reading *reading, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    bool good = true;

    if (!file && (errno == ENOENT || errno == ENOTDIR))
        return true;
    if (!file)
        return fail(reading, "%s: %s; make it a file that you can read, or remove it", path, strerror(errno));
    for (unsigned number = 1; good && getline(&line, &size, file) >= 0; number++)
        good = take_line(reading, path, number, line);
    if (good && ferror(file))
        good = fail(reading, "%s: %s; make it a file that you can read, or remove it", path, strerror(errno));
    free(line);
    fclose(file);
    return good;
}

static bool read_settings(struct reading *reading)
{
    char *path = settings_path();
    bool good = !path || read_settings_at(reading, path);

    free(path);
    return good;
}

/* The password ------------------------------------------------------------------------------------------- */

/* Reads up to `size` bytes: without stdio, whose buffer would keep a copy.  -1: it cannot be read. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, buffer + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* `from` is how the file was named. */
static bool take_password(struct reading *reading, int fd, const char *from, const char *path)
{
    char line[PASSWORD_MAX_BYTES + 3]; /* CR, LF, and one that is too much */
    struct stat stat;
    ssize_t len;

    if (fstat(fd, &stat) < 0 || (len = read_all(fd, line, sizeof line)) < 0)
        return fail(reading, "%s%s: %s; name a file that you can read", from, path, strerror(errno));
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (stat.st_mode & 077)
        fail(reading, "%s%s: others may use this file, too: chmod 600 it", from, path);
    else if (len == 0)
        fail(reading, "%s%s: it is empty; put the password into its first line", from, path);
    else if (memchr(line, '\n', (size_t)len))
        fail(reading, "%s%s: it has several lines; the password is to be the only one", from, path);
    else if (len > PASSWORD_MAX_BYTES)
        fail(reading, "%s%s: it is too long; a password has %d bytes at most", from, path,
             PASSWORD_MAX_BYTES);
    else if (!text_is_utf8(line, (size_t)len))
        fail(reading, "%s%s: it is not UTF-8; a password is", from, path);
    else
        reading->options->password = need(strndup(line, (size_t)len));
    explicit_bzero(line, sizeof line);
    return reading->options->password;
}

static bool read_password(struct reading *reading)
{
    const char *path = getenv(PASSWORD_VARIABLE), *from = PASSWORD_VARIABLE "=";
    bool good;
    int fd;

    if (!path || !path[0]) {
        path = reading->password_file;
        from = "password_file = ";
    }
    if (!path)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail(reading, "%s%s: %s; name a file that you can read", from, path, strerror(errno));
    good = take_password(reading, fd, from, path);
    close(fd);
    return good;
}

/* All of it ---------------------------------------------------------------------------------------------- */

static void name_by_login(struct options *options)
{
    const char *login = getenv("LOGNAME");
    const struct passwd *entry = login && login[0] ? NULL : getpwuid(getuid());
    char folded[NAME_MAX_BYTES];

    if (entry)
        login = entry->pw_name;
    if (login && name_fold(login, folded))
        options->name = need(strdup(login));
}

static void take_defaults(struct options *options)
{
    const char *no_color = getenv("NO_COLOR");

    name_by_login(options);
    options->room = need(strdup(LOBBY));
    options->host = need(strdup(SERVER_DEFAULT));
    if (asprintf(&options->port, "%d", SERVER_PORT) < 0)
        abort();
    options->bell = true;
    options->colours = !no_color || !no_color[0]; /* as no-color.org says */
}

static void print_help(FILE *out)
{
    char call[CALL_MAX], line[64];

    fprintf(out,
            "hubbub: talk on a hubbub server, or let a script talk and listen\n\n"
            "  hubbub [OPTION...] [HOST[:PORT]]     on " SERVER_DEFAULT ":%d, if no server is named\n\n",
            SERVER_PORT);
    for (int i = 0; i < ROWS; i++)
        if (rows[i].letter || rows[i].option)
            fprintf(out, "  %-12s %s\n", call_of(&rows[i], call), rows[i].help);
    fprintf(out, "\nOn a terminal this is a conversation (/help says more).  Any other standard\n"
                 "input is said line by line; the exit status is 0 if all of it was accepted.\n\n"
                 "Lines of ~/.config/hubbub/client.conf ($XDG_CONFIG_HOME/hubbub/client.conf):\n");
    for (int i = 0, n = 0; i < ROWS; i++) /* three a line, so that all of it fits a screen */
        if (rows[i].key) {
            snprintf(line, sizeof line, "%s = %s", rows[i].key, rows[i].value);
            fprintf(out, ++n % 3 ? "  %-22s" : "  %s\n", line);
        }
    fputc('\n', out);
    fprintf(out, "The file that " PASSWORD_VARIABLE " names comes before password_file.\n");
}

int options_read(struct options *options, int argc, char **argv, FILE *out, FILE *errors)
{
    struct reading reading = {.options = options};
    const char *given[ROWS] = {NULL};
    int status = -1;

    *options = (struct options){.name = NULL};
    take_defaults(options);
    if (!parse_arguments(&reading, argc, argv, given)) {
        status = 2;
    } else if (reading.help) {
        print_help(out);
        status = 0;
    } else if (reading.version) {
        fprintf(out, "hubbub %s\n", HUBBUB_VERSION);
        status = 0;
    } else if (!read_settings(&reading) || !take_arguments(&reading, given) || !read_password(&reading)) {
        status = 2;
    }
    if (status == 2)
        fprintf(errors, "hubbub: %s\n", reading.error);
    if (status >= 0)
        options_finish(options);
    free(reading.password_file);
    if (status == 0 && fflush(out) != 0) {
        fprintf(errors, "hubbub: standard output cannot be written: %s\n", strerror(errno));
        return 1;
    }
    return status;
}

void options_finish(struct options *options)
{
    free(options->name);
    free(options->room);
    free(options->host);
    free(options->port);
    wipe(options->password);
    *options = (struct options){.name = NULL};
}
