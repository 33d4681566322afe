#!/usr/bin/env python3
"""Rouse on a real Kubernetes, installed from deploy/ with the rights that it ships. See README.md; started by run.sh."""

import asyncio
import json
import socket
import ssl
import time
import unittest

import yaml

from chart_test import Chart
from lab import (ROOT, SYSTEM, Callers, Connection, Lab, Outside, Refused, Watch, wait_until, workload)


def setUpModule():
    global LAB  # one cluster for all: each test has objects of its own
    LAB = Lab().__enter__()
    try:
        LAB.install(proxies=3)
    except BaseException:
        LAB.__exit__()
        raise


def tearDownModule():
    LAB.__exit__()


def ask(host, path="/", **options):
    """One request through the first proxy."""
    return asyncio.run(Connection(8080, LAB.proxies()[0]).request(host, path, **options))


async def served(callers, count):
    """Waits until callers have had so many answers more, each."""
    wanted = [each.done + count for each in callers]
    await asyncio.to_thread(
        wait_until, lambda: all(each.done >= done for each, done in zip(callers, wanted)), 60, "no answers")


def events(namespace, reason):
    return [event for event in LAB.api.items("Event", namespace) if event["reason"] == reason]


class Manifests(unittest.TestCase):
    def test_the_api_server_takes_every_manifest(self):
        for folder in ("base", "examples/greeter", "examples/custom-resource"):
            text = LAB.kubectl("apply", "-k", ROOT / "deploy" / folder, "--dry-run=server", "--validate=strict")
            self.assertIn("(server dry run)", text)
        flow = ROOT / "deploy/components/flow-schema/flow-schema.yaml"
        self.assertIn("(server dry run)", LAB.kubectl("apply", "-f", flow, "--dry-run=server", "--validate=strict"))

    def test_only_the_autoscaler_writes_scale_and_nobody_does_more_than_it_needs(self):
        def may(account, verb, group, resource, subresource="", name="", namespace="default"):
            answer = LAB.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": f"system:serviceaccount:{SYSTEM}:{account}", "resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name,
                    "namespace": namespace}}})
            return answer["status"]["allowed"]
        lease = {"group": "coordination.k8s.io", "resource": "leases", "namespace": SYSTEM}
        self.assertTrue(may("rouse-autoscaler", "update", name="rouse-autoscaler", **lease))
        self.assertFalse(may("rouse-autoscaler", "update", name="other", **lease))
        self.assertFalse(may("rouse-proxy", "update", name="rouse-autoscaler", **lease))
        for resource in ("deployments", "statefulsets"):
            self.assertTrue(may("rouse-autoscaler", "patch", "apps", resource, "scale"))
            for verb in ("patch", "update", "delete", "create"):
                self.assertFalse(may("rouse-autoscaler", verb, "apps", resource))
                self.assertFalse(may("rouse-proxy", verb, "apps", resource))
                self.assertFalse(may("rouse-proxy", verb, "apps", resource, "scale"))
        for account in ("rouse-autoscaler", "rouse-proxy"):
            for resource in ("secrets", "pods", "configmaps"):
                self.assertFalse(may(account, "get", "", resource))
            self.assertFalse(may(account, "patch", "", "services"))

    def test_pods_are_as_locked_down_as_the_restricted_standard_asks(self):
        for name in ("rouse-proxy", "rouse-autoscaler"):
            LAB.settled(name)  # whatever the test before has killed
        for pod in LAB.pods("rouse-proxy", SYSTEM) + LAB.pods("rouse-autoscaler", SYSTEM):
            process = next(p for p in LAB.processes() if p["pod"] == f"{SYSTEM}/{pod['metadata']['name']}")
            with open(f"/proc/{process['pid']}/status", encoding="utf-8") as status:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
            self.assertEqual(fields["Uid"].split("\t")[0], "65532")
            self.assertEqual(int(fields["CapEff"], 16), 0)
            with open(f"/proc/{process['pid']}/mounts", encoding="utf-8") as mounts:
                root = next(line for line in mounts if line.split()[1] == "/")
            self.assertIn("ro", root.split()[3].split(","))


