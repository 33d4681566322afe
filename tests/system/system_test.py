"""The three programs together, as users run them: short tests. `python3 -m unittest` style; see README.md."""

import asyncio
import base64
import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request

from client import Callers, Connection
from cluster import BIN, Cluster, free_port, wait_until, workload


def run(coroutine):
    return asyncio.run(coroutine)


class Wake(unittest.TestCase):
    """One cluster for all: each test has workloads of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shards=2).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()

    def add(self, name, **options):
        self.cluster.apply(*workload(name, **options))
        self.cluster.routed([name])
        return f"{name}.default"

    def test_a_sleeping_function_answers_its_first_request(self):
        host = self.add("first")
        answer = run(Connection(self.cluster.proxy_port).request(host))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"hello from first", answer.body)
        self.assertEqual(self.cluster.deployment("first")["spec"]["replicas"], 1)

    def test_the_cold_start_is_told_where_the_workload_asks(self):
        host = self.add("told", annotations={"rouse.dev/server-timing": "true"})
        answer = run(Connection(self.cluster.proxy_port).request(host))
        self.assertEqual(answer.status, 200)
        self.assertIn("dur=", answer.headers.get("server-timing", ""))
        warm = run(Connection(self.cluster.proxy_port).request(host))
        self.assertNotIn("server-timing", warm.headers)

    def test_a_held_upload_arrives_whole(self):
        host = self.add("upload")
        body = bytes(range(256)) * 4096
        answer = run(Connection(self.cluster.proxy_port).request(host, "/", "POST", body))
        self.assertEqual(answer.status, 200)

    def test_load_scales_out_and_silence_scales_to_zero(self):
        host = self.add("wave", annotations={"autoscaling.knative.dev/target": "5",
                                             "autoscaling.knative.dev/max-scale": "3"})

        async def load():
            async with Callers(self.cluster.proxy_port, host, 20, "/?ms=50") as callers:
                began = time.monotonic()
                while time.monotonic() - began < 20:
                    await asyncio.sleep(0.2)
                    ready = self.cluster.deployment("wave").get("status", {}).get("readyReplicas", 0)
                    if ready >= 3:
                        break
            return callers, ready
        callers, ready = run(load())
        self.assertEqual(callers.failures, [])
        self.assertEqual(ready, 3)
        wait_until(lambda: self.cluster.asleep("wave"), 40, "wave did not go back to zero")

    def test_a_pod_never_has_more_in_flight_than_its_limit(self):
        host = self.add("limited", annotations={"rouse.dev/concurrency-limit": "3",
                                                "autoscaling.knative.dev/max-scale": "1"})

        async def burst():
            connections = [Connection(self.cluster.proxy_port) for _ in range(60)]
            answers = await asyncio.gather(*(c.request(host, "/?ms=10") for c in connections))
            stats = await connections[0].request(host, "/stats")
            return answers, json.loads(stats.body)
        answers, stats = run(burst())
        self.assertEqual({a.status for a in answers}, {200})
        self.assertGreaterEqual(stats["served"], 60)
        self.assertLessEqual(stats["in_flight_max"], 3)

    def test_a_workload_that_cannot_start_is_answered_at_its_hold_timeout(self):
        host = self.add("broken", command=["false"], annotations={"rouse.dev/hold-timeout": "1s"})
        answer = run(Connection(self.cluster.proxy_port).request(
            host, headers={"accept": "application/json"}))
        self.assertEqual(answer.status, 504)
        self.assertEqual(answer.headers["x-rouse-error"], "cold_start_timeout")
        self.assertIn("retry-after", answer.headers)
        json.loads(answer.body)

    def test_an_unknown_host_is_404_and_wakes_nothing(self):
        answer = run(Connection(self.cluster.proxy_port).request("nobody.example"))
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.headers["x-rouse-error"], "no_route")

    def test_pages_say_what_is_going_on(self):
        host = self.add("seen")
        run(Connection(self.cluster.proxy_port).request(host))
        for port, path, expected in (
                (self.cluster.proxy_admin, "/workloads", "default/seen"),
                (self.cluster.proxy_admin, "/config", "parked-max"),
                (self.cluster.scaler_admin, "/workloads", "default/seen"),
                (self.cluster.scaler_admin, "/decisions", "default/seen")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                text = answer.read().decode()
            json.loads(text)
            self.assertIn(expected, text, path)
        wait_until(lambda: self.cluster.metric("rouse_proxy_cold_starts_total", "default/seen") >= 1, 5,
                   "the cold start is not on the metrics page")
        self.assertEqual(self.cluster.metric("rouse_proxy_autoscalers_connected"), 1)
        self.assertLess(self.cluster.metric("rouse_proxy_snapshot_age_seconds"), 90)

    def test_a_changed_template_rolls_without_a_failed_request(self):
        host = self.add("rolled", annotations={"autoscaling.knative.dev/min-scale": "2"})

        async def roll():
            async with Callers(self.cluster.proxy_port, host, 8, "/?ms=5") as callers:
                await asyncio.sleep(1)
                old = {p["metadata"]["name"] for p in self.cluster.pods("rolled")}
                self.cluster.call(
                    "PATCH", "/apis/apps/v1/namespaces/default/deployments/rolled",
                    {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}},
                    "application/merge-patch+json")
                for _ in range(100):
                    await asyncio.sleep(0.1)
                    now = {p["metadata"]["name"] for p in self.cluster.pods("rolled")}
                    if now and not now & old:
                        break
            return callers, now & old
        callers, left = run(roll())
        self.assertEqual(left, set())
        self.assertEqual(callers.failures, [])
        self.assertGreater(callers.done, 100)


class Faults(unittest.TestCase):
    def test_warm_traffic_does_not_notice_the_api_or_the_autoscaler_going(self):
        with Cluster() as cluster:
            cluster.apply(*workload("warm", annotations={"autoscaling.knative.dev/min-scale": "1"}))
            cluster.apply(*workload("later"))
            cluster.routed(["warm", "later"])

            async def faults():
                await Connection(cluster.proxy_port).request("warm.default")
                async with Callers(cluster.proxy_port, "warm.default", 8) as callers:
                    cluster.faults({"cutWatches": True})
                    await asyncio.sleep(0.5)
                    cluster.autoscaler.kill()
                    await asyncio.sleep(1)
                    cluster.faults({"down": {"duration": "1s"}})
                    await asyncio.sleep(1.5)
                    await asyncio.to_thread(cluster.start, cluster.autoscaler, cluster.scaler_health)
                return callers, await Connection(cluster.proxy_port).request("later.default")
            callers, later = run(faults())
            self.assertEqual(callers.failures, [])
            self.assertGreater(callers.done, 500)
            self.assertEqual(later.status, 200)

    def test_the_proxy_tells_of_an_api_that_is_away(self):
        with Cluster() as cluster:
            cluster.apply(*workload("known"))
            cluster.routed(["known"])
            self.assertGreater(cluster.metric("rouse_proxy_watch_events_total"), 0)
            self.assertGreater(cluster.metric("rouse_proxy_snapshots_total"), 0)
            self.assertEqual(cluster.metric("rouse_proxy_autoscalers_connected"), 1)
            failures = cluster.metric("rouse_proxy_watch_failures_total")
            cluster.faults({"down": {"duration": "3s"}})
            wait_until(lambda: cluster.metric("rouse_proxy_watch_failures_total") > failures, 10, "nothing has failed")
            wait_until(lambda: cluster.metric("rouse_proxy_snapshot_age_seconds") > 1, 10, "the view does not age")

    def test_a_proxy_that_is_told_to_stop_answers_what_it_holds(self):
        with Cluster(proxy_flags=("--drain-delay", "0s")) as cluster:
            cluster.apply(*workload("held", env={"START_DELAY_MS": 800}))
            cluster.routed(["held"])

            async def drain():
                held = asyncio.create_task(Connection(cluster.proxy_port).request("held.default"))
                await asyncio.sleep(0.3)
                cluster.proxy.process.terminate()
                return await held
            answer = run(drain())
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers.get("connection"), "close")
            self.assertEqual(cluster.proxy.process.wait(10), 0)


class CredentialPlugin(unittest.TestCase):
    def test_both_programs_use_a_credential_plugin(self):
        with Cluster(token="sesame") as cluster:
            cluster.apply(*workload("asked"))
            cluster.routed(["asked"])
            answer = run(Connection(cluster.proxy_port).request("asked.default"))
            self.assertEqual(answer.status, 200)
            self.assertEqual((cluster.directory / "runs").read_text(), "run\nrun\n")


class ReportsOverTls(unittest.TestCase):
    """Proxies and autoscalers that know each other by certificates of one authority."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="rouse-reports-")))
        self.openssl("req", "-x509", *self.KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2",
                     "-subj", "/CN=reports")
        self.certify("autoscaler", "first")
        self.certify("proxy", "proxy")

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, stderr=subprocess.DEVNULL)

    def certify(self, file, name):
        self.openssl("req", *self.KEY, "-keyout", "new.key", "-out", "csr", "-subj", f"/CN={name}",
                     "-addext", "subjectAltName=DNS:reports.test")
        self.openssl("x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                     "-copy_extensions", "copy", "-days", "2", "-out", "new.crt")
        for part in ("key", "crt"):
            (self.folder / f"new.{part}").rename(self.folder / f"{file}.{part}")

    def cluster(self, *proxy_flags):
        f = self.folder
        return Cluster(
            proxy_flags=("--autoscaler-ca", f / "ca.crt", "--autoscaler-server-name", "reports.test", *proxy_flags),
            autoscaler_flags=("--intake-tls-certificate", f / "autoscaler.crt", "--intake-tls-key", f / "autoscaler.key",
                              "--intake-tls-client-ca", f / "ca.crt"))

    def test_a_wake_goes_over_mutual_tls_and_certificates_are_renewed(self):
        own = ("--autoscaler-certificate", self.folder / "proxy.crt", "--autoscaler-key", self.folder / "proxy.key")
        with self.cluster(*own) as cluster:
            cluster.apply(*workload("secret"))
            cluster.routed(["secret"])
            self.assertEqual(run(Connection(cluster.proxy_port).request("secret.default")).status, 200)
            self.certify("autoscaler", "second")
            wait_until(lambda: self.certificate_of(cluster.report_port) == self.folder.joinpath("autoscaler.crt").read_text(),
                       20, "new connections do not get the new certificate")
            self.assertEqual(cluster.metric("rouse_proxy_autoscalers_connected"), 1)

    @staticmethod
    def certificate_of(port):
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)

    def test_a_proxy_without_a_certificate_is_refused(self):
        with self.cluster() as cluster:
            wait_until(lambda: "intake_refused" in cluster.autoscaler.tail(), 10, "it is not refused")
            self.assertEqual(cluster.metric("rouse_proxy_autoscalers_connected"), 0)


