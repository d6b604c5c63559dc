#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "chats.h"

#define POLL_NS 50000
#define ARRIVAL_DEADLINE UINT64_C(10000000000) /* ns in which no chat arrives, and the rest is missing */
#define UNDER_WAY_MAX (1U << 18) /* in an open loop, and where the window counts acknowledgements */
#define SECOND 1e9

struct room {
    char *chat; /* what says a chat in it; the number goes to each of the places */
    size_t len;
    size_t places[2];
    uint32_t under_way; /* in the window */
    uint32_t turn;      /* the sender whose turn it is */
    bool hungry;        /* is in the loop's list of these */
};

struct loop {
    struct run *run;
    struct clients *clients;
    struct chats *chats;
    struct room *rooms;
    uint32_t
        *hungry; /* rooms with place in their window: from when a chat leaves it until it is full again */
    size_t hungry_count;
    struct epoll_event *events;
    uint64_t start, last;  /* ns: the first chat, the last reception */
    uint64_t said, wanted; /* chats of this part; it ends when as many as wanted were said */
    uint64_t until;        /* ns: or then */
    uint64_t under_way;    /* in all rooms, until all have it */
    uint64_t waiting;      /* ns: since then something is under way and nothing was received */
    uint32_t receptions;   /* of each chat */
    uint64_t unique;       /* differs in each chat, also from those of another run */
};

static bool stalled(const struct loop *loop, uint64_t now)
{
    return loop->under_way > 0 && now >= loop->waiting + ARRIVAL_DEADLINE;
}

static void get_hungry(struct loop *loop, uint32_t room)
{
    if (loop->rooms[room].hungry)
        return;
    loop->rooms[room].hungry = true;
    loop->hungry[loop->hungry_count++] = room;
}

/* Says a chat in the room; false if it must wait, because too many are under way. */
static bool say(struct loop *loop, uint32_t number, uint64_t due, uint64_t now)
{
    struct room *room = &loop->rooms[number];
    struct chat *chat = chats_begin(loop->chats, number, room->turn, loop->receptions, due);
    struct client *sender = &loop->clients->all[(size_t)number * loop->clients->members + room->turn];

    if (chat == NULL)
        return false;
    number_write(chat->number, room->chat + room->places[0]);
    number_write(chat->number, room->chat + room->places[1]);
    if (loop->run->acked)
        hex_write(loop->unique++, UNIQUE_LEN, room->chat + room->places[0] + NUMBER_LEN);
    client_say(sender, room->chat, room->len);
    if (++room->turn == loop->run->senders)
        room->turn = 0;
    room->under_way++;
    if (loop->under_way++ == 0)
        loop->waiting = now;
    loop->said++;
    return true;
}

static void flush_senders(struct loop *loop, uint32_t room)
{
    struct client *senders = &loop->clients->all[(size_t)room * loop->clients->members];

    for (uint32_t i = 0; i < loop->run->senders; i++)
        if (senders[i].out_len > 0 && !senders[i].writing)
            client_flush(loop->clients, &senders[i]);
}

static bool ended(const struct loop *loop, uint64_t now)
{
    return loop->said >= loop->wanted || now >= loop->until || stalled(loop, now);
}

/* Fills the windows of the rooms that have place. */
static void say_closed(struct loop *loop, uint64_t now)
{
    while (loop->hungry_count > 0) {
        uint32_t number = loop->hungry[loop->hungry_count - 1];
        struct room *room = &loop->rooms[number];

        while (room->under_way < loop->run->window && loop->said < loop->wanted)
            if (!say(loop, number, now, now))
                break;
        flush_senders(loop, number);
        if (room->under_way < loop->run->window && loop->said < loop->wanted)
            return; /* it stays hungry: more when some have arrived */
        room->hungry = false;
        loop->hungry_count--;
    }
}

static uint64_t due_of(const struct loop *loop, uint64_t chat)
{
    return loop->start + (uint64_t)((double)chat * SECOND / loop->run->rate);
}

/* Says all that is due; the chats go round the rooms. */
static void say_scheduled(struct loop *loop, uint64_t now)
{
    uint64_t first = loop->said;
    uint32_t rooms = loop->clients->rooms;

    while (loop->said < loop->wanted && due_of(loop, loop->said) <= now)
        if (!say(loop, (uint32_t)(loop->said % rooms), due_of(loop, loop->said), now))
            break;
    for (uint64_t i = first; i < loop->said && i < first + rooms; i++)
        flush_senders(loop, (uint32_t)(i % rooms));
}

/* One reception of a number by a client, which came now. */
static void receive(struct loop *loop, const struct client *client, uint32_t number, uint64_t now)
{
    struct run *run = loop->run;
    struct chat *chat = chats_receive(loop->chats, number, client->room, client->member);
    bool ack;

    if (chat == NULL) {
        run->strange++;
        return;
    }
    loop->last = loop->waiting = now;
    ack = chat->sender == client->member;
    if (ack) {
        run->acks++;
    } else {
        run->deliveries++;
        histogram_add(&run->latency, now - chat->due);
    }
    if (chat->left == 0)
        loop->under_way--;
    if (run->acked ? ack : chat->left == 0) {
        loop->rooms[client->room].under_way--;
        if (run->window > 0)
            get_hungry(loop, client->room);
    }
}

