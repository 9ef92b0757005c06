"""docker compose 5's commands and flags, as its reference lists them; hidden and deprecated ones, too.

A flag is ``--name`` or ``--name/-n``; ``=`` after it: it takes a value; ``!``: it is hidden there.
"""

from __future__ import annotations

GLOBAL = """
--all-resources --ansi= --compatibility --dry-run --env-file= --file/-f= --insecure-registry=! --no-ansi! --parallel=
--profile= --progress= --project-directory= --project-name/-p= --verbose! --version/-v! --workdir=!
"""

COMMANDS = {
    "alpha": "",
    "alpha dry-run": "",
    "alpha generate": "--format= --name= --project-dir=",
    "alpha publish": "--app --insecure-registry! --oci-version= --resolve-image-digests --with-env --yes/-y",
    "alpha scale": "--no-deps",
    "alpha viz": "--image --indentation-size= --networks --ports --spaces",
    "alpha watch": "--no-up --quiet",
    "attach": "--detach-keys= --index= --no-stdin --sig-proxy",
    "bridge": "",
    "bridge convert": "--output/-o= --templates= --transformation/-t=",
    "bridge transformations": "",
    "bridge transformations create": "--from/-f=",
    "bridge transformations list": "--format= --quiet/-q",
    "build": """--build-arg= --builder= --check --compress! --force-rm! --memory/-m= --no-cache --no-rm! --parallel! --print
        --progress=! --provenance= --pull --push --quiet/-q --sbom= --ssh= --with-dependencies""",
    "commit": "--author/-a= --change/-c= --index= --message/-m= --pause/-p",
    "config": """--environment --format= --hash= --images --lock-image-digests --models --networks --no-consistency
        --no-env-resolution --no-interpolate --no-normalize --no-path-resolution --output/-o= --profiles --quiet/-q
        --resolve-image-digests --services --variables --volumes""",
    "convert": """--format= --hash= --images --no-consistency --no-interpolate --no-normalize --output/-o= --profiles
        --quiet/-q --resolve-image-digests --services --volumes""",
    "cp": "--all --archive/-a --follow-link/-L --index=",
    "create": """--build --force-recreate --no-build --no-recreate --pull= --quiet-pull --remove-orphans --scale=
        --yes/-y""",
    "down": "--remove-orphans --rmi= --timeout/-t= --volumes/-v",
    "events": "--json --since= --until=",
    "exec": """--detach/-d --env/-e= --index= --interactive/-i! --no-tty/-T --privileged --tty/-t! --user/-u=
        --workdir/-w=""",
    "export": "--index= --output/-o=",
    "images": "--format= --quiet/-q",
    "kill": "--remove-orphans --signal/-s=",
    "logs": "--follow/-f --index= --no-color --no-log-prefix --since= --tail/-n= --timestamps/-t --until=",
    "ls": "--all/-a --filter= --format= --quiet/-q",
    "pause": "",
    "port": "--index= --protocol=",
    "ps": "--all/-a --filter= --format= --no-trunc --orphans --quiet/-q --services --status=",
    "publish": "--app --insecure-registry! --oci-version= --resolve-image-digests --with-env --yes/-y",
    "pull": "--ignore-buildable --ignore-pull-failures --include-deps --no-parallel! --parallel! --policy= --quiet/-q",
    "push": "--ignore-push-failures --include-deps --quiet/-q",
    "restart": "--no-deps --timeout/-t=",
    "rm": "--all/-a! --force/-f --stop/-s --volumes/-v",
    "run": """--build --cap-add= --cap-drop= --detach/-d --entrypoint= --env/-e= --env-from-file= --interactive/-i
        --label/-l= --name= --no-deps --no-tty/-T --publish/-p= --pull= --quiet/-q --quiet-build --quiet-pull
        --remove-orphans --rm --service-ports/-P --tty/-t! --use-aliases --user/-u= --volume/-v= --workdir/-w=""",
    "scale": "--no-deps",
    "start": "--wait --wait-timeout=",
    "stats": "--all/-a --format= --no-stream --no-trunc",
    "stop": "--timeout/-t=",
    "top": "",
    "unpause": "",
    "up": """--abort-on-container-exit --abort-on-container-failure --always-recreate-deps --attach= --attach-dependencies
        --build --detach/-d --exit-code-from= --force-recreate --menu --no-attach= --no-build --no-color --no-deps
        --no-log-prefix --no-recreate --no-start --pull= --quiet-build --quiet-pull --remove-orphans
        --renew-anon-volumes/-V --scale= --timeout/-t= --timestamps --wait --wait-timeout= --watch/-w --yes/-y""",
    "version": "--format/-f= --short",
    "volumes": "--format= --quiet/-q",
    "wait": "--down-project",
    "watch": "--no-up --prune --quiet",
}
VARIABLES = """
COMPOSE_FILE COMPOSE_PATH_SEPARATOR COMPOSE_PROJECT_NAME COMPOSE_PROFILES COMPOSE_ENV_FILES COMPOSE_DISABLE_ENV_FILE
COMPOSE_PARALLEL_LIMIT COMPOSE_PROGRESS COMPOSE_ANSI COMPOSE_MENU COMPOSE_REMOVE_ORPHANS COMPOSE_IGNORE_ORPHANS
COMPOSE_COMPATIBILITY COMPOSE_CONVERT_WINDOWS_PATHS COMPOSE_STATUS_STDOUT COMPOSE_EXPERIMENTAL_WATCH_TAR COMPOSE_BAKE
NO_COLOR DOCKER_DEFAULT_PLATFORM
""".split()


class Flag:
    """One of a command's flags: its names, whether it takes a value, whether docker hides it."""

    def __init__(self, text: str) -> None:
        self.hidden = text.endswith("!")
        text = text.removesuffix("!")
        self.takes_value = text.endswith("=")
        self.names = text.removesuffix("=").split("/")
        self.name = self.names[0]


def flags(text: str) -> list[Flag]:
    return [Flag(word) for word in text.split()]