class Secrets(unittest.TestCase):
    """A Service's own certificate, from a Secret of its namespace (rouse.dev/tls-secret)."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="rouse-secrets-")))
        default = self.certify("default.example")
        (self.folder / "default.crt").write_bytes(default[0])
        (self.folder / "default.key").write_bytes(default[1])
        self.port = free_port()
        self.cluster = self.enterContext(Cluster(proxy_flags=(
            "--listen-tls", f"127.0.0.1:{self.port}", "--tls-namespaces", "default",
            "--tls-certificates", f"{self.folder}/default.crt:{self.folder}/default.key")))

    def certify(self, name):
        """PEM of a certificate for `name`, and of its key."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", "key", "-out", "crt", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}"],
                       cwd=self.folder, check=True, stderr=subprocess.DEVNULL)
        return (self.folder / "crt").read_bytes(), (self.folder / "key").read_bytes()

    def secret(self, pair):
        crt, key = (base64.b64encode(part).decode() for part in pair)
        return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": "shop-tls", "namespace": "default"}, "data": {"tls.crt": crt, "tls.key": key}}

    def ask(self, name):
        """What a handshake for `name` shows, and the status of a request behind it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as raw:
            with context.wrap_socket(raw, server_hostname=name) as wire:
                wire.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                status = int(wire.recv(64).split()[1])
                return ssl.DER_cert_to_PEM_cert(wire.getpeercert(binary_form=True)).strip(), status

    def shows(self, pair):
        wait_until(lambda: self.ask("shop.example")[0] == pair[0].decode().strip(), 10, "another certificate is shown")

    def test_a_secret_is_served_replaced_and_withdrawn(self):
        path = "/api/v1/namespaces/default/secrets"
        self.cluster.apply(*workload("shop", annotations={"rouse.dev/hosts": "shop.example",
                                                          "rouse.dev/tls-secret": "shop-tls"}))
        self.cluster.routed(["shop"])
        first, second = self.certify("shop.example"), self.certify("shop.example")
        self.cluster.call("POST", path, self.secret(first))
        self.shows(first)
        self.assertEqual(self.ask("shop.example")[1], 200)  # from zero
        self.cluster.call("PATCH", f"{path}/shop-tls", {"data": self.secret(second)["data"]},
                          "application/merge-patch+json")
        self.shows(second)
        # One that cannot be used leaves the one in force.
        broken = {"tls.key": self.secret(first)["data"]["tls.key"]}
        self.cluster.call("PATCH", f"{path}/shop-tls", {"data": broken}, "application/merge-patch+json")
        wait_until(lambda: "tls_secret_refused" in self.cluster.proxy.tail(), 10, "the mistake is not told")
        self.shows(second)
        self.cluster.call("DELETE", f"{path}/shop-tls")
        self.shows(((self.folder / "default.crt").read_bytes(), b""))


class CommandLine(unittest.TestCase):
    def test_each_program_says_its_version_and_help(self):
        for name in ("rouse-proxy", "rouse-autoscaler", "rouse-local"):
            for flag in ("--version", "--help"):
                done = subprocess.run([BIN / name, flag], capture_output=True, text=True, timeout=10, check=False)
                self.assertEqual(done.returncode, 0, f"{name} {flag}: {done.stderr}")
                self.assertIn(name, done.stdout)

    def test_a_misspelt_flag_is_refused_with_the_nearest_name(self):
        for name in ("rouse-proxy", "rouse-autoscaler"):
            done = subprocess.run([BIN / name, "--kubeconfg=x"], capture_output=True, text=True, timeout=10,
                                  check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("kubeconfig", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
