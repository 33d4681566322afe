package processruntime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// startInNamespaces starts the command in its pod's network, and with mounts and a
// host name of its own: the pod's volumes (ConfigMaps, Secrets, service-account
// tokens, /etc/hosts ...) are bound at the paths the pod asks for, and the rest is
// read-only where its security context says so.
//
// A missing mount point is created on the machine's own file system and stays,
// as an empty file or directory.
func startInNamespaces(command *exec.Cmd, c *container) error {
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("new namespaces: %w", err)
		}
		if err := unix.Sethostname([]byte(c.sandbox.config.GetHostname())); err != nil {
			return fmt.Errorf("host name: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		for _, mount := range c.config.GetMounts() {
			if err := bind(mount); err != nil {
				return fmt.Errorf("mount %s at %s: %w", mount.GetHostPath(), mount.GetContainerPath(), err)
			}
		}
		if c.config.GetLinux().GetSecurityContext().GetReadonlyRootfs() {
			if err := unix.Mount("", "/", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				return fmt.Errorf("make the root read-only: %w", err)
			}
		}
		if c.sandbox.network != nil {
			if err := c.sandbox.network.enter(); err != nil {
				return fmt.Errorf("enter the pod's network: %w", err)
			}
		}
		return command.Start()
	})
}

// startBeside starts the command in the namespaces of a running process.
func startBeside(command *exec.Cmd, pid int) error {
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns refuses a thread that shares its root
			return err
		}
		for name, kind := range map[string]int{"mnt": unix.CLONE_NEWNS, "uts": unix.CLONE_NEWUTS, "net": unix.CLONE_NEWNET} {
			namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
			if err != nil {
				return err
			}
			err = unix.Setns(int(namespace.Fd()), kind)
			_ = namespace.Close()
			if err != nil {
				return err
			}
		}
		return command.Start()
	})
}

// The process's first thread is main's alone: it never ends, and its namespaces are
// those that /proc/PID/ns shows as the process's.
func init() { runtime.LockOSThread() }

// onOwnThread runs the function on a thread that ends with it, because what
// the function does to its namespaces cannot be undone.
func onOwnThread(function func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the Go runtime drops the thread
		done <- function()
	}()
	return <-done
}

func bind(mount *runtimeapi.Mount) error {
	source, target := mount.GetHostPath(), mount.GetContainerPath()
	if err := makeMountPoint(source, target); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !mount.GetReadonly() {
		return nil
	}
	return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

func makeMountPoint(source, target string) error {
	if _, err := os.Stat(target); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o644)
}
