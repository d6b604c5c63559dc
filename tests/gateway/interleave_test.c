/*
 * The hub against every order: for small cases, all ways in which what Redis does, what arrives at the
 * gateway, what people do, and accidents can follow each other.  Whatever the order, each member is told each
 * event of its room after where it began exactly once, in the order of ids; a gap covers only what the log
 * lacks; nobody waits for ever; and in the end everybody is at the newest.
 *
 * It is a depth-first search over what can happen next; the world is made anew for each path.  Of two steps
 * that do not touch the same things (Redis executes something; meanwhile something arrives at the gateway)
 * the order is nobody's to see: of paths that differ only by such swaps one is taken (sleep sets, Godefroid).
 * That this leaves nothing out is tested, too.
 *
 * A path is a string with a letter for each step; interleave_test CASE PATH takes that one alone.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "log.h"
#include "room.h"
#include "world.h"

#define ACTORS 3
#define STEPS_MAX 160
#define BIT(n) (1u << (n))
#define QUIET_SECONDS 15 /* the hub's own clock has mended everything by then */

/*
 * One of the people has a script:
 *     e  enters, to hear what comes from now on     l  leaves
 *     o  enters, to hear all that was ever said     s  reads no more
 *     b  comes back with the last id that it saw    r  reads again
 *     f  enters with an id that is yet to come      1  reads one event, then no more
 */
struct script {
    const char *room, *steps;
};

struct scenario {
    const char *name;
    const char *before; /* as `redis`, but it was before anything else; NULL: nothing */
    const char *redis;  /* what Redis does: a or b: a chat there; A: by the first person, x: a is trimmed;
                           d: the subscription to a is forgotten */
    const char *clock;  /* what the gateway's clock does: s: a second passes, c: ten, i: thirty;
                           NULL: it stands still */
    struct script people[ACTORS];
    bool live;        /* the first step of each has been done before it begins */
    bool cut;         /* the link breaks, once, and comes back */
    bool swallow;     /* one message is lost, and there will be another by which that shows */
    bool refuse;      /* one read is refused */
    bool short_turns; /* each thing that arrives is a turn of its own: else there are too many orders */
    size_t page;      /* a walk is answered with so much at a time; 0: all */
};

/* What can happen next, and its letter in a path. */
enum step {
    STEP_SUBSCRIPTION, /* Redis executes one */
    STEP_READ,         /* Redis executes one */
    STEP_REDIS,        /* the next of the script */
    STEP_DELIVERY,     /* a message or a confirmation arrives */
    STEP_ANSWER,       /* to a read */
    STEP_CLOCK,
    STEP_HEAL,
    STEP_CUT,
    STEP_SWALLOW,
    STEP_REFUSE,
    STEP_TURN,   /* the turn of the loop ends in which something was accepted */
    STEP_PERSON, /* the first of ACTORS */
    STEPS = STEP_PERSON + ACTORS,
};

static const char letters[] = "srpdachCwft012";

#define REDIS_STEPS (BIT(STEP_SUBSCRIPTION) | BIT(STEP_READ) | BIT(STEP_REDIS))
#define GATEWAY_STEPS                                                                               \
    (BIT(STEP_DELIVERY) | BIT(STEP_ANSWER) | BIT(STEP_CLOCK) | BIT(STEP_HEAL) | BIT(STEP_SWALLOW) | \
     BIT(STEP_TURN) | (~0u << STEP_PERSON))

/*
 * The steps with which each may change places: what Redis and the gateway can do now they can do in either
 * order.  What breaks or is refused is lost whatever was said just before.
 */
