"""Handshakes and records made by hand with tlslite-ng (PyPI), against two ports: ours and `openssl s_server`'s.

    tls_lite.py OURS THEIRS       prints JSON: {case: [what ours did, what theirs did]}

Each case says "served", "refused" (an alert, or the end), or "kept" where a connection outlives what should end it.
"""
import json
import socket
import sys

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import ContentType, KeyUpdateMessageType
from tlslite.messages import ApplicationData

REQUEST = bytearray(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")


def dial(port, **wanted):
    settings = HandshakeSettings()
    for name, value in wanted.items():
        setattr(settings, name, value)
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection = TLSConnection(raw)
    connection.handshakeClientCert(settings=settings, serverName="localhost")
    return connection


def answered(connection):
    connection.sendall(REQUEST)
    return b"200" in connection.read(min=12, max=64)


def ask(port, **wanted):
    return "served" if answered(dial(port, **wanted)) else "refused"


def one_byte_records(port):
    connection = dial(port)
    connection.recordSize = 1
    return "served" if answered(connection) else "refused"


def extended_master_secret(port):
    connection = dial(port, maxVersion=(3, 3))
    return "served" if connection.extendedMasterSecret and answered(connection) else "refused"


def key_updates(port):
    connection = dial(port, minVersion=(3, 4))
    for _ in range(10000):
        for _ in connection.send_keyupdate_request(KeyUpdateMessageType.update_not_requested):
            pass
    return "kept" if answered(connection) else "refused"


def empty_records(port):
    connection = dial(port, minVersion=(3, 4))
    for _ in range(5000):
        for _ in connection._recordLayer.sendRecord(ApplicationData().create(bytearray())):
            pass
    return "kept" if answered(connection) else "refused"


def heartbeat(port):
    connection = dial(port, maxVersion=(3, 3), use_heartbeat_extension=True)
    return "kept" if connection.heartbeat_supported else "refused"


CASES = {
    "TLS 1.3": lambda port: ask(port, minVersion=(3, 4)),
    "TLS 1.2": lambda port: ask(port, maxVersion=(3, 3)),
    "TL01 TLS 1.1": lambda port: ask(port, minVersion=(3, 1), maxVersion=(3, 2)),
    "TL01 CBC alone": lambda port: ask(port, maxVersion=(3, 3), cipherNames=["aes128"]),
    "TL01 RSA key exchange": lambda port: ask(port, maxVersion=(3, 3), keyExchangeNames=["rsa"]),
    "TL01 finite-field DHE": lambda port: ask(port, maxVersion=(3, 3), keyExchangeNames=["dhe_rsa"]),
    "TL01 heartbeat": heartbeat,
    "TL02 one-byte records": one_byte_records,
    "TL02 10 000 key updates": key_updates,
    "TL02 5 000 empty records": empty_records,
    "EMS": extended_master_secret,
}

results = {}
for name, case in CASES.items():
    results[name] = []
    for port in sys.argv[1:3]:
        try:
            verdict = case(int(port))
        except Exception:  # an alert, a reset or the end, each by an exception of its own
            verdict = "refused"
        results[name].append(verdict)
print(json.dumps(results, indent=1))
