"""How rouse-proxy is started: plain, or as a case wants it to differ.

Keys: workloads (how many are in the table), limit (requests in flight per pod), access_log (its form),
kube (a KubeStub in place of fixed workloads), flags (any further ones), under (a tool that runs it), env.
"""

from processes import free_port

ALIKE = {"flags": {"forward-fields": "x-forwarded-for"}}  # as nginx and HAProxy in peers.py


def static_config(path, origin, workloads, limit):
    """The first workload takes what no other route does."""
    lines = ["workloads:",
             f'- {{name: bench/echo, endpoints: ["127.0.0.1:{origin}"], concurrency_limit: {limit}}}']
    lines += [f'- {{name: bench/fn-{i}, endpoints: ["127.0.0.1:{origin}"]}}' for i in range(1, workloads)]
    lines += ["routes:", '- {host: "*", path: /, workload: bench/echo}']
    lines += [f"- {{host: fn-{i}.bench, path: /, workload: bench/fn-{i}}}" for i in range(1, workloads)]
    path.write_text("\n".join(lines) + "\n")
    return path


def rouse_command(world, name, port, health, how):
    directory = world.options.base / "bin" if name == "rouse_base" else world.options.bin
    command = [directory / "rouse-proxy", "--listen", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{health}",
               "--admin", f"127.0.0.1:{free_port()}", "--shards", "1",
               "--access-log", how.get("access_log", "off"), "--log-level", "warn"]
    if "kube" in how:
        stub = how["kube"]
        config = stub.kubeconfig(world.directory / f"{name}.kubeconfig")
        command += ["--kubeconfig", config, "--allow-endpoint-cidr", "127.0.0.0/8",
                    "--autoscalers", stub.address]
    else:
        command += ["--config", static_config(world.directory / f"{name}.yaml", world.origin.port,
                                              how.get("workloads", 1), how.get("limit", 0))]
    flags = dict(how.get("flags", {}))
    flags.setdefault("connections-per-client-max", 0)  # all of a load's connections have one address
    flags.setdefault("keep-alive-timeout", "10m")
    for flag, value in flags.items():
        if value is not None:
            command += [f"--{flag}", value]
    return command


def service(name):
    return {"metadata": {"namespace": "bench", "name": name, "labels": {"rouse.dev/enabled": "true"}},
            "spec": {"selector": {"app": name}, "clusterIP": "127.0.0.1",
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def endpoint_slice(name, port, ready):
    """A slice with one pod where `ready`, with none otherwise."""
    endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True, "serving": True},
                  "targetRef": {"kind": "Pod", "namespace": "bench", "name": f"{name}-1", "uid": f"{name}-1"}}]
    return {"metadata": {"namespace": "bench", "name": f"{name}-1",
                         "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints if ready else [],
            "ports": [{"name": "http", "protocol": "TCP", "port": port}]}
