"""The old name of :mod:`polymodal.data.tables.table`, kept for one release."""

import warnings

from polymodal.data.tables.table import Table, read_table

__all__ = ["Table", "read_table"]
warnings.warn("polymodal.data.table is now polymodal.data.tables.table", DeprecationWarning, stacklevel=2)