class Wakes(unittest.TestCase):
    def there_and_back(self, name, kind):
        host = f"{name}.default"
        self.assertEqual(ask(host).status, 200)
        self.assertEqual(LAB.replicas(name, kind=kind), 1)

        async def load():
            async with Callers(8080, host, 12, "/?ms=50", address=LAB.proxies()[0]) as callers:
                await asyncio.to_thread(
                    wait_until, lambda: LAB.replicas(name, kind=kind) >= 3, 30, f"{name} did not grow")
            return callers
        callers = asyncio.run(load())
        self.assertEqual(callers.failures, [])
        wait_until(lambda: LAB.replicas(name, kind=kind) == 0, 60, f"{name} did not go back to zero")

    def test_a_deployment_from_zero_to_many_and_back(self):
        LAB.add("web", annotations={"autoscaling.knative.dev/target": "4", "autoscaling.knative.dev/max-scale": "4"})
        self.there_and_back("web", "Deployment")

    def test_a_stateful_set_from_zero_to_many_and_back(self):
        LAB.add("store", kind="StatefulSet", annotations={"autoscaling.knative.dev/target": "4",
                                                          "autoscaling.knative.dev/max-scale": "4"})
        self.there_and_back("store", "StatefulSet")

    def test_a_custom_resource_with_a_scale_subresource_and_back(self):
        LAB.kubectl("apply", "-k", ROOT / "deploy/examples/custom-resource")
        LAB.kubectl("wait", "--for=condition=Established", "crd/fleets.example.rouse.dev")
        target, service = workload("fleet", annotations={
            "rouse.dev/scale-target": "example.rouse.dev/v1/fleets/fleet",
            "autoscaling.knative.dev/target": "4", "autoscaling.knative.dev/max-scale": "4"})
        fleet = {"apiVersion": "example.rouse.dev/v1", "kind": "Fleet",
                 "metadata": {"name": "fleet", "namespace": "default"}, "spec": {}}
        LAB.api.create(target, service, fleet)
        LAB.routed("fleet.default")

        # A controller of fleets, as somebody's operator would be: its pods are a Deployment's.
        def follow(_, kind, found):
            if kind in ("ADDED", "MODIFIED"):
                LAB.api.patch("Deployment", "default", "fleet",
                              {"spec": {"replicas": found["spec"]["replicas"]}}, "scale")
        controller = Watch(LAB.api, "Fleet", "default", follow)
        try:
            self.there_and_back("fleet", "Fleet")
        finally:
            controller.stop()

    def test_the_example_application_by_its_alias(self):
        LAB.kubectl("apply", "-k", ROOT / "deploy/examples/greeter")
        wait_until(lambda: ask("greeter.default.svc.cluster.local", "/stats").status != 404, 30, "no route")
        self.assertEqual(ask("greeter.default.svc.cluster.local").status, 200)
        alias = LAB.api.get("Service", "default", "greeter")["spec"]["externalName"]
        self.assertEqual(alias, f"rouse-proxy.{SYSTEM}.svc.cluster.local")
        # That name's addresses, as cluster DNS would give them.
        addresses = LAB.api.get("Service", SYSTEM, "rouse-proxy")["spec"]["clusterIPs"]
        self.assertEqual([":" in address for address in addresses], [False, True])
        for address in addresses:
            answer = asyncio.run(Connection(80, address).request("greeter.default.svc.cluster.local"))
            self.assertEqual(answer.status, 200)
        LAB.kubectl("delete", "-k", ROOT / "deploy/examples/greeter")

    def test_many_at_once(self):
        names = [f"many-{i}" for i in range(10)]
        LAB.api.create(*(item for name in names for item in workload(name)))
        LAB.routed(*(f"{name}.default" for name in names))

        async def all_of_them():
            return await asyncio.gather(*(Connection(8080, LAB.proxies()[i % 3]).request(f"{name}.default")
                                          for i, name in enumerate(names)))
        self.assertEqual({answer.status for answer in asyncio.run(all_of_them())}, {200})


