/*
 * dialect_fuzz: any bytes, as what a client of one dialect (DIALECT) sends.
 *
 * An input is a header of four bytes, all '0' for what is plainest, and the stream:
 *
 *     how many bytes a piece of it has at most (0: it comes at once)
 *     a seed for the pieces' lengths
 *     after how many bytes, again and again, the client is silent (0: only at the end)
 *     bits: how many log-ins are refused before one succeeds (the lowest two); whether pieces are looked at
 *     twice, as when a request has been answered; whether spaces of what is said become newlines, as only
 *     some dialects can say them; whether an asterisk and a byte stand for 1024 of that byte, by which short
 *     inputs meet the limits; whether a name needs a password
 *
 * The stream is played as session.c does it, in one piece and in many; both must say the same.  What is
 * understood is answered, and what may be said is said, so that the encoders meet what clients make up.
 */

#include <stdbool.h>
#include <string.h>

#include <event2/buffer.h>

#include "dialect.h"
#include "event.h"
#include "fuzz.h"

#define HEADER_BYTES 4
#define REPEATS 1024
#define STREAM_MAX (3 * REQUEST_MAX_BYTES)
#define PIECES_MAX 128 /* about; a piece is an allocation */
#define HEARD_MAX 90   /* messages to one reader: it takes no more definitions than about these */
#define AN_ID id_make(1700000000000, 3, 7)

struct header {
    size_t most, silence;
    uint64_t seed;
    unsigned refusals;
    bool twice, spread, repeat, passwords;
};

/* One play of a stream. */
struct play {
    const struct dialect *dialect;
    struct codec *codec;
    struct header header;
    const char *bytes; /* the stream */
    size_t start, end; /* of what has arrived and is not used */
    bool logged_in;
    unsigned log_ins; /* refused */
    char name[NAME_MAX_BYTES], room[ROOM_MAX_BYTES], text[REQUEST_MAX_BYTES + 1];
    struct codec *reader; /* of a dialect that frames: the client's own, which must understand it all */
    unsigned heard;       /* messages that the reader has had */
    FILE *record;         /* all that was understood and said */
};

/* What is said ------------------------------------------------------------------------------------------- */

static void new_reader(struct play *play)
{
    play->dialect->codec_destroy(play->reader);
    play->reader = play->dialect->codec_create();
    REQUIRE(play->reader);
    play->heard = 0;
}

/* Clients and server say messages of the same shape: the dialect can read what it has written. */
static void hear(struct play *play, const char *bytes, size_t len, bool alone)
{
    enum decoded decoded = DECODED_REQUEST;
    size_t used;

    if (alone)
        new_reader(play);
    if (play->heard++ == HEARD_MAX)
        new_reader(play);
    while (decoded != DECODED_MORE) {
        struct request request = {.verb = VERBS};

        used = 0;
        decoded = play->dialect->decode(play->reader, len ? bytes : "", len, &used, &request);
        REQUIRE(decoded != DECODED_FATAL && used <= len);
        bytes += used;
        len -= used;
    }
    REQUIRE(len == 0);
}

static void send_framed(struct play *play, const char *bytes, size_t len)
{
    struct evbuffer *out = evbuffer_new();
    bool alone = false;
    size_t used, framed;

    REQUIRE(out);
    while ((used = play->dialect->frame(play->codec, bytes, len, out, &alone)) > 0) {
        REQUIRE(used <= len);
        framed = evbuffer_get_length(out);
        REQUIRE(framed > 0);
        hear(play, (const char *)evbuffer_pullup(out, -1), framed, alone);
        fwrite(evbuffer_pullup(out, -1), 1, framed, play->record);
        evbuffer_drain(out, framed);
        bytes += used;
        len -= used;
    }
    REQUIRE(len == 0);
    evbuffer_free(out);
}

static bool ends_with(const char *bytes, size_t len, const char *end)
{
    return len >= strlen(end) && memcmp(bytes + len - strlen(end), end, strlen(end)) == 0;
}

