#include "accounts.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

struct accounts {
    const struct settings *settings;
};

struct accounts *accounts_create(const struct settings *settings)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);

    if (accounts)
        accounts->settings = settings;
    return accounts;
}

void accounts_destroy(struct accounts *accounts)
{
    free(accounts);
}

void accounts_wipe(json_t *request)
{
    static const char *const members[] = {"password", "old"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *member = json_object_get(request, members[i]);

        if (json_is_string(member)) /* the text is the object's own, and nobody else has it */
            sodium_memzero((char *)(uintptr_t)json_string_value(member), json_string_length(member));
    }
    json_decref(request);
}

json_t *accounts_log_in(struct worker *worker, const json_t *request)
{
    return ask_error("unavailable");
}

json_t *accounts_register(struct worker *worker, const json_t *request)
{
    return ask_error("unavailable");
}
