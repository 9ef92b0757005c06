"""The text of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations


def unescape(path: str) -> str:
    """A path as it is: the kernel writes blank, tab, newline and backslash in octal."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, char)
    return path
