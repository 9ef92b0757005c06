"""Networks, volumes, secrets and configs of a project in canonical form; ``name`` is what they are called outside."""

from collections.abc import Mapping
from typing import Any

from compose.model.service import Model


class Network(Model):
    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    ipam: Mapping[str, Any] = {}
    external: bool = False
    internal: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    attachable: bool = False
    labels: Mapping[str, str] = {}


class Volume(Model):
    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    external: bool = False
    labels: Mapping[str, str] = {}


class FileSource(Model):
    """A secret or config: one of ``file`` (absolute), ``content``, ``environment`` (a variable's name)."""

    name: str
    file: str = ""
    content: str | None = None
    environment: str = ""
    external: bool = False
    labels: Mapping[str, str] = {}
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    template_driver: str = ""
