#!/usr/bin/env python3
"""The API server's authority is replaced under a proxy that runs on. On a cluster of its own, whose other components stay
with the old one. Started by run.sh."""

import unittest

from lab import API, Api, Lab, Outside, wait_until, workload


def replace_authority(lab):
    """The API server's certificate comes of `new-ca.crt` from its next start on."""
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    lab.run(*make, "-subj", "/CN=another authority", "-keyout", lab.state / "new-ca.key", "-out",
            lab.state / "new-ca.crt")
    lab.run(*make, "-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName=IP:{API}", "-CA", lab.state / "new-ca.crt",
            "-CAkey", lab.state / "new-ca.key", "-keyout", lab.state / "apiserver.key", "-out",
            lab.state / "apiserver.crt")


class Rotation(unittest.TestCase):
    def test_a_proxy_follows_the_api_server_to_another_authority(self):
        with Lab() as lab:
            administrator = {name: (lab.state / f"client-kubeconfig.{kind}").read_text()
                             for name, kind in (("certificate", "crt"), ("key", "key"))}
            with Outside(lab, "127.9.0.1", **administrator) as proxy:
                lab.api.create(*workload("before"))
                proxy.knows("before.default", 20)
                lab.component("kube-apiserver", "stop")
                replace_authority(lab)
                lab.component("kube-apiserver", "start")
                lab.api = Api(lab.state, "new-ca.crt")
                wait_until(lab.answers, 60, "the API server is not back")
                lab.api.create(*workload("after"))
                # It asks the server that is there, and again, and does not trust it.
                before = self.failures(proxy)
                wait_until(lambda: self.failures(proxy) >= before + 4, 20, proxy.process.tail())
                self.assertFalse(lab.knows(proxy.address, ["after.default"]))
                proxy.write("ca", (lab.state / "new-ca.crt").read_text())
                # Much less than the minute after which the file is read in any case.
                proxy.knows("after.default", 20)

    @staticmethod
    def failures(proxy):
        return Lab.metrics(proxy.address, "rouse_proxy_watch_failures_total")
