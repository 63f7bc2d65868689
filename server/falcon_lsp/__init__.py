"""falcon-lsp: code completion that learns from the person who uses it, on that person's machine."""

__version__ = "0.1.0"
