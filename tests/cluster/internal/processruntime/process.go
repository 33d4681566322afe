package processruntime

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a container's running process and its process group.
type process struct {
	command   *exec.Cmd
	log       *containerLog
	startedAt time.Time
	exited    chan struct{} // closed once the exit is recorded
}

// startProcess runs the container's command, or the image's where the pod
// gives none, with the container's environment, mounts and user.
func startProcess(c *container, image image) (*process, error) {
	environment := environmentOf(c)
	argv := argumentsOf(c, image, environment)
	if len(argv) == 0 {
		return nil, errors.New("neither the container nor the image names a command")
	}
	command := exec.Command(argv[0], argv[1:]...)
	command.Env = environment
	command.Dir = workingDirectoryOf(c, image)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credentialOf(c)}

	log, err := openContainerLog(logPath(c))
	if err != nil {
		return nil, err
	}
	stdout, stderr, err := log.pipes()
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = stdout, stderr
	err = startInNamespaces(command, c)
	_ = stdout.Close() // the child holds its own copies
	_ = stderr.Close()
	if err != nil {
		return nil, err
	}
	return &process{command: command, log: log, startedAt: time.Now(), exited: make(chan struct{})}, nil
}

// wait returns the exit code as a shell would: 128 + N for death by signal N.
func (p *process) wait() int32 {
	_ = p.command.Wait()
	p.signal(syscall.SIGKILL) // whatever the process left behind in its group
	state := p.command.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int32(status.Signal())
	}
	return int32(state.ExitCode())
}

// stop asks the process to end and waits; past the timeout it kills the group.
func (p *process) stop(timeout time.Duration) {
	if timeout > 0 {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return
		case <-time.After(timeout):
		}
	}
	p.kill()
	<-p.exited
}

func (p *process) kill() { p.signal(syscall.SIGKILL) }

// signal reaches the whole process group.
func (p *process) signal(signal syscall.Signal) { _ = syscall.Kill(-p.command.Process.Pid, signal) }

// environmentOf is what the kubelet resolved (env, envFrom, service variables)
// after the few variables an image would have brought.
func environmentOf(c *container) []string {
	environment := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + homeOf(c),
		"HOSTNAME=" + c.sandbox.config.GetHostname(),
	}
	for _, variable := range c.config.GetEnvs() {
		environment = append(environment, variable.GetKey()+"="+variable.GetValue())
	}
	return environment
}

// argumentsOf applies the container image rules: the pod's command replaces
// the image's command and arguments, the pod's args replace the image's args.
func argumentsOf(c *container, image image, environment []string) []string {
	argv := c.config.GetCommand()
	args := c.config.GetArgs()
	if len(argv) == 0 {
		argv = image.Command
		if len(args) == 0 {
			args = image.Args
		}
	}
	argv = slices.Concat(argv, args)
	for i := range argv {
		argv[i] = expand(argv[i], environment)
	}
	return argv
}

var reference = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`)

// expand replaces $(NAME) by the environment's last NAME; an unknown name
// stays as it is.
func expand(text string, environment []string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		prefix := match[2:len(match)-1] + "="
		for _, variable := range slices.Backward(environment) {
			if value, ok := strings.CutPrefix(variable, prefix); ok {
				return value
			}
		}
		return match
	})
}

func workingDirectoryOf(c *container, image image) string {
	if directory := c.config.GetWorkingDir(); directory != "" {
		return directory
	}
	return image.WorkingDir
}

// credentialOf is the user of the pod's securityContext, or this process's.
func credentialOf(c *container) *syscall.Credential {
	security := c.config.GetLinux().GetSecurityContext()
	if security.GetRunAsUser() == nil {
		return nil
	}
	credential := &syscall.Credential{Uid: uint32(security.GetRunAsUser().GetValue())}
	credential.Gid = uint32(security.GetRunAsGroup().GetValue())
	for _, group := range security.GetSupplementalGroups() {
		credential.Groups = append(credential.Groups, uint32(group))
	}
	return credential
}

// homeOf: root has one, and no other user is known to the machine.
func homeOf(c *container) string {
	if credential := credentialOf(c); credential != nil && credential.Uid != 0 {
		return "/"
	}
	return "/root"
}

func logPath(c *container) string {
	if c.config.GetLogPath() == "" {
		return ""
	}
	return filepath.Join(c.sandbox.config.GetLogDirectory(), c.config.GetLogPath())
}
