#ifndef HUBBUB_SLASH_H
#define HUBBUB_SLASH_H

/*
 * slash: what a person types, and what a person is told, in the dialects that are for people.
 *
 * A text is said, unless it starts with a slash: then it is a command ("//x" says "/x").  What the server
 * says is sentences, one line each but for the help.
 */

#include "dialect.h"

/*
 * Reads what was typed: `text`, a string, which is changed and must last as long as the request, for the
 * request's strings are in there.  A command may have line ends behind it; what is not a command becomes
 * VERB_CHAT as it is, also if it is empty.  Returns DECODED_REQUEST or DECODED_ERROR (unknown-command, or
 * bad-request for the wrong arguments, both with a reason that lasts forever).
 */
enum decoded slash_read(char *text, struct request *request);

/*
 * Appends what a person is told by `reply`, without a newline at its end; nothing, if that is nothing
 * (REPLY_ACK, REPLY_PONG).  Of REPLY_ERROR, the sentence.
 */
void slash_encode_reply(const struct reply *reply, struct evbuffer *out);

#endif
