"""Hot reload: what a change on the host is in the containers, and what it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, eventually
from tests.support.rootfs import BUSYBOX
from tests.support.watching import Watch, inside, replace_file, tree

pytestmark = pytest.mark.root

STACK = """
services:
  web:
    image: IMAGE
    init: true
    command: [sleep, "1000"]
    develop:
      watch:
        - {action: sync, path: ./src, target: /app, ignore: [node_modules]}
"""


@pytest.fixture
def stack(project: MakeProject) -> Project:
    """One service that runs, with /app synced from src."""
    one = project(STACK)
    (one.dir / "src").mkdir()
    one.up()
    return one


def watching(one: Project, *words: str, env: dict[str, str] | None = None) -> Watch:
    return Watch(one, "--no-up", *words, env=env).ready()


# what gets in


def test_files_directories_links_modes_and_deletions(stack: Project) -> None:
    watch = watching(stack)
    src, app = stack.dir / "src", inside(stack, "web", "/app")
    (src / "sub/deep").mkdir(parents=True)
    (src / "sub/deep/f").write_text("f")
    (src / "run").write_text("#!/bin/sh\n")
    (src / "run").chmod(0o750)
    (src / "link").symlink_to("sub/deep/f")
    (src / "dangling").symlink_to("/nowhere/at/all")
    (src / "odd name\n*").write_text("odd")
    eventually(lambda: tree(app) == tree(src), 5, "the same tree")
    (src / "sub/deep").rename(src / "moved")
    (src / "link").unlink()
    (src / "link").write_text("a file now")
    (src / "run").unlink()
    (src / "run").mkdir()
    (src / "run/f").write_text("a directory now")
    eventually(lambda: tree(app) == tree(src), 5, "the same tree again")
    shutil.rmtree(src / "run")
    shutil.rmtree(src / "moved")
    eventually(lambda: tree(app) == tree(src), 5, "and once more")
    assert watch.of("error") == []
    assert watch.end() == 130
    assert stack.names() == ["web-1"]


def test_the_line_says_service_count_and_latency(stack: Project) -> None:
    watch = watching(stack)
    (stack.dir / "src/a").write_text("a")
    (event,) = watch.wait("sync")
    assert event["text"].startswith("web: synced 1 file in ") and event["text"].endswith(" ms")
    assert (event["service"], event["files"], event["containers"]) == ("web", 1, 1)
    assert 0 < event["seconds"] < 1


def test_all_replicas_get_it(stack: Project) -> None:
    stack.up("--scale", "web=3")
    watch = watching(stack)
    (stack.dir / "src/a").write_text("a")
    assert watch.wait("sync")[0]["containers"] == 3
    assert [inside(stack, "web", "/app/a", number).read_text() for number in (1, 2, 3)] == ["a"] * 3


def test_files_belong_to_the_container_s_user_whatever_they_are_on_the_host(stack: Project) -> None:
    stack.edit("    init: true\n", "    init: true\n    user: app\n")
    stack.up()
    watching(stack)
    path = stack.dir / "src/new/a"
    path.parent.mkdir()
    path.write_text("a")
    path.chmod(0o640)
    os.chown(path, 4321, 4321)
    inner = inside(stack, "web", "/app/new/a")
    eventually(lambda: inner.exists() and inner.stat().st_mode & 0o777 == 0o640, 5, "synced")
    for one in (inner, inner.parent):
        assert (one.stat().st_uid, one.stat().st_gid) == (1000, 1000)
    assert stack.sh("web", "id -u; echo more >> /app/new/a; cat /app/new/a").split() == ["1000", "amore"]


def test_an_image_without_shell_and_tar(machine: Machine, project: MakeProject, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bare.tar", "w") as tar:
        tar.add(BUSYBOX, "sleep")
    assert machine.call("import", str(tmp_path / "bare.tar"), "bare:1").code == 0
    one = project(STACK.replace("image: IMAGE", "image: bare:1").replace("[sleep,", "[/sleep,"))
    (one.dir / "src").mkdir()
    one.up()
    watching(one)
    (one.dir / "src/a").write_text("a")
    eventually(lambda: inside(one, "web", "/app/a").read_text() == "a", 5, "synced")
    (one.dir / "src/a").unlink()
    eventually(lambda: not inside(one, "web", "/app/a").exists(), 5, "removed")


def test_a_read_only_root_takes_what_a_tmpfs_or_volume_at_the_target_holds(stack: Project) -> None:
    stack.edit(
        "    init: true\n", "    init: true\n    read_only: true\n    tmpfs: [/app]\n    volumes: [data:/data]\n"
    )
    stack.edit(
        "    develop:\n      watch:\n",
        "    develop:\n      watch:\n        - {action: sync, path: ./data, target: /data}\n",
    )
    stack.edit("services:", "volumes: {data: {}}\nservices:")
    (stack.dir / "data").mkdir()
    stack.up()
    watch = watching(stack)
    (stack.dir / "src/a").write_text("a")
    (stack.dir / "data/b").write_text("b")
    eventually(lambda: inside(stack, "web", "/app/a").read_text() == "a", 5, "the tmpfs")
    eventually(lambda: inside(stack, "web", "/data/b").read_text() == "b", 5, "the volume")
    stack.edit("    tmpfs: [/app]\n", "")
    watch.wait("config", contains="applied")
    (stack.dir / "src/c").write_text("c")
    (problem,) = watch.wait("error", contains="/app/c")
    assert "cannot write /app" in problem["text"] and "read-only" in problem["text"]
    assert "mount a volume or a tmpfs there" in problem["text"]


def test_no_link_in_the_container_leads_a_file_out_of_it(stack: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    up = "../" * 12
    stack.sh(
        "web", f"mkdir -p /app; ln -s {up}{outside} /app/rel; ln -s {outside} /app/abs; ln -s {outside}/kept /app/file"
    )
    stack.sh("web", f"ln -s /proc/1/root{outside} /app/magic; ln -s /proc/self/cwd /app/cwd")
    watch = watching(stack)
    src = stack.dir / "src"
    for name in ("rel", "abs", "magic", "cwd"):
        (src / name).mkdir()
        (src / name / "evil").write_text("evil")
        (src / name / "kept").write_text("evil")
    (src / "file").write_text("evil")
    watch.wait("sync")
    watch.quiet()
    for name in ("rel", "abs", "magic", "cwd"):
        shutil.rmtree(src / name)
    (src / "file").unlink()
    watch.quiet()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"kept": "kept"}
    (src / "after").write_text("a")
    eventually(lambda: inside(stack, "web", "/app/after").exists(), 5, "still at work")


def test_a_stopped_container_has_it_when_it_starts(stack: Project) -> None:
    watch = watching(stack)
    stack.run("stop", "-t", "0")
    (stack.dir / "src/a").write_text("while stopped")
    watch.wait("sync")
    stack.run("start")
    assert stack.sh("web", "cat /app/a") == "while stopped"


def test_what_a_tmpfs_forgets_at_a_restart_comes_back(stack: Project) -> None:
    stack.edit("    init: true\n", "    init: true\n    tmpfs: [/app]\n")
    stack.up()
    watch = watching(stack)
    (stack.dir / "src/a").write_text("a")
    watch.wait("sync")
    stack.run("restart", "-t", "0")
    watch.wait("sync", contains="after its start")
    assert stack.sh("web", "cat /app/a") == "a"


def test_ten_thousand_files_are_there_in_a_moment(stack: Project, tmp_path: Path) -> None:
    watch = watching(stack)
    made = tmp_path / "made"
    for number in range(10_000):
        path = made / f"d{number % 100}" / f"f{number}"
        if number < 100:
            path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(2000))
    made.rename(stack.dir / "src/made")
    (event, *_more) = watch.wait("sync", within=20)
    assert event["files"] == 10_101
    assert tree(inside(stack, "web", "/app/made")) == tree(stack.dir / "src/made")
    assert event["seconds"] < 8  # 1.1 s on a quiet machine


def test_initial_sync_brings_what_differs_and_nothing_else(stack: Project) -> None:
    stack.edit("ignore: [node_modules]", "initial_sync: true, ignore: [node_modules, 'deep/skip']")
    src = stack.dir / "src"
    for name in ("a", "deep/b", "deep/skip/c", "node_modules/d"):
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        (src / name).write_text(name)
    stack.up()
    stack.sh("web", "mkdir /app; printf a > /app/a; touch /app/own")
    watch = watching(stack)
    assert watch.wait("sync")[0]["files"] == 2  # deep and deep/b
    assert sorted(tree(inside(stack, "web", "/app"))) == ["a", "deep", "deep/b", "own"]


# what counts as a change


def vim(path: Path, text: str) -> None:
    """backupcopy=auto: probe, rename away, write anew, remove the backup; a swap file beside."""
    swap, backup, probe = path.with_name(f".{path.name}.swp"), path.with_name(f"{path.name}~"), path.with_name("4913")
    swap.write_text("swap")
    probe.write_text("")
    probe.unlink()
    path.rename(backup)
    path.write_text(text)
    path.chmod(0o644)
    backup.unlink()
    swap.unlink()


def vim_in_place(path: Path, text: str) -> None:
    """backupcopy=yes: a copy, then the same inode again."""
    backup = path.with_name(f"{path.name}~")
    shutil.copy2(path, backup)
    path.write_text(text)
    backup.unlink()


def emacs(path: Path, text: str) -> None:
    """A lock that is a dangling link, an auto-save file, the old one renamed to a backup that stays."""
    lock, auto = path.with_name(f".#{path.name}"), path.with_name(f"#{path.name}#")
    lock.symlink_to("user@host.123:456")
    auto.write_text(text)
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    auto.unlink()
    lock.unlink()


def vscode(path: Path, text: str) -> None:
    """Truncated and written in two pieces."""
    with path.open("r+") as file:
        file.truncate(0)
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


def jetbrains(path: Path, text: str) -> None:
    """Safe write: a new file beside, the old one away, the new one there, the old one removed."""
    new, old = path.with_name(f"{path.name}___jb_tmp___"), path.with_name(f"{path.name}___jb_old___")
    new.write_text(text)
    path.rename(old)
    new.rename(path)
    old.unlink()


def slow_replace(path: Path, text: str) -> None:
    """Removed first, and written a moment later."""
    path.unlink()
    time.sleep(0.03)
    path.write_text(text)


@pytest.mark.parametrize("editor", [vim, vim_in_place, emacs, vscode, jetbrains, slow_replace, replace_file])
def test_a_save_is_one_change_of_one_file(stack: Project, editor: Callable[[Path, str], None]) -> None:
    path = stack.dir / "src/page"
    path.write_text("before")
    watch = watching(stack)
    app = inside(stack, "web", "/app")
    for number in (1, 2):
        editor(path, f"saved {number}")
        events = watch.wait("sync", number)
        watch.quiet(0.2)
        assert [(event["files"], event["text"].split(" in ")[0]) for event in events[-1:]] == [
            (1, "web: synced 1 file")
        ]
        assert (app / "page").read_text() == f"saved {number}"
    assert [name for name in tree(app)] == ["page"]
    assert len(watch.of("sync")) == 2


def test_the_same_content_again_syncs_nothing(stack: Project) -> None:
    path = stack.dir / "src/page"
    path.write_text("same")
    watch = watching(stack)
    replace_file(path, "new")
    watch.wait("sync")
    replace_file(path, "new")
    os.utime(path)
    watch.quiet()
    assert len(watch.of("sync")) == 1


def test_a_gone_file_that_nobody_had_is_nothing(stack: Project) -> None:
    watch = watching(stack)
    for number in range(20):
        path = stack.dir / f"src/tmp{number}"
        path.write_text("x")
        path.unlink()
    watch.quiet()
    assert watch.of("sync") == [] and watch.of("error") == []


def git(directory: Path, *words: str) -> None:
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True, env={**os.environ, **names})


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory that a busy disk does not slow down."""
    path = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    yield Path(path)
    shutil.rmtree(path)


