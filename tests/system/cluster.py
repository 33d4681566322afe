"""rouse-local, rouse-autoscaler and rouse-proxy on free ports of this machine, for tests."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TEST_BIN", ROOT / "build/release/bin"))
START_WITHIN_SECONDS = 20
TURN_SECONDS = 0.01


_given = set()


def free_port():
    """One that the kernel gives to no connection, so that it is still free when a program listens there."""
    lowest, tries = 10_000, 1_000
    below = max(32_768, int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    for port in random.sample(range(lowest, below), tries):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
    raise RuntimeError(f"of {tries} ports between {lowest} and {below} none is free")


def wait_until(condition, seconds, what, turn=TURN_SECONDS):
    """Polls `condition` until it is true; raises after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {what}")
        time.sleep(turn)


def workload(name, command=("sample-hello",), env=None, annotations=None, grace=10, container=None,
             namespace="default"):
    """A Deployment with no replicas and its enabled Service, as API objects."""
    labels = {"app": name}
    body = {"name": "function", "image": "sample", "command": list(command),
            "env": [{"name": k, "value": str(v)} for k, v in (env or {}).items()],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}
    body.update(container or {})
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels},
                              "spec": {"terminationGracePeriodSeconds": grace, "containers": [body]}}}}
    service = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"rouse.dev/enabled": "true"},
                     "annotations": {"autoscaling.knative.dev/window": "6s", **(annotations or {})}},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
    return deployment, service


class Process:
    """One program with its log."""

    def __init__(self, name, args, directory, env=None):
        self.name, self.args, self.env = name, [str(a) for a in args], env
        self.enter = None  # called in the child before its program runs
        self.log = directory / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.args, stdout=log, stderr=log, env=self.env,
                                            stdin=subprocess.DEVNULL, preexec_fn=self.enter)
        return self

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=15):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def pin(self, cpu):
        """All threads on one CPU."""
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpu})

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


class Cluster:
    """Use as a context manager: `with Cluster() as cluster:`."""

    def __init__(self, proxy_flags=(), autoscaler_flags=("--scale-to-zero-grace", "2s"), shards=1, token=""):
        """With a `token` the API asks for it, and both programs get it from a credential plugin."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="rouse-system-"))
        self.kubeconfig = self.directory / "kubeconfig"
        self.token = token
        self.api_port, self.proxy_port, self.report_port = free_port(), free_port(), free_port()
        self.proxy_health, self.proxy_admin = free_port(), free_port()
        self.scaler_health, self.scaler_admin = free_port(), free_port()
        client = self.plugin_kubeconfig() if token else self.kubeconfig
        env = {**os.environ, "PATH": f"{BIN}:{ROOT}/deploy/samples:{os.environ['PATH']}"}
        self.local = Process("rouse-local", [
            BIN / "rouse-local", "serve", "--port", self.api_port, "--data-dir", self.directory / "local",
            "--kubeconfig-out", self.kubeconfig, *(("--token", token) if token else ())], self.directory, env)
        self.autoscaler = Process("rouse-autoscaler", [
            BIN / "rouse-autoscaler", "--kubeconfig", client,
            "--listen", f"127.0.0.1:{self.report_port}", "--health", f"127.0.0.1:{self.scaler_health}",
            "--admin", f"127.0.0.1:{self.scaler_admin}", "--intake-auth", "none", *autoscaler_flags],
            self.directory)
        self.proxy = Process("rouse-proxy", [
            BIN / "rouse-proxy", "--kubeconfig", client, "--listen", f"127.0.0.1:{self.proxy_port}",
            "--health", f"127.0.0.1:{self.proxy_health}", "--admin", f"127.0.0.1:{self.proxy_admin}",
            "--autoscalers", f"127.0.0.1:{self.report_port}", "--allow-endpoint-cidr", "127.0.0.0/8",
            "--shards", shards,
            "--connections-per-client-max", 0,  # all of a test's callers have one address
            *proxy_flags], self.directory)

    def plugin_kubeconfig(self):
        """A plugin that counts its runs in `runs`, beside a kubeconfig that names it."""
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                      "status": {"token": self.token}}
        (self.directory / "credential").write_text(json.dumps(credential))
        plugin = self.directory / "plugin"
        plugin.write_text('#!/bin/sh\ncd "$(dirname "$0")"\necho run >>runs\ncat credential\n')
        plugin.chmod(0o755)
        path = self.directory / "plugin-kubeconfig"
        user = {"exec": {"apiVersion": credential["apiVersion"], "command": "./plugin", "interactiveMode": "Never"}}
        path.write_text(json.dumps({
            "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{self.api_port}"}}],
            "users": [{"name": "x", "user": user}]}))
        return path

    def __enter__(self):
        try:
            self.start(self.local, self.api_port)
            self.start(self.autoscaler, self.scaler_health)
            self.start(self.proxy, self.proxy_health)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.proxy, self.autoscaler, self.local):
            process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, process, health_port):
        process.start()

        def ready():
            if process.process.poll() is not None:
                raise RuntimeError(f"{process.name} ended:\n{process.tail()}")
            return self.status(health_port, "/readyz") == 200
        try:
            wait_until(ready, START_WITHIN_SECONDS, f"{process.name} is not ready")
        except TimeoutError as late:
            raise RuntimeError(f"{late}\n{process.tail()}") from late

    def restart(self, process, health_port):
        process.kill()
        self.start(process, health_port)

    @staticmethod
    def status(port, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    # ---- the API ----

    def call(self, method, path, body=None, content_type="application/json"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": content_type, "authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def apply(self, deployment, service):
        ns = deployment["metadata"]["namespace"]
        self.call("POST", f"/apis/apps/v1/namespaces/{ns}/deployments", deployment)
        self.call("POST", f"/api/v1/namespaces/{ns}/services", service)

    def routed(self, names, seconds=10):
        """Waits until the proxy routes all of these workloads."""
        def known():
            with urllib.request.urlopen(f"http://127.0.0.1:{self.proxy_admin}/workloads", timeout=5) as answer:
                text = answer.read().decode()
            return all(f'"default/{name}"' in text for name in names)
        wait_until(known, seconds, f"the proxy does not know {names}")

    def scale(self, name, replicas, namespace="default"):
        self.call("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
                  {"spec": {"replicas": replicas}}, "application/merge-patch+json")

    def deployment(self, name, namespace="default"):
        return self.call("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")

    def pods(self, name=None, namespace="default"):
        pods = self.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return [p for p in pods if name is None or p["metadata"].get("labels", {}).get("app") == name]

    def asleep(self, name):
        return self.deployment(name)["spec"].get("replicas", 0) == 0 and not self.pods(name)

    def faults(self, body):
        return self.call("POST", "/rouse.local/faults", body)

    def metric(self, name, labels="", port=None):
        """The sum of a metric's samples whose labels contain `labels`; the proxy's, unless by `port` another's."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.proxy_health}/metrics", timeout=5) as answer:
            total = 0.0
            for line in answer.read().decode().splitlines():
                if line.startswith(name) and line[len(name)] in "{ " and labels in line:
                    total += float(line.rsplit(" ", 1)[1])
            return total
