#include "attempts.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#define KEPT_MAX 65536
#define KNOWN_MS 3600000

/* How many attempts there are at once, and after how long there is one more. */
struct limit {
    int64_t at_once, each_ms;
};

static const struct limit per_address = {10, 10000}, per_name = {100, 1000};

/* Whoever has failed lately, or has logged in. */
struct entry {
    char key[ATTEMPTS_KEY_BYTES]; /* "a" and an address, "n" and a name, or "k", an address and a name */
    int64_t until; /* it need not be kept then: all attempts are there again (each one taken puts that off),
                      or the log-in was too long ago */
    UT_hash_handle hh;
};

struct attempts {
    pthread_mutex_t lock;
    struct entry *culprits, *known; /* in each whoever was touched last is last */
};

struct attempts *attempts_create(void)
{
    struct attempts *attempts = calloc(1, sizeof *attempts);

    if (attempts)
        pthread_mutex_init(&attempts->lock, NULL);
    return attempts;
}

static void drop(struct entry **entries, struct entry *entry)
{
    HASH_DEL(*entries, entry);
    free(entry);
}

void attempts_destroy(struct attempts *attempts)
{
    if (!attempts)
        return;
    while (attempts->culprits)
        drop(&attempts->culprits, attempts->culprits);
    while (attempts->known)
        drop(&attempts->known, attempts->known);
    pthread_mutex_destroy(&attempts->lock);
    free(attempts);
}

/* An IPv6 address is one of 2^64 that somebody has; one that stands for an IPv4 address is that. */
static void address_text(const char *address, char text[ATTEMPTS_ADDRESS_BYTES + 1])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char bytes[16];

    snprintf(text, ATTEMPTS_ADDRESS_BYTES + 1, "%s", address);
    if (inet_pton(AF_INET6, address, bytes) != 1)
        return;
    if (memcmp(bytes, mapped, sizeof mapped) == 0) {
        inet_ntop(AF_INET, bytes + 12, text, ATTEMPTS_ADDRESS_BYTES + 1);
    } else {
        memset(bytes + 8, 0, 8);
        inet_ntop(AF_INET6, bytes, text, ATTEMPTS_ADDRESS_BYTES + 1);
    }
}

static void make_key(char key[ATTEMPTS_KEY_BYTES], char kind, const char *address, const char *name)
{
    char text[ATTEMPTS_ADDRESS_BYTES + 1] = "";

    if (address)
        address_text(address, text);
    snprintf(key, ATTEMPTS_KEY_BYTES, "%c%s %s", kind, text, name ? name : "");
}

static struct entry *find(struct entry *entries, const char *key)
{
    struct entry *entry;

    HASH_FIND_STR(entries, key, entry);
    return entry;
}

/* The entry of `key`, made if there is none, as the last; too many, and those that need not be kept, go. */
static struct entry *touch(struct entry **entries, const char *key, int64_t now)
{
    struct entry *entry = find(*entries, key);

    if (entry) {
        HASH_DEL(*entries, entry);
    } else {
        while (*entries && ((*entries)->until <= now || HASH_COUNT(*entries) >= KEPT_MAX))
            drop(entries, *entries);
        entry = calloc(1, sizeof *entry);
        if (!entry)
            abort();
        strcpy(entry->key, key);
    }
    HASH_ADD_STR(*entries, key, entry);
    return entry;
}

static bool has_left(const struct attempts *attempts, const struct limit *limit, const char *key, int64_t now)
{
    const struct entry *culprit = find(attempts->culprits, key);

    return !culprit || culprit->until - now <= (limit->at_once - 1) * limit->each_ms;
}

static void take(struct attempts *attempts, const struct limit *limit, const char *key, int64_t now)
{
    struct entry *culprit = touch(&attempts->culprits, key, now);

    culprit->until = (culprit->until > now ? culprit->until : now) + limit->each_ms;
}

bool attempts_take(struct attempts *attempts, const char *address, const char *name, int64_t now,
                   struct attempt *attempt)
{
    char key[ATTEMPTS_KEY_BYTES];
    const struct entry *known;
    bool allowed;

    *attempt = (struct attempt){0};
    make_key(attempt->address, 'a', address, NULL);
    pthread_mutex_lock(&attempts->lock);
    if (name) {
        make_key(key, 'k', address, name);
        known = find(attempts->known, key);
        if (!known || known->until <= now)
            make_key(attempt->name, 'n', NULL, name);
    }
    allowed = has_left(attempts, &per_address, attempt->address, now) &&
              (!attempt->name[0] || has_left(attempts, &per_name, attempt->name, now));
    if (allowed)
        take(attempts, &per_address, attempt->address, now);
    if (allowed && attempt->name[0])
        take(attempts, &per_name, attempt->name, now);
    pthread_mutex_unlock(&attempts->lock);
    return allowed;
}

static void give_back(struct attempts *attempts, const struct limit *limit, const char *key)
{
    struct entry *culprit = find(attempts->culprits, key);

    if (culprit)
        culprit->until -= limit->each_ms;
}

void attempts_return(struct attempts *attempts, const struct attempt *attempt)
{
    pthread_mutex_lock(&attempts->lock);
    give_back(attempts, &per_address, attempt->address);
    give_back(attempts, &per_name, attempt->name);
    pthread_mutex_unlock(&attempts->lock);
}

void attempts_know(struct attempts *attempts, const char *address, const char *name, int64_t now)
{
    char key[ATTEMPTS_KEY_BYTES];

    make_key(key, 'k', address, name);
    pthread_mutex_lock(&attempts->lock);
    touch(&attempts->known, key, now)->until = now + KNOWN_MS;
    pthread_mutex_unlock(&attempts->lock);
}

static unsigned count(struct attempts *attempts, struct entry *const *entries)
{
    unsigned kept;

    pthread_mutex_lock(&attempts->lock);
    kept = HASH_COUNT(*entries);
    pthread_mutex_unlock(&attempts->lock);
    return kept;
}

unsigned attempts_kept(struct attempts *attempts)
{
    return count(attempts, &attempts->culprits);
}

unsigned attempts_known(struct attempts *attempts)
{
    return count(attempts, &attempts->known);
}
