package controlplane

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"syscall"
)

// The cluster's addresses. All IPv4 ones lie in 198.18.0.0/15, the range set aside
// for tests on isolated networks; those of nodes and Services are local to the
// network namespace that netns.sh makes, each pod's are in a namespace of its own.
const (
	apiServerAddress = "198.19.0.1" // also the ClusterIP of the Service "kubernetes"
	apiServerURL     = "https://" + apiServerAddress + ":443"
	serviceRange     = "198.19.0.0/16,fd00:198:19::/112"
	etcdAddress      = "127.0.0.1:2379"
	MaxNodes         = 8
)

// auditPolicy keeps who wrote which scale and lease, and when: audit.log has a JSON line each.
const (
	auditPolicyName = "audit-policy.yaml"
	auditPolicy     = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  verbs: [create, update, patch]
  resources: [{group: apps, resources: ["*/scale"]}, {group: coordination.k8s.io, resources: [leases], resourceNames: [rouse-autoscaler]}]
- level: None
`
)

func nodeName(number int) string      { return fmt.Sprintf("node-%d", number) }
func runtimeName(number int) string   { return "runtime-" + nodeName(number) }
func nodeAddress(number int) string   { return fmt.Sprintf("198.18.0.%d", number) }
func nodeAddressV6(number int) string { return fmt.Sprintf("fd00::c612:%d", number) }
func podRange(number int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("198.18.%d.0/24", number))
}

func (c *Cluster) newEtcd() *Component {
	return newComponent("etcd", c.config.Directory, c.config.KubeBinary, "etcd",
		"--data-dir="+filepath.Join(c.config.Directory, "etcd"),
		"--listen-client-urls=http://"+etcdAddress,
		"--advertise-client-urls=http://"+etcdAddress,
		"--unsafe-no-fsync", // what is written survives a kill -9, though not a power cut
		"--log-level=warn",
	)
}

func (c *Cluster) newAPIServer() *Component {
	return newComponent("kube-apiserver", c.config.Directory, c.config.KubeBinary, "kube-apiserver",
		"--etcd-servers=http://"+etcdAddress,
		"--bind-address="+apiServerAddress, "--advertise-address="+apiServerAddress, "--secure-port=443",
		"--service-cluster-ip-range="+serviceRange,
		"--tls-cert-file="+c.path("apiserver.crt"), "--tls-private-key-file="+c.path("apiserver.key"),
		"--client-ca-file="+c.path("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("service-accounts.key"),
		"--service-account-signing-key-file="+c.path("service-accounts.key"),
		"--kubelet-client-certificate="+c.path("kubelet-client.crt"), "--kubelet-client-key="+c.path("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		// Aggregated APIs (metrics) and webhooks are called at their endpoints: there is no kube-proxy.
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file="+c.path("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--audit-policy-file="+c.path(auditPolicyName), "--audit-log-path="+c.path("audit.log"), "--audit-log-mode=batch",
		"--proxy-client-cert-file="+c.path("front-proxy.crt"), "--proxy-client-key-file="+c.path("front-proxy.key"),
	)
}

func (c *Cluster) newControllerManager() *Component {
	kubeconfig := c.path("kube-controller-manager.kubeconfig")
	return newComponent("kube-controller-manager", c.config.Directory, c.config.KubeBinary, "kube-controller-manager",
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--root-ca-file="+c.path("ca.crt"),
		"--service-account-private-key-file="+c.path("service-accounts.key"),
	)
}

func (c *Cluster) newScheduler() *Component {
	kubeconfig := c.path("kube-scheduler.kubeconfig")
	return newComponent("kube-scheduler", c.config.Directory, c.config.KubeBinary, "kube-scheduler",
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
	)
}

// newServiceProxy stands in for kube-proxy, with its rights.
func (c *Cluster) newServiceProxy() *Component {
	return newComponent("service-proxy", c.config.Directory, c.config.SelfBinary, "service-proxy", c.path("service-proxy.kubeconfig"))
}

func (c *Cluster) newRuntime(number int) *Component {
	runtime := newComponent(runtimeName(number), c.config.Directory, c.config.SelfBinary, "runtime",
		"--socket="+c.runtimeSocket(number), "--fault-socket="+c.faultSocket(number),
		"--images="+c.config.ImageCatalog,
		"--pod-addresses="+podRange(number).String(), "--node-address="+nodeAddress(number),
	)
	runtime.killSignal = syscall.SIGTERM // at which it kills its pods, so that none outlives its node
	return runtime
}

func (c *Cluster) newKubelet(number int) *Component {
	name := nodeName(number)
	return newComponent("kubelet-"+name, c.config.Directory, c.config.KubeBinary, "kubelet",
		"--kubeconfig="+c.path(name+".kubeconfig"), "--hostname-override="+name,
		"--node-ip="+nodeAddress(number)+","+nodeAddressV6(number), "--address="+nodeAddress(number), "--healthz-port=0",
		"--root-dir="+c.path(name), "--cert-dir="+c.path(name+"-certificates"), "--pod-manifest-path=",
		"--container-runtime-endpoint=unix://"+c.runtimeSocket(number),
		"--anonymous-auth=false", "--client-ca-file="+c.path("ca.crt"),
	)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.config.Directory, name) }
func (c *Cluster) runtimeSocket(number int) string {
	return c.path(nodeName(number) + ".runtime.sock")
}
func (c *Cluster) faultSocket(number int) string { return c.path(nodeName(number) + ".faults.sock") }
