"""Back to the state right after start-up: files, volumes, databases under load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.errors import UsageError
from compose.testing import Stack
from tests.e2e.stacks import TWO
from tests.support.cli import Machine, eventually

ROUNDS = 50


@pytest.fixture(autouse=True)
def environ(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)


def write(directory: Path, text: str) -> Path:
    (directory / "compose.yaml").write_text(text)
    return directory


def test_volumes_come_back_without_a_restart_where_nobody_has_them_open(tmp_path: Path) -> None:
    with Stack(directory=write(tmp_path, TWO), resettable="volumes") as stack:
        web, db = stack["web"].inspect().pid, stack["db"].inspect().pid
        stack["web"].exec("sh -c 'echo x >/data/x; mkdir /data/d'", check=True)
        stack.reset()
        assert stack["web"].exec("ls /data").stdout == ""
        assert stack["web"].inspect().pid == web
        assert stack["db"].inspect().pid != db  # it had its log open
        stack["web"].exec("sh -c 'echo x >/data/y'", check=True)
        assert stack["web"].exec("ls /data").stdout == "y\n"


def test_what_was_there_at_start_up_stays(tmp_path: Path) -> None:
    text = TWO.replace("echo serving", "echo seed >/data/seed; echo serving")
    with Stack(directory=write(tmp_path, text), resettable="volumes") as stack:
        for _ in range(3):
            stack["web"].exec("sh -c 'rm /data/seed; echo other >/data/other'", check=True)
            stack.reset()
            assert stack["web"].exec("sh -c 'cd /data && tail *'").stdout == "seed\n"


def test_full_brings_back_the_containers_own_files(tmp_path: Path) -> None:
    with Stack(directory=write(tmp_path, TWO), resettable="full") as stack:
        stack["web"].exec("sh -c 'rm /www/index.html; touch /new /data/new'", check=True)
        stack.reset()
        assert stack["web"].read_text("/www/index.html") == "hi\n"
        assert stack["web"].exec("ls /new /data/new").exit_code == 1
        assert stack["web"].health == "healthy"
        assert stack["db"].exec("ping -c 1 -W 1 web").exit_code == 0
        stack.reset("volumes")


def test_a_stack_that_was_not_made_for_it_refuses(tmp_path: Path) -> None:
    with Stack(directory=write(tmp_path, TWO), services=["web"]) as stack:
        with pytest.raises(UsageError, match="it was not made for that"):
            stack.reset("volumes")


def test_a_service_that_wants_it_is_stopped_for_the_baseline(tmp_path: Path) -> None:
    text = """
services:
  saver:
    image: busybox:test
    init: true
    command: sh -c 'trap "echo saved >/data/state; exit" TERM; while true; do sleep 0.05; done'
    labels: {pycompose.reset: restart}
    volumes: [data:/data]
volumes: {data: {}}
"""
    with Stack(directory=write(tmp_path, text.replace("    init: true\n", "")), resettable="volumes") as stack:
        assert stack["saver"].exec("cat /data/state").stdout == "saved\n"
        stack["saver"].exec("rm /data/state", check=True)
        stack.reset()
        assert stack["saver"].exec("cat /data/state").stdout == "saved\n"


# The built-in image is this machine's /usr: with python3 and its sqlite3, and PostgreSQL where that is installed.

SQLITE = """
services:
  app:
    image: host
    command:
      - python3
      - -c
      - |
        import sqlite3, time
        base = sqlite3.connect("/data/db", isolation_level=None)
        base.execute("create table if not exists t (n integer)")
        print("ready", flush=True)
        n = 0
        while True:
            n += 1
            base.execute("insert into t values (?)", (n,))
            time.sleep(0.001)
    stop_signal: SIGKILL
    volumes: [data:/data]
    healthcheck: {test: ["CMD", "test", "-e", "/data/db"], interval: 1s}