static const unsigned free_of[STEPS] = {
    [STEP_SUBSCRIPTION] = GATEWAY_STEPS | BIT(STEP_READ) | BIT(STEP_REFUSE),
    [STEP_READ] = GATEWAY_STEPS | BIT(STEP_SUBSCRIPTION),
    [STEP_REDIS] = GATEWAY_STEPS | BIT(STEP_CUT) | BIT(STEP_REFUSE),
    [STEP_DELIVERY] = REDIS_STEPS,
    [STEP_ANSWER] = REDIS_STEPS,
    [STEP_CLOCK] = REDIS_STEPS,
    [STEP_HEAL] = REDIS_STEPS,
    [STEP_CUT] = BIT(STEP_REDIS),
    [STEP_SWALLOW] = REDIS_STEPS,
    [STEP_REFUSE] = BIT(STEP_SUBSCRIPTION) | BIT(STEP_REDIS),
    [STEP_TURN] = REDIS_STEPS,
    [STEP_PERSON] = REDIS_STEPS,
    [STEP_PERSON + 1] = REDIS_STEPS,
    [STEP_PERSON + 2] = REDIS_STEPS,
};

struct actor {
    const char *next; /* in its script */
    struct room *held;
    bool ready; /* the room that is held can be entered */
    struct person *person;
    event_id last;
    unsigned sessions;
};

/* Where a path stands. */
struct level {
    unsigned sleep; /* what was taken first elsewhere, and would lead to nothing new */
    unsigned left;  /* what is still to be taken here, `taken` included */
    unsigned done;
    enum step taken;
};

/* How far a room was. */
struct reached {
    uint64_t room; /* its serial; 0: there was none */
    event_id position;
};

static const struct scenario *scenario;
static struct reached reached[2];
static struct actor actors[ACTORS];
static const char *redis_next, *clock_next;
static bool cut, swallowed, refused;
static unsigned quiet; /* seconds that have passed because nothing else could happen */
static char path[STEPS_MAX + 64];
static struct level levels[STEPS_MAX];
static size_t depth;

/* The people --------------------------------------------------------------------------------------------- */

static void on_room_ready(uint64_t token, bool good)
{
    struct actor *actor = &actors[token];

    actor->ready = good;
    if (good)
        return;
    hub_let_go(actor->held); /* it asks again */
    actor->held = NULL;
}

/* What lies in a gap is not to be had. */
static void check_gaps(const struct person *person)
{
    size_t count;
    const event_id *ids = fake_history(world.bus, person->where, &count);
    const char *at = person->told ? person->told : "";

    for (; *at; at = strchr(at, ' ') + 1) {
        char *rest;
        event_id after = *at == '=' ? 0 : strtoull(at, &rest, 10), until;

        if (!after)
            continue;
        until = strtoull(rest + 1, NULL, 10);
        for (size_t i = 0; i < count; i++)
            if (ids[i] > after && ids[i] <= until && fake_is_in_log(world.bus, person->where, ids[i]))
                fail_msg("%s: a gap covers what the log has: \"%s\"", checks.run, person->told);
    }
}

/* Who is in the room, as the script says. */
static struct person *person_of(const struct actor *actor)
{
    if (!actor->person)
        abort();
    return actor->person;
}

static void go_away(struct actor *actor)
{
    struct person *person = person_of(actor);

    check_gaps(person);
    actor->last = person_check(person);
    person_leave(person);
    actor->person = NULL;
}

static void go_in(struct actor *actor, const char *room)
{
    struct how how = {.dialect = 1, .serial = (uint64_t)(actor - actors + 1) * 10 + actor->sessions++};

    if (*actor->next == 'o')
        how.since = fake_floor(world.bus, room);
    if (*actor->next == 'f')
        how.since = INT64_MAX;
    if (*actor->next == 'b')
        how.since = actor->last;
    actor->person = person_go_in(actor->held, room, how);
    actor->held = NULL;
    actor->ready = false;
    actor->next++;
}

static void act(unsigned number)
{
    struct actor *actor = &actors[number];
    const char *room = scenario->people[number].room;

    if (!actor->next)
        abort();
    switch (*actor->next) {
    case 'l':
        go_away(actor);
        actor->next++;
        break;
    case 's':
        person_of(actor)->ready = false;
        actor->next++;
        break;
    case 'r':
    case '1':
        person_of(actor)->budget = *actor->next++ == '1' ? 1 : -1;
        person_resume(actor->person);
        break;
    default:
        if (actor->held)
            go_in(actor, room);
        else
            actor->held = hub_hold(world.hub, room, number, &actor->ready);
    }
}

