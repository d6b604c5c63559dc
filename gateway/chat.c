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
    const char *parts[] = {session->name, session->key ? session->key : "-", chain, ref, text};
    crypto_generichash_state state;
    unsigned char bytes[16];

    crypto_generichash_init(&state, NULL, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        crypto_generichash_update(&state, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&state, bytes, sizeof bytes);
    hex(bytes, digest);
}

static void chat_free(struct chat *chat)
{
    if (!chat)
        return;
    free(chat->ref);
    free(chat);
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
    chat_free(chat);
}

static void draft_destroy(struct draft *draft)
{
    chat_free(draft->chat);
    free(draft->body);
    free(draft);
}

/* Takes `body` (NULL: no memory). */
static struct draft *draft_create(struct session *session, struct member *member, const char *chain,
                                  char *body, const char *text, const char *ref, const char *word)
{
    struct draft *draft = calloc(1, sizeof *draft);

    if (!body || !draft || !(draft->chat = calloc(1, sizeof *draft->chat)))
        abort();
    strcpy(draft->chain, chain);
    draft->lane = chain_lane(chain);
    draft->body = body;
    *draft->chat = (struct chat){.token = session->sessions->next_token++,
                                 .session = session,
                                 .member = member,
                                 .ref = ref ? strdup(ref) : NULL,
                                 .word = word};
    if (ref && !draft->chat->ref)
        abort();
    if (ref && *ref) /* an empty one would make the same text said twice one chat */
        digest_ref(session, chain, ref, text, draft->digest);
    return draft;
}

/* Publishes `draft`, and frees it. */
static void publish(struct session *session, struct draft *draft)
{
    struct sessions *sessions = session->sessions;
    struct chat *chat = draft->chat;

    draft->chat = NULL;
    HASH_ADD(hh, sessions->chats, token, sizeof chat->token, chat);
    DL_APPEND(session->chats, chat);
    session->n_chats++;
    if (!bus_publish(sessions->bus, draft->lane, draft->chain, draft->digest, draft->body, chat->token))
        chat_published(chat, false, 0);
    draft_destroy(draft);
}

/* True if the lane has too many publishes under way; one that is not up refuses at once. */
static bool must_wait(const struct session *session, unsigned lane)
{
    const struct bus *bus = session->sessions->bus;

    return bus_lane_is_up(bus, lane) && bus_lane_is_full(bus, lane);
}

static void say(struct session *session, struct draft *draft)
{
    if (!must_wait(session, draft->lane)) {
        publish(session, draft);
        return;
    }
    session->doing = DOING_CHAT;
    session->stalled = draft;
}

void chat_say(struct session *session, struct member *member, const char *text, const char *ref,
              const char *word)
{
    const char *room = hub_room_name(member->room);
    char chain[CHAIN_MAX_BYTES], *body = event_body(session->shown, session->id, room, text);

    chain_name('r', room, chain);
    say(session, draft_create(session, member, chain, body, text, ref, word));
}

void chat_send_direct(struct session *session, const char *holder)
{
    const struct direct *direct = session->task->direct;
    char chain[CHAIN_MAX_BYTES], by[HOLDER_MAX_BYTES];
    char *body = event_direct_body(session->shown, session->id, session_holder(session, by), direct->to,
                                   holder, direct->text);

    chain_name('u', direct->name, chain);
    say(session,
        draft_create(session, NULL, chain, body, direct->text, session->task->ref, session->task->word));
    if (session->doing == DOING_DIRECT)
        session_done(session);
}

bool chat_unstall(struct session *session)
{
    struct draft *draft = session->stalled;

    if (must_wait(session, draft->lane))
        return false;
    session->stalled = NULL;
    publish(session, draft);
    session_done(session);
    return true;
}

static enum verb verb_of(const struct chat *chat)
{
    return chat->member ? VERB_CHAT : VERB_DIRECT;
}

static void acknowledge(struct chat *chat)
{
    session_reply(
        chat->session,
        &(struct reply){
            .kind = REPLY_ACK, .verb = verb_of(chat), .ref = chat->ref, .word = chat->word, .id = chat->id});
    chat_destroy(chat);
}

void chat_published(struct chat *chat, bool good, event_id id)
{
    struct session *session = chat->session;

    if (!good) {
        session_error(session, verb_of(chat), chat->ref, chat->word, ERROR_UNAVAILABLE, NULL);
        chat_destroy(chat);
    } else {
        chat->id = id;
        if (chat->member)
            chat->member->waiting++;
        if (!chat->member || chat->member->position >= id)
            acknowledge(chat);
    }
    session_go_on(session);
}

/* The answer to the question under which id the direct under way was sent before; 0: it was not. */
static void on_ref(void *ctx, uint64_t token, bool known, event_id id)
{
    struct session *session = session_by_serial(ctx, token);

    if (!session || session->doing != DOING_DIRECT)
        return;
    if (id)
        session_reply(session, &(struct reply){.kind = REPLY_ACK,
                                               .verb = VERB_DIRECT,
                                               .ref = session->task->ref,
                                               .word = session->task->word,
                                               .id = id});
    else
        session_error(session, VERB_DIRECT, session->task->ref, session->task->word,
                      known ? ERROR_NO_SUCH_USER : ERROR_UNAVAILABLE, NULL);
    session_done(session);
}

void chat_find_direct(struct session *session)
{
    const struct direct *direct = session->task->direct;
    char chain[CHAIN_MAX_BYTES], digest[DIGEST_MAX_BYTES];

    if (!session->task->ref || !*session->task->ref) {
        session_refuse(session, ERROR_NO_SUCH_USER, NULL);
        return;
    }
    chain_name('u', direct->name, chain);
    digest_ref(session, chain, session->task->ref, direct->text, digest);
    if (!bus_find_ref(session->sessions->bus, chain_lane(chain), digest, on_ref, session->sessions,
                      session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, NULL);
}

void chat_acknowledge(struct session *session, struct member *member)
{
    struct chat *chat, *next;

    DL_FOREACH_SAFE (session->chats, chat, next)
        if (chat->member == member && chat->id && chat->id <= member->position)
            acknowledge(chat);
    session_go_on(session);
}

bool chat_is_unanswered(const struct session *session, const struct member *member)
{
    const struct chat *chat;

    DL_FOREACH (session->chats, chat)
        if (!member || chat->member == member)
            return true;
    return false;
}

void chat_forget(struct session *session)
{
    while (session->chats)
        chat_destroy(session->chats);
    if (session->stalled)
        draft_destroy(session->stalled);
    session->stalled = NULL;
}
