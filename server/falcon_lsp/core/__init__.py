"""Small building blocks that every layer may use; no third-party types."""
