"""The scripts that read archives of images, on small archives of each layout: what Docker before 25 writes, and OCI."""

import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

IMAGES = pathlib.Path(__file__).parent.parent / "images"


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


LAYER = tar({"bin/program": b"x" * 1234})
CONFIG = b"{}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def docker_archive() -> bytes:
    manifest = [{"Config": f"{digest(CONFIG)}.json", "RepoTags": ["localhost/a:dev"], "Layers": ["1/layer.tar"]}]
    return tar(
        {
            f"{digest(CONFIG)}.json": CONFIG,
            "1/layer.tar": LAYER,
            "manifest.json": json.dumps(manifest).encode(),
            "repositories": b"{}",
        }
    )


def oci_archive() -> tuple[bytes, str]:
    manifest = json.dumps({"layers": [{"digest": f"sha256:{digest(LAYER)}"}]}).encode()
    index = {"manifests": [{"digest": f"sha256:{digest(manifest)}"}]}
    files = {f"blobs/sha256/{digest(content)}": content for content in (LAYER, manifest)}
    return tar(files | {"index.json": json.dumps(index).encode()}), digest(manifest)


class Archives(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_script(self, name: str, archive: bytes, *arguments: str) -> subprocess.CompletedProcess:
        path = self.folder / "image.tar"
        path.write_bytes(archive)
        command = [sys.executable, str(IMAGES / name), str(path), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def test_facts_of_an_old_docker_archive(self) -> None:
        self.assertEqual(self.run_script("facts.py", docker_archive()).stdout, f"sha256:{digest(CONFIG)} 1234\n")

    def test_facts_of_an_oci_archive(self) -> None:
        archive, manifest = oci_archive()
        self.assertEqual(self.run_script("facts.py", archive).stdout, f"sha256:{manifest} 1234\n")

    def test_a_new_name_is_in_each_layout(self) -> None:
        target = self.folder / "renamed.tar"
        for archive, member in ((docker_archive(), "manifest.json"), (oci_archive()[0], "index.json")):
            done = self.run_script("retag.py", archive, "localhost/a:new", str(target))
            self.assertEqual(done.returncode, 0, done.stderr)
            with tarfile.open(target) as renamed:
                self.assertIn("localhost/a:new", renamed.extractfile(member).read().decode())
                self.assertNotIn("repositories", renamed.getnames())

    def test_what_is_no_image_is_refused(self) -> None:
        for script, arguments in (("facts.py", ()), ("retag.py", ("localhost/a:new", str(self.folder / "out.tar")))):
            done = self.run_script(script, tar({"file": b""}), *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn("it is no archive of an image", done.stderr)


unittest.main()