def two_branches(top: Path, files: int) -> None:
    """A repository whose branches one and two have other contents, other files, and other links."""
    git(top, "init", "-q", "-b", "one")
    for branch in ("one", "two"):
        if branch == "two":
            git(top, "checkout", "-q", "-b", "two")
        for number in range(files):
            path = top / f"src/d{number % 50}/f{number}"
            if number % 5 == 0 and branch == "two":
                path.unlink()
                path = path.with_name(f"other{number}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{branch} {number}\n")
        (top / f"src/link-{branch}").symlink_to(branch)
        git(top, "add", "-A", "src")
        git(top, "commit", "-qm", branch)
        (top / "src/link-one").unlink(missing_ok=True)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_branch_of_five_thousand_files_is_one_action_per_service(project: MakeProject, in_memory: Path) -> None:
    """Both services end with the very tree of the branch, by one sync and one restart."""
    two_branches(in_memory, 5000)
    src = in_memory / "src"
    row = f"path: {src}, target: /app, initial_sync: true"
    service = "image: IMAGE, init: true, command: [sleep, '1000']"
    stack = project(
        f"services:\n  web: {{{service}, tmpfs: [/app], develop: {{watch: [{{action: sync, {row}}}]}}}}\n"
        f"  job: {{{service}, develop: {{watch: [{{action: sync+restart, {row}}}]}}}}\n"
    )
    stack.up()
    watch = watching(stack)
    watch.wait("restart", within=60)
    watch.quiet(1.0)
    started = stack.state("web")["started_at"]
    for branch in ("one", "two"):
        before = {kind: len(watch.of(kind)) for kind in ("sync", "restart")}
        git(in_memory, "checkout", "-qf", branch)
        watch.wait("restart", before["restart"] + 1, within=60)
        watch.quiet(1.0)
        for service in ("web", "job"):
            assert tree(inside(stack, service, "/app")) == tree(src), service
        said = [event["service"] for event in watch.of("sync")[before["sync"] :]]
        assert sorted(said) == ["job", "web"]
        assert len(watch.of("restart")) == before["restart"] + 1
    assert stack.state("web")["started_at"] == started
    assert watch.of("error") == []
    watch.end()
    stack.down()
    trash = f"{stack.machine.state}/trash"
    eventually(lambda: not os.listdir(trash), 60, "the files of its containers gone")


