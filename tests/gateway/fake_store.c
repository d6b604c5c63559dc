#include "fake_store.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "fake_bus.h"

struct question {
    json_t *request;
    storelink_fn *answered;
    void *ctx;
    uint64_t token;
    struct question *prev, *next;
};

struct storelink {
    const struct bus *bus;
    bool up;
    event_id oldest;
    unsigned asked;
    struct question *questions;
};

struct storelink *fake_store_create(const struct bus *bus)
{
    struct storelink *store = calloc(1, sizeof *store);

    assert_non_null(store);
    store->bus = bus;
    store->up = true;
    return store;
}

static struct question *pop(struct storelink *store)
{
    struct question *question = store->questions;

    if (question)
        DL_DELETE(store->questions, question);
    return question;
}

static void end(struct question *question, json_t *answer)
{
    question->answered(question->ctx, question->token, answer);
    json_decref(answer);
    json_decref(question->request);
    free(question);
}

void fake_store_destroy(struct storelink *store)
{
    struct question *question;

    if (!store)
        return;
    while ((question = pop(store))) {
        json_decref(question->request);
        free(question);
    }
    free(store);
}

void fake_store_set_up(struct storelink *store, bool up)
{
    store->up = up;
}

void fake_store_forget(struct storelink *store, event_id id)
{
    store->oldest = id + 1;
}

unsigned fake_store_asked(const struct storelink *store)
{
    return store->asked;
}

static event_id number(const json_t *request, const char *name)
{
    return strtoull(json_string_value(json_object_get(request, name)), NULL, 10);
}

static void add(json_t *events, event_id id, event_id prev, size_t n)
{
    char id_text[ID_TEXT_MAX], prev_text[ID_TEXT_MAX], text[24];

    snprintf(text, sizeof text, "%zu", n);
    json_array_append_new(events,
                          json_pack("{s:s, s:s, s:s, s:s}", "id", id_to_decimal(id, id_text), "prev",
                                    id_to_decimal(prev, prev_text), "from", "somebody", "text", text));
}

bool fake_store_answer(struct storelink *store)
{
    struct question *question = pop(store);
    const char *chain;
    const event_id *ids;
    event_id after, until;
    char oldest[ID_TEXT_MAX];
    json_t *events = json_array();
    size_t count;
    bool more = false;

    if (!question) {
        json_decref(events);
        return false;
    }
    chain = json_string_value(json_object_get(question->request, "chain"));
    after = number(question->request, "after");
    until = number(question->request, "until");
    ids = fake_history(store->bus, *chain == 'r' ? chain + 2 : chain, &count);
    for (size_t i = 0; i < count && !more; i++) {
        if (ids[i] <= after || ids[i] > until || ids[i] < store->oldest)
            continue;
        more = json_array_size(events) == 200;
        if (!more)
            add(events, ids[i], i > 0 ? ids[i - 1] : 0, i + 1);
    }
    end(question, json_pack("{s:b, s:o, s:b, s:s, s:s}", "ok", 1, "events", events, "more", more, "stored",
                            "9000000000000000000", "oldest", id_to_decimal(store->oldest, oldest)));
    return true;
}

bool fake_store_fail(struct storelink *store)
{
    struct question *question = pop(store);

    if (question)
        end(question, NULL);
    return question != NULL;
}

bool storelink_ask_patiently(struct storelink *store, json_t *request, storelink_fn *answered, void *ctx,
                             uint64_t token)
{
    struct question *question;

    assert_string_equal(json_string_value(json_object_get(request, "ask")), "events");
    if (!store->up) {
        json_decref(request);
        return false;
    }
    question = calloc(1, sizeof *question);
    assert_non_null(question);
    *question = (struct question){.request = request, .answered = answered, .ctx = ctx, .token = token};
    DL_APPEND(store->questions, question);
    store->asked++;
    return true;
}