static bool can_act(const struct actor *actor, const struct script *script)
{
    if (!script->steps || !*actor->next)
        return false;
    return strchr("lsr1", *actor->next) || (actor->held ? actor->ready : bus_lane_is_up(world.bus, 0));
}

/* The steps ---------------------------------------------------------------------------------------------- */

static void redis_step(void)
{
    static const char *const rooms[] = {"a", "b"};
    size_t count;
    const event_id *ids;

    switch (*redis_next) {
    case 'x':
        ids = fake_history(world.bus, "a", &count);
        fake_trim(world.bus, "a", count ? ids[count - 1] : 0);
        break;
    case 'd':
        fake_deafen(world.bus, "a");
        break;
    case 'A':
        fake_say(world.bus, "a", 10);
        break;
    default:
        fake_say(world.bus, rooms[*redis_next - 'a'], 0);
    }
    redis_next++;
}

static void time_passes(void)
{
    fake_now += *clock_next == 'i' ? 30000 : *clock_next == 'c' ? 10000 : 1000;
    if (*clock_next)
        clock_next++;
    hub_tick(world.hub);
}

/* What holds after each step: no room goes back, and its ring is in order. */
static void check_rooms(void)
{
    struct room *room, *next;

    assert_true(world.hub->walks <= fake_walks(world.bus));
    HASH_ITER (hh, world.hub->rooms, room, next) {
        struct reached *before = &reached[room->chain[2] - 'a'];
        event_id last = 0;

        if (before->room == room->serial && room->position < before->position)
            fail_msg("%s: the room %s goes back", path, room->chain);
        *before = (struct reached){.room = room->serial, .position = room->position};
        for (size_t i = 0; i < room->ring.count; i++) {
            const struct event *event = room->ring.events[(room->ring.first + i) % room->ring.room];

            if (event->id <= last)
                fail_msg("%s: the ring of the room %s is not in order", path, room->chain);
            last = event->id;
        }
    }
}

static void take(enum step step)
{
    size_t length = strlen(path);

    path[length] = letters[step];
    path[length + 1] = '\0';
    switch (step) {
    case STEP_SUBSCRIPTION:
        fake_execute_subscription(world.bus);
        break;
    case STEP_READ:
        fake_execute_read(world.bus);
        break;
    case STEP_REDIS:
        redis_step();
        break;
    case STEP_DELIVERY:
        fake_deliver(world.bus);
        break;
    case STEP_ANSWER:
        fake_answer(world.bus);
        break;
    case STEP_CLOCK:
        quiet += !*clock_next;
        time_passes();
        break;
    case STEP_HEAL:
        fake_heal(world.bus);
        break;
    case STEP_CUT:
        cut = true;
        fake_cut(world.bus);
        break;
    case STEP_SWALLOW:
        swallowed = fake_swallow(world.bus);
        break;
    case STEP_REFUSE:
        refused = fake_refuse(world.bus);
        break;
    case STEP_TURN:
        hub_end_turn(world.hub);
        break;
    default:
        act(step - STEP_PERSON);
    }
    check_rooms();
}

/* What can happen now, as bits. */
static unsigned possible(void)
{
    struct fake_pending pending = fake_pending(world.bus);
    bool up = bus_lane_is_up(world.bus, 0);
    unsigned bits = 0;

    bits |= pending.subscription ? BIT(STEP_SUBSCRIPTION) : 0;
    bits |= pending.read ? BIT(STEP_READ) : 0;
    bits |= pending.delivery ? BIT(STEP_DELIVERY) : 0;
    bits |= pending.answer ? BIT(STEP_ANSWER) : 0;
    bits |= *redis_next ? BIT(STEP_REDIS) : 0;
    bits |= *clock_next ? BIT(STEP_CLOCK) : 0;
    bits |= !up ? BIT(STEP_HEAL) : 0;
    bits |= scenario->cut && !cut ? BIT(STEP_CUT) : 0;
    bits |= scenario->swallow && !swallowed && pending.message && *redis_next ? BIT(STEP_SWALLOW) : 0;
    bits |= scenario->refuse && !refused && fake_reads(world.bus) ? BIT(STEP_REFUSE) : 0;
    bits |= world.hub->batches ? BIT(STEP_TURN) : 0;
    for (unsigned i = 0; i < ACTORS; i++)
        bits |= can_act(&actors[i], &scenario->people[i]) ? BIT(STEP_PERSON + i) : 0;
    /* What was lost without a sound is found by the clock, once everything else has happened. */
    if (!bits && quiet < QUIET_SECONDS && (scenario->refuse || scenario->clock))
        bits = BIT(STEP_CLOCK);
    return bits;
}

