#!/usr/bin/env python3
"""A real Kubernetes cluster on this machine, with Rouse installed from deploy/. Only under lab.sh."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build/cluster"
BIN = pathlib.Path(os.environ.get("TEST_BIN", ROOT / "build/release/bin"))
sys.path.insert(0, str(ROOT / "tests/system"))

from client import Callers, Connection, quantile  # noqa: E402, F401  (what the tests use with a lab)
from cluster import Process, wait_until  # noqa: E402, F401

API = "198.19.0.1"
SYSTEM = "rouse-system"
PATHS = {"Deployment": "/apis/apps/v1", "StatefulSet": "/apis/apps/v1", "Service": "/api/v1", "Pod": "/api/v1",
         "Event": "/api/v1", "Namespace": "/api/v1", "Secret": "/api/v1",
         "EndpointSlice": "/apis/discovery.k8s.io/v1", "Lease": "/apis/coordination.k8s.io/v1",
         "HorizontalPodAutoscaler": "/apis/autoscaling/v2", "Fleet": "/apis/example.rouse.dev/v1"}


def path_of(kind, namespace=None, name=None, subresource=None):
    parts = [PATHS[kind]]
    if namespace:
        parts += ["namespaces", namespace]
    parts += [part for part in (kind.lower() + "s", name, subresource) if part]
    return "/".join(parts)


def need_lab():
    """Starts this program again under lab.sh, unless it is there."""
    if "CLUSTER_LAB" not in os.environ:
        os.execv(str(ROOT / "tests/cluster/lab.sh"), ["lab.sh", sys.executable, *sys.argv])


class Refused(Exception):
    """An answer of the API other than 2xx."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status


