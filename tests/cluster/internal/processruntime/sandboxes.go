package processruntime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandbox is one pod's place on the node: its addresses and the network they are in.
type sandbox struct {
	id        string
	config    *runtimeapi.PodSandboxConfig
	addresses []netip.Addr // the node's, where the pod is on the host network
	network   *podNetwork  // nil on the host network
	createdAt time.Time
	ready     bool
}

// RunPodSandbox gives the pod its addresses and a network with them.
func (r *Runtime) RunPodSandbox(_ context.Context, request *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	pod := &sandbox{id: newID(), config: request.GetConfig(), createdAt: time.Now(), ready: true}
	if pod.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == runtimeapi.NamespaceMode_NODE {
		pod.addresses = []netip.Addr{r.config.NodeAddress}
	} else if err := r.connect(pod); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[pod.id] = pod
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: pod.id}, nil
}

func (r *Runtime) connect(pod *sandbox) error {
	r.mu.Lock()
	address, ok := r.addresses.take()
	r.mu.Unlock()
	if !ok {
		return status.Error(codes.ResourceExhausted, "no pod address left")
	}
	pod.addresses = []netip.Addr{address, mapped(address)}
	network, err := newPodNetwork(pod.id, pod.addresses, r.config.NodeAddress)
	if err != nil {
		r.disconnect(pod)
		return status.Errorf(codes.Unknown, "pod network: %v", err)
	}
	pod.network = network
	return nil
}

func (r *Runtime) disconnect(pod *sandbox) {
	if pod.network != nil {
		pod.network.close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses.giveBack(pod.addresses[0])
}

// StopPodSandbox kills what is left in the pod and takes its addresses back.
func (r *Runtime) StopPodSandbox(_ context.Context, request *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	r.mu.Lock()
	pod, ok := r.sandboxes[request.GetPodSandboxId()]
	running := r.runningIn(request.GetPodSandboxId())
	wasReady := ok && pod.ready
	if ok {
		pod.ready = false
	}
	r.mu.Unlock()
	for _, process := range running {
		process.kill()
		<-process.exited
	}
	if wasReady && pod.network != nil {
		r.disconnect(pod)
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// RemovePodSandbox forgets the pod and its containers.
func (r *Runtime) RemovePodSandbox(ctx context.Context, request *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	id := request.GetPodSandboxId()
	if _, err := r.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for containerID, c := range r.containers {
		if c.sandbox.id == id {
			delete(r.containers, containerID)
		}
	}
	delete(r.sandboxes, id)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// PodSandboxStatus tells the kubelet the pod's address.
func (r *Runtime) PodSandboxStatus(_ context.Context, request *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pod, ok := r.sandboxes[request.GetPodSandboxId()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "no sandbox %s", request.GetPodSandboxId())
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: pod.status()}, nil
}

// ListPodSandbox lists the pods that match the filter.
func (r *Runtime) ListPodSandbox(_ context.Context, request *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	filter := request.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	response := &runtimeapi.ListPodSandboxResponse{}
	for _, pod := range r.sandboxes {
		if filter.GetId() != "" && filter.GetId() != pod.id ||
			filter.GetState() != nil && filter.GetState().State != pod.state() ||
			!hasLabels(pod.config.GetLabels(), filter.GetLabelSelector()) {
			continue
		}
		response.Items = append(response.Items, &runtimeapi.PodSandbox{
			Id: pod.id, Metadata: pod.config.GetMetadata(), State: pod.state(), CreatedAt: pod.createdAt.UnixNano(),
			Labels: pod.config.GetLabels(), Annotations: pod.config.GetAnnotations(),
		})
	}
	return response, nil
}

// UpdatePodSandboxResources accepts a resize; there is no cgroup to resize.
func (r *Runtime) UpdatePodSandboxResources(context.Context, *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	return &runtimeapi.UpdatePodSandboxResourcesResponse{}, nil
}

func (s *sandbox) state() runtimeapi.PodSandboxState {
	if s.ready {
		return runtimeapi.PodSandboxState_SANDBOX_READY
	}
	return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
}

func (s *sandbox) status() *runtimeapi.PodSandboxStatus {
	pod := &runtimeapi.PodSandboxStatus{
		Id: s.id, Metadata: s.config.GetMetadata(), State: s.state(), CreatedAt: s.createdAt.UnixNano(),
		Labels: s.config.GetLabels(), Annotations: s.config.GetAnnotations(),
		Network: &runtimeapi.PodSandboxNetworkStatus{},
		Linux: &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{
			Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions(),
		}},
	}
	if s.network != nil { // for the others the kubelet reports the node's address itself
		pod.Network.Ip = s.addresses[0].String()
		for _, address := range s.addresses[1:] {
			pod.Network.AdditionalIps = append(pod.Network.AdditionalIps, &runtimeapi.PodIP{Ip: address.String()})
		}
	}
	return pod
}

func hasLabels(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func newID() string {
	var id [32]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(fmt.Sprintf("no randomness: %v", err))
	}
	return hex.EncodeToString(id[:])
}

// addressPool is a queue of free addresses: one given back goes to the end, so
// it rests as long as possible before another pod has it.
type addressPool struct{ free []netip.Addr }

// newAddressPool holds the prefix's addresses but the first and the last,
// which in a network are its own and the broadcast address.
func newAddressPool(prefix netip.Prefix) *addressPool {
	pool := &addressPool{}
	address := prefix.Masked().Addr().Next()
	for next := address.Next(); prefix.Contains(next); next = next.Next() {
		pool.free = append(pool.free, address)
		address = next
	}
	return pool
}

func (p *addressPool) take() (netip.Addr, bool) {
	if len(p.free) == 0 {
		return netip.Addr{}, false
	}
	address := p.free[0]
	p.free = p.free[1:]
	return address, true
}

// mapped is the IPv6 address that goes with an IPv4 one: fd00:: and the same 32 bits.
func mapped(address netip.Addr) netip.Addr {
	bytes := [16]byte{0: 0xfd}
	v4 := address.As4()
	copy(bytes[12:], v4[:])
	return netip.AddrFrom16(bytes)
}

func (p *addressPool) giveBack(address netip.Addr) { p.free = append(p.free, address) }
