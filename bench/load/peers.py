"""The proxies that are compared: how each is configured, on the same terms, and started.

The terms: one worker, keep-alive on both sides without a limit of requests, X-Forwarded-For added, no access log,
no compression, no TLS.
"""

import contextlib
import shutil

import knative
from kube_stub import KubeStub
from processes import Failed, Process, free_port
from rouse_config import rouse_command

RELAYS = {"relay": "rouse_relay", "relay_again": "rouse_relay", "shard_relay": "shard_relay"}
KNATIVE = ("queue_proxy", "activator", "activator_queue")
PEERS = ("nginx", "haproxy", "h2o", "nghttpx", "envoy", *KNATIVE)
ALL = ("relay", "shard_relay", "rouse", "rouse_alike", *PEERS)

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr error; worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_max_body_size 0; proxy_request_buffering off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 2000; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9900
defaults
  mode http
  maxconn 9900
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
listen bench
  bind 127.0.0.1:{port} backlog 4096
  server origin 127.0.0.1:{origin}
"""

H2O = """
num-threads: 1
max-connections: 19000
http1-request-timeout: 600
listen: {{host: 127.0.0.1, port: {port}}}
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{origin}/
        proxy.timeout.keepalive: 600000
        proxy.preserve-host: ON
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          use_remote_address: true
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: origin, timeout: 0s}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
              suppress_envoy_headers: true
  clusters:
  - name: origin
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {origin}}}}}}}
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 19000
"""


class Proxy:
    """A proxy as a case sees it: a port, what its requests need, and the processes whose time it costs."""

    def __init__(self, name, port, processes, fields=()):
        self.name, self.port, self.processes, self.fields = name, port, processes, list(fields)

    def cpu_seconds(self):
        return sum(one.cpu_seconds() for one in self.processes)

    def rss_kib(self):
        return sum(one.rss_kib() for one in self.processes)

    def tree(self):
        return [pid for one in self.processes for pid in one.tree()]

    def alive(self):
        return all(one.alive() for one in self.processes)


class World:
    """What a case runs in: an origin, the proxies started so far, and a directory. A context manager."""

    def __init__(self, options, directory, log):
        self.options, self.directory, self.log = options, directory, log
        self.running = contextlib.ExitStack()
        self.origin = None
        self.shared = {}

    def __enter__(self):
        self.origin = self.keep(Process("origin", [self.options.bin / "echo_upstream", 128],
                                        self.options.cpu_load, self.log, prints_port=True))
        return self

    def __exit__(self, *_):
        self.running.close()

    def keep(self, thing):
        self.running.callback(thing.stop)
        return thing

    def process(self, name, command, **more):
        return self.keep(Process(name, command, self.options.cpu_proxy, self.log, **more))

    def start(self, name, rouse=None):
        """`rouse` says how a rouse-proxy differs from the plain one."""
        if name in RELAYS:
            process = self.process(name, [self.options.bin / RELAYS[name], self.origin.port], prints_port=True)
            return Proxy(name, process.port, [process])
        if name.startswith("rouse"):
            return self.start_rouse(name, rouse or {})
        if name in KNATIVE:
            return self.start_knative(name)
        port = free_port()
        return Proxy(name, port, [self.process(name, self.command(name, port))])

    def config(self, name, template, port):
        path = self.directory / f"{name}.conf"
        path.write_text(template.format(dir=self.directory, port=port, origin=self.origin.port))
        return path

    def command(self, name, port):
        if name == "nginx":
            return ["nginx", "-p", self.directory, "-c", self.config(name, NGINX, port)]
        if name == "haproxy":
            return ["haproxy", "-db", "-q", "-f", self.config(name, HAPROXY, port)]
        if name == "h2o":
            return ["h2o", "-m", "worker", "-c", self.config(name, H2O, port)]
        if name == "nghttpx":
            return ["nghttpx", "--conf=/dev/null", "--workers=1", "--single-process",
                    f"--frontend=127.0.0.1,{port};no-tls", f"--backend=127.0.0.1,{self.origin.port};;proto=http/1.1",
                    "--backlog=4096", "--add-x-forwarded-for", "--accesslog-file=", "--errorlog-file=/dev/stderr",
                    "--log-level=ERROR", "--frontend-keep-alive-timeout=600", "--frontend-read-timeout=600"]
        if name == "envoy":
            return [self.options.tools / "bin/envoy", "--concurrency", "1", "--disable-hot-restart",
                    "--log-level", "error", "--config-path", self.config("envoy.yaml", ENVOY, port).rename(
                        self.directory / "envoy.yaml")]
        raise Failed(f"no such proxy: {name}")

    def start_rouse(self, name, how):
        port, health = free_port(), free_port()
        command = rouse_command(self, name, port, health, how)
        output = None
        if "access_log" in how:
            output = self.running.enter_context(open(self.directory / f"{name}.access", "wb"))
        command = how.get("under", []) + command
        proxy = Proxy(name, port, [self.process(name, command, output=output, env=how.get("env"))])
        proxy.health = health
        return proxy

    # ---- Knative: one activator and one queue-proxy, since their ports are fixed, in three compositions ----

    def start_knative(self, name):
        queue = activator = None
        if name != "activator":
            queue = self.once("queue", self.queue_proxy)
        if name != "queue_proxy":
            activator = self.once("activator", self.activator)
        if name == "queue_proxy":
            return Proxy(name, queue.port, [queue])
        revision = "echo" if name == "activator" else "echo-queue"
        fields = ["Knative-Serving-Namespace: bench", f"Knative-Serving-Revision: {revision}"]
        return Proxy(name, knative.ACTIVATOR_PORT, [activator] + ([queue] if queue else []), fields)

    def once(self, name, make):
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]

    def queue_proxy(self):
        port = free_port()
        process = self.process("queue", [self.options.tools / "bin/queue"],
                               env=knative.queue_env(port, self.origin.port))
        process.port = port
        return process

    def activator(self):
        queue = self.once("queue", self.queue_proxy)
        stub = self.keep(knative.activator_stub({"echo": self.origin.port, "echo-queue": queue.port}))
        self.keep(KubeStub(knative.AUTOSCALER_ADDRESS, knative.AUTOSCALER_PORT))
        command = knative.activator_command(self.options.tools / "bin/activator", self.directory)
        return self.process("activator", command, env=knative.activator_env(stub, self.directory))


def missing(name, options):
    """Why a proxy cannot be run here; None where it can."""
    if name in RELAYS or name.startswith("rouse"):
        return None
    if name in KNATIVE:
        program = "queue" if name == "queue_proxy" else "activator"
        if not (options.tools / "bin" / program).exists():
            return f"{program} is not installed"
        if name != "queue_proxy" and not knative.can_replace_hosts():
            return "it needs a mount namespace, for which one must be root"
        return None
    if name == "envoy":
        return None if (options.tools / "bin/envoy").exists() else "not installed"
    return None if shutil.which(name) else "not installed"
