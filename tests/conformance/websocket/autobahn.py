"""Autobahn's fuzzing client (sections 1-7 and 10) straight to an echo server and through us: no case may be worse.

A tunnel is transparent, so what the server itself fails does not count. `over_http2` has a second rouse-proxy speak
HTTP/2 to the first, so that each WebSocket is an extended CONNECT (RFC 8441) there.
"""
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

from cluster import BIN, Process, free_port, wait_until

HERE = pathlib.Path(__file__).resolve().parent
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
CASES_COUNT = 247
WITHIN_SECONDS = 300
RANK = {"OK": 0, "INFORMATIONAL": 0, "NON-STRICT": 0, "UNIMPLEMENTED": 1, "FAILED": 2}
BRIDGE = """listeners: [{{address: "127.0.0.1:{port}"}}]
health: {{address: "127.0.0.1:{health}"}}
admin: {{address: "127.0.0.1:{admin}"}}
workloads: [{{name: ns/fn, endpoints: ["127.0.0.1:{to}"], protocol: h2c}}]
routes: [{{host: "*", path: /, workload: ns/fn}}]
"""


def echo_command(tools):
    return ("sh", "-c", f"exec {tools}/websocket/venv/bin/python {HERE}/echo.py 0.0.0.0 $PORT")


@contextlib.contextmanager
def bridge(cluster, folder):
    """The port of a proxy in front of the cluster's, which it speaks HTTP/2 to."""
    port, health = free_port(), free_port()
    config = folder / "bridge.yaml"
    config.write_text(BRIDGE.format(port=port, health=health, admin=free_port(), to=cluster.proxy_port))
    process = Process("bridge", [BIN / "rouse-proxy", "--config", config, "--connections-per-client-max", 0], folder)
    process.start()
    try:
        wait_until(lambda: cluster.status(health, "/readyz") == 200, 10, "the bridge is not ready")
        yield port
    finally:
        process.stop()


def run(tools, cluster, over_http2):
    """(cases no worse than direct, cases, what is worse)."""
    with tempfile.TemporaryDirectory(prefix="rouse-autobahn-") as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        direct = free_port()
        server = Process("echo", [tools / "websocket/venv/bin/python", HERE / "echo.py", "127.0.0.1", direct], folder)
        server.start()
        running.callback(server.stop)
        port = running.enter_context(bridge(cluster, folder)) if over_http2 else cluster.proxy_port
        before = cluster.metric("rouse_proxy_requests_total")
        (folder / "spec.json").write_text(json.dumps({
            "outdir": str(folder / "out"), "cases": CASES, "exclude-cases": [], "exclude-agent-cases": {},
            "servers": [{"agent": "direct", "url": f"ws://127.0.0.1:{direct}"},
                        {"agent": "proxy", "url": f"ws://127.0.0.1:{port}"}]}))
        subprocess.run([tools / "websocket/wstest", "-m", "fuzzingclient", "-s", folder / "spec.json"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WITHIN_SECONDS, check=False)
        report = json.loads((folder / "out/index.json").read_text())
        # A suite that went past us would never get there.
        wait_until(lambda: cluster.metric("rouse_proxy_requests_total") - before >= CASES_COUNT, 10,
                   "not all of it went through the proxy")
    missing = {"behavior": "FAILED", "behaviorClose": "FAILED"}
    worse = []
    for case, plain in report["direct"].items():
        ours = report.get("proxy", {}).get(case, missing)
        worse += [f"{case} {key}: {plain[key]} direct, {ours[key]} through us" for key in missing
                  if RANK.get(ours[key], 2) > RANK.get(plain[key], 2)]
    return len(report["direct"]) - len({line.split()[0] for line in worse}), CASES_COUNT, worse
