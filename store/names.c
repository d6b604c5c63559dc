#include "names.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#define NAMES_MAX 65536

const char names_find_users[] = "select name_key, id from users where name_key = any($1)";
const char names_make_users[] =
    "insert into users (name_key, name) select distinct on (k) k, n from unnest($1, $2) as w(k, n)"
    " where not exists (select 1 from users where name_key = k) order by k on conflict do nothing";
const char names_find_rooms[] = "select name, id from rooms where name = any($1)";
const char names_make_rooms[] = "insert into rooms (name) select distinct k from unnest($1, $2) as w(k, n)"
                                " where not exists (select 1 from rooms where name = k) order by k"
                                " on conflict do nothing";

struct name {
    int64_t id; /* 0: wanted */
    UT_hash_handle hh;
    char *shown; /* while it is wanted */
    char key[];
};

struct names {
    const char *find, *make;
    struct name *table;
    size_t wanted;
};

struct names *names_create(const char *find, const char *make)
{
    struct names *names = calloc(1, sizeof *names);

    if (!names)
        return NULL;
    names->find = find;
    names->make = make;
    return names;
}

void names_destroy(struct names *names)
{
    if (names)
        names_clear(names);
    free(names);
}

void names_clear(struct names *names)
{
    struct name *name, *next;

    HASH_ITER (hh, names->table, name, next) {
        HASH_DEL(names->table, name);
        free(name->shown);
        free(name);
    }
    names->wanted = 0;
}

void names_bound(struct names *names)
{
    if (HASH_COUNT(names->table) > NAMES_MAX)
        names_clear(names);
}

static struct name *find(const struct names *names, const char *key)
{
    struct name *name;

    HASH_FIND_STR(names->table, key, name);
    return name;
}

void names_want(struct names *names, const char *key, const char *shown)
{
    struct name *name = find(names, key);
    size_t size = strlen(key) + 1;

    if (name)
        return;
    name = calloc(1, sizeof *name + size);
    if (!name)
        abort();
    memcpy(name->key, key, size);
    name->shown = strdup(shown);
    HASH_ADD_STR(names->table, key, name);
    names->wanted++;
}

/* The keys that are wanted, and how they are shown. */
static void list_wanted(struct names *names, struct arguments *arguments, bool with_shown)
{
    int keys = arguments_texts(arguments), shown = with_shown ? arguments_texts(arguments) : 0;

    for (struct name *name = names->table; name; name = name->hh.next) {
        if (name->id)
            continue;
        arguments_add_text(arguments, keys, name->key);
        if (with_shown)
            arguments_add_text(arguments, shown, name->shown);
    }
}

static enum answer look(struct names *names, struct database *database)
{
    struct arguments arguments;
    PGresult *rows;
    enum answer answer;

    arguments_init(&arguments);
    list_wanted(names, &arguments, false);
    answer = database_run(database, names->find, &arguments, &rows);
    arguments_finish(&arguments);
    if (answer != ANSWER_OK)
        return answer;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct name *name = find(names, PQgetvalue(rows, i, 0));

        if (!name || name->id)
            continue;
        name->id = strtoll(PQgetvalue(rows, i, 1), NULL, 10);
        free(name->shown);
        name->shown = NULL;
        names->wanted--;
    }
    PQclear(rows);
    return ANSWER_OK;
}

static enum answer make(struct names *names, struct database *database)
{
    struct arguments arguments;
    enum answer answer;

    arguments_init(&arguments);
    list_wanted(names, &arguments, true);
    answer = database_run(database, names->make, &arguments, NULL);
    arguments_finish(&arguments);
    return answer;
}

static void forget_wanted(struct names *names)
{
    struct name *name, *next;

    HASH_ITER (hh, names->table, name, next) {
        if (name->id)
            continue;
        HASH_DEL(names->table, name);
        free(name->shown);
        free(name);
    }
    names->wanted = 0;
}

enum answer names_resolve(struct names *names, struct database *database)
{
    enum answer answer = ANSWER_OK;

    if (names->wanted > 0)
        answer = look(names, database);
    if (answer == ANSWER_OK && names->wanted > 0) {
        answer = make(names, database);
        if (answer == ANSWER_OK)
            answer = look(names, database);
    }
    if (names->wanted > 0)
        forget_wanted(names);
    return answer;
}

int64_t names_id(const struct names *names, const char *key)
{
    const struct name *name = find(names, key);

    return name ? name->id : 0;
}
