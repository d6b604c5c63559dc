#include "lane.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

#define KEEP_ENTRIES 10000
#define KEEP_ENTRIES_MAX 100000
#define KEEP_MS 60000
#define RING 131072 /* a power of two, beyond KEEP_ENTRIES_MAX by more than one batch */
#define DESERTED_MS 2000

static const char *const state_names[] = {"unknown", "closed", "foreign", "active", "standby"};

bool lane_init(struct lane *lane, unsigned number)
{
    *lane = (struct lane){.number = number, .stored = "0-0", .read = "0-0"};
    lane->ids = malloc(RING * sizeof *lane->ids);
    return lane->ids != NULL;
}

void lane_finish(struct lane *lane)
{
    free(lane->ids);
    lane->ids = NULL;
}

void lane_become(struct lane *lane, enum lane_state state)
{
    if (lane->state == state)
        return;
    log_debug("lane", "lane=%u from=%s to=%s", lane->number, state_names[lane->state], state_names[state]);
    lane->state = state;
    lane->stood_since = 0;
}

void lane_start(struct lane *lane, event_id cursor)
{
    lane->cursor = lane->attempt = cursor;
    lane->first = lane->count = 0;
    strcpy(lane->stored, "0-0");
    lane_rewind(lane);
    lane_become(lane, LANE_ACTIVE);
}

void lane_resume(struct lane *lane, event_id cursor)
{
    if (lane->state == LANE_ACTIVE && cursor != lane->cursor && cursor != lane->attempt) {
        log_info("standby", "lane=%u", lane->number);
        lane_become(lane, LANE_STANDBY);
    }
    lane->cursor = lane->attempt = cursor;
}

void lane_rewind(struct lane *lane)
{
    strcpy(lane->read, lane->stored);
}

static event_id at(const struct lane *lane, size_t index)
{
    return lane->ids[(lane->first + index) & (RING - 1)];
}

static void forget(struct lane *lane, size_t n)
{
    lane->first = (lane->first + n) & (RING - 1);
    lane->count -= n;
}

void lane_remember(struct lane *lane, event_id id)
{
    if (lane->count == RING) /* Redis does not let itself be trimmed; a later trim takes this one along */
        forget(lane, 1);
    lane->ids[(lane->first + lane->count++) & (RING - 1)] = id;
}

bool lane_trim_point(const struct lane *lane, uint64_t now_ms, event_id *id)
{
    size_t n = lane->count > KEEP_ENTRIES_MAX ? lane->count - KEEP_ENTRIES_MAX : 0, low = n, high;

    /* Ids grow: the first one among the droppable that is still young is found by halving. */
    high = lane->count > KEEP_ENTRIES ? lane->count - KEEP_ENTRIES : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (id_ms(at(lane, middle)) + KEEP_MS < now_ms)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    *id = at(lane, low - 1);
    return *id <= lane->cursor;
}

void lane_trimmed(struct lane *lane, event_id id)
{
    while (lane->count > 0 && at(lane, 0) <= id)
        forget(lane, 1);
}

bool lane_is_deserted(struct lane *lane, event_id cursor, event_id newest, int64_t now)
{
    if (newest <= cursor) {
        lane->stood_since = 0;
        return false;
    }
    if (lane->stood_since == 0 || lane->stood != cursor) {
        lane->stood = cursor;
        lane->stood_since = now;
        return false;
    }
    return now - lane->stood_since >= DESERTED_MS;
}
