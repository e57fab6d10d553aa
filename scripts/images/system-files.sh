#!/bin/sh
# system-files.sh PACKAGE...: runs in the Debian stage of a Containerfile and leaves in /system what an image needs of
# Debian: the files of the packages for $TARGETARCH with their copyright files, as distroless images do it.
set -eu
export DEBIAN_FRONTEND=noninteractive
target=/system
arch=${TARGETARCH:-$(dpkg --print-architecture)}

dpkg --add-architecture "$arch"
apt-get update --quiet=2
# The bundle of certificates is made by the package's installation, not contained in it.
apt-get install --quiet=2 --yes --no-install-recommends ca-certificates >/dev/null

mkdir -p "$target/var/lib/dpkg/status.d" /packages
cd /packages

# add PACKAGE: unpacks it; scanners for vulnerabilities look into status.d for names and versions
add() {
    case $1 in
    ca-certificates | tzdata) apt-get download --quiet=2 "$1" ;;
    *) apt-get download --quiet=2 "$1:$arch" ;;
    esac
    dpkg-deb --extract "$1"_*.deb "$target"
    dpkg-deb --field "$1"_*.deb >"$target/var/lib/dpkg/status.d/$1"
}

for package in "$@"; do
    add "$package"
    # The documents of some packages are a link to those of another one: of libgcc-s1 to gcc-12-base.
    documents=$(readlink "$target/usr/share/doc/$package" || true)
    if [ -n "$documents" ] && [ ! -e "$target/usr/share/doc/$documents" ]; then add "$documents"; fi
done

# Left out: character set converters and translations, for text that is UTF-8 and messages that are English; manuals,
# change logs and the single certificates out of which the bundle is made. The copyright files stay.
rm -rf "$target"/usr/lib/*/gconv "$target"/usr/lib/*/audit "$target/usr/share/locale" "$target/usr/share/man" \
    "$target/usr/share/lintian" "$target/usr/share/ca-certificates" "$target/usr/share/gcc" "$target/usr/share/gdb" \
    "$target/usr/sbin" "$target/etc/ca-certificates" "$target/etc/ld.so.conf.d"
find "$target/usr/share/doc" -mindepth 2 -maxdepth 2 ! -name copyright -exec rm -rf {} +
# The copyright files refer to these for the full texts.
cp -r /usr/share/common-licenses "$target/usr/share/"
for package in "$@"; do
    [ -s "$target/usr/share/doc/$package/copyright" ] || { echo "$package has no copyright file" >&2 && exit 1; }
done

# What of Debian is in the image, as a bill of materials (CycloneDX).
mkdir -p "$target/usr/share/doc/system"
{
    printf '{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": ['
    separator=
    for file in "$target"/var/lib/dpkg/status.d/*; do
        name=$(sed -n 's/^Package: //p' "$file")
        version=$(sed -n 's/^Version: //p' "$file")
        printf '%s\n {"type": "library", "name": "%s", "version": "%s", "purl": "pkg:deb/debian/%s@%s?arch=%s"}' \
            "$separator" "$name" "$version" "$name" "$version" "$(sed -n 's/^Architecture: //p' "$file")"
        separator=,
    done
    printf '\n]}\n'
} >"$target/usr/share/doc/system/sbom.cdx.json"

mkdir -p "$target/etc/ssl/certs"
cp /etc/ssl/certs/ca-certificates.crt "$target/etc/ssl/certs/"

# Programs ask for the name of their user and for the order of name services; both work without, with a warning.
printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$target/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$target/etc/group"
printf 'hosts: files dns\n' >"$target/etc/nsswitch.conf"
mkdir -m 1777 "$target/tmp"
