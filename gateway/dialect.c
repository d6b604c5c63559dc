#include "dialect.h"

#include <string.h>

extern const struct dialect dialect_command, dialect_gob, dialect_json, dialect_line, dialect_prompt;

const struct dialect *const dialects[DIALECTS_MAX] = {&dialect_json, &dialect_line, &dialect_prompt,
                                                      &dialect_command, &dialect_gob};

int dialect_find(const char *name, size_t len)
{
    for (int i = 0; i < DIALECTS_MAX && dialects[i]; i++) {
        if (strlen(dialects[i]->name) == len && memcmp(dialects[i]->name, name, len) == 0)
            return i;
    }
    return -1;
}

enum decoded request_refuse(struct request *request, enum error_code error, const char *reason)
{
    request->error = error;
    request->reason = reason;
    return DECODED_ERROR;
}

static const struct {
    const char *name, *sentence;
} errors[] = {
    [ERROR_NONE] = {"none", "All is well."},
    [ERROR_USERNAME_TAKEN] = {"username-taken", "That name is taken."},
    [ERROR_USERNAME_INVALID] = {"username-invalid",
                                "A name is 1 to 32 letters, digits, _ - or . and not \"server\"."},
    [ERROR_LOGIN_REQUIRED] = {"login-required", "Please log in first."},
    [ERROR_ALREADY_LOGGED_IN] = {"already-logged-in", "You are logged in already."},
    [ERROR_PASSWORD_REQUIRED] = {"password-required", "That name belongs to an account: give its password."},
    [ERROR_AUTH_FAILED] = {"auth-failed", "That password is wrong."},
    [ERROR_BAD_REQUEST] = {"bad-request", "That could not be understood."},
    [ERROR_UNKNOWN_COMMAND] = {"unknown-command", "There is no such command."},
    [ERROR_TOO_LONG] = {"too-long", "That is too long."},
    [ERROR_RATE_LIMITED] = {"rate-limited", "Too much at once: wait a moment, then try again."},
    [ERROR_NO_SUCH_USER] = {"no-such-user", "There is nobody of that name."},
    [ERROR_ROOM_INVALID] = {"room-invalid", "A room's name is 1 to 64 letters, digits, _ - or ."},
    [ERROR_NOT_IN_ROOM] = {"not-in-room", "You are not in that room."},
    [ERROR_UNAVAILABLE] = {"unavailable", "That is not possible just now: try again in a moment."},
    [ERROR_IDLE_TIMEOUT] = {"idle-timeout", "Nothing was heard from you for too long."},
    [ERROR_LOGIN_TIMEOUT] = {"login-timeout", "You did not log in in time."},
    [ERROR_SERVER_FULL] = {"server-full", "The server is full: try again later."},
    [ERROR_SLOW_CONSUMER] = {"slow-consumer", "You did not read what was sent to you."},
    [ERROR_REPLACED] = {"replaced", "You have logged in from somewhere else."},
    [ERROR_SHUTTING_DOWN] = {"shutting-down", "The server is shutting down: please connect again."},
};

const char *error_name(enum error_code code)
{
    return errors[code].name;
}

const char *error_sentence(enum error_code code)
{
    return errors[code].sentence;
}