static void hear(struct loop *loop, struct client *client)
{
    size_t len = client_read(loop->clients, client);
    const char *at, *end = loop->clients->input + len;
    uint64_t now = now_ns();
    uint32_t number;

    at = carry_put(&client->carry, loop->clients->input);
    while (number_next(&at, end, &number))
        receive(loop, client, number, now);
    carry_keep(&client->carry, at, end);
}

/* Waits until something comes or until `then`, in ns, and takes what came. */
static void turn(struct loop *loop, uint64_t then)
{
    uint64_t now = now_ns(), left = then > now ? then - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    const struct timespec none = {0}, pause = {0, left < POLL_NS ? (long)left : POLL_NS};
    int ready = epoll_pwait2(loop->clients->epoll, loop->events, (int)loop->clients->count,
                             loop->run->polls ? &none : &timeout, NULL);

    if (ready == 0 && loop->run->polls)
        nanosleep(&pause, NULL);

    if (ready < 0 && errno != EINTR)
        give_up("epoll: %s", strerror(errno));
    for (int i = 0; i < ready; i++) {
        struct client *client = loop->events[i].data.ptr;

        if ((loop->events[i].events & EPOLLOUT) != 0)
            client_flush(loop->clients, client);
        if ((loop->events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            hear(loop, client);
    }
}

/* When there is something to do even if nothing comes. */
static uint64_t next_due(const struct loop *loop)
{
    uint64_t due = loop->until, scheduled = loop->run->window > 0 ? UINT64_MAX : due_of(loop, loop->said);

    if (scheduled < due)
        due = scheduled;
    if (loop->under_way > 0 && loop->waiting + ARRIVAL_DEADLINE < due)
        due = loop->waiting + ARRIVAL_DEADLINE;
    return due;
}

/* Chats until the time or the count is reached, and all has arrived or will not. */
static void part(struct loop *loop, double seconds, uint64_t wanted)
{
    uint64_t now = now_ns();
    struct run *run = loop->run;

    loop->start = loop->last = now;
    loop->said = 0;
    loop->wanted = wanted > 0 ? wanted : UINT64_MAX;
    loop->until = wanted > 0 ? UINT64_MAX : now + (uint64_t)(seconds * SECOND);
    for (uint32_t i = 0; run->window > 0 && i < loop->clients->rooms; i++)
        get_hungry(loop, i);
    for (; !ended(loop, now); now = now_ns()) {
        if (run->window > 0)
            say_closed(loop, now);
        else
            say_scheduled(loop, now);
        turn(loop, next_due(loop));
    }
    for (; loop->under_way > 0 && !stalled(loop, now); now = now_ns())
        turn(loop, loop->waiting + ARRIVAL_DEADLINE);
}

static uint64_t now_real(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void create(struct loop *loop, struct run *run, struct clients *clients)
{
    size_t most = run->window == 0 || run->acked ? UNDER_WAY_MAX : (size_t)run->window * clients->rooms;
    char name[CLIENT_NAME_MAX];

    memset(loop, 0, sizeof *loop);
    loop->run = run;
    loop->clients = clients;
    loop->unique = now_real();
    loop->receptions = clients->members - 1 + (run->acked ? 1 : 0);
    loop->chats = chats_create(clients->members, most);
    loop->rooms = calloc(clients->rooms, sizeof *loop->rooms);
    loop->hungry = calloc(clients->rooms, sizeof *loop->hungry);
    loop->events = calloc(clients->count, sizeof *loop->events);
    if (loop->chats == NULL || loop->rooms == NULL || loop->hungry == NULL || loop->events == NULL)
        give_up("no memory");
    for (uint32_t i = 0; i < clients->rooms; i++) {
        struct room *room = &loop->rooms[i];

        clients_room_name(clients, i, name);
        room->chat = speech_chat(clients->speech, run->acked, name, run->bytes);
        if (room->chat == NULL)
            give_up("no memory");
        room->len = strlen(room->chat);
        room->places[0] = strcspn(room->chat, "~");
        room->places[1] = (size_t)(strrchr(room->chat, '~') - room->chat);
    }
}

static void finish(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->clients->rooms; i++)
        free(loop->rooms[i].chat);
    chats_destroy(loop->chats);
    free(loop->rooms);
    free(loop->hungry);
    free(loop->events);
}

static void read_usage(struct run *run, bool before)
{
    for (size_t i = 0; i < run->watched_count; i++) {
        const struct watched *watched = &run->watched[i];

        if (!proc_usage(watched->pid, before ? &run->before[i] : &run->after[i]))
            give_up("%s: nothing is known of the process %d", watched->name, (int)watched->pid);
    }
}

void run_run(struct run *run, struct clients *clients)
{
    struct loop loop;

    prctl(PR_SET_TIMERSLACK, 1UL); /* a schedule is kept to the microsecond, not to 50 of them */
    create(&loop, run, clients);
    part(&loop, run->warm_up, 0);
    run->deliveries = run->acks = 0;
    histogram_clear(&run->latency);
    read_usage(run, true);
    if (loop.under_way == 0) /* else what was said in the warm-up did not arrive */
        part(&loop, run->seconds, run->chats_max);
    read_usage(run, false);
    run->took = (double)(loop.last - loop.start) / SECOND;
    run->chats = loop.said;
    run->missing = chats_lacking(loop.chats);
    finish(&loop);
}
