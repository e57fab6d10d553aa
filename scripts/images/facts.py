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


def main() -> None:
    with tarfile.open(sys.argv[1]) as archive:
        index = json.load(archive.extractfile("index.json"))
        descriptor = index["manifests"][0]
        manifest = json.load(blob(archive, descriptor["digest"]))
        while "manifests" in manifest:  # an index of platforms: the archive holds one
            descriptor = manifest["manifests"][0]
            manifest = json.load(blob(archive, descriptor["digest"]))
        size = sum(unpacked_size(blob(archive, layer["digest"])) for layer in manifest["layers"])
    print(descriptor["digest"], size)


main()
