"""What a fit imports, once for all processes of :mod:`tests.support.killing`."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import transformers.models.bert.modeling_bert
import transformers.models.resnet.modeling_resnet  # noqa: F401
