#!/bin/sh
#
# lint.sh DIRECTORY: formatting and static analysis of everything here; DIRECTORY gets a build by clang, whose warnings
# count as errors and from which clang-tidy knows how each file is compiled.
#
set -eu
cd "$(dirname "$0")/.."
build=$1
status=0

# Runs a step; what it says is shown only if it fails.
step() {
    what=$1
    shift
    if output=$("$@" 2>&1); then
        echo "lint: $what: ok"
    else
        printf '%s\n' "$output" | head -n 60
        echo "lint: $what: FAILED"
        status=1
    fi
}

c_files() {
    find common gateway store tests client bench -name '*.[ch]' 2>/dev/null | sort
}

scripts() {
    find deploy migrations tests common completions .ci -name '*.sh' -o -name '*.bash' -o -path .ci/run | sort
}

check_format() {
    c_files | xargs clang-format --dry-run -Werror
}

check_build() {
    [ -e "$build/build.ninja" ] || CC=clang meson setup "$build" -Dwerror=true || return 1
    ninja -C "$build"
}

check_tidy() {
    grep -o '"file": "[^"]*\.c"' "$build/compile_commands.json" | cut -d'"' -f4 | sort -u |
        (cd "$build" && xargs realpath) |
        xargs -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>/dev/null
}

check_cppcheck() {
    cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=portability \
        --suppress=unknownMacro --suppress=uninitvar --suppress=normalCheckLevelMaxBranches -j "$(nproc)" \
        $(c_files | grep '\.c$')
}

check_scripts() {
    for script in $(scripts); do
        case $(head -n 1 "$script") in
        *bash*) bash -n "$script" || return 1 ;;
        *) sh -n "$script" || return 1 ;;
        esac
    done
}

check_settings() {
    "$build/common/settings-doc" | diff - docs/SETTINGS.md || {
        echo "docs/SETTINGS.md is not what the table in common/settings.c says: make settings"
        return 1
    }
}

# A page that names one of ours finds it only where that is installed.
check_man_pages() {
    if said=$(mandoc -T lint -W style docs/man/* | grep -v 'STYLE: referenced manual not found'); then
        printf '%s\n' "$said"
        return 1
    fi
}

check_python() {
    find deploy docs tests bench -name '*.py' | while read -r file; do
        /usr/bin/python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file" || return 1
    done
}

case $(clang-format --version) in
*"version 14."*) step clang-format check_format ;;
*)
    echo "lint: clang-format: skipped, it is not version 14 and would format otherwise"
    [ -z "${CI:-}" ] || status=1
    ;;
esac
step "build with clang" check_build
step "docs/SETTINGS.md" check_settings
step clang-tidy check_tidy
step cppcheck check_cppcheck
step "shell scripts" check_scripts
step "man pages" check_man_pages
step "python files" check_python
exit $status
