#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "name.h"

#ifndef HUBBUB_VERSION
#define HUBBUB_VERSION "unknown"
#endif

#define PREFIX "HUBBUB_"
#define SECRET_MAX 1024

enum setting_type {
    SETTING_TEXT,
    SETTING_NUMBER,
    SETTING_SECRET,  /* may also come from the file that NAME_FILE names */
    SETTING_FOREIGN, /* the client's alone: known here, and not read */
};

struct setting {
    const char *name; /* without the prefix */
    unsigned programs;
    enum setting_type type;
    size_t offset;
    const char *fallback;
    long min, max;
    bool (*good)(const char *value); /* NULL: anything */
    const char *remedy;              /* what a good value looks like */
    const char *help;
};

static bool good_redis_url(const char *value)
{
    struct redis_address addresses[REDIS_SERVERS_MAX];

    return redis_addresses(value, addresses) > 0;
}

static bool good_address(const char *value)
{
    char host[256];
    unsigned short port;

    return address_parse(value, strlen(value), host, sizeof host, &port);
}

static bool good_store_listen(const char *value)
{
    return value[0] == '\0' || good_address(value);
}

static bool good_store_url(const char *value)
{
    struct store_address addresses[STORES_MAX];

    return value[0] == '\0' || store_addresses(value, addresses) > 0;
}

static bool good_guests(const char *value)
{
    return strcmp(value, "allow") == 0 || strcmp(value, "deny") == 0;
}

static bool good_level(const char *value)
{
    enum log_level level;

    return log_level_parse(value, &level);
}

/* A gateway's name becomes part of keys and session ids: "-" separates there, so it is not allowed. */
static bool good_gateway(const char *value)
{
    size_t len = strlen(value);

    if (len > 32)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)value[i]) && value[i] != '_' && value[i] != '.')
            return false;
    return true;
}

static bool good_postgres_url(const char *value)
{
    return strncmp(value, "postgresql://", 13) == 0 || strncmp(value, "postgres://", 11) == 0;
}

#define TEXT(field) SETTING_TEXT, offsetof(struct settings, field)
#define NUMBER(field) SETTING_NUMBER, offsetof(struct settings, field)
#define SECRET(field) SETTING_SECRET, offsetof(struct settings, field)
#define BOTH (PROGRAM_GATEWAY | PROGRAM_STORE)

