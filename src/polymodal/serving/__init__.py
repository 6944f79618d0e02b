"""The service of ``polymodal serve``: runs answer over HTTP. Needs the extra ``serve``."""
