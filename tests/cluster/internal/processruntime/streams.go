package processruntime

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/tools/remotecommand"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"
)

// streamAddress: the kubelet, which asks for streams, runs beside the runtime.
const streamAddress = "127.0.0.1:0"

// forwardTimeout is for a dial within a pod.
const forwardTimeout = 5 * time.Second

var errNoTerminal = errors.New("this runtime neither executes nor attaches")

// streams serves `kubectl port-forward`, by upstream's own server.
type streams struct{ runtime *Runtime }

// serveStreams listens for the kubelet's streams and serves them until the returned server is closed.
func (r *Runtime) serveStreams() (*http.Server, error) {
	listener, err := net.Listen("tcp", streamAddress)
	if err != nil {
		return nil, err
	}
	config := streaming.DefaultConfig
	config.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/"}
	r.streams, err = streaming.NewServer(config, streams{r})
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	server := &http.Server{Handler: r.streams, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

// PortForward says where the kubelet finds the stream to a pod's port.
func (r *Runtime) PortForward(_ context.Context, request *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	return r.streams.GetPortForward(request)
}

// PortForward joins the stream to a port of the pod's own loopback, for one connection.
func (s streams) PortForward(ctx context.Context, podID string, port int32, stream io.ReadWriteCloser) error {
	s.runtime.mu.Lock()
	pod, ok := s.runtime.sandboxes[podID]
	ok = ok && pod.ready && pod.network != nil
	s.runtime.mu.Unlock()
	if !ok {
		return status.Errorf(codes.NotFound, "no sandbox %s with a network of its own", podID)
	}
	var connection net.Conn
	err := onOwnThread(func() error {
		err := pod.network.enter()
		if err == nil {
			dialer := net.Dialer{Timeout: forwardTimeout}
			connection, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		}
		return err
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// Exec is not served: probes and hooks run by ExecSync.
func (streams) Exec(context.Context, string, []string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return errNoTerminal
}

// Attach is not served.
func (streams) Attach(context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return errNoTerminal
}