static const struct setting table[] = {
    {"GATEWAY", PROGRAM_GATEWAY, TEXT(gateway), "", 0, 0, good_gateway,
     "use up to 32 letters, digits, _ and .",
     "Name of this gateway in logs, `sessions` and `welcome`. Empty: the host's name."},
    {"LISTEN", PROGRAM_GATEWAY, TEXT(listen),
     "json://0.0.0.0:7000,line://0.0.0.0:4000,command://0.0.0.0:5555,gob://0.0.0.0:8080,"
     "prompt://0.0.0.0:9999",
     0, 0, NULL, "use dialect://address:port, separated by commas",
     "Where clients are taken, `dialect://address:port`, separated by commas. `?idle=SECONDS` closes clients "
     "that send nothing for so long (default 60 for `line`, none for the others). `?proxy=1` is for a port "
     "that only a proxy reaches, and demands the PROXY header (version 1 or 2) that tells the client's "
     "address; without it one is refused. Both: `?proxy=1&idle=60`."},
    {"HTTP_LISTEN", PROGRAM_GATEWAY, TEXT(http_listen), "0.0.0.0:9100", 0, 0, good_address,
     "use address:port", "Where `/healthz` and `/readyz` are answered."},
    {"REDIS_URL", BOTH, TEXT(redis_url), "redis://127.0.0.1:6379", 0, 0, good_redis_url,
     "use redis://host:port, up to 8 of them, separated by commas",
     "The Redis servers; lane L lives on server L mod n."},
    {"REDIS_PASSWORD", BOTH, SECRET(redis_password), "", 0, 0, NULL, "", "Password of the Redis servers."},
    {"POSTGRES_URL", PROGRAM_STORE, TEXT(postgres_url), "postgresql://hubbub_store@127.0.0.1:5432/hubbub", 0,
     0, good_postgres_url,
     "use a libpq connection URI, as in postgresql://hubbub_store@127.0.0.1:5432/hubbub",
     "The PostgreSQL database, as a libpq connection URI."},
    {"POSTGRES_PASSWORD", PROGRAM_STORE, SECRET(postgres_password), "", 0, 0, NULL, "",
     "Password of the PostgreSQL role."},
    {"RETENTION_DAYS", PROGRAM_STORE, NUMBER(retention_days), "0", 0, 36500, NULL, "",
     "Months of the history all of whose days are older than this many days are dropped. 0: none is."},
    {"HEALTH_FILE", PROGRAM_STORE, TEXT(health_file), "", 0, 0, NULL, "",
     "A file that the store touches every second while Redis and PostgreSQL both answer. Empty: none."},
    {"STORE_LISTEN", PROGRAM_STORE, TEXT(store_listen), "127.0.0.1:7400", 0, 0, good_store_listen,
     "use address:port, or nothing",
     "Where gateways ask the store for what they cannot know: passwords, old history. Only gateways may "
     "reach "
     "it. Empty: nowhere."},
    {"STORE_URL", PROGRAM_GATEWAY, TEXT(store_url), "store://127.0.0.1:7400", 0, 0, good_store_url,
     "use store://host:port, up to 8 of them, separated by commas, or nothing",
     "The stores to ask, `store://host[:port]`, separated by commas; each name may have several addresses, "
     "and "
     "any store may answer. Empty: there is none, and what needs one is `unavailable`."},
    {"STORE_SECRET", BOTH, SECRET(store_secret), "", 0, 0, NULL, "",
     "What a gateway says to a store so that it is answered: the same for both. Empty: none is asked."},
    {"STORE_WORKERS", PROGRAM_STORE, NUMBER(store_workers), "4", 1, 64, NULL, "",
     "Threads, each with a connection to PostgreSQL, that answer what gateways ask."},
    {"PASSWORD_WORKERS", PROGRAM_STORE, NUMBER(password_workers), "2", 1, 16, NULL, "",
     "Threads, each with a connection to PostgreSQL, that check passwords."},
    {"PASSWORD_OPS", PROGRAM_STORE, NUMBER(password_ops), "2", 1, 20, NULL, "",
     "How often argon2id passes over its memory. A password that was kept with another value is hashed anew "
     "at "
     "its next log-in."},
    {"PASSWORD_MEMORY", PROGRAM_STORE, NUMBER(password_memory), "64", 8, 1024, NULL, "",
     "MiB of memory that argon2id takes for each password under way. The same holds."},
    {"GUESTS", PROGRAM_GATEWAY, TEXT(guests), "allow", 0, 0, good_guests, "use allow or deny",
     "Whether people may log in without an account: allow or deny.  With deny, accounts are made by "
     "`hubbub-store passwd NAME` alone."},
    {"LOG_LEVEL", BOTH, TEXT(log_level), "info", 0, 0, good_level, "use debug, info, warn or error",
     "The least level that is logged: debug, info, warn or error."},
    {"LOGIN_TIMEOUT", PROGRAM_GATEWAY, NUMBER(login_timeout), "30", 1, 3600, NULL, "",
     "Seconds after which a client that has not logged in is closed."},
    {"RATE", PROGRAM_GATEWAY, NUMBER(rate), "20", 0, 1000000, NULL, "",
     "Requests a second that a client may send for long. 0: no limit."},
    {"BURST", PROGRAM_GATEWAY, NUMBER(burst), "40", 1, 1000000, NULL, "",
     "Requests that a client may send at once."},
    {"NOTICE_MAX", BOTH, NUMBER(notice_max), "200", 0, 1000000, NULL, "",
     "Rooms with more members than this are not told who joined and left."},
    {"MAX_CLIENTS", PROGRAM_GATEWAY, NUMBER(max_clients), "0", 0, 1000000, NULL, "",
     "Connections that this gateway takes in all; who is above is told `server-full`. 0: no limit."},
    {"MAX_PER_ADDRESS", PROGRAM_GATEWAY, NUMBER(max_per_address), "0", 0, 1000000, NULL, "",
     "Connections that this gateway takes from one address (the client's own, if a PROXY header tells it). "
     "0: no limit."},
    {"DRAIN", PROGRAM_GATEWAY, NUMBER(drain), "10", 1, 3600, NULL, "",
     "Seconds that a gateway may take to end after SIGTERM."},
    {"PASSWORD_FILE", PROGRAM_CLIENT, SETTING_FOREIGN, 0, "", 0, 0, NULL, "",
     "The file with the password with which the client `hubbub` logs in: one line, in a file that only its "
     "owner "
     "may read."},
};

