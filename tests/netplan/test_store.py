from __future__ import annotations

import _sqlite3
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from netplan import store as store_module
from netplan.errors import NetworkFault
from netplan.ipam import plan_range
from netplan.rows import EndpointRow, NetworkRow
from netplan.store import Store, open_store

ROOT = str(Path(store_module.__file__).parent.parent)


def row(name: str, number: int = 1) -> NetworkRow:
    area = plan_range(name, (0x0A000000 + (number << 16), 16), None)
    return NetworkRow(
        name,
        f"{number:064x}",
        "p",
        "bridge",
        f"br{number}",
        number,
        number,
        area,
        False,
        0,
        {"o": "1"},
        {"l": "2"},
        "t",
    )


def endpoint(container: str, network: str, number: int) -> EndpointRow:
    return EndpointRow(
        container,
        network,
        "eth0",
        100 + number,
        number,
        bytes([2, 0, 0, 0, 0, number]),
        ("a", "b"),
        {"x": "y"},
        True,
        "[]",
        False,
    )


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    with store:
        store.add_network(row("n"))
        store.add_endpoint(endpoint("c", "n", 7))
    assert os.stat(store.path).st_mode & 0o777 == 0o600
    assert store.network("n") == row("n")
    assert store.endpoints() == [endpoint("c", "n", 7)]
    again = open_store(str(tmp_path), "i", create=False)
    assert again.networks("p") == [row("n")]
    assert not again.fresh


def test_what_must_be_unique_is(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    store.add_network(row("n"))
    store.add_endpoint(endpoint("c", "n", 7))
    for clash in (row("n", 2), row("m", 1)):
        with pytest.raises(_sqlite3.IntegrityError):
            store.add_network(clash)
    for clash in (endpoint("c", "n", 8), endpoint("d", "n", 7), endpoint("d", "nowhere", 9)):
        with pytest.raises(_sqlite3.IntegrityError):
            store.add_endpoint(clash)


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    with pytest.raises(ZeroDivisionError), store:
        store.add_network(row("n"))
        with store:
            store.add_network(row("m", 2))
        raise ZeroDivisionError
    assert store.networks() == []


def test_another_boot_empties_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    store.add_network(row("n"))
    store.execute("UPDATE meta SET value = '1 an-older-boot' WHERE key = 'stamp'")
    store.close()
    again = open_store(str(tmp_path), "i")
    assert again.fresh
    assert again.networks() == []


def test_another_version_s_containers_are_not_cut_off(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    store.add_network(row("n"))
    store.execute("UPDATE meta SET value = '0' || substr(value, 2) WHERE key = 'stamp'")
    store.close()
    used = open_store(str(tmp_path), "i")
    assert used.fresh and used.networks() == []  # networks alone are made again
    used.add_network(row("n"))
    used.add_endpoint(endpoint("c", "n", 7))
    used.execute("UPDATE meta SET value = '0' || substr(value, 2) WHERE key = 'stamp'")
    used.close()
    with pytest.raises(NetworkFault, match="another version of pycompose runs containers"):
        open_store(str(tmp_path), "i")


def test_a_missing_or_broken_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkFault, match="there is no such store"):
        open_store(str(tmp_path / "none"), "i", create=False)
    (tmp_path / "netplan.db").write_bytes(b"not a database" * 100)
    with pytest.raises(NetworkFault, match=r"cannot open .*netplan.db"):
        open_store(str(tmp_path), "i")


def test_threads_count_without_gaps_or_repeats(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), "i")
    found: list[int] = []

    def work() -> None:
        for _ in range(50):
            with store:
                found.append(store.next_link())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(min(found), min(found) + 400))


def test_processes_open_and_count_at_once(tmp_path: Path) -> None:
    read, write = os.pipe()
    pids = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                store = open_store(str(tmp_path), "i")
                for _ in range(20):
                    with store:
                        number = store.next_link()
                    os.write(write, f"{number}\n".encode())
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 8
    os.close(write)
    with open(read) as file:
        found = file.read().split()
    assert len(set(found)) == 160


def test_version_tells_of_other_writers(tmp_path: Path) -> None:
    one, two = open_store(str(tmp_path), "i"), open_store(str(tmp_path), "i")
    before = one.version()
    assert one.version() == before
    two.add_network(row("n"))
    assert one.version() != before


def test_the_hot_modules_import_little() -> None:
    forbidden = (
        "dataclasses typing socket pathlib subprocess enum inspect logging contextlib asyncio sqlite3 datetime hashlib"
    )
    code = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {ROOT!r})\n"
        "import netplan.network, netplan.endpoint, netplan.proxy, netplan.dns.server, netplan.dns.sockets\n"
        f"print(*sorted((set(sys.modules) - before) & set({forbidden!r}.split())))"
    )
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    # json brings re, and re brings enum.
    assert set(result.stdout.split()) <= {"enum"}


def test_a_store_is_one_of_many(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path), "i"), Store)
    assert store_module.first_link("a") != store_module.first_link("b")
