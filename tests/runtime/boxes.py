"""Containers for the tests of process creation: a busybox image, specs, and a way to run one to its end."""

import os
import select

from runtime import launch
from runtime.capabilities import DEFAULT
from runtime.cgroups.manager import open_cgroup
from runtime.linux import process as proc
from runtime.paths import Bundle, Roots
from runtime.record import replace
from runtime.spec import ContainerSpec, Namespaces, Process, Rootfs

APPLETS = (
    "sh cat ls true false echo id mount umount sleep stat ps mkdir touch ln hostname env pwd grep head test readlink "
    "unshare chmod chown dd wc find tty kill printf mknod ip sed sort tr seq".split()
)


def build_image(path):
    """A root directory with busybox, users and groups."""
    for name in ("bin", "etc", "tmp", "home/app", "root", "var", "sbin"):
        os.makedirs(f"{path}/{name}")
    with open("/bin/busybox", "rb") as source, open(f"{path}/bin/busybox", "wb") as target:
        target.write(source.read())
    os.chmod(f"{path}/bin/busybox", 0o755)
    for applet in APPLETS:
        os.symlink("busybox", f"{path}/bin/{applet}")
    write(f"{path}/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n")
    write(f"{path}/etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:app\nother:x:3000:\n")
    os.chmod(f"{path}/tmp", 0o1777)
    return str(path)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


class Boxes:
    """A place for containers; ``close`` removes everything and checks that nothing is left."""

    def __init__(self, base):
        self.base = str(base)
        self.roots = Roots(f"{base}/state", f"{base}/run")
        self.image = build_image(f"{base}/image")
        self.count = 0
        self.spawned = []
        self.cgroups = []

    def spec(self, *args, **changes):
        self.count += 1
        ident = f"{self.count:064x}"
        process = Process(args=args or ("true",), capabilities=DEFAULT)
        process = replace(process, **changes.pop("process", {}))
        rootfs = replace(Rootfs((self.image,)), **changes.pop("rootfs", {}))
        changes.setdefault("namespaces", Namespaces())
        spec = ContainerSpec(ident, f"box-{self.count}", process, rootfs, hostname="box", **changes)
        self.prepare(spec)
        return spec

    def prepare(self, spec):
        bundle = Bundle(self.roots, spec.id)
        os.makedirs(bundle.dir, 0o700)
        os.makedirs(bundle.run, 0o700)
        for path in (bundle.hosts, bundle.hostname, bundle.resolv_conf):
            write(path, f"{os.path.basename(path)}\n")

    def bundle(self, spec):
        return Bundle(self.roots, spec.id)

    def spawn(self, spec, stdio=None, netns_fd=None, resolve=None):
        self.cgroups.append(open_cgroup(self.roots, spec.id, spec.cgroup_parent))
        spawned = launch.spawn_init(
            spec, self.bundle(spec), self.roots, stdio=stdio, netns_fd=netns_fd, resolve=resolve
        )
        self.spawned.append(spawned)
        return spawned

    def run(self, spec, seconds=10):
        """(exit code, output) of the container, run to its end."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            spawned = self.spawn(spec, (null, writer, writer))
        finally:
            os.close(writer)
            os.close(null)
        try:
            spawned.start()
            output = read_all(reader, seconds)
            code = wait(spawned.pidfd, seconds)
        finally:
            os.close(reader)
            self.end(spawned)
        return code, output

    def sh(self, script, **changes):
        """The output of a shell script in a new container."""
        code, output = self.run(self.spec("sh", "-c", script, **changes))
        return output if code == 0 else f"{output}[exit {code}]"

    def end(self, spawned):
        if spawned in self.spawned:
            self.spawned.remove(spawned)
            launch.end(spawned.pidfd)
            for fd in (spawned.pidfd, spawned.netns_fd, spawned.master_fd):
                if fd >= 0:
                    os.close(fd)

    def close(self):
        for spawned in list(self.spawned):
            self.end(spawned)
        for cgroup in self.cgroups:
            cgroup.remove()


def read_all(fd, seconds=10):
    parts = []
    while select.select([fd], [], [], seconds)[0]:
        part = os.read(fd, 65536)
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def wait(pidfd, seconds=10):
    assert select.select([pidfd], [], [], seconds)[0], "the process did not end"
    return proc.exit_status(pidfd, parent=True)