/* A path ------------------------------------------------------------------------------------------------- */

static void begin_path(void)
{
    fake_long_turns = false;
    world_create(NULL);
    world.room_ready = on_room_ready;
    fake_page(world.bus, scenario->page);
    memset(actors, 0, sizeof actors);
    memset(reached, 0, sizeof reached);
    for (unsigned i = 0; i < ACTORS; i++)
        actors[i].next = scenario->people[i].steps;
    redis_next = scenario->before ? scenario->before : "";
    while (*redis_next)
        redis_step();
    redis_next = scenario->redis;
    clock_next = scenario->clock ? scenario->clock : "";
    cut = swallowed = refused = false;
    quiet = 0;
    snprintf(path, sizeof path, "%s ", scenario->name);
    checks.run = path;
    for (unsigned i = 0; scenario->live && i < ACTORS; i++) {
        if (!scenario->people[i].steps)
            continue;
        act(i);
        fake_settle(world.bus);
        act(i);
    }
    fake_long_turns = !scenario->short_turns;
}

/* What everybody was told, in `text`. */
static void check_rest(char *text, size_t size)
{
    struct room *room, *next;

    *text = '\0';
    HASH_ITER (hh, world.hub->rooms, room, next)
        if (room->state != ROOM_LIVE || room->held.count || room->behind || room->fill ||
            room_is_behind(room))
            fail_msg("%s: the room %s does not come to rest", path, room->chain);
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct script *script = &scenario->people[i];
        struct person *person = actors[i].person;
        size_t count, used = strlen(text);
        const event_id *ids;

        if (script->steps && *actors[i].next)
            fail_msg("%s: person %u waits for ever", path, i);
        if (!person)
            continue;
        ids = fake_history(world.bus, script->room, &count);
        check_gaps(person);
        person_check(person);
        if (count && person->member->position < ids[count - 1])
            fail_msg("%s: person %u is not at the newest", path, i);
        snprintf(text + used, size - used, "%u from %llu: %s\n", i, (unsigned long long)person->start,
                 person->told ? person->told : "");
    }
}

static void end_path(void)
{
    for (unsigned i = 0; i < ACTORS; i++)
        if (actors[i].held)
            hub_let_go(actors[i].held);
    while (world.people)
        person_leave(world.people);
    world_abandon();
}

/* All paths ---------------------------------------------------------------------------------------------- */

static unsigned all_steps_matter; /* as bits: 0 if swaps are left out, else ~0u */

struct outcome {
    UT_hash_handle hh;
    char text[];
};

struct count {
    unsigned long paths, steps;
    struct outcome *outcomes; /* those that were seen, if wanted */
};

static void note_outcome(struct count *count, const char *text)
{
    struct outcome *outcome;

    HASH_FIND_STR(count->outcomes, text, outcome);
    if (outcome)
        return;
    outcome = malloc(sizeof *outcome + strlen(text) + 1);
    assert_non_null(outcome);
    strcpy(outcome->text, text);
    HASH_ADD_STR(count->outcomes, text, outcome);
}

static void forget_outcomes(struct count *count)
{
    struct outcome *outcome, *next;

    HASH_ITER (hh, count->outcomes, outcome, next) {
        HASH_DEL(count->outcomes, outcome);
        free(outcome);
    }
}

static enum step lowest(unsigned bits)
{
    return (enum step)__builtin_ctz(bits);
}

