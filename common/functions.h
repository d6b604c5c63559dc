#ifndef HUBBUB_FUNCTIONS_H
#define HUBBUB_FUNCTIONS_H

/*
 * functions: the Redis function library, embedded from functions.lua, and the keys that it works on.
 *
 * Library and functions carry the file's revision in their names, because Redis keeps old libraries and
 * refuses two that share a function's name.  docs/FUNCTIONS.md lists keys, arguments and answers.
 */

#include <stddef.h>

#include "functions_lua.h" /* made at build: FUNCTIONS_LUA (the text), FUNCTIONS_REVISION ("1") */
#include "id.h"

#define KEY_VERSION "1" /* of the keys' shape; stands in hubbub:{L}:open */

#define FUNCTION(name) name "_" FUNCTIONS_REVISION
#define FUNCTION_LIBRARY FUNCTION("hubbub")

/* What a function's key argument is: "hubbub:{L}"; the other keys of the lane follow after a colon. */
#define LANE_KEY_FORMAT "hubbub:{%u}"
#define LANE_KEY_MAX 16

#endif
