"""Real shells on a terminal of their own: a line is typed, and what completion makes of it is read back."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 30  # s
PROMPT = "ready> "
INSERT_ALL = b"\x1b*"  # a key that puts everything that completion offers into the line
SHOW = b"\x07"  # a key that prints the line between << and >> and clears it

BASH = """\
PS1='{prompt}'
bind 'set bell-style none' 'set enable-bracketed-paste off' 'set completion-query-items 0'
bind -x '"\\C-g": printf "\\n<<%s>>\\n" "$READLINE_LINE"; READLINE_LINE='
eval "$(birdlite completion bash)"
"""
ZSH = """\
unsetopt promptsp zle_bracketed_paste
autoload -Uz compinit && compinit -u -D
show() {{ zle -I; print -r -- "<<$BUFFER>>"; BUFFER= }}
zle -N show
bindkey '^G' show
bindkey '\\e*' all-matches
zle -C all-matches complete-word _generic
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
eval "$(birdlite completion zsh)"
PS1='{prompt}'
"""
ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[2:])"
)
COMMANDS = {"bash": ["bash", "--noprofile", "--rcfile", "{rc}", "-i"], "zsh": ["zsh", "-i"]}
STARTS = {"bash": (".bashrc", BASH), "zsh": (".zshrc", ZSH)}


class Shell:
    """An interactive bash or zsh that has read the script of `birdlite completion`."""

    def __init__(self, name: str, folder: Path) -> None:
        """Start it in `folder`, which is its home too."""
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        birdlite = Path(sys.executable).with_name("birdlite")
        if not birdlite.exists():
            pytest.skip(f"birdlite is not installed beside {sys.executable}")
        file, script = STARTS[name]
        (folder / file).write_text(script.format(prompt=PROMPT))
        arguments = [word.format(rc=folder / file) for word in COMMANDS[name]]
        environment = {
            "PATH": f"{birdlite.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "ZDOTDIR": str(folder),
            "TERM": "vt100",
            "COLUMNS": "10000",
            "LC_ALL": "C.UTF-8",
        }
        self._seen = ""
        self._terminal, other_end = os.openpty()
        command = [sys.executable, "-c", ON_ITS_TERMINAL, path, *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(other_end)
        self._read_until(re.escape(PROMPT))

    def offers(self, line: str) -> str:
        """Type a line, have everything inserted that completion offers, and give what the line is then."""
        os.write(self._terminal, line.encode() + INSERT_ALL + SHOW)
        return self._shown()

    def completes(self, line: str) -> str:
        """Type a line and a tab, and give what the line is then."""
        os.write(self._terminal, line.encode() + b"\t" + SHOW)
        return self._shown()

    def close(self) -> None:
        """End the shell."""
        os.close(self._terminal)
        self._process.wait(PATIENCE)

    def _shown(self) -> str:
        shown = self._read_until(r"<<(.*?)>>")
        self._read_until(re.escape(PROMPT))
        return shown.replace("\r", "").replace("\n", "").rstrip()

    def _read_until(self, pattern: str) -> str:
        """Read until `pattern` comes, and give its group, or all of it."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._seen, re.DOTALL)):
            if not select.select([self._terminal], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no {pattern} within {PATIENCE} s, but {self._seen!r}")
            self._seen += os.read(self._terminal, 65536).decode(errors="replace")
        self._seen = self._seen[found.end() :]
        return found.group(found.lastindex or 0)
