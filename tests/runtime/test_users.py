"""User strings against passwd and group as text."""

import pytest

from runtime.users import UserError, resolve_user

PASSWD = b"root:x:0:0:root:/root:/bin/sh\n# note\nbroken\napp:x:1000:1001:App:/home/app:/bin/sh\nbad:x:zz:1:::\n"
GROUP = b"root:x:0:\napp:x:1001:\nextra:x:2000:app,other\nother:x:3000:\n"


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        (b"", 0, 0, (0,), b"/root"),
        (b"1", 1, 0, (0,), b"/"),
        (b"1:2", 1, 2, (2,), b"/"),
        (b"app", 1000, 1001, (1001, 2000), b"/home/app"),
        (b"1000", 1000, 1001, (1001, 2000), b"/home/app"),
        (b"app:other", 1000, 3000, (3000,), b"/home/app"),
        (b"app:7", 1000, 7, (7,), b"/home/app"),
        (b":other", 0, 3000, (3000,), b"/root"),
        (b"2147483647", 2147483647, 0, (0,), b"/"),
    ],
)
def test_resolves(user, uid, gid, groups, home):
    found = resolve_user(user, (), PASSWD, GROUP)
    assert (found.uid, found.gid, found.groups, found.home) == (uid, gid, groups, home)


@pytest.mark.parametrize(
    "user",
    [b"nobody", b"app:nogroup", b"-1", b"4294967295", b"2147483648", b"9" * 40, b"1:-1", b"1:4294967295", b"bad"],
)
def test_refuses(user):
    with pytest.raises(UserError):
        resolve_user(user, (), PASSWD, GROUP)


def test_additional_groups_keep_the_primary_one():
    assert resolve_user(b"app", (b"other", b"55"), PASSWD, GROUP).groups == (1001, 2000, 3000, 55)


def test_an_image_without_files():
    found = resolve_user(b"5", (), b"", b"")
    assert (found.uid, found.gid, found.home) == (5, 0, b"/")
