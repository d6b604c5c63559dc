/*
 * prompt: for a person with netcat or telnet.
 *
 * The first line is a name, and if the name needs a password, the next one that; every other line is said or
 * a slash command.  Telnet's own bytes are dropped where they are, as if they had never come.  Bytes stay
 * unused until their line has ended; a codec remembers how many of them it has looked at and what they left
 * open.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "dialect.h"
#include "slash.h"

#define PROMPT "Enter your name: "
#define PASSWORD_PROMPT "Password: "
#define QUIET_MS 300
#define SUBNEGOTIATION_MAX 1024 /* one that goes on for longer is none: it would swallow what is said */

enum { TELNET_SE = 240, TELNET_SB = 250, TELNET_WILL = 251, TELNET_DONT = 254, TELNET_IAC = 255 };

/* What telnet makes of the bytes, one after the other. */
struct telnet {
    enum {
        IN_TEXT,
        AFTER_CR,     /* NUL ends the line */
        AFTER_RETURN, /* CR NUL has ended the line, and LF would belong to it */
        AFTER_IAC,
        IN_OPTION, /* of WILL, WONT, DO or DONT */
        IN_SUBNEGOTIATION,
        AFTER_IAC_IN_SUBNEGOTIATION,
    } state;
    uint16_t n; /* bytes of the subnegotiation */
};

enum byte { BYTE_DROPPED, BYTE_TEXT, BYTE_END_OF_LINE };

struct codec {
    char *held;          /* the line that was handed out last: the request's strings are in there */
    uint16_t scanned;    /* bytes of the unused ones without an end of line in them */
    struct telnet first; /* before the unused bytes */
    struct telnet next;  /* behind what was scanned */
    bool skipping;       /* the line was too long: go on behind the next newline */
    bool has_ended;      /* a line has ended: silence does not end one any more */
    bool quiet;          /* what was scanned is a line, unless more has come */
    bool silenced;       /* silence has ended the last line: its own end may come yet */
    bool logged_in;
    bool wants_password; /* the next line is one, for `name` */
    char *name;          /* that was given last, before the log-in */
};

static struct codec *codec_create(void)
{
    return calloc(1, sizeof(struct codec));
}

static void codec_destroy(struct codec *codec)
{
    if (!codec)
        return;
    free(codec->held);
    free(codec->name);
    free(codec);
}

/* Telnet ------------------------------------------------------------------------------------------------- */

static enum byte telnet_text(struct telnet *telnet, unsigned char byte)
{
    bool after_cr = telnet->state == AFTER_CR, after_return = telnet->state == AFTER_RETURN;

    telnet->state = IN_TEXT;
    if (byte == TELNET_IAC) {
        telnet->state = AFTER_IAC;
        return BYTE_DROPPED;
    }
    if (byte == '\0' && after_cr) {
        telnet->state = AFTER_RETURN;
        return BYTE_END_OF_LINE;
    }
    if (byte == '\n')
        return after_return ? BYTE_DROPPED : BYTE_END_OF_LINE;
    if (byte == '\r')
        telnet->state = AFTER_CR;
    return BYTE_TEXT;
}

/* The byte behind IAC: it may be a command of its own.  What is no command is text, newlines above all. */
static enum byte telnet_command(struct telnet *telnet, unsigned char byte)
{
    telnet->state = IN_TEXT;
    if (byte == TELNET_IAC)
        return BYTE_TEXT;
    if (byte < TELNET_SE)
        return telnet_text(telnet, byte);
    if (byte == TELNET_SB)
        *telnet = (struct telnet){.state = IN_SUBNEGOTIATION};
    else if (byte >= TELNET_WILL && byte <= TELNET_DONT)
        telnet->state = IN_OPTION;
    return BYTE_DROPPED;
}

static enum byte telnet_subnegotiation(struct telnet *telnet, unsigned char byte)
{
    if (telnet->n++ == SUBNEGOTIATION_MAX) {
        telnet->state = IN_TEXT;
        return telnet_text(telnet, byte);
    }
    if (telnet->state == AFTER_IAC_IN_SUBNEGOTIATION)
        telnet->state = byte == TELNET_SE ? IN_TEXT : IN_SUBNEGOTIATION;
    else if (byte == TELNET_IAC)
        telnet->state = AFTER_IAC_IN_SUBNEGOTIATION;
    return BYTE_DROPPED;
}

