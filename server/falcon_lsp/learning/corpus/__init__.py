"""The training corpus: hand-written code under permissive licences, clean and repeatable.

``python -m falcon_lsp.learning.corpus SOURCE... --out FOLDER`` builds it, ``read_shards`` reads it
back. docs/corpus.md says what goes in and what is left out.
"""

from falcon_lsp.learning.corpus.shards import SourceFile, read_shards

__all__ = ["SourceFile", "read_shards"]
