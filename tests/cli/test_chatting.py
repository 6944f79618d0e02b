"""What a terminal offers while one talks to a run: help, completion, line editing, history."""

import os
import sys

import pytest

from polymodal.cli.chatting import COMMANDS, completions, help_lines


def test_help_lists_what_can_be_attached_and_every_command():
    lines = help_lines(["image", "audio"])
    assert lines[0].startswith("/image PATH  attach") and lines[1].startswith("/audio PATH  attach")
    assert all(any(line.startswith(name) for line in lines) for name in (*COMMANDS, "Ctrl-C", "Tab"))


def test_commands_and_paths_are_completed(tmp_path):
    (tmp_path / "photo.png").touch()
    assert completions("/r", ["image"]) == ["/reset"] and completions("/", ["image"])[0] == "/image"
    assert completions(f"{tmp_path}/ph", ["image"]) == [f"{tmp_path}/photo.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_arrows_edit_a_line_and_go_back_to_it():
    import pty

    child = (
        "from polymodal.cli.chatting import edit_lines, next_line\n"
        "edit_lines([])\n"
        "lines = [next_line(), next_line()]\n"
        "print(lines)"
    )
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-c", child])
    os.write(terminal, b"helo\x1b[Dl\n\x1b[A\n")
    shown = b""
    try:
        while part := os.read(terminal, 1024):
            shown += part
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.waitpid(process, 0)
    assert b"['hello', 'hello']" in shown