class Api:
    """Calls as the administrator, on one connection per thread."""

    def __init__(self, directory, authority="ca.crt"):
        self.tls = ssl.create_default_context(cafile=str(directory / authority))
        self.tls.load_cert_chain(directory / "client-kubeconfig.crt", directory / "client-kubeconfig.key")
        self.of_thread = threading.local()

    def connect(self, timeout):
        return http.client.HTTPSConnection(API, 443, context=self.tls, timeout=timeout)

    def call(self, method, path, body=None, content_type="application/json"):
        for attempt in (0, 1):
            connection = getattr(self.of_thread, "connection", None)
            if connection is None:
                connection = self.of_thread.connection = self.connect(10)
            try:
                connection.request(method, path, None if body is None else json.dumps(body),
                                   {"content-type": content_type, "accept": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.of_thread.connection = None
                if attempt:
                    raise
        if answer.status >= 300:
            raise Refused(answer.status, text)
        return json.loads(text)

    def get(self, kind, namespace, name, subresource=None):
        return self.call("GET", path_of(kind, namespace, name, subresource))

    def find(self, kind, namespace, name):
        """The object, or None where there is none."""
        try:
            return self.get(kind, namespace, name)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def items(self, kind, namespace=None, **selector):
        query = urllib.parse.urlencode({"labelSelector": ",".join(f"{k}={v}" for k, v in selector.items())})
        return self.call("GET", f"{path_of(kind, namespace)}?{query}")["items"]

    def create(self, *objects):
        for item in objects:
            wait_until(lambda: self.created(item), 20, "there is no address for a Service")

    def created(self, item):
        """False where the API server has just started, and does not know of its addresses for Services yet."""
        try:
            self.call("POST", path_of(item["kind"], item["metadata"].get("namespace")), item)
        except Refused as refused:
            if "failed to allocate a serviceIP" in str(refused):
                return False
            raise
        return True

    def patch(self, kind, namespace, name, change, subresource=None):
        return self.call("PATCH", path_of(kind, namespace, name, subresource), change,
                         "application/merge-patch+json")

    def delete(self, kind, namespace, name, **options):
        return self.call("DELETE", path_of(kind, namespace, name), options or None)


class Watch(threading.Thread):
    """Tells `seen(moment in ns, type, object)` each event of a kind, on a thread of its own."""

    def __init__(self, api, kind, namespace, seen):
        super().__init__(daemon=True)
        version = api.call("GET", path_of(kind, namespace) + "?limit=1")["metadata"]["resourceVersion"]
        self.connection = api.connect(None)
        self.connection.request("GET", f"{path_of(kind, namespace)}?watch=true&resourceVersion={version}",
                                headers={"accept": "application/json"})
        self.answer = self.connection.getresponse()
        self.seen, self.stopping = seen, False
        self.start()

    def run(self):
        try:
            while line := self.answer.readline():
                moment = time.time_ns()
                event = json.loads(line)
                self.seen(moment, event["type"], event["object"])
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            if not self.stopping:
                raise

    def stop(self):
        self.stopping = True
        self.connection.sock.shutdown(2)
        self.join(5)


def workload(name, namespace="default", kind="Deployment", annotations=None, env=None, spec=None, service=None,
             container=None):
    """An object with no replicas and its enabled Service."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {
        "terminationGracePeriodSeconds": 10, "automountServiceAccountToken": False,
        "containers": [{
            "name": "function", "image": "function:test", "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": k, "value": str(v)} for k, v in (env or {}).items()],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
            **(container or {})}],
        **(spec or {})}}
    target = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
              "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}}
    if kind == "StatefulSet":
        target["spec"]["serviceName"] = name
        annotations = {"rouse.dev/scale-target": f"statefulset/{name}", **(annotations or {})}
    return target, {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"rouse.dev/enabled": "true"},
                     "annotations": {"autoscaling.knative.dev/window": "6s", **(annotations or {})}},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
                 **(service or {})}}


class Lab:
    """Use as a context manager: `with Lab() as lab:`."""

    IMAGES = {"rouse-proxy:0.1.0": ["rouse-proxy"], "rouse-autoscaler:0.1.0": ["rouse-autoscaler"],
              "rouse-proxy:before": ["rouse-proxy"], "rouse-autoscaler:before": ["rouse-autoscaler"],
              "rouse-sample:0.1.0": ["sample-hello"], "function:test": ["function"]}

    def __init__(self, nodes=1):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="rouse-lab-"))
        self.directory.chmod(0o755)  # pods run as other users
        self.state = self.directory / "cluster"
        images = self.directory / "images"
        images.mkdir()
        for program in ("rouse-proxy", "rouse-autoscaler", "sample-hello"):
            shutil.copy(BIN / program, images)
        shutil.copy(TOOLS / "function", images)
        catalog = {name: [str(images / command[0])] for name, command in self.IMAGES.items()}
        (self.directory / "images.yaml").write_text(json.dumps(catalog))
        self.nodes, self.up, self.api = nodes, None, None

    def __enter__(self):
        self.up = subprocess.Popen(
            [TOOLS / "cluster", "up", f"--directory={self.state}", f"--images={self.directory / 'images.yaml'}",
             f"--nodes={self.nodes}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first = self.up.stdout.readline()
        if not first.startswith("ready"):
            text = first + self.up.stdout.read()
            self.__exit__()
            raise RuntimeError(f"the cluster did not start: {text}")
        self.api = Api(self.state)
        return self

    def __exit__(self, *_):
        self.up.stdin.close()
        self.up.wait(60)
        self.up.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- commands ----

    def kubectl(self, *arguments):
        return self.run(TOOLS / "kube", "kubectl", *arguments)

    def certify_reports(self):
        """The namespace, with the Secrets for reports over mutual TLS: one certificate, its own authority, for both."""
        self.kubectl("create", "namespace", SYSTEM)
        self.certify(f"rouse-autoscaler.{SYSTEM}.svc", "rouse-proxy-reports", "rouse-autoscaler-reports")

    def certify(self, name, *secrets):
        """Secrets with one certificate for the name, its own authority; what it is."""
        with tempfile.TemporaryDirectory() as directory:
            self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", f"{directory}/tls.key", "-out", f"{directory}/tls.crt", "-days", "2",
                     "-subj", "/CN=rouse", "-addext", f"subjectAltName=DNS:{name}")
            for secret in secrets:
                self.kubectl("create", "secret", "generic", secret, f"--namespace={SYSTEM}", "--type=kubernetes.io/tls",
                             f"--from-file={directory}/tls.key", f"--from-file={directory}/tls.crt",
                             f"--from-file=ca.crt={directory}/tls.crt")
            return pathlib.Path(directory, "tls.crt").read_text(encoding="ascii")

    def helm(self, *arguments):
        return self.run(TOOLS / "helm", *arguments)

    def environment(self):
        """For commands: they find kubectl, helm and the cluster, and keep their own files in the lab."""
        commands = self.directory / "commands"
        if not commands.exists():
            commands.mkdir()
            (commands / "kubectl").write_text(f'#!/bin/sh\nexec {TOOLS}/kube kubectl "$@"\n')
            (commands / "kubectl").chmod(0o755)
            (commands / "helm").symlink_to(TOOLS / "helm")
        places = {name: str(self.directory / "tools") for name in (
            "HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        return {**os.environ, **places, "PATH": f"{commands}:{os.environ['PATH']}",
                "KUBECONFIG": str(self.state / "kubeconfig"), "CLUSTER_DIRECTORY": str(self.state)}

    def run(self, *command):
        """What a command prints."""
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=150, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
        return done.stdout

    def component(self, name, action):
        subprocess.run([TOOLS / "cluster", "component", f"--directory={self.state}", name, action],
                       timeout=60, check=True)

    def signal(self, pod, signal, namespace=SYSTEM):
        subprocess.run([TOOLS / "cluster", "pod", f"--directory={self.state}", f"{namespace}/{pod}", signal],
                       timeout=60, check=True)

    @contextlib.contextmanager
    def cut_off(self, pod, namespace=SYSTEM):
        """While it lasts, this pod and the API server do not hear each other; neither is told. With the others the pod
        talks as ever."""
        pid = next(p["pid"] for p in self.processes() if p["pod"] == f"{namespace}/{pod}")
        inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-euc"]
        # What it sends goes to a link whose other end nobody listens on; what comes is dropped, as it should have come
        # from there.
        subprocess.run([*inside, f"""
            ip link add nowhere type veth peer name unheard
            ip link set unheard up
            ip link set nowhere up
            ip neigh add {API} lladdr 02:00:00:00:00:01 dev nowhere nud permanent
            echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter
            ip route add {API} dev nowhere src $(ip -4 -o address show dev eth0 | sed -E 's/.*inet ([0-9.]+).*/\\1/')
            """], timeout=10, check=True)
        try:
            yield
        finally:
            subprocess.run([*inside, "echo 0 >/proc/sys/net/ipv4/conf/eth0/rp_filter; ip link delete nowhere"],
                           timeout=10, check=True)

    def processes(self):
        done = subprocess.run([TOOLS / "cluster", "processes", f"--directory={self.state}"],
                              capture_output=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def answers(self):
        """Whether the API server does."""
        try:
            self.api.get("Namespace", None, "default")
            return True
        except (OSError, http.client.HTTPException, Refused):
            return False

    # ---- Rouse ----

    def install(self, proxies=3):
        """As an operator does; `proxies` is the one thing that is changed."""
        self.kubectl("apply", "-k", ROOT / "deploy/base")
        if proxies != 3:
            self.api.patch("Deployment", SYSTEM, "rouse-proxy", {"spec": {"replicas": proxies}}, "scale")
        self.settled("rouse-autoscaler")
        self.settled("rouse-proxy")

    def settled(self, name, namespace=SYSTEM, seconds=90):
        """Waits until a Deployment has all the replicas it wants, and no others."""
        def done():
            found = self.api.get("Deployment", namespace, name)
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            return (status.get("observedGeneration") == found["metadata"]["generation"]
                    and status.get("readyReplicas", 0) == status.get("replicas", 0) == wanted
                    and status.get("updatedReplicas", 0) == wanted)
        try:
            wait_until(done, seconds, f"{name} is not ready")
        except TimeoutError as late:
            raise RuntimeError(f"{late}\n{self.distress(namespace)}") from late

    def distress(self, namespace=SYSTEM):
        """What the cluster and its node said last."""
        events = self.kubectl("get", "events", "-n", namespace)[-3000:]
        return f"{events}\n{(self.state / 'kubelet-node-1.log').read_text()[-4000:]}"

    def logs(self, name, namespace=SYSTEM):
        return self.kubectl("logs", "-n", namespace, f"deployment/{name}", "--tail=100", "--all-pods", "--prefix")

    def pods(self, name, namespace="default"):
        """A program's or a function's pods that are not ending."""
        label = {"app.kubernetes.io/name": name} if namespace == SYSTEM else {"app": name}
        return [pod for pod in self.api.items("Pod", namespace, **label)
                if not pod["metadata"].get("deletionTimestamp")]

    def proxies(self):
        """Addresses of the proxies' pods."""
        return [pod["status"]["podIP"] for pod in self.pods("rouse-proxy", SYSTEM)]

    def leader(self):
        """The name of the leading autoscaler's pod."""
        return (self.api.find("Lease", SYSTEM, "rouse-autoscaler") or {"spec": {}})["spec"].get("holderIdentity")

    def running_leader(self, seconds=60):
        """The same, once its process runs: one that was killed leads on until it is back, or its lease is over."""
        wait_until(lambda: f"{SYSTEM}/{self.leader()}" in {process["pod"] for process in self.processes()}, seconds,
                   "no running autoscaler leads")
        return self.leader()

    @staticmethod
    def page(address):
        """The metrics of one of our pods, as text."""
        connection = http.client.HTTPConnection(address, 8081, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    @staticmethod
    def metrics(address, name, labels=""):
        """The sum of a metric's samples on a pod, of those whose labels contain `labels`."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in Lab.page(address).splitlines()
                   if line.startswith(name) and line[len(name)] in "{ " and labels in line)

    def add(self, name, namespace="default", **options):
        """Creates a workload and waits until every proxy routes it; the host to ask for."""
        self.api.create(*workload(name, namespace, **options))
        self.routed(f"{name}.{namespace}")
        return f"{name}.{namespace}"

    def routed(self, *hosts, seconds=30):
        """Waits until every proxy routes these hosts."""
        wait_until(lambda: all(self.knows(address, hosts) for address in self.proxies()), seconds,
                   f"a proxy does not know {hosts}")

    @staticmethod
    def holds(address, name, seconds=20):
        """Waits until a proxy holds a request for `namespace/name`."""
        wait_until(lambda: Lab.metrics(address, "rouse_proxy_parked_requests", name) == 1, seconds,
                   f"no request for {name} is held")

    @staticmethod
    def knows(address, hosts):
        text = Lab.page(address)
        return all('workload="{1}/{0}"'.format(*host.split(".")[:2]) in text for host in hosts)

    def quiet(self, *names, ours=True, seconds=60):
        """Waits until nothing is left to be done for Deployments that are new: their controller has seen them, and
        every autoscaler has read their counts, in the version at which they rest (unless they are not `ours`)."""
        def done():
            seen = {item["metadata"]["name"] for item in self.api.items("Deployment", "default")
                    if item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]}
            if not seen.issuperset(names):
                return False
            return not ours or all(self.has_read(pod["status"]["podIP"], names)
                                   for pod in self.pods("rouse-autoscaler", SYSTEM))
        wait_until(done, seconds, f"not all of {names} have been seen")

    def has_read(self, autoscaler, names):
        lines = set(self.page(autoscaler).splitlines())
        return "rouse_autoscaler_settling_targets 0" in lines and all(
            f'rouse_autoscaler_spec_replicas{{workload="default/{name}"}} 0' in lines for name in names)

    def replicas(self, name, namespace="default", kind="Deployment"):
        return self.api.get(kind, namespace, name)["spec"].get("replicas", 0)

    def asleep(self, name, namespace="default", kind="Deployment"):
        return self.replicas(name, namespace, kind) == 0 and not self.api.items("Pod", namespace, app=name)


class Outside:
    """A proxy as a process outside of the cluster, whose credentials lie in files: `token`, or `certificate` and `key`;
    `ca`. Use as a context manager."""

    NAMES = {"token": "tokenFile", "certificate": "client-certificate", "key": "client-key"}

    def __init__(self, lab, address, ca=None, **files):
        self.address, self.directory = address, lab.directory / address
        self.directory.mkdir()
        for name, text in {"ca": ca or (lab.state / "ca.crt").read_text(), **files}.items():
            self.write(name, text)
        user = {self.NAMES[name]: str(self.directory / name) for name in files}
        (self.directory / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {
                "server": f"https://{API}", "certificate-authority": str(self.directory / "ca")}}],
            "users": [{"name": "it", "user": user}]}))
        self.process = Process("proxy", [
            BIN / "rouse-proxy", "--kubeconfig", self.directory / "kubeconfig", "--listen", f"{address}:8080",
            "--health", f"{address}:8081", "--admin", f"{address}:9901"], self.directory)

    def write(self, name, text):
        """Replaces a file as the kubelet does: by another one."""
        (self.directory / "new").write_text(text)
        (self.directory / "new").rename(self.directory / name)

    def refused(self):
        """Waits until a call to the API has failed."""
        wait_until(lambda: Lab.metrics(self.address, "rouse_proxy_watch_failures_total") > 0, 20, self.process.tail())

    def knows(self, host, seconds):
        wait_until(lambda: Lab.knows(self.address, [host]), seconds, f"no {host}: {self.process.tail()}")

    def __enter__(self):
        self.process.start()

        def listens():
            try:
                return Lab.page(self.address)
            except OSError:
                return False
        wait_until(listens, 20, "no metrics")
        return self

    def __exit__(self, *_):
        self.process.stop()


def shell():
    """A shell with kubectl and helm, for trying things; the cluster ends with it."""
    with Lab() as lab:
        lab.install()
        print(f"proxies: {' '.join(f'http://{address}:8080' for address in lab.proxies())}")
        subprocess.run([os.environ.get("SHELL", "sh")], check=False, env=lab.environment())


if __name__ == "__main__":
    need_lab()
    shell()
