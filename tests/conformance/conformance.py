"""h2spec and gRPC interop through rouse-proxy, in front of real pods, warm and from zero. See ../README.md."""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from cluster import Cluster, wait_until, workload  # noqa: E402

H2SPEC_CASES = 146
H2SPEC_TIMEOUT_SECONDS = 4
RUN_WITHIN_SECONDS = 300
CASE_WITHIN_SECONDS = 30
GRPC_CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
    "status_code_and_message", "special_status_message", "custom_metadata", "unimplemented_method",
    "unimplemented_service", "rpc_soak", "channel_soak")
HOST = {"rouse.dev/hosts": "127.0.0.1,localhost"}
# Both suites pause; what is to stay warm must not fall asleep meanwhile.
WARM = {**HOST, "autoscaling.knative.dev/min-scale": "1"}
GRPC_POD = {"ports": [{"name": "grpc", "containerPort": 8080}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def add(cluster, name, annotations, command=("sample-hello",), container=None, port="http"):
    deployment, service = workload(name, command=command, annotations=annotations, container=container)
    service["spec"]["ports"][0]["name"] = port
    cluster.apply(deployment, service)
    cluster.routed([name])
    if "autoscaling.knative.dev/min-scale" in annotations:
        wait_until(lambda: cluster.deployment(name).get("status", {}).get("readyReplicas", 0) > 0, 20,
                   f"{name} is not ready")


def h2spec(tools, annotations):
    with Cluster() as cluster:
        add(cluster, "h2spec", annotations)
        report = cluster.directory / "h2spec.xml"
        subprocess.run([tools / "h2spec", "-S", "-o", str(H2SPEC_TIMEOUT_SECONDS), "-h", "127.0.0.1",
                        "-p", str(cluster.proxy_port), "-j", report],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=RUN_WITHIN_SECONDS,
                       check=False)
        cases = [(suite.get("id"), case.get("classname"),
                  case.find("failure") is not None or case.find("error") is not None)
                 for suite in tree.parse(report).iter("testsuite") for case in suite.iter("testcase")]
    failed = [f"{section}: {name}" for section, name, bad in cases if bad]
    return len(cases) - len(failed), H2SPEC_CASES, failed


def grpc(tools, annotations):
    failed = []
    with Cluster() as cluster:
        add(cluster, "interop", annotations,
            ("sh", "-c", f"exec {tools}/interop-server -port $PORT"), GRPC_POD, "grpc")
        for case in GRPC_CASES:
            client = subprocess.run(
                [tools / "interop-client", "-server_host", "127.0.0.1", "-server_port",
                 str(cluster.proxy_port), "-test_case", case],
                capture_output=True, text=True, timeout=CASE_WITHIN_SECONDS, check=False)
            if client.returncode != 0:
                lines = (client.stdout + client.stderr).strip().splitlines() or ["no output"]
                failed.append(f"{case}: {re.sub(r'^[0-9/: ]+', '', lines[-1])[:160]}")
    return len(GRPC_CASES) - len(failed), len(GRPC_CASES), failed


SUITES = {
    "h2spec": lambda tools: h2spec(tools, WARM),
    "h2spec-zero": lambda tools: h2spec(tools, HOST),
    "grpc": lambda tools: grpc(tools, WARM),
    "grpc-zero": lambda tools: grpc(tools, HOST),
}


def main():
    tools = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:] or list(SUITES)
    good = True
    for name in wanted:
        passed, of, failed = SUITES[name](tools)
        good = good and passed == of
        print(f"{name}: {passed}/{of}")
        for line in failed:
            print(f"  failed: {line}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