/* Goes on from where the path stands until nothing is left to do.  False: what is left was seen elsewhere. */
static bool go_on(void)
{
    unsigned bits;

    while ((bits = possible())) {
        struct level *level = &levels[depth], *before = level - 1;

        assert_true(depth < STEPS_MAX);
        *level = (struct level){0};
        if (depth > 0)
            level->sleep = (before->sleep | before->done) & free_of[before->taken] & ~all_steps_matter;
        level->left = bits & ~level->sleep;
        if (!level->left)
            return false;
        level->taken = lowest(level->left);
        depth++;
        take(level->taken);
    }
    return true;
}

/* Moves to the next path.  False: there is none. */
static bool next_path(void)
{
    for (; depth > 0; depth--) {
        struct level *level = &levels[depth - 1];

        level->done |= BIT(level->taken);
        level->left &= ~level->done;
        if (level->left) {
            level->taken = lowest(level->left);
            return true;
        }
    }
    return false;
}

static void take_all_paths(const struct scenario *which, struct count *count, bool outcomes)
{
    scenario = which;
    depth = 0;
    do {
        char text[4096];

        begin_path();
        for (size_t i = 0; i < depth; i++)
            take(levels[i].taken);
        if (go_on()) {
            check_rest(text, sizeof text);
            if (outcomes)
                note_outcome(count, text);
            count->paths++;
            count->steps += depth;
        }
        end_path();
    } while (next_path());
}

/* The cases.  Each begins with nobody in the rooms. */
static const struct scenario scenarios[] = {
    {.name = "first-come", .before = "aa", .redis = "aa", .people = {{"a", "e"}, {"a", "o"}}},
    {.name = "cut", .before = "a", .redis = "aaa", .people = {{"a", "e"}}, .cut = true},
    {.name = "cut-two", .redis = "A", .people = {{"a", "e"}, {"a", "o"}}, .cut = true},
    {.name = "come-back", .before = "a", .redis = "aA", .people = {{"a", "elb"}, {"a", "e"}}},
    {.name = "come-back-cut", .redis = "aa", .people = {{"a", "elb"}}, .cut = true},
    {.name = "slow", .before = "a", .redis = "aa", .people = {{"a", "os1r"}}},
    {.name = "slow-two", .before = "a", .redis = "Aaa", .people = {{"a", "esr"}, {"a", "e"}}},
    {.name = "slow-cut", .redis = "aa", .people = {{"a", "es1r"}}, .cut = true, .short_turns = true},
    {.name = "slow-walk-cut", .before = "a", .redis = "a", .people = {{"a", "osr"}}, .cut = true, .page = 1},
    {.name = "future", .before = "a", .redis = "aa", .people = {{"a", "f"}}},
    {.name = "two-rooms", .before = "a", .redis = "b", .people = {{"a", "o"}, {"b", "e"}}},
    {.name = "two-rooms-cut",
     .redis = "abA",
     .people = {{"a", "e"}, {"b", "e"}},
     .cut = true,
     .live = true,
     .short_turns = true},
    {.name = "two-live-cut", .redis = "aA", .people = {{"a", "e"}, {"a", "elb"}}, .cut = true, .live = true},
    {.name = "slow-live-cut",
     .redis = "aa",
     .people = {{"a", "es1r"}, {"a", "e"}},
     .cut = true,
     .live = true},
    {.name = "pages", .before = "aa", .redis = "a", .people = {{"a", "o"}, {"a", "e"}}, .page = 1},
    {.name = "pages-cut", .before = "aa", .redis = "aa", .people = {{"a", "o"}}, .cut = true, .page = 1},
    {.name = "trimmed", .before = "aa", .redis = "xaa", .people = {{"a", "o"}, {"a", "e"}}, .page = 1},
    {.name = "trimmed-cut", .before = "a", .redis = "axa", .people = {{"a", "o"}}, .cut = true},
    {.name = "swallowed", .before = "a", .redis = "aaaa", .people = {{"a", "e"}}, .swallow = true},
    {.name = "swallowed-two",
     .before = "a",
     .redis = "A",
     .people = {{"a", "o"}, {"a", "el"}},
     .swallow = true},
    {.name = "refused", .before = "a", .redis = "a", .people = {{"a", "o"}, {"a", "e"}}, .refuse = true},
    {.name = "deaf", .redis = "ada", .clock = "cs", .people = {{"a", "e"}}},
    {.name = "idle", .before = "a", .redis = "aa", .clock = "i", .people = {{"a", "elb"}}},
    {.name = "idle-walk", .before = "aa", .redis = "a", .clock = "i", .people = {{"a", "olb"}}},
};

