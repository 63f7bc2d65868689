"""The trainer as a process of its own: when it works, where it stands, what it tells."""
