/*
 * account: log-ins with a password, and names that become accounts; the store knows the passwords.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session.h"
#include "stored.h"
#include "storelink.h"

/* The error that the store has answered with; ERROR_UNAVAILABLE if it has not answered. */
static enum error_code error_of(const json_t *answer)
{
    const char *code = json_string_value(json_object_get(answer, "error"));

    if (code && strcmp(code, "auth-failed") == 0)
        return ERROR_AUTH_FAILED;
    if (code && strcmp(code, "rate-limited") == 0)
        return ERROR_RATE_LIMITED;
    if (code && strcmp(code, "bad-request") == 0)
        return ERROR_BAD_REQUEST;
    return ERROR_UNAVAILABLE;
}

static const char *sentence(enum error_code code)
{
    switch (code) {
    case ERROR_RATE_LIMITED:
        return "There were too many wrong passwords: wait a minute.";
    case ERROR_BAD_REQUEST:
        return "A password is 8 to 128 bytes of UTF-8.";
    default:
        return NULL;
    }
}

/* Keeps the number of the account.  False: the answer has none. */
static bool read_account(struct session *session, const json_t *answer)
{
    const char *account = json_string_value(json_object_get(answer, "account"));

    if (!account || strlen(account) >= ACCOUNT_MAX_BYTES || account[strspn(account, "0123456789")] ||
        !*account)
        return false;
    session_set(&session->account, account);
    return true;
}

static void on_verified(void *ctx, uint64_t token, const json_t *answer)
{
    struct session *session = session_by_serial(ctx, token);
    enum error_code error;

    if (!session || session->doing != DOING_LOGIN)
        return;
    if (json_is_true(json_object_get(answer, "ok")) && read_account(session, answer) &&
        stored_id(answer, "stored", &session->task->inbox_since)) {
        session->task->unread = (long)json_integer_value(json_object_get(answer, "unread"));
        session_hold_room(session, session->task->wanted);
        return;
    }
    error = error_of(answer);
    if (error == ERROR_BAD_REQUEST) /* what cannot be a password is not this one either */
        error = ERROR_AUTH_FAILED;
    session_refuse_login(session, error, sentence(error));
}

void account_verify(struct session *session, const char *password)
{
    json_t *request = json_pack("{s:s, s:s, s:s, s:s}", "ask", "log-in", "name", session->name, "password",
                                password, "address", session->address);

    if (!request) /* the password is no UTF-8 */
        session_refuse_login(session, ERROR_AUTH_FAILED, NULL);
    else if (!storelink_ask(session->sessions->storelink, STORELINK_PASSWORD, request, on_verified,
                            session->sessions, session->serial))
        session_refuse_login(session, ERROR_UNAVAILABLE, "Passwords cannot be checked now: try again.");
}

static void on_registered(void *ctx, uint64_t token, const json_t *answer)
{
    struct session *session = session_by_serial(ctx, token);
    enum error_code error;

    if (!session || session->doing != DOING_REGISTER)
        return;
    if (json_is_true(json_object_get(answer, "ok")) && read_account(session, answer)) {
        inbox_watch(session);
        log_info("password_set", "session=%s name=%s", session->id, session->shown);
        session_reply(session, &(struct reply){.kind = REPLY_REGISTERED,
                                               .verb = VERB_REGISTER,
                                               .ref = session->task->ref,
                                               .word = session->task->word,
                                               .name = session->shown});
        session_done(session);
        return;
    }
    error = error_of(answer);
    session_refuse(session, error, sentence(error));
}

void account_register(struct session *session, const char *password, const char *old)
{
    json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "ask", "register", "name",
                                session->name, "shown", session->shown, "session", session->id, "password",
                                password, "address", session->address, "old", old);

    if (!request)
        session_refuse(session, ERROR_BAD_REQUEST, sentence(ERROR_BAD_REQUEST));
    else if (!storelink_ask(session->sessions->storelink, STORELINK_PASSWORD, request, on_registered,
                            session->sessions, session->serial))
        session_refuse(session, ERROR_UNAVAILABLE, "Nobody can register now: try again.");
}
