// Package processruntime is a container runtime whose containers are plain
// local processes. It speaks CRI v1, so the real kubelet drives it as it would
// containerd: images are names in a catalog file, a pod sandbox is an address,
// and a container is a process with a mount namespace of its own.
//
// A pod has a network namespace of its own, and its containers mount namespaces of
// theirs; processes, users and resources are the machine's.
package processruntime

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"
)

// Config says where a Runtime listens and what it may hand out.
type Config struct {
	Socket       string       // unix socket for CRI, the kubelet's --container-runtime-endpoint
	FaultSocket  string       // unix socket for the fault controls (see faults.go)
	ImageCatalog string       // YAML file, image name to command (see images.go)
	PodAddresses netip.Prefix // where pod addresses come from
	NodeAddress  netip.Addr   // the address of pods on the host network
}

// Runtime implements the CRI runtime service. Its methods are in sandboxes.go,
// containers.go, exec.go and streams.go.
type Runtime struct {
	runtimeapi.UnimplementedRuntimeServiceServer

	config  Config
	images  *imageService
	streams streaming.Server // from Serve on

	mu         sync.Mutex // guards all below, and the fields of every sandbox and container
	addresses  *addressPool
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// New returns a runtime with no pods.
func New(config Config) *Runtime {
	return &Runtime{
		config:     config,
		images:     newImageService(config.ImageCatalog),
		addresses:  newAddressPool(config.PodAddresses),
		sandboxes:  map[string]*sandbox{},
		containers: map[string]*container{},
	}
}

// Serve answers CRI calls and fault controls until the context ends, then
// kills every process it started.
func (r *Runtime) Serve(ctx context.Context) error {
	criListener, err := listenUnix(r.config.Socket)
	if err != nil {
		return err
	}
	faultListener, err := listenUnix(r.config.FaultSocket)
	if err != nil {
		return err
	}
	streams, err := r.serveStreams()
	if err != nil {
		return err
	}
	defer streams.Close()
	cri := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(cri, r)
	runtimeapi.RegisterImageServiceServer(cri, r.images)
	faults := &http.Server{Handler: r.faultHandler(), ReadHeaderTimeout: time.Second}

	failed := make(chan error, 2)
	go func() { failed <- cri.Serve(criListener) }()
	go func() { failed <- faults.Serve(faultListener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	cri.Stop()
	_ = faults.Close()
	r.killAll()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Version names the runtime in the Node's status.
func (r *Runtime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "process", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status reports that the runtime and its network are always ready.
func (r *Runtime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: true},
	}}}, nil
}

// RuntimeConfig names a cgroup driver; the kubelet asks, then uses none.
func (r *Runtime) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig takes and ignores the node's pod CIDR.
func (r *Runtime) UpdateRuntimeConfig(context.Context, *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}
