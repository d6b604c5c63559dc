/*
 * chat: from the request to the ack.
 *
 * A chat is published at once; Redis' answer gives its id.  It is acknowledged when, besides, the session's
 * position in the room has reached that id: then everything before it in the room was sent to the session,
 * and every id that a client was given is one that it may come back with.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <utlist.h>

#include "bus.h"
#include "session.h"

static void hex(const unsigned char bytes[16], char text[DIGEST_MAX_BYTES])
{
    sodium_bin2hex(text, DIGEST_MAX_BYTES, bytes, 16);
}

void digest_key(const char *key, char digest[DIGEST_MAX_BYTES])
{
    unsigned char bytes[16];

    crypto_generichash(bytes, sizeof bytes, (const unsigned char *)key, strlen(key), NULL, 0);
    hex(bytes, digest);
}

/* A retry is the same name and key, the same place, the same ref and the same text. */
static void digest_ref(const struct session *session, const char *chain, const char *ref, const char *text,
                       char digest[DIGEST_MAX_BYTES])
{
    const char *parts[] = {session->name, session->key, chain, ref, text};
    crypto_generichash_state state;
    unsigned char bytes[16];

    crypto_generichash_init(&state, NULL, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        crypto_generichash_update(&state, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&state, bytes, sizeof bytes);
    hex(bytes, digest);
}

static void chat_destroy(struct chat *chat)
{
    struct session *session = chat->session;

    HASH_DEL(session->sessions->chats, chat);
    DL_DELETE(session->chats, chat);
    if (session->n_chats-- == CHATS_MAX && session->conn)
        conn_again(session->conn);
    if (chat->id && chat->member)
        chat->member->waiting--;
    free(chat->ref);
    free(chat);
}

static void publish(struct session *session, struct member *member, const char *body, const char *digest,
                    char *ref)
{
    struct sessions *sessions = session->sessions;
    const char *room = hub_room_name(member->room);
    unsigned lane = hub_room_lane(member->room);
    char chain[CHAIN_MAX_BYTES], channel[ROOM_MAX_BYTES + 24];
    struct chat *chat = calloc(1, sizeof *chat);

    if (!chat)
        abort();
    snprintf(chain, sizeof chain, "r:%s", room);
    snprintf(channel, sizeof channel, "hubbub:{%u}:room:%s", lane, room);
    *chat = (struct chat){.token = sessions->next_token++, .session = session, .member = member, .ref = ref};
    HASH_ADD(hh, sessions->chats, token, sizeof chat->token, chat);
    DL_APPEND(session->chats, chat);
    session->n_chats++;
    if (!bus_publish(sessions->bus, lane, chain, channel, digest, body, chat->token))
        chat_published(chat, false, 0);
}

/* True if the member's lane has too many publishes under way; one that is not up refuses at once. */
static bool must_wait(const struct session *session, const struct member *member)
{
    const struct bus *bus = session->sessions->bus;
    unsigned lane = hub_room_lane(member->room);

    return bus_lane_is_up(bus, lane) && bus_lane_is_full(bus, lane);
}

void chat_say(struct session *session, struct member *member, const char *text, const char *ref)
{
    const char *room = hub_room_name(member->room);
    char chain[CHAIN_MAX_BYTES], digest[DIGEST_MAX_BYTES] = "";
    char *body = event_body(session->shown, session->id, room, NULL, text),
         *own_ref = ref ? strdup(ref) : NULL;

    if (!body || (ref && !own_ref))
        abort();
    snprintf(chain, sizeof chain, "r:%s", room);
    if (ref && *ref) /* an empty one would make the same text said twice one chat */
        digest_ref(session, chain, ref, text, digest);
    if (must_wait(session, member)) {
        session->doing = DOING_CHAT;
        session->stalled = body;
        session->stalled_ref = own_ref;
        session->stalled_member = member;
        strcpy(session->stalled_digest, digest);
        return;
    }
    publish(session, member, body, digest, own_ref);
    free(body);
}

bool chat_unstall(struct session *session)
{
    char *body = session->stalled;

    if (must_wait(session, session->stalled_member))
        return false;
    session->stalled = NULL;
    publish(session, session->stalled_member, body, session->stalled_digest, session->stalled_ref);
    session->stalled_ref = NULL;
    free(body);
    session_done(session);
    return true;
}

static void acknowledge(struct chat *chat)
{
    session_reply(chat->session,
                  &(struct reply){.kind = REPLY_ACK, .verb = VERB_CHAT, .ref = chat->ref, .id = chat->id});
    chat_destroy(chat);
}

void chat_published(struct chat *chat, bool good, event_id id)
{
    struct session *session = chat->session;

    if (good) {
        chat->id = id;
        chat->member->waiting++;
        if (chat->member->position >= id)
            acknowledge(chat);
    } else {
        session_error(session, VERB_CHAT, chat->ref, ERROR_UNAVAILABLE, NULL);
        chat_destroy(chat);
    }
    session_go_on(session);
}

void chat_acknowledge(struct session *session, struct member *member, bool all)
{
    struct chat *chat, *next;

    DL_FOREACH_SAFE (session->chats, chat, next)
        if (chat->member == member && chat->id && (all || chat->id <= member->position))
            acknowledge(chat);
}

bool chat_is_unanswered(const struct session *session, const struct member *member)
{
    const struct chat *chat;

    DL_FOREACH (session->chats, chat)
        if ((!member || chat->member == member) && !chat->id)
            return true;
    return false;
}

void chat_forget(struct session *session)
{
    while (session->chats)
        chat_destroy(session->chats);
    free(session->stalled);
    free(session->stalled_ref);
    session->stalled = session->stalled_ref = NULL;
}
