"""Mounts a folder a second time: another device, no locks in common, each operation after a random delay.

Two mounts of one folder stand for two machines with a network file system. Attributes are cached for a second, as NFS does.
Needs FUSE, the right to mount, and fusepy (on Debian `python3-fusepy`).

Usage: delayed_mount.py FOLDER MOUNT LONGEST_DELAY_IN_SECONDS SEED
"""

import errno
import os
import random
import sys
import threading
import time

try:
    import fusepy as fuse
except ImportError:
    import fuse


class DelayedFolder(fuse.Operations):
    """The folder at `root`; each operation takes effect up to `delay` seconds after it was asked for."""

    use_ns = True

    def __init__(self, root: str, delay: float, seed: int) -> None:
        self.root, self.delay = root, delay
        self.random, self.turn = random.Random(seed), threading.Lock()

    def __call__(self, op, path, *args):
        with self.turn:
            delay = self.random.uniform(0, self.delay)
        time.sleep(delay)
        try:
            return super().__call__(op, None if path is None else self.root + path, *args)
        except OSError as error:
            raise fuse.FuseOSError(error.errno) from None

    def getattr(self, path, fh=None):
        found = os.lstat(path) if fh is None else os.fstat(fh)
        keys = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_dev")
        attributes = {key: getattr(found, key) for key in keys}
        times = {f"st_{time}": getattr(found, f"st_{time}_ns") for time in ("atime", "mtime", "ctime")}
        return attributes | times

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(path)]

    def statfs(self, path):
        found = os.statvfs(path)
        return {key: getattr(found, key) for key in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize")}

    def access(self, path, amode):
        if not os.access(path, amode):
            raise fuse.FuseOSError(errno.EACCES)

    def mkdir(self, path, mode):
        os.mkdir(path, mode)

    def rmdir(self, path):
        os.rmdir(path)

    def unlink(self, path):
        os.unlink(path)

    def rename(self, old, new):
        os.rename(old, self.root + new)

    def chmod(self, path, mode):
        os.chmod(path, mode)

    def utimens(self, path, times=None):
        os.utime(path, ns=times)

    def create(self, path, mode, fi=None):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        return os.open(path, flags & ~os.O_NOFOLLOW)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(path if fh is None else fh, length)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)


if __name__ == "__main__":
    folder, mount, delay, seed = sys.argv[1:]
    served = DelayedFolder(folder, float(delay), int(seed))
    fuse.FUSE(served, mount, foreground=True, hard_remove=True, attr_timeout=1, entry_timeout=1, use_ino=True)
