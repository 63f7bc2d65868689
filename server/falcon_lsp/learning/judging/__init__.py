"""The gate: whether a new adapter is better, and what becomes of it."""
