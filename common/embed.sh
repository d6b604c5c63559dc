#!/bin/sh
# Writes functions.lua as a C header: embed.sh functions.lua functions_lua.h
set -eu
revision=$(sed -n '1s/^#!lua name=hubbub_\([0-9][0-9]*\)$/\1/p' "$1")
[ -n "$revision" ] || { echo "$1: the first line must be '#!lua name=hubbub_N'" >&2; exit 1; }
{
    printf '/* Made from functions.lua by embed.sh. */\n#define FUNCTIONS_REVISION "%s"\n#define FUNCTIONS_LUA \\\n' "$revision"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/    "&\\n" \\/' "$1"
    printf '    ""\n'
} > "$2"
