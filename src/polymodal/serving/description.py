"""The description of the service for clients and for the page: ``GET /runs``."""

from __future__ import annotations

from polymodal import api
from polymodal.api import JsonObject, JsonValue
from polymodal.serving.served_run import ServedRun
from polymodal.serving.service import Service

OPTIONAL: JsonObject = {"number": 3, "text": "a quiet street", "date": "2026-11-30"}
"""Example values by modality, where the run itself gives none."""


def run_for(service: Service, capability: str) -> ServedRun:
    """The first run that supports something, for an example of it; the first of all where none does."""
    runs = list(service.runs.values())
    return next((run for run in runs if capability in run.capabilities), runs[0])


def supports(service: Service, capability: str) -> bool:
    """Whether a run supports it; a search also needs an index."""
    if capability == "search":
        return service.index is not None
    return any(capability in run.capabilities for run in service.runs.values())


def describe_service(service: Service) -> JsonObject:
    """Version, whether requests need a token, limits and runs; no path."""
    return {
        "version": api.__version__,
        "token": service.token is not None,
        "limits": service.limits.plain(),
        "runs": [describe_run(run, _searches(service, run)) for run in service.runs.values()],
    }


def _searches(service: Service, served: ServedRun) -> bool:
    """Whether a run made the index that requests search in."""
    return service.index is not None and service.index.served is served


def describe_run(served: ServedRun, searches: bool = False) -> JsonObject:
    """One run: what it reads, what it predicts, how well, and what requests may be about."""
    examples = example_row(served)
    capabilities = served.capabilities + ["search"] * searches
    return {
        "name": served.name,
        "kind": served.kind,
        "metric": served.metric,
        "export": served.source,
        "targets": served.targets,
        "inputs": [
            {
                "name": each.name,
                "modality": each.modality,
                "choices": None if each.choices is None else list(each.choices),
                "accept": each.accept,
                "example": examples.get(each.name),
            }
            for each in served.inputs.values()
        ],
        "attachments": list(served.attachments),
        "capabilities": capabilities,
        "samples": len(served.samples),
    }


def _example(modality: str, choices: tuple[str, ...] | None) -> JsonValue:
    if choices is not None:
        first = list(choices[:1])
        return first if modality == "categories" else next(iter(first), None)
    return OPTIONAL.get(modality)


def example_row(served: ServedRun) -> JsonObject:
    """A row that the run answers, of a kept one where there is one: its inputs of values, media left out."""
    kept = [sample["row"] for sample in served.samples[:1]]
    examples: dict[str, JsonValue] = {}
    for each in served.inputs.values():
        if not each.is_media:
            own = kept[0].get(each.name) if kept and isinstance(kept[0], dict) else None
            examples[each.name] = _example(each.modality, each.choices) if own is None else own
    return {name: value for name, value in examples.items() if value is not None}
