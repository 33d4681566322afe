"""As much of a Kubernetes API as rouse-proxy and Knative's activator need to serve traffic: lists and watches
of objects that the bench puts there, and a WebSocket on which their reports end.

It decides nothing: an object is told as it was put, at once, to all who watch its kind.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import time
import urllib.parse

WEB_SOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EVENTS_KEPT = 400_000  # of one kind, in a bench's life
IDLE_SECONDS = 1
HOST = "127.0.0.3"  # not the pods' address: rouse-proxy never dials the API server as a pod
KINDS = {"services": ("v1", "Service"), "endpoints": ("v1", "Endpoints"), "configmaps": ("v1", "ConfigMap"),
         "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"), "pods": ("v1", "Pod"),
         "secrets": ("v1", "Secret"), "nodes": ("v1", "Node"),
         "revisions": ("serving.knative.dev/v1", "Revision")}


class Kind:
    """All objects of one kind, and what was ever told of them."""

    def __init__(self, plural):
        self.api_version, self.name = KINDS.get(plural, ("v1", "Unknown"))
        self.objects = {}
        self.events = []  # (version, line of JSON)


class KubeStub:
    """Serves from threads of its own until `stop`."""

    def __init__(self, host=HOST, port=0):
        self.lock = threading.Condition()
        self.kinds = {}
        self.version = 1
        self.stopped = False
        stub = self

        class Handler(_Handler):
            api = stub

        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.address = f"{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        with self.lock:
            self.stopped = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def kind(self, plural):
        return self.kinds.setdefault(plural, Kind(plural))

    def put(self, plural, body):
        """Adds or changes an object; returns the time (monotonic nanoseconds) just before it was told."""
        meta = body["metadata"]
        with self.lock:
            kind = self.kind(plural)
            self.version += 1
            key = (meta.get("namespace", ""), meta["name"])
            known = key in kind.objects
            meta = {"uid": "-".join(key), "creationTimestamp": "2026-01-01T00:00:00Z", **meta,
                    "resourceVersion": str(self.version)}
            whole = {"apiVersion": kind.api_version, "kind": kind.name, **body, "metadata": meta}
            kind.objects[key] = whole
            event = {"type": "MODIFIED" if known else "ADDED", "object": whole}
            kind.events.append((self.version, json.dumps(event, separators=(",", ":")).encode() + b"\n"))
            if len(kind.events) > EVENTS_KEPT:
                raise RuntimeError("too many events for one bench")
            told = time.monotonic_ns()
            self.lock.notify_all()
        return told

    def kubeconfig(self, path):
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": f"http://{self.address}"}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}]}))
        return path


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def do_POST(self):  # pylint: disable=invalid-name
        """Events and the like are taken and forgotten."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with contextlib.suppress(ValueError):
            return self.answer(201, json.loads(body))
        return self.answer(400, {"kind": "Status", "status": "Failure", "code": 400})

    do_PUT = do_PATCH = do_POST

    def do_GET(self):  # pylint: disable=invalid-name
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.web_socket()
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/version":
            return self.answer(200, {"major": "1", "minor": "35", "gitVersion": "v1.35.0"})
        words = [word for word in url.path.split("/") if word]
        words = words[2:] if words[:1] == ["api"] else words[3:]
        namespace = ""
        if words[:1] == ["namespaces"] and len(words) > 2:
            namespace, words = words[1], words[2:]
        if not words:
            return self.answer(200, {"kind": "APIResourceList", "resources": []})
        if len(words) > 1:
            return self.named(words[0], namespace, words[1])
        if query.get("watch") in ("1", "true"):
            return self.watch(words[0], namespace, query)
        return self.listing(words[0], namespace)

    def named(self, plural, namespace, name):
        with self.api.lock:
            found = self.api.kind(plural).objects.get((namespace, name))
        if found:
            return self.answer(200, found)
        return self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                 "reason": "NotFound", "code": 404, "message": f"{plural} {name}"})

    def listing(self, plural, namespace):
        with self.api.lock:
            kind = self.api.kind(plural)
            body = {"apiVersion": kind.api_version, "kind": kind.name + "List",
                    "metadata": {"resourceVersion": str(self.api.version)},
                    "items": [o for (ns, _), o in kind.objects.items() if namespace in ("", ns)]}
        return self.answer(200, body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def watch(self, plural, namespace, query):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        api = self.api
        with api.lock:
            kind = api.kind(plural)
            first = b""
            since = int(query.get("resourceVersion") or 0)
            if query.get("sendInitialEvents") == "true":
                since = api.version
                first = b"".join(
                    json.dumps({"type": "ADDED", "object": o}).encode() + b"\n"
                    for (ns, _), o in kind.objects.items() if namespace in ("", ns))
                first += json.dumps({"type": "BOOKMARK", "object": {
                    "apiVersion": kind.api_version, "kind": kind.name,
                    "metadata": {"resourceVersion": str(since),
                                 "annotations": {"k8s.io/initial-events-end": "true"}}}}).encode() + b"\n"
            place = sum(version <= since for version, _ in kind.events)
        deadline = time.monotonic() + float(query.get("timeoutSeconds", 600))
        with contextlib.suppress(OSError):
            if first:
                self.chunk(first)
            else:
                self.wfile.flush()
            while time.monotonic() < deadline:
                with api.lock:
                    if place == len(kind.events) and not api.stopped:
                        api.lock.wait(IDLE_SECONDS)
                    lines = [line for _, line in kind.events[place:]]
                    place += len(lines)
                    if api.stopped:
                        break
                if lines:
                    self.chunk(b"".join(lines))
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        self.close_connection = True

    def web_socket(self):
        """Takes reports and forgets them; answers pings, as clients measure the connection by them."""
        key = self.headers["Sec-WebSocket-Key"] + WEB_SOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while True:
                start = self.rfile.read(2)
                if len(start) < 2:
                    return
                size = start[1] & 127
                if size > 125:
                    size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
                mask = self.rfile.read(4) if start[1] & 128 else bytes(4)
                data = self.rfile.read(size)
                if start[0] & 15 == 9 and size < 126:
                    plain = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
                    self.wfile.write(bytes((0x8A, size)) + plain)
                    self.wfile.flush()
                if start[0] & 15 == 8:
                    return