/* What goes out as it is are lines of text, safe for a terminal; who greets may ask behind them. */
static void check_lines(const struct dialect *dialect, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    REQUIRE(text_is_utf8(bytes, len));
    REQUIRE(ends_with(bytes, len, "\n") || (dialect->greeting && ends_with(bytes, len, ": ")));
    for (size_t i = 0; i < len; i++)
        REQUIRE((unsigned char)bytes[i] >= ' ' || bytes[i] == '\n' || bytes[i] == '\t');
}

/* Takes what was encoded; `needed`: it may not be nothing. */
static void deliver(struct play *play, struct evbuffer *out, bool needed)
{
    size_t len = evbuffer_get_length(out);
    const char *bytes = len ? (const char *)evbuffer_pullup(out, -1) : "";

    REQUIRE(len > 0 || !needed);
    fprintf(play->record, "say %zu ", len);
    if (play->dialect->frame) {
        send_framed(play, bytes, len);
    } else {
        check_lines(play->dialect, bytes, len);
        fwrite(bytes, 1, len, play->record);
    }
    evbuffer_free(out);
}

static void reply(struct play *play, const struct reply *reply)
{
    struct evbuffer *out = evbuffer_new();

    REQUIRE(out);
    play->dialect->encode_reply(reply, out);
    deliver(play, out, reply->kind == REPLY_ERROR);
}

static void refuse(struct play *play, const struct request *request, enum error_code error, const char *text)
{
    reply(play, &(struct reply){.kind = REPLY_ERROR,
                                .verb = request->verb,
                                .ref = request->ref,
                                .word = request->word,
                                .error = error,
                                .text = text ? text : error_sentence(error)});
}

/* The same for a log-in that was begun. */
static void refuse_login(struct play *play, const struct request *request, enum error_code error,
                         const char *text)
{
    if (play->dialect->refused)
        play->dialect->refused(play->codec, error);
    refuse(play, request, error, text);
}

static void grant(struct play *play, const struct request *request, enum reply_kind kind)
{
    const char *const names[] = {play->name, "Bob"};
    const long counts[] = {2, 70000};

    reply(play, &(struct reply){.kind = kind,
                                .verb = request->verb,
                                .ref = request->ref,
                                .word = request->word,
                                .name = play->name,
                                .room = play->room,
                                .gateway = "g1",
                                .id = AN_ID,
                                .count = 3,
                                .unread = 70000,
                                .names = names,
                                .counts = counts,
                                .n_names = 2});
}

/* The reply's page of the past, in which what the client has said is: not where that has so many lines that
 * what its dialect writes of it would be longer than what it reads. */
static void grant_history(struct play *play, const struct request *request)
{
    bool few = text_lines(play->text) <= 8;
    struct event said = {
        .id = AN_ID, .from = *play->name ? play->name : "Bob", .text = few ? play->text : "x"};
    struct event heard = {.id = AN_ID + 1, .from = "Bob", .text = "hello\nyou"};

    said.direct = heard.direct = request->with;
    said.place = heard.place = request->with ? "Bob" : play->room;
    reply(play, &(struct reply){.kind = REPLY_HISTORY,
                                .verb = request->verb,
                                .ref = request->ref,
                                .word = request->word,
                                .name = request->with ? "Bob" : NULL,
                                .room = request->with ? NULL : play->room,
                                .events = (struct event *const[]){&said, &heard},
                                .n_events = request->limit ? 2 : 0,
                                .more = request->limit == 1});
}

static void notice(struct play *play, bool joined)
{
    struct evbuffer *out = evbuffer_new();

    REQUIRE(out);
    play->dialect->encode_notice(&(struct notice){.joined = joined,
                                                  .session = "g1-00000001-2",
                                                  .name = play->name,
                                                  .room = play->room,
                                                  .ms = id_ms(AN_ID)},
                                 out);
    deliver(play, out, true);
}

static size_t count_lines(const char *bytes, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += bytes[i] == '\n';
    return n;
}

