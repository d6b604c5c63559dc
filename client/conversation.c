#include "conversation.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "heap.h"
#include "name.h"
#include "width.h"

#define PIECES_MAX LINE_SPANS_MAX
#define INDENT_COLUMNS 6 /* of "12:01 ": where the further lines of an entry begin */
#define TAB_COLUMNS 4
#define NOTICE_NAMES 8 /* are listed; of the others only how many */
#define SIGNS "_-."    /* may stand in a name, but also beside one in a sentence */
#define DAY_MAX_BYTES 32

/* A stretch of an entry's text in one style. */
struct piece {
    size_t from;
    enum style style;
    unsigned colour;
};

/* Who came, or who left; who is listed counts once, however often. */
struct crowd {
    size_t n, listed;
    char *names[NOTICE_NAMES];
};

struct notice {
    struct crowd came, gone;
};

/* What somebody has said, kept for as long as it has no fate: how it looks changes then. */
struct pending {
    uint64_t number;
    char *from, *to, *text;
};

struct entry {
    int64_t place; /* grows from the oldest to the newest */
    event_id id;   /* 0: it has none, or none yet */
    bool direct;
    int64_t at_ms;
    int day;                 /* local, in the form 20261122 */
    struct notice *notice;   /* or NULL */
    struct pending *pending; /* or NULL */
    char *text; /* as shown at any width: `len` bytes, of which each piece takes up to the next one */
    size_t len;
    struct piece pieces[PIECES_MAX];
    size_t n;
    char day_text[DAY_MAX_BYTES];
    unsigned width, rows; /* how many rows the text takes at that width; 0: not known */
    struct entry *prev, *next;
};

struct conversation {
    char self[NAME_MAX_BYTES]; /* folded; empty: it is no name */
    struct entry *entries;     /* oldest first */
    size_t count;
    int64_t first, last; /* places */
    event_id highest;    /* what is above it is not there: so is nearly all that comes */
};

static void fold_self(struct conversation *conversation, const char *self)
{
    if (!name_fold(self, conversation->self))
        conversation->self[0] = '\0';
}

struct conversation *conversation_create(const char *self)
{
    struct conversation *conversation = need(calloc(1, sizeof *conversation));

    fold_self(conversation, self);
    return conversation;
}

void conversation_set_self(struct conversation *conversation, const char *self)
{
    fold_self(conversation, self);
}

static void forget_pending(struct entry *entry)
{
    if (!entry->pending)
        return;
    free(entry->pending->from);
    free(entry->pending->to);
    free(entry->pending->text);
    free(entry->pending);
    entry->pending = NULL;
}

static void forget_crowd(struct crowd *crowd)
{
    while (crowd->listed > 0)
        free(crowd->names[--crowd->listed]);
}

static void entry_remove(struct conversation *conversation, struct entry *entry)
{
    DL_DELETE(conversation->entries, entry);
    conversation->count--;
    forget_pending(entry);
    if (entry->notice) {
        forget_crowd(&entry->notice->came);
        forget_crowd(&entry->notice->gone);
        free(entry->notice);
    }
    free(entry->text);
    free(entry);
}

void conversation_destroy(struct conversation *conversation)
{
    if (!conversation)
        return;
    while (conversation->entries)
        entry_remove(conversation, conversation->entries);
    free(conversation);
}

/* Entries ------------------------------------------------------------------------------------------------ */

static void entry_set_time(struct entry *entry, int64_t at_ms)
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm local = {0};

    localtime_r(&seconds, &local);
    entry->at_ms = at_ms;
    entry->day = (local.tm_year + 1900) * 10000 + (local.tm_mon + 1) * 100 + local.tm_mday;
    strftime(entry->day_text, sizeof entry->day_text, "- %a %d %b %Y -", &local);
}

static struct entry *entry_make(int64_t at_ms)
{
    struct entry *entry = need(calloc(1, sizeof *entry));

    entry_set_time(entry, at_ms);
    return entry;
}

