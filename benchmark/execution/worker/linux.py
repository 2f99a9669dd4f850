"""Linux: the calls that Python does not offer (prctl, unshare, mount), and pseudo files."""

import ctypes
import os
import signal
from typing import List, NamedTuple, Optional

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1 << 12, 1 << 14, 1 << 18, 1 << 21
# A mount's flags that a remount in a user namespace has to repeat; relatime has another value.
_KEPT_FLAGS, _ST_RELATIME = MS_NOSUID | MS_NODEV | MS_NOEXEC | 1 << 10 | 1 << 11, 1 << 12
PR_CAPBSET_DROP, _CAPABILITY_VERSION = 24, 0x20080522
# What would let root look below a mount: by handle, as a module, by its own device, by unmounting.
_DAC_READ_SEARCH, _SYS_MODULE, _SYS_RAWIO, _SYS_ADMIN, _MKNOD = 2, 16, 17, 21, 27
_SHM = "/dev/shm"  # noqa: S108  # nosec B108 # one of its own
_MODE_SHM = "mode=1777,size=%dm"

Apart = NamedTuple(
    "Apart",
    [
        ("hidden", List[str]),
        ("work", str),
        ("readable", List[str]),
        ("memory_mb", float),
        ("trusted", bool),
    ],
)

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
    """In a fresh PID namespace: a /proc that shows it, seen by no one else."""
    _checked(_libc.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    _checked(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount(private)")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _checked(_libc.mount(b"proc", b"/proc", b"proc", flags, None), "mount(/proc)")


def set_apart(apart: Apart) -> None:
    """After mount_own_proc: IPC objects and /dev/shm of its own, and only its own files to be seen.

    `hidden` are folders that look empty but for `work`, which can be written, and the files
    `readable`, which cannot. The rights to undo this are given up; a `trusted` task of root's, the
    study's own command, keeps them.
    """
    _checked(_libc.unshare(CLONE_NEWIPC), "unshare(CLONE_NEWIPC)")
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    kept = [(path, os.open(path, flags), path != apart.work) for path in _kept(apart)]
    if os.path.isdir(_SHM):
        # So much more than it may take that the watchdog sees it before the task finds it full.
        size = _MODE_SHM % (2 * apart.memory_mb + 256)
        _mount(b"tmpfs", _SHM, b"tmpfs", MS_NOSUID | MS_NODEV, size)
    for folder in apart.hidden:
        os.makedirs(folder, 0o700, exist_ok=True)  # It may have been in /dev/shm.
        _mount(b"tmpfs", folder, b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=1m")
    for path, source, read_only in kept:
        _stand_in(path, read_only)
        _mount(b"/proc/self/fd/%d" % source, path, None, MS_BIND)
        if read_only:
            facts = os.statvfs(path).f_flag
            same = facts & _KEPT_FLAGS | (MS_RELATIME if facts & _ST_RELATIME else 0)
            _mount(b"none", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | same)
        os.close(source)
    same = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    for folder in apart.hidden:
        _mount(b"none", folder, None, same)
    os.chdir(apart.work or "/")  # What this process was in lies below a mount.
    if os.geteuid() != 0 or not apart.trusted:
        _give_up_rights()


def _kept(apart: Apart) -> List[str]:
    return apart.readable + ([apart.work] if apart.work else [])


def _stand_in(path: str, file: bool) -> None:
    """Something to mount on, where the path lies in a hidden folder."""
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path) if file else path, 0o700, exist_ok=True)
    if file:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o400))


def _mount(source: bytes, target: str, kind: Optional[bytes], flags: int, data: str = "") -> None:
    done = _libc.mount(source, os.fsencode(target), kind, flags, data.encode() or None)
    _checked(done, "mount(%s)" % target)


def _give_up_rights() -> None:
    """Of a user namespace's, all; of root's, those that undo what is mounted."""
    if os.geteuid() != 0:
        left = [0, 0, 0, 0, 0, 0]
    else:
        gone = (_DAC_READ_SEARCH, _SYS_MODULE, _SYS_RAWIO, _SYS_ADMIN, _MKNOD)
        for number in gone:
            _checked(_libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "prctl(PR_CAPBSET_DROP)")
        mask = 0xFFFFFFFF
        for number in gone:
            mask &= ~(1 << number)
        have = (ctypes.c_uint32 * 6)()
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        _checked(_libc.capget(header, have), "capget")
        # Two groups of effective, permitted and inheritable ones; those above are in the first.
        left = [value & mask if place < 3 else value for place, value in enumerate(have)]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)(*left)), "capset")


def namespace_works() -> bool:
    """Whether this process may make PID namespaces with a /proc of their own: found by trying."""
    return namespaces().process_ids


Namespaces = NamedTuple("Namespaces", [("process_ids", bool), ("apart", bool)])


def namespaces() -> Namespaces:
    """Whether PID namespaces with their own /proc work, and in them set_apart: found by trying."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            new_pid_namespace()
            inner = os.fork()
            if inner == 0:
                try:
                    mount_own_proc()
                    code = 2 if os.getpid() == 1 else 1
                    set_apart(Apart(["/dev"], "", ["/dev/null"], 1, False))
                    code = 0
                finally:
                    os._exit(code)
            status = os.waitpid(inner, 0)[1]
            # A filter of system calls may kill who tries.
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        except OSError:
            code = 1
        finally:
            os._exit(code)
    code = os.waitpid(pid, 0)[1]
    return Namespaces(code in (0, 2 << 8), code == 0)
