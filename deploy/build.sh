#!/bin/sh
# Builds hubbub in the directory that is named, and speaks only when there is something to do or to complain of.
set -eu
directory=$1
if [ ! -e "$directory/build.ninja" ]; then
    echo "hubbub: setting up the build"
    meson setup "$directory" >"$directory.log" 2>&1 || { cat "$directory.log"; exit 1; }
    rm -f "$directory.log"
fi
if ! ninja -C "$directory" -n | grep -q 'no work to do'; then
    echo "hubbub: building"
    ninja -C "$directory" --quiet
fi
