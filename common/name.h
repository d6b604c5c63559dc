#ifndef HUBBUB_NAME_H
#define HUBBUB_NAME_H

/*
 * name: what people, rooms and texts may be called and contain.
 *
 * Names and rooms are letters and marks of any script, decimal digits, and "_ - .".  They are compared in
 * their folded form (NFKC case folding); a name is shown as it was given.  The rules hold for both forms, so
 * that no disguise of "server" and no letter that folds into a space gets by.
 */

#include <stdbool.h>
#include <stddef.h>

#define NAME_CHARS 32
#define ROOM_CHARS 64
#define NAME_MAX_BYTES (NAME_CHARS * 4 + 1) /* with the NUL; for given and folded names */
#define ROOM_MAX_BYTES (ROOM_CHARS * 4 + 1)
#define TEXT_MAX_BYTES 4096
#define TEXT_MAX_LINES 100 /* may be said; each costs the readers of some dialects a whole prefix */
#define LOBBY "lobby"

/* Checks the name `given` and writes its folded form into `folded` (NAME_MAX_BYTES).  False if it is no name.
 */
bool name_fold(const char *given, char *folded);

/* The same for a room, into ROOM_MAX_BYTES. */
bool room_fold(const char *given, char *folded);

/* How many bytes at the start of `text` may stand in a name: 0 if the first character may not. */
size_t name_span(const char *text);

/* The lane (0 to 7) of the room or recipient whose folded name this is: CRC-16/XMODEM mod 8. */
unsigned lane_of(const char *folded);

/*
 * Makes `text` (NUL-terminated) fit to be said, in place: trims line ends at its end and turns CRLF into LF.
 * False if nothing or more than TEXT_MAX_BYTES is left, if it is not UTF-8, or if it holds a control
 * character other than tab and LF, U+2028 or U+2029.
 */
bool text_clean(char *text);

/* How many lines `text` has: 1 if there is no LF in it. */
size_t text_lines(const char *text);

/* True if these bytes are well-formed UTF-8 without NUL. */
bool text_is_utf8(const char *text, size_t len);

#endif
