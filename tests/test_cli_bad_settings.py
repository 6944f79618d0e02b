"""Bad settings, checkpoints and run folders through the command line: one clear line each, no traceback."""

import shutil

import pytest
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from polymodal.data.tokenizer import train_tokenizer
from tests.command import settings
from tests.test_cli_bad_input import base, error, errors, folder  # noqa: F401
