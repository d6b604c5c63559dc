#include "accounts.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "attempts.h"
#include "functions.h"
#include "log.h"
#include "name.h"
#include "roster.h"
#include "seldom.h"

#define SESSION_BYTES 128
#define ADDRESS_BYTES 64

/* Who changes whether a name is an account; see also ROSTER_SHARE. */
#define NAME_SPACE "1752523363"

struct accounts {
    const struct settings *settings;
    struct attempts *attempts;
    pthread_mutex_t lock; /* of `refused` */
    struct seldom refused;
    char nobody[crypto_pwhash_STRBYTES]; /* a hash of no password: who is unknown takes as long as who is not
                                          */
};

/* What both requests have; borrowed from the request. */
struct asked {
    const char *name, *password, *address;
};

/* An account as PostgreSQL has it. */
struct account {
    int64_t number; /* 0: the name is none */
    char hash[crypto_pwhash_STRBYTES];
};

enum verdict {
    RIGHT,
    WRONG,
    TROUBLE, /* PostgreSQL, Redis or memory; the request may be asked again */
};

/* Passwords ---------------------------------------------------------------------------------------------- */

bool password_is_good(const char *password)
{
    size_t len = strlen(password);

    return len >= PASSWORD_MIN && len <= PASSWORD_MAX;
}

static size_t memory(const struct settings *settings)
{
    return (size_t)settings->password_memory << 20;
}

static bool make_hash(const struct settings *settings, const char *password,
                      char hash[crypto_pwhash_STRBYTES])
{
    if (crypto_pwhash_str_alg(hash, password, strlen(password), (unsigned long long)settings->password_ops,
                              memory(settings), crypto_pwhash_ALG_ARGON2ID13) == 0)
        return true;
    log_error("password_not_hashed", "error=%s remedy=%s", strerror(errno), "lower HUBBUB_PASSWORD_MEMORY");
    return false;
}

static enum verdict verify(const char *hash, const char *password)
{
    errno = 0;
    if (crypto_pwhash_str_verify(hash, password, strlen(password)) == 0)
        return RIGHT;
    if (errno == EINVAL) /* what a mismatch is told by; the rest is memory */
        return WRONG;
    log_error("password_not_verified", "error=%s", strerror(errno));
    return TROUBLE;
}

struct accounts *accounts_create(const struct settings *settings)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);
    unsigned char noise[16];
    char password[2 * sizeof noise + 1];

    if (!accounts)
        return NULL;
    accounts->settings = settings;
    accounts->attempts = attempts_create();
    pthread_mutex_init(&accounts->lock, NULL);
    randombytes_buf(noise, sizeof noise);
    sodium_bin2hex(password, sizeof password, noise, sizeof noise);
    if (accounts->attempts && make_hash(settings, password, accounts->nobody))
        return accounts;
    accounts_destroy(accounts);
    return NULL;
}

void accounts_destroy(struct accounts *accounts)
{
    if (!accounts)
        return;
    attempts_destroy(accounts->attempts);
    pthread_mutex_destroy(&accounts->lock);
    free(accounts);
}

/* Requests ----------------------------------------------------------------------------------------------- */

void accounts_wipe(json_t *request)
{
    static const char *const members[] = {"password", "old"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *member = json_object_get(request, members[i]);

        if (json_is_string(member)) /* the text is the object's own, and nobody else has it */
            sodium_memzero((char *)(uintptr_t)json_string_value(member), json_string_length(member));
    }
    json_decref(request);
}

/* A member that is a text of at most `max` bytes, one at least; else NULL. */
static const char *text_of(const json_t *request, const char *member, size_t max)
{
    const char *text = json_string_value(json_object_get(request, member));

    return text && text[0] && strlen(text) <= max ? text : NULL;
}

static const char *password_of(const json_t *request, const char *member)
{
    const char *password = text_of(request, member, PASSWORD_MAX);

    return password && password_is_good(password) ? password : NULL;
}

