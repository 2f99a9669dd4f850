"""Shared memory that a task has written and no process of its needs to map.

Where no control group counts it: memfd, files in /dev/shm and, where that is a tmpfs, in the
task's folder, and System V segments. What the processes map is part of their own memory already
(see trees.py) and is taken off here.

A task that is set apart has a /dev/shm and IPC objects of its own, which are its memory entirely.
Otherwise an object is the task's if one of its processes has been seen with it. An object that
no one holds open is the task's if it is new, of this user, and no other sandbox runs beside it.
"""

import array
import errno
import fcntl
import mmap
import os
import socket
import stat
from typing import Dict, Iterator, List, Optional, Set, Tuple, Union

from benchmark.execution.worker.linux import read_text

SHM = "/dev/shm"  # noqa: S108  # nosec B108 # only looked at
_SEGMENTS = "/proc/sysvipc/shm"
_MB = 1024.0 * 1024.0
# Less is not worth a look at every process's mappings, or at those of other programs.
_WORTH = 1 << 20
_MOST_FILES = 20000
# A device and an inode; a segment has its id, and no device.
Object = Tuple[int, int]
_SEGMENT = -1


class SharedMemory:
    """What one task has written; made before the task begins."""

    def __init__(self, work: str) -> None:
        self._root, self._own = os.path.split(os.path.dirname(work))
        self._shm = _device(SHM)
        self._work = work if _device(work) in _tmpfs_devices() else None
        self._devices = {_internal_device(), self._shm}
        if self._work:
            self._devices.add(_device(work))
        self._private: Optional[int] = None
        self._segments = _opened(_SEGMENTS)
        self._in_work: Set[Object] = set()
        self._mine: Set[Object] = set()
        self._others: Set[Object] = set()
        self._pids: Set[int] = set()
        self._last = 0
        self._least = _used(SHM)
        self._before: Dict[Object, int] = {}
        self._before = {one: size for one, size, _ in self._listed()}

    def receive(self, channel: socket.socket) -> None:
        """Take over what `send_view` sent from inside of the task's namespaces, if it did."""
        size = array.array("i").itemsize
        try:
            text, notes, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(2 * size))
        except OSError:
            return
        handles = array.array("i")
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                handles.frombytes(data[: len(data) - len(data) % size])
        if not text or len(handles) != 2:
            return
        if self._segments is not None:
            os.close(self._segments)
        self._private, self._segments = handles
        self._devices = {each for each in self._devices if each != self._shm or self._work}
        self._before = {one: size for one, size, _ in self._listed()}

    def at_least_mb(self) -> float:
        """A cheap lower bound: the last sum, or what the task's own /dev/shm holds by now."""
        return max(self._last, self._private_bytes()) / _MB

    def unmapped_mb(self, pids: List[int]) -> float:
        """What these processes, and those before them, have written and do not map."""
        self._pids.update(pids)
        sizes: Dict[Object, int] = {}
        for pid in pids:
            sizes.update(_held(pid, self._devices))
        self._mine.update(one for one in sizes if one[0] != _SEGMENT)
        unclear: Dict[Object, int] = {}
        for one, size, creator in self._listed():
            if one in self._mine or creator in self._pids or self._is_private(one):
                sizes[one] = size
            elif one not in self._others and size > self._before.get(one, 0):
                unclear[one] = size
        if sum(unclear.values()) > _WORTH and self._is_alone():
            self._others.update(self._held_elsewhere() & set(unclear))
            sizes.update((one, size) for one, size in unclear.items() if one not in self._others)
        written = {one: size - self._before.get(one, 0) for one, size in sizes.items()}
        written = {one: size for one, size in written.items() if size > 0}
        total = sum(written.values()) + self._private_bytes()
        self._last = total
        if total > _WORTH:
            private = None if self._private is None else os.fstat(self._private).st_dev
            total -= sum(_mapped(pid, set(written), private) for pid in pids)
        return max(0, total) / _MB

    def close(self) -> None:
        for handle in (self._private, self._segments):
            if handle is not None:
                os.close(handle)

    def _private_bytes(self) -> int:
        """What is in the task's own /dev/shm, files that have no name any more included."""
        return 0 if self._private is None else _used(self._private)

    def _is_private(self, one: Object) -> bool:
        own_segment = self._private is not None and one[0] == _SEGMENT
        return own_segment or (self._work is not None and one in self._in_work)

    def _listed(self) -> Iterator[Tuple[Object, int, Optional[int]]]:
        """The files and segments of this user that have a name, with their size and creator."""
        if self._work:
            files = list(_files(self._work, ""))
            self._in_work = {one for one, _ in files}
            for one, size in files:
                yield one, size, None
        if self._private is None and self._has_grown():
            # A scratch root in /dev/shm has the folders of every task.
            for one, size in _files(SHM, self._root):
                yield one, size, None
        for one, size, creator in self._written_segments():
            yield one, size, creator

    def _has_grown(self) -> bool:
        """Whether /dev/shm has enough more than at any time before to be worth a listing."""
        used = _used(SHM)
        self._least = min(self._least, used)
        return not self._before or used - self._least > _WORTH

    def _written_segments(self) -> Iterator[Tuple[Object, int, int]]:
        if self._segments is None:
            return
        lines = _whole(self._segments).decode("ascii", "replace").splitlines()
        names = lines[0].split() if lines else []
        if not {"shmid", "cpid", "uid", "rss"} <= set(names):
            return
        for line in lines[1:]:
            fields = line.split()
            if len(fields) == len(names):
                row = dict(zip(names, fields))  # noqa: B905 # Python 3.6
                if int(row["uid"]) == os.geteuid():
                    yield (_SEGMENT, int(row["shmid"])), int(row["rss"]), int(row["cpid"])

    def _is_alone(self) -> bool:
        """Whether no other sandbox of this user has its folder beside ours."""
        try:
            names = os.listdir(self._root)
        except OSError:
            return False
        return not any(
            _is_held(os.path.join(self._root, name, "lock"))
            for name in names
            if "-" not in name and name != self._own
        )

    def _held_elsewhere(self) -> Set[Object]:
        """The objects that processes have which are not the task's."""
        found: Set[Object] = set()
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in self._pids:
                found.update(_held(int(name), self._devices))
                found.update(one for one, _ in _mappings(int(name), "maps"))
        return found