/* Nobody can forge a line: there is one, or one for each of the text, and all begin as the first does. */
static void check_prefixes(const char *bytes, size_t len, const char *text)
{
    size_t lines = count_lines(bytes, len), first = strcspn(text, "\n"), prefix;
    const char *line = bytes;

    if (lines == 1)
        return;
    REQUIRE(lines == count_lines(text, strlen(text)) + 1);
    prefix = (size_t)((const char *)memchr(bytes, '\n', len) - bytes);
    REQUIRE(prefix > first);
    prefix -= first;
    while (lines-- > 0) {
        size_t left = len - (size_t)(line - bytes);

        REQUIRE(left >= prefix && memcmp(line, bytes, prefix) == 0);
        line = (const char *)memchr(line, '\n', left) + 1;
    }
}

/* Somebody hears what the client has said: its way through Redis may not lose it. */
static void say(struct play *play, const char *to)
{
    char *body =
        to ? event_direct_body(play->name, "g1-00000001-2", "g1-00000001-2", to, "g1-00000001-3", play->text)
           : event_body(play->name, "g1-00000001-2", play->room, play->text);
    struct evbuffer *out = evbuffer_new();
    struct event *event;

    REQUIRE(body && out);
    event = event_from_body(AN_ID, 0, body, strlen(body));
    REQUIRE(event && strcmp(event->text, play->text) == 0);
    play->dialect->encode_event(event, out);
    if (!play->dialect->frame)
        check_prefixes((const char *)evbuffer_pullup(out, -1), evbuffer_get_length(out), event->text);
    deliver(play, out, true);
    event_drop(event);
    free(body);
}

/* What is asked ------------------------------------------------------------------------------------------ */

static void write_value(const struct play *play, const char *key, const char *value)
{
    if (!value)
        return;
    REQUIRE(strlen(value) <= REQUEST_MAX_BYTES);
    fprintf(play->record, " %s=[%s]", key, value);
}

static void write_request(const struct play *play, enum decoded decoded, const struct request *request)
{
    fprintf(play->record, "\n%d verb=%d error=%d%s", decoded, request->verb, request->error,
            request->echo ? " echo" : "");
    write_value(play, "name", request->name);
    write_value(play, "password", request->password);
    write_value(play, "old", request->old);
    write_value(play, "key", request->key);
    write_value(play, "room", request->room);
    write_value(play, "to", request->to);
    write_value(play, "text", request->text);
    write_value(play, "since", request->since);
    write_value(play, "before", request->before);
    write_value(play, "with", request->with);
    write_value(play, "id", request->id);
    fprintf(play->record, " limit=%ld", request->limit);
    write_value(play, "word", request->word);
    write_value(play, "ref", request->ref);
    write_value(play, "reason", request->reason);
    fputc('\n', play->record);
}

/* Everything that a request of its verb needs is there, and no more than was promised. */
static void check_request(enum decoded decoded, const struct request *request)
{
    REQUIRE(!request->ref || strlen(request->ref) <= REF_MAX_BYTES);
    REQUIRE(!request->key || (*request->key && strlen(request->key) <= KEY_MAX_BYTES));
    REQUIRE((unsigned)request->verb <= VERBS);
    if (decoded != DECODED_REQUEST) {
        REQUIRE(request->error > ERROR_NONE && request->error <= ERROR_SHUTTING_DOWN);
        REQUIRE(request->reason || request->error == ERROR_UNKNOWN_COMMAND);
        return;
    }
    REQUIRE(request->verb != VERBS && request->error == ERROR_NONE);
    REQUIRE(request->name || request->verb != VERB_LOGIN);
    REQUIRE(request->text || (request->verb != VERB_CHAT && request->verb != VERB_DIRECT));
    REQUIRE(request->to || request->verb != VERB_DIRECT);
    REQUIRE(request->password || request->verb != VERB_REGISTER);
    REQUIRE((request->with && request->id) || request->verb != VERB_READ);
    REQUIRE(request->limit >= 0);
    REQUIRE(request->room ||
            (request->verb != VERB_JOIN && request->verb != VERB_MOVE && request->verb != VERB_LEAVE));
}