static enum byte telnet_read(struct telnet *telnet, unsigned char byte)
{
    switch (telnet->state) {
    case IN_TEXT:
    case AFTER_CR:
    case AFTER_RETURN:
        break;
    case AFTER_IAC:
        return telnet_command(telnet, byte);
    case IN_OPTION:
        telnet->state = IN_TEXT;
        return BYTE_DROPPED;
    case IN_SUBNEGOTIATION:
    case AFTER_IAC_IN_SUBNEGOTIATION:
        return telnet_subnegotiation(telnet, byte);
    }
    return telnet_text(telnet, byte);
}

/* Lines -------------------------------------------------------------------------------------------------- */

enum line { LINE_MORE, LINE_WHOLE, LINE_TOO_LONG };

/*
 * Looks for the line at the start of `bytes`: from *start, behind telnet's bytes, to *end, behind what ends
 * it or all that there is.
 */
static enum line find_line(struct codec *codec, const char *bytes, size_t len, size_t *start, size_t *end)
{
    *start = 0;
    for (*end = codec->scanned; *end < len;) {
        enum byte byte = telnet_read(&codec->next, (unsigned char)bytes[(*end)++]);

        if (byte == BYTE_END_OF_LINE) {
            codec->has_ended = true;
            return LINE_WHOLE;
        }
        if (byte == BYTE_DROPPED && *end == *start + 1) {
            *start = *end;
            codec->first = codec->next;
        } else if (*end - *start > REQUEST_MAX_BYTES) {
            return LINE_TOO_LONG;
        }
    }
    codec->scanned = (uint16_t)(len - *start);
    return LINE_MORE;
}

/*
 * Skips what is left of a line that was too long; returns how many bytes that were.  While there may be more
 * it leaves the last byte, which was scanned: silence, which may end the line, is told of only while
 * something is unused.
 */
static size_t skip(struct codec *codec, const char *bytes, size_t len)
{
    size_t end = codec->scanned;
    bool done = codec->quiet;

    while (end < len && !done) {
        done = telnet_read(&codec->next, (unsigned char)bytes[end++]) == BYTE_END_OF_LINE;
        codec->has_ended = codec->has_ended || done;
    }
    codec->skipping = !done;
    codec->silenced = codec->quiet;
    codec->scanned = done ? 0 : 1;
    codec->first = codec->next;
    return done ? end : end - 1;
}

/* Keeps the text of a line for the request.  False: no memory. */
static bool hold_text(struct codec *codec, const char *bytes, size_t len, size_t *text_len)
{
    struct telnet telnet = codec->first;
    size_t n = 0;

    codec->held = malloc(len + 1);
    if (!codec->held)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (telnet_read(&telnet, (unsigned char)bytes[i]) == BYTE_TEXT)
            codec->held[n++] = bytes[i];
    }
    n -= n > 0 && codec->held[n - 1] == '\r';
    codec->held[n] = '\0';
    *text_len = n;
    return true;
}

/* Requests ----------------------------------------------------------------------------------------------- */

static enum decoded refuse(struct codec *codec, struct request *request, enum error_code error,
                           const char *reason)
{
    request->verb = codec->logged_in ? VERBS : VERB_LOGIN; /* after which the name is asked for again */
    codec->wants_password = false;
    return request_refuse(request, error, reason);
}