def _whole(handle: int) -> bytes:
    """A file of /proc, which gives no more than a page at once."""
    data = b""
    while True:
        more = os.pread(handle, 1 << 16, len(data))
        if not more:
            return data
        data += more


def send_view(channel: socket.socket) -> None:
    """From inside of a task's namespaces: its /dev/shm and its list of segments, to its keeper."""
    try:
        handles = [os.open(SHM, os.O_RDONLY | os.O_CLOEXEC), os.open(_SEGMENTS, os.O_RDONLY)]
        data = array.array("i", handles).tobytes()
        channel.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, data)])
        for handle in handles:
            os.close(handle)
    except OSError:
        return  # Without /dev/shm or System V there is nothing to be seen.


def _held(pid: int, devices: Set[Optional[int]]) -> Dict[Object, int]:
    """What a process has open on these devices, with the bytes written."""
    folder = "/proc/%d/fd" % pid
    found: Dict[Object, int] = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        try:
            facts = os.stat("%s/%s" % (folder, name))
        except OSError:
            continue
        if facts.st_dev in devices and stat.S_ISREG(facts.st_mode):
            found[(facts.st_dev, facts.st_ino)] = facts.st_blocks * 512
    return found


def _mapped(pid: int, objects: Set[Object], device: Optional[int]) -> int:
    """The bytes of these objects, and of all on the device, that are in a process's memory."""
    return sum(size for one, size in _mappings(pid, "smaps") if one in objects or one[0] == device)


def _mappings(pid: int, name: str) -> Iterator[Tuple[Object, int]]:
    """A process's mappings of objects, with its share of each as far as `smaps` tells."""
    one: Optional[Object] = None
    share = 0
    for line in read_text("/proc/%d/%s" % (pid, name)).splitlines():
        fields = line.split(None, 5)
        if not fields[0].endswith(":"):
            if one:
                yield one, share
            one, share = _object(fields), 0
        elif one and fields[0] == "Pss:":
            share += int(fields[1]) * 1024
        elif one and fields[0] == "Anonymous:":
            share = max(0, share - int(fields[1]) * 1024)
    if one:
        yield one, share


def _object(fields: List[str]) -> Optional[Object]:
    if len(fields) < 6:
        return None
    if fields[5].startswith("/SYSV"):
        return _SEGMENT, int(fields[4])
    major, _, minor = fields[3].partition(":")
    return os.makedev(int(major, 16), int(minor, 16)), int(fields[4])


def _files(top: str, but: str) -> Iterator[Tuple[Object, int]]:
    """This user's files below a folder, no link followed, with the bytes written."""
    waiting, left = [top], _MOST_FILES
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(facts.st_mode) and entry.path != but:
                        waiting.append(entry.path)
                    elif stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid():
                        yield (facts.st_dev, facts.st_ino), facts.st_blocks * 512
        except OSError:
            continue  # It has gone, is closed to us, or too deep.


def _is_held(path: str) -> bool:
    """Whether a process has locked the file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno == errno.EWOULDBLOCK
    finally:
        os.close(handle)
    return False


def _used(place: Union[str, int]) -> int:
    """The bytes in use of a file system; 0 where it is not there."""
    try:
        facts = os.statvfs(place)
    except OSError:
        return 0
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _device(path: str) -> Optional[int]:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _tmpfs_devices() -> Set[Optional[int]]:
    found: Set[Optional[int]] = set()
    for line in read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] in ("tmpfs", "ramfs"):
            major, _, minor = left.split()[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return found


def _internal_device() -> Optional[int]:
    """Where the kernel keeps memfds and shared anonymous memory."""
    with mmap.mmap(-1, mmap.PAGESIZE):
        for line in read_text("/proc/self/maps").splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[5].startswith("/dev/zero"):
                found = _object(fields)
                return found[0] if found else None
    return None


def _opened(path: str) -> Optional[int]:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
