#ifndef HUBBUB_CLIENT_NEWS_H
#define HUBBUB_CLIENT_NEWS_H

/*
 * news: what the server tells, as the person sees it: places are opened and closed by it, and filled.  What
 * the person has asked for is told when it comes; the client asks by itself, too, and keeps that quiet.
 */

#include <stdbool.h>

#include "id.h"

struct session;
struct told;
struct view;

struct news {
    struct view *view;       /* borrowed, and so is the session */
    struct session *session; /* which is asked for what belongs to the news: who is there, what was said */
    bool greeted;            /* who this is was told */
    bool account;            /* the name is one's own by a password: directs wait until they are read */
    char *wanted; /* the room that /join has asked for and which is to be shown when it is entered, or NULL */
    char *with;   /* with whom directs were listed last, if there are older ones; or NULL */
    event_id with_before; /* than this */
};

void news_finish(struct news *news);

/* Shows it. */
void news_show(struct news *news, const struct told *told);

/* The person wants that room to be shown when it is entered. */
void news_want(struct news *news, const char *room);

/* Who is in a room, which rooms there are; false: not connected. */
bool news_ask_who(struct news *news, const char *room);
bool news_ask_rooms(struct news *news);

/* Asks for a page of what is older than what is shown, and (`by_command`) tells when it is there; false: not
 * connected.  Nothing is asked if nothing is older or it is asked already. */
bool news_ask_older(struct news *news, bool by_command);

/* Asks for a page of what was said alone with somebody, the newest or what is older than the last one; false:
 * not connected.  It is listed, not put into the conversation: that is of a room. */
bool news_ask_directs(struct news *news, const char *with);

/* The connection is lost: of what was asked for, nothing is answered any more. */
void news_forget_asked(struct news *news);

#endif
