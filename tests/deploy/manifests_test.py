#!/usr/bin/env python3
"""What deploy/ promises, checked without a cluster: tests/cluster applies the same files to a real one."""

import json
import os
import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy/base"
CHART = ROOT / "deploy/chart"
BIN = pathlib.Path(os.environ.get("TEST_BIN", ROOT / "build/release/bin"))


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def objects():
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [item for name in names for item in yaml.safe_load_all((BASE / name).read_text())]


def deployment(name):
    return next(item for item in objects() if (item["kind"], item["metadata"]["name"]) == ("Deployment", name))


def pod(name):
    return deployment(name)["spec"]["template"]["spec"]


def arguments(name):
    return dict(argument[2:].split("=", 1) for argument in pod(name)["containers"][0]["args"])


def default_of(page, option):
    """A row of deploy/docs/options.md or annotations.md, which are compared with the programs."""
    name, _, section = page.partition("#")
    text = (ROOT / "deploy/docs" / name).read_text().split(f"\n## {section}\n", 1)[-1]
    for line in text.splitlines():
        if line.startswith(f"| `{option}` |"):
            return [cell.strip(" `") for cell in line.split("|")[1:-1]]
    raise AssertionError(f"{option} is not in deploy/docs/{page}")


class Base(unittest.TestCase):
    def test_a_proxy_has_the_time_that_its_drain_may_take(self):
        given = arguments("rouse-proxy")
        hold = seconds(default_of("annotations.md", "rouse.dev/hold-timeout")[2])
        self.assertEqual(pod("rouse-proxy")["terminationGracePeriodSeconds"],
                         seconds(given["drain-delay"]) + hold + seconds(given["drain-timeout"]) + 5)

    def test_an_autoscaler_has_the_time_that_its_drain_may_take(self):
        self.assertEqual(pod("rouse-autoscaler")["terminationGracePeriodSeconds"],
                         seconds(arguments("rouse-autoscaler")["drain-timeout"]) + 5)

    def test_every_option_is_one_of_its_program(self):
        for name in ("rouse-proxy", "rouse-autoscaler"):
            known = subprocess.run([BIN / name, "--help"], capture_output=True, text=True, check=True).stdout
            for option in arguments(name):
                self.assertRegex(known, rf"--{re.escape(option)}\b", f"{name} --{option}")

    def test_what_components_add_are_options_and_places_that_exist(self):
        named = {(item["kind"], item["metadata"]["name"]): item for item in objects()}
        components = sorted((ROOT / "deploy/components").glob("*/kustomization.yaml"))
        patches = [patch for file in components for patch in yaml.safe_load(file.read_text()).get("patches", [])]
        self.assertGreater(len(patches), 4)
        for patch in patches:
            kind, name = patch["target"]["kind"], patch["target"]["name"].strip("^$")
            for change in yaml.safe_load(patch["patch"]):
                *place, last = change["path"].removeprefix("/").split("/")
                if "args" in place:
                    known = subprocess.run([BIN / name, "--help"], capture_output=True, text=True, check=True).stdout
                    self.assertRegex(known, rf"{re.escape(change['value'].split('=')[0])}\b", name)
                parent = named[kind, name]
                for step in place:
                    parent = parent[int(step) if step.isdigit() else step]
                # "-" goes behind what there is; a list of its own must not replace one.
                self.assertTrue(last == "-" or last not in parent, change["path"])

    def test_the_https_component_listens_where_the_service_and_the_policy_lead(self):
        added = {}
        for patch in yaml.safe_load((ROOT / "deploy/components/https/kustomization.yaml").read_text())["patches"]:
            for change in yaml.safe_load(patch["patch"]):
                added.setdefault((patch["target"]["kind"], change["path"].split("/")[-2]), []).append(change["value"])
        (port,) = added["Deployment", "ports"]
        self.assertIn(f"--listen-tls=[::]:{port['containerPort']}", added["Deployment", "args"])
        self.assertEqual(added["Service", "ports"][0]["targetPort"], port["name"])
        self.assertEqual(added["NetworkPolicy", "ports"], [{"port": port["name"]}])
        (mount,), (volume,) = added["Deployment", "volumeMounts"], added["Deployment", "volumes"]
        self.assertEqual(mount["name"], volume["name"])
        self.assertIn("--tls-certificates={0}/tls.crt:{0}/tls.key".format(mount["mountPath"]), added["Deployment", "args"])
        redirect = (ROOT / "deploy/components/https-redirect/kustomization.yaml").read_text()
        self.assertIn(f"--https-redirect={added['Service', 'ports'][0]['port']}", redirect)

    def test_every_listener_takes_both_families(self):
        for file in sorted((ROOT / "deploy").rglob("*.yaml")):
            if "samples" not in file.parts and "examples" not in file.parts:
                self.assertFalse("0.0.0.0" in file.read_text(), file)

    def test_pods_are_locked_down(self):
        for name in ("rouse-proxy", "rouse-autoscaler"):
            spec = pod(name)
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertNotEqual(spec["securityContext"]["runAsUser"], 0)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in spec["containers"]:
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]}})
                self.assertIn("memory", container["resources"]["limits"])
                self.assertTrue({"readinessProbe", "livenessProbe"} <= container.keys())

    def test_only_the_autoscaler_writes_scale_and_only_scale_and_its_lease(self):
        writes = {}
        for item in objects():
            if item["kind"] not in ("ClusterRole", "Role"):
                continue
            for rule in item["rules"]:
                self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"])
                for verb in set(rule["verbs"]) - {"get", "list", "watch"}:
                    for resource in rule["resources"]:
                        writes.setdefault(item["metadata"]["name"].split("-")[1], set()).add((verb, resource))
        self.assertEqual(writes["proxy"], {("create", "events")})
        self.assertEqual(writes["autoscaler"], {
            ("create", "events"), ("create", "tokenreviews"), ("create", "leases"), ("update", "leases"),
            ("patch", "deployments/scale"), ("patch", "statefulsets/scale")})

    def test_no_secret_can_be_read_unless_a_namespace_is_named(self):
        readable = [item["metadata"]["name"] for item in objects() if item["kind"] in ("ClusterRole", "Role")
                    for rule in item["rules"] if "secrets" in rule["resources"]]
        self.assertEqual(readable, [])

    def test_reports_go_where_they_are_taken(self):
        self.assertEqual(arguments("rouse-proxy")["autoscaler-service"], "$(POD_NAMESPACE)/rouse-autoscaler")
        token = pod("rouse-proxy")["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
        audience = arguments("rouse-autoscaler").get("intake-audience",
                                                     default_of("options.md#rouse-autoscaler", "intake-audience")[2])
        self.assertEqual(token["audience"], audience)
        mount = pod("rouse-proxy")["containers"][0]["volumeMounts"][0]["mountPath"]
        self.assertEqual(arguments("rouse-proxy")["autoscaler-token-file"], f"{mount}/{token['path']}")

    def test_proxies_find_each_other_and_nobody_else_reaches_their_ports(self):
        given, peers = arguments("rouse-proxy"), next(
            item for item in objects() if item["metadata"]["name"] == "rouse-proxy-peers")
        self.assertEqual(given["proxy-service"], "$(POD_NAMESPACE)/rouse-proxy-peers")
        self.assertEqual(given["proxy-address"], "$(POD_IP)")
        self.assertEqual(peers["spec"]["clusterIP"], "None")
        self.assertNotIn("publishNotReadyAddresses", peers["spec"])  # only a ready proxy can be home
        container = {port["name"]: port["containerPort"] for port in pod("rouse-proxy")["containers"][0]["ports"]}
        for port in peers["spec"]["ports"]:
            default = default_of("options.md#rouse-proxy", f"{port['name']}-listen")[2]
            self.assertEqual(container[port["targetPort"]], int(default.rsplit(":", 1)[1]))
        policy = next(item for item in objects()
                      if (item["kind"], item["metadata"]["name"]) == ("NetworkPolicy", "rouse-proxy"))
        for rule in policy["spec"]["ingress"]:
            if {port["port"] for port in rule["ports"]} & {"internal", "hand-over"}:
                self.assertEqual(rule["from"], [{"podSelector": {"matchLabels": {
                    "app.kubernetes.io/name": "rouse-proxy"}}}])

    def test_each_program_keeps_a_replica_through_a_disruption(self):
        budgets = {item["metadata"]["name"]: item["spec"] for item in objects()
                   if item["kind"] == "PodDisruptionBudget"}
        for name in ("rouse-proxy", "rouse-autoscaler"):
            self.assertGreater(deployment(name)["spec"]["replicas"], budgets[name]["maxUnavailable"])


class Chart(unittest.TestCase):
    def test_versions_are_one(self):
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        for name in ("rouse-proxy", "rouse-autoscaler"):
            said = subprocess.run([BIN / name, "--version"], capture_output=True, text=True, check=True).stdout
            self.assertIn(version, said)
            self.assertEqual(pod(name)["containers"][0]["image"], f"{name}:{version}")

    def test_the_schema_knows_every_value_and_nothing_else(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def same(values, described, where):
            if "$ref" in described:
                described = schema["definitions"][described["$ref"].rsplit("/", 1)[1]]
            if described.get("additionalProperties") is not False:
                return
            self.assertEqual(set(values), set(described["properties"]) - {"global"}, where)
            for key, value in values.items():
                if isinstance(value, dict):
                    same(value, described["properties"][key], f"{where}.{key}")
        same(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "values")


if __name__ == "__main__":
    unittest.main()
