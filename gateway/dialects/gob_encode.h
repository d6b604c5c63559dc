#ifndef HUBBUB_GOB_ENCODE_H
#define HUBBUB_GOB_ENCODE_H

/*
 * gob_encode: writes Go's encoding/gob, as far as it is needed for Messages (see gob_decode.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

#define GOB_FIRST_ID 65 /* Go gives out types' ids from here on */
#define GOB_LAST_ID INT32_MAX

/* Appends the value of a Message, which is the same under whatever id its type is defined. */
void gob_put_value(int type, const char *sender, const char *content, struct evbuffer *out);

/* Appends the definition of Message under this id. */
void gob_put_definition(int32_t id, bool has_unsigned_type, struct evbuffer *out);

/* Appends a Message whose type was defined like that, from `len` bytes that gob_put_value() has made. */
void gob_put_message(int32_t id, bool has_unsigned_type, const char *value, size_t len, struct evbuffer *out);

#endif
