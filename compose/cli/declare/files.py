"""Commands that look at Compose files only."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Services, opt


def config(
    services: Services = [],
    format: Annotated[str, opt("--format", metavar="FORMAT", help="yaml or json.")] = "",
    list_services: Annotated[bool, opt("--services", help="Only names of services.")] = False,
    list_volumes: Annotated[bool, opt("--volumes", help="Only names of volumes.")] = False,
    list_networks: Annotated[bool, opt("--networks", help="Only names of networks.")] = False,
    list_images: Annotated[bool, opt("--images", help="Only images.")] = False,
    list_models: Annotated[bool, opt("--models", help="Only models.")] = False,
    list_profiles: Annotated[bool, opt("--profiles", help="Only profiles, active or not.")] = False,
    hash: Annotated[str, opt("--hash", metavar="SERVICES", help="Configuration hashes; * for all.")] = "",
    environment: Annotated[bool, opt("--environment", help="The variables that ${...} finds.")] = False,
    variables: Annotated[bool, opt("--variables", help="The variables the files ask for.")] = False,
    explain: Annotated[
        str, opt("--explain", metavar="PATH", help="Which line sets this, as services.web.image, and what it replaces.")
    ] = "",
    no_interpolate: Annotated[bool, opt("--no-interpolate", help="Leave ${...} as it is.")] = False,
    no_normalize: Annotated[bool, opt("--no-normalize", help="Add nothing that the files leave unsaid.")] = False,
    no_path_resolution: Annotated[bool, opt("--no-path-resolution", help="Leave relative paths.")] = False,
    no_consistency: Annotated[bool, opt("--no-consistency", help="Do not check that parts fit together.")] = False,
    no_env_resolution: Annotated[bool, opt("--no-env-resolution", help="Do not read env files of services.")] = False,
    lock_image_digests: Annotated[bool, opt("--lock-image-digests", help="An override file with digests.")] = False,
    resolve_image_digests: Annotated[bool, opt("--resolve-image-digests", help="Tags become digests.")] = False,
    quiet: Annotated[bool, opt("--quiet", "-q", help="Only check; with --format json, problems as JSON.")] = False,
    output: Annotated[str, opt("--output", "-o", metavar="FILE", help="Write to a file.")] = "",
) -> None:
    """Check the file and show it in canonical form."""


def schema(
    output: Annotated[str, opt("--output", "-o", metavar="FILE", help="Write to a file.")] = "",
) -> None:
    """Print the JSON schema of Compose files, for editors."""
