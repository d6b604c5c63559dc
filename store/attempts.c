#include "attempts.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "name.h"

#define AT_ONCE 10
#define EACH_MS 10000
#define KEPT_AT_LEAST 1024
#define KEY_BYTES (NAME_MAX_BYTES + 2)

/* Whoever has failed lately. */
struct culprit {
    char key[KEY_BYTES]; /* "a" and an address, or "n" and a name */
    int64_t clear;       /* when all attempts are there again: each one taken puts it off */
    UT_hash_handle hh;
};

struct attempts {
    pthread_mutex_t lock;
    struct culprit *culprits;
    unsigned sweep_at; /* so many are kept before those that are clear are looked for */
};

struct attempts *attempts_create(void)
{
    struct attempts *attempts = calloc(1, sizeof *attempts);

    if (attempts) {
        pthread_mutex_init(&attempts->lock, NULL);
        attempts->sweep_at = KEPT_AT_LEAST;
    }
    return attempts;
}

void attempts_destroy(struct attempts *attempts)
{
    struct culprit *culprit, *next;

    if (!attempts)
        return;
    HASH_ITER (hh, attempts->culprits, culprit, next) {
        HASH_DEL(attempts->culprits, culprit);
        free(culprit);
    }
    pthread_mutex_destroy(&attempts->lock);
    free(attempts);
}

/* An IPv6 address is one of 2^64 that somebody has; one that stands for an IPv4 address is that. */
static void address_key(const char *address, char key[KEY_BYTES])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];

    snprintf(key, KEY_BYTES, "a%.*s", KEY_BYTES - 2, address);
    if (inet_pton(AF_INET6, address, bytes) != 1)
        return;
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        inet_ntop(AF_INET, bytes + 12, text, sizeof text);
    } else {
        memset(bytes + 8, 0, 8);
        inet_ntop(AF_INET6, bytes, text, sizeof text);
    }
    snprintf(key, KEY_BYTES, "a%s", text);
}

static void name_key(const char *name, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "n%.*s", KEY_BYTES - 2, name);
}

static struct culprit *find(struct attempts *attempts, const char *key)
{
    struct culprit *culprit;

    HASH_FIND_STR(attempts->culprits, key, culprit);
    return culprit;
}

static bool has_left(struct attempts *attempts, const char *key, int64_t now)
{
    struct culprit *culprit = find(attempts, key);

    return !culprit || culprit->clear - now <= (AT_ONCE - 1) * EACH_MS;
}

static void take(struct attempts *attempts, const char *key, int64_t now)
{
    struct culprit *culprit = find(attempts, key);

    if (!culprit) {
        culprit = calloc(1, sizeof *culprit);
        if (!culprit)
            abort();
        strcpy(culprit->key, key);
        HASH_ADD_STR(attempts->culprits, key, culprit);
    }
    culprit->clear = (culprit->clear > now ? culprit->clear : now) + EACH_MS;
}

/* Each failure costs the time of a hashing, so that those which are not clear yet are few. */
static void sweep(struct attempts *attempts, int64_t now)
{
    struct culprit *culprit, *next;

    if (HASH_COUNT(attempts->culprits) < attempts->sweep_at)
        return;
    HASH_ITER (hh, attempts->culprits, culprit, next) {
        if (culprit->clear > now)
            continue;
        HASH_DEL(attempts->culprits, culprit);
        free(culprit);
    }
    attempts->sweep_at = 2 * HASH_COUNT(attempts->culprits) + KEPT_AT_LEAST;
}

bool attempts_take(struct attempts *attempts, const char *address, const char *name, int64_t now)
{
    char keys[2][KEY_BYTES];
    bool allowed;

    address_key(address, keys[0]);
    name_key(name, keys[1]);
    pthread_mutex_lock(&attempts->lock);
    sweep(attempts, now);
    allowed = has_left(attempts, keys[0], now) && has_left(attempts, keys[1], now);
    for (int i = 0; allowed && i < 2; i++)
        take(attempts, keys[i], now);
    pthread_mutex_unlock(&attempts->lock);
    return allowed;
}

void attempts_return(struct attempts *attempts, const char *address, const char *name)
{
    char keys[2][KEY_BYTES];

    address_key(address, keys[0]);
    name_key(name, keys[1]);
    pthread_mutex_lock(&attempts->lock);
    for (int i = 0; i < 2; i++) {
        struct culprit *culprit = find(attempts, keys[i]);

        if (culprit)
            culprit->clear -= EACH_MS;
    }
    pthread_mutex_unlock(&attempts->lock);
}

unsigned attempts_kept(struct attempts *attempts)
{
    unsigned kept;

    pthread_mutex_lock(&attempts->lock);
    kept = HASH_COUNT(attempts->culprits);
    pthread_mutex_unlock(&attempts->lock);
    return kept;
}