#define COUNT (sizeof table / sizeof table[0])

bool address_parse(const char *text, size_t len, char *host, size_t size, unsigned short *port)
{
    const char *end = text + len, *colon = NULL, *host_end;
    unsigned long number = 0;

    for (const char *at = text; at < end; at++)
        if (*at == ':')
            colon = at;
    if (!colon || colon + 1 == end || end - colon > 6)
        return false;
    for (const char *at = colon + 1; at < end; at++) {
        if (!isdigit((unsigned char)*at))
            return false;
        number = number * 10 + (unsigned long)(*at - '0');
    }
    host_end = colon;
    if (*text == '[' && colon > text + 1 && colon[-1] == ']') {
        text++;
        host_end--;
    } else if (memchr(text, ':', (size_t)(colon - text))) {
        return false; /* an IPv6 address needs its brackets */
    }
    if (host_end == text || (size_t)(host_end - text) >= size || number == 0 || number > USHRT_MAX)
        return false;
    memcpy(host, text, (size_t)(host_end - text));
    host[host_end - text] = '\0';
    *port = (unsigned short)number;
    return true;
}

size_t redis_addresses(const char *url, struct redis_address addresses[REDIS_SERVERS_MAX])
{
    static const char scheme[] = "redis://";
    size_t n = 0;

    for (const char *at = url;; at++) {
        size_t len = strcspn(at, ",");

        if (n == REDIS_SERVERS_MAX || strncmp(at, scheme, sizeof scheme - 1) != 0)
            return 0;
        if (!address_parse(at + sizeof scheme - 1, len - (sizeof scheme - 1), addresses[n].host,
                           sizeof addresses[n].host, &addresses[n].port))
            return 0;
        n++;
        at += len;
        if (*at == '\0')
            return n;
    }
}

bool address_parse_or(const char *text, size_t len, unsigned short fallback, char *host, size_t size,
                      unsigned short *port)
{
    const char *end = text + len, *behind = len > 0 && *text == '[' ? memchr(text, ']', len) : text;
    char whole[256 + sizeof ":65535"];

    if (!behind || len >= 256)
        return false;
    if (memchr(behind, ':', (size_t)(end - behind)))
        return address_parse(text, len, host, size, port);
    snprintf(whole, sizeof whole, "%.*s:%u", (int)len, text, fallback);
    return address_parse(whole, strlen(whole), host, size, port);
}

size_t store_addresses(const char *url, struct store_address addresses[STORES_MAX])
{
    static const char scheme[] = "store://";
    size_t n = 0;

    for (const char *at = url;; at++) {
        size_t len = strcspn(at, ",");

        if (n == STORES_MAX || strncmp(at, scheme, sizeof scheme - 1) != 0)
            return 0;
        if (!address_parse_or(at + sizeof scheme - 1, len - (sizeof scheme - 1), STORE_PORT,
                              addresses[n].host, sizeof addresses[n].host, &addresses[n].port))
            return 0;
        n++;
        at += len;
        if (*at == '\0')
            return n;
    }
}

