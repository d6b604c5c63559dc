#include "news.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "conversation.h"
#include "heap.h"
#include "name.h"
#include "place.h"
#include "session.h"
#include "stay.h"
#include "view.h"

#define HISTORY_PAGE 50
#define DIRECTS_PAGE 20
#define ROOMS_SHOWN 100

/* The refs of what is asked for: by a person, who is told the answer; by scrolling, which needs no more than
 * that it comes; and by the client itself: if that is refused, as too much at once, nobody need know. */
#define BY_COMMAND "command"
#define BY_SCROLLING "scrolling"
#define BY_ITSELF "itself"

void news_finish(struct news *news)
{
    free(news->wanted);
    free(news->with);
    news->wanted = news->with = NULL;
}

void news_want(struct news *news, const char *room)
{
    free(news->wanted);
    news->wanted = strdup(room);
}

bool news_ask_who(struct news *news, const char *room)
{
    return session_who(news->session, room, BY_COMMAND);
}

bool news_ask_rooms(struct news *news)
{
    return session_rooms(news->session, BY_COMMAND);
}

bool news_ask_older(struct news *news, bool by_command)
{
    struct place *place = news->view->shown;

    if (place->older_asked || place->older_none)
        return true;
    place->older_asked =
        session_history(news->session, place->room, NULL, conversation_oldest(place->conversation),
                        HISTORY_PAGE, by_command ? BY_COMMAND : BY_SCROLLING);
    return place->older_asked;
}

static bool is_listed_last(const struct news *news, const char *with)
{
    char a[NAME_MAX_BYTES], b[NAME_MAX_BYTES];

    return news->with && name_fold(news->with, a) && name_fold(with, b) && strcmp(a, b) == 0;
}

bool news_ask_directs(struct news *news, const char *with)
{
    return session_history(news->session, NULL, with, is_listed_last(news, with) ? news->with_before : 0,
                           DIRECTS_PAGE, BY_COMMAND);
}

void news_forget_asked(struct news *news)
{
    struct place *place;

    DL_FOREACH (news->view->places, place)
        place->older_asked = false;
}

static bool is_by_command(const struct told *told)
{
    return told->ref && strcmp(told->ref, BY_COMMAND) == 0;
}

static struct saying saying_of(const struct told *told)
{
    return (struct saying){.from = told->from,
                           .text = told->data,
                           .to = told->kind == TOLD_DIRECT ? told->to : NULL,
                           .id = told->id,
                           .at_ms = told->at_ms ? told->at_ms : (int64_t)id_ms(told->id)};
}

static void show_saying(struct news *news, const struct told *told)
{
    struct place *place =
        told->kind == TOLD_DIRECT ? news->view->shown : place_find(news->view->places, told->room);
    struct saying saying = saying_of(told);

    if (!place)
        return;
    view_say(news->view, place, &saying);
    if (told->kind == TOLD_DIRECT && news->account)
        session_read(news->session, told->from, told->id);
}

static void show_notice(struct news *news, const struct told *told)
{
    struct place *place = place_find(news->view->places, told->room);
    bool joined = told->kind == TOLD_JOINED;

    if (!place)
        return;
    if (joined)
        place_add(place, told->from);
    else
        place_remove(place, told->from);
    if (place->users >= 0 && (joined ? place->users < LONG_MAX : place->users > 0))
        place->users += joined ? 1 : -1;
    conversation_notice(place->conversation, told->from, joined, told->at_ms ? told->at_ms : stay_time());
    view_changed(news->view);
    view_status(news->view);
}

/* One is in a room, for the first time or again. */
static void show_entered(struct news *news, const struct told *told)
{
    struct place *place = place_open(&news->view->places, told->room, session_name(news->session));
    bool first = place && place->users < 0;

    if (!place)
        return;
    place->users = told->users >= 0 ? told->users : 0;
    session_who(news->session, place->room, BY_ITSELF);
    if (first)
        session_history(news->session, place->room, NULL, 0, HISTORY_PAGE, BY_ITSELF);
    if (told->kind == TOLD_WELCOME) {
        struct place *one;

        session_rooms(news->session, BY_ITSELF); /* for completion */

        DL_FOREACH (news->view->places, one)
            conversation_set_self(one->conversation, told->name);
        if (!news->greeted)
            view_tell(news->view, false, "You are %s, in %s. /help lists the commands.", told->name,
                      told->room);
        news->greeted = true;
        if (told->unread > 0)
            view_tell(news->view, false, "%ld direct messages came while you were away.", told->unread);
    }
    if (news->wanted && place_find(news->view->places, news->wanted) == place) {
        free(news->wanted);
        news->wanted = NULL;
        view_show(news->view, place);
    }
    view_status(news->view);
}

static void show_exited(struct news *news, const struct told *told)
{
    struct place *place = place_find(news->view->places, told->room), *other;

    if (!place)
        return;
    other = place == news->view->places ? place->next : news->view->places;
    if (other) {
        if (news->view->shown == place)
            view_show(news->view, other);
        view_tell(news->view, false, "You have left %s.", told->room); /* which may be the place's own */
        place_close(&news->view->places, place);
    } else {
        place->users = -1;
        view_tell(news->view, false, "You have left %s, and are in no room now: /join one.", told->room);
    }
    view_status(news->view);
}

