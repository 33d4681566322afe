"""Reads what the scanners of tls.sh have written: tls_verdict.py OUT_DIR. Exit code 1 on any finding."""
import json
import os
import sys
import xml.etree.ElementTree as tree

OUT = sys.argv[1]
RANKS = {"MEDIUM": 1, "HIGH": 2, "CRITICAL": 3}
WANTED = {"TLS 1.3": "served", "TLS 1.2": "served", "EMS": "served", "TL02 one-byte records": "served"}
results = []


def check(name, good, saw=""):
    results.append(good)
    print(("ok   " if good else "FAIL ") + name + (f": {saw}" if not good else ""))


def read(name):
    with open(os.path.join(OUT, name), encoding="utf-8") as file:
        text = file.read().strip()
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text.rstrip(",") + "]")


def sslscan():
    scan = tree.parse(os.path.join(OUT, "sslscan.xml")).getroot().find("ssltest")
    on = {f"{p.get('type')}{p.get('version')}" for p in scan.findall("protocol") if p.get("enabled") == "1"}
    check("sslscan: TLS 1.2 and 1.3 alone", on == {"tls1.2", "tls1.3"}, on)
    check("sslscan: no renegotiation", all(r.get("supported") == "0" for r in scan.findall("renegotiation")))
    check("sslscan: no compression", all(c.get("supported") == "0" for c in scan.findall("compression")))
    check("sslscan: no heartbleed", all(h.get("vulnerable") == "0" for h in scan.findall("heartbleed")))
    weak = [c.get("cipher") for c in scan.findall("cipher")
            if "GCM" not in c.get("cipher") and "CHACHA" not in c.get("cipher")]
    check("sslscan: AEAD alone", not weak, weak)


def testssl():
    def findings(name):
        return {f["id"]: RANKS[f["severity"]] for f in read(name) if f["severity"] in RANKS}
    ours, theirs = findings("testssl.json"), findings("testssl-openssl.json")
    check("testssl.sh: nothing of medium or worse", not ours, ours)
    worse = {k: v for k, v in ours.items() if v > theirs.get(k, 0)}
    check("testssl.sh: nowhere worse than openssl s_server", not worse, worse)
    print(f"     (openssl s_server: {sorted(theirs)})")


def sslyze():
    results_of = read("sslyze.json")["server_scan_results"][0]["scan_result"]
    for name, scan in results_of.items():
        result = scan.get("result")
        if not result:
            continue
        if name.startswith(("ssl_", "tls_1_0", "tls_1_1")):
            accepted = [s["cipher_suite"]["name"] for s in result["accepted_cipher_suites"]]
            check(f"sslyze: nothing on {name}", not accepted, accepted)
    flag = lambda name, key: results_of[name]["result"][key]
    check("sslyze: no heartbleed", not flag("heartbleed", "is_vulnerable_to_heartbleed"))
    check("sslyze: no CCS injection", not flag("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"))
    check("sslyze: no compression", not flag("tls_compression", "supports_compression"))
    check("sslyze: no ROBOT", "NOT_VULNERABLE" in flag("robot", "robot_result"), flag("robot", "robot_result"))
    check("sslyze: no client renegotiation",
          not flag("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"))


def lite():
    for name, (ours, theirs) in read("lite.json").items():
        check(f"tlslite-ng: {name}", ours == WANTED.get(name, "refused"), f"ours {ours}, openssl {theirs}")


sslscan()
testssl()
sslyze()
lite()
print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
sys.exit(0 if all(results) else 1)
