"""Rows with docker compose's fields, columns and words."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose import labels
from compose.api import ports, read
from compose.errors import UsageError
from compose.plan.desired import Desired, DesiredService
from compose.plan.observed import Observed, ObservedContainer, ObservedEndpoint
from compose.record import replace

NOW = read.seconds_of("2026-11-26T11:36:25Z")
WEB = ObservedContainer(
    id="8d3b468efbfb" + "0" * 52,
    name="shop-web-1",
    service="web",
    number=1,
    status="running",
    health="healthy",
    created_at="2026-11-26T11:36:23.5Z",
    started_at="2026-11-26T11:36:22Z",
    labels={labels.PROJECT: "shop", labels.IMAGE_REFERENCE: "bb:1", labels.CONFIG_FILES: "/shop/compose.yaml"},
    command="sh -c 'trap exit TERM; sleep 1000'",
    mounts=(("volume", "shop_data", "/data"), ("bind", "/shop/x", "/x")),
    endpoints=(
        ObservedEndpoint("shop_default", "172.18.0.2", ports=(("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp"))),
        ObservedEndpoint("shop_back", "172.19.0.2", ports=(("0.0.0.0", 8080, 80, "tcp"), ("127.0.0.1", 53, 53, "udp"))),
    ),
)
DESIRED = Desired(
    "shop", "/shop", (), (), tuple(DesiredService(name, "bb:1", {}, "") for name in ("web", "db")), ("db", "web"),
    disabled=("debug",),
)  # fmt: skip


def with_(**changes: object) -> ObservedContainer:
    return replace(WEB, **changes)


def test_a_row_has_the_fields_of_docker_compose() -> None:
    (row,) = read.ps_rows([WEB], NOW)
    assert set(row) == {
        "Command", "CreatedAt", "ExitCode", "Health", "ID", "Image", "Label", "Labels", "LocalVolumes", "Mounts", "Name", "Names",
        "Networks", "Ports", "Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status",
    }  # fmt: skip
    assert row["Command"] == '"sh -c \'trap exit TE…"'
    assert row["CreatedAt"] == "2026-11-26 11:36:23 +0000 UTC"
    assert row["ID"] == "8d3b468efbfb"
    assert row["Mounts"] == "shop_data,/shop/x"
    assert row["LocalVolumes"] == "1"
    assert row["Networks"] == "shop_back,shop_default"
    assert row["Ports"] == "127.0.0.1:53->53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    assert row["RunningFor"] == "1 second ago"
    assert row["Status"] == "Up 3 seconds (healthy)"
    assert row["Publishers"][1] == {  # type: ignore[index]
        "URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp",
    }  # fmt: skip
    (full,) = read.ps_rows([WEB], NOW, full=True)
    assert full["ID"] == WEB.id
    assert full["Command"] == "\"sh -c 'trap exit TERM; sleep 1000'\""


@pytest.mark.parametrize(
    ("changes", "state", "status"),
    [
        ({"health": ""}, "running", "Up 3 seconds"),
        ({"health": "starting"}, "running", "Up 3 seconds (health: starting)"),
        ({"health": "unhealthy"}, "running", "Up 3 seconds (unhealthy)"),
        ({"status": "paused"}, "paused", "Up 3 seconds (Paused)"),
        ({"health": "", "supervised": False}, "running", "Up 3 seconds (unsupervised)"),
        (
            {"status": "stopped", "exit_code": 3, "finished_at": "2026-11-26T11:36:24Z"},
            "exited",
            "Exited (3) 1 second ago",
        ),
        (
            {"status": "restarting", "exit_code": 1, "finished_at": "2026-11-26T11:36:25Z"},
            "restarting",
            "Restarting (1) Less than a second ago",
        ),
        ({"status": "created", "started_at": ""}, "created", "Created"),
        ({"status": "creating", "started_at": ""}, "created", "Created"),
        ({"status": "stopped", "started_at": ""}, "created", "Created"),
        (
            {"status": "stopped", "started_at": "", "error": "not found", "exit_code": 127},
            "exited",
            "Exited (127) 1 second ago",
        ),
    ],
)
def test_states_in_dockers_words(changes: dict[str, object], state: str, status: str) -> None:
    container = with_(**changes)
    assert (read.state_of(container), read.status_of(container, NOW)) == (state, status)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
        (119, "About a minute"), (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"),
        (5399, "About an hour"), (5400, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"),
        (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"), (60 * 86400, "2 months"),
        (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_as_docker_says_them(seconds: float, text: str) -> None:
    assert read.ago(seconds) == text


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2400, 1, 1)))
def test_times_are_read_as_the_library_reads_them(moment: datetime.datetime) -> None:
    expected = moment.replace(tzinfo=datetime.UTC).timestamp()
    assert read.seconds_of(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) == pytest.approx(expected, abs=1e-5)
    assert read.seconds_of("") == 0


def test_rows_stand_in_file_order_then_orphans() -> None:
    mixed = [with_(service=service, number=number, name=f"shop-{service}-{number}") for service, number in
             (("zebra", 1), ("db", 2), ("ant", 1), ("web", 2), ("db", 1), ("web", 1))]  # fmt: skip
    assert [one.name for one in read.in_file_order(mixed, DESIRED)] == [
        "shop-web-1", "shop-web-2", "shop-db-1", "shop-db-2", "shop-ant-1", "shop-zebra-1",
    ]  # fmt: skip


def test_names_are_checked_with_a_hint() -> None:
    observed = Observed("shop", (WEB, with_(service="gone", oneoff=True)))
    assert read.select(observed, DESIRED, ("web",)) == [WEB]
    assert read.select(observed, DESIRED, ("gone", "debug")) == []
    assert len(read.select(observed, DESIRED, (), oneoffs=True)) == 2
    with pytest.raises(UsageError, match="no such service: wep") as caught:
        read.select(observed, DESIRED, ("wep",))
    assert caught.value.hint == "did you mean web?"
    with pytest.raises(UsageError) as caught:
        read.check_services(None, DESIRED, ("xyz",))
    assert caught.value.hint == "services: db, debug, web"


def test_replicas_are_chosen_as_docker_compose_does() -> None:
    two, one_off = with_(number=2, id="2"), with_(number=1, id="3", oneoff=True)
    stopped = with_(number=1, id="4", status="stopped")
    assert read.replica([two, WEB], "web", 0) is WEB
    assert read.replica([two, WEB], "web", 2) is two
    assert read.replica([one_off, two], "web", 0) is two
    assert read.replica([one_off], "web", 0) is one_off
    assert read.replica([stopped], "web", 0, running=False) is stopped
    for containers, index, words in (
        ([stopped], 0, 'service "web" is not running'),
        ([WEB], 3, 'service "web" has no running container #3'),
        ([], 0, 'service "web" is not running'),
    ):
        with pytest.raises(UsageError, match=words):
            read.replica(containers, "web", index)


def test_published_ports_are_found_by_port_and_protocol() -> None:
    assert ports.published(WEB, 80, "tcp") == "0.0.0.0:8080"
    assert ports.published(WEB, 53, "udp") == "127.0.0.1:53"
    with pytest.raises(UsageError, match="no port 80/udp for container shop-web-1"):
        ports.published(WEB, 80, "udp")


def test_projects_with_what_runs_or_all() -> None:
    stopped = with_(status="stopped", finished_at="2026-11-26T11:36:24Z")
    other = with_(status="stopped", finished_at="x" * 20, labels={**WEB.labels, labels.PROJECT: "other"})
    (row,) = read.ls_rows([WEB, stopped, other])
    assert row == {"Name": "shop", "Status": "running(1)", "ConfigFiles": "/shop/compose.yaml"}
    rows = read.ls_rows([WEB, stopped, other], stopped=True)
    assert [(row["Name"], row["Status"]) for row in rows] == [("other", "exited(1)"), ("shop", "exited(1), running(1)")]
    assert read.ls_rows([WEB], name="oth") == []


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("bb:1", ("bb", "1")), ("bb", ("bb", "latest")), ("h:5000/a/b", ("h:5000/a/b", "latest")),
        ("h:5000/a/b:2", ("h:5000/a/b", "2")), ("a@sha256:00", ("a", "<none>")),
        ("h:5000/a:2@sha256:00", ("h:5000/a", "<none>")),
    ],
)  # fmt: skip
def test_references_are_split(reference: str, parts: tuple[str, str]) -> None:
    assert read.split_reference(reference) == parts


def test_sizes_as_docker_writes_them() -> None:
    assert [read.size_text(size) for size in (0, 999, 1883, 1984132, 12_300_000, 123_456_789, 1_500_000_000)] == [
        "0B", "999B", "1.88kB", "1.98MB", "12.3MB", "123.5MB", "1.5GB",
    ]  # fmt: skip


def test_the_image_is_named_as_in_the_file() -> None:
    assert read.image_of(WEB) == "bb:1"
    assert read.image_of(with_(labels={}, config={"image": "x:2"})) == "x:2"
    assert read.image_of(with_(labels={}, image="sha256:0123456789abcdef")) == "0123456789ab"


def test_declared_ports_are_listed_while_it_runs() -> None:
    declared = with_(exposed=("9999/tcp", "80/tcp"))
    assert read.ps_rows([declared], NOW)[0]["Ports"] == (
        "9999/tcp, 127.0.0.1:53->53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    )
    rows = ports.publishers(declared)
    assert rows[-1] == {"URL": "", "TargetPort": 9999, "PublishedPort": 0, "Protocol": "tcp"}
    with pytest.raises(UsageError, match="no port 9999/tcp"):
        ports.published(declared, 9999, "tcp")
    stopped = with_(exposed=("9999/tcp",), status="stopped", endpoints=(), finished_at="2026-11-26T11:36:24Z")
    assert read.ps_rows([stopped], NOW)[0]["Publishers"] == []


def test_mounts_are_shortened_as_docker_does() -> None:
    long = with_(mounts=(("anonymous", "d7303e39b27fd7" + "0" * 50, "/a"), ("volume", "shop_data", "/b")))
    (row,), (full,) = read.ps_rows([long], NOW), read.ps_rows([long], NOW, full=True)
    assert (row["Mounts"], row["LocalVolumes"]) == ("d7303e39b27fd7…,shop_data", "2")
    assert str(full["Mounts"]).startswith("d7303e39b27fd70000")
