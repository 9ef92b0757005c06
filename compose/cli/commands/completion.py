"""``completion``: the script that makes a shell ask us."""

from __future__ import annotations

import os

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session

# each asks: pycompose __complete SHELL WORD..., the last word being the one to complete; a line of the answer is
# "value<TAB>text"; the line ":files" asks the shell for file names as well
BASH = r"""_pycompose() {
    local line value files= IFS=$'\n'
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then files=1; continue; fi
        value=${line%%$'\t'*}
        [[ $value == *[:=] ]] && compopt -o nospace
        COMPREPLY+=("$value")
    done < <("${COMP_WORDS[0]}" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ $files ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}"))
    fi
}
complete -o nosort -F _pycompose pycompose
"""
ZSH = r"""#compdef pycompose
_pycompose() {
    local line files=
    local -a values texts
    for line in "${(@f)$($words[1] __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files ]]; then files=1; continue; fi
        [[ -n $line ]] || continue
        values+=("${line%%$'\t'*}")
        texts+=("${line%%$'\t'*}  ${line#*$'\t'}")
    done
    (( $#values )) && compadd -l -d texts -- $values
    [[ -n $files ]] && _files
    return 0
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _pycompose pycompose
"""
FISH = r"""function __pycompose_complete
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    set -l files
    for line in (pycompose __complete fish $words 2>/dev/null)
        if test "$line" = :files
            set files 1
        else
            echo $line
        end
    end
    if set -q files[1]
        __fish_complete_path (commandline -ct)
    end
end
complete -c pycompose -f -a '(__pycompose_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@record
class Options:
    shell: str = ""


def run(session: Session, options: Options) -> int:
    shell = options.shell or os.path.basename(session.environ.get("SHELL", ""))
    if shell not in SCRIPTS:
        raise UsageError(f"cannot complete in {shell or 'an unknown shell'}", hint="shells: bash, zsh, fish")
    session.write(SCRIPTS[shell])
    return 0
