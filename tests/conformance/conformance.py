"""h2spec, gRPC interop and WebSocket cases (Autobahn's, and an RFC 8441 client's) through rouse-proxy, in front of real
pods: in the clear and over TLS, warm and from zero. See ../README.md."""

import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE / "websocket")]
import autobahn  # noqa: E402
from cluster import Cluster, free_port, wait_until, workload  # noqa: E402

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
POD_BY_PORT = {"ports": [{"name": "port", "containerPort": 8080}],
               "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def certify(folder):
    """A certificate for localhost and its key, signed by itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   cwd=folder, check=True, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def cluster_with(tls):
    """A cluster; the port on which its proxy takes requests; where its certificate lies."""
    with tempfile.TemporaryDirectory(prefix="rouse-conformance-") as folder:
        certify(folder)
        port = free_port()
        flags = ("--listen-tls", f"127.0.0.1:{port}", "--upstream-ca", f"{folder}/cert.pem",
                 "--tls-certificates", f"{folder}/cert.pem:{folder}/key.pem") if tls else ()
        with Cluster(proxy_flags=flags) as cluster:
            yield cluster, port if tls else cluster.proxy_port, pathlib.Path(folder)


def add(cluster, name, annotations, command=("sample-hello",), container=None, port="http"):
    deployment, service = workload(name, command=command, annotations=annotations, container=container)
    service["spec"]["ports"][0]["name"] = port
    cluster.apply(deployment, service)
    cluster.routed([name])
    if "autoscaling.knative.dev/min-scale" in annotations:
        wait_until(lambda: cluster.deployment(name).get("status", {}).get("readyReplicas", 0) > 0, 20,
                   f"{name} is not ready")


def h2spec(tools, annotations, tls=False):
    with cluster_with(tls) as (cluster, port, _):
        add(cluster, "h2spec", annotations)
        report = cluster.directory / "h2spec.xml"
        subprocess.run([tools / "h2spec", "-S", "-o", str(H2SPEC_TIMEOUT_SECONDS), "-h", "127.0.0.1",
                        "-p", str(port), "-j", report, *(("-t", "-k") if tls else ())],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=RUN_WITHIN_SECONDS,
                       check=False)
        cases = [(suite.get("id"), case.get("classname"),
                  case.find("failure") is not None or case.find("error") is not None)
                 for suite in tree.parse(report).iter("testsuite") for case in suite.iter("testcase")]
    failed = [f"{section}: {name}" for section, name, bad in cases if bad]
    return len(cases) - len(failed), H2SPEC_CASES, failed


def grpc(tools, annotations, tls=False, pod_tls=False):
    failed = []
    with cluster_with(tls) as (cluster, port, folder):
        secure = ("-use_tls", "-use_test_ca", "-ca_file", folder / "cert.pem", "-server_host_override", "localhost") if tls else ()
        files = f"-tls_cert_file {folder}/cert.pem -tls_key_file {folder}/key.pem"
        serve = f"exec {tools}/interop-server -port $PORT {'-use_tls ' + files if pod_tls else ''}"
        named = {"rouse.dev/upstream-server-name": "localhost"} if pod_tls else {}
        # A port that says https leaves it to ALPN whether HTTP/2 is spoken.
        add(cluster, "interop", {**annotations, **named}, ("sh", "-c", serve), POD_BY_PORT,
            "https" if pod_tls else "grpc")
        for case in GRPC_CASES:
            client = subprocess.run(
                [tools / "interop-client", "-server_host", "127.0.0.1", "-server_port", str(port),
                 "-test_case", case, *secure],
                capture_output=True, text=True, timeout=CASE_WITHIN_SECONDS, check=False)
            if client.returncode != 0:
                lines = (client.stdout + client.stderr).strip().splitlines() or ["no output"]
                failed.append(f"{case}: {re.sub(r'^[0-9/: ]+', '', lines[-1])[:160]}")
    return len(GRPC_CASES) - len(failed), len(GRPC_CASES), failed


def websocket(tools, annotations, over_http2=False):
    with Cluster() as cluster:
        add(cluster, "echo", annotations, autobahn.echo_command(tools), POD_BY_PORT)
        return autobahn.run(tools, cluster, over_http2)


def rfc8441(tools, annotations):
    with Cluster() as cluster:
        add(cluster, "echo", annotations, autobahn.echo_command(tools), POD_BY_PORT)
        client = subprocess.run(
            [tools / "websocket/venv/bin/python", HERE / "websocket/rfc8441.py", str(cluster.proxy_port)],
            capture_output=True, text=True, timeout=RUN_WITHIN_SECONDS, check=False)
    lines = client.stdout.splitlines()
    if not lines or not re.fullmatch(r"\d+/\d+", lines[-1]):
        return 0, 1, [client.stderr.strip()[-300:]]
    passed, of = map(int, lines.pop().split("/"))
    return passed, of, lines


SUITES = {
    "h2spec": lambda tools: h2spec(tools, WARM),
    "h2spec-zero": lambda tools: h2spec(tools, HOST),
    "h2spec-tls": lambda tools: h2spec(tools, WARM, tls=True),
    "h2spec-tls-zero": lambda tools: h2spec(tools, HOST, tls=True),
    "grpc": lambda tools: grpc(tools, WARM),
    "grpc-zero": lambda tools: grpc(tools, HOST),
    "grpc-tls": lambda tools: grpc(tools, WARM, tls=True),
    "grpc-tls-zero": lambda tools: grpc(tools, HOST, tls=True),
    "grpc-tls-pod": lambda tools: grpc(tools, WARM, tls=True, pod_tls=True),
    "grpc-tls-pod-zero": lambda tools: grpc(tools, HOST, tls=True, pod_tls=True),
    "websocket": lambda tools: websocket(tools, WARM),
    "websocket-zero": lambda tools: websocket(tools, HOST),
    "websocket-h2": lambda tools: websocket(tools, WARM, over_http2=True),
    "websocket-h2-zero": lambda tools: websocket(tools, HOST, over_http2=True),
    "websocket-rfc8441": lambda tools: rfc8441(tools, WARM),
    "websocket-rfc8441-zero": lambda tools: rfc8441(tools, HOST),
}


def main():
    tools = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:] or list(SUITES)
    if wanted == ["--list"]:
        print("\n".join(SUITES))
        return 0
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
