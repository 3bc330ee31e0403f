#!/usr/bin/env bash
# Brings a real TimescaleDB: PostgreSQL 17 with the extension, from Debian's packages, in a folder
# of its own beside the cluster's binaries. Prints that folder. Needs root, debootstrap and 700 MB.
#
# The tests of the game server's history run in it by chroot (gameserver/tests/history.rs); nothing
# is started here, and nothing of the machine is changed outside the cache.
set -euo pipefail

suite=trixie
cache="${MUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/muster}"
folder="$cache/timescaledb-$suite"

step() { printf '── %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Two runs at once would write into the same folder.
mkdir -p "$cache"
exec 9> "$cache/timescaledb.lock"
flock 9

if [ ! -e "$folder/complete" ]; then
    [ "$(id -u)" = 0 ] || fail "root is needed to make a Debian system in $folder"
    command -v debootstrap > /dev/null || fail "debootstrap is missing: apt-get install debootstrap"
    step "TimescaleDB from Debian $suite, into $folder"
    began=$SECONDS
    # What an interrupted run left would not be touched again.
    rm -rf "$folder"
    debootstrap --variant=minbase --include=postgresql-17,postgresql-17-timescaledb \
        "$suite" "$folder" > "$cache/timescaledb.log" 2>&1 \
        || fail "debootstrap failed; the end of $cache/timescaledb.log:
$(tail -n 5 "$cache/timescaledb.log")"
    # Packages that are installed now are not needed as archives.
    rm -rf "$folder"/var/cache/apt/archives/*.deb
    touch "$folder/complete"
    step "TimescaleDB: done in $((SECONDS - began)) s"
fi
printf '%s\n' "$folder"
