"""What Knative's own binaries need to run outside a cluster: objects for the activator, variables for queue-proxy."""

import os
import subprocess

from kube_stub import KubeStub

SYSTEM = "knative-serving"
AUTOSCALER_ADDRESS, AUTOSCALER_PORT = "127.0.0.1", 8080  # the port is fixed in the activator
ACTIVATOR_PORT = 8012  # fixed too: networking.BackendHTTPPort

LOGGING = {"zap-logger-config": '{"level": "error", "encoding": "json", "outputPaths": ["stderr"], '
                                '"errorOutputPaths": ["stderr"]}'}
OBSERVABILITY = {"metrics-protocol": "none", "tracing-protocol": "none", "runtime-profiling": "disabled"}


def activator_stub(revisions):
    """An API in which each of `revisions` (name: port) has one ready pod on 127.0.0.1."""
    stub = KubeStub()

    def config(name, data):
        stub.put("configmaps", {"metadata": {"namespace": SYSTEM, "name": name}, "data": data})

    config("config-network", {"ingress-class": "none", "mesh-compatibility-mode": "disabled"})
    config("config-logging", LOGGING)
    config("config-observability", OBSERVABILITY)
    for name, port in revisions.items():
        labels = {"serving.knative.dev/revision": name, "serving.knative.dev/revisionUID": name,
                  "serving.knative.dev/service": name, "serving.knative.dev/configuration": name}
        stub.put("revisions", {
            "metadata": {"namespace": "bench", "name": name, "labels": labels},
            "spec": {"containerConcurrency": 0, "timeoutSeconds": 300, "containers": [{"image": "echo"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "actualReplicas": 1}})
        for kind in ("Public", "Private"):
            meta = {"namespace": "bench", "name": name if kind == "Public" else f"{name}-private",
                    "labels": {**labels, "networking.internal.knative.dev/serverlessservice": name,
                               "networking.internal.knative.dev/serviceType": kind}}
            ports = [{"name": "http", "port": port}]
            stub.put("services", {"metadata": meta, "spec": {"clusterIP": "127.0.0.1", "ports": ports}})
            stub.put("endpoints", {"metadata": meta, "subsets": [
                {"addresses": [{"ip": "127.0.0.1"}], "ports": ports}]})
    return stub


def activator_env(stub, directory):
    return {"KUBECONFIG": str(stub.kubeconfig(directory / f"activator-{stub.port}.kubeconfig")),
            "POD_NAME": "activator", "POD_IP": "127.0.0.1", "SYSTEM_NAMESPACE": SYSTEM,
            "CONFIG_LOGGING_NAME": "config-logging", "CONFIG_OBSERVABILITY_NAME": "config-observability",
            "HOSTNAME": "activator"}


def activator_command(binary, directory):
    """The autoscaler's name must resolve, and only files do: the hosts file is replaced for this process alone."""
    hosts = directory / "hosts"
    name = f"autoscaler.{SYSTEM}.svc.cluster.local"
    hosts.write_text(f"127.0.0.1 localhost\n{AUTOSCALER_ADDRESS} {name}\n")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && exec "{binary}"']


def can_replace_hosts():
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def queue_env(port, user_port):
    return {"CONTAINER_CONCURRENCY": "0", "QUEUE_SERVING_PORT": str(port), "QUEUE_SERVING_TLS_PORT": "8112",
            "USER_PORT": str(user_port), "REVISION_TIMEOUT_SECONDS": "300", "SERVING_LOGGING_CONFIG": "",
            "SERVING_LOGGING_LEVEL": "error", "SERVING_NAMESPACE": "bench", "SERVING_CONFIGURATION": "echo",
            "SERVING_REVISION": "echo", "SERVING_POD": "echo", "SERVING_POD_IP": "127.0.0.1",
            "SERVING_SERVICE": "echo", "SYSTEM_NAMESPACE": SYSTEM,
            "SERVING_READINESS_PROBE": '{"tcpSocket":{"host":"127.0.0.1","port":%d},"successThreshold":1}' % user_port,
            "OBSERVABILITY_CONFIG": '{"metrics":{"protocol":"none"},"tracing":{"protocol":"none"},'
                                    '"runtime":{"profiling":"disabled"},"requestMetrics":{"protocol":"none"}}'}
