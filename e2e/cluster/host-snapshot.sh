#!/usr/bin/env bash
# host-snapshot.sh NAME...: what throwaway clusters of these names could leave on a host, one thing a line. Two of these,
# before and after, have to be the same. Other clusters may run meanwhile: what is inside them does not count.
set -euo pipefail

section() { sed "s|^|$1: |"; }

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
find /sys/fs/cgroup -maxdepth 2 -type d \( -name 'kubepods*' -o -name 'tts-operator-*' \) | sort | section cgroup
if command -v nft >/dev/null; then nft list tables 2>/dev/null | section nft; fi
# Every program of a cluster is told its folder.
for name in "$@"; do
    for process in /proc/[0-9]*; do
        if grep --quiet "/tts-operator/cluster/[0-9a-f]*/$name/" "$process/cmdline" 2>/dev/null; then
            tr '\0' ' ' <"$process/cmdline" && echo
        fi
    done
done | sort | section process
for folder in /run /var/lib /var/log /etc; do
    find "$folder" -maxdepth 1 -mindepth 1 \( -name '*cni*' -o -name '*contain*' -o -name '*kube*' -o -name 'netns' -o -name 'pods' \) | sort
done | section file
