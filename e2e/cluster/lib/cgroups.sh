# shellcheck shell=bash
# The kubelet gets a cgroup of its own, so that pods of two clusters, or of a kubelet of the host, do not meet.

cgroup_name() { printf 'tts-operator-%s-%s\n' "$CLONE_ID" "$1"; }

# cgroup_hierarchies: the mount points of version 2, of version 1's controllers, or (hybrid) of both
cgroup_hierarchies() { awk '$3 ~ /^cgroup2?$/ && !seen[$2]++ { print $2 }' /proc/mounts; }

create_cgroups() {
    local hierarchy
    for hierarchy in $(cgroup_hierarchies); do
        mkdir -p "$hierarchy/$(cgroup_name "$1")" 2>/dev/null || warn "could not make a cgroup in $hierarchy"
    done
}

# remove_cgroups NAME: after the last process has ended; a cgroup is removed from its leaves up
remove_cgroups() {
    local hierarchy cgroup
    for hierarchy in $(cgroup_hierarchies); do
        cgroup=$hierarchy/$(cgroup_name "$1")
        [[ ! -d $cgroup ]] || find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
}
