"""The last column of docs/spec-support.md: why an attribute has no effect or is refused, which test proves the others.

Keys are rows of ``support.py`` (below ``services.*``); a test checks that every row is there and every test exists.
"""

from __future__ import annotations

WHY: dict[str, str] = {
    "annotations": "kept with the container; the runtime acts on none, nor does runc",
    "cpu_count": "Windows containers only",
    "cpu_percent": "Windows containers only",
    "credential_spec": "it gives Windows containers an Active Directory account; there is none on Linux",
    "deploy.endpoint_mode": "Swarm only",
    "deploy.labels": "Swarm only: they are the Swarm service's, not the containers'",
    "deploy.mode": "Swarm only; the number of containers is scale or deploy.replicas",
    "deploy.placement": "Swarm only: there is one machine",
    "deploy.resources.reservations.cpus": "Swarm only",
    "deploy.resources.reservations.generic_resources": "Swarm only",
    "deploy.rollback_config": "Swarm only",
    "deploy.update_config": "Swarm only",
    "isolation: anything else": "Linux knows only the default",
    "isolation: default": "it is the only one on Linux",
    "logging.driver: anything else": "a plug-in of Docker's engine, or a service of one cloud",
    "models": "Docker Model Runner is a part of Docker Desktop; run the model as a service, or as a provider",
    "platform: anything else": "its programs do not run here; register an emulator: qemu-user-static",
    "pre_start.*.per_replica": "docker compose refuses it too: a command runs once per service",
    "pull_refresh_after": "only says something beside pull_policy: refresh",
    "runtime: anything else": "there is one runtime; gVisor, Kata and nvidia are not it (for GPUs use gpus)",
    "runtime: io.containerd.runc.v2": "the name of Docker's own; containers here are made as it makes them",
    "runtime: runc": "the name of Docker's own; containers here are made as it makes them",
    "storage_opt": "a size of the container's root needs XFS with project quotas; use a tmpfs with size, or a volume",
    "use_api_socket": "there is no daemon whose API the container could talk to",
    "userns_mode: anything else": "containers here have the host's user ids",
    "userns_mode: host": "containers here have the host's user ids",
    "version": "obsolete: the format has one version",
    "volumes.*.bind.selinux": "where there is no SELinux",
    "volumes.*.consistency": "Docker Desktop on macOS only",
    "volumes.*.type: cluster": "Swarm only",
    "volumes.*.type: npipe": "Windows only",
}

PROOFS: dict[str, str] = {}
