"""The public API: the command line, the service and notebooks all go through these names.

Each is imported when it is first used: help, wrong options and a missing file load no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polymodal.answers.answered import rows_at_once
    from polymodal.answers.row_answers import rows_as_json
    from polymodal.artifact.capabilities import Capability, Kind
    from polymodal.artifact.loadable import naming_library, require_loadable
    from polymodal.artifact.run_folder import require_folder_of_run, require_run, use_threads
    from polymodal.artifact.run_list import RunEntry, leading_metric, list_runs
    from polymodal.artifact.samples import Sample, Samples, read_samples
    from polymodal.attribution.explain import Explanation
    from polymodal.attribution.explanation_html import spoken_answer, spoken_confidence, spoken_share
    from polymodal.attribution.explanation_page import (
        Explanations,
        explain,
        explain_read,
        explanation_page,
        neural_shares,
        write_explanations,
    )
    from polymodal.attribution.explanation_table import summary
    from polymodal.comparison.comparison import compare, default_output
    from polymodal.data.cache.disk import DiskStore, default_folder
    from polymodal.data.chat.messages import Media
    from polymodal.data.chat.sources import KINDS
    from polymodal.data.checks.check import CheckReport
    from polymodal.data.checks.findings import Findings
    from polymodal.data.checks.rejected import count_rows
    from polymodal.data.media.cells import Limits as MediaLimits
    from polymodal.data.media.cells import recognise
    from polymodal.data.media.path_access import NOWHERE, MediaAccess
    from polymodal.data.readers.base import content_of
    from polymodal.data.row_processor import Row, RowProcessor
    from polymodal.data.schema.column_summary import brief
    from polymodal.data.tables.table import Table, read_table
    from polymodal.data.tables.table_writing import STANDARD_OUTPUT, check_output
    from polymodal.data.tables.written_rows import json_rows
    from polymodal.demo.demo_houses import write_houses
    from polymodal.demo.demo_run import DemoResult, run_demo
    from polymodal.embedding_eval.embedding_metrics import measure
    from polymodal.embedding_eval.probe_inputs import parse_instead
    from polymodal.embedding_eval.probe_splits import trained_on
    from polymodal.errors import (
        LONGEST,
        ConfigError,
        DataError,
        InputWarning,
        PolymodalError,
        ReadingWarning,
        ReportedElsewhere,
        RunError,
        Terminated,
        did_you_mean,
        one_line,
        option,
        raise_terminated,
        terminal_text,
    )  # fmt: skip
    from polymodal.evaluation.number_text import NAMES, SHARES, listed, metric, number, points, span
    from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS
    from polymodal.exporting.export import export
    from polymodal.exporting.formats import find_format
    from polymodal.fitting import check, fit, fit_folds, fit_fusions, fit_searched, init, pretrain
    from polymodal.importance.row_shares import row_shares
    from polymodal.language_run import LanguageRun
    from polymodal.pipelines.ablation import SEEDS
    from polymodal.pipelines.cross_validation import Repeats
    from polymodal.pipelines.multi_fit import Fits
    from polymodal.pretrained.finding import EncoderStatus, encoders
    from polymodal.report.leaderboard_text import leaders
    from polymodal.run import Run
    from polymodal.run import load_run as load
    from polymodal.runs.answering import decoding
    from polymodal.runs.encode_items import mean_of_units, unit
    from polymodal.runs.generation_metrics import NONE
    from polymodal.runs.part_engines import require_ray
    from polymodal.runs.parts import WrittenParts, write_parts
    from polymodal.runs.replies import Reply, fit_together, grow, usual_tokens
    from polymodal.runs.row_reading import ReadRow, joined, media_names, part_of, read_row
    from polymodal.runs.single_rows import answer_rows, embed_rows, most_rows
    from polymodal.runs.spoken_rows import answer_in_words, embed_prompts, prompt_columns
    from polymodal.runs.tables import embed_to, predict_to
    from polymodal.runs.talking import Talk
    from polymodal.runs.text_tokens import text_tokens
    from polymodal.runtime.exported_run import ExportedRun
    from polymodal.runtime.manifest import FILE as EXPORT_FILE
    from polymodal.runtime.opening import is_export, open_export
    from polymodal.search.hits import Hit
    from polymodal.search.index import Index, open_index
    from polymodal.search.index_building import Indexed
    from polymodal.search.index_building import index_table as index_to
    from polymodal.search.manifest import read_manifest
    from polymodal.search.querying import Asked
    from polymodal.training.portfolio_results import Portfolio, Standing
    from polymodal.utils.atomic import require_folder
    from polymodal.utils.cancelling import Cancelled, until_cancelled
    from polymodal.utils.deadline import Deadline, read_limit
    from polymodal.utils.distributed import is_main as is_main_process
    from polymodal.utils.distributed import stop as stop_processes
    from polymodal.utils.hub_files import go_offline
    from polymodal.utils.libraries import missing_library
    from polymodal.utils.progress import Remarks
    from polymodal.utils.records import JsonObject, JsonValue
    from polymodal.utils.threads import available_threads
    from polymodal.utils.unwritable import FULL, how_to_fix
    from polymodal.utils.version import __version__
    from polymodal.verification.paths import PathResult
    from polymodal.verification.verifying import Verification, verify
    from polymodal.verification.verifying import details as difference_lines
    from polymodal.verification.verifying import in_a_line as path_line

_HOMES = {
    "polymodal.answers.answered": "rows_at_once",
    "polymodal.answers.row_answers": "rows_as_json",
    "polymodal.artifact.capabilities": "Capability Kind",
    "polymodal.artifact.loadable": "naming_library require_loadable",
    "polymodal.artifact.run_folder": "require_folder_of_run require_run use_threads",
    "polymodal.artifact.samples": "Sample Samples read_samples",
    "polymodal.attribution.explain": "Explanation",
    "polymodal.attribution.explanation_html": "spoken_answer spoken_confidence spoken_share",
    "polymodal.attribution.explanation_page": (
        "Explanations explain explain_read explanation_page neural_shares write_explanations"
    ),
    "polymodal.attribution.explanation_table": "summary",
    "polymodal.comparison.comparison": "compare default_output",
    "polymodal.data.cache.disk": "DiskStore default_folder",
    "polymodal.data.chat.messages": "Media",
    "polymodal.data.chat.sources": "KINDS",
    "polymodal.artifact.run_list": "RunEntry leading_metric list_runs",
    "polymodal.data.checks.check": "CheckReport",
    "polymodal.data.checks.findings": "Findings",
    "polymodal.data.checks.rejected": "count_rows",
    "polymodal.data.media.cells": "MediaLimits:Limits recognise",
    "polymodal.data.media.path_access": "MediaAccess NOWHERE",
    "polymodal.data.readers.base": "content_of",
    "polymodal.data.row_processor": "Row RowProcessor",
    "polymodal.data.schema.column_summary": "brief",
    "polymodal.data.tables.table": "Table read_table",
    "polymodal.data.tables.table_writing": "STANDARD_OUTPUT check_output",
    "polymodal.data.tables.written_rows": "json_rows",
    "polymodal.demo.demo_houses": "write_houses",
    "polymodal.demo.demo_run": "DemoResult run_demo",
    "polymodal.embedding_eval.probe_inputs": "parse_instead",
    "polymodal.embedding_eval.embedding_metrics": "measure",
    "polymodal.embedding_eval.probe_splits": "trained_on",
    "polymodal.errors": (
        "LONGEST ConfigError DataError InputWarning PolymodalError ReadingWarning RunError Terminated "
        "ReportedElsewhere did_you_mean on_command_line one_line option raise_terminated terminal_text"
    ),
    "polymodal.evaluation.statistics.bootstrap": "FEWEST_GROUPS",
    "polymodal.exporting.export": "export",
    "polymodal.exporting.formats": "find_format",
    "polymodal.fitting": "check fit fit_folds fit_fusions fit_searched init pretrain",
    "polymodal.pipelines.ablation": "SEEDS",
    "polymodal.pipelines.cross_validation": "Repeats",
    "polymodal.pipelines.multi_fit": "Fits",
    "polymodal.pretrained.finding": "EncoderStatus encoders",
    "polymodal.report.leaderboard_text": "leaders",
    "polymodal.evaluation.number_text": "NAMES SHARES listed metric number points span",
    "polymodal.language_run": "LanguageRun",
    "polymodal.run": "Run load:load_run",
    "polymodal.runs.answering": "decoding",
    "polymodal.runs.encode_items": "mean_of_units unit",
    "polymodal.runs.generation_metrics": "NONE",
    "polymodal.runs.part_engines": "require_ray",
    "polymodal.runs.parts": "WrittenParts write_parts",
    "polymodal.runs.replies": "Reply fit_together grow usual_tokens",
    "polymodal.runs.row_reading": "ReadRow joined media_names part_of read_row",
    "polymodal.importance.row_shares": "row_shares",
    "polymodal.runs.single_rows": "answer_rows embed_rows most_rows",
    "polymodal.runs.spoken_rows": "answer_in_words embed_prompts prompt_columns",
    "polymodal.runs.tables": "embed_to predict_to",
    "polymodal.runs.talking": "Talk",
    "polymodal.runs.text_tokens": "text_tokens",
    "polymodal.runtime.exported_run": "ExportedRun",
    "polymodal.runtime.manifest": "EXPORT_FILE:FILE",
    "polymodal.runtime.opening": "is_export open_export",
    "polymodal.search.hits": "Hit",
    "polymodal.search.index": "Index open_index",
    "polymodal.search.index_building": "Indexed index_to:index_table",
    "polymodal.search.manifest": "read_manifest",
    "polymodal.search.querying": "Asked",
    "polymodal.training.portfolio_results": "Portfolio Standing",
    "polymodal.utils.atomic": "require_folder",
    "polymodal.utils.cancelling": "Cancelled until_cancelled",
    "polymodal.utils.deadline": "Deadline read_limit",
    "polymodal.utils.distributed": "is_main_process:is_main stop_processes:stop",
    "polymodal.utils.hub_files": "go_offline",
    "polymodal.utils.libraries": "missing_library",
    "polymodal.utils.progress": "Remarks",
    "polymodal.utils.records": "JsonObject JsonValue",
    "polymodal.utils.threads": "available_threads",
    "polymodal.utils.unwritable": "FULL how_to_fix",
    "polymodal.utils.version": "__version__",
    "polymodal.verification.paths": "PathResult",
    "polymodal.verification.verifying": "Verification difference_lines:details path_line:in_a_line verify",
}  # fmt: skip
"""By module the names that it holds; ``load:load_run`` where its own name is another."""
_HOME_OF = {
    name.partition(":")[0]: (module, name.rpartition(":")[2])
    for module, names in _HOMES.items()
    for name in names.split()
}
__all__ = [
    "Asked", "Cancelled", "Capability", "CheckReport", "ConfigError", "DataError", "Deadline", "DemoResult",
    "DiskStore",
    "EXPORT_FILE", "EncoderStatus", "Explanation", "Explanations", "ExportedRun", "FEWEST_GROUPS", "FULL",
    "Findings", "Fits", "Hit", "Index", "Indexed", "InputWarning", "JsonObject", "JsonValue", "KINDS", "Kind",
    "LONGEST", "LanguageRun", "Media", "MediaAccess", "MediaLimits", "NAMES", "NONE", "NOWHERE", "PathResult",
    "PolymodalError", "Portfolio", "ReadRow", "ReadingWarning", "Remarks", "Repeats", "Reply",
    "ReportedElsewhere", "Row",
    "RowProcessor", "Run", "RunEntry", "RunError", "SEEDS", "SHARES", "STANDARD_OUTPUT",
    "Sample", "Samples", "Standing", "Table", "Talk", "Terminated", "Verification", "WrittenParts",
    "__version__", "answer_in_words", "answer_rows", "available_threads", "brief", "check", "check_output",
    "compare", "content_of", "count_rows", "decoding", "default_folder", "default_output", "did_you_mean",
    "difference_lines", "embed_prompts", "embed_rows", "embed_to", "encoders", "explain",
    "explain_read", "explanation_page",
    "export", "find_format", "fit", "fit_folds", "fit_fusions", "fit_searched", "fit_together", "go_offline",
    "grow", "how_to_fix", "index_to", "init", "is_export", "is_main_process", "joined", "json_rows",
    "leaders", "leading_metric", "list_runs", "listed", "load", "mean_of_units", "measure", "media_names",
    "metric", "missing_library", "most_rows", "naming_library",
    "neural_shares", "number", "one_line", "open_export", "open_index", "option",
    "parse_instead", "part_of", "path_line", "points", "predict_to", "pretrain", "prompt_columns",
    "raise_terminated", "read_limit", "read_manifest", "read_row", "read_samples", "read_table", "recognise",
    "require_folder", "require_folder_of_run", "require_loadable", "require_ray", "require_run", "row_shares",
    "rows_as_json", "rows_at_once", "run_demo", "span", "spoken_answer", "spoken_confidence", "spoken_share",
    "stop_processes", "summary", "terminal_text", "text_tokens", "trained_on", "unit", "until_cancelled",
    "use_threads", "usual_tokens", "verify", "write_explanations", "write_houses", "write_parts",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'polymodal.api' has no attribute '{name}'")
    module, attribute = _HOME_OF[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
