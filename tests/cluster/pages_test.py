#!/usr/bin/env python3
"""The commands of deploy/docs as an operator types them: all of a page, in its order, in a shell at the project's root, on
a cluster that has no Rouse yet. Started by run.sh."""

import asyncio
import contextlib
import re
import subprocess
import unittest
import urllib.request

from lab import ROOT, SYSTEM, Callers, Lab, Refused, wait_until

PAGES = ("install", "upgrade", "uninstall", "troubleshooting")
COMMAND = re.compile(r"^ {4,}(\S.*)$|`((?:kubectl|helm|curl|docker|ctr|minikube|deploy/\w+\.sh)\b[^`]*)`", re.MULTILINE)
# What a lab has not. Every other command is run.
ABSENT = {
    "deploy/image.sh": "the lab's nodes take programs for images",
    "docker build": "the same", "docker load": "the same", "ctr images import": "the same",
    "minikube image load": "the same",
    "kubectl -n rouse-system create secret tls rouse-proxy-tls --cert=tls.crt --key=tls.key":
        "the certificate is the operator's own; cluster_test.py has one",
    "deploy/quickstart.sh": "for a machine without a cluster",
}


def text_of(page):
    return (ROOT / "deploy/docs" / f"{page}.md").read_text()


def commands(page):
    """All that a page says to run: its blocks, and what stands between backticks in its text."""
    return [re.sub(r"\s+", " ", block or inline) for block, inline in COMMAND.findall(text_of(page))]


def steps(page, helm=False):
    """The same without what is absent, by kustomize alone or, where the page has a Helm command, with it instead."""
    found = [command for command in commands(page) if command not in ABSENT]
    ours = [command for command in found if not command.startswith("helm ")]
    if not helm:
        return ours
    (by_helm,) = [command for command in found if command.startswith("helm ")]
    return [by_helm if "-k deploy/base" in command else command for command in ours]


class Operator:
    """A shell's user. `said` has what each command printed."""

    def __init__(self, lab):
        self.lab, self.said, self.forwards = lab, {}, []

    def types(self, *lines):
        for line in lines:
            if "port-forward" in line:
                self.forward(line)
                continue
            done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=self.lab.environment(), capture_output=True,
                                  text=True, timeout=240, check=False)
            assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}{self.lab.distress()}"
            self.said[line] = done.stdout

    def forward(self, line):
        """Until it says that it does; it goes on until the operator leaves."""
        self.forwards.append(subprocess.Popen(["bash", "-c", f"exec {line.rstrip(' &')}"], cwd=ROOT,
                                              env=self.lab.environment(), stdout=subprocess.PIPE, text=True))
        first = self.forwards[-1].stdout.readline()
        assert first.startswith("Forwarding from 127.0.0.1:"), f"$ {line}\n{first}"

    def leaves(self):
        for forward in self.forwards:
            forward.kill()
            forward.wait()
            forward.stdout.close()
        self.forwards.clear()


@contextlib.contextmanager
def operated():
    with Lab() as lab, contextlib.ExitStack() as stack:
        operator = Operator(lab)
        stack.callback(operator.leaves)
        yield lab, operator


class Pages(unittest.TestCase):
    def test_what_is_left_out_is_in_a_page(self):
        self.assertLessEqual(ABSENT.keys(), {command for page in PAGES for command in commands(page)})

    def test_all_by_kustomize(self):
        self.whole_life(helm=False)

    def test_all_by_helm(self):
        self.whole_life(helm=True)

    def whole_life(self, helm):
        with operated() as (lab, operator):
            self.installs(lab, operator, helm)
            operator.leaves()
            self.upgrades(lab, operator, helm)
            self.uninstalls(lab, operator, helm)

    def installs(self, lab, operator, helm):
        operator.types(*steps("install", helm))
        (curl,) = [line for line in operator.said if line.startswith("curl ")]
        self.assertEqual(operator.said[curl], "hello from a pod\n")
        self.assertEqual(len(lab.pods("rouse-proxy", SYSTEM)), 3)
        self.assertEqual(len(lab.pods("rouse-autoscaler", SYSTEM)), 2)

    def upgrades(self, lab, operator, helm):
        """From images of another name, under load by the Service's address, and back to them."""
        *ours, undo = steps("upgrade", helm)
        self.assertIn("rollout undo", undo)
        names = ("rouse-proxy", "rouse-autoscaler")
        for name in names:
            lab.kubectl("set", "image", "-n", SYSTEM, f"deployment/{name}", f"{name}={name}:before")
            lab.settled(name)
        address = lab.api.get("Service", SYSTEM, "rouse-proxy")["spec"]["clusterIP"]

        async def under_load():
            async with Callers(80, "greeter.default", 4, address=address, pause=0.01) as callers:
                await asyncio.to_thread(operator.types, *ours)
                self.assertEqual(self.images(lab, names), {f"{name}:0.1.0" for name in names})
            return callers
        callers = asyncio.run(under_load())
        self.assertEqual(callers.failures, [], (lab.state / "service-proxy.log").read_text())
        self.assertGreater(callers.done, 100)
        operator.types(undo)
        for name in names:
            lab.settled(name)
        self.assertEqual(self.images(lab, names), {f"{name}:before" for name in names})

    @staticmethod
    def images(lab, names):
        return {container["image"] for name in names for pod in lab.pods(name, SYSTEM)
                for container in pod["spec"]["containers"]}

    def uninstalls(self, lab, operator, helm):
        wait_until(lambda: lab.replicas("greeter") == 0, 120, "the application does not sleep")
        wake, *ours = steps("uninstall", helm)
        operator.types(wake)
        wait_until(lambda: lab.replicas("greeter") == 1, 30, "the application is not woken")
        lab.settled("greeter", "default")
        before = lab.api.get("Deployment", "default", "greeter")
        pods = {pod["metadata"]["uid"] for pod in lab.pods("greeter")}
        operator.types(*ours)
        wait_until(lambda: not lab.api.items("Pod", SYSTEM), 120, "the pods of Rouse do not go")
        after = lab.api.get("Deployment", "default", "greeter")
        self.assertEqual(after["spec"], before["spec"])
        self.assertNotIn("finalizers", after["metadata"])
        self.assertEqual({pod["metadata"]["uid"] for pod in lab.pods("greeter")}, pods)
        self.assertEqual(lab.kubectl("get", "all,roles,rolebindings,poddisruptionbudgets,networkpolicies,serviceaccounts",
                                     "--all-namespaces", "-l", "app.kubernetes.io/part-of=rouse", "-o", "name"), "")
        self.assertEqual(lab.kubectl("get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=rouse",
                                     "-o", "name"), "")
        if not helm:
            with self.assertRaises(Refused):
                lab.api.get("Namespace", None, SYSTEM)

    def test_troubleshooting(self):
        with operated() as (lab, operator):
            lab.install(1)
            operator.types(*steps("troubleshooting"))
            pages = set(re.findall(r"`(/(?:workloads|decisions))`", text_of("troubleshooting")))
            self.assertEqual(pages, {"/workloads", "/decisions"})
            for port, path in ((9901, "/"), (9901, "/workloads"), (9902, "/workloads"), (9902, "/decisions")):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    self.assertEqual(answer.status, 200)