static void log_in(struct play *play, const struct request *request)
{
    char folded[NAME_MAX_BYTES], text[NAME_MAX_BYTES + 32];

    if (!name_fold(request->name, folded)) {
        refuse(play, request, ERROR_USERNAME_INVALID, NULL);
    } else if (!room_fold(request->room ? request->room : LOBBY, play->room)) {
        refuse(play, request, ERROR_ROOM_INVALID, NULL);
    } else if (play->header.passwords && !request->password) {
        refuse_login(play, request, ERROR_PASSWORD_REQUIRED, NULL);
    } else if (request->password && !*request->password) {
        refuse_login(play, request, ERROR_AUTH_FAILED, NULL);
    } else if (play->log_ins < play->header.refusals) {
        play->log_ins++;
        snprintf(text, sizeof text, "The name %s is taken.", request->name);
        refuse_login(play, request, ERROR_USERNAME_TAKEN, text);
    } else {
        strcpy(play->name, request->name);
        play->logged_in = true;
        if (play->dialect->logged_in)
            play->dialect->logged_in(play->codec);
        grant(play, request, REPLY_WELCOME);
        notice(play, true);
    }
}

static void chat(struct play *play, const struct request *request)
{
    char folded[NAME_MAX_BYTES];

    snprintf(play->text, sizeof play->text, "%s", request->text);
    for (char *at = play->text; play->header.spread && *at; at++)
        *at = *at == ' ' ? '\n' : *at;
    if (!text_clean(play->text)) {
        *play->text = '\0';
        refuse(play, request, ERROR_BAD_REQUEST, NULL);
    } else if (request->to && !name_fold(request->to, folded)) {
        refuse(play, request, ERROR_NO_SUCH_USER, NULL);
    } else {
        say(play, request->to);
        grant(play, request, REPLY_ACK);
    }
}

static void enter_or_leave(struct play *play, const struct request *request)
{
    event_id since;

    if (!room_fold(request->room, play->room))
        refuse(play, request, ERROR_ROOM_INVALID, NULL);
    else if (request->since && !id_from_decimal(request->since, &since))
        refuse(play, request, ERROR_BAD_REQUEST, NULL);
    else
        grant(play, request, request->verb == VERB_LEAVE ? REPLY_EXITED : REPLY_ENTERED);
}

static void answer(struct play *play, const struct request *request)
{
    static const enum reply_kind kinds[VERBS] = {
        [VERB_LOGOUT] = REPLY_GOODBYE, [VERB_WHO] = REPLY_WHO,     [VERB_REGISTER] = REPLY_REGISTERED,
        [VERB_READ] = REPLY_READ,      [VERB_ROOMS] = REPLY_ROOMS, [VERB_PING] = REPLY_PONG,
        [VERB_HELP] = REPLY_HELP};
    bool any_time = request->verb == VERB_LOGOUT || request->verb == VERB_PING || request->verb == VERB_HELP;

    if (!any_time && (request->verb == VERB_LOGIN) == play->logged_in)
        refuse(play, request, play->logged_in ? ERROR_ALREADY_LOGGED_IN : ERROR_LOGIN_REQUIRED, NULL);
    else if (request->verb == VERB_LOGIN)
        log_in(play, request);
    else if (request->verb == VERB_CHAT || request->verb == VERB_DIRECT)
        chat(play, request);
    else if (request->verb == VERB_JOIN || request->verb == VERB_MOVE || request->verb == VERB_LEAVE)
        enter_or_leave(play, request);
    else if (request->verb == VERB_HISTORY)
        grant_history(play, request);
    else
        grant(play, request, kinds[request->verb]);
}

/* The stream --------------------------------------------------------------------------------------------- */

/* Gives the decoder what is not used, in an allocation that is gone when the request is looked at. */
static enum decoded decode(struct play *play, struct request *request)
{
    size_t len = play->end - play->start, used = 0;
    char *copy = calloc(1, len + !len), *bytes = len ? copy : copy + 1; /* no byte of it may be read */
    enum decoded decoded;

    REQUIRE(copy);
    if (len)
        memcpy(copy, play->bytes + play->start, len);
    decoded = play->dialect->decode(play->codec, bytes, len, &used, request);
    free(copy);
    REQUIRE(used <= len);
    REQUIRE(used > 0 || decoded == DECODED_MORE);
    play->start += used;
    return decoded;
}

