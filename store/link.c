#include "link.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "functions.h"
#include "log.h"

#define CONNECT_MS 1500
#define ANSWER_MS 4000

void link_drop(struct link *link, const char *why)
{
    if (backoff_fail(&link->backoff))
        log_warn("redis_lost", "server=%s:%d error=%s", link->address.host, link->address.port, why);
    if (link->context)
        redisFree(link->context); /* `why` may be part of it */
    link->context = NULL;
}

static bool send_arguments(struct link *link, const char *format, va_list arguments)
{
    if (!link->context)
        return false;
    if (redisvAppendCommand(link->context, format, arguments) == REDIS_OK)
        return true;
    link_drop(link, link->context->errstr);
    return false;
}

bool link_flush(struct link *link)
{
    for (int done = 0; !done;) {
        if (redisBufferWrite(link->context, &done) == REDIS_OK)
            continue;
        link_drop(link, link->context->errstr);
        return false;
    }
    return true;
}

bool link_send(struct link *link, const char *format, ...)
{
    va_list arguments;
    bool sent;

    va_start(arguments, format);
    sent = send_arguments(link, format, arguments);
    va_end(arguments);
    return sent && link_flush(link);
}

redisReply *link_receive(struct link *link)
{
    int64_t until = wait_now() + ANSWER_MS;
    void *reply = NULL;

    while (link->context) {
        struct pollfd fd = {.fd = link->context->fd, .events = POLLIN};

        if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK) {
            link_drop(link, link->context->errstr);
        } else if (reply) {
            return reply;
        } else if (!wait_poll(&fd, 1, until)) {
            link_drop(link, "a command was not answered in time");
        } else if (fd.revents) {
            if (redisBufferRead(link->context) != REDIS_OK)
                link_drop(link, link->context->errstr);
            until = wait_now() + ANSWER_MS; /* a long answer may take its time, as long as it comes */
        }
    }
    return NULL;
}

redisReply *link_call(struct link *link, const char *format, ...)
{
    va_list arguments;
    bool sent;

    va_start(arguments, format);
    sent = send_arguments(link, format, arguments);
    va_end(arguments);
    return sent && link_flush(link) ? link_receive(link) : NULL;
}

static bool is_error(const redisReply *reply, const char *part)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, part) != NULL;
}

/* Any answer but an error will do. */
static bool expect(struct link *link, redisReply *reply)
{
    char why[256];
    bool good;

    if (!reply)
        return false;
    good = reply->type != REDIS_REPLY_ERROR;
    snprintf(why, sizeof why, "%s", good ? "" : reply->str);
    freeReplyObject(reply);
    if (!good)
        link_drop(link, why);
    return good;
}

/*
 * A full Redis refuses to load even what it has already.  That must not keep the store from reading: only its
 * trimming makes room again, and where the library is missing, that is seen when it is called.
 */
bool link_load_functions(struct link *link)
{
    redisReply *reply = link_call(link, "FUNCTION LOAD %s", FUNCTIONS_LUA);

    if (reply && (is_error(reply, "already exists") || is_error(reply, "OOM"))) {
        freeReplyObject(reply);
        return true;
    }
    return expect(link, reply);
}

/* Appends "name=value " to `found` if the setting is not as it should be.  Who may not ask is not told. */
static bool look_at(struct link *link, const char *name, const char *wanted, char *found, size_t size)
{
    redisReply *reply = link_call(link, "CONFIG GET %s", name);
    size_t len = strlen(found);

    if (!reply)
        return false;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        strcmp(reply->element[1]->str, wanted) != 0)
        snprintf(found + len, size - len, "%s%s \"%s\" (not \"%s\")", len ? ", " : "", name,
                 reply->element[1]->str, wanted);
    freeReplyObject(reply);
    return true;
}

/* Without a limit Redis takes all of the machine's memory while PostgreSQL is away. */
static bool look_at_memory(struct link *link, char *found, size_t size)
{
    redisReply *reply = link_call(link, "CONFIG GET maxmemory");
    size_t len = strlen(found);

    if (!reply)
        return false;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && strcmp(reply->element[1]->str, "0") == 0)
        snprintf(found + len, size - len, "%smaxmemory \"0\" (not \"2gb\" or so)", len ? ", " : "");
    freeReplyObject(reply);
    return true;
}

static bool warn_of_settings(struct link *link)
{
    char found[512] = "";

    if (!look_at(link, "appendonly", "yes", found, sizeof found) ||
        !look_at(link, "appendfsync", "always", found, sizeof found) ||
        !look_at(link, "save", "", found, sizeof found) ||
        !look_at(link, "maxmemory-policy", "noeviction", found, sizeof found) ||
        !look_at_memory(link, found, sizeof found))
        return false;
    if (found[0])
        log_warn("redis_settings", "server=%s:%d found=%s remedy=%s", link->address.host, link->address.port,
                 found, "set them, or chats may be lost when Redis ends");
    return true;
}

bool link_join(struct link *link, const char *password)
{
    const struct timeval patience = {.tv_sec = CONNECT_MS / 1000, .tv_usec = CONNECT_MS % 1000 * 1000};

    link->context = redisConnectWithTimeout(link->address.host, link->address.port, patience);
    if (!link->context || link->context->err) {
        link_drop(link, link->context ? link->context->errstr : "no memory");
        return false;
    }
    redisSetTimeout(link->context, patience); /* for writing; reading is waited for with poll */
    redisEnableKeepAlive(link->context);
    if (password[0] && !expect(link, link_call(link, "AUTH %s", password)))
        return false;
    return link_load_functions(link);
}

bool link_connect(struct link *link, const char *password)
{
    return link_join(link, password) && warn_of_settings(link);
}

void link_close(struct link *link)
{
    if (link->context)
        redisFree(link->context);
    link->context = NULL;
}

bool link_look(struct link *link)
{
    struct pollfd fd = {.events = POLLIN};

    if (!link->context)
        return false;
    fd.fd = link->context->fd;
    if (poll(&fd, 1, 0) != 0) /* nothing was asked, so it can only be the end */
        link_close(link);
    return link->context != NULL;
}
