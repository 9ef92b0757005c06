"""Topics of ``pycompose help`` that are no command."""

from __future__ import annotations

INTRO = """\
pycompose runs applications of several containers from a Compose file: no Docker, no daemon.

The five commands to know, in a folder with a compose.yaml:

  pycompose up -d          create, connect and start everything; up alone shows the logs
  pycompose ps             what runs, how healthy, on which ports
  pycompose logs -f        what they write
  pycompose exec SERVICE sh    a shell inside
  pycompose down           stop and remove all; -v the data, too

All commands: pycompose help. One of them: pycompose help COMMAND. When something is odd: why, plan, doctor.
"""
TOPICS = {
    "first-steps": INTRO,
    "environment": """\
COMPOSE_FILE               Compose files, separated by : (COMPOSE_PATH_SEPARATOR changes that)
COMPOSE_PROJECT_NAME       as -p
COMPOSE_PROFILES           as --profile, separated by commas
COMPOSE_ENV_FILES          as --env-file, separated by commas
COMPOSE_DISABLE_ENV_FILE   1: do not read .env
COMPOSE_PROGRESS           as --progress
COMPOSE_ANSI               as --ansi
COMPOSE_STATUS_STDOUT      1: progress on standard output
COMPOSE_MENU               0: no line of keys below an attached up
COMPOSE_PARALLEL_LIMIT     as --parallel
COMPOSE_REMOVE_ORPHANS     1: as --remove-orphans
COMPOSE_IGNORE_ORPHANS     1: do not warn about orphans
COMPOSE_COMPATIBILITY      1: as --compatibility
NO_COLOR, CLICOLOR=0       no colours
CLICOLOR_FORCE=1, FORCE_COLOR=1   colours without a terminal, too
PYCOMPOSE_STATE_DIR        instead of /var/lib/pycompose: images, volumes, containers
PYCOMPOSE_RUN_DIR          instead of /run/pycompose: what goes with a reboot
""",
    "exit-codes": """\
0          done
1          an error: one message on standard error, "cannot ...", and a hint below it
126, 127   exec, run: the program cannot be executed, was not found
130        Ctrl-C, SIGTERM
141        the reader of standard output went away
others     exec, run, attach, wait, up --exit-code-from, up --abort-on-container-exit:
           those of the program inside
""",
    "progress": """\
Data goes to standard output, progress and messages to standard error.

--progress auto     a live tree on a terminal, else plain
--progress tty      the tree: a row per container, network, volume, image
--progress plain    a line per change; with --verbose also the reason of each
--progress json     an object per line: {"id": "Container web-1", "status": "Started"}
--progress quiet    errors only
--ansi never        no colours and no tree; always: colours in pipes, too
TERM=dumb           plain

An attached up shows logs above the tree. Keys: d detaches, Enter gives an empty line,
Ctrl-C stops, again kills, a third time leaves; Ctrl-Z suspends.
""",
}