static bool is_folded(const char *name)
{
    char folded[NAME_MAX_BYTES];

    return name_fold(name, folded) && strcmp(name, folded) == 0;
}

static bool understand(const json_t *request, struct asked *asked)
{
    asked->name = text_of(request, "name", NAME_MAX_BYTES - 1);
    asked->password = password_of(request, "password");
    asked->address = text_of(request, "address", ADDRESS_BYTES);
    return asked->name && asked->password && asked->address && is_folded(asked->name);
}

static json_t *answer_account(int64_t number)
{
    char text[24];
    json_t *answer;

    snprintf(text, sizeof text, "%" PRId64, number);
    answer = json_pack("{s:b,s:s}", "ok", 1, "account", text);
    if (!answer)
        abort();
    return answer;
}

/* The answer to who may be guessing a password.  A line a second tells of it: guesses are to fill no disk. */
static json_t *refuse(struct accounts *accounts, const char *event, const struct asked *asked,
                      const char *reason)
{
    unsigned long more;
    unsigned count;

    pthread_mutex_lock(&accounts->lock);
    count = seldom_count(&accounts->refused, (uint64_t)wait_now(), &more);
    pthread_mutex_unlock(&accounts->lock);
    log_write(count == 1 ? LOG_INFO : LOG_DEBUG, event, "name=%s address=%s reason=%s more=%lu", asked->name,
              asked->address, reason, more);
    return ask_error(reason);
}

/* PostgreSQL --------------------------------------------------------------------------------------------- */

/* Runs a statement with up to three texts and a number (0: none); false, and it was logged, if that failed.
 */
static bool run(struct worker *worker, const char *sql, const char *const texts[3], int64_t number,
                PGresult **rows)
{
    struct arguments arguments;
    enum answer answer;

    arguments_init(&arguments);
    for (int i = 0; i < 3 && texts && texts[i]; i++)
        arguments_text(&arguments, texts[i]);
    if (number)
        arguments_number(&arguments, number);
    answer = database_run(worker->database, sql, arguments.count > 0 ? &arguments : NULL, rows);
    arguments_finish(&arguments);
    if (answer == ANSWER_OK)
        return true;
    log_warn("account_failed", "error=%s", database_error(worker->database));
    return false;
}

#define TEXTS(...) ((const char *const[3]){__VA_ARGS__})

/* Runs a statement that changes rows; how many, or -1. */
static int change(struct worker *worker, const char *sql, const char *const texts[3], int64_t number)
{
    PGresult *rows;
    int changed;

    if (!run(worker, sql, texts, number, &rows))
        return -1;
    changed = atoi(PQcmdTuples(rows));
    PQclear(rows);
    return changed;
}

/* Ends a transaction without its changes; a connection that cannot do even that is closed. */
static void roll_back(struct worker *worker)
{
    if (database_is_up(worker->database) &&
        database_run(worker->database, "rollback", NULL, NULL) != ANSWER_OK)
        database_close(worker->database);
}

static bool look_up(struct worker *worker, const char *name, struct account *account)
{
    PGresult *rows;

    *account = (struct account){0};
    if (!run(worker, "select account, password_hash from users where name_key = $1 and account is not null",
             TEXTS(name), 0, &rows))
        return false;
    if (PQntuples(rows) == 1) {
        account->number = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
        snprintf(account->hash, sizeof account->hash, "%s", PQgetvalue(rows, 0, 1));
    }
    PQclear(rows);
    return true;
}

/* Puts `hash` in the place of the one that was looked up: of two who do that one succeeds. */
static int replace_hash(struct worker *worker, const char *name, const struct account *account,
                        const char *hash)
{
    return change(
        worker,
        "update users set password_hash = $2 where name_key = $1 and password_hash = $3 and account = $4",
        TEXTS(name, hash, account->hash), account->number);
}

