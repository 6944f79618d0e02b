"""Workers that would import a script that fits while it is imported."""

from multiprocessing import process
from unittest import mock

import pytest

import polymodal as pm
from polymodal.training.loop.workers import _is_guarded, require_main_guard

SCRIPT = """import polymodal as pm
rows = []
pm.fit(rows)
if __name__ == "__main__":
    if rows:
        pm.fit(rows)
"""


@pytest.mark.parametrize(("line", "guarded"), [(3, False), (6, True)])
def test_a_guard_is_seen(tmp_path, line, guarded):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert _is_guarded(script, line) == guarded


def test_a_process_that_only_imports_the_script_does_not_fit():
    require_main_guard(2)  # tests are no script
    with mock.patch.object(process.current_process(), "_inheriting", True, create=True):
        require_main_guard(0)
        with pytest.raises(pm.ConfigError, match="if __name__ == '__main__'"):
            require_main_guard(2)
