"""Predictions: ``POST /predict``."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from polymodal.api import JsonObject
from polymodal.serving.bodies import Body, json_body, json_schema_of, validated
from polymodal.serving.bounded import bounded
from polymodal.serving.description import example_row, run_for
from polymodal.serving.forms import form_files, form_options, form_row, form_rows, read_form
from polymodal.serving.items import answer_items, check_size
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.routes.direct import Direct
from polymodal.serving.service import Service
from polymodal.serving.values import Given, ServedInput

MULTIPART = "multipart/form-data"


class PredictBody(Body):
    """Rows to predict."""

    run: str | None = Field(None, description="Name of the run; may be absent where there is one.")
    rows: list[dict[str, Any]] = Field(
        min_length=1, description="By input its value; an input that is null or absent is missing."
    )
    probabilities: bool = Field(False, description="Also the probability of each class.")
    shares: bool = Field(False, description="Also how much each input contributed.")


class Answered(BaseModel):
    """The answer to one row: what is predicted, or ``error``."""

    values: dict[str, Any] | None = Field(
        None, description="By target a label, a list of labels or a number."
    )
    probabilities: dict[str, dict[str, float]] | None = Field(None, description="By target and class.")
    intervals: dict[str, list[float]] | None = Field(None, description="By target the lower and upper end.")
    shares: dict[str, dict[str, float | None]] | None = Field(None, description="By target and input.")
    missing: list[str] | None = Field(None, description="Inputs that the row lacks.")
    warnings: list[str] | None = Field(None, description="What may be wrong with the row's values.")
    error: ItemProblem | None = Field(None, description="Why this row has no answer.")


class Predictions(BaseModel):
    """The answers, one per row, in their order."""

    run: str
    answers: list[Answered]


def router(service: Service) -> APIRouter:
    """``POST /predict``, as JSON or as a form."""
    routes = APIRouter(tags=["predictions"], route_class=Direct)
    first = run_for(service, "predict")
    example = {"run": first.name, "rows": [example_row(first)], "probabilities": True}
    described = json_schema_of(PredictBody, example)
    described["requestBody"]["content"][MULTIPART] = {"schema": _form_schema(first.inputs.values())}

    @routes.post(
        "/predict", summary="Predict rows", openapi_extra=described, responses={200: {"model": Predictions}}
    )
    async def predict(request: Request) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == MULTIPART:
            body, given = await _of_form(request, service)
        else:
            body, given = await json_body(request, PredictBody, service.limits), Given()
        return JSONResponse(await bounded(request, service, _answer(service, body, given)))

    return routes


def _form_schema(inputs: Any) -> JsonObject:
    """The parts of a form of one row."""
    parts: JsonObject = {each.name: _part(each) for each in inputs}
    switch = {"type": "string", "enum": ["true", "false"]}
    options: JsonObject = {"run": {"type": "string"}, "probabilities": switch, "shares": switch}
    rows = {"type": "string", "description": "Rows as JSON, in place of a part per input."}
    properties = {**parts, **options, "rows": rows}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _part(of: ServedInput) -> JsonObject:
    return {"type": "string", "format": "binary"} if of.accept else {"type": "string"}


async def _of_form(request: Request, service: Service) -> tuple[PredictBody, Given]:
    """The request that a form holds, and its files."""
    form = await read_form(request, service.limits)
    options = form_options(form)
    rows, given = form_rows(form, service.limits), Given()
    if rows is None:
        rows = [await form_row(form, service.run(options.get("run")).inputs)]
    else:
        given = Given(files=await form_files(form))
    # Pydantic would decode files as texts.
    body = validated({**options, "rows": [{}]}, PredictBody)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        validated({**options, "rows": rows}, PredictBody)
    return body.model_copy(update={"rows": rows}), given


async def _answer(service: Service, body: PredictBody, given: Given) -> JsonObject:
    served = service.run(body.run)
    served.require("predict")
    check_size(served, body.rows, service.limits)
    if body.shares and len(body.rows) > service.limits.share_rows:
        most = service.limits.share_rows
        raise Refusal(422, f"{len(body.rows):,} rows, expected at most {most} with shares", param="rows")
    given = await service.with_addresses(served, body.rows, given)
    answers = await answer_items(served, body.rows, given, partial(served.predict, shares=body.shares))
    return {"run": served.name, "answers": [_shown(entry, body) for entry in answers]}


def _shown(answer: JsonObject | ItemProblem, body: PredictBody) -> JsonObject:
    """An answer with what was requested."""
    if isinstance(answer, ItemProblem):
        return {"error": answer.plain()}
    hidden = set() if body.probabilities and answer["probabilities"] else {"probabilities"}
    hidden |= set() if answer["intervals"] else {"intervals"}
    return {name: value for name, value in answer.items() if name not in hidden}
