# shellcheck shell=bash
# Parts are the long-running programs of an instance; each has its own log.

declare -A PARTS=()
STARTED_MS=$(date +%s%3N)

elapsed() { printf '%5d ms  %s\n' "$(($(date +%s%3N) - STARTED_MS))" "$*"; }

# part NAME COMMAND...
part() {
    local name=$1
    shift
    "$@" >"$STATE/log/$name.log" 2>&1 &
    PARTS[$!]=$name
}

# await WHAT COMMAND...: until the command succeeds; a part that ends in the meantime ends the instance.
# The deadline belongs to the script that started the instance.
await() {
    local pid what=$1
    shift
    until "$@" >/dev/null 2>&1; do
        for pid in "${!PARTS[@]}"; do
            kill -0 "$pid" 2>/dev/null || part_ended "$pid" "while waiting for $what"
        done
        sleep 0.05
    done
}

end_with_first_part() {
    local pid
    wait -n -p pid "${!PARTS[@]}" || true
    part_ended "$pid" "while the cluster was running"
}

part_ended() {
    printf '%s ended %s; the end of its log:\n' "${PARTS[$1]}" "$2"
    tail -n 15 "$STATE/log/${PARTS[$1]}.log"
    rm -f "$STATE/ready"
    exit 1
}
