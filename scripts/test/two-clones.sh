#!/usr/bin/env bash
# Two clones that build at the same time in one cargo target: each gets its own programs. A stand-in for cargo writes
# the clone's name as the program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/{fakes,first,second,target/release}

# The first clone's stand-in returns when the second has written its programs or waits for the lock.
cat >"$folder/fakes/cargo" <<'FAKE'
#!/usr/bin/env bash
clone=$(basename "$PWD")
for program in tts-operator tts-server; do echo "$clone" >"$CARGO_TARGET_DIR/release/$program"; done
touch "../$clone.built"
[[ $clone == first ]] || exit 0
until [[ -e ../second.built ]] || grep -q Waiting ../second.log; do
    ((SECONDS < 20)) || exit 1
done
FAKE
chmod +x "$folder/fakes/cargo"

build() (
    cd "$folder/$1"
    source "$here/../programs.sh"
    export PATH=$folder/fakes:$PATH CARGO_TARGET_DIR=$folder/target
    with_lock "$CARGO_TARGET_DIR/.programs.lock" "it builds in $CARGO_TARGET_DIR" build_programs
)

: >"$folder/second.log"
build first &
first=$!
until [[ -e $folder/first.built ]]; do
    ((SECONDS < 20)) || fail "the first clone did not build"
done
build second >"$folder/second.log"
wait "$first"
for clone in first second; do
    for program in tts-operator tts-server; do
        [[ $(cat "$folder/$clone/bin/$program") == "$clone" ]] ||
            fail "the $program of the clone '$clone' is that of '$(cat "$folder/$clone/bin/$program")'"
    done
done
say "ok: two clones that build at the same time get their own programs"
