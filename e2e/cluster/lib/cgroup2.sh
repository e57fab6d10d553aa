# shellcheck shell=bash
# cgroup version 2. The kubelet needs the controllers enabled in the root cgroup that it sees. Below the machine's real
# root a cgroup either holds processes or enables controllers. In a container the root that is visible holds the
# container's processes, so they move to a leaf first, as in kind and k3s. The change is recorded and undone.

CGROUP2_LEAF=tts-operator-init

# cgroup2_root < /proc/mounts: the mount point of version 2 where the kubelet looks for it; empty with version 1 or both
cgroup2_root() { awk '$2 == "/sys/fs/cgroup" { type = $3 } END { if (type == "cgroup2") print "/sys/fs/cgroup" }'; }

# cgroup2_own ROOT < /proc/self/cgroup: the folder of this process's cgroup
cgroup2_own() { awk -v root="$1" '/^0::\// { path = root substr($0, 4); sub(/\/$/, "", path); print path }'; }

# cgroup2_only_in FIRST SECOND: the words of the first list that are not in the second
cgroup2_only_in() {
    local word
    for word in $1; do
        [[ " $2 " == *" $word "* ]] || printf '%s\n' "$word"
    done
}

# cgroup2_enable ROOT OWN RECORD: all available controllers, for the cgroups below the root
cgroup2_enable() {
    local root=$1 own=$2 record=$3 controller
    [[ -f $record ]] || cp "$root/cgroup.subtree_control" "$record"
    # Only the machine's real root lacks cgroup.type; it may hold processes and enable controllers.
    if [[ $own == "$root" && -e $root/cgroup.type ]]; then
        mkdir -p "$root/$CGROUP2_LEAF"
        cgroup2_move "$root" "$root/$CGROUP2_LEAF"
    fi
    for controller in $(cgroup2_only_in "$(<"$root/cgroup.controllers")" "$(<"$root/cgroup.subtree_control")"); do
        printf '+%s\n' "$controller" 2>/dev/null >>"$root/cgroup.subtree_control" ||
            warn "could not enable the cgroup controller $controller in $root"
    done
}

# cgroup2_restore ROOT RECORD
cgroup2_restore() {
    local root=$1 record=$2 controller
    [[ -f $record ]] || return 0
    for controller in $(cgroup2_only_in "$(<"$root/cgroup.subtree_control")" "$(<"$record")"); do
        printf -- '-%s\n' "$controller" 2>/dev/null >>"$root/cgroup.subtree_control" ||
            warn "the cgroup controller $controller stays enabled in $root: something else uses it"
    done
    if [[ -d $root/$CGROUP2_LEAF ]]; then
        cgroup2_move "$root/$CGROUP2_LEAF" "$root"
        rmdir "$root/$CGROUP2_LEAF" || warn "the cgroup $root/$CGROUP2_LEAF is still in use"
    fi
    rm "$record"
}

# cgroup2_move FROM TO: processes that ended meanwhile, and those of the kernel, cannot be moved
cgroup2_move() {
    local process
    while read -r process; do
        { printf '%s\n' "$process" >>"$2/cgroup.procs"; } 2>/dev/null || true
    done <"$1/cgroup.procs"
}