def test_changes_wait_while_git_holds_its_lock(stack: Project) -> None:
    git(stack.dir, "init", "-q")
    watch = watching(stack)
    lock = stack.dir / ".git/index.lock"
    lock.write_text("")
    for number in range(5):
        (stack.dir / f"src/f{number}").write_text("x")
        time.sleep(0.05)
    time.sleep(0.3)
    assert watch.of("sync") == []
    lock.unlink()
    (event,) = watch.wait("sync")
    assert event["files"] == 5


def test_a_lost_queue_ends_in_the_same_tree(stack: Project) -> None:
    """The watcher sleeps while more happens than the kernel keeps for it."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        most = int(file.read())
    src = stack.dir / "src"
    watch = watching(stack)
    (src / "old").write_text("old")
    watch.wait("sync")
    watch.child.send_signal(19)  # SIGSTOP
    churn = src / "churn"
    for _number in range(most // 2 + 100):
        os.close(os.open(churn, os.O_CREAT | os.O_WRONLY))
        os.unlink(churn)
    (src / "old").unlink()
    for number in range(20):
        (src / f"n{number}").mkdir()
        (src / f"n{number}/f").write_text(str(number))
    watch.child.send_signal(18)  # SIGCONT
    eventually(lambda: tree(inside(stack, "web", "/app")) == tree(src), 10, "the same tree")
    (src / "n3/later").write_text("x")
    eventually(lambda: inside(stack, "web", "/app/n3/later").exists(), 5, "still at work")


def test_ignored_and_foreign_paths_cause_nothing(stack: Project) -> None:
    watch = watching(stack)
    (stack.dir / "src/node_modules/x").mkdir(parents=True)
    (stack.dir / "src/node_modules/x/f").write_text("x")
    (stack.dir / "src/.git").mkdir()
    (stack.dir / "src/.git/HEAD").write_text("x")
    (stack.dir / "other").write_text("x")
    watch.quiet()
    assert watch.of("sync") == []
    explained = stack.run("watch", "--explain", "src/node_modules/x/f").stdout
    assert "ignored by 'node_modules' (web.develop.watch[0].ignore[0])" in explained


@pytest.mark.parametrize("source", ["polling", "watchfiles"])
def test_other_sources_end_in_the_same_tree(stack: Project, source: str) -> None:
    watching(stack, env={"PYCOMPOSE_WATCH_SOURCE": source})
    src = stack.dir / "src"
    (src / "a/b").mkdir(parents=True)
    (src / "a/b/f").write_text("1")
    eventually(lambda: tree(inside(stack, "web", "/app")) == tree(src), 5, "came")
    replace_file(src / "a/b/f", "22")
    shutil.copytree(src / "a", src / "c")
    shutil.rmtree(src / "a")
    eventually(lambda: tree(inside(stack, "web", "/app")) == tree(src), 5, "changed")


# the end


def test_ctrl_c_in_the_middle_of_a_batch_leaves_whole_files_and_no_others(stack: Project, tmp_path: Path) -> None:
    watch = watching(stack)
    big = os.urandom(1 << 20)
    made = tmp_path / "made"
    made.mkdir()
    for number in range(400):
        (made / f"f{number}").write_bytes(big)
    app = inside(stack, "web", "/app")
    made.rename(stack.dir / "src/made")
    eventually(lambda: len(list((app / "made").iterdir())) > 3, 10, "in the middle")
    began = time.monotonic()
    assert watch.end() == 130
    assert time.monotonic() - began < 2
    there = list((app / "made").iterdir())
    assert all(path.read_bytes() == big for path in there)
    assert not [path for path in there if path.name.startswith(".")]
    assert 3 < len(there) < 400


def test_killed_hard_it_converges_when_it_is_run_again(stack: Project, tmp_path: Path) -> None:
    stack.edit("ignore: [node_modules]", "initial_sync: true")
    stack.up()
    watch = watching(stack)
    made = tmp_path / "made"
    made.mkdir()
    for number in range(150):
        (made / f"f{number}").write_bytes(os.urandom(1 << 20))
    app = inside(stack, "web", "/app")
    made.rename(stack.dir / "src/made")
    eventually(lambda: len(list((app / "made").iterdir())) > 3, 10, "in the middle")
    watch.end(9)
    watching(stack)
    eventually(lambda: tree(app) == tree(stack.dir / "src"), 15, "the same tree")


def test_a_rule_for_one_file(stack: Project) -> None:
    """Its directory holds others, and editors put new files in its place."""
    stack.edit("path: ./src, target: /app,", "path: ./src/web.conf, target: /etc/web.conf,")
    stack.up()
    (stack.dir / "src/web.conf").write_text("one")
    watch = watching(stack)
    inner = inside(stack, "web", "/etc/web.conf")
    for editor in (vim, jetbrains, vscode):
        editor(stack.dir / "src/web.conf", editor.__name__)
        eventually(lambda name=editor.__name__: inner.read_text() == name, 5, editor.__name__)  # type: ignore[misc]
    (stack.dir / "src/other").write_text("x")
    watch.quiet()
    assert len(watch.of("sync")) == 3
    (stack.dir / "src/web.conf").unlink()
    eventually(lambda: not inner.exists(), 5, "removed")
