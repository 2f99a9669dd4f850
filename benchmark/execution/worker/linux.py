"""Linux: the calls that Python does not offer (prctl, unshare, mount), and pseudo files."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, what + ": " + os.strerror(number))


def read_text(path: str) -> str:
    """A pseudo file's text; empty where its process or group is gone already."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def read_head(path: str, most: int) -> bytes:
    """The first bytes of a file that a task may have made: waits for no pipe, follows no link."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, most)
    except OSError:
        return b""
    finally:
        os.close(fd)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get a signal when the parent (its thread that forked us) ends."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_subreaper() -> None:
    """Adopt orphaned descendants, so that none gets away."""
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def new_pid_namespace() -> None:
    """The next child is the init of a PID namespace; a user namespace gives the right to it."""
    if os.geteuid() == 0:
        _checked(_libc.unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)")
        return
    uid, gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWUSER | CLONE_NEWPID), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", "%d %d 1" % (uid, uid)),
        ("gid_map", "%d %d 1" % (gid, gid)),
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)


def mount_own_proc() -> None:
    """In a fresh PID namespace: a /proc that shows it, seen by nobody else."""
    _checked(_libc.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    _checked(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount(private)")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _checked(_libc.mount(b"proc", b"/proc", b"proc", flags, None), "mount(/proc)")


def namespace_works() -> bool:
    """Whether this process may make PID namespaces with a /proc of their own: found by trying."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            new_pid_namespace()
            inner = os.fork()
            if inner == 0:
                try:
                    mount_own_proc()
                    code = 0 if os.getpid() == 1 else 1
                finally:
                    os._exit(code)
            code = 0 if os.waitpid(inner, 0)[1] == 0 else 1
        except OSError:
            code = 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
