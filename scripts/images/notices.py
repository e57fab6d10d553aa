"""notices.py PACKAGE ARCH FOLDER [COMPONENT=VERSION=LICENCE=PURL...]: what is inside a program.

Writes into FOLDER
  sbom.cdx.json         the crates compiled into PACKAGE, Rust's standard library and the other components (CycloneDX 1.5)
  THIRD-PARTY-NOTICES   the licence texts of the same crates, each text once
Both are the same for the same Cargo.lock and toolchain. cargo-about and cargo-cyclonedx do this too; each takes minutes to
compile, and what we need of them is this page.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).parent.parent.parent
TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def shipped_crates(package: str, arch: str) -> list[dict]:
    """The crates from registries that are linked into the package: normal dependencies, not those of builds and tests."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={TRIPLES[arch]}"]
    metadata = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
    packages = {crate["id"]: crate for crate in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    pending = [crate["id"] for crate in metadata["packages"] if crate["name"] == package and crate["source"] is None]
    if not pending:
        sys.exit(f"error: the workspace has no package {package}")
    seen = set()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        for dependency in nodes[node]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                pending.append(dependency["pkg"])
    crates = [packages[node] for node in seen if packages[node]["source"]]
    return sorted(crates, key=lambda crate: (crate["name"], crate["version"]))


def licence_texts(crate: dict) -> list[str]:
    folder = pathlib.Path(crate["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and LICENCE_FILE.match(path.name))
    return [path.read_text(errors="replace").strip() for path in files if path.suffix not in (".rs", ".py")]


def own_data_texts(package: str) -> list[tuple[str, str]]:
    """The licences of data that is compiled into our own programs."""
    if package != "tts-server":
        return []
    listed = subprocess.run(["git", "ls-files", "inference-server"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    paths = [REPOSITORY / line for line in listed.stdout.splitlines()]
    return [
        (str(path.relative_to(REPOSITORY)), path.read_text(errors="replace").strip())
        for path in paths
        if LICENCE_FILE.match(path.name) and path.suffix in ("", ".txt", ".md")
    ]


def rust_version() -> str:
    return subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]


def notices(package: str, crates: list[dict]) -> str:
    users: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    lines = [f"Third-party software in {package}", ""]
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        lines.append(f"{name}: {crate['license'] or 'see its licence file'}  {crate['repository'] or ''}".rstrip())
        for text in licence_texts(crate):
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            texts.setdefault(key, text)
            users.setdefault(key, []).append(name)
    lines.append(f"Rust's standard library {rust_version()}: MIT OR Apache-2.0  https://github.com/rust-lang/rust")
    sections = [(", ".join(names), texts[key]) for key, names in users.items()]
    sections += own_data_texts(package)
    for title, text in sorted(sections):
        lines += ["", "-" * 80, title, "", text]
    return "\n".join(lines) + "\n"


def component(name: str, version: str, licence: str | None, purl: str) -> dict:
    entry = {"type": "library", "name": name, "version": version, "purl": purl}
    if licence:
        entry["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    return entry


def sbom(package: str, crates: list[dict], others: list[str]) -> dict:
    components = [
        component(crate["name"], crate["version"], crate["license"], f"pkg:cargo/{crate['name']}@{crate['version']}")
        for crate in crates
    ]
    components.append(component("rust-std", rust_version(), "MIT OR Apache-2.0", f"pkg:generic/rust-std@{rust_version()}"))
    components += [component(*other.split("=", 3)) for other in others]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": package}},
        "components": components,
    }


def main() -> None:
    package, arch, folder, *others = sys.argv[1:]
    target = pathlib.Path(folder)
    crates = shipped_crates(package, arch)
    (target / "sbom.cdx.json").write_text(json.dumps(sbom(package, crates, others), indent=1) + "\n")
    (target / "THIRD-PARTY-NOTICES").write_text(notices(package, crates))


main()