/* The settings were changed since the password was kept: it is kept anew, now that it is known. */
static void keep_up(struct worker *worker, const struct asked *asked, const struct account *account)
{
    const struct settings *settings = worker->settings;
    char hash[crypto_pwhash_STRBYTES];

    if (crypto_pwhash_str_needs_rehash(account->hash, (unsigned long long)settings->password_ops,
                                       memory(settings)) != 0 &&
        make_hash(settings, asked->password, hash) && replace_hash(worker, asked->name, account, hash) == 1)
        log_debug("password_rehashed", "name=%s", asked->name);
}

/* Names that become accounts ----------------------------------------------------------------------------- */

/* Calls register or forget; RIGHT: OK, WRONG: GONE.  `maybe`: it may have been done all the same. */
static enum verdict tell_redis(struct worker *worker, redisReply *reply, const char *what, bool *maybe)
{
    enum verdict verdict = TROUBLE;

    *maybe = !reply;
    if (!reply)
        return TROUBLE;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
        verdict = strcmp(reply->element[0]->str, "OK") == 0 ? RIGHT : WRONG;
    else
        log_warn("account_refused", "function=%s error=%s", what,
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "another answer");
    freeReplyObject(reply);
    return verdict;
}

static enum verdict tell_register(struct worker *worker, const char *name, const char *session,
                                  int64_t number)
{
    enum verdict verdict;
    bool maybe;

    if (!worker_reach_redis(worker))
        return TROUBLE;
    verdict = tell_redis(worker,
                         link_call(&worker->link, "FCALL %s 1 hubbub:{0} %s %s %" PRId64,
                                   FUNCTION("register"), name, session, number),
                         "register", &maybe);
    if (maybe)
        roster_want();
    return verdict;
}

/* Takes a registration back that came to nothing; its session goes on as a guest's. */
static void take_back(struct worker *worker, const char *name)
{
    redisReply *reply = NULL;

    if (worker_reach_redis(worker))
        reply = link_call(&worker->link, "HDEL " ROSTER_KEY " %s", name);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        roster_want();
    freeReplyObject(reply);
}

static enum verdict tell_forget(struct worker *worker, const char *name)
{
    enum verdict verdict = TROUBLE;
    struct timespec now;
    bool maybe;

    clock_gettime(CLOCK_REALTIME, &now);
    if (worker_reach_redis(worker))
        verdict = tell_redis(worker,
                             link_call(&worker->link, "FCALL %s 1 hubbub:{0} %s %lld %ld", FUNCTION("forget"),
                                       name, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                       worker->settings->notice_max),
                             "forget", &maybe);
    if (verdict != RIGHT)
        roster_want();
    return verdict;
}

/* Within the transaction: waits for whoever else changes this name, or makes the list. */
static bool lock_name(struct worker *worker, const char *name)
{
    return run(worker, ROSTER_SHARE, NULL, 0, NULL) &&
           run(worker, "select pg_advisory_xact_lock(" NAME_SPACE ", hashtext($1))", TEXTS(name), 0, NULL);
}

/* Within the transaction: locks the name, then sees what it is and takes a number. */
static bool prepare(struct worker *worker, const char *name, int64_t *number, bool *is_account)
{
    PGresult *rows;

    if (!lock_name(worker, name) ||
        !run(worker, "select account is not null from users where name_key = $1", TEXTS(name), 0, &rows))
        return false;
    *is_account = PQntuples(rows) == 1 && PQgetvalue(rows, 0, 0)[0] == 't';
    PQclear(rows);
    if (*is_account)
        return true;
    if (!run(worker, "select nextval('account_numbers')", NULL, 0, &rows))
        return false;
    *number = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return true;
}

/*
 * Within the transaction: first in Redis, then here.  WRONG: the session does not hold the name.  The row may
 * be a new one; it is made last, for ingest, which may need it too, waits for our transaction.
 */
