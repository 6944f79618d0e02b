"""The command that lists recommended pretrained encoders, and the option that forbids downloads."""

from __future__ import annotations

from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Json, printed
from polymodal.cli.show import console, titled_table


def encoders(
    modality: Annotated[
        str | None, typer.Option("--modality", "-m", metavar="NAME", help="Only those for it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommended pretrained encoders, and which of them are on this machine."""
    listed = api.encoders(modality)
    if not listed:
        raise typer.BadParameter(f"no encoder for '{modality}' is recommended", param_hint="--modality")
    if not printed({"encoders": [entry.to_dict() for entry in listed]}, as_json):
        show_encoders(listed)


def show_encoders(listed: list[api.EncoderStatus]) -> None:
    """A row per encoder, and how to use and get one."""
    table = titled_table(collapse_padding=True)
    right = ("MB", "M parameters")
    for head in ("encoder", "reads", *right, "licence", "languages", "here", "good for"):
        table.add_column(head, justify="right" if head in right else "left", no_wrap=head != "good for")
    for entry in listed:
        encoder = entry.encoder
        table.add_row(
            encoder.name, ", ".join(encoder.modalities), f"{encoder.megabytes}", f"{encoder.parameters:g}",
            encoder.licence, encoder.languages, entry.source or "no", encoder.good_for,
        )  # fmt: skip
    out = console()
    out.print(table)
    out.print("A fit takes the first that suits and is here, or downloads it: --set train.encoders=auto")
    for entry in listed:
        if entry.how_to_get:
            out.print(f"  {entry.encoder.name}: {entry.how_to_get}", soft_wrap=True)


def forbid_downloads(offline: bool) -> None:
    """Option ``--offline``: what ``HF_HUB_OFFLINE=1`` does."""
    if offline:
        api.go_offline()
