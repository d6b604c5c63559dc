#ifndef HUBBUB_CLIENT_VIEW_H
#define HUBBUB_CLIENT_VIEW_H

/*
 * view: what a person sees and is asked, on a screen or, on a terminal that cannot show one, line by line;
 * the rest need not know which.
 *
 * One of the places is shown; what the client itself says, and directs, are shown there, for that is where
 * the person looks.
 *
 * What is typed is a text or a command, unless a name or a password is asked for.  Questions, which are
 * answered by y or n, queue: one is open at a time, and none while a name or a password is asked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conversation;
struct edit;
struct event;
struct event_base;
struct options;
struct place;
struct saying;
struct screen;
struct session;

#define VIEW_LINE_BYTES 8192 /* line by line: what is longer is more than one line */

/* What the next line is. */
enum asking {
    ASKING_NOTHING, /* a text or a command */
    ASKING_NAME,
    ASKING_PASSWORD,
    ASKING_OLD_PASSWORD, /* of /register, in this order; the old one of an account alone */
    ASKING_NEW_PASSWORD,
    ASKING_SAME_PASSWORD,
};

enum question_kind {
    QUESTION_PASTE, /* is `text` to be said as one text? */
    QUESTION_STALE, /* is the chat `number` to be said again? */
};

struct question {
    enum question_kind kind;
    uint64_t number;
    char *text; /* or NULL */
    struct question *prev, *next;
};

struct view_ops {
    /* A whole line, which may be empty, for what is asked. */
    void (*typed)(void *ctx, const char *line);
    /* The person has seen this question, and answered it. */
    void (*answered)(void *ctx, const struct question *question, bool yes);
    /* The person looks for what is older in the place that is shown. */
    void (*older)(void *ctx);
    /* The person wants to leave, or (`at_once`) nobody is there any more, or nobody who can be asked. */
    void (*quit)(void *ctx, bool at_once);
};

/* For others its fields are to be read; but `places` is filled and emptied by whoever knows of rooms. */
struct view {
    const struct view_ops *ops;
    void *ctx;
    const struct options *options;
    const struct session *session; /* whose state the status tells */
    struct screen *screen;         /* NULL: line by line */
    struct edit *edit;
    struct place *places, *shown; /* shown: never NULL */
    char **rooms; /* that are on the server, for completion; some of them, if there are many */
    size_t n_rooms;
    enum asking asking;
    struct question *questions;             /* oldest first: the first one is open, or will be */
    bool open;                              /* it is */
    struct event *input, *stop, *continued; /* line by line */
    bool unheard;                           /* line by line: the end of what is typed has come */
    int64_t rung_at;                        /* the bell, in ms since 1970 */
    int unwritable;                         /* line by line: errno of standard output; 0: it can be written */
    size_t line_len;
    char line[VIEW_LINE_BYTES + 1]; /* line by line: what was read of the line so far */
};

/* Takes the terminal, and shows the room of `options`.  Borrows all it is given; `session` need not have
 * started.  False: no memory.  view_finish() gives the terminal back as it was, after a failure, too. */
bool view_init(struct view *view, struct event_base *base, const struct options *options,
               const struct session *session, const struct view_ops *ops, void *ctx);
void view_finish(struct view *view);

/* Shows another place. */
void view_show(struct view *view, struct place *place);

/* The client itself says something, `error` or not. */
void view_tell(struct view *view, bool error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Somebody says something in a place, which may be the person (`saying->number`). */
void view_say(struct view *view, struct place *place, const struct saying *saying);

/* Line by line: prints a text, each of its lines behind `prefix`.  On a screen that is a conversation's. */
void view_print(struct view *view, const char *prefix, const char *text);

/* Rooms that are on the server, whether one is there or not.  Of many, some are kept. */
void view_know_room(struct view *view, const char *room);
void view_forget_rooms(struct view *view);

/* A conversation has changed; what the status tells has changed: of the session, or of a place. */
void view_changed(struct view *view);
void view_status(struct view *view);

/* The next line is to be that; a half typed one is forgotten if it was to be something else. */
void view_ask(struct view *view, enum asking asking);

/* Poses a question, when it is its turn.  `text` (or NULL) is copied.  ops->answered follows, once, unless
 * the view ends before. */
void view_pose(struct view *view, enum question_kind kind, uint64_t number, const char *text);

#endif
