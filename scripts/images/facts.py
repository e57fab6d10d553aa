"""facts.py ARCHIVE: prints the digest of the image in an OCI archive and the size of its unpacked layers in bytes."""

import gzip
import json
import sys
import tarfile


def blob(archive: tarfile.TarFile, digest: str):
    return archive.extractfile("blobs/" + digest.replace(":", "/"))


def unpacked_size(layer) -> int:
    """What the files of a layer take, without the padding of the tar format."""
    magic = layer.read(2)
    layer.seek(0)
    stream = gzip.open(layer) if magic == b"\x1f\x8b" else layer
    with tarfile.open(fileobj=stream, mode="r|") as files:
        return sum(file.size for file in files if file.isreg())


def oci_image(archive: tarfile.TarFile) -> tuple[str, list]:
    """The manifest's digest and the layers."""
    index = json.load(archive.extractfile("index.json"))
    descriptor = index["manifests"][0]
    manifest = json.load(blob(archive, descriptor["digest"]))
    while "manifests" in manifest:  # an index of platforms: the archive holds one
        descriptor = manifest["manifests"][0]
        manifest = json.load(blob(archive, descriptor["digest"]))
    return descriptor["digest"], [blob(archive, layer["digest"]) for layer in manifest["layers"]]


def docker_image(archive: tarfile.TarFile) -> tuple[str, list]:
    """`docker save` before Docker 25: there is no manifest yet, so the digest is that of the configuration (the image ID)."""
    (image,) = json.load(archive.extractfile("manifest.json"))
    config = image["Config"].removeprefix("blobs/sha256/").removesuffix(".json")
    return f"sha256:{config}", [archive.extractfile(layer) for layer in image["Layers"]]


def main() -> None:
    with tarfile.open(sys.argv[1]) as archive:
        names = archive.getnames()
        if "index.json" in names:
            digest, layers = oci_image(archive)
        elif "manifest.json" in names:
            digest, layers = docker_image(archive)
        else:
            sys.exit(f"error: {sys.argv[1]} has neither index.json nor manifest.json: it is no archive of an image")
        size = sum(unpacked_size(layer) for layer in layers)
    print(digest, size)


main()
