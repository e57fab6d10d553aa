# shellcheck shell=bash
# The kubelet gets a cgroup of its own, so that pods of two clusters, or of a kubelet of the host, do not meet.

CGROUP2_RECORD=$CACHE/cluster/.cgroup-controllers

cgroup_name() { printf 'tts-operator-%s-%s\n' "$CLONE_ID" "$1"; }

# cgroup_hierarchies: the mount points of version 2, of version 1's controllers, or (hybrid) of both
cgroup_hierarchies() { awk '$3 ~ /^cgroup2?$/ && !seen[$2]++ { print $2 }' /proc/mounts; }

create_cgroups() {
    local hierarchy root
    root=$(cgroup2_root </proc/mounts)
    [[ -z $root ]] || cgroup2_enable "$root" "$(cgroup2_own "$root" </proc/self/cgroup)" "$CGROUP2_RECORD"
    for hierarchy in $(cgroup_hierarchies); do
        mkdir -p "$hierarchy/$(cgroup_name "$1")" 2>/dev/null || warn "could not create a cgroup in $hierarchy"
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

# release_cgroups: with the last cluster of this machine, what create_cgroups changed outside the cgroups of clusters
release_cgroups() {
    local root
    root=$(cgroup2_root </proc/mounts)
    if [[ -n $root && -z $(compgen -G "$CACHE/cluster/*/*/settings") ]]; then
        cgroup2_restore "$root" "$CGROUP2_RECORD"
    fi
}
