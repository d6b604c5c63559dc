#ifndef HUBBUB_SETTINGS_H
#define HUBBUB_SETTINGS_H

/*
 * settings: the environment variables HUBBUB_*, in one table (settings.c) from which --help and
 * docs/SETTINGS.md are made.  Both programs know all of them, so that one environment serves a whole
 * installation; also the client's, which client/options.c reads.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum program { PROGRAM_GATEWAY = 1, PROGRAM_STORE = 2, PROGRAM_CLIENT = 4 };

/* The values; strings are owned by the struct. */
struct settings {
    char *gateway;
    char *listen;
    char *http_listen;
    char *redis_url;
    char *redis_password;
    char *postgres_url;
    char *postgres_password;
    char *health_file;
    char *store_listen; /* "": nowhere */
    char *store_url;    /* "": there is no store to ask */
    char *store_secret; /* "": none */
    char *guests;       /* "allow" or "deny" */
    char *log_level;
    long login_timeout;   /* seconds */
    long retention_days;  /* 0: history is kept for ever */
    long rate;            /* requests a second */
    long burst;           /* requests */
    long notice_max;      /* members */
    long drain;           /* seconds */
    long max_clients;     /* connections; 0: any number */
    long max_per_address; /* the same */
    long store_workers;
    long password_workers;
    long password_ops;
    long password_memory; /* MiB */
};

/*
 * Reads the environment.  On failure (a bad value, an unknown HUBBUB_* name) writes one line that names the
 * setting, the value and the remedy into `error` and returns false; `settings` then needs no settings_finish.
 */
bool settings_init(struct settings *settings, char **environment, char *error, size_t size);

/* Frees the values. */
void settings_finish(struct settings *settings);

/*
 * Handles --help, --version and wrong arguments: prints and returns the exit status, or returns -1 if the
 * program shall run.
 */
int settings_arguments(enum program program, int argc, char **argv);

/* Prints the whole table as the page docs/SETTINGS.md. */
void settings_print_markdown(FILE *out);

/* One server of HUBBUB_REDIS_URL. */
struct redis_address {
    char host[256];
    unsigned short port;
};

#define REDIS_SERVERS_MAX 8

/*
 * Splits HUBBUB_REDIS_URL ("redis://host:port", up to 8 of them, separated by commas; lane L lives on server
 * L mod n) into `addresses`; returns how many, 0 if it cannot be read.
 */
size_t redis_addresses(const char *url, struct redis_address addresses[REDIS_SERVERS_MAX]);

/* One name of HUBBUB_STORE_URL; it may have several addresses. */
struct store_address {
    char host[256];
    unsigned short port;
};

#define STORES_MAX 8
#define STORE_PORT 7400

/*
 * Splits HUBBUB_STORE_URL ("store://host[:port]", up to 8 of them, separated by commas) into `addresses`;
 * returns how many, 0 if it is empty or cannot be read.
 */
size_t store_addresses(const char *url, struct store_address addresses[STORES_MAX]);

/* Reads "host:port" or "[v6]:port".  False if it is not that. */
bool address_parse(const char *text, size_t len, char *host, size_t size, unsigned short *port);

/* The same, also without a port, which is `fallback` then. */
bool address_parse_or(const char *text, size_t len, unsigned short fallback, char *host, size_t size,
                      unsigned short *port);

#endif
