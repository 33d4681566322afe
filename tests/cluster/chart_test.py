"""The chart, rendered: beside what kustomize makes of the base, and with values. No cluster is needed."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from lab import ROOT, SYSTEM, TOOLS


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


class Chart(unittest.TestCase):
    PLACE = ("rouse", ROOT / "deploy/chart", f"--namespace={SYSTEM}")

    def render(self, *values):
        return self.keyed(run(TOOLS / "helm", "template", *self.PLACE, *values))

    @staticmethod
    def keyed(text):
        return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(text) if item}

    def test_it_renders_what_the_base_has(self):
        base = self.keyed(run(TOOLS / "kube", "kubectl", "kustomize", ROOT / "deploy/base"))
        del base["Namespace", SYSTEM]  # made by --create-namespace
        self.maxDiff = None
        self.assertEqual(self.render(), base)

    def test_https_is_what_the_components_make_of_the_base(self):
        with tempfile.TemporaryDirectory(dir=ROOT / "deploy") as overlay:
            lines = ["resources: [../base]", "components:"]
            lines += [f"- ../components/{name}" for name in ("https", "https-clients", "https-redirect")]
            (Path(overlay) / "kustomization.yaml").write_text("\n".join(lines) + "\n", encoding="ascii")
            made = self.keyed(run(TOOLS / "kube", "kubectl", "kustomize", overlay))
        del made["Namespace", SYSTEM]
        self.maxDiff = None
        self.assertEqual(self.render("--set", "proxy.https.enabled=true,proxy.https.redirect=true",
                                     "--set", "proxy.https.clientAuth=required",
                                     "--set", "proxy.https.clientCaSecretName=rouse-proxy-clients"), made)

    def test_a_wrong_value_is_refused_by_its_name(self):
        for wrong, told in (("proxy.replicas=none", "replicas"), ("proxy.replica=2", "'replica' not allowed"),
                            ("autoscaler.extraArgs={tick=1s}", "extraArgs/0"),
                            ("proxy.https.clientAuth=maybe", "clientAuth"), ("proxy.https.secretName=", "secretName"),
                            ("proxy.https.clientAuth=required", "clientCaSecretName")):
            with self.assertRaisesRegex(RuntimeError, f"(?s)specifications of the schema.*{told}"):
                self.render("--set", wrong)

    def test_values_reach_the_objects(self):
        objects = self.render("--set", "proxy.drainTimeout=300,proxy.holdTimeout=120,serviceMonitor.enabled=true",
                              "--set", "proxy.extraArgs={--shards=2},networkPolicy.enabled=false",
                              "--set", "proxy.image.repository=example.com/p,proxy.image.tag=v9,proxy.tolerations[0].key=x")
        pod = objects["Deployment", "rouse-proxy"]["spec"]["template"]["spec"]
        self.assertEqual(pod["terminationGracePeriodSeconds"], 5 + 120 + 300 + 5)
        self.assertIn("--shards=2", pod["containers"][0]["args"])
        self.assertEqual(pod["containers"][0]["image"], "example.com/p:v9")
        self.assertEqual(pod["tolerations"], [{"key": "x"}])
        self.assertIn(("ServiceMonitor", "rouse"), objects)
        self.assertNotIn(("NetworkPolicy", "rouse-proxy"), objects)
