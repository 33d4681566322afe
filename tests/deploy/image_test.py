"""What the images' roots hold, and that both programs serve from them as the manifests run them: not root, the root
read-only, no capability, no new privileges. The roots are made by deploy/collect.sh, the step that makes the images';
where TEST_IMAGES names a folder that deploy/image.sh has filled, they are those of its images. Serving needs root
itself, for a mount namespace."""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))
from cluster import BIN, Cluster, Process, free_port, wait_until  # noqa: E402

IMAGES = os.environ.get("TEST_IMAGES")
USER = 65532
PROGRAMS = ("rouse-proxy", "rouse-autoscaler")
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CLONE_NEWNS = 0x20000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = 41


def enter(root):
    """What a container runtime does before it runs the program."""
    libc = ctypes.CDLL(None, use_errno=True)

    def must(result, what):
        if result != 0:
            raise OSError(ctypes.get_errno(), what)

    def inside():
        path = os.fsencode(root)
        must(libc.unshare(CLONE_NEWNS), "unshare")
        must(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
        must(libc.mount(path, path, None, MS_BIND, None), "bind")
        must(libc.mount(None, path, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None), "read-only")
        os.chroot(path)
        os.chdir("/")
        for capability in range(CAPABILITIES):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    return inside


class Archive:
    """An image as an OCI archive: its configuration, and its root."""

    def __init__(self, path):
        self.tar = tarfile.open(path)
        manifest = self.json(self.read("index.json"))["manifests"][0]["digest"]
        self.manifest = self.json(self.blob(manifest))
        self.config = self.json(self.blob(self.manifest["config"]["digest"]))["config"]

    json = staticmethod(json.loads)

    def read(self, name):
        return self.tar.extractfile(name).read()

    def blob(self, digest):
        return self.read("blobs/" + digest.replace(":", "/"))

    def unpack(self, root):
        root.mkdir()
        for layer in self.manifest["layers"]:
            subprocess.run(["tar", "-xz", "-C", root], input=self.blob(layer["digest"]), check=True)


class Images(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="rouse-image-")))
        self.folder.chmod(0o755)

    def collect(self, program):
        root = self.folder / program
        if IMAGES:
            self.unpack(program, program, root)
        else:
            subprocess.run([ROOT / "deploy/collect.sh", BIN / program, root], check=True)
        return root

    def unpack(self, image, program, root):
        archive = Archive(pathlib.Path(IMAGES, f"{image}.tar"))
        self.addCleanup(archive.tar.close)
        self.assertEqual(archive.config["User"], f"{USER}:{USER}")
        self.assertEqual(archive.config["Entrypoint"], [f"/usr/bin/{program}"])
        archive.unpack(root)

    def test_there_is_the_program_and_no_other(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                root = self.collect(program)
                self.assertEqual([p.name for p in (root / "usr/bin").iterdir()], [program])
                others = [p for p in root.rglob("*") if p.is_file() and os.access(p, os.X_OK)
                          and ".so" not in p.name and p.name != program]
                self.assertEqual(others, [], "something else can be run")

    @unittest.skipUnless(IMAGES, "needs the images themselves")
    def test_the_example_answers_and_has_what_its_hook_runs(self):
        root, port = self.folder / "root", free_port()
        self.unpack("rouse-sample", "sample-hello", root)
        subprocess.run(["/usr/bin/sleep", "0"], preexec_fn=enter(root), check=True, timeout=20)
        function = Process("sample-hello", ["/usr/bin/sample-hello"], self.folder, {"PORT": str(port)})
        function.enter = enter(root)
        self.addCleanup(function.stop)
        function.start()

        def answers():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    return answer.read() == b"hello from a pod\n"
            except OSError:
                return False
        wait_until(answers, 20, "it does not answer")

    @unittest.skipUnless(subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0,
                         "needs a mount namespace, so to be root")
    def test_both_programs_serve_from_their_roots(self):
        with Cluster() as cluster:
            for process, port in ((cluster.proxy, cluster.proxy_health), (cluster.autoscaler, cluster.scaler_health)):
                process.stop()
                root = self.collect(process.name)
                shutil.copy(cluster.kubeconfig, root / "kubeconfig")
                (root / "kubeconfig").chmod(0o644)
                process.args = [f"/usr/bin/{process.name}",
                                *("/kubeconfig" if a == str(cluster.kubeconfig) else a for a in process.args[1:])]
                process.enter = enter(root)
                cluster.start(process, port)
                status = dict(line.split(":\t", 1) for line in
                              pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":\t" in line)
                self.assertEqual(set(status["Uid"].split()), {str(USER)})
                self.assertEqual(int(status["CapEff"], 16) | int(status["CapBnd"], 16), 0)
                self.assertEqual(status["NoNewPrivs"], "1")
                self.assertEqual(os.readlink(f"/proc/{process.pid}/root"), str(root))


if __name__ == "__main__":
    unittest.main(verbosity=2)
