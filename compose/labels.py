"""Label keys and names of things, the same as docker compose's, because other tools read them."""

from __future__ import annotations

PREFIX = "com.docker.compose."
PROJECT = PREFIX + "project"
SERVICE = PREFIX + "service"
NUMBER = PREFIX + "container-number"
ONEOFF = PREFIX + "oneoff"  # "True" or "False"
CONFIG_HASH = PREFIX + "config-hash"
IMAGE = PREFIX + "image"
DEPENDS_ON = PREFIX + "depends_on"  # dep:condition:restart, comma list
WORKING_DIR = PREFIX + "project.working_dir"
CONFIG_FILES = PREFIX + "project.config_files"
ENVIRONMENT_FILE = PREFIX + "project.environment_file"
HOOK = PREFIX + "hook"  # the phase, of a container that runs a hook
VERSION = PREFIX + "version"
SLUG = PREFIX + "slug"
REPLACE = PREFIX + "replace"
NETWORK = PREFIX + "network"
VOLUME = PREFIX + "volume"
IMAGE_REFERENCE = "org.pycompose.image"  # the reference as the file has it; for ps and images


def container_name(project: str, service: str, number: int, separator: str = "-") -> str:
    return separator.join((project, service, str(number)))


def without_project(project: str, name: str) -> str:
    """A container's name without its project's, whatever stands between them."""
    return name[len(project) + 1 :] if name.startswith((f"{project}-", f"{project}_")) else name


def resource_name(project: str, key: str) -> str:
    """The name of a project's network or volume without ``name:``."""
    return f"{project}_{key}"
