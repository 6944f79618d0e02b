"""What a browser gets instead of the page until it has sent the token: a form without scripts."""

from __future__ import annotations

import base64
import hashlib

STYLE = (
    ":root{color-scheme:light dark;--ink:#1b2430;--soft:#525d6b;--paper:#fff;--edge:#7d8897;--mark:#2c68bd;"
    "--on:#fff;--bad:#b3402f}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a0abba;--paper:#14181e;--edge:#77839a;"
    "--mark:#6ea2ea;--on:#10151c;--bad:#ee8a7a}}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}"
    "main{max-width:26rem;margin:12vh auto 0;padding:0 1.2rem}h1{font-size:1.35rem;margin:0}"
    "p{color:var(--soft);font-size:.88rem}label{display:block;font-weight:600;font-size:.94rem}"
    "input,button{box-sizing:border-box;font:inherit;color:inherit;border:1px solid var(--edge);"
    "border-radius:.4rem;padding:.42rem .65rem;background:var(--paper)}input{width:100%;margin:.2rem 0 1rem}"
    "button{background:var(--mark);border-color:var(--mark);color:var(--on);font-weight:600;"
    "padding:.42rem 1.3rem;cursor:pointer}:focus-visible{outline:2px solid var(--mark);outline-offset:2px}"
    "p.error{color:var(--bad);font-size:.9rem}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
TOKEN_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
}
"""Headers of this page: its own style, known by its hash, and nothing else. Under a stricter policy of
referrers browsers send the form with ``Origin: null``, as a page of another site might.
"""
WRONG = '<p class="error" role="alert" id="error">This is not the token of this server.</p>'


def token_page(is_wrong: bool = False) -> str:
    """The HTML of the form, which posts ``token`` to ``/session``.

    Args:
        is_wrong: Whether another token was sent before.
    """
    described = ' aria-invalid="true" aria-describedby="error"' if is_wrong else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Polymodal: token</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        "<h1>This server wants a token</h1>\n"
        "<p>It was set when the server was started. It is kept in a cookie that no script can read.</p>\n"
        f'<form method="post" action="/session">\n<label for="token">Token</label>\n'
        '<input id="token" type="password" name="token" autocomplete="current-password" '
        f"required autofocus{described}>\n"
        f"{WRONG if is_wrong else ''}\n<button>Continue</button>\n</form>\n</main>\n</body>\n</html>\n"
    )
