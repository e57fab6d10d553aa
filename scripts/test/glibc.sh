#!/usr/bin/env bash
# Which way the programs are built, for C libraries of the host and of the base image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../images/glibc.sh"
source "$here/expect.sh"

unset TTS_BUILD_WITH
expect "the same version: by the host's compiler alone" test "$(build_way 2.36 2.36)" = host
expect "an older host too" test "$(build_way 2.9 2.36)" = host
expect "a newer host: with zig" test "$(build_way 2.41 2.36)" = zig
expect "a base whose version is not known" test "$(build_way 2.41 '')" = host
expect "TTS_BUILD_WITH decides" test "$(TTS_BUILD_WITH=zig build_way 2.36 2.36)" = zig
expect_refusal "TTS_BUILD_WITH is 'gcc'; it is host or zig" env TTS_BUILD_WITH=gcc "$here/../build.sh"