volumes: {data: {}}
"""

CHECK = (
    "import sqlite3; base = sqlite3.connect('/data/db', timeout=10);"
    "print(base.execute('pragma integrity_check').fetchone()[0], base.execute('select count(*) from t').fetchone()[0])"
)


def test_sqlite_survives_resets_under_writes(tmp_path: Path) -> None:
    with Stack(directory=write(tmp_path, SQLITE), resettable="volumes") as stack:
        counts = []
        for _ in range(20):
            time.sleep(0.02)
            stack.reset()
            word, count = stack["app"].exec(["python3", "-c", CHECK], check=True).stdout.split()
            assert word == "ok"
            counts.append(int(count))
        assert max(counts) < 2000, counts  # never more than what one round writes


def postgres() -> str:
    """The directory of PostgreSQL's programs; empty when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return str(found[-1].parent) if found else ""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Stack]:
    if not postgres():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    text = f"""
services:
  db:
    image: host
    user: nobody
    environment: {{PGHOST: /tmp, PGUSER: postgres}}
    command:
      - sh
      - -ec
      - |
        export PATH={postgres()}:$$PATH
        test -e /data/pg/PG_VERSION || initdb -D /data/pg -A trust --no-sync -U postgres >/dev/null
        while sleep 0.01; do psql -qc "insert into w select n from generate_series(1, 500) n" 2>/dev/null || :; done &
        exec postgres -D /data/pg -k /tmp -c listen_addresses= -c autovacuum=off
    depends_on: {{init: {{condition: service_completed_successfully}}}}
    stop_signal: SIGKILL
    volumes: [data:/data]
    tmpfs: [/tmp]
    healthcheck: {{test: ["CMD", "{postgres()}/pg_isready"], interval: 1s}}
  init:
    image: busybox:test
    command: chown 65534:65534 /data
    volumes: [data:/data]
volumes: {{data: {{}}}}
"""
    with Stack(directory=write(tmp_path, text), resettable="volumes", timeout=60) as stack:
        yield stack


def sql(stack: Stack, text: str) -> str:
    words = [f"{postgres()}/psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text]
    return stack["db"].exec(words, check=True).stdout.strip()


CHECK_ALL = """
    create extension if not exists amcheck;
    select count(bt_index_check(c.oid, true)) from pg_class c join pg_am a on a.oid = c.relam
        where amname = 'btree' and relkind = 'i';
    select count(*) from pg_class c join pg_am a on a.oid = c.relam, verify_heapam(c.oid)
        where amname = 'heap' and relkind = 'r' and relpersistence = 'p';
"""


def test_postgresql_survives_fifty_resets_under_writes(database: Stack) -> None:
    """Each round writes without end and is cut off in the middle; then PostgreSQL's own check finds nothing."""
    took = []
    for _ in range(ROUNDS):
        sql(database, "create table w (n integer); create index on w (n)")
        eventually(lambda: int(sql(database, "select count(*) from w")) > 0)
        began = time.monotonic()
        database.reset()
        took.append(time.monotonic() - began)
        assert sql(database, "select count(*) from pg_tables where schemaname = 'public'") == "0"
    sql(database, "create table w (n integer); create index on w (n)")
    eventually(lambda: int(sql(database, "select count(*) from w")) > 0)
    indexes, corruptions = sql(database, CHECK_ALL).split()
    assert int(indexes) > 50 and corruptions == "0"
    print(f"median reset with PostgreSQL's recovery: {sorted(took)[ROUNDS // 2]:.3f} s")


def test_the_cost_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """A baseline of 200 MB is put back as fast as an empty one: ratios on the same machine, in the same test."""
    text = TWO.replace("mkdir -p /www", "head -c 209715200 /dev/zero >/data/big; mkdir -p /www")  # then it is healthy
    with Stack(directory=write(tmp_path, text), services=["web"], resettable="volumes", timeout=120) as big:
        heavy = [timed(big) for _ in range(5)]
    with Stack(directory=write(tmp_path, TWO), services=["web"], resettable="volumes") as small:
        light = [timed(small) for _ in range(5)]
    assert sorted(heavy)[2] < 5 * sorted(light)[2] + 0.05, (heavy, light)


def timed(stack: Stack) -> float:
    stack["web"].exec("sh -c 'echo x >>/data/big'", check=True)
    began = time.monotonic()
    stack.reset()
    return time.monotonic() - began