static enum verdict enter(struct worker *worker, const char *name, const char *shown, const char *session,
                          const char *hash, int64_t number)
{
    enum verdict verdict = tell_register(worker, name, session, number);

    if (verdict != RIGHT)
        return verdict;
    if (change(worker,
               "insert into users (name_key, name, password_hash, account, registered_at)"
               " values ($1, $2, $3, $4, now()) on conflict (name_key) do update set password_hash = $3,"
               " account = $4, registered_at = now()",
               TEXTS(name, shown, hash), number) == 1) {
        if (run(worker, "commit", NULL, 0, NULL))
            return RIGHT;
        roster_want(); /* nobody knows */
        return TROUBLE;
    }
    if (database_is_up(worker->database))
        take_back(worker, name); /* the name's lock is still ours */
    else
        roster_want();
    return TROUBLE;
}

/*
 * Makes an account of `name`, if `session` holds it ("-": whoever does).  WRONG: the session does not;
 * *number is 0 with RIGHT if it is one already.
 */
static enum verdict become(struct worker *worker, const char *name, const char *shown, const char *session,
                           const char *hash, int64_t *number)
{
    enum verdict verdict = TROUBLE;
    bool is_account = false;

    if (!run(worker, "begin", NULL, 0, NULL))
        return TROUBLE;
    if (prepare(worker, name, number, &is_account)) {
        if (is_account) {
            *number = 0;
            verdict = RIGHT;
        } else {
            verdict = enter(worker, name, shown, session, hash, *number);
        }
    }
    if (verdict != RIGHT || is_account)
        roll_back(worker);
    return verdict;
}

/* What is asked ------------------------------------------------------------------------------------------ */

/* Whether this is the password of the name; takes the same time if the name is no account. */
static enum verdict check(struct worker *worker, const struct asked *asked, struct account *account)
{
    enum verdict verdict;

    if (!look_up(worker, asked->name, account))
        return TROUBLE;
    verdict = verify(account->number ? account->hash : worker->accounts->nobody, asked->password);
    return verdict == RIGHT && !account->number ? WRONG : verdict;
}

static json_t *welcome(struct worker *worker, const struct asked *asked, const struct account *account)
{
    struct arguments arguments;
    enum answer answered;
    PGresult *rows;
    json_t *answer;

    arguments_init(&arguments);
    arguments_text(&arguments, asked->name);
    arguments_number(&arguments, account->number);
    arguments_number(&arguments, lane_of(asked->name));
    answered = database_run(worker->database,
                            "select unread('a:' || account), (select position from cursors where lane = $3)"
                            " from users where name_key = $1 and account = $2",
                            &arguments, &rows);
    arguments_finish(&arguments);
    if (answered != ANSWER_OK) {
        log_warn("account_failed", "error=%s", database_error(worker->database));
        return ask_error("unavailable");
    }
    if (PQntuples(rows) != 1) { /* forgotten since it was looked up */
        PQclear(rows);
        return ask_error("auth-failed");
    }
    answer = answer_account(account->number);
    if (json_object_set_new(answer, "unread", json_integer(strtoll(PQgetvalue(rows, 0, 0), NULL, 10))) < 0 ||
        json_object_set_new(answer, "stored", json_string(PQgetvalue(rows, 0, 1))) < 0)
        abort();
    PQclear(rows);
    return answer;
}

/* A name that is an account in Redis alone is nobody's: somebody who changed it came no further. */
static void look_for_remains(struct worker *worker, const char *name)
{
    redisReply *reply = NULL;

    if (worker_reach_redis(worker))
        reply = link_call(&worker->link, "HEXISTS " ROSTER_KEY " %s", name);
    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1)
        roster_want();
    freeReplyObject(reply);
}