static const struct setting *find(const char *name, size_t len, bool *is_file)
{
    static const char suffix[] = "_FILE";
    size_t suffix_len = sizeof suffix - 1;

    for (size_t i = 0; i < COUNT; i++) {
        size_t own = strlen(table[i].name);

        *is_file = false;
        if (len == own && memcmp(name, table[i].name, len) == 0)
            return &table[i];
        *is_file = true;
        if (table[i].type == SETTING_SECRET && len == own + suffix_len &&
            memcmp(name, table[i].name, own) == 0 && memcmp(name + own, suffix, suffix_len) == 0)
            return &table[i];
    }
    return NULL;
}

/* Levenshtein distance, of which the nearest known name is found; names are short. */
static size_t distance(const char *a, size_t len, const char *b)
{
    size_t row[64], other = strlen(b);

    if (other >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= other; j++)
        row[j] = j;
    for (size_t i = 0; i < len; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < other; j++) {
            size_t above = row[j + 1], best = diagonal + (a[i] != b[j]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            diagonal = above;
            row[j + 1] = best;
        }
    }
    return row[other];
}

static const char *nearest(const char *name, size_t len)
{
    size_t best = 0;

    for (size_t i = 1; i < COUNT; i++)
        if (distance(name, len, table[i].name) < distance(name, len, table[best].name))
            best = i;
    return table[best].name;
}

/* Reads a secret from `path`; the line end that editors leave is not part of it.  NULL if it cannot be read.
 */
static char *read_secret(const char *path)
{
    char buffer[SECRET_MAX + 1];
    FILE *file = fopen(path, "re");
    int failed, error;
    size_t len;

    if (!file)
        return NULL;
    len = fread(buffer, 1, SECRET_MAX, file);
    failed = ferror(file); /* a directory opens, but cannot be read */
    error = errno;
    fclose(file);
    errno = error;
    if (failed)
        return NULL;
    buffer[len] = '\0';
    buffer[strcspn(buffer, "\r\n")] = '\0';
    return strdup(buffer);
}

static bool assign(struct settings *settings, const struct setting *setting, const char *value, char *error,
                   size_t size)
{
    char *end;
    long number;

    if (setting->type == SETTING_NUMBER) {
        errno = 0;
        number = strtol(value, &end, 10);
        if (errno || end == value || *end || number < setting->min || number > setting->max) {
            snprintf(error, size, PREFIX "%s=%s: use a number from %ld to %ld", setting->name, value,
                     setting->min, setting->max);
            return false;
        }
        *(long *)((char *)settings + setting->offset) = number;
        return true;
    }
    if (setting->good && !setting->good(value)) {
        snprintf(error, size, PREFIX "%s=%s: %s", setting->name, value, setting->remedy);
        return false;
    }
    char **text = (char **)((char *)settings + setting->offset);
    free(*text);
    *text = strdup(value);
    return *text != NULL;
}

static bool assign_from(struct settings *settings, const char *variable, char *error, size_t size)
{
    const char *equals = strchr(variable, '='), *name = variable + strlen(PREFIX);
    const struct setting *setting;
    bool is_file, good;
    char *secret;

    setting = find(name, (size_t)(equals - name), &is_file);
    if (!setting) {
        snprintf(error, size, "%.*s: there is no such setting; the nearest is " PREFIX "%s (see --help)",
                 (int)(equals - variable), variable, nearest(name, (size_t)(equals - name)));
        return false;
    }
    if (setting->type == SETTING_FOREIGN)
        return true;
    if (!is_file)
        return assign(settings, setting, equals + 1, error, size);
    secret = read_secret(equals + 1);
    if (!secret) {
        snprintf(error, size, "%s: %s; name a file that this program can read", variable, strerror(errno));
        return false;
    }
    good = assign(settings, setting, secret, error, size);
    free(secret);
    return good;
}

/* The host's name up to its first dot; what a gateway's name may not hold becomes "_". */
static bool name_gateway(struct settings *settings)
{
    char host[33] = "";

    if (settings->gateway[0])
        return true;
    if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        strcpy(host, "gateway");
    host[strcspn(host, ".")] = '\0';
    for (char *at = host; *at; at++)
        if (!isalnum((unsigned char)*at))
            *at = '_';
    free(settings->gateway);
    settings->gateway = strdup(host);
    return settings->gateway != NULL;
}

