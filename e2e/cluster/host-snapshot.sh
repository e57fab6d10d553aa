#!/usr/bin/env bash
# host-snapshot.sh NAME...: what throwaway clusters of these names could leave on the host, one fact per line. Two
# snapshots, before and after, have to be equal. Other clusters may start and stop meanwhile: what is theirs is left out.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../scripts/lib.sh"

section() { sed "s|^|$1: |"; }

# of_other_clusters NAME...: the interface and the cgroup of each cluster that is not meant, of this clone or another one
of_other_clusters() {
    local settings name
    for settings in "$CACHE"/cluster/*/*/settings; do
        for name in "$@"; do
            [[ $settings != "$CLUSTERS/$name/settings" ]] || continue 2
        done
        sed -n 's/^INTERFACE=//p; s|^CGROUP=/||p' "$settings" 2>/dev/null || true
    done
}

facts() {
    ip -oneline link show | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort | section link
    ip -oneline address show | awk '{ print $2, $4 }' | sort | section address
    for family in -4 -6; do ip "$family" route show table all | sort | section route; done
    ip rule show | section rule
    ip netns list | section netns
    awk '{ print $2, $3 }' /proc/mounts | sort | section mount
    # Values that the kernel changes by itself are no settings.
    {
        sysctl --all --pattern '^(vm\.overcommit|kernel\.(panic|keys|pid_max)|fs\.inotify|net\.)' 2>/dev/null || true
    } | grep -vE '^net\.(netfilter\.nf_conntrack_count|ipv4\.tcp_mem|ipv4\.udp_mem)' | sort | section sysctl
    find /sys/fs/cgroup -maxdepth 3 -type d \( -name 'kubepods*' -o -name 'tts-operator*' \) | sort | section cgroup
    { cat /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true; } | section cgroup-controllers
    if have nft; then nft --stateless list ruleset | section nft; fi
    processes "$@" | sort | section process
    files | sort | section file
}

# processes NAME...: every program of a cluster is told its folder
processes() {
    local name process
    for name in "$@"; do
        for process in /proc/[0-9]*; do
            if grep --quiet "$CLUSTERS/$name/" "$process/cmdline" 2>/dev/null; then
                tr '\0' ' ' <"$process/cmdline" && echo
            fi
        done
    done
}

# files: the folders at fixed paths that Kubernetes, containerd and CNI write to in full, of their parents the names
files() {
    find /opt /var/lib /var/log /run /etc -mindepth 1 -maxdepth 1 2>/dev/null |
        grep -E '^/(opt|var/lib)/|cni|contain|kube|netns|pods' || true
    find /opt/{cni,containerd,nri} /var/lib/{cni,containerd,kubelet} /run/netns 2>/dev/null || true
}

mapfile -t others < <(of_other_clusters "$@")
facts "$@" | if ((${#others[@]} > 0)); then grep -vF "$(printf '%s\n' "${others[@]}")"; else cat; fi