json_t *accounts_log_in(struct worker *worker, const json_t *request)
{
    struct attempts *attempts = worker->accounts->attempts;
    struct attempt attempt;
    struct account account;
    struct asked asked;
    enum verdict verdict;

    if (!understand(request, &asked))
        return ask_error("bad-request");
    if (!attempts_take(attempts, asked.address, asked.name, wait_now(), &attempt))
        return refuse(worker->accounts, "login_refused", &asked, "rate-limited");
    verdict = check(worker, &asked, &account);
    if (verdict == WRONG && !account.number)
        look_for_remains(worker, asked.name);
    if (verdict == WRONG)
        return refuse(worker->accounts, "login_refused", &asked, "auth-failed");
    attempts_return(attempts, &attempt);
    if (verdict == TROUBLE)
        return ask_error("unavailable");
    attempts_know(attempts, asked.address, asked.name, wait_now());
    keep_up(worker, &asked, &account);
    return welcome(worker, &asked, &account);
}

/* With `old` the password changes.  Who has the new one already has asked before, and is asking again. */
static enum verdict change_password(struct worker *worker, const struct asked *asked, const char *old,
                                    const struct account *account)
{
    enum verdict verdict = verify(account->hash, old);
    char hash[crypto_pwhash_STRBYTES];

    if (verdict == WRONG)
        return verify(account->hash, asked->password);
    if (verdict != RIGHT || !make_hash(worker->settings, asked->password, hash))
        return TROUBLE;
    return replace_hash(worker, asked->name, account, hash) == 1 ? RIGHT : TROUBLE;
}

/* Registers what `request` asks for.  *number is the account's. */
static enum verdict enrol(struct worker *worker, const struct asked *asked, const json_t *request,
                          int64_t *number)
{
    const char *old = json_string_value(json_object_get(request, "old"));
    const char *shown = json_string_value(json_object_get(request, "shown"));
    const char *session = json_string_value(json_object_get(request, "session"));
    char hash[crypto_pwhash_STRBYTES];
    struct account account;
    enum verdict verdict;

    if (!look_up(worker, asked->name, &account))
        return TROUBLE;
    if (!account.number) {
        if (!make_hash(worker->settings, asked->password, hash))
            return TROUBLE;
        verdict = become(worker, asked->name, shown, session, hash, number);
        if (verdict == WRONG)
            return TROUBLE; /* nothing is wrong with the password: the session has just lost its name */
        if (verdict != RIGHT || *number)
            return verdict;
        if (!look_up(worker, asked->name, &account) || !account.number) /* somebody was faster */
            return TROUBLE;
    }
    *number = account.number;
    return old ? change_password(worker, asked, old, &account) : verify(account.hash, asked->password);
}

static bool is_session(const char *session)
{
    return session && strcmp(session, "-") != 0 && !strpbrk(session, " \t\r\n\v\f");
}

/* Whether Redis says so. */
static bool holds(struct worker *worker, const char *session, const char *name)
{
    redisReply *reply = NULL;
    const char *held = NULL;
    size_t len = strlen(session);

    if (worker_reach_redis(worker))
        reply = link_call(&worker->link, "HGET hubbub:{0}:names %s", name);
    if (reply && reply->type == REDIS_REPLY_STRING) /* INCARNATION SESSION KEYDIGEST */
        held = strchr(reply->str, ' ');
    if (held && (strncmp(held + 1, session, len) != 0 || held[1 + len] != ' '))
        held = NULL;
    freeReplyObject(reply);
    return held != NULL;
}

json_t *accounts_register(struct worker *worker, const json_t *request)
{
    struct attempts *attempts = worker->accounts->attempts;
    const char *session = text_of(request, "session", SESSION_BYTES);
    const char *shown = text_of(request, "shown", NAME_MAX_BYTES - 1);
    char folded[NAME_MAX_BYTES];
    struct attempt attempt;
    enum verdict verdict;
    struct asked asked;
    int64_t number = 0;

    if (!understand(request, &asked) || !shown || !name_fold(shown, folded) ||
        strcmp(folded, asked.name) != 0 || !is_session(session) ||
        (json_object_get(request, "old") && !text_of(request, "old", PASSWORD_MAX)))
        return ask_error("bad-request");
    /* What strangers guess about a name is nothing to whoever has it. */
    if (!attempts_take(attempts, asked.address, holds(worker, session, asked.name) ? NULL : asked.name,
                       wait_now(), &attempt))
        return refuse(worker->accounts, "registration_refused", &asked, "rate-limited");
    verdict = enrol(worker, &asked, request, &number);
    if (verdict == WRONG)
        return refuse(worker->accounts, "registration_refused", &asked, "auth-failed");
    attempts_return(attempts, &attempt);
    return verdict == RIGHT ? answer_account(number) : ask_error("unavailable");
}

