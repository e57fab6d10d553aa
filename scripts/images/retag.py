"""retag.py ARCHIVE REFERENCE NEW_ARCHIVE: copies the archive of one image under another name.

An OCI archive has the name in annotations of index.json, an archive of `docker save` in manifest.json; newer versions of
Docker write both. Blobs are copied as they are, so the image keeps its digest.
"""

import io
import json
import sys
import tarfile

# What containerd and Podman look for, in this order.
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def renamed(member: str, content: bytes, reference: str) -> bytes:
    data = json.loads(content)
    if member == "index.json":
        for manifest in data["manifests"]:
            annotations = manifest.setdefault("annotations", {})
            for annotation in NAME_ANNOTATIONS:
                annotations[annotation] = reference
    else:
        for image in data:
            image["RepoTags"] = [reference]
    return json.dumps(data).encode()


def retag(source: str, reference: str, target: str) -> None:
    found = False
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            # The other names of the image, in the oldest layout.
            if member.name == "repositories":
                continue
            content = old.extractfile(member) if member.isreg() else None
            if content and member.name in ("index.json", "manifest.json"):
                data = renamed(member.name, content.read(), reference)
                member.size = len(data)
                content = io.BytesIO(data)
                found = True
            new.addfile(member, content)
    if not found:
        sys.exit(f"error: {source} has neither index.json nor manifest.json: it is no archive of an image")


if __name__ == "__main__":
    retag(*sys.argv[1:])