bool settings_init(struct settings *settings, char **environment, char *error, size_t size)
{
    memset(settings, 0, sizeof *settings);
    snprintf(error, size, "out of memory");
    for (size_t i = 0; i < COUNT; i++)
        if (table[i].type != SETTING_FOREIGN && !assign(settings, &table[i], table[i].fallback, error, size))
            goto bad;
    for (char **at = environment; *at; at++)
        if (strncmp(*at, PREFIX, strlen(PREFIX)) == 0 && strchr(*at, '=') &&
            !assign_from(settings, *at, error, size))
            goto bad;
    if (!name_gateway(settings))
        goto bad;
    return true;
bad:
    for (char *at = error; *at; at++)
        if (iscntrl((unsigned char)*at)) /* one line, and safe to print */
            *at = '?';
    settings_finish(settings);
    return false;
}

void settings_finish(struct settings *settings)
{
    for (size_t i = 0; i < COUNT; i++)
        if (table[i].type == SETTING_TEXT || table[i].type == SETTING_SECRET)
            free(*(char **)((char *)settings + table[i].offset));
    memset(settings, 0, sizeof *settings);
}

static void print_help(enum program program)
{
    printf("%s\n\nSettings are environment variables:\n",
           program == PROGRAM_GATEWAY
               ? "hubbub-gateway: takes chat clients over TCP, publishes to Redis and fans out from it"
               : "hubbub-store: writes every chat from Redis into PostgreSQL");
    for (size_t i = 0; i < COUNT; i++) {
        if (!(table[i].programs & program))
            continue;
        printf("\n  " PREFIX "%s%s", table[i].name, table[i].type == SETTING_SECRET ? "  (or " PREFIX : "");
        if (table[i].type == SETTING_SECRET)
            printf("%s_FILE, a file that holds it)", table[i].name);
        if (table[i].fallback[0])
            printf("  [%s]", table[i].fallback);
        printf("\n      %s", table[i].help);
        if (table[i].type == SETTING_NUMBER)
            printf(" From %ld to %ld.", table[i].min, table[i].max);
        printf("\n");
    }
    if (program == PROGRAM_STORE)
        printf("\npasswd NAME sets the password of an account, or makes one; forget NAME makes it a guest's "
               "name "
               "again.\n");
    printf("\n--help prints this, --version the version.\n");
}

int settings_arguments(enum program program, int argc, char **argv)
{
    const char *self = program == PROGRAM_GATEWAY ? "hubbub-gateway" : "hubbub-store";

    if (argc == 1)
        return -1;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help(program);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", self, HUBBUB_VERSION);
        return 0;
    }
    fprintf(stderr, "%s: unexpected argument %s; settings are environment variables (see --help)\n", self,
            argv[1]);
    return 2;
}

void settings_print_markdown(FILE *out)
{
    static const char *const who[] = {"", "gateway", "store", "both", "client"};

    fprintf(
        out,
        "# Settings\n\n"
        "Made from the table in `common/settings.c` by `make settings`; do not edit.\n\n"
        "Settings are environment variables. A bad value, or a `HUBBUB_*` name that is not in this table, "
        "stops the start with one line that says what would do.\n\n"
        "| setting | for | default | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT; i++) {
        fprintf(out, "| `" PREFIX "%s`", table[i].name);
        if (table[i].type == SETTING_SECRET)
            fprintf(out, " or `" PREFIX "%s_FILE`", table[i].name);
        fprintf(out, " | %s | %s%s%s | %s", who[table[i].programs], table[i].fallback[0] ? "`" : "",
                table[i].fallback, table[i].fallback[0] ? "`" : "", table[i].help);
        if (table[i].type == SETTING_NUMBER)
            fprintf(out, " From %ld to %ld.", table[i].min, table[i].max);
        fprintf(out, " |\n");
    }
}
