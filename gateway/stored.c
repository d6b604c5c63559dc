#include "stored.h"

#include <stdlib.h>
#include <string.h>

bool stored_id(const json_t *answer, const char *name, event_id *id)
{
    const char *text = json_string_value(json_object_get(answer, name));

    return text && id_from_decimal(text, id);
}

size_t stored_count(const json_t *answer)
{
    return json_array_size(json_object_get(answer, "events"));
}

/* The body as the log has it; the session that said it is not kept. */
static char *make_body(json_t *event, const char *chain)
{
    json_t *body = *chain == 'r' ? json_pack("{s:s, s:s}", "session", "-", "room", chain + 2)
                                 : json_pack("{s:s}", "session", "-");
    char *text;

    if (!body || json_object_update_missing(body, event) < 0)
        abort();
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

struct event *stored_event(const json_t *answer, size_t i, const char *chain)
{
    json_t *json = json_array_get(json_object_get(answer, "events"), i);
    event_id id, prev;
    struct event *event;
    char *body;

    if (!json_is_object(json) || !stored_id(json, "id", &id) || !stored_id(json, "prev", &prev))
        return NULL;
    body = make_body(json, chain);
    if (!body)
        abort();
    event = event_from_body(id, prev, body, strlen(body));
    free(body);
    return event;
}