static void append(struct conversation *conversation, struct entry *entry)
{
    entry->place = ++conversation->last;
    DL_APPEND(conversation->entries, entry);
    if (++conversation->count > CONVERSATION_MAX)
        entry_remove(conversation, conversation->entries);
}

static void prepend(struct conversation *conversation, struct entry *entry)
{
    entry->place = --conversation->first;
    DL_PREPEND(conversation->entries, entry);
    conversation->count++;
}

static struct entry *newest(const struct conversation *conversation)
{
    if (!conversation->entries)
        return NULL;
    assert(conversation->entries->prev); /* so does utlist.h keep the tail */
    return conversation->entries->prev;
}

static struct entry *older(const struct conversation *conversation, const struct entry *entry)
{
    return entry == conversation->entries ? NULL : entry->prev;
}

static struct entry *find_id(const struct conversation *conversation, event_id id)
{
    struct entry *entry;

    if (id > conversation->highest)
        return NULL;
    for (entry = newest(conversation); entry; entry = older(conversation, entry))
        if (entry->id == id)
            return entry;
    return NULL;
}

static void set_id(struct conversation *conversation, struct entry *entry, event_id id)
{
    entry->id = id;
    if (id > conversation->highest)
        conversation->highest = id;
}

/* The text of an entry ----------------------------------------------------------------------------------- */

static void put_bytes(struct entry *entry, const char *text, size_t len)
{
    entry->text = need(realloc(entry->text, entry->len + len + 1));
    memcpy(entry->text + entry->len, text, len);
    entry->len += len;
    entry->text[entry->len] = '\0';
}

/* From here on the text is of that style. */
static void put_style(struct entry *entry, enum style style, unsigned colour)
{
    entry->pieces[entry->n++] = (struct piece){entry->len, style, colour};
}

static void put(struct entry *entry, enum style style, const char *text)
{
    put_style(entry, style, 0);
    put_bytes(entry, text, strlen(text));
}

/* Tabs become blanks: how wide they are must not depend on how a terminal has set them. */
static void put_text(struct entry *entry, enum style style, const char *text)
{
    const char *line = text;
    unsigned column = 0;

    put_style(entry, style, 0);
    for (;;) {
        size_t len = strcspn(line, "\t\n");

        put_bytes(entry, line, len);
        column += text_width(line, len);
        line += len;
        if (!*line)
            return;
        if (*line == '\n') {
            put_bytes(entry, "\n", 1);
            column = 0;
        } else {
            unsigned blanks = TAB_COLUMNS - column % TAB_COLUMNS;

            put_bytes(entry, "    ", blanks);
            column += blanks;
        }
        line++;
    }
}

/* Begins the text anew, with the time. */
static void put_time(struct entry *entry)
{
    time_t seconds = (time_t)(entry->at_ms / 1000);
    struct tm local = {0};
    char text[16];

    free(entry->text);
    entry->text = NULL;
    entry->len = entry->n = entry->width = 0;
    localtime_r(&seconds, &local);
    strftime(text, sizeof text, "%H:%M ", &local);
    put(entry, STYLE_TIME, text);
}

static bool is_self(const struct conversation *conversation, const char *name)
{
    char folded[NAME_MAX_BYTES];

    return conversation->self[0] && name_fold(name, folded) && strcmp(folded, conversation->self) == 0;
}