/* For whoever runs the store ----------------------------------------------------------------------------- */

enum account_change accounts_set(struct worker *worker, const char *name, const char *shown,
                                 const char *password)
{
    char hash[crypto_pwhash_STRBYTES];
    int64_t number = 0;
    int changed;

    if (!make_hash(worker->settings, password, hash))
        return ACCOUNT_FAILED;
    for (int i = 0; i < 2; i++) { /* twice: it may become an account in between */
        changed =
            change(worker, "update users set password_hash = $2 where name_key = $1 and account is not null",
                   TEXTS(name, hash), 0);
        if (changed != 0)
            return changed > 0 ? ACCOUNT_CHANGED : ACCOUNT_FAILED;
        if (become(worker, name, shown, "-", hash, &number) != RIGHT)
            return ACCOUNT_FAILED;
        if (number)
            return ACCOUNT_MADE;
    }
    return ACCOUNT_FAILED;
}

/*
 * Commits, and begins a transaction to which the locks pass without a gap, for they are to last until Redis
 * was told: in one message, so that whoever stops at any point holds them in a transaction, which PostgreSQL
 * ends when it is idle for 5 s.
 */
static bool commit_and_stay(struct worker *worker, const char *name)
{
    char sql[512];
    PGresult *rows;
    int hash;

    if (!run(worker, "select hashtext($1)", TEXTS(name), 0, &rows))
        return false;
    hash = atoi(PQgetvalue(rows, 0, 0));
    PQclear(rows);
    snprintf(sql, sizeof sql,
             "select pg_advisory_lock_shared(" ROSTER_LOCK "), pg_advisory_lock(" NAME_SPACE ", %1$d);"
             "commit; begin;"
             "select pg_advisory_xact_lock_shared(" ROSTER_LOCK "), pg_advisory_xact_lock(" NAME_SPACE
             ", %1$d); "
             "select pg_advisory_unlock_shared(" ROSTER_LOCK "), pg_advisory_unlock(" NAME_SPACE ", %1$d)",
             hash);
    if (run(worker, sql, NULL, 0, NULL))
        return true;
    database_close(worker->database); /* the session's locks, too */
    return false;
}

/* Within a transaction, which has then ended; as accounts_forget. */
static enum account_change forget(struct worker *worker, const char *name)
{
    int changed;

    if (!lock_name(worker, name))
        return ACCOUNT_FAILED;
    changed = change(worker,
                     "update users set password_hash = null, account = null, registered_at = null"
                     " where name_key = $1 and account is not null",
                     TEXTS(name), 0);
    if (changed < 0 || !commit_and_stay(worker, name))
        return ACCOUNT_FAILED;
    if (tell_forget(worker, name) != RIGHT) /* also if it is none here: one that failed may be repeated */
        return ACCOUNT_FAILED;
    if (!run(worker, "commit", NULL, 0, NULL))
        return ACCOUNT_FAILED;
    return changed > 0 ? ACCOUNT_CHANGED : ACCOUNT_NONE;
}

enum account_change accounts_forget(struct worker *worker, const char *name)
{
    enum account_change forgotten;

    if (!worker_reach_redis(worker)) /* before it is too late */
        return ACCOUNT_FAILED;
    if (!run(worker, "begin", NULL, 0, NULL))
        return ACCOUNT_FAILED;
    forgotten = forget(worker, name);
    if (forgotten == ACCOUNT_FAILED)
        roll_back(worker);
    return forgotten;
}
