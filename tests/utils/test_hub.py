"""What comes from the hub: where it does not answer, one line while it is waited for and one at the end."""

import pytest
from huggingface_hub.utils import logging as hub_logging

from polymodal.errors import ConfigError
from polymodal.utils.hub import WAITING, load_pretrained


class Silent:
    """An Auto class of a hub that answers nothing."""

    @staticmethod
    def from_pretrained(name, trust_remote_code):
        logger = hub_logging.get_logger("huggingface_hub.utils._http")
        logger.warning("You are sending unauthenticated requests.")
        for wait in (1, 2):
            logger.warning(f"'timed out' thrown while requesting HEAD https://huggingface.co/{name}")
            logger.warning(f"Retrying in {wait}s [Retry {wait}/5].")
        raise OSError("cannot be reached")


def test_failed_tries_are_one_line_and_other_warnings_stay(monkeypatch):
    written = []
    (handler,) = hub_logging.get_logger().handlers
    monkeypatch.setattr(handler, "emit", lambda record: written.append(record.getMessage()))
    for _ in range(2):
        with pytest.raises(ConfigError, match="nobody/nothing' is neither a local folder nor to be had"):
            load_pretrained(Silent, "nobody/nothing")
    assert written == ["You are sending unauthenticated requests.", WAITING] * 2
    hub_logging.get_logger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
    assert written[-1].startswith("Retrying"), "elsewhere the library speaks as it does"