static void show_who(struct news *news, const struct told *told)
{
    struct place *place = place_find(news->view->places, told->room);

    if (place && place->users >= 0) { /* else one is not there */
        if (told->count >= 0)
            place->users = told->count;
        place_remove_all(place);
        for (size_t i = 0; i < told->n_people; i++)
            place_add(place, told->people[i]);
    }
    if (is_by_command(told)) {
        char names[WIRE_TEXT_MAX - 2 * ROOM_MAX_BYTES] = "";
        size_t len = 0, n = 0;

        while (n < told->n_people && len + strlen(told->people[n]) + 1 < sizeof names)
            len += (size_t)sprintf(names + len, " %s", told->people[n++]);
        if (told->count == 0)
            view_tell(news->view, false, "Nobody is in %s.", told->room);
        else
            view_tell(news->view, false, "%s, %ld:%s%s", told->room, told->count, names,
                      n < told->n_people || (long)n < told->count ? " ..." : "");
    }
    view_status(news->view);
}

static void show_rooms(struct news *news, const struct told *told)
{
    long shown = told->n_rooms < ROOMS_SHOWN ? (long)told->n_rooms : ROOMS_SHOWN;
    long count = told->count > (long)told->n_rooms ? told->count : (long)told->n_rooms;

    view_forget_rooms(news->view);
    for (size_t i = 0; i < told->n_rooms; i++)
        view_know_room(news->view, told->rooms[i].room);
    if (!is_by_command(told))
        return;
    for (long i = 0; i < shown; i++)
        view_tell(news->view, false, "%s: %ld", told->rooms[i].room, told->rooms[i].users);
    if (count > shown)
        view_tell(news->view, false, "... and %ld more", count - shown);
}

static void list_directs(struct news *news, const struct told *told)
{
    if (told->n_messages == 0)
        view_tell(news->view, false,
                  is_listed_last(news, told->with) ? "You and %s have said nothing older alone."
                                                   : "You and %s have said nothing alone.",
                  told->with);
    for (size_t i = 0; i < told->n_messages; i++) {
        const struct told *direct = &told->messages[i];
        time_t seconds = (time_t)(saying_of(direct).at_ms / 1000);
        struct tm local = {0};
        char at[32];

        localtime_r(&seconds, &local);
        strftime(at, sizeof at, "%d %b %Y %H:%M", &local);
        view_tell(news->view, false, "%s %s: %s", at, direct->from, direct->data);
    }
    free(news->with);
    news->with = told->more && told->n_messages > 0 ? strdup(told->with) : NULL;
    news->with_before = news->with ? told->messages[0].id : 0;
    if (news->with)
        view_tell(news->view, false, "/history %s again has what is older.", news->with);
}

static void show_history(struct news *news, const struct told *told)
{
    struct place *place = place_find(news->view->places, told->room);
    struct saying *sayings;
    size_t put;

    if (!place)
        return;
    sayings = need(calloc(told->n_messages + 1, sizeof *sayings));
    for (size_t i = 0; i < told->n_messages; i++)
        sayings[i] = saying_of(&told->messages[i]);
    put = conversation_put_before(place->conversation, sayings, told->n_messages);
    if (!news->view->screen)
        for (size_t i = 0; i < told->n_messages; i++) {
            char prefix[ROOM_MAX_BYTES + NAME_MAX_BYTES + 32], at[ID_TEXT_MAX];

            snprintf(prefix, sizeof prefix, "%s [%s] %s: ", id_to_time(sayings[i].id, at), place->room,
                     sayings[i].from);
            view_print(news->view, prefix, sayings[i].text);
        }
    free(sayings);
    place->older_asked = false;
    place->older_none = !told->more || put == 0;
    if (is_by_command(told) && news->view->screen)
        view_tell(news->view, false, "%zu older messages are above: Page Up scrolls.", put);
    view_changed(news->view);
}

static void show_error(struct news *news, const struct told *told)
{
    if (told->ref && strcmp(told->ref, BY_ITSELF) == 0)
        return;
    view_tell(news->view, true, "%s", told->data);
    news_forget_asked(news);
}

void news_show(struct news *news, const struct told *told)
{
    switch (told->kind) {
    case TOLD_WELCOME:
    case TOLD_ENTERED:
        show_entered(news, told);
        break;
    case TOLD_MESSAGE:
    case TOLD_DIRECT:
        show_saying(news, told);
        break;
    case TOLD_JOINED:
    case TOLD_LEFT:
        show_notice(news, told);
        break;
    case TOLD_EXITED:
        if (told->room)
            show_exited(news, told);
        break;
    case TOLD_WHO:
        show_who(news, told);
        break;
    case TOLD_ROOMS:
        show_rooms(news, told);
        break;
    case TOLD_HISTORY:
        if (told->with)
            list_directs(news, told);
        else
            show_history(news, told);
        break;
    case TOLD_REGISTERED:
        news->account = true;
        view_tell(news->view, false, "%s is your account now: log in with its password.", told->name);
        break;
    case TOLD_GAP:
        view_tell(news->view, false, "%s", told->data ? told->data : "Something is missing here.");
        break;
    case TOLD_ERROR:
        show_error(news, told);
        break;
    default:
        break;
    }
}
