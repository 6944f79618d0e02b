"""A conversation with a run: its messages, and the items attached to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polymodal.data.chat.messages import Media
from polymodal.data.chat.sources import KINDS
from polymodal.errors import RunError, did_you_mean
from polymodal.runs.generation_run import GenerationRun


class Talk:
    """A conversation that grows message by message.

    Args:
        run: Answers.
        system: System message; by default the one that the run was trained with.
        options: Of decoding; see :meth:`LanguageRun.generate`.
    """

    def __init__(self, run: GenerationRun, *, system: str | None = None, **options: Any) -> None:
        self.run, self.system, self.options = run, system or run.generation.system, options
        self.messages: list[dict[str, Any]] = []
        self.attached: list[dict[str, Any]] = []
        self.reset()

    @property
    def kinds(self) -> list[str]:
        """Modalities that can be attached: those of the run's inputs that are files."""
        read = [entry.modality for entry in self.run.declaration.inputs.values()]
        return [kind for kind in KINDS if kind in read]

    def reset(self) -> None:
        """Remove all messages but the system message, and all attachments."""
        self.messages = [{"role": "system", "content": self.system}] if self.system else []
        self.attached = []

    def attach(self, kind: str, path: str) -> None:
        """Attach an item, which precedes the text of the next message.

        Args:
            kind: Modality, one of :attr:`kinds`.
            path: Of the file.

        Raises:
            RunError: If the run does not read this modality, or ``path`` is empty.
            MediaError: If the file cannot be read.
        """
        if not path:
            raise RunError(f"/{kind} takes the path of a file")
        if kind not in self.kinds:
            reads = did_you_mean(kind, self.kinds) if self.kinds else "It reads text alone"
            raise RunError(f"{self.run.folder}: reads no {kind}. {reads}")
        part = {"type": kind, "path": str(Path(path).expanduser())}
        for message in self.run.conversation([{"role": "user", "content": [part]}]):
            for held in message.parts:
                if isinstance(held, Media):
                    self.run.processor.read_item(held)
        self.attached.append(part)

    def say(self, text: str) -> Iterator[str]:
        """Stream the answer to a message in pieces; stopped early, the part generated so far is kept.

        Raises:
            MediaError: If the message is empty, or the conversation is longer than the model's context.
        """
        content: Any = [*self.attached, {"type": "text", "text": text}] if self.attached else text
        messages = [*self.messages, {"role": "user", "content": content}]
        pieces = self.run.chat(messages, stream=True, **self.options)
        self.messages, self.attached = messages, []
        made: list[str] = []
        try:
            for piece in pieces:
                made.append(piece)
                yield piece
        finally:
            pieces.close()
            self.messages.append({"role": "assistant", "content": "".join(made).strip() or "…"})
