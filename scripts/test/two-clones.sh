#!/usr/bin/env bash
# Two clones that share cargo's target folder and build at the same time: each gets its own program. The clones are small
# stand-ins with this repository's scripts.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/expect.sh"

FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
export CARGO_TARGET_DIR=$FOLDER/target

make_clone() {
    local clone=$FOLDER/$1
    mkdir -p "$clone/scripts" "$clone/program/src" "$clone/bin"
    cp "$REPO/scripts/lib.sh" "$REPO/scripts/cargo-target.sh" "$clone/scripts/"
    printf '[workspace]\nmembers = ["program"]\nresolver = "3"\n' >"$clone/Cargo.toml"
    printf '[package]\nname = "tts-program"\nversion = "0.1.0"\nedition = "2024"\n' >"$clone/program/Cargo.toml"
    printf 'fn main() { println!("%s"); }\n' "$1" >"$clone/program/src/main.rs"
    # Older than any build, as in a clone that was made yesterday.
    find "$clone" -type f -exec touch --date=yesterday {} +
}

build_in() (
    cd "$FOLDER/$1"
    # shellcheck disable=SC1091 # a copy of a script that is checked by itself
    source scripts/lib.sh
    # shellcheck disable=SC1091
    source scripts/cargo-target.sh
    with_cargo_target build_program
)

build_program() { cargo build --quiet --offline && cp "$FOLDER/target/debug/tts-program" bin/; }

make_clone first
make_clone second
for round in 1 2; do
    build_in first &
    first=$!
    build_in second &
    wait "$first" "$!"
    for clone in first second; do
        expect "round $round: the $clone clone has its own program" test "$("$FOLDER/$clone/bin/tts-program")" = "$clone"
    done
done
