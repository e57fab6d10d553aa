"""image_contents.py NAME ARCHIVE: the bill of materials and the licences in the image NAME are complete.

The crates are compared with `cargo tree`, which is another way to ask than the one that wrote them.
"""

import io
import json
import subprocess
import sys
import tarfile


def files_of(archive: str) -> dict[str, bytes]:
    """The files below usr/share/doc of all layers, by path."""
    found = {}
    with tarfile.open(archive) as image:
        for member in image:
            if not member.isfile():
                continue
            try:
                layer = tarfile.open(fileobj=io.BytesIO(image.extractfile(member).read()))
            except tarfile.ReadError:
                continue  # a manifest or a configuration
            for file in layer:
                if file.isfile() and "usr/share/doc/" in file.name:
                    found[file.name.removeprefix("./").lstrip("/")] = layer.extractfile(file).read()
    return found


def linked_crates(package: str) -> set[str]:
    command = ["cargo", "tree", "--locked", "--package", package, "--edges=normal", "--prefix=none", "--format={p}"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    # `name v1.2.3`, for our own crates with their path, `(*)` for one that is listed already, `(proc-macro)`
    crates = {line.removesuffix(" (*)").removesuffix(" (proc-macro)") for line in lines if line and "(/" not in line}
    return {crate.replace(" v", " ") for crate in crates}


def main() -> None:
    name, archive = sys.argv[1:]
    files = files_of(archive)
    bill = json.loads(files[f"usr/share/doc/{name}/sbom.cdx.json"])
    listed = {f"{component['name']} {component['version']}" for component in bill["components"]}
    linked = linked_crates(name)
    if len(linked) < 50:
        sys.exit(f"error: cargo tree names {len(linked)} crates only: its output has changed")
    notices = files[f"usr/share/doc/{name}/THIRD-PARTY-NOTICES"].decode()
    missing = sorted(crate for crate in linked if crate not in listed or f"\n{crate}: " not in notices)
    if missing:
        sys.exit(f"error: the image {name} does not name these crates: {', '.join(missing)}")
    system = json.loads(files["usr/share/doc/system/sbom.cdx.json"])
    packages = {component["name"] for component in system["components"]}
    if not {"libc6", "ca-certificates"} <= packages or not all(component["version"] for component in system["components"]):
        sys.exit(f"error: the image {name} names these packages of Debian only: {sorted(packages)}")
    if name == "tts-server" and not any(component["name"] == "onnxruntime" for component in bill["components"]):
        sys.exit("error: the image tts-server does not name ONNX Runtime")
    print(f"ok: {name} names {len(linked)} crates and {len(packages)} packages of Debian, with their licences")


main()