/* Cuts blanks from both ends of `text`. */
static char *trim(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    for (len = strlen(text); len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'); len--)
        ;
    text[len] = '\0';
    return text;
}

/* A name; or the password for the one before.  Blanks are part of a password. */
static enum decoded read_log_in(struct codec *codec, struct request *request)
{
    if (codec->wants_password) {
        codec->wants_password = false;
        request->password = codec->held;
    } else {
        free(codec->name);
        codec->name = strdup(trim(codec->held));
        if (!codec->name)
            return refuse(codec, request, ERROR_UNAVAILABLE, NULL);
    }
    request->verb = VERB_LOGIN;
    request->name = codec->name;
    return DECODED_REQUEST;
}

/* Reads a line.  DECODED_MORE: it was nothing. */
static enum decoded read_line(struct codec *codec, const char *bytes, size_t len, bool by_silence,
                              struct request *request)
{
    size_t text_len;

    if (!hold_text(codec, bytes, len, &text_len))
        return refuse(codec, request, ERROR_UNAVAILABLE, NULL);
    if (strlen(codec->held) < text_len)
        return refuse(codec, request, ERROR_BAD_REQUEST, "A line may not hold NUL bytes.");
    if (text_len == 0 && codec->silenced)
        return DECODED_MORE; /* the end of the line before */
    if (strspn(codec->held, " \t") == text_len && (codec->logged_in || by_silence))
        return DECODED_MORE;
    if (codec->logged_in)
        return slash_read(codec->held, request);
    return read_log_in(codec, request);
}

/* The next line, or why there is none: DECODED_MORE also if it was nothing, with *used above 0 then. */
static enum decoded decode_line(struct codec *codec, const char *bytes, size_t len, size_t *used,
                                struct request *request)
{
    size_t start, end;
    enum line line = find_line(codec, bytes, len, &start, &end);
    bool by_silence = line == LINE_MORE && codec->quiet;
    enum decoded decoded;

    *used = start;
    if (line == LINE_MORE && !by_silence)
        return DECODED_MORE;
    *used = end;
    if (line == LINE_TOO_LONG) {
        codec->skipping = true;
        codec->scanned = 1;
        *used = end - 1;
        return refuse(codec, request, ERROR_TOO_LONG, "A line may have 16384 bytes at most.");
    }
    decoded = read_line(codec, bytes + start, end - start, by_silence, request);
    codec->silenced = by_silence;
    codec->first = codec->next;
    codec->scanned = 0;
    return decoded;
}

static enum decoded decode(struct codec *codec, const char *bytes, size_t len, size_t *used,
                           struct request *request)
{
    enum decoded decoded = DECODED_MORE;
    size_t n;

    if (len > codec->scanned)
        codec->quiet = false; /* the silence has ended */
    *used = 0;
    do {
        free(codec->held);
        codec->held = NULL;
        if (codec->skipping)
            n = skip(codec, bytes + *used, len - *used);
        else
            decoded = decode_line(codec, bytes + *used, len - *used, &n, request);
        *used += n;
    } while (decoded == DECODED_MORE && *used + codec->scanned < len);
    return decoded;
}

static void logged_in(struct codec *codec)
{
    codec->logged_in = true;
    free(codec->name);
    codec->name = NULL;
}

static void refused(struct codec *codec, enum error_code error)
{
    codec->wants_password = error == ERROR_PASSWORD_REQUIRED;
}

static void quiet(struct codec *codec)
{
    codec->quiet = !codec->has_ended;
}

/* Answers ------------------------------------------------------------------------------------------------ */

static void encode_reply(const struct reply *reply, struct evbuffer *out)
{
    size_t before = evbuffer_get_length(out);

    slash_encode_reply(reply, out);
    if (evbuffer_get_length(out) > before)
        evbuffer_add(out, "\n", 1);
    if (reply->kind == REPLY_ERROR && reply->verb == VERB_LOGIN)
        evbuffer_add_printf(out, reply->error == ERROR_PASSWORD_REQUIRED ? PASSWORD_PROMPT : PROMPT);
}

/* Each line of a text says who it is from: nobody can forge a line of somebody else's. */
static void encode_event(const struct event *event, struct evbuffer *out)
{
    const char *tag = event->direct ? "[direct] " : "", *text = event->text;

    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        evbuffer_add_printf(out, "%s%s: %.*s\n", tag, event->from, (int)(end - text), text);
    evbuffer_add_printf(out, "%s%s: %s\n", tag, event->from, text);
}

static void encode_notice(const struct notice *notice, struct evbuffer *out)
{
    evbuffer_add_printf(out, "%s %s the chat.\n", notice->name, notice->joined ? "joined" : "left");
}

extern const struct dialect dialect_prompt;
const struct dialect dialect_prompt = {
    .name = "prompt",
    .quiet_ms = QUIET_MS,
    .greeting = PROMPT,
    .tells_names = true,
    .codec_create = codec_create,
    .codec_destroy = codec_destroy,
    .decode = decode,
    .logged_in = logged_in,
    .refused = refused,
    .quiet = quiet,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
    .encode_notice = encode_notice,
};