/* Reads all that has arrived.  False: that was the end. */
static bool read_all(struct play *play)
{
    for (;;) {
        struct request request = {.verb = VERBS};
        enum decoded decoded = decode(play, &request);

        if (decoded == DECODED_MORE) {
            REQUIRE(play->end - play->start <= REQUEST_MAX_BYTES);
            return true;
        }
        check_request(decoded, &request);
        write_request(play, decoded, &request);
        if (decoded == DECODED_REQUEST)
            answer(play, &request);
        else
            refuse(play, &request, request.error, request.reason);
        if (decoded == DECODED_FATAL || (decoded == DECODED_REQUEST && request.verb == VERB_LOGOUT))
            return false;
    }
}

/* The client says nothing for a while.  False: that was the end. */
static bool fall_silent(struct play *play)
{
    if (!play->dialect->quiet)
        return true;
    play->dialect->quiet(play->codec);
    return read_all(play);
}

/* Where the next piece ends. */
static size_t next_end(struct play *play, size_t len)
{
    struct header *header = &play->header;
    size_t piece = len - play->end;

    if (header->most > 0) {
        header->seed = header->seed * 6364136223846793005u + 1442695040888963407u;
        piece = 1 + (size_t)(header->seed >> 33) % header->most + len / PIECES_MAX;
    }
    if (header->silence > 0 && piece > header->silence - play->end % header->silence)
        piece = header->silence - play->end % header->silence;
    return piece < len - play->end ? play->end + piece : len;
}

/* Plays `len` bytes; returns the record of it, which the caller frees, and its size. */
static char *run(const char *bytes, size_t len, struct header header, size_t *size)
{
    struct play play = {.dialect = dialects[dialect_find(DIALECT, strlen(DIALECT))], .header = header};
    char *record = NULL;
    bool more = true;

    play.record = open_memstream(&record, size);
    play.codec = play.dialect->codec_create();
    REQUIRE(play.record && play.codec);
    play.bytes = bytes;
    new_reader(&play);
    while (more && play.end < len) {
        play.end = next_end(&play, len);
        more = read_all(&play) && (!header.twice || read_all(&play));
        if (more && header.silence && play.end % header.silence == 0 && play.start < play.end)
            more = fall_silent(&play);
    }
    if (more)
        fall_silent(&play);
    if (play.logged_in)
        notice(&play, false);
    reply(&play,
          &(struct reply){.kind = REPLY_GAP, .verb = VERBS, .room = play.logged_in ? play.room : NULL});
    play.dialect->codec_destroy(play.codec);
    play.dialect->codec_destroy(play.reader);
    fclose(play.record);
    return record;
}

/* The stream that is meant by `len` bytes; the caller frees it. */
static char *unfold(const struct header *header, const uint8_t *data, size_t *len)
{
    char *stream = malloc(STREAM_MAX + REPEATS);
    size_t n = 0;

    REQUIRE(stream);
    for (size_t i = 0; i < *len && n < STREAM_MAX; i++) {
        if (header->repeat && data[i] == '*' && i + 1 < *len) {
            memset(stream + n, data[++i], REPEATS);
            n += REPEATS;
        } else {
            stream[n++] = (char)data[i];
        }
    }
    *len = n;
    return stream;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header header, plain;
    char *stream, *whole, *pieces;
    size_t len = size - HEADER_BYTES, whole_size, pieces_size;
    unsigned char bytes[HEADER_BYTES];

    if (size < HEADER_BYTES)
        return 0;
    for (int i = 0; i < HEADER_BYTES; i++)
        bytes[i] = (unsigned char)(data[i] - '0');
    header = (struct header){.most = bytes[0],
                             .seed = bytes[1],
                             .silence = bytes[2],
                             .refusals = bytes[3] & 3,
                             .twice = bytes[3] & 4,
                             .spread = bytes[3] & 8,
                             .repeat = bytes[3] & 16,
                             .passwords = bytes[3] & 32};
    plain = header;
    plain.most = 0;
    plain.twice = false;
    stream = unfold(&header, data + HEADER_BYTES, &len);
    whole = run(stream, len, plain, &whole_size);
    pieces = run(stream, len, header, &pieces_size);
    REQUIRE(whole_size == pieces_size && memcmp(whole, pieces, whole_size) == 0);
    free(whole);
    free(pieces);
    free(stream);
    return 0;
}
