#!/usr/bin/env bash
# The cluster's logic that needs neither root nor a cluster: the choice of a network, and cgroup version 2.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../scripts/lib.sh"
source "$here/lib/network.sh"
source "$here/lib/cgroup2.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# equal WHAT EXPECTED ACTUAL
equal() {
    [[ $2 == "$3" ]] || fail "$1" "expected: $2" "got:      $3"
    checks=$((checks + 1))
}
checks=0

# chosen ROUTES [POOL...]: the network that is chosen with these routes, or those in the way
chosen() {
    local routes=$1
    shift
    (($# > 0)) || set -- "${NETWORK_POOLS[@]}"
    printf '%s\n' "$routes" | find_network "${shortest:-$NETWORK_DEFAULT_BITS}" "$@" || true
}

test_choice_of_a_network() {
    local home='default via 192.168.1.1 dev eth0
192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.7
local 192.168.1.7 dev eth0 table local proto kernel scope host src 192.168.1.7'
    local all_private='10.0.0.0/8 via 10.9.0.1 dev tun0
172.16.0.0/12 via 10.9.0.1 dev tun0
192.168.0.0/16 via 10.9.0.1 dev tun0
unreachable 100.64.0.0/10 proto static'
    local shortest=$NETWORK_DEFAULT_BITS
    equal "a machine at home" 10.255.224.0/19 "$(chosen "$home")"
    equal "no routes at all" 10.255.224.0/19 "$(chosen '')"
    equal "a VPN that routes 10.0.0.0/8" 172.31.224.0/19 "$(chosen "$home
10.0.0.0/8 via 10.9.0.1 dev tun0")"
    equal "a VPN that routes 10.0.0.0/8 and 172.16.0.0/12" 192.168.224.0/19 "$(chosen "$home
10.0.0.0/8 dev tun0
172.16.0.0/12 dev tun0")"
    equal "a VPN that routes the three ranges of RFC 1918" 100.127.224.0/19 "$(chosen "$(head -n 3 <<<"$all_private")")"
    equal "a VPN that halves the default route" 10.255.224.0/19 "$(chosen '0.0.0.0/1 via 10.9.0.1 dev tun0
128.0.0.0/1 via 10.9.0.1 dev tun0')"
    equal "a cluster that runs" 10.255.192.0/19 "$(chosen '10.255.240.0/24 via 10.255.241.2 dev tts0affe0host')"
    equal "one address, in a table of its own" 10.255.192.0/19 "$(chosen 'local 10.255.255.254 dev lo table 52')"
    equal "a route larger than a network" 10.127.224.0/19 "$(chosen '10.128.0.0/9 dev tun0')"
    equal "routes side by side" 10.255.128.0/19 "$(chosen '10.255.255.0/24 dev a
10.255.192.0/19 dev b
10.255.160.1 dev c')"
    equal "the routes in the way" "10.0.0.0/8 (interface tun0)
172.16.0.0/12 (interface tun0)
192.168.0.0/16 (interface tun0)
100.64.0.0/10 (unreachable)" "$(chosen "$all_private")"

    # A range that was named by the user
    shortest=16
    equal "a part of a range that a VPN routes" 10.200.224.0/19 "$(chosen "$all_private" 10.200.0.0/16)"
    equal "a range that is in use itself" "172.17.0.0/16 (interface docker0)" \
        "$(chosen '172.17.0.0/16 dev docker0 scope link' 172.17.0.0/16)"
    shortest=19
    equal "room for one cluster" 172.30.0.0/19 "$(chosen '' 172.30.0.0/19)"
    equal "room for one cluster that is there" "172.30.16.0/24 (interface tts1host)" \
        "$(chosen '172.30.16.0/24 dev tts1host' 172.30.0.0/19)"
}

test_parts_of_a_network() {
    equal "Services" 172.31.224.0/20 "$(network_services 172.31.224.0/19)"
    equal "the first Service" 172.31.224.1 "$(network_first_service 172.31.224.0/19)"
    equal "the Service of the DNS" 172.31.224.10 "$(network_dns_service 172.31.224.0/19)"
    equal "pods" 172.31.240.0/24 "$(network_pods 172.31.224.0/19)"
    equal "the API server" 172.31.240.1 "$(network_api_address 172.31.224.0/19)"
    equal "the host's end of the link" 172.31.241.1 "$(network_link_host 172.31.224.0/19)"
    equal "the other end of the link" 172.31.241.2 "$(network_link_inside 172.31.224.0/19)"
    equal "the interface" ttsac1fe0host "$(network_interface_host 172.31.224.0/19)"
}

# refusal VALUE: the message about TTS_CLUSTER_NETWORK=VALUE; empty when it is accepted
refusal() { (TTS_CLUSTER_NETWORK=$1 check_cluster_network 2>&1) || true; }

test_network_of_the_user() {
    local value
    for value in '' 10.200.0.0/16 172.30.0.0/16 192.168.224.0/19 100.64.0.0/10 10.0.0.0/8; do
        equal "TTS_CLUSTER_NETWORK=$value" '' "$(refusal "$value")"
    done
    for value in 10.200.0.0 10.200/16 10.200.0.0/33 10.256.0.0/16 10.01.0.0/16 fd00::/16 'any'; do
        equal "TTS_CLUSTER_NETWORK=$value" \
            "error: TTS_CLUSTER_NETWORK is '$value'; it has to be an IPv4 range such as 172.30.0.0/16" "$(refusal "$value")"
    done
    equal "a range that is too small" \
        "error: TTS_CLUSTER_NETWORK is 10.200.0.0/20, which is too small; a cluster needs a /19 or larger" \
        "$(refusal 10.200.0.0/20)"
    equal "an address inside a range" \
        "error: TTS_CLUSTER_NETWORK is 10.200.1.0/16, which is not the start of a /16; use 10.200.0.0/16" \
        "$(refusal 10.200.1.0/16)"
    for value in 8.0.0.0/16 172.32.0.0/16 0.0.0.0/0 10.0.0.0/7; do
        equal "TTS_CLUSTER_NETWORK=$value" "error: TTS_CLUSTER_NETWORK is $value, which is not private; it has to lie in one of ${NETWORK_POOLS[*]}" \
            "$(refusal "$value")"
    done
}

test_cgroup2_paths() {
    equal "version 2" /sys/fs/cgroup "$(cgroup2_root <<<'cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0')"
    equal "version 1" '' "$(cgroup2_root <<<'cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0')"
    equal "both versions" '' "$(cgroup2_root <<<'tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0')"
    equal "in a container" /sys/fs/cgroup "$(cgroup2_own /sys/fs/cgroup <<<'0::/')"
    equal "in a session of systemd" /sys/fs/cgroup/user.slice/session-2.scope \
        "$(cgroup2_own /sys/fs/cgroup <<<'0::/user.slice/session-2.scope')"
    equal "version 1 has no such line" '' "$(cgroup2_own /sys/fs/cgroup <<<'4:memory:/a')"
    equal "controllers to enable" "cpuset pids" "$(cgroup2_only_in 'cpuset cpu pids' 'cpu' | paste -sd' ')"
    equal "nothing to enable" '' "$(cgroup2_only_in 'cpu' 'cpu pids')"
}

# cgroup_folder PATH: plain files in place of the kernel's; what is written to them is appended
cgroup_folder() {
    rm -rf "$1"
    mkdir -p "$1"
    printf 'cpuset cpu memory\n' >"$1/cgroup.controllers"
    printf 'cpu\n' >"$1/cgroup.subtree_control"
    printf '1\n23\n' >"$1/cgroup.procs"
}

test_cgroup2_changes() {
    local root=$scratch/cgroup record=$scratch/record
    cgroup_folder "$root"
    touch "$root/cgroup.type"
    cgroup2_enable "$root" "$root" "$record"
    equal "in a container the processes move first" $'1\n23' "$(<"$root/$CGROUP2_LEAF/cgroup.procs")"
    equal "and the missing controllers are enabled" $'cpu\n+cpuset\n+memory' "$(<"$root/cgroup.subtree_control")"
    equal "what was enabled before is recorded" cpu "$(<"$record")"

    # As the kernel would show it now
    printf 'cpuset cpu memory\n' >"$root/cgroup.subtree_control"
    : >"$root/cgroup.procs"
    cgroup2_restore "$root" "$record" 2>/dev/null
    equal "only those are disabled again" $'cpuset cpu memory\n-cpuset\n-memory' "$(<"$root/cgroup.subtree_control")"
    equal "and the processes return" $'1\n23' "$(<"$root/cgroup.procs")"
    equal "the record is gone" '' "$(ls "$record" 2>/dev/null || true)"

    cgroup_folder "$root"
    cgroup2_enable "$root" "$root" "$record"
    equal "at the machine's root nothing moves" '' "$(ls -d "$root/$CGROUP2_LEAF" 2>/dev/null || true)"
    rm "$record"

    cgroup_folder "$root"
    touch "$root/cgroup.type"
    cgroup2_enable "$root" "$root/user.slice" "$record"
    equal "a process of another cgroup moves nothing" '' "$(ls -d "$root/$CGROUP2_LEAF" 2>/dev/null || true)"
}

for test in $(compgen -A function test_); do "$test"; done
say "ok: the cluster's logic ($checks comparisons)"