/* FNV-1a of the folded name. */
static unsigned colour_of(const char *name)
{
    char folded[NAME_MAX_BYTES];
    uint32_t hash = 2166136261u;

    for (const char *at = name_fold(name, folded) ? folded : name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash % CONVERSATION_COLOURS;
}

static void put_name(const struct conversation *conversation, struct entry *entry, const char *name)
{
    if (is_self(conversation, name)) {
        put(entry, STYLE_OWN, name);
        return;
    }
    put_style(entry, STYLE_NAME, colour_of(name));
    put_bytes(entry, name, strlen(name));
}

/* Whether the word, `len` bytes of what may stand in a name, is the person's name; signs beside it do not
 * matter. */
static bool names_self(const struct conversation *conversation, const char *word, size_t len)
{
    char given[ROOM_MAX_BYTES], folded[ROOM_MAX_BYTES];
    const char *found;

    if (len >= sizeof given)
        return false;
    memcpy(given, word, len);
    given[len] = '\0';
    if (!room_fold(given, folded)) /* as names are folded, and longer, as a word with signs may be */
        return false;
    found = strstr(folded, conversation->self);
    if (!found || (size_t)(found - folded) > strspn(folded, SIGNS))
        return false;
    found += strlen(conversation->self);
    return found[strspn(found, SIGNS)] == '\0';
}

static bool mentions_self(const struct conversation *conversation, const char *text)
{
    if (!conversation->self[0])
        return false;
    while (*text) {
        size_t len = name_span(text);

        if (len > 0 && names_self(conversation, text, len))
            return true;
        text += len > 0 ? len : 1; /* in the middle of a character no name begins */
    }
    return false;
}

/* Makes the text of what somebody said; true if it mentions the person. */
static bool show_saying(const struct conversation *conversation, struct entry *entry, const char *from,
                        const char *to, const char *said, const char *why)
{
    bool mentions = !is_self(conversation, from) && mentions_self(conversation, said);

    put_time(entry);
    if (to)
        put(entry, STYLE_DIRECT, "[direct] ");
    put_name(conversation, entry, from);
    if (to && !is_self(conversation, to)) {
        put(entry, STYLE_DIRECT, " to ");
        put_name(conversation, entry, to);
    }
    put(entry, STYLE_PLAIN, ": ");
    put_text(entry, entry->pending && !why ? STYLE_PENDING : mentions ? STYLE_MENTION : STYLE_PLAIN, said);
    if (why) {
        put(entry, STYLE_ERROR, " (not said: ");
        put_bytes(entry, why, strlen(why));
        put_bytes(entry, ")", 1);
    }
    return mentions;
}

static void put_crowd(struct entry *entry, const struct crowd *crowd, const char *did)
{
    char text[64];

    snprintf(text, sizeof text, "%zu %s (", crowd->n, did);
    put(entry, STYLE_NOTICE, text);
    for (size_t i = 0; i < crowd->listed; i++) {
        put_bytes(entry, ", ", i > 0 ? 2 : 0);
        put_bytes(entry, crowd->names[i], strlen(crowd->names[i]));
    }
    snprintf(text, sizeof text, crowd->n > crowd->listed ? " and %zu more)" : ")", crowd->n - crowd->listed);
    put_bytes(entry, text, strlen(text));
}

/* `name` is who came or left last. */
static void show_notice(struct entry *entry, const char *name)
{
    const struct crowd *came = &entry->notice->came, *gone = &entry->notice->gone;

    put_time(entry);
    if (came->n + gone->n == 1) {
        put(entry, STYLE_NOTICE, name);
        put(entry, STYLE_NOTICE, came->n ? " joined" : " left");
        return;
    }
    if (came->n > 0)
        put_crowd(entry, came, "joined");
    if (came->n > 0 && gone->n > 0)
        put(entry, STYLE_NOTICE, ", ");
    if (gone->n > 0)
        put_crowd(entry, gone, "left");
}

/* What comes --------------------------------------------------------------------------------------------- */

static struct entry *make_saying(struct conversation *conversation, const struct saying *saying,
                                 bool *mentions)
{
    struct entry *entry = entry_make(saying->at_ms);

    set_id(conversation, entry, saying->id);
    entry->direct = saying->to != NULL;
    if (saying->number) {
        entry->pending = need(calloc(1, sizeof *entry->pending));
        entry->pending->number = saying->number;
        entry->pending->from = need(strdup(saying->from));
        entry->pending->to = saying->to ? need(strdup(saying->to)) : NULL;
        entry->pending->text = need(strdup(saying->text));
    }
    *mentions = show_saying(conversation, entry, saying->from, saying->to, saying->text, NULL);
    return entry;
}

bool conversation_say(struct conversation *conversation, const struct saying *saying)
{
    bool mentions;

    if (saying->id && find_id(conversation, saying->id))
        return false;
    append(conversation, make_saying(conversation, saying, &mentions));
    return mentions;
}

size_t conversation_put_before(struct conversation *conversation, const struct saying *sayings, size_t n)
{
    size_t put = 0;
    bool mentions;

    while (n-- > 0 && conversation->count < CONVERSATION_MAX)
        if (!sayings[n].id || !find_id(conversation, sayings[n].id)) {
            prepend(conversation, make_saying(conversation, &sayings[n], &mentions));
            put++;
        }
    return put;
}

static struct entry *find_number(const struct conversation *conversation, uint64_t number)
{
    struct entry *entry;

    for (entry = newest(conversation); entry; entry = older(conversation, entry))
        if (entry->pending && entry->pending->number == number)
            return entry;
    return NULL;
}

void conversation_settle(struct conversation *conversation, uint64_t number, event_id id, const char *why)
{
    struct entry *entry = find_number(conversation, number);
    struct pending *pending;

    if (!entry) /* so long ago that it was dropped */
        return;
    if (id && find_id(conversation, id)) {
        entry_remove(conversation, entry);
        return;
    }
    pending = entry->pending;
    if (id) {
        set_id(conversation, entry, id);
        entry_set_time(entry, (int64_t)id_ms(id));
        entry->pending = NULL;
    }
    show_saying(conversation, entry, pending->from, pending->to, pending->text,
                id    ? NULL
                : why ? why
                      : "refused");
    entry->pending = pending;
    forget_pending(entry);
}

const char *conversation_pending(const struct conversation *conversation, uint64_t number)
{
    const struct entry *entry = find_number(conversation, number);

    return entry ? entry->pending->text : NULL;
}

static bool is_listed(const struct crowd *crowd, const char *name)
{
    for (size_t i = 0; i < crowd->listed; i++)
        if (strcmp(crowd->names[i], name) == 0)
            return true;
    return false;
}

void conversation_notice(struct conversation *conversation, const char *name, bool joined, int64_t at_ms)
{
    struct entry *entry = entry_make(at_ms), *last = newest(conversation);
    struct crowd *crowd;

    if (last && last->notice && last->day == entry->day) {
        free(entry);
        entry = last;
    } else {
        entry->notice = need(calloc(1, sizeof *entry->notice));
        append(conversation, entry);
    }
    crowd = joined ? &entry->notice->came : &entry->notice->gone;
    if (!is_listed(crowd, name)) {
        crowd->n++;
        if (crowd->listed < NOTICE_NAMES)
            crowd->names[crowd->listed++] = need(strdup(name));
    }
    show_notice(entry, name);
}

void conversation_tell(struct conversation *conversation, const char *text, bool error, int64_t at_ms)
{
    struct entry *entry = entry_make(at_ms);

    put_time(entry);
    put_text(entry, error ? STYLE_ERROR : STYLE_NOTICE, text);
    append(conversation, entry);
}

event_id conversation_oldest(const struct conversation *conversation)
{
    event_id oldest = 0;
    struct entry *entry;

    DL_FOREACH (conversation->entries, entry)
        if (entry->id && !entry->direct && (oldest == 0 || entry->id < oldest))
            oldest = entry->id;
    return oldest;
}

/* Lines -------------------------------------------------------------------------------------------------- */

/*
 * Where the row ends that begins at `from` and has so many columns, and in *next where the following one
 * begins.  Breaks behind blanks, which are not seen then, and on both sides of wide characters, which need
 * none; within a word only if it is alone in the row.
 */
static size_t row_end(const struct entry *entry, size_t from, unsigned columns, size_t *next)
{
    size_t at = from, word_end = from, break_at = from, break_next = from;
    unsigned used = 0;
    struct cluster cluster;

    for (; at < entry->len && entry->text[at] != '\n'; at += cluster.len) {
        bool blank = entry->text[at] == ' ';

        cluster_read(entry->text + at, entry->len - at, &cluster);
        if (used + cluster.width > columns && !blank) {
            bool may_break = (cluster.width > 1 || word_end < at) && word_end > from;

            if (may_break || word_end == from) { /* or there are only blanks */
                *next = at > from ? at : at + cluster.len;
                return word_end;
            }
            *next = break_at > from ? break_next : at;
            return break_at > from ? break_at : at;
        }
        used += cluster.width;
        if (!blank)
            word_end = at + cluster.len;
        if (blank || cluster.width > 1) {
            break_at = word_end;
            break_next = at + cluster.len;
        }
    }
    *next = at + (at < entry->len);
    return used > columns ? word_end : at;
}

static unsigned count_rows(struct entry *entry, unsigned width)
{
    if (entry->width != width) {
        entry->width = width;
        entry->rows = 0;
        for (size_t at = 0; at < entry->len; entry->rows++)
            row_end(entry, at, entry->rows ? width - INDENT_COLUMNS : width, &at);
    }
    return entry->rows;
}

static bool starts_day(const struct conversation *conversation, const struct entry *entry)
{
    const struct entry *before = older(conversation, entry);

    return !before || before->day != entry->day;
}

/* With the line of the day, if it begins one. */
static unsigned count_lines(const struct conversation *conversation, struct entry *entry, unsigned width)
{
    return count_rows(entry, width) + starts_day(conversation, entry);
}

/* Fills in the spans of the text from `from` to `to`. */
static void cut_spans(const struct entry *entry, size_t from, size_t to, struct line *line)
{
    for (size_t i = 0; i < entry->n; i++) {
        const struct piece *piece = &entry->pieces[i];
        size_t start = piece->from, end = i + 1 < entry->n ? piece[1].from : entry->len;

        if (start < from)
            start = from;
        if (end > to)
            end = to;
        if (start < end)
            line->spans[line->n++] =
                (struct span){entry->text + start, end - start, piece->style, piece->colour};
    }
}

static void read_line(const struct conversation *conversation, const struct entry *entry, unsigned width,
                      unsigned row, struct line *line)
{
    size_t from, next = 0, end = 0;

    *line = (struct line){.entry = entry->place, .row = row};
    if (starts_day(conversation, entry)) {
        if (row == 0) {
            line->spans[line->n++] = (struct span){entry->day_text, strlen(entry->day_text), STYLE_NOTICE, 0};
            return;
        }
        row--;
    }
    for (unsigned i = 0; i <= row; i++) {
        line->indent = i ? INDENT_COLUMNS : 0;
        from = next;
        end = row_end(entry, from, width - line->indent, &next);
    }
    cut_spans(entry, from, end, line);
}

bool conversation_line(struct conversation *conversation, unsigned width, size_t back, struct line *line)
{
    struct entry *entry;

    for (entry = newest(conversation); entry; entry = older(conversation, entry)) {
        unsigned lines = count_lines(conversation, entry, width);

        if (back < lines) {
            read_line(conversation, entry, width, lines - 1 - (unsigned)back, line);
            return true;
        }
        back -= lines;
    }
    return false;
}

size_t conversation_lines(struct conversation *conversation, unsigned width)
{
    struct entry *entry;
    size_t lines = 0;

    DL_FOREACH (conversation->entries, entry)
        lines += count_lines(conversation, entry, width);
    return lines;
}

size_t conversation_back(struct conversation *conversation, unsigned width, int64_t place, unsigned row)
{
    struct entry *entry;
    size_t back = 0;

    for (entry = newest(conversation); entry; entry = older(conversation, entry)) {
        unsigned lines = count_lines(conversation, entry, width);

        if (entry->place < place) /* it is gone: the line before it */
            return back;
        if (entry->place == place)
            return back + (row < lines ? lines - 1 - row : 0);
        back += lines;
    }
    return back > 0 ? back - 1 : 0;
}