#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

/* The same with and without leaving out swaps: more paths, and no other outcome. */
static void test_swaps_of_what_cannot_be_seen_change_nothing(void **state)
{
    static const struct scenario small[] = {
        {.name = "small-cut", .redis = "a", .people = {{"a", "e"}}, .cut = true},
        {.name = "small-walk", .before = "a", .redis = "A", .people = {{"a", "o"}}, .page = 1},
        {.name = "small-swallow", .redis = "aa", .people = {{"a", "e"}}, .swallow = true},
    };

    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        struct count few = {0}, many = {0};
        struct outcome *outcome, *next, *same;

        take_all_paths(&small[i], &few, true);
        all_steps_matter = ~0u;
        take_all_paths(&small[i], &many, true);
        all_steps_matter = 0;
        print_message("%-16s %lu orders stand for %lu, with %u outcomes\n", small[i].name, few.paths,
                      many.paths, HASH_COUNT(many.outcomes));
        assert_true(few.paths < many.paths);
        assert_int_equal(HASH_COUNT(few.outcomes), HASH_COUNT(many.outcomes));
        HASH_ITER (hh, many.outcomes, outcome, next) {
            HASH_FIND_STR(few.outcomes, outcome->text, same);
            assert_non_null(same);
        }
        forget_outcomes(&few);
        forget_outcomes(&many);
    }
}

static const char *only, *wanted_path; /* from the command line */

static void test_in_whatever_order_everybody_hears_everything_once_and_in_order(void **state)
{
    struct count all = {0};

    for (size_t i = 0; i < SCENARIOS; i++) {
        struct count count = {0};
        unsigned long events = checks.events, gaps = checks.gaps;

        if (only && strcmp(only, scenarios[i].name) != 0)
            continue;
        take_all_paths(&scenarios[i], &count, false);
        print_message("%-16s %7lu orders, %4.1f steps each, %lu deliveries and %lu gaps\n", scenarios[i].name,
                      count.paths, (double)count.steps / (double)count.paths, checks.events - events,
                      checks.gaps - gaps);
        all.paths += count.paths;
        all.steps += count.steps;
    }
    fake_long_turns = false;
    world_create(NULL); /* frees what is kept from world to world */
    world_destroy(NULL);
    print_message("%zu cases, %lu orders, %lu deliveries, %lu gaps\n", SCENARIOS, all.paths, checks.events,
                  checks.gaps);
}

/* One path, as one that failed is printed. */
static void test_one_path(void **state)
{
    char text[4096];

    begin_path();
    for (; *wanted_path; wanted_path++) {
        const char *letter = strchr(letters, *wanted_path);
        enum step step = letter ? (enum step)(letter - letters) : STEPS;

        if (step == STEPS || !(possible() & BIT(step)))
            fail_msg("%s: then \"%s\" is not possible", path, wanted_path);
        take(step);
    }
    if (!possible())
        check_rest(text, sizeof text);
    print_message("%s", text);
    end_path();
    fake_long_turns = false;
    world_create(NULL);
    world_destroy(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_in_whatever_order_everybody_hears_everything_once_and_in_order),
        cmocka_unit_test(test_swaps_of_what_cannot_be_seen_change_nothing),
    };
    const struct CMUnitTest one[] = {cmocka_unit_test(test_one_path)};
    int failed;

    only = argc > 1 ? argv[1] : NULL;
    wanted_path = argc > 2 ? argv[2] : NULL;
    log_set_level(wanted_path ? LOG_DEBUG : LOG_ERROR);
    for (size_t i = 0; argc > 2 && i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, only) == 0)
            scenario = &scenarios[i];
    failed = scenario ? cmocka_run_group_tests(one, NULL, NULL) : cmocka_run_group_tests(all, NULL, NULL);
    if (failed)
        print_message("the path was: %s\n", path);
    return failed;
}
