"""The report of a run: figures (``report.json``) and one page (``report.html``) made of them alone."""
