package processruntime

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Process is one running container as the fault controls show it.
type Process struct {
	Pod       string    `json:"pod"` // namespace/name
	Container string    `json:"container"`
	Address   string    `json:"address"`
	PID       int       `json:"pid"`
	SandboxAt time.Time `json:"sandboxAt"`
	StartedAt time.Time `json:"startedAt"`
}

// signals are those a test may send to a pod.
var signals = map[string]syscall.Signal{
	"KILL": syscall.SIGKILL, // crash
	"TERM": syscall.SIGTERM, // leave by itself
	"STOP": syscall.SIGSTOP, // freeze: the socket accepts, nobody answers
	"CONT": syscall.SIGCONT, // thaw
}

// faultHandler serves, on the fault socket,
//
//	GET  /processes                        the running containers
//	POST /signal?pod=NAMESPACE/NAME&signal=KILL|TERM|STOP|CONT
func (r *Runtime) faultHandler() http.Handler {
	handler := http.NewServeMux()
	handler.HandleFunc("GET /processes", func(response http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(response).Encode(r.Processes())
	})
	handler.HandleFunc("POST /signal", func(response http.ResponseWriter, request *http.Request) {
		signal, ok := signals[request.FormValue("signal")]
		if !ok {
			http.Error(response, "unknown signal", http.StatusBadRequest)
			return
		}
		if !r.signalPod(request.FormValue("pod"), signal) {
			http.Error(response, "no such pod runs here", http.StatusNotFound)
		}
	})
	return handler
}

// Processes lists the running containers, oldest first.
func (r *Runtime) Processes() []Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []Process{}
	for _, c := range r.containers {
		if c.state != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		list = append(list, Process{
			Pod: podName(c), Container: c.config.GetMetadata().GetName(), Address: c.sandbox.addresses[0].String(),
			PID: c.process.command.Process.Pid, SandboxAt: c.sandbox.createdAt, StartedAt: c.startedAt,
		})
	}
	slices.SortFunc(list, func(a, b Process) int { return a.StartedAt.Compare(b.StartedAt) })
	return list
}

func (r *Runtime) signalPod(pod string, signal syscall.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for _, c := range r.containers {
		if c.state == runtimeapi.ContainerState_CONTAINER_RUNNING && podName(c) == pod {
			c.process.signal(signal)
			found = true
		}
	}
	return found
}

func podName(c *container) string {
	metadata := c.sandbox.config.GetMetadata()
	return strings.Join([]string{metadata.GetNamespace(), metadata.GetName()}, "/")
}
