# shellcheck shell=bash
# The network of an instance. Inside: a bridge with the API server's address, pods and services. Of the host only one
# veth pair and two routes appear.

# Sixteen instances fit. The ranges are private ones that neither Kubernetes nor Docker take by default.
network_pods() { printf '10.213.%d.0/24\n' "$1"; }
network_services() { printf '10.214.%d.0/20\n' "$(($1 * 16))"; }
network_link() { printf '10.215.%d.0/30\n' "$1"; }

network_api_address() { printf '10.213.%d.1\n' "$1"; }
network_first_service() { printf '10.214.%d.1\n' "$(($1 * 16))"; }
network_dns_service() { printf '10.214.%d.10\n' "$(($1 * 16))"; }

network_interface_host() { printf 'tts%dhost\n' "$1"; }
network_interface_inside() { printf 'tts%dnode\n' "$1"; }

# free_network: the first number whose ranges the host does not route yet
free_network() {
    local number
    for number in {0..15}; do
        if ! is_routed "$(network_pods "$number")" && ! is_routed "$(network_services "$number")" &&
            ! is_routed "$(network_link "$number")"; then
            printf '%s\n' "$number"
            return
        fi
    done
    fail "no free network for a cluster: the host already routes all of 10.213.0.0/20, 10.214.0.0/16 and 10.215.0.0/20" \
        "stop clusters that run: e2e/cluster/cluster.sh down --all"
}

# is_routed PREFIX: whether a route other than the default one overlaps it
is_routed() {
    { ip -4 route show match "$1" | grep -v '^default' || ip -4 route show root "$1"; } | grep -q .
}

# connect_host NUMBER INIT_PID
connect_host() {
    local number=$1 init=$2 outside inside
    outside=$(network_interface_host "$number")
    inside=$(network_interface_inside "$number")
    ip link add "$outside" type veth peer name "$inside" netns "$init"
    ip address add "10.215.$number.1/30" dev "$outside"
    ip link set "$outside" up
    nsenter --target "$init" --net ip address add "10.215.$number.2/30" dev "$inside"
    nsenter --target "$init" --net ip link set "$inside" up
    ip route add "$(network_pods "$number")" via "10.215.$number.2"
    ip route add "$(network_services "$number")" via "10.215.$number.2"
}

# disconnect_host NUMBER: the routes go with the interface
disconnect_host() {
    ip link delete "$(network_interface_host "$1")" 2>/dev/null || true
}
