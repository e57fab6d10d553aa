# shellcheck shell=bash
# Debian packages, each with the file or command it is wanted for: what came another way counts as well.

# package_is_there NAME
package_is_there() {
    case $1 in
    containernetworking-plugins) [[ -x /usr/lib/cni/bridge ]] ;;
    libc6-dev) [[ -f /usr/include/stdlib.h ]] ;;
    python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
    binutils) have objdump ;;
    gcc) have cc ;;
    iproute2) have ip ;;
    nftables) have nft ;;
    procps) have pgrep ;;
    util-linux) have unshare && have nsenter ;;
    *) have "$1" ;;
    esac
}

# require_packages NAME...: installs the missing ones, unless that is declined. No version is named: Debian's mirrors keep
# only the newest of a release, and nothing here depends on one.
require_packages() {
    local name missing=()
    for name in "$@"; do
        package_is_there "$name" || missing+=("$name")
    done
    ((${#missing[@]} > 0)) || return 0
    have apt-get || fail "missing: ${missing[*]} (Debian's names), and there is no apt-get to install them with" \
        "install them with this system's package manager, then run this again"
    apt_is_allowed "${missing[@]}"
    with_progress "Packages ${missing[*]} (up to a minute)" apt_install "${missing[@]}"
    for name in "${missing[@]}"; do
        package_is_there "$name" || fail "the package $name is installed, and what it is wanted for is not there"
    done
}

# apt_is_allowed NAME...: says what would be installed; a person at a terminal is asked, TTS_APT=yes or no answers
apt_is_allowed() {
    local by_hand="install them yourself: sudo apt-get install --no-install-recommends $*" answer=${TTS_APT:-}
    say "Missing Debian packages: $*. They are installed with apt-get; no package is removed. TTS_APT=no declines."
    if [[ -z $answer && -t 0 && -t 2 ]]; then
        read -r -p "Install them now? [Y/n] " answer || answer=no
    fi
    case ${answer,,} in
    '' | y | yes) ;;
    n | no) fail "declined to install: $*" "$by_hand" ;;
    *) fail "TTS_APT is '$answer'; it is yes or no" ;;
    esac
    ((EUID == 0)) || have sudo || fail "missing packages: $*; apt-get needs root, and there is no sudo here" "$by_hand"
    "$REPO/scripts/as-root.sh" --check "Installing packages"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt_get update --quiet=2 && apt_get install --quiet=2 --yes --no-install-recommends --no-remove "$@"
}

apt_get() { "$REPO/scripts/as-root.sh" apt-get "$@"; }

any_builder_works() { (choose_builder) 2>/dev/null; }

provide_pip() { require_packages python3-pip; }

# promtool_path: checks alerts and metrics; Debian's package would start a Prometheus as well, so it is only unpacked
promtool_path() { printf '%s/tools/promtool/promtool\n' "$CACHE"; }

install_promtool() {
    [[ -x $(promtool_path) ]] && return
    have apt-get || { warn "no promtool: there is no apt-get to fetch Debian's with" && return; }
    with_progress "promtool out of Debian's package prometheus (19 MB)" \
        install_folder "$(dirname "$(promtool_path)")" unpack_promtool
}

unpack_promtool() {
    local target=$1 scratch status=0
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    (
        cd "$scratch" &&
            { apt-get download --quiet=2 prometheus || { apt_get update --quiet=2 && apt-get download --quiet=2 prometheus; }; } &&
            dpkg-deb --extract prometheus_*.deb . && mv usr/bin/promtool "$target/"
    ) || status=$?
    rm -rf "$scratch"
    return $status
}