class Endpoints(unittest.TestCase):
    def test_a_renamed_and_renumbered_port_is_followed(self):
        host = LAB.add("renamed", env={"PORT": 8080}, annotations={"autoscaling.knative.dev/min-scale": "1"})
        self.assertEqual(ask(host).status, 200)
        LAB.api.patch("Service", "default", "renamed",
                      {"spec": {"ports": [{"name": "web", "port": 81, "targetPort": 8080}]}})
        for _ in range(30):
            self.assertEqual(ask(host).status, 200)
            time.sleep(0.05)

    def test_several_slices_of_one_service_are_one_set(self):
        """Two address families make two slices."""
        host = LAB.add("sliced", annotations={"autoscaling.knative.dev/min-scale": "2"},
                       service={"ipFamilyPolicy": "RequireDualStack"})
        wait_until(lambda: len(LAB.api.items("EndpointSlice", "default",
                                             **{"kubernetes.io/service-name": "sliced"})) == 2, 20, "two slices")
        self.assertEqual(ask(host).status, 200)
        wait_until(lambda: len({ask(host).body for _ in range(10)}) == 2, 30, "both pods answer")
        # Each pod counts once, though it has an address in both slices.
        wait_until(lambda: LAB.metrics(LAB.proxies()[0], "rouse_proxy_endpoints_ready", "default/sliced") == 2, 10,
                   "two endpoints")

    def test_a_service_of_ipv6_alone_is_reached(self):
        host = LAB.add("six", service={"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]})
        self.assertEqual(ask(host).status, 200)

    def test_not_ready_addresses_take_traffic_where_the_service_says_so(self):
        host = LAB.add("unready", container={"readinessProbe": {"exec": {"command": ["false"]}}},
                       service={"publishNotReadyAddresses": True})
        self.assertEqual(ask(host).status, 200)

    def test_an_ending_pod_gets_nothing_new(self):
        host = LAB.add("ending", annotations={"autoscaling.knative.dev/min-scale": "2"},
                       container={"lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}}})
        wait_until(lambda: len({ask(host).body for _ in range(6)}) == 2, 30, "both pods answer")
        victim = LAB.pods("ending")[0]["metadata"]["name"]
        ended = {}

        def seen(_, __, found):
            for endpoint in found.get("endpoints") or []:
                if endpoint["targetRef"]["name"] == victim and endpoint["conditions"].get("terminating"):
                    ended["told"] = True
        watch = Watch(LAB.api, "EndpointSlice", "default", seen)
        LAB.api.delete("Pod", "default", victim)
        wait_until(lambda: ended, 10, "the slice says so")
        wait_until(lambda: LAB.metrics(LAB.proxies()[0], "rouse_proxy_endpoints_ready", "default/ending") == 1, 10,
                   "the proxy has heard of it")
        self.assertNotIn(victim.encode(), b"".join(ask(host).body for _ in range(20)))
        watch.stop()

    def test_a_namespace_that_goes_takes_its_routes_and_parked_requests_with_it(self):
        LAB.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}})
        host = LAB.add("gone", "leaving", env={"START_DELAY": "60s"})

        async def leave():
            proxy = LAB.proxies()[0]
            waiting = asyncio.create_task(Connection(8080, proxy).request(host))
            await asyncio.to_thread(LAB.holds, proxy, "leaving/gone")
            await asyncio.to_thread(LAB.api.delete, "Namespace", None, "leaving")
            return await waiting
        answer = asyncio.run(leave())
        self.assertEqual((answer.status, answer.headers["x-rouse-error"]), (503, "workload_gone"))
        wait_until(lambda: ask(host).status == 404, 30, "the route is gone")
        wait_until(lambda: LAB.api.find("Namespace", None, "leaving") is None, 60, "the namespace is gone")


class Rolling(unittest.TestCase):
    def test_a_rolling_update_under_load_fails_no_request(self):
        host = LAB.add("rolled", annotations={"autoscaling.knative.dev/min-scale": "2"},
                       container={"lifecycle": {"preStop": {"exec": {"command": ["sleep", "2"]}}}})
        self.assertEqual(ask(host).status, 200)
        LAB.settled("rolled", "default")

        async def roll():
            getting = [Callers(8080, host, 3, "/?ms=5", address=address, pause=0.005) for address in LAB.proxies()]
            posting = [Callers(8080, host, 3, "/?ms=5", "POST", b"x" * 512, address=address, pause=0.005)
                       for address in LAB.proxies()]
            for callers in getting + posting:
                await callers.__aenter__()
            await asyncio.to_thread(LAB.api.patch, "Deployment", "default", "rolled", {
                "spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}})
            await asyncio.to_thread(LAB.settled, "rolled", "default")
            await asyncio.to_thread(wait_until, lambda: len(LAB.api.items("Pod", "default", app="rolled")) == 2, 30,
                                    "the old pods do not go")
            for callers in getting + posting:
                await callers.__aexit__()
            return getting + posting
        done = asyncio.run(roll())
        self.assertEqual([failure for callers in done for failure in callers.failures], [])
        self.assertGreater(sum(callers.done for callers in done), 100)

    def test_a_proxy_that_is_replaced_answers_what_it_holds(self):
        host = LAB.add("held", env={"START_DELAY": "4s"})
        victim = LAB.pods("rouse-proxy", SYSTEM)[0]

        async def replace():
            held = asyncio.create_task(Connection(8080, victim["status"]["podIP"]).request(host))
            await asyncio.to_thread(LAB.holds, victim["status"]["podIP"], "default/held")
            await asyncio.to_thread(LAB.api.delete, "Pod", SYSTEM, victim["metadata"]["name"])
            return await held
        self.assertEqual(asyncio.run(replace()).status, 200)
        LAB.settled("rouse-proxy")


class Limits(unittest.TestCase):
    def test_a_limit_holds_over_all_proxies_while_they_are_replaced(self):
        host = LAB.add("single", annotations={"rouse.dev/concurrency-limit": "1",
                                              "autoscaling.knative.dev/min-scale": "3",
                                              "autoscaling.knative.dev/max-scale": "3"},
                       container={"image": "rouse-sample:0.1.0"})
        self.assertEqual(ask(host).status, 200)
        LAB.settled("single", "default")

        async def replace():
            addresses = LAB.proxies()
            callers = [Callers(8080, host, 6, "/?ms=10", address=address, pause=0.005) for address in addresses]
            for each in callers:
                await each.__aenter__()
            await served(callers, 50)
            hops = [LAB.metrics(address, "rouse_proxy_hops_total") for address in addresses]
            # Its clients leave when it says that it ends, as it does with its answers.
            victim = LAB.pods("rouse-proxy", SYSTEM)[0]
            first = addresses.index(victim["status"]["podIP"])
            await callers[first].__aexit__()
            await asyncio.to_thread(LAB.api.delete, "Pod", SYSTEM, victim["metadata"]["name"])
            new = []

            def comes():
                new[:] = [pod["status"]["podIP"] for pod in LAB.pods("rouse-proxy", SYSTEM) if any(
                    c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
                    and pod["status"]["podIP"] not in addresses]
                return new
            await asyncio.to_thread(wait_until, comes, 60, "a new proxy")
            late = Callers(8080, host, 6, "/?ms=10", address=new[0], pause=0.005)
            async with late:
                await served([late], 50)
            for number, each in enumerate(callers):
                if number != first:
                    await each.__aexit__()
            return callers + [late], hops
        callers, hops = asyncio.run(replace())
        LAB.settled("rouse-proxy")
        self.assertEqual([failure for each in callers for failure in each.failures], [])
        self.assertEqual(sum(hop > 0 for hop in hops), 2, "all but the home forward")
        # Each pod says how many it had at once; two askers in a row seldom meet the same one.
        most = [json.loads(ask(host, "/stats").body)["in_flight_max"] for _ in range(30)]
        self.assertEqual(set(most), {1})


class Scalers(unittest.TestCase):
    def test_what_a_horizontal_pod_autoscaler_scales_is_left_alone(self):
        target, service = workload("shared")
        target["spec"]["replicas"] = 2
        LAB.api.create({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "theirs", "namespace": "default"},
            "spec": {"minReplicas": 2, "maxReplicas": 4,
                     "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shared"},
                     "metrics": [{"type": "Resource", "resource": {
                         "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}},
            target, service)
        LAB.routed("shared.default")
        self.assertEqual(ask("shared.default").status, 200)
        wait_until(lambda: events("default", "LeftToHPA"), 10, "an Event says so")
        leader = next(pod for pod in LAB.pods("rouse-autoscaler", SYSTEM)
                      if pod["metadata"]["name"] == LAB.leader())
        self.assertEqual(LAB.metrics(leader["status"]["podIP"], "rouse_autoscaler_left_to_hpa", "default/shared"), 1)
        # One that is ours alone, last asked for later, is lowered first.
        self.assertEqual(ask(LAB.add("unshared")).status, 200)
        wait_until(lambda: LAB.replicas("unshared") == 0, 60, "ours goes back to zero")
        self.assertEqual(LAB.replicas("shared"), 2)
        LAB.api.delete("HorizontalPodAutoscaler", "default", "theirs")
        wait_until(lambda: LAB.replicas("shared") == 0, 60, "ours again")


class Leaders(unittest.TestCase):
    def test_wakes_go_on_while_the_leader_is_killed(self):
        hosts = [LAB.add(f"killed-{i}") for i in range(3)]
        for host in hosts:
            LAB.signal(LAB.running_leader(), "KILL")
            self.assertEqual(ask(host).status, 200)
            LAB.settled("rouse-autoscaler")

    def test_a_frozen_leader_is_replaced_and_wakes_go_on_meanwhile(self):
        host, before = LAB.add("orphan"), LAB.running_leader()
        LAB.signal(before, "STOP")
        try:
            self.assertEqual(ask(host).status, 200)
            wait_until(lambda: LAB.leader() != before, 40, "a new leader")
            wait_until(lambda: LAB.replicas("orphan") == 0, 60, "the new leader lowers")
        finally:
            LAB.signal(before, "CONT")
        LAB.settled("rouse-autoscaler")

    def test_nobody_else_may_report(self):
        pod = LAB.pods("rouse-autoscaler", SYSTEM)[0]["status"]["podIP"]
        token = LAB.kubectl("create", "token", "default", "--audience=rouse-autoscaler").strip()
        refused = []

        async def dial(headers):
            reader, writer = await asyncio.open_connection(pod, 8080)
            writer.write(("GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                          "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                          f"{headers}\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " in head.split(b"\r\n")[0] + b" ":
                refused.append((await asyncio.wait_for(reader.read(4), 10))[:1] == b"\x88")  # a close frame
            else:
                refused.append(b" 401 " in head.split(b"\r\n")[0])
            writer.close()
        asyncio.run(dial(""))
        asyncio.run(dial(f"authorization: Bearer {token}\r\n"))
        self.assertEqual(refused, [True, True])


class Credentials(unittest.TestCase):
    """Of a proxy outside of the cluster, whose files are replaced."""

    def token(self, name):
        """One that is good for as long as this Secret is there."""
        LAB.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM}})
        return LAB.kubectl("create", "token", "rouse-proxy", "-n", SYSTEM, "--bound-object-kind=Secret",
                           f"--bound-object-name={name}").strip()

    def test_a_new_token_is_read_where_the_old_one_is_refused(self):
        first = self.token("first")
        LAB.add("known")
        with Outside(LAB, "127.9.0.1", token=first) as proxy:
            proxy.knows("known.default", 20)
            proxy.write("token", self.token("second"))
            LAB.api.delete("Secret", SYSTEM, "first")
            LAB.component("kube-apiserver", "restart")  # ends the watches, and forgets whom it has believed
            wait_until(LAB.answers, 30, "the API server is not back")
            review = LAB.api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": first}})
            self.assertFalse(review["status"].get("authenticated"))
            LAB.api.create(*workload("rotated"))
            proxy.knows("rotated.default", 30)

    def test_new_certificates_are_read_within_a_minute(self):
        LAB.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=nobody",
                "-keyout", LAB.directory / "nobody.key", "-out", LAB.directory / "nobody.crt")
        strange, key = ((LAB.directory / f"nobody.{kind}").read_text() for kind in ("crt", "key"))
        LAB.add("certified")
        with Outside(LAB, "127.9.0.2", ca=strange, token=self.token("third")) as distrusting:
            with Outside(LAB, "127.9.0.3", certificate=strange, key=key) as distrusted:
                distrusting.refused()
                distrusted.refused()
                distrusting.write("ca", (LAB.state / "ca.crt").read_text())
                for name, kind in (("certificate", "crt"), ("key", "key")):
                    distrusted.write(name, (LAB.state / f"client-kubeconfig.{kind}").read_text())
                distrusted.knows("certified.default", 75)
                distrusting.knows("certified.default", 75)


class Faults(unittest.TestCase):
    def test_warm_traffic_does_not_notice_the_api_server_going(self):
        host = LAB.add("warm", annotations={"autoscaling.knative.dev/min-scale": "1"})
        later = LAB.add("later")
        self.assertEqual(ask(host).status, 200)

        async def outage():
            addresses = LAB.proxies()
            async with Callers(8080, host, 6, address=addresses[0], pause=0.005) as callers:
                for name, action in (("kube-apiserver", "kill"), ("etcd", "restart"), ("kube-apiserver", "start")):
                    await asyncio.to_thread(LAB.component, name, action)
                    await served([callers], 1000)
                answer = await Connection(8080, addresses[1]).request(later)
            return callers, answer
        callers, answer = asyncio.run(outage())
        self.assertEqual(callers.failures, [])
        self.assertEqual(answer.status, 200)


class ZLast(unittest.TestCase):
    """Runs last: it takes Rouse away."""

    def test_the_chart_installs_and_uninstalls(self):
        LAB.certify_reports()
        certificate = LAB.certify("charted.default", "rouse-proxy-tls")
        LAB.helm("install", *Chart.PLACE, "--set", "reports.tls=true,proxy.https.enabled=true")
        LAB.settled("rouse-proxy")
        LAB.settled("rouse-autoscaler")
        host = LAB.add("charted")
        self.assertEqual(ask(host).status, 200)
        context = ssl.create_default_context(cadata=certificate)
        with socket.create_connection((LAB.proxies()[0], 8443), timeout=60) as plain, \
                context.wrap_socket(plain, server_hostname="charted.default") as tls:
            tls.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            self.assertTrue(tls.recv(64).startswith(b"HTTP/1.1 200"))
        LAB.helm("uninstall", "rouse", f"--namespace={SYSTEM}")
        wait_until(lambda: not LAB.api.items("Pod", SYSTEM), 120, "its pods do not go")
        self.assertEqual(LAB.api.items("Service", SYSTEM), [])

    def test_a_uninstalling_leaves_applications_as_they_were(self):
        host = LAB.add("stays", annotations={"autoscaling.knative.dev/min-scale": "1"})
        self.assertEqual(ask(host).status, 200)
        LAB.settled("stays", "default")
        before = LAB.api.get("Deployment", "default", "stays")
        pods = {pod["metadata"]["uid"] for pod in LAB.pods("stays")}
        LAB.kubectl("delete", "-k", ROOT / "deploy/base", "--timeout=110s")
        after = LAB.api.get("Deployment", "default", "stays")
        self.assertEqual(after["spec"], before["spec"])
        self.assertEqual({pod["metadata"]["uid"] for pod in LAB.pods("stays")}, pods)
        with self.assertRaises(Refused):
            LAB.api.get("Namespace", None, SYSTEM)
        left = [item["metadata"]["name"] for kind in ("clusterroles", "clusterrolebindings")
                for item in LAB.api.call("GET", f"/apis/rbac.authorization.k8s.io/v1/{kind}")["items"]
                if item["metadata"]["name"].startswith("rouse-") and "fleets" not in item["metadata"]["name"]]
        self.assertEqual(left, [])
