"""``python -m falcon_lsp`` is ``falcon-lsp``."""

from falcon_lsp.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
