#!/bin/sh
# The formats of printf are octal escapes on purpose.
# shellcheck disable=SC2059
#
# Fuzzes everything that reads bytes from the network. Not part of the package: it needs libFuzzer, which Swift's Linux
# toolchains carry.
#
#   Tests/Fuzz/run.sh [seconds]         default 30; other arguments behind it go to libFuzzer
#
# What it learns is kept in .build/fuzz/corpus; an input that breaks something is left in .build/fuzz.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-30}
[ $# -eq 0 ] || shift

work=.build/fuzz
mkdir -p "$work/corpus" "$work/seeds"

swiftc -sanitize=fuzzer,address -parse-as-library -O -swift-version 6 \
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility \
  -enable-upcoming-feature InternalImportsByDefault \
  Sources/Wire/*.swift Tests/Fuzz/WireFuzz.swift -o "$work/wire" 2>"$work/build.log" ||
  { cat "$work/build.log" >&2; exit 1; }

# Seeds: a message of each type bare and in a frame, two records, IPv4 and IPv6 packets.
seed() { printf "$2" >"$work/seeds/$1"; }
message() {
  printf '%s' "$2" >"$work/seeds/$1"
  length=$(printf '%s' "$2" | wc -c)
  { printf "\\002\\000\\$(printf '%03o' $((length / 256)))\\$(printf '%03o' $((length % 256)))\\0\\0\\0\\0\\0\\0\\0\\0"
    printf '%s' "$2"; } >"$work/seeds/$1-frame"
}
message join '{"address":"10.0.0.7","address_required":true,"device_id":"a","instance":"x","token":"_____________________w","ciphers":["aes-256-gcm"],"type":"join"}'
message welcome '{"address":"10.0.0.2","keepalive_ms":15000,"pool":"10.0.0.0/24","relay_address":"10.0.0.1","type":"welcome"}'
message refused '{"code":"pool-full","text":"the pool is full","type":"refused"}'
message peers '{"joined":[{"address":"10.0.0.3","ciphers":[],"device_id":"cam","key":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"}],"left":["10.0.0.4"],"revision":8,"since":7,"type":"peers"}'
message sync '{"type":"sync"}'
message locate '{"label":"kitchen-hub","type":"locate"}'
message unreachable '{"address":"10.0.0.9","type":"unreachable"}'
seed ping '\005\0\0\2\0\0\0\0\0\0\0\0ab'
seed data '\003\0\0\014\012\0\0\2\0\7\0\0\0\0\0\3abc\0\0\0\1z'
seed ipv4 '\106\0\0\034\0\0\100\0\100\006\0\0\012\0\0\2\012\0\0\3\1\1\1\1\1\2\3\4'
seed ipv6 '\140\0\0\0\0\4\021\100\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3\1\2\3\4'

# Swift's own backtrace of a crash would wait for the fuzzer and the fuzzer for it.
SWIFT_BACKTRACE=enable=no exec "$work/wire" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
  -artifact_prefix="$work/" -print_final_stats=1 "$@" "$work/corpus" "$work/seeds"
