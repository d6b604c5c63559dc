/*
 * view_fuzz: any bytes, as what a server tells and a person types or pastes, on a screen of any width.
 *
 * The bytes are a list of lines.  The first byte of each says what happens, the second is a number for it,
 * the rest is a text.  However many columns there are, each line fits into them and can be found again; the
 * typed line stays UTF-8 and its cursor is seen.
 */

#include <stdbool.h>
#include <string.h>

#include <utf8proc.h>

#include "command.h"
#include "conversation.h"
#include "edit.h"
#include "fuzz.h"
#include "name.h"
#include "width.h"
#include "wire.h"

#define NOON 1795262400000 /* 2026-11-21 12:00 UTC */
#define STEPS_MAX 200
#define LINES_CHECKED 30

struct play {
    struct conversation *conversation;
    struct edit *edit;
    int64_t at_ms;
    uint64_t number; /* of the newest own saying */
    char text[WIRE_TEXT_MAX], name[NAME_MAX_BYTES];
};

static void check_line(struct conversation *conversation, unsigned width, size_t back)
{
    struct line line;
    size_t len = 0;

    REQUIRE(conversation_line(conversation, width, back, &line));
    REQUIRE(line.n <= LINE_SPANS_MAX && line.indent < width);
    for (size_t i = 0; i < line.n; i++) {
        REQUIRE(i == 0 || line.spans[i].text == line.spans[i - 1].text + line.spans[i - 1].len);
        REQUIRE(line.spans[i].colour < CONVERSATION_COLOURS);
        len += line.spans[i].len;
    }
    REQUIRE(line.n == 0 || !memchr(line.spans[0].text, '\n', len));
    REQUIRE(line.n == 0 || text_width(line.spans[0].text, len) <= width - line.indent);
    REQUIRE(conversation_back(conversation, width, line.entry, line.row) == back);
}

static void check_conversation(struct conversation *conversation, unsigned width)
{
    size_t lines = conversation_lines(conversation, width);
    struct line line;

    for (size_t back = 0; back < lines && back < LINES_CHECKED; back++)
        check_line(conversation, width, back);
    REQUIRE(!conversation_line(conversation, width, lines, &line));
}

static void check_edit(const struct edit *edit, unsigned width)
{
    size_t cursor, from, to;
    unsigned column;
    const char *text = edit_text(edit, &cursor);
    size_t len = strlen(text);

    REQUIRE(len <= EDIT_MAX_BYTES && cursor <= len);
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at, -1, &c);

        REQUIRE(n > 0 && (c >= ' ' || c == '\n') && !(c >= 0x7f && c < 0xa0));
        at += (size_t)n;
    }
    edit_window(edit, width, &from, &to, &column);
    REQUIRE(from <= cursor && from <= to && to <= len);
    REQUIRE(text_width(text + from, to - from) <= width);
}

static void each_person(void *ctx, void (*each)(void *to, const char *name), void *to)
{
    const struct play *play = ctx;

    each(to, "Ann");
    each(to, play->name);
}

static void complete(struct play *play)
{
    const struct completion_source source = {each_person, each_person, play};
    size_t cursor, len;
    const char *line = edit_text(play->edit, &cursor);
    char *by, *choices;

    len = command_complete(line, cursor, &source, &by, &choices);
    REQUIRE(len <= cursor && (by || len == 0));
    if (by)
        edit_replace(play->edit, len, by);
    free(by);
    free(choices);
}

static void enter(struct play *play)
{
    struct command command;

    if (*edit_text(play->edit, NULL)) {
        command_read(edit_text(play->edit, NULL), &command);
        REQUIRE(command.kind <= COMMAND_WRONG);
        REQUIRE((command.kind != COMMAND_SAY && command.kind != COMMAND_WRONG) || command.text);
        command_finish(&command);
    }
    edit_clear(play->edit, true);
}

static void step(struct play *play, char what, unsigned number, const char *raw)
{
    struct saying saying = {.from = play->name, .text = play->text, .at_ms = play->at_ms};

    wire_clean(raw, true, play->text, sizeof play->text);
    switch (what) {
    case 'n':
        wire_clean(raw, false, play->name, sizeof play->name);
        return;
    case 's':
        saying.id = number;
        saying.to = number % 3 == 0 ? "Ann" : NULL;
        conversation_say(play->conversation, &saying);
        break;
    case 'o':
        saying.number = ++play->number;
        conversation_say(play->conversation, &saying);
        break;
    case 'f':
        conversation_settle(play->conversation, play->number, number, *play->text ? play->text : NULL);
        break;
    case 'p':
        saying.id = number;
        conversation_put_before(play->conversation, &saying, 1);
        break;
    case 'j':
        conversation_notice(play->conversation, play->name, number % 2, play->at_ms);
        break;
    case 't':
        conversation_tell(play->conversation, play->text, number % 2, play->at_ms);
        break;
    case 'd':
        play->at_ms += (int64_t)number * 3600 * 1000;
        return;
    case 'k':
        edit_key(play->edit, number % (EDIT_NEWER + 1));
        break;
    case 'c':
        complete(play);
        break;
    case 'e':
        enter(play);
        break;
    case 'w':
        check_conversation(play->conversation, 20 + number);
        break;
    default:
        edit_insert(play->edit, raw, strlen(raw));
        break;
    }
    check_edit(play->edit, 3 + number % 100);
    check_conversation(play->conversation, 20 + number % 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.conversation = conversation_create("Ann"), .edit = edit_create(), .at_ms = NOON};
    char *copy = malloc(size + 1), *line = copy, *lf;
    int steps = 0;

    REQUIRE(copy);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    strcpy(play.name, "Bob");
    for (; *line && steps < STEPS_MAX; line = lf, steps++) {
        /* \r stands for the LF of a text */
        lf = line + strcspn(line, "\n");
        if (*lf)
            *lf++ = '\0';
        for (char *cr = line; (cr = strchr(cr, '\r'));)
            *cr = '\n';
        if (line[0] && line[1])
            step(&play, line[0], (unsigned char)line[1], line + 2);
    }
    check_conversation(play.conversation, 80);
    conversation_destroy(play.conversation);
    edit_destroy(play.edit);
    free(copy);
    return 0;
}
