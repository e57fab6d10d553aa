# shellcheck shell=bash
# The C library that the programs are compiled against: they run in the images, so it may not be newer than the base's.

host_glibc() { getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2; }

# is_newer A B: whether version A is newer than B
is_newer() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | tail -n 1) == "$1" ]]; }

# build_way HOST_GLIBC BASE_GLIBC: host, or zig where the host's C library is newer than the base's. TTS_BUILD_WITH names
# one of the two.
build_way() {
    case ${TTS_BUILD_WITH:-} in
    host | zig) printf '%s\n' "$TTS_BUILD_WITH" ;;
    '') if [[ -n $1 && -n $2 ]] && is_newer "$1" "$2"; then printf 'zig\n'; else printf 'host\n'; fi ;;
    *) fail "TTS_BUILD_WITH is '$TTS_BUILD_WITH'; it is host or zig" ;;
    esac
}

# highest_glibc BINARY: the newest version of glibc that it asks for
highest_glibc() { objdump -T "$1" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -Vu | tail -n 1; }

# check_glibc BINARY
check_glibc() {
    local available needed
    available=$(base_glibc)
    [[ -n $available ]] && have objdump || return 0
    needed=$(highest_glibc "$1")
    ! is_newer "$needed" "$available" ||
        fail "$1 needs glibc $needed, and $BASE_IMAGE has $available" "build it with: TTS_BUILD_WITH=zig make build"
}
