"""Random requests of an OpenAPI description, whose answers have to be as it describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance,
]  # fmt: skip
"""Which rows fit depends on the run, so a request that fits the schema may be refused."""


def meet_the_description(
    operation: Any,
    examples: int,
    change: Callable[[Any], None] = lambda case: None,
    check: Callable[[Any], None] = lambda response: None,
) -> None:
    """Send some random requests of an operation, always the same ones.

    Args:
        operation: Of schemathesis.
        examples: How many requests.
        change: Changes a case before it is sent.
        check: Of each response, beside :data:`CHECKS`.
    """

    @given(case=operation.as_strategy())
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def sent(case: Any) -> None:
        change(case)
        response = case.call(timeout=120)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code < 500 and "Traceback" not in response.text
        check(response)

    sent()
