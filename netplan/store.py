"""Who has which subnet, address, name and host port: a small SQLite database (docs/formats/netplan-store.md).

Leases have many writers, so they live in a database with UNIQUE constraints and not in files. It lies on tmpfs and
carries the boot id: after a reboot no lease is true any more and it starts empty. ``_sqlite3`` is used directly, since
``sqlite3`` imports ``datetime`` and ``collections`` for adapters that we do not need.
"""

from __future__ import annotations

import _socket
import _sqlite3
import fcntl
import os
import threading

from netplan import plain_json as json
from netplan.errors import KernelRefused, NetworkFault
from netplan.family import V4
from netplan.netlink import nft
from netplan.netlink.socket import NETFILTER, ROUTE, Netlink
from netplan.rows import (
    ENDPOINT_COLUMNS,
    NETWORK_COLUMNS,
    EndpointRow,
    NetworkRow,
    read_endpoint,
    read_network,
    write_range,
)
from netplan.spec import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from netplan.family import Family

FORMAT = 3
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE network (
    name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, project TEXT NOT NULL, driver TEXT NOT NULL,
    bridge TEXT NOT NULL, link INTEGER NOT NULL UNIQUE, grp INTEGER NOT NULL UNIQUE,
    subnet TEXT UNIQUE, subnet6 TEXT UNIQUE, range TEXT, range6 TEXT,
    internal INTEGER NOT NULL, mtu INTEGER NOT NULL, options TEXT NOT NULL, labels TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE endpoint (
    container TEXT NOT NULL, network TEXT NOT NULL REFERENCES network (name), interface TEXT NOT NULL,
    link INTEGER NOT NULL UNIQUE, address INTEGER, mac BLOB NOT NULL, names TEXT NOT NULL,
    links TEXT NOT NULL, default_route INTEGER NOT NULL, wanted TEXT NOT NULL, ready INTEGER NOT NULL,
    nsid INTEGER NOT NULL, address6 TEXT, default_route6 INTEGER NOT NULL,
    PRIMARY KEY (container, network), UNIQUE (network, address), UNIQUE (network, address6), UNIQUE (network, mac)
);
CREATE TABLE published (
    protocol TEXT NOT NULL, host_ip TEXT NOT NULL, host_port INTEGER NOT NULL,
    container TEXT NOT NULL, network TEXT NOT NULL, container_port INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (protocol, host_ip, host_port),
    FOREIGN KEY (container, network) REFERENCES endpoint (container, network) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE known (network TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (network, name)) WITHOUT ROWID;
CREATE INDEX published_by_container ON published (container, network);
"""


class Store:
    """The database and this process's netlink sockets to the host. Usable from several threads.

    ``route`` and ``filter`` belong to the network namespace in which the store was opened. The nf_tables socket stays
    open: closing one after a deletion waits 14 ms for the kernel's deferred work.
    """

    def __init__(self, path: str, instance: str, database: _sqlite3.Connection, fresh: bool) -> None:
        self.path = path
        self.instance = instance
        self.fresh = fresh
        self.route = Netlink(ROUTE)
        self._filter: Netlink | None = None
        self._packets: _socket.socket | None = None
        self._database = database
        self._lock = threading.RLock()
        self._depth = 0

    @property
    def filter(self) -> Netlink:
        with self._lock:
            if self._filter is None:
                try:
                    self._filter = Netlink(NETFILTER)
                except KernelRefused as problem:
                    raise nft.absent(problem.errno) from None
            return self._filter

    @property
    def packets(self) -> _socket.socket:
        """A packet socket that receives nothing. Kept open, for closing one waits for the kernel."""
        with self._lock:
            if self._packets is None:
                self._packets = _socket.socket(_socket.AF_PACKET, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)
            return self._packets

    def close(self) -> None:
        self._database.close()
        if self._packets is not None:
            self._packets.close()
        self.route.close()
        if self._filter is not None:
            self._filter.close()

    def __enter__(self) -> Store:
        """``with store:`` is one transaction, exclusive among all processes and threads; an inner one joins it."""
        self._lock.acquire()
        try:
            if not self._depth:
                self._database.execute("BEGIN IMMEDIATE")
        except _sqlite3.Error as problem:
            self._lock.release()
            raise NetworkFault(f"cannot lock {self.path}: {problem}") from None
        self._depth += 1
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._end(failed=kind is not None)
        finally:
            self._lock.release()

    def _end(self, failed: bool) -> None:
        try:
            self._database.execute("ROLLBACK" if failed else "COMMIT")
        except _sqlite3.Error as problem:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if not failed:
                raise NetworkFault(f"cannot write {self.path}: {problem}") from None

    def execute(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement. Raises NetworkFault if the database cannot be read or written."""
        with self._lock:
            try:
                return self._database.execute(statement, tuple(values)).fetchall()
            except _sqlite3.OperationalError as problem:
                raise NetworkFault(f"cannot use {self.path}: {problem}") from None

    def version(self) -> tuple[int, int]:
        """What changes when another connection has written (PRAGMA data_version), or this one."""
        return int(self.execute("PRAGMA data_version")[0][0]), self._database.total_changes

    def network(self, name: str) -> NetworkRow | None:
        found = self.networks(name=name)
        return found[0] if found else None

    def networks(self, project: str = "", name: str = "") -> list[NetworkRow]:
        where, values = _where(project=project, name=name)
        return [
            read_network(row)
            for row in self.execute(f"SELECT {NETWORK_COLUMNS} FROM network{where} ORDER BY name", values)
        ]

    def add_network(self, row: NetworkRow) -> None:
        subnets = [family.render_prefix(area.subnet) if area else None for family, area in row.families]
        values = (
            *(row.name, row.id, row.project, row.driver, row.bridge, row.link, row.group),
            *(*subnets, write_range(row.range), write_range(row.range6)),
            *(row.internal, row.mtu, json.dumps(dict(row.options)), json.dumps(dict(row.labels)), row.created_at),
        )
        self.execute(f"INSERT INTO network ({NETWORK_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)

    def drop_network(self, name: str) -> None:
        self.execute("DELETE FROM meta WHERE key = 'macs ' || (SELECT id FROM network WHERE name = ?)", (name,))
        self.execute("DELETE FROM endpoint WHERE network = ?", (name,))
        self.execute("DELETE FROM known WHERE network = ?", (name,))
        self.execute("DELETE FROM network WHERE name = ?", (name,))

    def endpoint(self, container: str, network: str) -> EndpointRow | None:
        found = self.endpoints(container, network)
        return found[0] if found else None

    def endpoints(self, container: str = "", network: str = "") -> list[EndpointRow]:
        where, values = _where(container=container, network=network)
        ports: dict[tuple[str, str], list[PublishedPort]] = {}
        with self._lock:
            rows = self.execute(f"SELECT {ENDPOINT_COLUMNS} FROM endpoint{where} ORDER BY network, container", values)
            published = self.execute(
                "SELECT container, network, host_ip, host_port, container_port, protocol FROM published"
                f"{where} ORDER BY position",
                values,
            )
        for owner, on, host_ip, host_port, container_port, protocol in published:
            ports.setdefault((owner, on), []).append(PublishedPort(host_ip, host_port, container_port, protocol))
        return [read_endpoint(row, tuple(ports.get((row[0], row[1]), ()))) for row in rows]

    def add_endpoint(self, row: EndpointRow) -> None:
        values = (
            *(row.container, row.network, row.interface, row.link, row.address or None, row.mac),
            *(json.dumps(row.names), json.dumps(dict(row.links)), row.default_route, row.wanted, row.ready, row.nsid),
            *(f"{row.address6:032x}" if row.address6 else None, row.default_route6),
        )
        self.execute(f"INSERT INTO endpoint ({ENDPOINT_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)

    def publish(self, row: EndpointRow) -> None:
        """Write the row's ports."""
        rows = [
            (port.protocol, port.host_ip, port.host_port, row.container, row.network, port.container_port, position)
            for position, port in enumerate(row.ports)
        ]
        with self._lock:
            self._database.executemany("INSERT INTO published VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def drop_endpoint(self, row: EndpointRow) -> None:
        """Only if it is still the one that was read: another process may have released and leased anew."""
        self.execute(
            "DELETE FROM endpoint WHERE container = ? AND network = ? AND link = ?",
            (row.container, row.network, row.link),
        )

    def leased(self, network: str, family: Family = V4) -> list[int]:
        """The addresses of a family that the network's endpoints have."""
        if family is V4:
            found = self.execute("SELECT address FROM endpoint WHERE network = ?", (network,))
            return [row[0] for row in found if row[0]]
        found = self.execute("SELECT address6 FROM endpoint WHERE network = ?", (network,))
        return [int(row[0], 16) for row in found if row[0]]

    def note_own_macs(self, network_id: str) -> None:
        """The network has or had a MAC that was not derived from its address."""
        self.execute("INSERT OR IGNORE INTO meta VALUES (?, 1)", (f"macs {network_id}",))

    def has_own_macs(self, network_id: str) -> bool:
        return bool(self.execute("SELECT 1 FROM meta WHERE key = ?", (f"macs {network_id}",)))

    def note_names(self, network: str, names: Iterable[str]) -> None:
        """Names that are ours, also while nobody answers to them: those of one label. A name with dots may be one of
        the world's that somebody stood in for."""
        rows = [(network, name.lower()) for name in names if "." not in name]
        with self._lock:
            self._database.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", rows)

    def known_names(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self.execute("SELECT network, name FROM known")]

    def next_link(self) -> int:
        """An interface index nobody uses: counted up from a start of this instance's own. In a transaction."""
        found = self.execute("UPDATE meta SET value = value + 1 WHERE key = 'link' RETURNING value")
        return int(found[0][0])

    def skip_links(self) -> None:
        """Go on counting from somewhere else: the numbers here turned out to be in use."""
        step = int.from_bytes(os.urandom(2), "big")
        self.execute("UPDATE meta SET value = value + ? WHERE key = 'link'", (step,))


def _where(**columns: str) -> tuple[str, list[str]]:
    used = [(name, value) for name, value in columns.items() if value]
    if not used:
        return "", []
    return " WHERE " + " AND ".join(f"{name} = ?" for name, _ in used), [value for _, value in used]


def open_store(run_dir: str, instance: str, *, create: bool = True) -> Store:
    """Open ``<run_dir>/netplan.db``, made or emptied as needed.

    ``instance`` names our nf_tables table and marks our links, so that instances never touch each other's. With
    ``create=False`` a missing database is a NetworkFault.
    """
    path = f"{run_dir}/netplan.db"
    if create:
        os.makedirs(run_dir, 0o700, exist_ok=True)
        _create_file(path)
    elif not os.path.exists(path):
        raise NetworkFault(f"cannot open {path}: there is no such store")
    # One at a time: SQLite refuses ("locking protocol") when several set up the same new log at once.
    turn = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        database = _sqlite3.connect(path, timeout=20.0, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        return Store(path, instance, database, _prepare(database, instance))
    except _sqlite3.Error as problem:
        raise NetworkFault(
            f"cannot open {path}: {problem}", "stop the containers, remove the file and start them again"
        ) from None
    finally:
        os.close(turn)


def _create_file(path: str) -> None:
    """Make the file with our mode. An existing one is not even opened: closing any descriptor of it would drop the
    POSIX locks of this process's other connections, and SQLite would delete the log under their feet."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass


def _prepare(database: _sqlite3.Connection, instance: str) -> bool:
    """Make or empty the tables unless they are of this boot and format. Returns whether they are new."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        stamp = f"{FORMAT} {file.read().strip()}"
    if _stamp(database) == stamp:
        return False
    database.execute("BEGIN IMMEDIATE")
    try:
        if fresh := (before := _stamp(database)) != stamp:
            _refuse_in_use(database, before, stamp)
            for table in ("published", "endpoint", "known", "network", "meta"):
                database.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    database.execute(statement)
            rows = (("stamp", stamp), ("link", first_link(instance)))
            for row in rows:
                database.execute("INSERT INTO meta VALUES (?, ?)", row)
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
    return fresh


def _refuse_in_use(database: _sqlite3.Connection, before: str, now: str) -> None:
    """Another version's tables, of this boot, with containers in them: emptying them would cut those off for good."""
    if before.partition(" ")[2] != now.partition(" ")[2] or before == now:
        return
    if database.execute("SELECT count(*) FROM endpoint").fetchone()[0]:
        raise NetworkFault(
            "cannot use the network store: another version of pycompose runs containers",
            "take them down with that version (pycompose ls, pycompose -p NAME down), or restart the machine",
        )


def _stamp(database: _sqlite3.Connection) -> str:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return ""
    found = database.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    return found[0] if found else ""


def instance_number(instance: str) -> int:
    """A number of the instance, for what the kernel only lets us mark with numbers."""
    import zlib

    return zlib.crc32(instance.encode())


def first_link(instance: str) -> int:
    """Where an instance starts counting interface indices: far from the kernel's own, apart from other instances'."""
    return 1 << 24 | (instance_number(instance) & 0x3F) << 20
