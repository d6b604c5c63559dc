#!/bin/sh
#
# Installs the Debian packages of the given groups (build run test go lint fuzz instructions bench ngircd inspircd
# nats-server engine) that are missing; needs root or sudo only if there are any.  No server of the machine is started or
# stopped: the packages' own servers stay off, and if they were there before they are left alone.
#
set -eu

has_package() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

group_packages() {
    case $1 in
    build)
        echo gcc libc6-dev make meson ninja-build pkg-config libevent-dev libhiredis-dev libpq-dev libjansson-dev \
            libcmocka-dev libutf8proc-dev libsodium-dev uthash-dev libncurses-dev
        ;;
    run)
        echo python3 redis-server haproxy
        # Any version's server will do.
        ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || echo postgresql
        command -v psql >/dev/null || echo postgresql-client
        ;;
    test) echo python3-pytest python3-pyte netcat-openbsd ;;
    # For the tests with real Go clients, which are skipped without it, but not in CI.
    go) echo golang-go ;;
    engine)
        echo docker.io iptables mmdebstrap
        # Before Debian 13, docker.io has the client itself.
        case $(. /etc/os-release && echo "${VERSION_ID:-}") in 12*) ;; *) echo docker-cli ;; esac
        ;;
    # libFuzzer itself is in libclang-rt-dev, of clang's version whichever that is.
    fuzz) echo clang libclang-rt-dev python3 ;;
    instructions) echo valgrind python3 ;;
    bench) echo redis-tools strace gnuplot-nox ;;
    # The peers that hubbub is measured beside, each a group: one that is not to be had is left out.
    ngircd | inspircd | nats-server) echo "$1" ;;
    lint) echo clang clang-format clang-tidy cppcheck mandoc python3 ;;
    *)
        echo "install.sh: no such group: $1 (build run test go lint fuzz instructions bench ngircd inspircd nats-server" \
            "engine)" >&2
        exit 2
        ;;
    esac
}

missing_packages() {
    for group in "$@"; do
        for package in $(group_packages "$group"); do
            has_package "$package" || echo "$package"
        done
    done | sort -u
}

tidy() {
    rm -f $made
    [ -z "$made_dir" ] || rmdir --ignore-fail-on-non-empty "$made_dir"
}

# As root: installs with services off, and undoes afterwards what kept them off.
install_quietly() {
    made= made_dir=
    trap tidy EXIT
    trap 'exit 1' INT TERM HUP
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=$policy
    fi
    clusters=/etc/postgresql-common/createcluster.d
    [ -d "$clusters" ] || made_dir=$clusters
    mkdir -p "$clusters"
    echo "create_main_cluster = false" >"$clusters/hubbub.conf"
    made="$made $clusters/hubbub.conf"

    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    echo "installing: $*"
    wait="-o DPkg::Lock::Timeout=300"
    if ! { apt-get $wait update; apt-get $wait install -y --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "install.sh: apt-get could not install: $*" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
    # New on this machine: they shall not start at boot either.
    for service in redis-server haproxy docker ngircd inspircd nats-server; do
        case " $* " in
        *" $service "* | *" $service.io "*)
            systemctl --quiet disable "$service" >/dev/null 2>&1 ||
                update-rc.d "$service" disable >/dev/null 2>&1 || true
            ;;
        esac
    done
}

if [ "${1:-}" = --packages ]; then
    shift
    install_quietly "$@"
    exit
fi
if ! command -v apt-get >/dev/null; then
    echo "install.sh: no apt-get here; this needs Debian 12 or later" >&2
    exit 1
fi
for group in "$@"; do
    group_packages "$group" >/dev/null # ends here if there is no such group
done
packages=$(missing_packages "$@")
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    install_quietly $packages
elif command -v sudo >/dev/null; then
    sudo sh "$0" --packages $packages
else
    echo "install.sh: these packages are missing, and only root can install them:" $packages >&2
    exit 1
fi
