# shellcheck shell=bash
# The network of an instance: one /19 that holds Services, pods, and the link to the host. Inside there is a bridge with
# the API server's address; the host gets one veth pair and two routes.

# Searched in this order, each from its upper end, which container engines and home routers rarely use.
NETWORK_POOLS=(10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10)
NETWORK_BITS=19
# Some VPNs write the default route as 0.0.0.0/1 and 128.0.0.0/1, or in eighths. A more specific route wins over those.
NETWORK_DEFAULT_BITS=8

network_services() { printf '%s/20\n' "$(network_address "$1" 0)"; }
network_first_service() { network_address "$1" 1; }
network_dns_service() { network_address "$1" 10; }
network_pods() { printf '%s/24\n' "$(network_address "$1" 4096)"; }
network_api_address() { network_address "$1" 4097; }
network_link_host() { network_address "$1" 4353; }
network_link_inside() { network_address "$1" 4354; }

# The names follow from the network, so that they are as unique as it is.
network_interface_host() { printf 'tts%06xhost\n' "$(($(ip_number "${1%/*}") >> 8))"; }
network_interface_inside() { printf 'tts%06xnode\n' "$(($(ip_number "${1%/*}") >> 8))"; }

# network_address NETWORK OFFSET
network_address() { ip_text "$(($(ip_number "${1%/*}") + $2))"; }

ip_number() {
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    printf '%d\n' "$(((10#$a << 24) + (10#$b << 16) + (10#$c << 8) + 10#$d))"
}

ip_text() { printf '%d.%d.%d.%d\n' "$(($1 >> 24))" "$(($1 >> 16 & 255))" "$(($1 >> 8 & 255))" "$(($1 & 255))"; }

# free_network: a network that no route of this machine covers
free_network() {
    local pools=("${NETWORK_POOLS[@]}") shortest=$NETWORK_DEFAULT_BITS found in_the_way
    if [[ -n ${TTS_CLUSTER_NETWORK:-} ]]; then
        pools=("$TTS_CLUSTER_NETWORK")
        # Whoever names a part of a routed range means it: only routes of this size or smaller count.
        shortest=${TTS_CLUSTER_NETWORK#*/}
    fi
    if found=$(ip -4 route show table all | find_network "$shortest" "${pools[@]}"); then
        printf '%s\n' "$found"
        return
    fi
    mapfile -t in_the_way <<<"$found"
    fail "no network is free for a cluster in ${pools[*]}. These routes are in the way:" "${in_the_way[@]/#/- }" \
        "Stop clusters that you do not need (e2e/cluster/cluster.sh status), or set TTS_CLUSTER_NETWORK to a private" \
        "range of /$NETWORK_BITS or larger that this machine does not have to reach, for example 10.200.0.0/16"
}

# find_network SHORTEST POOL...: reads the output of `ip -4 route` and prints the first free /19 of the pools; fails and
# prints the routes in the way, one per line, when there is none. Routes with a prefix shorter than SHORTEST do not count.
find_network() {
    local shortest=$1
    shift
    awk -v size="$((1 << (32 - NETWORK_BITS)))" -v shortest="$shortest" -v pools="$*" '
        function number(text, part) { split(text, part, "."); return ((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4] }
        function text(n) { return int(n / 16777216) "." int(n / 65536) % 256 "." int(n / 256) % 256 "." n % 256 }
        # blocking(START): the largest route that overlaps the network at START, or 0
        function blocking(start, route, best) {
            for (route = 1; route <= routes; route++)
                if (first[route] < start + size && last[route] >= start && (!best || bits[route] < bits[best])) best = route
            return best
        }
        {
            at = $1 ~ /^[0-9]/ || $1 == "default" ? 1 : 2
            if ($at !~ /^[0-9]/) next
            length_ = split($at, prefix, "/") == 2 ? prefix[2] : 32
            if (length_ < shortest) next
            routes++
            bits[routes] = length_
            first[routes] = number(prefix[1])
            last[routes] = first[routes] + 2 ^ (32 - length_) - 1
            name[routes] = $at (at == 2 ? " (" $1 ")" : "")
            for (i = at; i < NF; i++) if ($i == "dev") name[routes] = $at " (interface " $(i + 1) ")"
        }
        END {
            count = split(pools, pool, " ")
            for (p = 1; p <= count; p++) {
                split(pool[p], prefix, "/")
                bottom = number(prefix[1])
                start = bottom + 2 ^ (32 - prefix[2]) - size
                while (start >= bottom) {
                    route = blocking(start)
                    if (!route) { print text(start) "/" 32 - log(size) / log(2); exit 0 }
                    if (!seen[route]++) in_the_way[++found] = name[route]
                    # On below the route, or below this network when the route lies inside it.
                    below = first[route] - first[route] % size
                    start = (below < start ? below : start) - size
                }
            }
            for (i = 1; i <= found; i++) print in_the_way[i]
            exit 1
        }'
}

# check_cluster_network: TTS_CLUSTER_NETWORK is unset, or a private range that is large enough
check_cluster_network() {
    local value=${TTS_CLUSTER_NETWORK:-} octet='([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])' bits first pool
    [[ -n $value ]] || return 0
    [[ $value =~ ^($octet\.){3}$octet/([0-9]|[12][0-9]|3[0-2])$ ]] ||
        fail "TTS_CLUSTER_NETWORK is '$value'; it has to be an IPv4 range such as 172.30.0.0/16"
    bits=${value#*/}
    ((bits <= NETWORK_BITS)) ||
        fail "TTS_CLUSTER_NETWORK is $value, which is too small; a cluster needs a /$NETWORK_BITS or larger"
    first=$(($(ip_number "${value%/*}") >> (32 - bits) << (32 - bits)))
    [[ $(ip_text "$first") == "${value%/*}" ]] ||
        fail "TTS_CLUSTER_NETWORK is $value, which is not the start of a /$bits; use $(ip_text "$first")/$bits"
    for pool in "${NETWORK_POOLS[@]}"; do
        if ((bits >= ${pool#*/})) &&
            (($(ip_number "${pool%/*}") == first >> (32 - ${pool#*/}) << (32 - ${pool#*/}))); then return; fi
    done
    fail "TTS_CLUSTER_NETWORK is $value, which is not private; it has to lie in one of ${NETWORK_POOLS[*]}"
}

# connect_host NETWORK INIT_PID
connect_host() {
    local network=$1 init=$2 outside inside gateway
    outside=$(network_interface_host "$network")
    inside=$(network_interface_inside "$network")
    gateway=$(network_link_inside "$network")
    ip link add "$outside" type veth peer name "$inside" netns "$init"
    ip address add "$(network_link_host "$network")/30" dev "$outside"
    ip link set "$outside" up
    nsenter --target "$init" --net ip address add "$gateway/30" dev "$inside"
    nsenter --target "$init" --net ip link set "$inside" up
    ip route add "$(network_pods "$network")" via "$gateway"
    ip route add "$(network_services "$network")" via "$gateway"
}

# disconnect_host INTERFACE: the routes go with the interface
disconnect_host() {
    ip link delete "$1" 2>/dev/null || true
}
